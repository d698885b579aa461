//! Which executor runs a node's blocks.
//!
//! Owns the choice by cores and by block. Must not know configuration files. Invariant: whatever is chosen, the outcome is the
//! same.

use super::{
    BlockEnv, ExecError, Execution, Executor, Serial,
    stm::{BlockStm, Forecast},
};
use crate::{
    ledger::{state::StateView, tx::VerifiedTx},
    types::ExecutorChoice,
};

/// Cores below which running ahead of turn costs more than it brings.
const MIN_CORES: usize = 4;
/// Threads beyond which settling, which is one thread's work, leaves nothing for more to do.
const MAX_THREADS: usize = 16;
/// Transactions below which a block is over before other threads are awake.
const MIN_TXS: usize = 64;

/// The executor `choice` stands for on a machine with `cores`. Where the system gives it no threads, blocks run serially.
pub fn chosen(choice: ExecutorChoice, cores: usize) -> Box<dyn Executor> {
    let threads = cores.clamp(2, MAX_THREADS);
    match choice {
        ExecutorChoice::Serial => Box::new(Serial::default()),
        ExecutorChoice::Auto if cores < MIN_CORES => Box::new(Serial::default()),
        ExecutorChoice::Auto => match BlockStm::new(threads) {
            Ok(parallel) => Box::new(ByBlock { serial: Serial::default(), parallel }),
            Err(_) => Box::new(Serial::default()),
        },
        ExecutorChoice::BlockStm => match BlockStm::new(threads) {
            Ok(parallel) => Box::new(parallel),
            Err(_) => Box::new(Serial::default()),
        },
    }
}

/// Runs each block as it seems fastest.
struct ByBlock {
    serial: Serial,
    parallel: BlockStm,
}

impl Executor for ByBlock {
    fn run(&self, view: &(dyn StateView + Sync), env: &BlockEnv, txs: &[&VerifiedTx]) -> Result<Execution, ExecError> {
        match is_worth_threads(txs) {
            true => self.parallel.run(view, env, txs),
            false => self.serial.run(view, env, txs),
        }
    }
}

/// Whether a block has enough transactions, and they do not all wait for each other.
fn is_worth_threads(txs: &[&VerifiedTx]) -> bool {
    txs.len() >= MIN_TXS && Forecast::of(txs).longest <= txs.len() / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::executor::tests::rig::transfer, types::Address};

    #[test]
    fn blocks_that_are_short_or_one_long_chain_run_serially() {
        let to = |n: u64| Address::left_padding_from(&(n + 1).to_be_bytes());
        let spread: Vec<_> = (0..64).map(|n| transfer(u8::try_from(n + 1).unwrap(), 0, to(n), 1)).collect();
        let chain: Vec<_> = (0..64).map(|n| transfer(u8::try_from(n + 1).unwrap(), 0, to(0), 1)).collect();
        let all = |txs: &[VerifiedTx]| is_worth_threads(&txs.iter().collect::<Vec<_>>());
        assert!(all(&spread));
        assert!(!all(&spread[1..]));
        assert!(!all(&chain));
    }
}
