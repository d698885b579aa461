//! `eth_getLogs`.
//!
//! Owns which blocks a filter is compared with, and how many. Invariants: a search that names an address or a topic may be as wide
//! as the chain, for it looks only into blocks that the index names; one that does not, or that reaches below the index, is bounded
//! in blocks; both are bounded in what they return, read and look at.

use super::{Answer, Eth, blocks, broken, objects::placed_logs, reading, required};
use crate::{
    chain::log_index::{Candidates, LogRow},
    rpc::{ErrorObjectOwned, RpcModule, error},
    types::Height,
};
use alloy_eips::BlockNumberOrTag;
use alloy_rpc_types_eth::{Filter, FilterBlockOption, Log};
use jsonrpsee::core::RegisterMethodError;
use std::ops::RangeInclusive;

/// Blocks one query may span that no index helps.
pub const LOGS_MAX_BLOCKS: u64 = 1_000;
/// Logs one query may return.
pub const LOGS_MAX: usize = 10_000;
/// Blocks whose logs one query may read.
const LOGS_MAX_READ: usize = 10_000;
/// Blocks one query may look at, where many only seem to have what is asked for.
const LOGS_MAX_LOOKS: usize = 100_000;
/// Addresses, and topics of one position, a filter may name.
const FILTER_MAX_VALUES: usize = 1_000;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_getLogs", |eth, params| get_logs(eth, required(&mut params.sequence(), "filter")?))
}

/// All logs a filter asks for.
pub fn get_logs(eth: &Eth, filter: Filter) -> Answer<Vec<Log>> {
    check(&filter)?;
    let (from, to) = range_of(eth, &filter)?;
    let read = |row: &LogRow, from: Height, limit: usize| eth.log_heights(row, from, limit);
    let mut candidates = Candidates::new(read, filter.address.iter(), filter.topics.iter().map(|topic| topic.iter()));
    let indexed_from = match candidates.is_unbounded() {
        true => to.saturating_add(1),
        false => eth.logs_from().map_err(broken)?.clamp(from, to.saturating_add(1)),
    };
    check_width(from, to, indexed_from)?;
    let mut search = Search { eth, filter: &filter, from, looks: 0, read: 0, found: Vec::new() };
    for height in from..indexed_from {
        search.look_into(height)?;
    }
    let mut next = indexed_from;
    while next <= to
        && let Some(height) = candidates.next_from(next).map_err(broken)?.filter(|height| *height <= to)
    {
        search.look_into(height)?;
        next = height + 1;
    }
    Ok(search.found)
}

/// Logs of all blocks of a short range that pass a filter.
pub fn logs_in(eth: &Eth, filter: &Filter, range: RangeInclusive<Height>) -> Answer<Vec<Log>> {
    let mut search = Search { eth, filter, from: *range.start(), looks: 0, read: 0, found: Vec::new() };
    for height in range {
        search.look_into(height)?;
    }
    Ok(search.found)
}

/// A search and what it found.
struct Search<'a> {
    eth: &'a Eth,
    filter: &'a Filter,
    /// Where it began.
    from: Height,
    /// Blocks whose headers were read.
    looks: usize,
    /// Blocks whose logs were read.
    read: usize,
    found: Vec<Log>,
}

impl Search<'_> {
    /// Adds the matching logs of a block; if its bloom says no they are not read.
    fn look_into(&mut self, height: Height) -> Answer<()> {
        self.looks += 1;
        if self.looks > LOGS_MAX_LOOKS {
            return Err(too_much(self.from, height, format_args!("query looked at more than {LOGS_MAX_LOOKS} blocks")));
        }
        let Some(block) = self.eth.header(height).map_err(broken)? else { return Ok(()) };
        let bloom = block.header.logs_bloom;
        if bloom.is_zero() || !self.filter.matches_bloom(bloom) {
            return Ok(());
        }
        let receipts = self.eth.receipts(height).map_err(broken)?;
        let filter = self.filter;
        let wanted =
            |log: &alloy_primitives::Log| filter.matches_address(log.address) && filter.matches_topics(log.topics());
        self.found.extend(placed_logs(&block, &receipts, wanted));
        self.read += 1;
        match (self.found.len() > LOGS_MAX, self.read > LOGS_MAX_READ) {
            (false, false) => Ok(()),
            (true, _) => Err(too_much(self.from, height, format_args!("query returned more than {LOGS_MAX} results"))),
            (_, true) => Err(too_much(self.from, height, format_args!("query read more than {LOGS_MAX_READ} blocks"))),
        }
    }
}

/// Refuses with the part of the range that was below the limit, in words that clients take the range from.
fn too_much(from: Height, height: Height, what: impl std::fmt::Display) -> ErrorObjectOwned {
    match height > from {
        true => error::limit_exceeded(format_args!("{what}. {}", this_range(from, height - 1))),
        false => error::limit_exceeded(format_args!("{what} in block {height} alone: name more of what is looked for")),
    }
}

fn this_range(from: Height, to: Height) -> String {
    format!("Try with this block range [{from:#x}, {to:#x}].")
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

/// Refuses a range of which too many blocks are not indexed for what is asked.
fn check_width(from: Height, to: Height, indexed_from: Height) -> Answer<()> {
    if indexed_from - from <= LOGS_MAX_BLOCKS {
        return Ok(());
    }
    let remedy = match indexed_from > to {
        true => "name an address or topic of blocks that are indexed".to_owned(),
        false => format!("logs are indexed from block {indexed_from} on"),
    };
    Err(error::limit_exceeded(format_args!(
        "blocks {from} to {to} are over the limit of {LOGS_MAX_BLOCKS} blocks without an index: {remedy}. {}",
        this_range(from, from + LOGS_MAX_BLOCKS - 1)
    )))
}

/// First and last block a filter is about.
fn range_of(eth: &Eth, filter: &Filter) -> Answer<(Height, Height)> {
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
    blocks::check_kept(eth, from.max(1), to)?;
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_a_range_that_works() {
        let refusal = too_much(3, 20, "too much");
        assert_eq!((refusal.code(), refusal.message()), (-32005, "too much. Try with this block range [0x3, 0x13]."));
        assert!(too_much(3, 3, "too much").message().starts_with("too much in block 3 alone"));
        // An old database: the index begins in block 5,000.
        assert!(check_width(4_500, 9_000, 5_000).is_ok());
        let refusal = check_width(0, 9_000, 5_000).unwrap_err();
        let words = "blocks 0 to 9000 are over the limit of 1000 blocks without an index: logs are indexed from block 5000 on. \
                     Try with this block range [0x0, 0x3e7].";
        assert_eq!(refusal.message(), words);
    }
}
