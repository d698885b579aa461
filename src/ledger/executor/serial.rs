//! The executor that runs one transaction after the other: the oracle of the others, and the fastest on one or two cores.

use super::{
    BlockEnv, Dispatch, ExecError, Execution, Executor,
    code_cache::CodeCache,
    settlement::{Setting, Settlement},
};
use crate::ledger::{modules, state::StateView, tx::VerifiedTx};
use std::borrow::Borrow;

/// Runs blocks serially and remembers the code it analysed.
pub struct Serial {
    codes: CodeCache,
    dispatch: Dispatch,
}

impl Default for Serial {
    fn default() -> Self {
        Self::with_modules(modules::dispatch)
    }
}

impl Serial {
    pub(super) fn with_modules(dispatch: Dispatch) -> Self {
        Self { codes: CodeCache::default(), dispatch }
    }
}

impl Executor for Serial {
    fn run(&self, view: &(dyn StateView + Sync), env: &BlockEnv, txs: &[&VerifiedTx]) -> Result<Execution, ExecError> {
        run(view, Setting { env, dispatch: self.dispatch, codes: Some(&self.codes) }, txs)
    }
}

/// Runs `txs` one after the other.
pub(super) fn run<'a, T: Borrow<VerifiedTx>>(
    view: &'a dyn StateView,
    setting: Setting<'a>,
    txs: &[T],
) -> Result<Execution, ExecError> {
    let mut block = Settlement::begin(view, setting)?;
    for (index, tx) in txs.iter().enumerate() {
        block.run(index, tx.borrow())?;
    }
    block.finish()
}
