//! Read-only calls and gas estimates on the newest state, and calls with proofs on recent ones.
//!
//! Owns how often a call is tried and what its failure means. Must not know JSON. Invariant: every call is bounded by
//! [`CALL_GAS_MAX`].

use super::{
    estimate::{NoEstimate, estimate},
    full::FullChain,
    head::Head,
};
use crate::{
    ledger::{
        commitment::StateTrie,
        executor::{self, BlockEnv, Call, CallOutcome, CallRequest, Session},
        header::{ExecutedHeader, env_after},
        state::{AccountInfo, StateError, StateView},
        witness::{RecordingView, Witness},
    },
    types::{Address, B256, U256, params::BLOCK_GAS_LIMIT},
};
use alloy_primitives::Bytes;

/// Gas a call may use.
pub const CALL_GAS_MAX: u64 = BLOCK_GAS_LIMIT;

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

impl From<NoEstimate> for CallFault {
    fn from(reason: NoEstimate) -> Self {
        match reason {
            NoEstimate::Reverted(data) => Self::Reverted(data),
            NoEstimate::Broken(reason) => Self::Invalid(reason),
            failed => Self::Halted(failed.to_string()),
        }
    }
}

impl FullChain {
    /// Runs a call on the newest state as if in the next block.
    pub fn call(&self, request: &CallRequest) -> Result<Bytes, CallFault> {
        self.read(|view, head| answer(run(view, &self.next_env(head), request, CALL_GAS_MAX.min(request.gas))?))
    }

    /// The gas a transaction needs, found by running it.
    pub fn estimate(&self, request: &CallRequest) -> Result<u64, CallFault> {
        self.read(|view, head| {
            let env = self.next_env(head);
            let CallRequest { from, to, value, data, gas } = request.clone();
            let call = Call { from, to, value, data, gas, ..Call::default() };
            estimate(&Session::new(view, &env), &call, CALL_GAS_MAX).map_err(CallFault::from)
        })
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
