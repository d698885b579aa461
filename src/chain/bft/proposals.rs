//! Blocks that are proposed but not decided: their parts on the way in, and the whole ones.
//!
//! Owns assembly and lookup by height and id. Must not know whether a block is valid, nor who proposes it when.
//! Invariants: a whole block has the id and body its parts were announced with; what one sender can make this node keep is
//! bounded; blocks of later heights wait here until their height begins; a block that was refused is not taken in again.

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
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

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

/// A whole block.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The block.
    pub block: Arc<Block>,
    /// Whether it is in the proposal log.
    pub logged: bool,
    /// Whether the application has found it valid.
    pub valid: bool,
    /// Who sent it; `None` for this node's own, recovered and synced ones.
    from: Option<PeerId>,
    /// Encoded size.
    size: usize,
}

impl Candidate {
    /// A block that is known to be valid.
    pub fn valid(block: Block) -> Self {
        Self { valid: true, ..Self::recovered(block) }
    }

    /// A block found in the log.
    pub fn recovered(block: Block) -> Self {
        Self { size: block.body_bytes(), block: Arc::new(block), logged: true, valid: false, from: None }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct AssemblyKey {
    from: PeerId,
    height: Height,
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
    refused: BTreeSet<(Height, BlockId)>,
}

impl Proposals {
    /// Nothing yet.
    pub fn new(chain_id: ChainId) -> Self {
        Self { chain_id, assemblies: BTreeMap::new(), blocks: BTreeMap::new(), refused: BTreeSet::new() }
    }

    /// Forgets everything below `next`.
    pub fn prune(&mut self, next: Height) {
        self.assemblies.retain(|key, _| key.height >= next);
        self.blocks = self.blocks.split_off(&next);
        self.refused = self.refused.split_off(&(next, BlockId::default()));
    }

    /// A whole block by id.
    pub fn get(&self, height: Height, id: &BlockId) -> Option<&Candidate> {
        self.blocks.get(&height)?.get(id)
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

    /// Marks a block valid, or forgets it for good.
    pub fn judge(&mut self, height: Height, id: &BlockId, valid: bool) {
        let Some(blocks) = self.blocks.get_mut(&height) else { return };
        match blocks.get_mut(id) {
            Some(candidate) if valid => (candidate.valid, candidate.logged) = (true, true),
            _ => {
                blocks.remove(id);
                self.refused.insert((height, *id));
            }
        }
    }

    /// Takes in a part. Whether it made its block whole.
    pub fn add_part(&mut self, from: PeerId, part: &ProposalPart, next: Height) -> Result<bool, PartError> {
        let (height, block) = (part.height, part.block);
        if height < next || height > next + HEIGHTS_AHEAD {
            return Ok(false);
        }
        if self.get(height, &block).is_some() || self.refused.contains(&(height, block)) {
            return Ok(false);
        }
        let Some(bytes) = self.assemble(from, part)? else { return Ok(false) };
        let whole = check_block(self.chain_id, height, block, &bytes)
            .map_err(|reason| PartError::NotTheBlock { block, reason })?;
        let (block, size) = (Arc::new(whole), bytes.len());
        let candidate = Candidate { block, logged: false, valid: false, from: Some(from), size };
        self.admit(height, next, &candidate)?;
        self.insert(candidate);
        Ok(true)
    }

    fn assemble(&mut self, from: PeerId, part: &ProposalPart) -> Result<Option<Vec<u8>>, PartError> {
        let bounds = PartError::Bounds { index: part.index, count: part.count, len: part.bytes.len() };
        let (Ok(index), Ok(count)) = (usize::try_from(part.index), usize::try_from(part.count)) else {
            return Err(bounds);
        };
        if index >= count || count > PARTS_MAX || part.bytes.len() > PART_MAX_BYTES {
            return Err(bounds);
        }
        let key = AssemblyKey { from, height: part.height, block: part.block };
        let assembly =
            self.assemblies.entry(key).or_insert_with(|| Assembly { parts: vec![None; count], missing: count });
        if assembly.parts.len() != count {
            return Err(PartError::Count { block: part.block });
        }
        if assembly.parts[index].replace(part.bytes.clone()).is_none() {
            assembly.missing -= 1;
        }
        if assembly.missing > 0 {
            self.bound_assemblies(&key);
            return Ok(None);
        }
        let whole = self.assemblies.remove(&key).map(|assembly| assembly.parts).unwrap_or_default();
        Ok(Some(whole.into_iter().flatten().fold(Vec::new(), |mut bytes, part| {
            bytes.extend_from_slice(&part);
            bytes
        })))
    }

    /// Drops unfinished blocks of one sender, those of the lowest heights first and `latest` never.
    fn bound_assemblies(&mut self, latest: &AssemblyKey) {
        let others = self.assemblies.keys().filter(|key| key.from == latest.from && *key != latest);
        let others: Vec<AssemblyKey> = others.copied().collect();
        let excess = (others.len() + 1).saturating_sub(SENDER_MAX_ASSEMBLIES);
        for key in &others[..excess] {
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
pub(super) fn parts_of(block: &Block) -> Vec<ProposalPart> {
    let (encoded, id) = (Bytes::from(codec::encode(block)), block.id());
    let count = encoded.len().div_ceil(PART_MAX_BYTES);
    let number = |n: usize| u32::try_from(n).expect("a block has a few dozen parts");
    let part = |index: usize| {
        let start = index * PART_MAX_BYTES;
        ProposalPart {
            height: block.header.height,
            block: id,
            index: number(index),
            count: number(count),
            bytes: encoded.slice(start..encoded.len().min(start + PART_MAX_BYTES)),
        }
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::proposal_log::Stored, *};

    fn peer(byte: u8) -> PeerId {
        PeerId::from_bytes(&[[0, 32].as_slice(), &[byte; 32]].concat()).unwrap()
    }

    fn block(height: Height, round: u32, txs: Vec<Vec<u8>>) -> Block {
        Stored::sample(height, round, txs).block
    }

    #[test]
    fn large_blocks_assemble_in_any_order() {
        let mut store = Proposals::new(1);
        let whole = block(3, 0, vec![vec![5; PART_MAX_BYTES]; 3]);
        let mut parts = parts_of(&whole);
        assert_eq!(parts.len(), 4);
        parts.reverse();
        let last = parts.pop().unwrap();
        for part in parts {
            assert_eq!(store.add_part(peer(1), &part, 3), Ok(false));
            assert_eq!(store.add_part(peer(1), &part, 3), Ok(false));
        }
        assert_eq!(store.add_part(peer(1), &last, 3), Ok(true));
        assert_eq!(*store.get(3, &whole.id()).unwrap().block, whole);
        assert!(store.assemblies.is_empty());
        assert_eq!(store.add_part(peer(2), &last, 3), Ok(false), "it is whole");
        store.prune(4);
        assert!(store.get(3, &whole.id()).is_none());
    }

    #[test]
    fn a_refused_block_stays_refused() {
        let mut store = Proposals::new(1);
        let refused = block(3, 0, vec![]);
        let part = parts_of(&refused).remove(0);
        assert_eq!(store.add_part(peer(1), &part, 3), Ok(true));
        store.judge(3, &refused.id(), false);
        assert_eq!(store.add_part(peer(2), &part, 3), Ok(false));
        assert!(store.get(3, &refused.id()).is_none());
        store.prune(4);
        assert!(store.refused.is_empty());
    }

    #[test]
    fn refuses_what_is_not_the_block() {
        let mut store = Proposals::new(1);
        let good = block(3, 0, vec![vec![1]]);
        let refused = |store: &mut Proposals, change: &dyn Fn(&mut Block)| {
            let mut other = good.clone();
            change(&mut other);
            let mut part = parts_of(&other).remove(0);
            (part.height, part.block) = (3, good.id());
            store.add_part(peer(1), &part, 3)
        };
        for change in [
            (|b: &mut Block| b.txs[0][0] = 2) as fn(&mut Block),
            |b| b.header.height = 4,
            |b| b.header.chain_id = 2,
            |b| b.header.time_ms = 9,
        ] {
            assert!(matches!(refused(&mut store, &change), Err(PartError::NotTheBlock { .. })));
        }
        assert_eq!(refused(&mut store, &|_| ()), Ok(true));
        let mut part = parts_of(&block(3, 1, vec![])).remove(0);
        part.count = 1_000;
        assert!(matches!(store.add_part(peer(1), &part, 3), Err(PartError::Bounds { .. })));
    }

    #[test]
    fn senders_are_bounded() {
        let mut store = Proposals::new(1);
        for round in 0..40 {
            let block = block(3, round, vec![vec![5; PART_MAX_BYTES]]);
            store.add_part(peer(1), &parts_of(&block)[0], 3).unwrap();
            assert!(store.assemblies.keys().any(|key| key.block == block.id()), "the latest one stays");
        }
        assert_eq!(store.assemblies.len(), SENDER_MAX_ASSEMBLIES);
        let mut add = |height, round| store.add_part(peer(1), &parts_of(&block(height, round, vec![]))[0], 3);
        for round in 0..16 {
            assert_eq!(add(3, round), Ok(true));
        }
        assert_eq!(add(3, 16), Err(PartError::TooManyBlocks { height: 3 }));
        assert_eq!(add(2, 0), Ok(false));
        assert_eq!(add(3 + HEIGHTS_AHEAD + 1, 0), Ok(false));
        assert_eq!(add(4, 0), Ok(true));
    }
}
