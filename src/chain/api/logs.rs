//! `eth_getLogs`.

use super::{Answer, Eth, blocks, broken, objects::placed_logs, reading, required};
use crate::{
    rpc::{RpcModule, error},
    types::Height,
};
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee::core::RegisterMethodError;
use std::ops::RangeInclusive;

/// Blocks one query may span.
pub const LOGS_MAX_BLOCKS: u64 = 1_000;
/// Logs one query may return.
pub const LOGS_MAX: usize = 10_000;
/// Addresses, and topics of one position, a filter may name.
const FILTER_MAX_VALUES: usize = 1_000;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_getLogs", |eth, params| get_logs(eth, required(&mut params.sequence(), "filter")?))
}

/// All logs a filter asks for.
pub fn get_logs(eth: &Eth, filter: Filter) -> Answer<Vec<Log>> {
    check(&filter)?;
    logs_in(eth, &filter, range_of(eth, &filter)?)
}

/// Logs of blocks that pass a filter.
pub fn logs_in(eth: &Eth, filter: &Filter, range: RangeInclusive<Height>) -> Answer<Vec<Log>> {
    let mut found = Vec::new();
    for height in range {
        matching(eth, filter, height, &mut found)?;
        if found.len() > LOGS_MAX {
            return Err(error::limit_exceeded(format_args!(
                "query returns over {LOGS_MAX} logs up to block {height}: ask for fewer blocks"
            )));
        }
    }
    Ok(found)
}

/// Refuses a filter that is too wide to evaluate.
pub fn check(filter: &Filter) -> Answer<()> {
    let most = filter.topics.iter().map(|topic| topic.len()).chain([filter.address.len()]).max().unwrap_or_default();
    match most > FILTER_MAX_VALUES {
        true => Err(error::limit_exceeded(format_args!(
            "filter with {most} values is over the limit of {FILTER_MAX_VALUES}"
        ))),
        false => Ok(()),
    }
}

/// Adds a block's matching logs; blocks whose bloom says no are not read.
pub fn matching(eth: &Eth, filter: &Filter, height: Height, found: &mut Vec<Log>) -> Answer<()> {
    let Some(block) = eth.header(height).map_err(broken)? else { return Ok(()) };
    if block.header.logs_bloom.is_zero() || !filter.matches_bloom(block.header.logs_bloom) {
        return Ok(());
    }
    let receipts = eth.receipts(height).map_err(broken)?;
    let wanted =
        |log: &alloy_primitives::Log| filter.matches_address(log.address) && filter.matches_topics(log.topics());
    found.extend(placed_logs(&block, &receipts, wanted));
    Ok(())
}

fn range_of(eth: &Eth, filter: &Filter) -> Answer<RangeInclusive<Height>> {
    let newest = eth.latest();
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let height = eth.find_block(&hash).map_err(broken)?;
            let height = height.ok_or_else(|| error::server_error(format_args!("unknown block {hash}")))?;
            (height, height)
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let latest = BlockNumberOrTag::Latest;
            let height = |tag: Option<BlockNumberOrTag>| blocks::height_of(eth, tag.unwrap_or(latest));
            (height(from_block), height(to_block))
        }
    };
    if from > to {
        return Err(error::invalid_params(format_args!("invalid block range params: {from} to {to}")));
    }
    if to > newest {
        return Err(error::invalid_params(format_args!(
            "block range extends beyond current head block: {from} to {to}, the head is {newest}"
        )));
    }
    if to - from >= LOGS_MAX_BLOCKS {
        return Err(error::limit_exceeded(format_args!(
            "blocks {from} to {to} are over the limit of {LOGS_MAX_BLOCKS} blocks"
        )));
    }
    blocks::check_kept(eth, from.max(1), to)?;
    Ok(from..=to)
}
