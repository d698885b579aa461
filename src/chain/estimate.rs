//! The gas a transaction needs, found by running it: go-ethereum's way, so that tools see the numbers they know.
//!
//! Owns the search. Must not know JSON. Invariant: what it answers was enough in a run.

use crate::{
    ledger::{
        executor::{Call, CallError, CallOutcome, CallRun, Checks, Refusal, Session},
        state::StateView,
    },
    types::U256,
};
use alloy_primitives::Bytes;
use revm::primitives::{eip7825::TX_GAS_LIMIT_CAP, hardfork::SpecId};

/// Gas of a transaction that does nothing but move value.
const TRANSFER_GAS: u64 = 21_000;
/// What a call with value gets on top (the stipend of the yellow paper).
const STIPEND_GAS: u64 = 2_300;
/// An estimate may exceed the least sufficient gas by this many thousandths.
const TOLERANCE_PERMILLE: u64 = 15;

/// Why there is no estimate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoEstimate {
    /// It reverts whatever it is given.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// It fails whatever it is given, or cannot start.
    #[error("{0}")]
    Failed(String),
    /// It wants more than it may have.
    #[error("gas required exceeds allowance ({0})")]
    Allowance(u64),
    /// The node failed.
    #[error("{0}")]
    Broken(String),
}

/// The least gas limit, up to a small tolerance, with which `call` succeeds; at most `cap`, which `call.gas` lowers.
pub fn estimate(session: &Session<'_>, call: &Call, cap: u64) -> Result<u64, NoEstimate> {
    let mut enough = highest(session, call)?.min(cap);
    let plain = call.is_plain_transfer(&session.state()).map_err(|e| NoEstimate::Broken(e.to_string()))?;
    if plain && matches!(attempt(session, call, TRANSFER_GAS), Ok(Some(run)) if succeeded(&run)) {
        return Ok(TRANSFER_GAS);
    }
    let run = attempt(session, call, enough)?.ok_or(NoEstimate::Allowance(enough))?;
    match &run.outcome {
        CallOutcome::Success { .. } => {}
        CallOutcome::Revert { output, .. } => return Err(NoEstimate::Reverted(output.clone())),
        CallOutcome::Halt { reason, .. } if reason == "out of gas" => return Err(NoEstimate::Allowance(enough)),
        CallOutcome::Halt { reason, .. } => return Err(NoEstimate::Failed(reason.clone())),
    }
    // What the free run used is a lower bound; what it held at most, and what calls keep back, is mostly sufficient.
    let mut short = run.outcome.gas_used().saturating_sub(1);
    let likely = (run.peak_gas + STIPEND_GAS) * 64 / 63;
    if likely < enough {
        suffices(session, call, likely, &mut short, &mut enough)?;
    }
    while short + 1 < enough && (enough - short) * 1_000 >= TOLERANCE_PERMILLE * enough {
        let middle = (short + (enough - short) / 2).min(short.saturating_mul(2));
        suffices(session, call, middle, &mut short, &mut enough)?;
    }
    Ok(enough)
}

/// The most gas the call may be given, by its own limit, the rules and what its sender can pay.
fn highest(session: &Session<'_>, call: &Call) -> Result<u64, NoEstimate> {
    let env = session.env();
    let asked = if call.gas >= TRANSFER_GAS { call.gas } else { env.gas_limit };
    let by_rules = env.rules.spec.is_enabled_in(SpecId::OSAKA).then_some(TX_GAS_LIMIT_CAP);
    let most = asked.min(env.rules.tx_gas_cap.or(by_rules).unwrap_or(u64::MAX));
    if call.max_fee == 0 {
        return Ok(most);
    }
    let account = session.state().account(&call.from).map_err(|e| NoEstimate::Broken(e.to_string()))?;
    let balance = account.map_or(U256::ZERO, |info| info.balance);
    if call.value >= balance {
        return Err(NoEstimate::Failed("insufficient funds for transfer".into()));
    }
    let affordable = (balance - call.value) / U256::from(call.max_fee);
    Ok(u64::try_from(affordable).map_or(most, |gas| most.min(gas)))
}

/// Runs with `gas`; `None` if that is too little, or too much, to start.
fn attempt(session: &Session<'_>, call: &Call, gas: u64) -> Result<Option<CallRun>, NoEstimate> {
    match session.call(&Call { gas, ..call.clone() }, Checks::LOOSE) {
        Ok(run) => Ok(Some(run)),
        Err(CallError::Refused(Refusal::IntrinsicGas(..) | Refusal::FloorGas(..))) => Ok(None),
        Err(CallError::Refused(refusal)) => Err(NoEstimate::Failed(format!("failed with {gas} gas: {refusal}"))),
        Err(CallError::Exec(e)) => Err(NoEstimate::Broken(e.to_string())),
    }
}

fn succeeded(run: &CallRun) -> bool {
    matches!(run.outcome, CallOutcome::Success { .. })
}

/// Moves the bound on which side of `gas` the answer is not.
fn suffices(session: &Session<'_>, call: &Call, gas: u64, short: &mut u64, enough: &mut u64) -> Result<(), NoEstimate> {
    match attempt(session, call, gas)?.is_some_and(|run| succeeded(&run)) {
        true => *enough = gas,
        false => *short = gas,
    }
    Ok(())
}
