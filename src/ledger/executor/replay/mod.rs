//! Replay: with a block's access list at hand, its transactions run side by side, each on the state the list tells of.
//!
//! Owns this way of running blocks. Must not know where lists come from. Invariants: the outcome is kept only if the list written
//! on the way is the one that was given: then, index after index, each transaction ran on the state that those before it left;
//! which transactions of the block are in the list is guessed first, and a transaction that was run at another index than its own
//! is run again.

mod difference;
mod states;

use super::{
    AccessList, BlockEnv, Dispatch, ExecError, Execution, Executor,
    code_cache::CodeCache,
    settlement::{Setting, Settlement, Tried},
};
use crate::ledger::{modules, state::StateView, tx::VerifiedTx};
use difference::first_difference;
use rayon::prelude::*;
use states::States;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Transactions that one thread runs in a row with one EVM.
const ROW: usize = 32;

/// Runs one block by its list, on the threads of the pool it is called from.
pub struct Replay {
    list: AccessList,
    codes: CodeCache,
    dispatch: Dispatch,
}

impl Replay {
    /// By `list`.
    pub fn new(list: AccessList) -> Self {
        Self::with_modules(list, modules::dispatch)
    }

    pub(super) fn with_modules(list: AccessList, dispatch: Dispatch) -> Self {
        Self { list, codes: CodeCache::default(), dispatch }
    }
}

impl Executor for Replay {
    fn run(&self, view: &(dyn StateView + Sync), env: &BlockEnv, txs: &[&VerifiedTx]) -> Result<Execution, ExecError> {
        let setting = Setting { env, dispatch: self.dispatch, codes: Some(&self.codes) };
        let mut block = Settlement::begin(view, setting)?;
        let states = States::new(view, &self.list)?;
        let placed = placed(&states, txs);
        let rows = placed.par_chunks(ROW).flat_map_iter(|row| run_row(&states, setting, row));
        let tried: Vec<Option<Tried>> = rows.collect();
        for (index, ((at, tx), tried)) in placed.into_iter().zip(tried).enumerate() {
            let tried = tried.filter(|_| at == next_index(&block));
            block.settle(index, tx, |machine| match tried {
                Some(tried) => Ok(tried),
                None => machine.attempt(tx),
            })?;
        }
        let run = block.finish()?;
        match first_difference(&self.list, &run.access_list) {
            None => Ok(run),
            Some(difference) => Err(ExecError::AccessList { height: env.height, difference }),
        }
    }
}

/// The list's index of the next transaction that runs.
fn next_index(block: &Settlement<'_>) -> u64 {
    1 + u64::try_from(block.ran()).expect("a block has fewer than 2^64 transactions")
}

/// Each transaction with the index at which it should run: the one after those that the list knows to have run before it.
fn placed<'t>(states: &States<'_>, txs: &[&'t VerifiedTx]) -> Vec<(u64, &'t VerifiedTx)> {
    let mut next = 1;
    let mut place = |tx: &&'t VerifiedTx| {
        let at = next;
        next += u64::from(states.uses_nonce(&tx.sender, tx.nonce, at));
        (at, *tx)
    };
    txs.iter().map(&mut place).collect()
}

/// Runs some transactions, each on the state before its index. One that fails for another reason than its own fault, or panics,
/// has no outcome here: either the list is wrong or the same happens when it is settled.
fn run_row(states: &States<'_>, setting: Setting<'_>, row: &[(u64, &VerifiedTx)]) -> Vec<Option<Tried>> {
    let state = states.before(0);
    let mut machine = setting.machine(&state);
    let mut run = |(at, tx): &(u64, &VerifiedTx)| {
        state.seek(*at);
        machine.forget_reads();
        let ended = catch_unwind(AssertUnwindSafe(|| machine.attempt(tx)));
        if ended.is_err() {
            machine = setting.machine(&state);
        }
        ended.ok()?.ok()
    };
    row.iter().map(&mut run).collect()
}
