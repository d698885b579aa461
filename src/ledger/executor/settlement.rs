//! A block's outcome while it is put together, transaction by transaction, in order.
//!
//! Owns what only the order decides: gas left, skipped transactions, cumulative gas, the tip that is still owed, the index of the
//! access list. Must not know where a transaction was run: here, or ahead of its turn somewhere else. Invariant: what is settled
//! is the outcome of running everything before it in order, provided that each attempt is what running the transaction on the
//! state settled so far would give.

use super::{
    BlockEnv, Dispatch, ExecError, Execution, Receipt, SkipReason, Skipped,
    code_cache::CodeCache,
    machine::{Attempt, Machine},
};
use crate::ledger::{state::StateView, tx::VerifiedTx};
use revm::context_interface::result::InvalidTransaction;

/// What a block is run with.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub env: &'a BlockEnv,
    pub dispatch: Dispatch,
    /// Code analysed for blocks before, if that is kept.
    pub codes: Option<&'a CodeCache>,
}

impl<'a> Setting<'a> {
    /// An EVM for transactions of the block on `view`.
    pub fn machine(&self, view: &'a dyn StateView) -> Machine<'a> {
        let mut machine = Machine::new(view, self.env, self.env.base_fee, self.dispatch);
        if let Some(codes) = self.codes {
            machine.share_code(codes);
        }
        machine
    }
}

/// A transaction that ran, or why it could not.
pub(super) type Tried = Result<Attempt, InvalidTransaction>;

/// The block so far.
pub(super) struct Settlement<'a> {
    machine: Machine<'a>,
    env: &'a BlockEnv,
    run: Execution,
}

impl<'a> Settlement<'a> {
    /// The block before its first transaction.
    pub fn begin(view: &'a dyn StateView, setting: Setting<'a>) -> Result<Self, ExecError> {
        let mut machine = setting.machine(view);
        machine.record();
        machine.begin_block(setting.env)?;
        machine.next_index();
        Ok(Self { machine, env: setting.env, run: Execution::default() })
    }

    /// The state so far.
    pub fn machine(&self) -> &Machine<'a> {
        &self.machine
    }

    /// Transactions that ran so far.
    pub fn ran(&self) -> usize {
        self.run.included.len()
    }

    /// Runs the next transaction here.
    pub fn run(&mut self, index: usize, tx: &VerifiedTx) -> Result<(), ExecError> {
        self.settle(index, tx, |machine| machine.attempt(tx)).map(drop)
    }

    /// Settles the next transaction as `attempt` says it went, unless the block has no room for it; tells whether it ran.
    pub fn settle(
        &mut self,
        index: usize,
        tx: &VerifiedTx,
        attempt: impl FnOnce(&mut Machine<'a>) -> Result<Tried, ExecError>,
    ) -> Result<bool, ExecError> {
        let left = self.env.gas_limit - self.run.gas_used;
        if tx.gas_limit() > left {
            self.skip(index, tx, SkipReason::BlockFull { gas_limit: tx.gas_limit(), left });
            return Ok(false);
        }
        match attempt(&mut self.machine)? {
            Ok(attempt) => self.include(index, tx, attempt)?,
            Err(refusal) => {
                self.skip(index, tx, skip_reason(refusal, tx, self.env));
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn include(&mut self, index: usize, tx: &VerifiedTx, attempt: Attempt) -> Result<(), ExecError> {
        let result = self.machine.keep_attempt(attempt)?;
        let receipt = Receipt::new(tx, self.env.base_fee, self.run.gas_used, result);
        self.run.gas_used = receipt.cumulative_gas_used;
        receipt.logs.iter().for_each(|log| self.run.bloom.accrue_log(log));
        self.run.receipts.push(receipt);
        self.run.included.push(index);
        self.machine.next_index();
        Ok(())
    }

    fn skip(&mut self, index: usize, tx: &VerifiedTx, reason: SkipReason) {
        self.run.skipped.push(Skipped { index, hash: tx.hash, reason });
    }

    /// The block after its last transaction.
    pub fn finish(self) -> Result<Execution, ExecError> {
        let Self { mut machine, env, mut run } = self;
        assert!(run.gas_used <= env.gas_limit, "block {} used {} gas, over its limit", env.height, run.gas_used);
        machine.end_block(env)?;
        run.access_list = machine.take_access_list();
        run.delta = machine.into_delta();
        Ok(run)
    }
}

fn skip_reason(refusal: InvalidTransaction, tx: &VerifiedTx, env: &BlockEnv) -> SkipReason {
    match refusal {
        InvalidTransaction::NonceTooLow { tx, state } => SkipReason::NonceTooLow { nonce: tx, expected: state },
        InvalidTransaction::NonceTooHigh { tx, state } => SkipReason::NonceTooHigh { nonce: tx, expected: state },
        InvalidTransaction::LackOfFundForMaxFee { fee, balance } => SkipReason::Funds { balance: *balance, cost: *fee },
        InvalidTransaction::GasPriceLessThanBasefee => {
            SkipReason::FeeTooLow { max_fee: tx.max_fee(), base_fee: env.base_fee }
        }
        other => SkipReason::Other(other.to_string()),
    }
}
