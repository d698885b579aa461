//! Running a transaction that nobody signed: a contract may be its sender.

use super::{
    machine::{BlockEvm, Ctx},
    reward::reward,
};
use crate::ledger::state::StateError;
use revm::{
    Inspector,
    context_interface::{
        ContextTr, JournalTr, Transaction,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, HaltReason},
    },
    handler::{
        FrameResult, Handler,
        pre_execution::{calculate_caller_fee, validate_account_nonce_and_code_with_components},
    },
    inspector::InspectorHandler,
    interpreter::{InitialAndFloorGas, interpreter::EthInterpreter},
};
use std::marker::PhantomData;

/// Ethereum's handler without EIP-3607, which forbids senders with code. Everything else is checked and charged.
pub(super) struct Unsigned<'a, I>(PhantomData<fn(&'a (), I)>);

impl<I> Default for Unsigned<'_, I> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'a, I> Handler for Unsigned<'a, I> {
    type Evm = BlockEvm<'a, I>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let (block, tx, cfg, journal, _, _) = evm.ctx.all_mut();
        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        let without_code = revm::state::AccountInfo { code: None, ..caller.account().info.clone() };
        validate_account_nonce_and_code_with_components(&without_code, tx, cfg)?;
        let left = calculate_caller_fee(*caller.balance(), tx, block, cfg)?;
        caller.set_balance(left);
        if tx.kind().is_call() {
            caller.bump_nonce();
        }
        Ok(())
    }

    fn reward_beneficiary(&self, evm: &mut Self::Evm, ended: &mut FrameResult) -> Result<(), Self::Error> {
        reward(evm, ended.gas())
    }
}

impl<'a, I: Inspector<Ctx<'a>, EthInterpreter>> InspectorHandler for Unsigned<'a, I> {
    type IT = EthInterpreter;
}
