//! `eth_` methods that run a call: its answer, the gas it needs, what it touches.

use super::{
    Answer, Eth, broken,
    objects::hex,
    optional,
    overrides::{BlockOverrides, StateOverrides},
    reading,
    request::{Ground, call_of, failure, gas_cap, not_started},
    required,
};
use crate::{
    chain::estimate::{NoEstimate, estimate},
    ledger::executor::{Call, CallError, CallOutcome, Checks, Session},
    rpc::{Params, RpcModule, error},
};
use alloy_eips::BlockId;
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::core::RegisterMethodError;
use revm::primitives::hardfork::SpecId;
use serde_json::{Value, json};

/// Runs after which a list of touched slots is taken as it is: a contract may behave differently for ever.
const LIST_ROUNDS_MAX: usize = 32;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_call", |eth, params| posed(eth, &params, answer))?;
    reading(module, eth, "eth_estimateGas", |eth, params| posed(eth, &params, least_gas))?;
    reading(module, eth, "eth_createAccessList", |eth, params| posed(eth, &params, access_list))
}

/// Parameters of all three: a call, a block, changes of state and block.
fn posed<T>(eth: &Eth, params: &Params<'_>, ask: fn(&Eth, &Session<'_>, Call) -> Answer<T>) -> Answer<T> {
    let mut params = params.sequence();
    let request: TransactionRequest = required(&mut params, "transaction")?;
    let block: Option<BlockId> = optional(&mut params, "block")?;
    let state: Option<StateOverrides> = optional(&mut params, "state overrides")?;
    let overrides: Option<BlockOverrides> = optional(&mut params, "block overrides")?;
    let ground = Ground::after(eth, block)?.with(overrides.as_ref())?;
    let session = ground.session(state.as_ref(), overrides.as_ref())?;
    let call = call_of(request, &ground.env, gas_cap(&ground.env))?;
    ask(eth, &session, call)
}

fn answer(eth: &Eth, session: &Session<'_>, call: Call) -> Answer<Bytes> {
    let run = session.call(&call, Checks::LOOSE).map_err(|e| not_started(&call, e))?;
    eth.tell_console(session, &call);
    match run.outcome {
        CallOutcome::Success { output, .. } => Ok(output),
        CallOutcome::Revert { output, .. } => Err(error::reverted(output)),
        CallOutcome::Halt { reason, .. } => Err(error::server_error(reason)),
    }
}

fn least_gas(_: &Eth, session: &Session<'_>, call: Call) -> Answer<String> {
    estimate(session, &call, gas_cap(session.env())).map(hex).map_err(|reason| match reason {
        NoEstimate::Reverted(data) => error::reverted(data),
        NoEstimate::Broken(reason) => broken(reason),
        failed => error::server_error(failed),
    })
}

/// A list changes what a run costs, and what it costs may change what it touches: the one given leaves its run as it is.
fn access_list(_: &Eth, session: &Session<'_>, mut call: Call) -> Answer<Value> {
    if !session.env().rules.spec.is_enabled_in(SpecId::BERLIN) {
        // A call that comes without a list would get one, which nobody could send: it is refused as one that has it.
        call.access_list.get_or_insert_default();
    }
    for _ in 0..LIST_ROUNDS_MAX {
        let (list, run) = session.touched(&call, Checks::LOOSE).map_err(|failure| match failure {
            CallError::Refused(refusal) => {
                error::server_error(format_args!("failed to apply transaction: err: {refusal}"))
            }
            CallError::Exec(e) => broken(e),
        })?;
        let settled = call.access_list.as_ref().is_some_and(|before| *before == list);
        if settled || (list.is_empty() && call.access_list.is_none()) {
            let mut object = json!({"accessList": list, "gasUsed": hex(run.outcome.gas_used())});
            if let Some(reason) = failure(&run.outcome) {
                object["error"] = json!(reason);
            }
            return Ok(object);
        }
        call.access_list = Some(list);
    }
    Err(error::server_error(format_args!("the access list does not settle in {LIST_ROUNDS_MAX} runs")))
}
