//! Which block a request means.

use super::{Answer, Api, broken};
use crate::{chain::full::FullChain, rpc::error, types::Height};
use alloy_eips::{BlockId, BlockNumberOrTag};

/// Height a tag stands for. Every executed block is final: `latest`, `safe`, `finalized` and `pending` are one.
pub fn height_of(chain: &FullChain, tag: BlockNumberOrTag) -> Height {
    match tag {
        BlockNumberOrTag::Earliest => 0,
        BlockNumberOrTag::Number(number) => number,
        _ => chain.head().height(),
    }
}

/// Height a block id stands for, `None` if there is no such block.
pub fn find(chain: &FullChain, id: BlockId) -> Answer<Option<Height>> {
    let newest = chain.head().height();
    match id {
        BlockId::Number(tag) => Ok(Some(height_of(chain, tag)).filter(|height| *height <= newest)),
        BlockId::Hash(hash) => chain.blocks().find_block(&hash.block_hash).map_err(broken),
    }
}

/// Refuses a block whose state is not kept.
pub fn check_state(api: &Api, id: Option<BlockId>) -> Answer<()> {
    let Some(id) = id else { return Ok(()) };
    let before = api.chain.head().height();
    let Some(height) = find(&api.chain, id)? else { return Err(error::not_found(format_args!("block {id}"))) };
    // The head may have moved since the height was looked up: a tag always means the newest.
    let newest = before.min(api.chain.head().height());
    let is_tag = matches!(id, BlockId::Number(tag) if !tag.is_number() && !tag.is_earliest());
    if is_tag || height >= newest {
        return Ok(());
    }
    Err(error::server_error(format_args!(
        "state of block {height} is not kept, only that of the newest block {newest} is"
    )))
}
