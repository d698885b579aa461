//! The executor's core for chains that are not ours: transactions one by one, system contracts, credits out of nothing.
//!
//! Owns the seam only. Must not know block formats or rewards; `ledger/ethereum` does.

use super::{
    BlockEnv, ExecError, Receipt,
    machine::{Machine, Ran},
};
use crate::{
    ledger::{
        modules,
        state::{StateDelta, StateView},
        tx::VerifiedTx,
    },
    types::{Address, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY};
use revm::context_interface::result::InvalidTransaction;

/// An EVM in the middle of an Ethereum block.
pub struct EthereumMachine<'a> {
    machine: Machine<'a>,
}

impl<'a> EthereumMachine<'a> {
    /// At the start of a block.
    pub fn new(view: &'a dyn StateView, env: &'a BlockEnv) -> Self {
        Self { machine: Machine::new(view, env, env.base_fee, modules::dispatch) }
    }

    /// Runs a transaction. The inner error is its own fault and changes nothing.
    pub fn transact(
        &mut self,
        tx: &VerifiedTx,
        base_fee: u64,
        gas_before: u64,
    ) -> Result<Result<Receipt, InvalidTransaction>, ExecError> {
        let ran: Ran = self.machine.transact(tx)?;
        Ok(ran.map(|result| Receipt::new(tx, base_fee, gas_before, result)))
    }

    /// Calls a system contract as the protocol does; its answer is empty where the chain has no such contract.
    pub fn system_call(&mut self, contract: Address, data: Bytes) -> Result<Bytes, ExecError> {
        let deployed = self.machine.account(contract)?.is_some_and(|info| info.code_hash != KECCAK256_EMPTY);
        match deployed {
            true => self.machine.system_call(contract, data),
            false => Ok(Bytes::new()),
        }
    }

    /// Adds to a balance. An account that gets nothing is not created by it where EIP-161 is in force.
    pub fn credit(&mut self, account: Address, amount: U256) -> Result<(), ExecError> {
        self.machine.credit(account, amount)
    }

    /// Everything that changed until now.
    pub fn delta(&self) -> StateDelta {
        self.machine.delta()
    }

    /// Everything that changed.
    pub fn into_delta(self) -> StateDelta {
        self.machine.into_delta()
    }
}
