//! Blocks that are proposed but not decided: their parts on the way in, and the whole ones.
//!
//! Owns assembly and lookup by height and id. Must not know whether a block is valid.
//! Invariants: a whole block has the id and body its parts were announced with; what one sender can make this node keep is
//! bounded; blocks of later heights wait here until their height begins.

use super::proposal_log::Stored;
use crate::{
    codec::{self, Wire},
    consensus::{
        Block,
        context::Account,
        messages::{PART_MAX_BYTES, ProposalPart},
    },
    types::{BlockId, ChainId, Height},
};
use arc_malachitebft_sync::PeerId;
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};

/// Heights beyond the next one for which proposals are kept: they arrive while this node still commits.
pub(super) const HEIGHTS_AHEAD: u64 = 16;
/// Assemblies one sender may have open.
const SENDER_MAX_ASSEMBLIES: usize = 4;
/// Whole blocks of one height kept for one sender.
const SENDER_MAX_BLOCKS: usize = 16;
/// Bytes of blocks that wait for their height.
const EARLY_MAX_BYTES: usize = 64 << 20;
/// Parts of the largest block.
const PARTS_MAX: usize = Block::MAX_BYTES.div_ceil(PART_MAX_BYTES);

/// A whole block with how it was proposed.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Round it was proposed in last.
    pub round: u32,
    /// Earlier round in which two thirds prevoted for it.
    pub pol_round: Option<u32>,
    /// Who proposed it in that round.
    pub proposer: Account,
    /// The block.
    pub block: Arc<Block>,
    /// Who sent it; `None` for this node's own and recovered ones.
    from: Option<PeerId>,
    /// Encoded size.
    size: usize,
    /// Whether the application has found it valid.
    pub valid: bool,
}

impl Candidate {
    /// A block built here or found in the log.
    pub fn own(stored: Stored) -> Self {
        let Stored { round, pol_round, proposer, block } = stored;
        Self { round, pol_round, proposer, size: block.body_bytes(), block: Arc::new(block), from: None, valid: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AssemblyKey {
    from: PeerId,
    height: Height,
    round: u32,
    block: BlockId,
}

#[derive(Debug)]
struct Assembly {
    parts: Vec<Option<Bytes>>,
    missing: usize,
}

/// Why a part was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PartError {
    #[error("part {index} of {count} with {len} B is out of bounds")]
    Bounds { index: u32, count: u32, len: usize },
    #[error("parts of block {block} disagree about their number")]
    Count { block: BlockId },
    #[error("parts of block {block} do not make that block: {reason}")]
    NotTheBlock { block: BlockId, reason: String },
    #[error("sender has {SENDER_MAX_BLOCKS} blocks at height {height} already")]
    TooManyBlocks { height: Height },
    #[error("blocks of later heights take {EARLY_MAX_BYTES} B already")]
    TooManyEarly,
}

/// The proposals of the next height and the heights after.
pub(super) struct Proposals {
    chain_id: ChainId,
    assemblies: BTreeMap<AssemblyKey, Assembly>,
    blocks: BTreeMap<Height, BTreeMap<BlockId, Candidate>>,
}

impl Proposals {
    /// Nothing yet.
    pub fn new(chain_id: ChainId) -> Self {
        Self { chain_id, assemblies: BTreeMap::new(), blocks: BTreeMap::new() }
    }

    /// Forgets everything below `next`.
    pub fn prune(&mut self, next: Height) {
        self.assemblies.retain(|key, _| key.height >= next);
        self.blocks = self.blocks.split_off(&next);
    }

    /// A whole block by id.
    pub fn get(&self, height: Height, id: &BlockId) -> Option<&Candidate> {
        self.blocks.get(&height)?.get(id)
    }

    /// Whole blocks of `height` the application has not judged yet.
    pub fn unjudged(&self, height: Height) -> Vec<Candidate> {
        let blocks = self.blocks.get(&height).into_iter().flat_map(BTreeMap::values);
        blocks.filter(|candidate| !candidate.valid).cloned().collect()
    }

    /// The block `proposer` itself built for `height` and `round`, if it is known.
    pub fn built_by(&self, height: Height, round: u32, proposer: &Account) -> Option<&Candidate> {
        let header = |c: &Candidate| c.block.header.round == round && c.block.header.proposer == proposer.0;
        self.blocks.get(&height)?.values().find(|candidate| header(candidate))
    }

    /// Keeps a block without asking where it is from.
    pub fn insert(&mut self, candidate: Candidate) {
        let header = &candidate.block.header;
        self.blocks.entry(header.height).or_default().insert(header.id(), candidate);
    }

    /// Marks a block valid, or forgets it.
    pub fn judge(&mut self, height: Height, id: &BlockId, valid: bool) {
        let Some(blocks) = self.blocks.get_mut(&height) else { return };
        match blocks.get_mut(id) {
            Some(candidate) if valid => candidate.valid = true,
            _ => {
                blocks.remove(id);
            }
        }
    }

    /// Takes in a part. Returns the block when it is the last missing one.
    pub fn add_part(&mut self, from: PeerId, part: ProposalPart, next: Height) -> Result<Option<Candidate>, PartError> {
        let (height, block) = (part.height, part.block);
        if height < next || height > next + HEIGHTS_AHEAD {
            return Ok(None);
        }
        if let Some(known) = self.blocks.get_mut(&height).and_then(|blocks| blocks.get_mut(&block)) {
            return Ok(announce_again(known, &part));
        }
        let Some(bytes) = self.assemble(from, &part)? else { return Ok(None) };
        let whole = check_block(self.chain_id, height, block, &bytes)
            .map_err(|reason| PartError::NotTheBlock { block, reason })?;
        let candidate = Candidate {
            round: part.round,
            pol_round: part.pol_round,
            proposer: part.proposer,
            block: Arc::new(whole),
            from: Some(from),
            size: bytes.len(),
            valid: false,
        };
        self.admit(height, next, &candidate)?;
        self.insert(candidate.clone());
        Ok(Some(candidate))
    }

    fn assemble(&mut self, from: PeerId, part: &ProposalPart) -> Result<Option<Vec<u8>>, PartError> {
        let bounds = PartError::Bounds { index: part.index, count: part.count, len: part.bytes.len() };
        let (Ok(index), Ok(count)) = (usize::try_from(part.index), usize::try_from(part.count)) else {
            return Err(bounds);
        };
        if index >= count || count > PARTS_MAX || part.bytes.len() > PART_MAX_BYTES {
            return Err(bounds);
        }
        let key = AssemblyKey { from, height: part.height, round: part.round, block: part.block };
        let assembly =
            self.assemblies.entry(key).or_insert_with(|| Assembly { parts: vec![None; count], missing: count });
        if assembly.parts.len() != count {
            return Err(PartError::Count { block: part.block });
        }
        if assembly.parts[index].replace(part.bytes.clone()).is_none() {
            assembly.missing -= 1;
        }
        if assembly.missing > 0 {
            self.bound_assemblies(from);
            return Ok(None);
        }
        let whole = self.assemblies.remove(&key).map(|assembly| assembly.parts).unwrap_or_default();
        Ok(Some(whole.into_iter().flatten().fold(Vec::new(), |mut bytes, part| {
            bytes.extend_from_slice(&part);
            bytes
        })))
    }

    /// Drops the sender's oldest unfinished blocks.
    fn bound_assemblies(&mut self, from: PeerId) {
        let of_sender: Vec<AssemblyKey> = self.assemblies.keys().filter(|key| key.from == from).copied().collect();
        let excess = of_sender.len().saturating_sub(SENDER_MAX_ASSEMBLIES);
        for key in &of_sender[..excess] {
            self.assemblies.remove(key);
        }
    }

    fn admit(&self, height: Height, next: Height, candidate: &Candidate) -> Result<(), PartError> {
        let of_sender = |blocks: &BTreeMap<BlockId, Candidate>| {
            blocks.values().filter(|known| known.from == candidate.from).count()
        };
        if self.blocks.get(&height).map_or(0, of_sender) >= SENDER_MAX_BLOCKS {
            return Err(PartError::TooManyBlocks { height });
        }
        let early: usize = self.blocks.range(next + 1..).flat_map(|(_, b)| b.values()).map(|c| c.size).sum();
        if height > next && early + candidate.size > EARLY_MAX_BYTES {
            return Err(PartError::TooManyEarly);
        }
        Ok(())
    }
}

/// A known block proposed again: news only with its last part, so that a streamed repetition counts once.
fn announce_again(known: &mut Candidate, part: &ProposalPart) -> Option<Candidate> {
    let news = part.round > known.round && part.index.checked_add(1) == Some(part.count);
    if news {
        (known.round, known.pol_round, known.proposer) = (part.round, part.pol_round, part.proposer);
    }
    news.then(|| known.clone())
}

/// Decodes a block and checks that it is the one that was announced.
pub(super) fn check_block(chain_id: ChainId, height: Height, id: BlockId, bytes: &[u8]) -> Result<Block, String> {
    let block: Block = codec::decode(bytes).map_err(|e| e.to_string())?;
    if block.header.chain_id != chain_id {
        return Err(format!("it is of chain {}, this is chain {chain_id}", block.header.chain_id));
    }
    if block.header.height != height {
        return Err(format!("it has height {}", block.header.height));
    }
    if block.id() != id {
        return Err(format!("it has id {}", block.id()));
    }
    if Block::body_hash(&block.txs) != block.header.body {
        return Err("its transactions are not those of its header".to_owned());
    }
    Ok(block)
}

/// Cuts a block into parts.
pub(super) fn parts_of(stored: &Stored, encoded: Bytes) -> Vec<ProposalPart> {
    let count = encoded.len().div_ceil(PART_MAX_BYTES);
    let number = |n: usize| u32::try_from(n).expect("a block has a few dozen parts");
    let part = |index: usize| {
        let start = index * PART_MAX_BYTES;
        ProposalPart {
            height: stored.height(),
            round: stored.round,
            pol_round: stored.pol_round,
            proposer: stored.proposer,
            block: stored.block.id(),
            index: number(index),
            count: number(count),
            bytes: encoded.slice(start..encoded.len().min(start + PART_MAX_BYTES)),
        }
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(byte: u8) -> PeerId {
        PeerId::from_bytes(&[[0, 32].as_slice(), &[byte; 32]].concat()).unwrap()
    }

    fn parts(stored: &Stored) -> Vec<ProposalPart> {
        parts_of(stored, codec::encode(&stored.block).into())
    }

    #[test]
    fn large_blocks_assemble_in_any_order() {
        let mut store = Proposals::new(1);
        let stored = Stored::sample(3, 0, vec![vec![5; PART_MAX_BYTES]; 3]);
        let mut parts = parts(&stored);
        assert_eq!(parts.len(), 4);
        parts.reverse();
        let last = parts.pop().unwrap();
        for part in parts {
            assert!(store.add_part(peer(1), part.clone(), 3).unwrap().is_none());
            assert!(store.add_part(peer(1), part, 3).unwrap().is_none());
        }
        let whole = store.add_part(peer(1), last.clone(), 3).unwrap().unwrap();
        assert_eq!(*whole.block, stored.block);
        assert_eq!(*store.get(3, &stored.block.id()).unwrap().block, stored.block);
        assert!(store.assemblies.is_empty());
        assert!(store.add_part(peer(2), last, 3).unwrap().is_none());
        store.prune(4);
        assert!(store.get(3, &stored.block.id()).is_none());
    }

    #[test]
    fn a_block_proposed_again_is_news_once() {
        let mut store = Proposals::new(1);
        let mut first = Stored::sample(3, 0, vec![vec![5; PART_MAX_BYTES]]);
        for part in parts(&first) {
            store.add_part(peer(1), part, 3).unwrap();
        }
        (first.round, first.pol_round) = (2, Some(0));
        let again = parts(&first);
        assert!(store.add_part(peer(2), again[0].clone(), 3).unwrap().is_none());
        let news = store.add_part(peer(2), again[1].clone(), 3).unwrap().unwrap();
        assert_eq!((news.round, news.pol_round, news.block.header.round), (2, Some(0), 0));
        assert!(store.add_part(peer(3), again[1].clone(), 3).unwrap().is_none());
    }

    #[test]
    fn refuses_what_is_not_the_block() {
        let mut store = Proposals::new(1);
        let good = Stored::sample(3, 0, vec![vec![1]]);
        let refused = |store: &mut Proposals, change: &dyn Fn(&mut Stored)| {
            let mut other = good.clone();
            change(&mut other);
            let mut part = parts(&other).remove(0);
            (part.height, part.block) = (3, good.block.id());
            store.add_part(peer(1), part, 3)
        };
        for change in [
            (|s: &mut Stored| s.block.txs[0][0] = 2) as fn(&mut Stored),
            |s| s.block.header.height = 4,
            |s| s.block.header.chain_id = 2,
            |s| s.block.header.time_ms = 9,
        ] {
            assert!(matches!(refused(&mut store, &change), Err(PartError::NotTheBlock { .. })));
        }
        assert!(refused(&mut store, &|_| ()).unwrap().is_some());
        let mut part = parts(&Stored::sample(3, 1, vec![])).remove(0);
        part.count = 1_000;
        assert!(matches!(store.add_part(peer(1), part, 3), Err(PartError::Bounds { .. })));
    }

    #[test]
    fn senders_are_bounded() {
        let mut store = Proposals::new(1);
        for round in 0..40 {
            let block = Stored::sample(3, round, vec![vec![5; PART_MAX_BYTES]]);
            store.add_part(peer(1), parts(&block).remove(0), 3).unwrap();
        }
        assert_eq!(store.assemblies.len(), SENDER_MAX_ASSEMBLIES);
        let mut add =
            |height, round| store.add_part(peer(1), parts(&Stored::sample(height, round, vec![])).remove(0), 3);
        for round in 0..16 {
            assert!(add(3, round).unwrap().is_some());
        }
        assert_eq!(add(3, 16).unwrap_err(), PartError::TooManyBlocks { height: 3 });
        assert!(add(2, 0).unwrap().is_none());
        assert!(add(3 + HEIGHTS_AHEAD + 1, 0).unwrap().is_none());
        assert!(add(4, 0).unwrap().is_some());
        assert_eq!(store.unjudged(4).len(), 1);
    }
}
