//! `trace_` methods: what OpenEthereum told of transactions, and reth still does.
//!
//! Owns the shapes and the bounds. Invariant: what these methods run is what `debug_` methods run.

use super::{
    Answer, Eth,
    backend::ChainBlock,
    block, blocks, broken,
    debug::{self, Shown},
    objects::to_json,
    optional,
    overrides::{BlockOverrides, StateOverrides},
    reading,
    request::{Ground, call_of, gas_cap, not_started},
    required, required_hash, transaction,
};
use crate::{
    ledger::{
        ethereum,
        executor::{Checks, ParityRun, Session, Subject, TraceError},
    },
    rpc::{Params, RpcModule, error},
    types::{Address, B256, Height, U256},
};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::parity::{
    Action, LocalizedTransactionTrace, RewardAction, RewardType, TraceOutput, TraceResults,
    TraceResultsWithTransactionHash, TraceType, TransactionTrace,
};
use jsonrpsee::core::RegisterMethodError;
use revm::primitives::hardfork::SpecId;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Blocks one `trace_filter` looks at.
const FILTER_BLOCKS_MAX: u64 = 100;
/// Traces one `trace_filter` gathers.
const TRACES_MAX: usize = 50_000;
/// Calls of one `trace_callMany`.
const CALLS_MAX: usize = 100;
/// Smallest units in an ether.
const ETHER: u64 = 1_000_000_000_000_000_000;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "trace_block", |eth, params| {
        let id: BlockId = required(&mut params.sequence(), "block")?;
        block::read(eth, id)?.map(|block| block_traces(eth, &block)).transpose()
    })?;
    reading(module, eth, "trace_transaction", |eth, params| {
        transaction_traces(eth, &required(&mut params.sequence(), "transaction hash")?)
    })?;
    reading(module, eth, "trace_get", get)?;
    reading(module, eth, "trace_filter", filter)?;
    reading(module, eth, "trace_call", call)?;
    reading(module, eth, "trace_callMany", call_many)?;
    reading(module, eth, "trace_rawTransaction", raw_transaction)?;
    reading(module, eth, "trace_replayTransaction", replay_transaction)?;
    reading(module, eth, "trace_replayBlockTransactions", replay_block)
}

/// Runs the first `count` transactions of a block and calls `each` for those from `from` on.
fn replay(
    eth: &Eth,
    block: &ChainBlock,
    (from, count): (usize, usize),
    kinds: &[TraceType],
    mut each: impl FnMut(usize, ParityRun) -> Answer<()>,
) -> Answer<()> {
    let ground = Ground::before(eth, &block.block)?;
    let txs = debug::decoded(eth, block, count)?;
    let mut session = ground.session(None, None)?;
    ethereum::begin(&mut session, block.block.header.parent_beacon_block_root).map_err(broken)?;
    session.advance(&txs[..from]).map_err(|e| debug::replayed(&e))?;
    for (index, tx) in txs.iter().enumerate().skip(from) {
        let ParityRun { results, calls, mut run } = session.parity(Subject::Tx(tx), kinds).map_err(debug::untraced)?;
        session.keep(std::mem::take(&mut run.changes));
        each(index, ParityRun { results, calls, run })?;
    }
    Ok(())
}

fn block_traces(eth: &Eth, block: &ChainBlock) -> Answer<Vec<LocalizedTransactionTrace>> {
    if block.block.height() == 0 {
        return Ok(Vec::new());
    }
    let mut traces = Vec::new();
    replay(eth, block, (0, block.txs.len()), &[TraceType::Trace], |index, run| {
        traces.extend(run.calls.into_iter().map(|trace| placed(block, Some(index), trace)));
        Ok(())
    })?;
    traces.extend(rewards(eth, block)?.into_iter().map(|trace| placed(block, None, trace)));
    Ok(traces)
}

fn placed(block: &ChainBlock, index: Option<usize>, trace: TransactionTrace) -> LocalizedTransactionTrace {
    LocalizedTransactionTrace {
        trace,
        block_hash: Some(block.block.hash),
        block_number: Some(block.block.height()),
        transaction_hash: index.map(|index| block.receipts[index].tx),
        transaction_position: index.and_then(|index| u64::try_from(index).ok()),
    }
}

/// What miners got before the merge.
fn rewards(eth: &Eth, block: &ChainBlock) -> Answer<Vec<TransactionTrace>> {
    let header = &block.block.header;
    if header.difficulty.is_zero() {
        return Ok(Vec::new());
    }
    let spec = eth.env_of(&block.block).map_err(broken)?.rules.spec;
    let ethers = match spec {
        spec if spec.is_enabled_in(SpecId::PETERSBURG) => 2,
        spec if spec.is_enabled_in(SpecId::BYZANTIUM) => 3,
        _ => 5,
    };
    let base = U256::from(ethers) * U256::from(ETHER);
    let reward = |author: Address, reward_type, value| TransactionTrace {
        action: Action::Reward(RewardAction { author, reward_type, value }),
        error: None,
        result: None,
        trace_address: Vec::new(),
        subtraces: 0,
    };
    let own = base + base / U256::from(32) * U256::from(block.ommers.len());
    let mut rewards = vec![reward(header.beneficiary, RewardType::Block, own)];
    for ommer in &block.ommers {
        let share = U256::from((ommer.number + 8).saturating_sub(header.number));
        rewards.push(reward(ommer.beneficiary, RewardType::Uncle, base * share / U256::from(8)));
    }
    Ok(rewards)
}

fn transaction_traces(eth: &Eth, hash: &B256) -> Answer<Option<Vec<LocalizedTransactionTrace>>> {
    let Some((block, index)) = transaction::find(eth, hash)? else { return Ok(None) };
    let mut traces = Vec::new();
    replay(eth, &block, (index, index + 1), &[TraceType::Trace], |index, run| {
        traces.extend(run.calls.into_iter().map(|trace| placed(&block, Some(index), trace)));
        Ok(())
    })?;
    Ok(Some(traces))
}

fn get(eth: &Eth, params: Params<'_>) -> Answer<Option<LocalizedTransactionTrace>> {
    let mut params = params.sequence();
    let hash = required_hash(&mut params, "transaction hash")?;
    let indices: Vec<U64> = required(&mut params, "indices")?;
    // One number is the place in the list; OpenEthereum never looked deeper, and reth does neither.
    let [index] = indices.as_slice() else { return Ok(None) };
    let index = usize::try_from(*index).unwrap_or(usize::MAX);
    Ok(transaction_traces(eth, &hash)?.and_then(|traces| traces.into_iter().nth(index)))
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    from_block: Option<BlockNumberOrTag>,
    to_block: Option<BlockNumberOrTag>,
    from_address: Option<Vec<Address>>,
    to_address: Option<Vec<Address>>,
    mode: Mode,
    after: Option<usize>,
    count: Option<usize>,
}

/// How two lists of addresses go together.
#[derive(Deserialize, Default, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "camelCase")]
enum Mode {
    Union,
    #[default]
    Intersection,
}

impl Filter {
    fn wants(&self, trace: &TransactionTrace) -> bool {
        let (from, to) = ends(trace);
        let listed = |list: &Option<Vec<Address>>| list.clone().filter(|list| !list.is_empty());
        let is_in = |list: &Vec<Address>, end: Option<Address>| end.is_some_and(|end| list.contains(&end));
        match (listed(&self.from_address), listed(&self.to_address)) {
            (None, None) => true,
            (Some(froms), None) => is_in(&froms, from),
            (None, Some(tos)) => is_in(&tos, to),
            (Some(froms), Some(tos)) if self.mode == Mode::Union => is_in(&froms, from) || is_in(&tos, to),
            (Some(froms), Some(tos)) => is_in(&froms, from) && is_in(&tos, to),
        }
    }
}

/// Who does something to whom.
fn ends(trace: &TransactionTrace) -> (Option<Address>, Option<Address>) {
    match &trace.action {
        Action::Call(call) => (Some(call.from), Some(call.to)),
        Action::Create(create) => {
            let created = match &trace.result {
                Some(TraceOutput::Create(created)) => Some(created.address),
                _ => None,
            };
            (Some(create.from), created)
        }
        Action::Selfdestruct(end) => (Some(end.address), Some(end.refund_address)),
        Action::Reward(reward) => (None, Some(reward.author)),
    }
}

fn filter(eth: &Eth, params: Params<'_>) -> Answer<Vec<LocalizedTransactionTrace>> {
    let filter: Filter = required(&mut params.sequence(), "filter")?;
    let height = |tag: Option<BlockNumberOrTag>| blocks::height_of(eth, tag.unwrap_or_default());
    let (from, to): (Height, Height) = (height(filter.from_block), height(filter.to_block).min(eth.latest()));
    if from > to {
        return Err(error::invalid_params("invalid parameters: fromBlock cannot be greater than toBlock"));
    }
    if to - from >= FILTER_BLOCKS_MAX {
        let blocks = to - from + 1;
        let message = format_args!("range of {blocks} blocks is over the limit of {FILTER_BLOCKS_MAX}");
        return Err(error::limit_exceeded(message));
    }
    blocks::check_kept(eth, from, to)?;
    let (skip, most) = (filter.after.unwrap_or(0), filter.count.unwrap_or(usize::MAX));
    let mut found = Vec::new();
    for height in from..=to {
        let Some(block) = eth.block(height).map_err(broken)? else { continue };
        found.extend(block_traces(eth, &block)?.into_iter().filter(|placed| filter.wants(&placed.trace)));
        if found.len() >= skip.saturating_add(most) {
            break;
        }
        if found.len() > TRACES_MAX {
            let message = format_args!("blocks {from} to {height} have over {TRACES_MAX} traces, ask for fewer blocks");
            return Err(error::limit_exceeded(message));
        }
    }
    Ok(found.into_iter().skip(skip).take(most).collect())
}

fn call(eth: &Eth, params: Params<'_>) -> Answer<TraceResults> {
    let mut params = params.sequence();
    let request: TransactionRequest = required(&mut params, "transaction")?;
    let kinds: Vec<TraceType> = required(&mut params, "trace types")?;
    let block: Option<BlockId> = optional(&mut params, "block")?;
    let state: Option<StateOverrides> = optional(&mut params, "state overrides")?;
    let overrides: Option<BlockOverrides> = optional(&mut params, "block overrides")?;
    let ground = Ground::after(eth, block)?.with(overrides.as_ref())?;
    let session = ground.session(state.as_ref(), overrides.as_ref())?;
    Ok(one_call(&session, request, &kinds)?.results)
}

fn one_call(session: &Session<'_>, request: TransactionRequest, kinds: &[TraceType]) -> Answer<ParityRun> {
    let call = call_of(request, session.env(), gas_cap(session.env()))?;
    session.parity(Subject::Call(&call, Checks::LOOSE), kinds).map_err(|e| match e {
        TraceError::Call(failure) => not_started(&call, failure),
        other => debug::untraced(other),
    })
}

fn call_many(eth: &Eth, params: Params<'_>) -> Answer<Vec<TraceResults>> {
    let mut params = params.sequence();
    let calls: Vec<(TransactionRequest, Vec<TraceType>)> = required(&mut params, "calls")?;
    if calls.len() > CALLS_MAX {
        let count = calls.len();
        return Err(error::limit_exceeded(format_args!("{count} calls are over the limit of {CALLS_MAX}")));
    }
    let ground = Ground::after(eth, optional(&mut params, "block")?)?;
    let mut session = ground.session(None, None)?;
    let mut answers = Vec::with_capacity(calls.len());
    for (request, kinds) in calls {
        let ParityRun { results, run, .. } = one_call(&session, request, &kinds)?;
        session.keep(run.changes);
        answers.push(results);
    }
    Ok(answers)
}

fn raw_transaction(eth: &Eth, params: Params<'_>) -> Answer<TraceResults> {
    let mut params = params.sequence();
    let raw: Bytes = required(&mut params, "transaction")?;
    let kinds: Vec<TraceType> = required(&mut params, "trace types")?;
    let block: Option<BlockId> = optional(&mut params, "block")?;
    let tx = eth.decode(&raw).map_err(error::invalid_params)?;
    let mut ground = Ground::after(eth, block)?;
    ground.env = eth.env_after(&ground.block);
    let session = ground.session(None, None)?;
    session.parity(Subject::Tx(&tx), &kinds).map(|run| run.results).map_err(debug::untraced)
}

fn replay_transaction(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let hash = required_hash(&mut params, "transaction hash")?;
    let kinds: Vec<TraceType> = required(&mut params, "trace types")?;
    let Some((block, index)) = transaction::find(eth, &hash)? else {
        return Err(error::server_error("transaction not found"));
    };
    let mut found = None;
    replay(eth, &block, (index, index + 1), &kinds, |_, run| {
        found = Some(run.results);
        Ok(())
    })?;
    to_json(&found)
}

fn replay_block(eth: &Eth, params: Params<'_>) -> Answer<Option<Vec<Box<RawValue>>>> {
    let mut params = params.sequence();
    let id: BlockId = required(&mut params, "block")?;
    let kinds: Vec<TraceType> = required(&mut params, "trace types")?;
    let Some(block) = block::read(eth, id)? else { return Ok(None) };
    if block.block.height() == 0 {
        return Ok(Some(Vec::new()));
    }
    let mut shown = Shown::default();
    replay(eth, &block, (0, block.txs.len()), &kinds, |index, run| {
        let transaction_hash = block.receipts[index].tx;
        shown.push(&TraceResultsWithTransactionHash { full_trace: run.results, transaction_hash })
    })?;
    Ok(Some(shown.list))
}
