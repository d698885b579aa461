//! Runs a native batch: its calls one after the other in one transaction, all or none.
//!
//! Owns the deviation from Ethereum's handler this takes. Must not know envelopes or receipts. Invariants: the sender is the
//! caller of every call; each call has all the gas the ones before left; when one fails nothing of any remains but nonce and fee,
//! and the revert data names it ([`CallFailed`]).

use super::machine::BlockEvm;
use crate::{
    ledger::{
        native::{BatchGas, Call, CallFailed},
        state::StateError,
    },
    types::U256,
};
use alloy_primitives::{Bytes, TxKind};
use alloy_sol_types::{Revert, SolError};
use revm::{
    context_interface::{
        Cfg, ContextTr, JournalTr, LocalContextTr,
        journaled_state::JournalCheckpoint,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    handler::{EvmTr, FrameResult, Handler},
    interpreter::{CallOutcome, Gas, GasTracker, InitialAndFloorGas, InstructionResult, InterpreterResult},
};

/// Ethereum's handler with several calls where it has one.
pub(super) struct Batch<'c, 'a> {
    calls: &'c [Call],
    evm: std::marker::PhantomData<fn(&'a ())>,
}

impl<'c> Batch<'c, '_> {
    /// Runs these calls.
    pub fn new(calls: &'c [Call]) -> Self {
        Self { calls, evm: std::marker::PhantomData }
    }
}

/// A call that failed: what it answered and how.
struct Failure {
    index: usize,
    reason: Bytes,
}

impl Failure {
    /// The answer of the whole batch.
    fn result(self, gas: &GasTracker) -> FrameResult {
        let error = CallFailed { index: U256::from(self.index), reason: self.reason };
        let output = error.abi_encode().into();
        let mut result = InterpreterResult::new(InstructionResult::Revert, output, Gas::new(0));
        *result.gas.tracker_mut() = *gas;
        FrameResult::Call(CallOutcome::new(result, 0..0))
    }
}

impl<'a> Handler for Batch<'_, 'a> {
    type Evm = BlockEvm<'a>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn validate_initial_tx_gas(&self, evm: &mut Self::Evm) -> Result<InitialAndFloorGas, Self::Error> {
        let (gas, gas_limit) = (BatchGas::of(self.calls), evm.ctx.tx.gas_limit);
        let required = gas.initial.max(gas.floor);
        if required > gas_limit {
            return Err(InvalidTransaction::CallGasCostMoreThanGasLimit { gas_limit, initial_gas: required }.into());
        }
        Ok(InitialAndFloorGas::new(gas.initial, gas.floor))
    }

    fn execution(
        &mut self,
        evm: &mut Self::Evm,
        checkpoint: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, Self::Error> {
        let mut last = None;
        for (index, call) in self.calls.iter().enumerate() {
            match self.run_call(evm, index, call, gas)? {
                Ok(result) => last = Some(result),
                Err(failure) => {
                    evm.ctx.journal_mut().checkpoint_revert(checkpoint);
                    // What the calls before would have got back is not given for work that was undone.
                    gas.set_refunded(0);
                    return Ok(Some(failure.result(gas)));
                }
            }
        }
        evm.ctx.journal_mut().checkpoint_commit();
        Ok(last)
    }
}

impl<'a> Batch<'_, 'a> {
    fn run_call(
        &mut self,
        evm: &mut BlockEvm<'a>,
        index: usize,
        call: &Call,
        gas: &mut GasTracker,
    ) -> Result<Result<FrameResult, Failure>, EVMError<StateError>> {
        let failed = |reason: Bytes| Ok(Err(Failure { index, reason }));
        if index > 0 && !pays_for_account(evm, call, gas)? {
            return failed(told("out of gas for the account it creates"));
        }
        let tx = &mut evm.ctx.tx;
        (tx.kind, tx.value, tx.data) = (TxKind::Call(call.to), call.value, call.data.clone());
        let Some(first) = self.first_frame_input(evm, gas)? else {
            return failed(told("out of gas"));
        };
        let mut result = self.run_exec_loop(evm, first)?;
        self.last_frame_result(evm, &mut result, gas)?;
        // The next call starts with memory and stack as a transaction's first.
        evm.ctx.local_mut().clear();
        evm.frame_stack().clear();
        let ended = result.interpreter_result();
        match ended.result {
            kind if kind.is_ok() => Ok(Ok(result)),
            InstructionResult::Revert => failed(ended.output.clone()),
            halt => failed(told(&format!("{halt:?}"))),
        }
    }
}

/// Charges a call after the first for bringing an account into being, as the CALL instruction would.
fn pays_for_account(evm: &mut BlockEvm<'_>, call: &Call, gas: &mut GasTracker) -> Result<bool, EVMError<StateError>> {
    if call.value.is_zero() || !evm.ctx.journal_mut().load_account(call.to)?.data.is_empty() {
        return Ok(true);
    }
    let cost = evm.ctx.cfg().gas_params().new_account_cost(true, true);
    let paid = gas.record_regular_cost(cost);
    if !paid {
        gas.spend_all();
    }
    Ok(paid)
}

/// A sentence as revert data.
fn told(reason: &str) -> Bytes {
    Revert::from(reason).abi_encode().into()
}
