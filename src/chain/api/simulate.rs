//! `eth_simulateV1`: blocks that never were, one after the other, on the state after a real one.
//!
//! Owns what fills the fields a request leaves out, in go-ethereum's way, and the codes of its refusals. Invariants: heights and
//! times grow; all blocks together use no more gas than one call may; nothing is kept.

use super::{
    Answer, Eth, blocks, broken, optional,
    overrides::{self, BlockOverrides, StateOverrides, narrow},
    reading,
    request::{call_of, failure, gas_cap, supplied},
    required,
    simulated::{Built, CallResult, Ends, Made},
};
use crate::{
    chain::{api::backend::ChainState, records::ExecutedBlock},
    ledger::{
        commitment::{StateCommitment, StateTrie},
        ethereum,
        executor::{BlockEnv, Call, CallError, CallOutcome, Checks, Overlay, Refusal, Session},
        state::{StateDelta, StateView},
    },
    rpc::{ErrorObjectOwned, Params, RpcModule, error},
    types::{B256, Height, U256},
};
use alloy_eips::BlockId;
use alloy_primitives::{Log, U64};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::core::RegisterMethodError;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Blocks of one request.
const BLOCKS_MAX: u64 = 256;
/// Calls of one block.
const CALLS_MAX: usize = 5_000;
/// Seconds between blocks that do not say their time.
const BLOCK_SECONDS: u64 = 12;

const NONCE_TOO_LOW: i32 = -38010;
const NONCE_TOO_HIGH: i32 = -38011;
const FEE_TOO_LOW: i32 = -38012;
const INTRINSIC_GAS: i32 = -38013;
const FUNDS: i32 = -38014;
const BLOCK_GAS: i32 = -38015;
const NUMBERS: i32 = -38020;
const TIMES: i32 = -38021;
const INIT_CODE: i32 = -38025;
const TOO_MANY: i32 = -38026;
/// An execution that used up its gas.
const VM_ERROR: i32 = -32015;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default)]
    block_state_calls: Vec<Block>,
    #[serde(default)]
    trace_transfers: bool,
    #[serde(default)]
    validation: bool,
    #[serde(default)]
    return_full_transactions: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Block {
    block_overrides: Option<BlockOverrides>,
    state_overrides: Option<StateOverrides>,
    calls: Option<Vec<TransactionRequest>>,
}

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_simulateV1", simulate)
}

fn simulate(eth: &Eth, params: Params<'_>) -> Answer<Vec<Value>> {
    let mut params = params.sequence();
    let mut request: Request = required(&mut params, "options")?;
    let (base, state) = blocks::state(eth, optional::<BlockId>(&mut params, "block")?)?;
    let blocks = std::mem::take(&mut request.block_state_calls);
    if blocks.is_empty() {
        return Err(error::invalid_params("empty input"));
    }
    if u64::try_from(blocks.len()).is_ok_and(|count| count > BLOCKS_MAX) {
        return Err(error::error(TOO_MANY, "too many blocks"));
    }
    let blocks = in_order(blocks, &base)?;
    let env = eth.env_of(&base).map_err(broken)?;
    let mut chain = Chain {
        eth,
        request: &request,
        gas_left: gas_cap(&env),
        trie: state.trie.clone(),
        base: &state,
        changes: StateDelta::default(),
        hashes: BTreeMap::new(),
        parent: base,
    };
    blocks.into_iter().map(|block| chain.grow(block)).collect()
}

/// Gives every block a height and a time, and fills gaps between heights with empty blocks.
fn in_order(blocks: Vec<Block>, base: &ExecutedBlock) -> Answer<Vec<Block>> {
    let (mut number, mut time) = (base.height(), base.header.timestamp);
    let mut ordered = Vec::new();
    for block in blocks {
        let mut overrides = block.block_overrides.clone().unwrap_or_default();
        let wanted = overrides.number.map_or(Ok(number + 1), |wanted| narrow("number", wanted))?;
        if wanted <= number {
            let message = format_args!("block numbers must be in order: {wanted} <= {number}");
            return Err(error::error(NUMBERS, message));
        }
        if wanted - base.height() > BLOCKS_MAX {
            return Err(error::error(TOO_MANY, "too many blocks"));
        }
        for gap in number + 1..wanted {
            time += BLOCK_SECONDS;
            let overrides = BlockOverrides {
                number: Some(U256::from(gap)),
                time: Some(U64::from(time)),
                ..BlockOverrides::default()
            };
            ordered.push(Block { block_overrides: Some(overrides), ..Block::default() });
        }
        let at = overrides.time.map_or(time + BLOCK_SECONDS, |time| time.to());
        if at <= time {
            return Err(error::error(TIMES, format_args!("block timestamps must be in order: {at} <= {time}")));
        }
        (number, time) = (wanted, at);
        (overrides.number, overrides.time) = (Some(U256::from(number)), Some(U64::from(time)));
        ordered.push(Block { block_overrides: Some(overrides), ..block });
    }
    Ok(ordered)
}

/// The chain as far as it is simulated.
struct Chain<'a> {
    eth: &'a Eth,
    request: &'a Request,
    gas_left: u64,
    base: &'a ChainState,
    trie: StateTrie,
    changes: StateDelta,
    hashes: BTreeMap<Height, B256>,
    parent: ExecutedBlock,
}

impl Chain<'_> {
    fn grow(&mut self, block: Block) -> Answer<Value> {
        let Block { block_overrides, state_overrides, calls } = block;
        let (overrides, calls) = (block_overrides.unwrap_or_default(), calls.unwrap_or_default());
        if calls.len() > CALLS_MAX {
            let message = format_args!("too many calls in block: {} > {CALLS_MAX}", calls.len());
            return Err(error::error(TOO_MANY, message));
        }
        let env = self.env(&overrides)?;
        let view = Overlay { base: self.base, changes: &self.changes, hashes: &self.hashes };
        let mut session = Session::new(&view, &env);
        overrides.settle(&mut session)?;
        state_overrides.map(|changes| overrides::apply(&changes, &mut session)).transpose()?;
        let since_cancun = env.rules.spec.is_enabled_in(SpecId::CANCUN);
        let beacon_root = since_cancun.then(|| overrides.beacon_root.unwrap_or_default());
        ethereum::begin(&mut session, beacon_root).map_err(broken)?;
        let mut made = Made::default();
        for request in calls {
            let call = self.complete(request, &session, made.gas_used)?;
            let (result, changes) = self.run(&session, call, &made)?;
            self.gas_left -= result.gas_used.min(self.gas_left);
            session.keep(changes);
            made.push(result);
        }
        let receipts = made.receipts(&env);
        let requests = ethereum::end(&mut session, &receipts).map_err(broken)?;
        overrides.withdraw(&mut session)?;
        let changes = session.into_changes();
        let ends = Ends { state_root: self.trie.apply(&changes), requests, beacon_root };
        let built = Built::new(made, receipts, &env, &ends, &overrides);
        self.changes.merge(changes);
        self.parent = built.block.block.clone();
        self.hashes.insert(env.height, self.parent.hash);
        built.json(&env, self.request.return_full_transactions)
    }

    fn env(&self, overrides: &BlockOverrides) -> Answer<BlockEnv> {
        let next = self.eth.env_after(&self.parent);
        let header = &self.parent.header;
        // Without validation calls that offer nothing must run, also those that look at the base fee.
        let base_fee = if self.request.validation { next.base_fee } else { 0 };
        let mut env = BlockEnv {
            proposer: header.beneficiary,
            beacon: B256::ZERO,
            parent_hash: self.parent.hash,
            gas_limit: header.gas_limit,
            base_fee,
            ..next
        };
        overrides.apply(&mut env)?;
        Ok(env)
    }

    /// Fills in what a call leaves out.
    fn complete(&self, mut request: TransactionRequest, session: &Session<'_>, used: u64) -> Answer<Call> {
        let env = session.env();
        if request.nonce.is_none() {
            let from = request.from.unwrap_or_default();
            let account = session.state().account(&from).map_err(broken)?;
            request.nonce = Some(account.map_or(0, |info| info.nonce));
        }
        let gas = request.gas.unwrap_or(env.gas_limit - used);
        if used.saturating_add(gas) > env.gas_limit {
            let message = format_args!("block gas limit reached: {used} >= {}", env.gas_limit);
            return Err(error::error(BLOCK_GAS, message));
        }
        request.gas = Some(gas);
        let call = call_of(request, env, self.gas_left)?;
        match self.gas_left {
            0 if gas > 0 => Err(error::internal(supplied(&call, &"gas limit reached"))),
            _ => Ok(call),
        }
    }

    fn run(&self, session: &Session<'_>, call: Call, made: &Made) -> Answer<(CallResult, StateDelta)> {
        let checks = if self.request.validation { Checks::STRICT } else { Checks::LOOSE };
        let (run, logs) = session
            .call_logged(&call, checks, self.request.trace_transfers)
            .map_err(|failure| not_simulated(&call, failure))?;
        let result = CallResult {
            first_log: made.logs(),
            error: call_error(&run.outcome),
            gas_used: run.outcome.gas_used(),
            peak_gas: run.peak_gas,
            returned: run.outcome.returned(),
            emitted: match &run.outcome {
                CallOutcome::Success { logs, .. } => logs.clone(),
                CallOutcome::Revert { .. } | CallOutcome::Halt { .. } => Vec::<Log>::new(),
            },
            shown: logs,
            call,
        };
        Ok((result, run.changes))
    }
}

/// How a call that failed says so.
fn call_error(outcome: &CallOutcome) -> Option<(i32, String, Option<alloy_primitives::Bytes>)> {
    let message = failure(outcome)?;
    Some(match outcome {
        CallOutcome::Revert { output, .. } => (error::REVERTED, message, Some(output.clone())),
        _ => (VM_ERROR, message, None),
    })
}

fn not_simulated(call: &Call, failure: CallError) -> ErrorObjectOwned {
    let refusal = match failure {
        CallError::Refused(refusal) => refusal,
        CallError::Exec(e) => return broken(e),
    };
    let code = match refusal {
        Refusal::NonceTooLow(..) => NONCE_TOO_LOW,
        Refusal::NonceTooHigh(..) => NONCE_TOO_HIGH,
        Refusal::FeeTooLow(..) => FEE_TOO_LOW,
        Refusal::IntrinsicGas(..) | Refusal::FloorGas(..) => INTRINSIC_GAS,
        Refusal::Funds(..) => FUNDS,
        Refusal::InitCode(..) => INIT_CODE,
        Refusal::TipAboveFee(..) => error::INVALID_PARAMS,
        _ => error::INTERNAL,
    };
    error::error(code, supplied(call, &refusal))
}
