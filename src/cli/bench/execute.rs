//! Time of executing a block's transactions, alone: no signatures, no trie, no disk.

use super::execute_load::{self, Kind, Workload};
use crate::{
    cli::output::{Output, table},
    ledger::executor::{self, BlockEnv, INITIAL_BASE_FEE, Rules},
    types::{Address, B256, Params},
};
use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// Arguments of `cess bench execute`.
#[derive(Debug, Args)]
pub struct ExecuteArgs {
    /// What the transactions do
    #[arg(long, value_enum, default_value_t = Kind::Transfer)]
    tx: Kind,
    /// Accounts that send in turn
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    accounts: u32,
    /// Transactions of a block
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    txs: u32,
    /// Times the block is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

/// One way of executing the block.
#[derive(Serialize)]
struct Line {
    executor: String,
    best_us_per_tx: f64,
    median_us_per_tx: f64,
}

/// Measures and prints.
pub fn run(args: &ExecuteArgs, output: &Output) -> anyhow::Result<()> {
    let lines = measure(args)?;
    output.document(&lines, |lines| {
        let row = |line: &Line| {
            let (best, median) = (line.best_us_per_tx, line.median_us_per_tx);
            vec![line.executor.clone(), format!("{best:.2}"), format!("{median:.2}")]
        };
        table(&["executor", "best µs a transaction", "median"], &lines.iter().map(row).collect::<Vec<_>>())
    })
}

fn measure(args: &ExecuteArgs) -> anyhow::Result<Vec<Line>> {
    let Workload { state, txs } = execute_load::build(args.tx, args.accounts as usize, args.txs as usize)?;
    let env = env(&txs);
    let mut times = Vec::new();
    for _ in 0..args.rounds {
        let started = Instant::now();
        let run = executor::execute(&state, &env, &txs)?;
        times.push(started.elapsed().as_secs_f64() * 1e6 / f64::from(args.txs));
        ensure!(run.receipts.iter().filter(|receipt| receipt.success).count() == txs.len(), "not all succeeded");
    }
    times.sort_by(f64::total_cmp);
    Ok(vec![Line { executor: "serial".into(), best_us_per_tx: times[0], median_us_per_tx: times[times.len() / 2] }])
}

/// A block without the protocol's own work that has room for all of `txs`.
fn env(txs: &[crate::ledger::tx::VerifiedTx]) -> BlockEnv {
    BlockEnv {
        chain_id: execute_load::CHAIN,
        height: 1,
        time_ms: 1_000,
        beacon: B256::repeat_byte(1),
        proposer: Address::repeat_byte(0xbb),
        round: 0,
        parent_hash: B256::repeat_byte(2),
        base_fee: INITIAL_BASE_FEE,
        gas_limit: txs.iter().map(|tx| tx.gas_limit()).sum(),
        params: Params::dev(),
        rules: Rules { protocol: false, ..Rules::CESS },
    }
}
