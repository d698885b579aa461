//! Read-only calls and gas estimates on the newest state, and calls with proofs on recent ones.
//!
//! Owns how often a call is tried and what its failure means. Must not know JSON. Invariant: every call is bounded by
//! [`CALL_GAS_MAX`].

use super::{full::FullChain, head::Head};
use crate::{
    ledger::{
        commitment::StateTrie,
        executor::{self, BlockEnv, CallOutcome, CallRequest},
        header::{ExecutedHeader, env_after},
        state::{AccountInfo, StateError, StateView},
        witness::{RecordingView, Witness},
    },
    types::{Address, B256, U256, params::BLOCK_GAS_LIMIT},
};
use alloy_primitives::Bytes;

/// Gas a call may use.
pub const CALL_GAS_MAX: u64 = BLOCK_GAS_LIMIT;
/// An estimate may exceed the least sufficient gas by one part in this many.
const ESTIMATE_TOLERANCE: u64 = 64;

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFault {
    /// The callee refused, with this data.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// It ran out of gas, or hit an invalid instruction.
    #[error("execution failed: {0}")]
    Halted(String),
    /// It cannot be executed at all, by the rules or because the node failed.
    #[error("{0}")]
    Invalid(String),
}

impl FullChain {
    /// Runs a call on the newest state as if in the next block.
    pub fn call(&self, request: &CallRequest) -> Result<Bytes, CallFault> {
        self.read(|view, head| answer(run(view, &self.next_env(head), request, CALL_GAS_MAX.min(request.gas))?))
    }

    /// The gas a transaction needs, found by running it.
    pub fn estimate(&self, request: &CallRequest) -> Result<u64, CallFault> {
        self.read(|view, head| estimate(view, &self.next_env(head), request))
    }

    /// Runs a call on the state after `header` and proves everything it reads there; `None` if that state is not kept any more.
    pub fn prove(&self, request: &CallRequest, header: &ExecutedHeader) -> Result<Option<Witness>, CallFault> {
        let Some(trie) = self.state_at(header.number) else { return Ok(None) };
        let view = PastView { chain: self, trie: &trie };
        let recording = RecordingView::new(&view);
        let env = env_after(header, self.spec().chain_id, &self.spec().params);
        // How it ends does not matter: whoever asked runs it again and sees.
        run(&recording, &env, request, CALL_GAS_MAX)?;
        let witness = Witness::gather(&recording.into_reads(), &view, &trie);
        witness.map(Some).map_err(|e| CallFault::Invalid(e.to_string()))
    }

    fn next_env(&self, head: &Head) -> BlockEnv {
        let (height, time_ms) = (head.height() + 1, head.executed.time_ms + 1);
        self.env(head, height, time_ms, head.executed.beacon, Address::ZERO)
    }
}

/// The state of a past block: words out of its trie, code out of the newest state, which forgets none.
struct PastView<'a> {
    chain: &'a FullChain,
    trie: &'a StateTrie,
}

impl StateView for PastView<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.trie.account(address).map(|account| account.info))
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        Ok(self.trie.slot(address, slot))
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.chain.read(|view, _| view.code(hash))
    }
}

fn run(view: &dyn StateView, env: &BlockEnv, request: &CallRequest, gas: u64) -> Result<CallOutcome, CallFault> {
    check_funds(view, request)?;
    let request = CallRequest { gas, ..request.clone() };
    executor::call(view, env, &request).map_err(|e| CallFault::Invalid(e.to_string()))
}

/// Refuses in the words wallets look for.
fn check_funds(view: &dyn StateView, request: &CallRequest) -> Result<(), CallFault> {
    let failed = |e: StateError| CallFault::Invalid(e.to_string());
    let balance = match request.value.is_zero() {
        true => return Ok(()),
        false => view.account(&request.from).map_err(failed)?.map_or(U256::ZERO, |info| info.balance),
    };
    if request.value <= balance {
        return Ok(());
    }
    let (from, value) = (request.from, request.value);
    let text =
        format!("insufficient funds for gas * price + value: address {from} has {balance}, the call sends {value}");
    Err(CallFault::Invalid(text))
}

fn answer(outcome: CallOutcome) -> Result<Bytes, CallFault> {
    match outcome {
        CallOutcome::Success { output, .. } => Ok(output),
        CallOutcome::Revert { output, .. } => Err(CallFault::Reverted(output)),
        CallOutcome::Halt { reason, .. } => Err(CallFault::Halted(reason)),
    }
}

/// Runs once with everything, tries exactly what that used, and searches between the two if it does not suffice.
fn estimate(view: &dyn StateView, env: &BlockEnv, request: &CallRequest) -> Result<u64, CallFault> {
    let mut enough = CALL_GAS_MAX.min(request.gas);
    let outcome = run(view, env, request, enough)?;
    let used = outcome.gas_used();
    answer(outcome)?;
    let suffices = |gas: u64| matches!(run(view, env, request, gas), Ok(CallOutcome::Success { .. }));
    if suffices(used) {
        return Ok(used);
    }
    let mut short = used;
    while enough - short > enough / ESTIMATE_TOLERANCE + 1 {
        // What a call needs is mostly a little more than it uses: the first guesses stay close.
        let guess = (short + (enough - short) / 2).min(short.saturating_add(short / 4 + 1));
        match suffices(guess) {
            true => enough = guess,
            false => short = guess,
        }
    }
    Ok(enough)
}
