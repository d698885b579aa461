//! Runs a native batch: its calls one after the other in one transaction, all or none.
//!
//! Owns the deviation from Ethereum's handler this takes. Must not know envelopes or receipts. Invariants: the sender is the
//! caller of every call; each call has all the gas the ones before left; when one fails nothing of any remains but nonce and fee,
//! and the revert data names it ([`CallFailed`]).

use super::{
    machine::{BlockEvm, Ctx},
    reward::reward,
};
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
    Inspector,
    context_interface::{
        ContextTr, JournalTr, LocalContextTr,
        journaled_state::JournalCheckpoint,
        result::{EVMError, HaltReason, InvalidTransaction},
    },
    handler::{EvmTr, FrameResult, Handler},
    inspector::InspectorHandler,
    interpreter::{
        CallInput, CallInputs, CallOutcome, CallScheme, CallValue, Gas, GasTracker, InitialAndFloorGas,
        InstructionResult, InterpreterResult, interpreter::EthInterpreter, interpreter_action::FrameInit,
    },
};
use std::marker::PhantomData;

/// Ethereum's handler with several calls where it has one.
pub(super) struct Batch<'c, 'a, I = ()> {
    calls: &'c [Call],
    evm: PhantomData<fn(&'a (), I)>,
}

type Ended<T> = Result<T, EVMError<StateError>>;
/// How a call's frames run: alone, or watched.
type RunFrames<'c, 'a, I> = fn(&mut Batch<'c, 'a, I>, &mut BlockEvm<'a, I>, FrameInit) -> Ended<FrameResult>;

/// A call that failed: what it answered.
struct Failure {
    index: usize,
    reason: Bytes,
}

impl<'c, 'a, I> Batch<'c, 'a, I> {
    /// Runs these calls.
    pub fn new(calls: &'c [Call]) -> Self {
        Self { calls, evm: PhantomData }
    }

    /// All calls, or the state before them and the first failure.
    fn run_calls(
        &mut self,
        evm: &mut BlockEvm<'a, I>,
        gas: &mut GasTracker,
        frames: RunFrames<'c, 'a, I>,
    ) -> Ended<FrameResult> {
        let before = evm.ctx.journal_mut().checkpoint();
        let calls = self.calls;
        for (index, call) in calls.iter().enumerate() {
            let Err(reason) = self.run_call(evm, (index, call), gas, frames)? else { continue };
            evm.ctx.journal_mut().checkpoint_revert(before);
            // What the calls before would have got back is not given for work that was undone.
            gas.set_refunded(0);
            return Ok(Failure { index, reason }.result(gas));
        }
        evm.ctx.journal_mut().checkpoint_commit();
        Ok(result(InstructionResult::Stop, Bytes::new(), gas))
    }

    /// One call; the inner error is why it failed.
    fn run_call(
        &mut self,
        evm: &mut BlockEvm<'a, I>,
        (index, call): (usize, &Call),
        gas: &mut GasTracker,
        frames: RunFrames<'c, 'a, I>,
    ) -> Ended<Result<(), Bytes>> {
        if index > 0 && !pays_for_account(evm, call, gas)? {
            return Ok(Err(told("out of gas for the account it creates")));
        }
        let tx = &mut evm.ctx.tx;
        (tx.kind, tx.value, tx.data) = (TxKind::Call(call.to), call.value, call.data.clone());
        let Some(first) = self.first_frame_input(evm, gas)? else {
            return Ok(Err(told("out of gas")));
        };
        let mut ended = frames(self, evm, first)?;
        self.last_frame_result(evm, &mut ended, gas)?;
        // The next call starts with memory and stack as a transaction's first.
        evm.ctx.local_mut().clear();
        evm.frame_stack().clear();
        let ended = ended.interpreter_result();
        Ok(match ended.result {
            kind if kind.is_ok() => Ok(()),
            InstructionResult::Revert => Err(ended.output.clone()),
            halt => Err(told(&format!("{halt:?}"))),
        })
    }
}

impl Failure {
    /// The answer of the whole batch.
    fn result(self, gas: &GasTracker) -> FrameResult {
        let error = CallFailed { index: U256::from(self.index), reason: self.reason };
        result(InstructionResult::Revert, error.abi_encode().into(), gas)
    }
}

fn result(kind: InstructionResult, output: Bytes, gas: &GasTracker) -> FrameResult {
    let mut result = InterpreterResult::new(kind, output, Gas::new(0));
    *result.gas.tracker_mut() = *gas;
    FrameResult::Call(CallOutcome::new(result, 0..0))
}

impl<'a, I> Handler for Batch<'_, 'a, I> {
    type Evm = BlockEvm<'a, I>;
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
        _checkpoint: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, Self::Error> {
        // Nothing was done since the checkpoint that the caller opened: only authorizations would be, and there are none.
        evm.ctx.journal_mut().checkpoint_commit();
        self.run_calls(evm, gas, Self::run_exec_loop).map(Some)
    }

    fn reward_beneficiary(&self, evm: &mut Self::Evm, ended: &mut FrameResult) -> Result<(), Self::Error> {
        reward(evm, ended.gas())
    }
}

impl<'a, I: Inspector<Ctx<'a>, EthInterpreter>> InspectorHandler for Batch<'_, 'a, I> {
    type IT = EthInterpreter;

    /// Who watches sees one call of the sender to itself that makes the batch's calls: a trace has one root.
    fn inspect_execution(
        &mut self,
        evm: &mut Self::Evm,
        _checkpoint: JournalCheckpoint,
        gas: &mut GasTracker,
    ) -> Result<Option<FrameResult>, Self::Error> {
        evm.ctx.journal_mut().checkpoint_commit();
        let (sender, value) = (evm.ctx.tx.caller, evm.ctx.tx.value);
        let mut root = CallInputs {
            input: CallInput::Bytes(Bytes::new()),
            return_memory_offset: 0..0,
            gas_limit: gas.remaining(),
            reservoir: 0,
            bytecode_address: sender,
            known_bytecode: Default::default(),
            target_address: sender,
            caller: sender,
            value: CallValue::Transfer(value),
            scheme: CallScheme::Call,
            is_static: false,
            charged_new_account_state_gas: false,
        };
        // A watcher may answer in place of a call; the batch is no call that could be answered.
        let _ = evm.inspector.call(&mut evm.ctx, &mut root);
        let mut ended = self.run_calls(evm, gas, Self::inspect_run_exec_loop)?;
        if let FrameResult::Call(outcome) = &mut ended {
            evm.inspector.call_end(&mut evm.ctx, &root, outcome);
        }
        Ok(Some(ended))
    }
}

/// Charges a call after the first for bringing an account into being.
fn pays_for_account<I>(evm: &mut BlockEvm<'_, I>, call: &Call, gas: &mut GasTracker) -> Ended<bool> {
    if call.value.is_zero() || !evm.ctx.journal_mut().load_account(call.to)?.data.is_empty() {
        return Ok(true);
    }
    let paid = gas.record_regular_cost(BatchGas::new_account());
    if !paid {
        gas.spend_all();
    }
    Ok(paid)
}

/// A sentence as revert data.
fn told(reason: &str) -> Bytes {
    Revert::from(reason).abi_encode().into()
}
