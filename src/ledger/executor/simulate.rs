//! Calls that leave no trace: what `eth_call` and gas estimates run.

use super::{
    BlockEnv, ExecError,
    call::Refusal,
    machine::{BlockEvm, Machine},
    session::outcome,
};
use crate::{
    ledger::{
        modules,
        state::{StateError, StateView},
    },
    types::{Address, U256},
};
use alloy_primitives::{Bytes, Log, TxKind};
use revm::{
    context::TxEnv,
    context_interface::{
        ContextTr, JournalTr, Transaction,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, HaltReason},
    },
    handler::Handler,
    interpreter::InitialAndFloorGas,
};

/// What is to be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls.
    pub from: Address,
    /// Who is called; `None` runs `data` as init code.
    pub to: Option<Address>,
    /// Value sent along.
    pub value: U256,
    /// Call data.
    pub data: Bytes,
    /// Gas it may use, at most the block's.
    pub gas: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallOutcome {
    /// With an answer.
    Success { output: Bytes, gas_used: u64, logs: Vec<Log> },
    /// With a refusal.
    Revert { output: Bytes, gas_used: u64 },
    /// With all its gas used up.
    Halt { reason: String, gas_used: u64 },
}

impl CallOutcome {
    /// Gas it used.
    pub fn gas_used(&self) -> u64 {
        match self {
            Self::Success { gas_used, .. } | Self::Revert { gas_used, .. } | Self::Halt { gas_used, .. } => *gas_used,
        }
    }
}

/// Why a call did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It breaks a rule every transaction must keep, such as enough gas for its call data.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Runs a call on `view` in the environment of `env`, free of charge and without checking nonce or sender code.
/// The base fee it sees is zero.
pub fn call(view: &dyn StateView, env: &BlockEnv, request: &CallRequest) -> Result<CallOutcome, CallError> {
    let mut machine = Machine::new(view, env, 0, modules::dispatch);
    let tx = TxEnv {
        caller: request.from,
        gas_limit: request.gas.min(env.gas_limit),
        kind: request.to.map_or(TxKind::Create, TxKind::Call),
        value: request.value,
        data: request.data.clone(),
        chain_id: Some(env.chain_id),
        ..Default::default()
    };
    let result = machine.simulate(tx, &mut FreeOfCharge::default())?;
    let result = result.map_err(|refusal| CallError::Refused(Refusal::Other(refusal.to_string())))?;
    Ok(outcome(result))
}

/// Ethereum's handler without the checks of nonce, funds and sender code: anyone may ask what would happen.
struct FreeOfCharge<'a>(std::marker::PhantomData<fn(&'a ())>);

impl Default for FreeOfCharge<'_> {
    fn default() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'a> Handler for FreeOfCharge<'a> {
    type Evm = BlockEvm<'a>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let (caller, is_call) = (evm.ctx.tx().caller(), evm.ctx.tx().kind().is_call());
        let mut account = evm.ctx.journal_mut().load_account_with_code_mut(caller)?.data;
        if is_call {
            account.bump_nonce();
        }
        Ok(())
    }
}
