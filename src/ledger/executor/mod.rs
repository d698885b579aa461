//! The executors: they run a block's transactions on revm and report what changed.
//!
//! [`Serial`] runs one after the other and says what is right; [`BlockStm`] runs them ahead of their turn and settles them in
//! order; [`Replay`] runs them side by side on what the block's access list says of the state between them.
//!
//! Owns the rules of a block: fees, gas accounting, what happens to transactions that cannot run, the hand-over to the protocol
//! modules. Must not know where state is kept, how blocks are ordered or who asks. Invariants: the outcome is a function of view,
//! environment and transactions; an invalid transaction is skipped and named, it never fails the block; the sum of all balances
//! falls by base fee × gas used and by what the staking module burns, rises by what it mints, and changes by nothing else.

mod access_list;
mod batch;
mod block_state;
mod call;
mod choice;
mod code_cache;
mod deploy;
mod ethereum;
mod fees;
mod machine;
mod modules;
mod overlay;
mod receipt;
mod replay;
mod reward;
mod rules;
mod serial;
mod session;
mod settlement;
mod simulate;
mod stm;
mod trace;
mod transfers;
mod unsigned;

use super::{
    modules::ModuleError,
    state::{StateDelta, StateError, StateView},
    tx::VerifiedTx,
};
use crate::types::{Address, B256, ChainId, Height, Params, U256};
use alloy_primitives::Bloom;
use settlement::Setting;
use std::borrow::Borrow;

pub use access_list::{AccessList, AccessListError};
pub use call::{Call, Checks, Refusal};
pub use choice::chosen;
pub use deploy::{DeployError, deploy};
pub use ethereum::EthereumMachine;
pub use fees::{INITIAL_BASE_FEE, next_base_fee};
pub use overlay::Overlay;
pub use receipt::Receipt;
pub use replay::Replay;
pub use rules::{BlobRules, Rules};
pub use serial::Serial;
pub use session::{CallRun, MovedPrecompiles, Session, Subject};
pub use simulate::{CallError, CallOutcome, CallRequest, call};
pub use stm::BlockStm;
pub use trace::{ParityRun, TraceError};

/// What a block's transactions can see of their block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockEnv {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Height of the block.
    pub height: Height,
    /// Its time, Unix milliseconds. Contracts see seconds.
    pub time_ms: u64,
    /// R_height, seen by contracts as `prevrandao`.
    pub beacon: B256,
    /// Who gets the tips.
    pub proposer: Address,
    /// The round the block was first proposed in.
    pub round: u32,
    /// Executed hash of the block before.
    pub parent_hash: B256,
    /// Price of a unit of gas that is burnt.
    pub base_fee: u64,
    /// Gas the block may use.
    pub gas_limit: u64,
    /// The chain's numbers.
    pub params: Params,
    /// By which it runs.
    pub rules: Rules,
}

/// Why a block could not be executed. Never a transaction's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// State could not be read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A protocol module found its own state broken, or could not read it.
    #[error("block {height} cannot be executed: {reason}")]
    Fatal { height: Height, reason: String },
    /// The access list that the block was to be replayed by is not what it does.
    #[error("the access list of block {height} is not what its execution gives: {difference}")]
    AccessList { height: Height, difference: String },
}

/// Why a transaction of the block was left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SkipReason {
    /// Not enough gas left in the block.
    #[error("it may use {gas_limit} gas, the block has {left} left")]
    BlockFull { gas_limit: u64, left: u64 },
    /// Already used.
    #[error("its nonce {nonce} is below the account's {expected}")]
    NonceTooLow { nonce: u64, expected: u64 },
    /// An earlier one is missing.
    #[error("its nonce {nonce} is above the account's {expected}")]
    NonceTooHigh { nonce: u64, expected: u64 },
    /// The sender cannot pay.
    #[error("its sender has {balance}, it may cost {cost}")]
    Funds { balance: U256, cost: U256 },
    /// It offers less than the base fee.
    #[error("it offers {max_fee} a unit of gas, the base fee is {base_fee}")]
    FeeTooLow { max_fee: u128, base_fee: u64 },
    /// Anything else revm refuses.
    #[error("{0}")]
    Other(String),
}

/// A transaction of the block that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the block.
    pub index: usize,
    /// Its hash.
    pub hash: B256,
    /// Why.
    pub reason: SkipReason,
}

/// Outcome of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Execution {
    /// One receipt for each transaction that ran, in order.
    pub receipts: Vec<Receipt>,
    /// Their places in the block: `receipts[i]` belongs to transaction `included[i]`. Only these are in the executed block.
    pub included: Vec<usize>,
    /// Transactions that could not run.
    pub skipped: Vec<Skipped>,
    /// Everything that changed.
    pub delta: StateDelta,
    /// Gas used by all.
    pub gas_used: u64,
    /// Filter over all logs.
    pub bloom: Bloom,
    /// Everything that was accessed (EIP-7928).
    pub access_list: AccessList,
}

/// Runs blocks. Whoever does it, the outcome is the one [`Serial`] gives.
pub trait Executor: Send + Sync {
    /// Runs `txs` in order on the state of the block before.
    fn run(&self, view: &(dyn StateView + Sync), env: &BlockEnv, txs: &[&VerifiedTx]) -> Result<Execution, ExecError>;
}

impl dyn Executor + '_ {
    /// Runs `txs`, however they are held, in order on the state of the block before.
    pub fn execute<T: Borrow<VerifiedTx>>(
        &self,
        view: &(dyn StateView + Sync),
        env: &BlockEnv,
        txs: &[T],
    ) -> Result<Execution, ExecError> {
        let txs: Vec<&VerifiedTx> = txs.iter().map(Borrow::borrow).collect();
        self.run(view, env, &txs)
    }
}

/// Runs `txs` in order on the state of the block before, on this thread, with nothing kept from or for other blocks.
pub fn execute<T: Borrow<VerifiedTx>>(view: &dyn StateView, env: &BlockEnv, txs: &[T]) -> Result<Execution, ExecError> {
    execute_with(view, env, txs, super::modules::dispatch)
}

/// How a call reaches a module: [`super::modules::dispatch`], or a stand-in in tests.
type Dispatch = fn(Address, &[u8], &mut dyn super::modules::ModuleHost) -> Result<alloy_primitives::Bytes, ModuleError>;

fn execute_with<T: Borrow<VerifiedTx>>(
    view: &dyn StateView,
    env: &BlockEnv,
    txs: &[T],
    dispatch: Dispatch,
) -> Result<Execution, ExecError> {
    serial::run(view, Setting { env, dispatch, codes: None }, txs)
}

#[cfg(test)]
mod tests;
