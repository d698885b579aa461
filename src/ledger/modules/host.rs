//! The port between protocol modules and whoever executes them: the EVM, genesis, tests.
//!
//! Owns [`ModuleHost`] and [`ModuleError`]. Must not know a module's rules. Invariants of an implementation:
//! - a module is dispatched only by a plain call or a static call to its address (delegate calls and call codes are refused), and
//!   the call's value has already been moved to the module's account;
//! - everything done through the host is undone when `dispatch` returns an error;
//! - `sload`, `sstore`, `emit`, `transfer`, `mint` and `burn` charge their own gas as the matching EVM operation would; [`ModuleHost::charge`] is
//!   for computation;
//! - `sstore`, `emit`, `transfer`, `mint` and `burn` fail with [`ModuleError::Static`] inside a static call.

use crate::types::{Address, ChainId, Height, Params, U256};
use alloy_primitives::{Bytes, LogData};
use alloy_sol_types::{Revert, SolError};

/// What a module may do to the world.
pub trait ModuleHost {
    /// Who calls.
    fn caller(&self) -> Address;
    /// Value sent along, already in the module's account.
    fn value(&self) -> U256;
    /// Whether nothing may be written.
    fn is_static(&self) -> bool;
    /// Height of the block being executed.
    fn height(&self) -> Height;
    /// Time of the block being executed, Unix milliseconds.
    fn time_ms(&self) -> u64;
    /// EIP-155 chain id.
    fn chain_id(&self) -> ChainId;
    /// The chain's numbers.
    fn params(&self) -> &Params;
    /// Charges gas for computation.
    fn charge(&mut self, gas: u64) -> Result<(), ModuleError>;
    /// Reads a slot of `module`.
    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError>;
    /// Writes a slot of `module`.
    fn sstore(&mut self, module: Address, slot: U256, value: U256) -> Result<(), ModuleError>;
    /// Emits a log as `module`.
    fn emit(&mut self, module: Address, log: LogData) -> Result<(), ModuleError>;
    /// Moves value between accounts without calling code.
    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError>;
    /// Brings value into being. The module keeps the count that the supply is checked against.
    fn mint(&mut self, to: Address, amount: U256) -> Result<(), ModuleError>;
    /// Destroys value. The module keeps the count that the supply is checked against.
    fn burn(&mut self, from: Address, amount: U256) -> Result<(), ModuleError>;
}

/// How a call to a module ends badly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModuleError {
    /// The module refused; the bytes are an ABI-encoded error of its interface, or `Error(string)`.
    #[error("the module reverted with {0}")]
    Revert(Bytes),
    /// The caller's gas is used up.
    #[error("the call is out of gas")]
    OutOfGas,
    /// A write inside a static call.
    #[error("a write was attempted inside a static call")]
    Static,
    /// The state or the node is broken; the block cannot be executed.
    #[error("module state is broken: {0}")]
    Fatal(String),
}

impl ModuleError {
    /// Refusal with a custom error of the interface.
    pub fn revert<E: SolError>(error: E) -> Self {
        Self::Revert(error.abi_encode().into())
    }

    /// Refusal with a sentence, as Solidity's `require` gives.
    pub fn reason(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self::Revert(Revert::from(text).abi_encode().into())
    }
}
