//! `debug_` methods: geth's traces of transactions, blocks and calls, and everything as it is encoded.
//!
//! Owns where a trace begins: the state of the parent block, after the transactions before the one asked about. Invariant: a
//! traced transaction behaves as it did in its block.

use super::{
    Answer, Eth,
    backend::ChainBlock,
    block, blocks, broken,
    objects::{block_rlp, to_json},
    optional,
    overrides::{BlockOverrides, StateOverrides},
    reading,
    request::{Ground, call_of, gas_cap, not_started},
    required, required_hash, transaction,
};
use crate::{
    ledger::{
        ethereum,
        executor::{CallError, Checks, Session, Subject, TraceError},
        tx::VerifiedTx,
    },
    rpc::{ErrorObjectOwned, Params, RpcModule, error, limits::ANSWER_MAX_BYTES},
    types::B256,
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{TransactionInfo, TransactionRequest};
use alloy_rpc_types_trace::geth::{CallFrame, GethDebugTracerType, GethDebugTracingOptions, GethTrace};
use jsonrpsee::core::RegisterMethodError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json, value::RawValue};
use std::sync::Arc;

/// Tracers there are.
const TRACERS: &str = "callTracer, prestateTracer, flatCallTracer, 4byteTracer, muxTracer, noopTracer, erc7562Tracer";

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "debug_traceTransaction", trace_transaction)?;
    reading(module, eth, "debug_traceBlockByNumber", |eth, params| {
        let mut params = params.sequence();
        let tag: BlockNumberOrTag = required(&mut params, "block number")?;
        trace_block(eth, BlockId::Number(tag), optional(&mut params, "options")?)
    })?;
    reading(module, eth, "debug_traceBlockByHash", |eth, params| {
        let mut params = params.sequence();
        let hash = required_hash(&mut params, "block hash")?;
        trace_block(eth, BlockId::hash(hash), optional(&mut params, "options")?)
    })?;
    reading(module, eth, "debug_traceCall", trace_call)?;
    reading(module, eth, "debug_getRawHeader", |eth, params| {
        encoded(eth, &params, |block| Ok(json!(Bytes::from(alloy_rlp::encode(&block.block.header)))))
    })?;
    reading(module, eth, "debug_getRawBlock", |eth, params| {
        encoded(eth, &params, |block| Ok(json!(Bytes::from(block_rlp(block)))))
    })?;
    reading(module, eth, "debug_getRawReceipts", |eth, params| {
        encoded(eth, &params, |block| {
            let leaves: Vec<Bytes> = block.receipts.iter().map(|receipt| receipt.leaf().into()).collect();
            to_json(&leaves)
        })
    })?;
    reading(module, eth, "debug_getRawTransaction", raw_transaction)?;
    reading(module, eth, "debug_getBadBlocks", |_, _| Ok(Vec::<Value>::new()))
}

/// The block a request names.
pub(super) fn block_of(eth: &Eth, id: BlockId) -> Answer<Arc<ChainBlock>> {
    block::read(eth, id)?.ok_or_else(|| unknown(eth, id))
}

/// In geth's words.
pub(super) fn unknown(eth: &Eth, id: BlockId) -> ErrorObjectOwned {
    error::server_error(match id {
        BlockId::Hash(hash) => format!("block {} not found", hash.block_hash),
        BlockId::Number(tag) => format!("block #{} not found", blocks::height_of(eth, tag)),
    })
}

fn encoded(eth: &Eth, params: &Params<'_>, encode: fn(&ChainBlock) -> Answer<Value>) -> Answer<Value> {
    let id: BlockId = required(&mut params.sequence(), "block")?;
    encode(&*block_of(eth, id)?)
}

fn raw_transaction(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let hash = required_hash(&mut params.sequence(), "transaction hash")?;
    if let Some((block, index)) = transaction::find(eth, &hash)? {
        return Ok(json!(block.txs[index]));
    }
    Ok(eth.pool().get(&hash).map_or(Value::Null, |tx| json!(tx.raw)))
}

/// How many transactions of a block come before the one at `index`, which may be the next that the block could have had.
pub(super) fn count_of(block: &ChainBlock, index: U64) -> Answer<usize> {
    usize::try_from(index).ok().filter(|count| *count <= block.txs.len()).ok_or_else(|| {
        let (hash, count) = (block.block.hash, block.txs.len());
        error::server_error(format_args!("transaction index {index} out of range for block {hash} of {count}"))
    })
}

/// Takes a session that stands before a block to where its first `count` transactions ran.
pub(super) fn advance(eth: &Eth, session: &mut Session<'_>, block: &ChainBlock, count: usize) -> Answer<()> {
    ethereum::begin(session, block.block.header.parent_beacon_block_root).map_err(broken)?;
    session.advance(&decoded(eth, block, count)?).map_err(|e| replayed(&e))
}

/// The first `count` transactions of a block.
pub(super) fn decoded(eth: &Eth, block: &ChainBlock, count: usize) -> Answer<Vec<VerifiedTx>> {
    block.txs[..count].iter().map(|raw| eth.decode(raw).map_err(broken)).collect()
}

/// Where a transaction of a block is.
pub(super) fn place(block: &ChainBlock, index: usize) -> TransactionInfo {
    TransactionInfo {
        hash: Some(block.receipts[index].tx),
        index: u64::try_from(index).ok(),
        block_hash: Some(block.block.hash),
        block_number: Some(block.block.height()),
        base_fee: block.block.header.base_fee_per_gas,
        block_timestamp: Some(block.block.header.timestamp),
    }
}

fn trace_transaction(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let hash = required_hash(&mut params, "transaction hash")?;
    let options = options(optional(&mut params, "options")?)?;
    let Some((block, index)) = transaction::find(eth, &hash)? else {
        return Err(error::server_error("transaction not found"));
    };
    let tx = eth.decode(&block.txs[index]).map_err(broken)?;
    let ground = Ground::before(eth, &block.block)?;
    let mut session = ground.session(None, None)?;
    advance(eth, &mut session, &block, index)?;
    let (mut trace, _) = session.debug(Subject::Tx(&tx), &options, &place(&block, index)).map_err(untraced)?;
    count_logs_from(&mut trace, logs_before(&block, index));
    to_json(&trace)
}

/// Logs of a block before those of the transaction at `index`.
fn logs_before(block: &ChainBlock, index: usize) -> u64 {
    let logs: usize = block.receipts[..index].iter().map(|receipt| receipt.logs.len()).sum();
    u64::try_from(logs).expect("a usize fits 64 bits")
}

/// Numbers the logs of a trace as receipts do, where they count from the block's first one.
fn count_logs_from(trace: &mut GethTrace, first: u64) {
    match trace {
        GethTrace::CallTracer(frame) => count_frame_logs_from(frame, first),
        GethTrace::MuxTracer(traces) => traces.0.values_mut().for_each(|trace| count_logs_from(trace, first)),
        _ => {}
    }
}

fn count_frame_logs_from(frame: &mut CallFrame, first: u64) {
    frame.logs.iter_mut().filter_map(|log| log.index.as_mut()).for_each(|index| *index += first);
    frame.calls.iter_mut().for_each(|call| count_frame_logs_from(call, first));
}

fn trace_block(eth: &Eth, id: BlockId, given: Option<Value>) -> Answer<Vec<Box<RawValue>>> {
    let options = options(given)?;
    let block = block_of(eth, id)?;
    let ground = Ground::before(eth, &block.block)?;
    let txs = decoded(eth, &block, block.txs.len())?;
    let mut session = ground.session(None, None)?;
    ethereum::begin(&mut session, block.block.header.parent_beacon_block_root).map_err(broken)?;
    let mut traces = Shown::default();
    for (index, tx) in txs.iter().enumerate() {
        let (mut trace, run) = session.debug(Subject::Tx(tx), &options, &place(&block, index)).map_err(untraced)?;
        count_logs_from(&mut trace, logs_before(&block, index));
        session.keep(run.changes);
        traces.push(&Traced { tx_hash: tx.hash, result: trace })?;
    }
    Ok(traces.list)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Traced {
    tx_hash: B256,
    result: GethTrace,
}

/// Traces of a block in their final form, so that what is too large to answer is noticed before memory is full.
#[derive(Default)]
pub(super) struct Shown {
    /// In order.
    pub list: Vec<Box<RawValue>>,
    bytes: usize,
}

impl Shown {
    /// One more.
    pub fn push(&mut self, trace: &impl Serialize) -> Answer<()> {
        let shown = serde_json::value::to_raw_value(trace).map_err(broken)?;
        self.bytes += shown.get().len();
        if self.bytes > ANSWER_MAX_BYTES {
            let message =
                format_args!("the block's traces are over {ANSWER_MAX_BYTES} B, trace its transactions one by one");
            return Err(error::error(error::ANSWER_TOO_LARGE, message));
        }
        self.list.push(shown);
        Ok(())
    }
}

/// What `debug_traceCall` takes beyond the tracer's settings.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CallOptions {
    state_overrides: Option<StateOverrides>,
    block_overrides: Option<BlockOverrides>,
    tx_index: Option<U64>,
}

fn trace_call(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let request: TransactionRequest = required(&mut params, "transaction")?;
    let id: BlockId = optional(&mut params, "block")?.unwrap_or_default();
    let given: Option<Value> = optional(&mut params, "options")?;
    let CallOptions { state_overrides, block_overrides, tx_index } = match &given {
        Some(given) => serde_json::from_value(given.clone()).map_err(error::invalid_params)?,
        None => CallOptions::default(),
    };
    let options = options(given)?;
    if blocks::find(eth, id)?.is_none() {
        return Err(unknown(eth, id));
    }
    let ground = match tx_index {
        Some(_) => Ground::before(eth, &block_of(eth, id)?.block)?,
        None => Ground::after(eth, Some(id))?,
    };
    let ground = ground.with(block_overrides.as_ref())?;
    let mut session = ground.session(None, block_overrides.as_ref())?;
    if let Some(index) = tx_index {
        let block = block_of(eth, id)?;
        advance(eth, &mut session, &block, count_of(&block, index)?)?;
    }
    if let Some(changes) = &state_overrides {
        super::overrides::apply(changes, &mut session)?;
    }
    let call = call_of(request, &ground.env, gas_cap(&ground.env))?;
    let place = TransactionInfo { block_number: Some(ground.env.height), ..TransactionInfo::default() };
    let trace = session.debug(Subject::Call(&call, Checks::LOOSE), &options, &place).map_err(|e| match e {
        TraceError::Call(failure) => not_started(&call, failure),
        other => untraced(other),
    })?;
    to_json(&trace.0)
}

fn options(given: Option<Value>) -> Answer<GethDebugTracingOptions> {
    let Some(mut given) = given else { return Ok(GethDebugTracingOptions::default()) };
    if given["tracer"] == "muxTracer"
        && let Some(tracers) = given.get_mut("tracerConfig").and_then(Value::as_object_mut)
    {
        tracers.iter_mut().for_each(|(name, settings)| settle_mux(name, settings));
    }
    let options: GethDebugTracingOptions =
        serde_json::from_value(given).map_err(|e| error::invalid_params(format_args!("options: {e}")))?;
    match options.tracer {
        Some(GethDebugTracerType::JsTracer(_)) => Err(error::server_error(format_args!(
            "this node runs no JavaScript tracers: tracer is one of {TRACERS}, or left out for opcodes"
        ))),
        _ => Ok(options),
    }
}

/// geth takes no settings and empty ones for the same.
fn settle_mux(tracer: &str, settings: &mut Value) {
    match tracer {
        "4byteTracer" | "noopTracer" => *settings = Value::Null,
        _ if settings.is_null() => *settings = json!({}),
        _ => {}
    }
}

/// A transaction of a block cannot fail to run again.
pub(super) fn replayed(failure: &CallError) -> ErrorObjectOwned {
    broken(format_args!("a block of the chain cannot be replayed: {failure}"))
}

pub(super) fn untraced(failure: TraceError) -> ErrorObjectOwned {
    match failure {
        TraceError::Tracer(reason) => error::server_error(reason),
        TraceError::Call(CallError::Refused(refusal)) => error::server_error(refusal),
        TraceError::Call(CallError::Exec(e)) => error::server_error(e),
    }
}
