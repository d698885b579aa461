//! `eth_getLogs`.

use super::{Answer, Api, blocks, broken, objects::placed_logs, reading, required};
use crate::{
    chain::{full::FullChain, local::check_kept},
    rpc::{Params, RpcModule, error},
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

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "eth_getLogs", |api, params| get_logs(api, &params))
}

fn get_logs(api: &Api, params: &Params<'_>) -> Answer<Vec<Log>> {
    let filter: Filter = required(&mut params.sequence(), "filter")?;
    check(&filter)?;
    let Some(range) = range_of(&api.chain, &filter)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for height in range {
        matching(&api.chain, &filter, height, &mut found)?;
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
pub fn matching(chain: &FullChain, filter: &Filter, height: Height, found: &mut Vec<Log>) -> Answer<()> {
    let Some(block) = chain.blocks().executed(height).map_err(broken)? else { return Ok(()) };
    if block.header.logs_bloom.is_zero() || !filter.matches_bloom(block.header.logs_bloom) {
        return Ok(());
    }
    let receipts = chain.blocks().receipts(height).map_err(broken)?;
    let wanted =
        |log: &alloy_primitives::Log| filter.matches_address(log.address) && filter.matches_topics(log.topics());
    found.extend(placed_logs(&block, &receipts, wanted));
    Ok(())
}

fn range_of(chain: &FullChain, filter: &Filter) -> Answer<Option<RangeInclusive<Height>>> {
    let newest = chain.head().height();
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let height = chain.blocks().find_block(&hash).map_err(broken)?;
            let height = height.ok_or_else(|| error::not_found(format_args!("block {hash}")))?;
            (height, height)
        }
        FilterBlockOption::Range { from_block, to_block } => {
            let latest = BlockNumberOrTag::Latest;
            let height = |tag: Option<BlockNumberOrTag>| blocks::height_of(chain, tag.unwrap_or(latest));
            (height(from_block), height(to_block))
        }
    };
    if from > to {
        return Err(error::invalid_params(format_args!("blocks {from} to {to} are no range")));
    }
    let to = to.min(newest);
    if from > to {
        return Ok(None);
    }
    if to - from >= LOGS_MAX_BLOCKS {
        return Err(error::limit_exceeded(format_args!(
            "blocks {from} to {to} are over the limit of {LOGS_MAX_BLOCKS} blocks"
        )));
    }
    check_kept(chain, from, to)?;
    Ok(Some(from..=to))
}
