//! Which block a request means.

use super::{
    Answer, Eth,
    backend::{ChainState, StateGone},
    broken,
};
use crate::{
    chain::{error::NotKept, records::ExecutedBlock},
    rpc::{ErrorObjectOwned, error},
    types::Height,
};
use alloy_eips::{BlockId, BlockNumberOrTag};

/// Height a tag stands for. What is pending is shown as the newest block: there is no block until it is decided.
pub fn height_of(eth: &Eth, tag: BlockNumberOrTag) -> Height {
    match tag {
        BlockNumberOrTag::Earliest => 0,
        BlockNumberOrTag::Number(number) => number,
        BlockNumberOrTag::Safe => eth.safe(),
        BlockNumberOrTag::Finalized => eth.finalized(),
        BlockNumberOrTag::Latest | BlockNumberOrTag::Pending => eth.latest(),
    }
}

/// Height a block id stands for, `None` if there is no such block.
pub fn find(eth: &Eth, id: BlockId) -> Answer<Option<Height>> {
    match id {
        BlockId::Number(tag) => Ok(Some(height_of(eth, tag)).filter(|height| *height <= eth.latest())),
        BlockId::Hash(hash) => eth.find_block(&hash.block_hash).map_err(broken),
    }
}

/// Height of a block that must exist.
pub fn known(eth: &Eth, id: Option<BlockId>) -> Answer<Height> {
    let id = id.unwrap_or_default();
    find(eth, id)?.ok_or_else(|| unknown(id))
}

/// Nobody has this block.
pub fn unknown(id: BlockId) -> ErrorObjectOwned {
    error::server_error(match id {
        BlockId::Hash(hash) => format!("header not found: block {} is not known", hash.block_hash),
        BlockId::Number(tag) => format!("header not found: block {tag} is not known"),
    })
}

/// The block a request names and the state after it.
pub fn state(eth: &Eth, id: Option<BlockId>) -> Answer<(ExecutedBlock, ChainState)> {
    let height = known(eth, id)?;
    let header = eth.header(height).map_err(broken)?;
    let header = header.ok_or_else(|| broken(format_args!("executed header {height} is missing")))?;
    Ok((header, state_at(eth, height)?))
}

/// The state after a block.
pub fn state_at(eth: &Eth, height: Height) -> Answer<ChainState> {
    eth.state(height).map_err(|gone| match gone {
        StateGone::Pruned { .. } => error::error(error::PRUNED, gone),
        StateGone::Ahead(_) => error::server_error(gone),
        StateGone::Store(e) => broken(e),
    })
}

/// Refuses heights whose transactions are not kept.
pub fn check_kept(eth: &Eth, from: Height, to: Height) -> Answer<()> {
    let first = eth.first_kept().map_err(broken)?;
    NotKept::check(first, from, to).map_err(|gone| error::error(error::PRUNED, gone))
}
