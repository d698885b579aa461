//! Whether a proposed block may be voted for: a function of the chain and the block.
//!
//! Owns the rules and their words. Must not know stores, tasks, the engine, nor in which round a block is proposed. Invariant:
//! apart from [`check_clock`], which only delays a vote, every honest node gives the same answer.

use super::committees::Seated;
use crate::{
    consensus::{BLOCK_MAX_TXS, Block, Executed, Header, beacon, rotation},
    ledger::tx::TxError,
    types::{
        Address, B256, BlockId, ChainId, Height,
        params::{BLOCK_GAS_LIMIT, BLOCK_MAX_BYTES, TX_MAX_BYTES},
    },
};

/// How far ahead of the local clock a block's time may lie.
pub const FUTURE_MAX_MS: u64 = 15_000;

/// What a block must build on.
pub struct Expected<'a> {
    /// The chain.
    pub chain_id: ChainId,
    /// Height to be decided.
    pub height: Height,
    /// Id of the newest decided block.
    pub parent: BlockId,
    /// Its time.
    pub parent_time_ms: u64,
    /// Hash of the executed block of a height the header may name, as far as this node has come.
    pub executed: &'a dyn Fn(Height) -> Option<B256>,
    /// Who decides.
    pub committee: &'a Seated,
    /// Who decides the height after it.
    pub next_committee: &'a Seated,
    /// Beacon of the parent.
    pub seed: B256,
}

/// Why a proposed block was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockFault {
    /// Built for another chain.
    #[error("block is for chain {found}, this is chain {expected}")]
    ChainId { found: ChainId, expected: ChainId },
    /// Not the next height.
    #[error("block has height {found}, expected {expected}")]
    Height { found: Height, expected: Height },
    /// Does not follow the newest block.
    #[error("block follows {found}, expected {expected}")]
    Parent { found: BlockId, expected: BlockId },
    /// It names an executed block that is not just below it.
    #[error("block of height {height} certifies the execution of block {named}, which is not just below it")]
    Lag { height: Height, named: Height },
    /// This node is not as far.
    #[error("block certifies the execution of block {0}, which this node has not executed yet")]
    NotExecuted(Height),
    /// Its proposer executed something else.
    #[error("block certifies {found} as executed block {height}, this node computed {expected}")]
    Executed { height: Height, found: B256, expected: B256 },
    /// Another committee.
    #[error("block names another {0} than the chain's")]
    Committee(&'static str),
    /// Time does not advance.
    #[error("block time {found} ms is not after its parent's {parent} ms")]
    TimeNotAfter { found: u64, parent: u64 },
    /// Too far ahead.
    #[error("block time {found} ms is more than {FUTURE_MAX_MS} ms ahead of this node's clock {now} ms")]
    TimeAhead { found: u64, now: u64 },
    /// Not this member's turn.
    #[error("block of round {round} is by {found}, it is the turn of {expected}")]
    Proposer { round: u32, found: Address, expected: Address },
    /// The beacon contribution does not verify.
    #[error("beacon proof of {0} is not valid")]
    Beacon(Address),
    /// The header commits to other transactions.
    #[error("block body does not match its header")]
    Body,
    /// Over a bound.
    #[error("block has {found} {what}, the limit is {max}")]
    TooLarge { what: &'static str, found: u64, max: u64 },
    /// A transaction that is not valid.
    #[error("transaction {index} of the block is not valid: {reason}")]
    Transaction { index: usize, reason: TxError },
    /// The same transaction twice.
    #[error("transaction {0} is in the block twice")]
    Repeated(B256),
}

/// Checks everything but the transactions' contents and the clock. Returns the beacon the block would bring.
pub fn check_header(block: &Block, expected: &Expected<'_>) -> Result<B256, BlockFault> {
    let header = &block.header;
    if header.chain_id != expected.chain_id {
        return Err(BlockFault::ChainId { found: header.chain_id, expected: expected.chain_id });
    }
    if header.height != expected.height {
        return Err(BlockFault::Height { found: header.height, expected: expected.height });
    }
    if header.parent != expected.parent {
        return Err(BlockFault::Parent { found: header.parent, expected: expected.parent });
    }
    check_executed(header, expected.executed)?;
    if header.committee != expected.committee.hash {
        return Err(BlockFault::Committee("committee"));
    }
    if header.next_committee != expected.next_committee.hash {
        return Err(BlockFault::Committee("next committee"));
    }
    if header.time_ms <= expected.parent_time_ms {
        return Err(BlockFault::TimeNotAfter { found: header.time_ms, parent: expected.parent_time_ms });
    }
    check_proposer(block, expected)?;
    check_body(block)?;
    let committee = &expected.committee.committee;
    let member = committee.by_account(&header.proposer).ok_or(BlockFault::Beacon(header.proposer))?;
    beacon::verify(&member.vrf_key, &header.vrf, header.chain_id, header.height, &expected.seed)
        .map_err(|_| BlockFault::Beacon(header.proposer))
}

/// Which executed block a header may name.
pub fn check_lag(header: &Header) -> Result<(), BlockFault> {
    let (height, named) = (header.height, header.executed.height);
    if header.executed.may_be_named_at(height) { Ok(()) } else { Err(BlockFault::Lag { height, named }) }
}

fn check_executed(header: &Header, known: &dyn Fn(Height) -> Option<B256>) -> Result<(), BlockFault> {
    check_lag(header)?;
    let Executed { height, hash: found } = header.executed;
    let expected = known(height).ok_or(BlockFault::NotExecuted(height))?;
    if found == expected { Ok(()) } else { Err(BlockFault::Executed { height, found, expected }) }
}

/// A block names the round it was built for and whose turn that is, and keeps both when it is proposed again.
fn check_proposer(block: &Block, expected: &Expected<'_>) -> Result<(), BlockFault> {
    let built = block.header.round;
    let turn = rotation::proposer(&expected.committee.committee, &expected.seed, expected.height, built);
    if block.header.proposer != turn {
        return Err(BlockFault::Proposer { round: built, found: block.header.proposer, expected: turn });
    }
    Ok(())
}

fn check_body(block: &Block) -> Result<(), BlockFault> {
    let bound = |what, found: usize, max: usize| match found > max {
        true => Err(BlockFault::TooLarge { what, found: wide(found), max: wide(max) }),
        false => Ok(()),
    };
    bound("transactions", block.txs.len(), BLOCK_MAX_TXS)?;
    bound("bytes", block.body_bytes(), BLOCK_MAX_BYTES)?;
    for tx in &block.txs {
        bound("bytes in one transaction", tx.len(), TX_MAX_BYTES)?;
    }
    if Block::body_hash(&block.txs) != block.header.body {
        return Err(BlockFault::Body);
    }
    Ok(())
}

/// Checks the clock. Only for a block nobody has voted for yet: two thirds of the committee outvote one clock.
pub fn check_clock(header: &Header, now_ms: u64) -> Result<(), BlockFault> {
    match header.time_ms > now_ms.saturating_add(FUTURE_MAX_MS) {
        true => Err(BlockFault::TimeAhead { found: header.time_ms, now: now_ms }),
        false => Ok(()),
    }
}

/// Checks the sum of gas limits.
pub fn check_gas(limits: impl Iterator<Item = u64>) -> Result<(), BlockFault> {
    let found = limits.fold(0u64, u64::saturating_add);
    match found > BLOCK_GAS_LIMIT {
        true => Err(BlockFault::TooLarge { what: "gas", found, max: BLOCK_GAS_LIMIT }),
        false => Ok(()),
    }
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).expect("a usize fits 64 bits")
}

#[cfg(test)]
mod tests;
