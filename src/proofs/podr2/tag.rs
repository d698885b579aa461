//! Tags: σ_i = (H(fragment id ‖ i) · g1^(f_i(α)))^x for each block i of a fragment; making them, and a miner's check of what it got.
//!
//! Invariant: no tag leaves before the fragment's bytes have hashed to its id. Two contents tagged under one id and index would
//! give everybody the means to forge.

use super::{
    curve::{G1, G1_BYTES, G1Affine, G2Affine, PointError, pairings_cancel, scalar_sum, weighted_sum},
    keys::{GroupKey, Srs, TaggerKey},
    polynomial::{BLOCK_BYTES, BlockSum},
};
use crate::{
    crypto::hash::{DOMAIN_PODR2_WEIGHTS, stream},
    proofs::{fragment::Fragment, round::Draws},
    types::FragmentId,
};
use rayon::prelude::*;
use std::fmt;

/// Bytes of a tag.
pub const TAG_BYTES: usize = G1_BYTES;
/// Blocks a tagger collects before it works on them, on all of its threads.
const BATCH_BLOCKS: usize = 32;
/// Blocks of a task: they share one inversion.
const TASK_BLOCKS: usize = 8;
/// Blocks of a task of [`check_tags`]: they share two sums of points.
const CHECK_TASK_BLOCKS: usize = 128;

/// The tag of a block: a compressed point, checked when it is used.
#[derive(Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Tag(pub [u8; TAG_BYTES]);

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({}…)", hex::encode(&self.0[..4]))
    }
}

/// Why a fragment was not tagged, or its tags were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Other than the registered number of bytes.
    #[error("fragment `{fragment}` has {expected} B, {given} B were given")]
    Length { fragment: FragmentId, given: u64, expected: u64 },
    /// The bytes are those of another fragment.
    #[error("the bytes given for fragment `{fragment}` hash to `{found}`")]
    Content { fragment: FragmentId, found: FragmentId },
    /// Not a tag for each block.
    #[error("fragment `{fragment}` has {expected} blocks, {given} tags were given")]
    Count { fragment: FragmentId, given: usize, expected: u32 },
    /// A tag that is no point of the group.
    #[error("tag {block} of fragment `{fragment}`: {reason}")]
    Point { fragment: FragmentId, block: u32, reason: PointError },
    /// Tags that are not those of these bytes under this key.
    #[error("the tags of fragment `{0}` are not tags of its bytes under the group's key")]
    Refused(FragmentId),
}

/// A fragment with its bytes and tags.
#[derive(Debug, Clone, Copy)]
pub struct Tagged<'a> {
    /// What the chain registered.
    pub fragment: Fragment,
    /// Its bytes, which the caller has found to hash to the id.
    pub data: &'a [u8],
    /// A tag for each block.
    pub tags: &'a [Tag],
}

/// Tags one fragment whose bytes come in pieces.
pub struct Tagger<'a> {
    key: &'a TaggerKey,
    fragment: Fragment,
    hasher: blake3::Hasher,
    /// Bytes of blocks that wait for their batch.
    waiting: Vec<u8>,
    tags: Vec<Tag>,
}

impl TaggerKey {
    /// The tags of a fragment that is in memory.
    pub fn tag(&self, fragment: Fragment, data: &[u8]) -> Result<Vec<Tag>, TagError> {
        let mut tagger = self.tagger(fragment);
        tagger.update(data)?;
        tagger.finish()
    }

    /// A tagger for a fragment that comes in pieces.
    pub fn tagger(&self, fragment: Fragment) -> Tagger<'_> {
        let tags = Vec::with_capacity(usize::try_from(fragment.length.blocks()).unwrap_or(0));
        Tagger { key: self, fragment, hasher: blake3::Hasher::new(), waiting: Vec::new(), tags }
    }

    /// x·H + (x·f(α))·g1: the second product is of a fixed base.
    fn raise(&self, id: &FragmentId, index: u32, block: &[u8]) -> G1 {
        let exponent = self.alpha.value(block).times(&self.x);
        block_hash(id, index).times(&self.x).plus(&G1::base_times(&exponent))
    }
}

impl Tagger<'_> {
    /// Takes the next bytes.
    pub fn update(&mut self, mut data: &[u8]) -> Result<(), TagError> {
        let given = self.hasher.count().saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if given > self.fragment.length.bytes() {
            return Err(self.wrong_length(given));
        }
        self.hasher.update(data);
        while !data.is_empty() {
            let room = BATCH_BLOCKS * BLOCK_BYTES - self.waiting.len();
            let (now, later) = data.split_at(room.min(data.len()));
            data = later;
            // A whole batch needs no copy.
            if now.len() == BATCH_BLOCKS * BLOCK_BYTES {
                self.tag_blocks(now);
                continue;
            }
            self.waiting.extend_from_slice(now);
            if self.waiting.len() == BATCH_BLOCKS * BLOCK_BYTES {
                let batch = std::mem::take(&mut self.waiting);
                self.tag_blocks(&batch);
            }
        }
        Ok(())
    }

    /// The tags, if what came was the fragment.
    pub fn finish(mut self) -> Result<Vec<Tag>, TagError> {
        if self.hasher.count() != self.fragment.length.bytes() {
            return Err(self.wrong_length(self.hasher.count()));
        }
        let found = FragmentId(*self.hasher.finalize().as_bytes());
        if found != self.fragment.id {
            return Err(TagError::Content { fragment: self.fragment.id, found });
        }
        let rest = std::mem::take(&mut self.waiting);
        self.tag_blocks(&rest);
        Ok(self.tags)
    }

    fn tag_blocks(&mut self, data: &[u8]) {
        let first = self.tags.len();
        let task = |(number, task): (usize, &[u8])| {
            let before = first + number * TASK_BLOCKS;
            let block = |(i, block)| self.key.raise(&self.fragment.id, block_index(before + i), block);
            let points: Vec<G1> = task.chunks(BLOCK_BYTES).enumerate().map(block).collect();
            G1::all_affine(&points).iter().map(|point| Tag(point.encode())).collect::<Vec<_>>()
        };
        let tags: Vec<Tag> = data.par_chunks(TASK_BLOCKS * BLOCK_BYTES).enumerate().flat_map_iter(task).collect();
        self.tags.extend(tags);
    }

    fn wrong_length(&self, given: u64) -> TagError {
        TagError::Length { fragment: self.fragment.id, given, expected: self.fragment.length.bytes() }
    }
}

/// H(fragment id ‖ index): 32 bytes and four, little-endian.
pub(super) fn block_hash(id: &FragmentId, index: u32) -> G1 {
    let mut message = [0; 36];
    message[..32].copy_from_slice(id.as_bytes());
    message[32..].copy_from_slice(&index.to_le_bytes());
    G1::hash(&message)
}

fn block_index(index: usize) -> u32 {
    u32::try_from(index).expect("a fragment has few blocks")
}

/// A block with its tag, read and found to be in the group.
struct TaggedBlock<'a> {
    fragment: FragmentId,
    index: u32,
    data: &'a [u8],
    tag: G1Affine,
}

/// Whether the tags of all these fragments are genuine; an error names one that is not. One check costs two pairings, whatever
/// its size: e(Σ ρσ, g2) = e(Σ ρ(H + f(α)·g1), v) with random ρ.
pub fn check_tags(key: &GroupKey, srs: &Srs, tagged: &[Tagged<'_>]) -> Result<(), TagError> {
    tagged.iter().try_for_each(check_form)?;
    let blocks = tagged.par_iter().flat_map(tagged_blocks).collect::<Result<Vec<_>, _>>()?;
    if hold(key, srs, &blocks) {
        return Ok(());
    }
    let fragments = blocks.chunk_by(|one, next| one.fragment == next.fragment);
    let bad = fragments.map(|blocks| (blocks[0].fragment, blocks)).find(|(_, blocks)| !hold(key, srs, blocks));
    Err(TagError::Refused(bad.expect("fragments that hold alone hold together").0))
}

fn check_form(tagged: &Tagged<'_>) -> Result<(), TagError> {
    let (fragment, expected) = (tagged.fragment, tagged.fragment.length.blocks());
    if !fragment.length.is_of(tagged.data) {
        let given = u64::try_from(tagged.data.len()).unwrap_or(u64::MAX);
        return Err(TagError::Length { fragment: fragment.id, given, expected: fragment.length.bytes() });
    }
    if u32::try_from(tagged.tags.len()) != Ok(expected) {
        return Err(TagError::Count { fragment: fragment.id, given: tagged.tags.len(), expected });
    }
    Ok(())
}

fn tagged_blocks<'a>(
    tagged: &'a Tagged<'_>,
) -> impl ParallelIterator<Item = Result<TaggedBlock<'a>, TagError>> + use<'a> {
    let fragment = tagged.fragment.id;
    let read = move |(index, (data, tag)): (usize, (&'a [u8], &'a Tag))| {
        let index = block_index(index);
        let tag = G1Affine::decode(&tag.0);
        let tag = tag.map_err(|reason| TagError::Point { fragment, block: index, reason })?;
        Ok(TaggedBlock { fragment, index, data, tag })
    };
    tagged.data.par_chunks(BLOCK_BYTES).zip(tagged.tags).enumerate().map(read)
}

/// The weights come from a hash of everything that is checked: whoever made the tags could not choose them after the weights.
fn hold(key: &GroupKey, srs: &Srs, blocks: &[TaggedBlock<'_>]) -> bool {
    let mut transcript = blake3::Hasher::new_derive_key(DOMAIN_PODR2_WEIGHTS);
    transcript.update(b"tags").update(&key.encode());
    for block in blocks {
        transcript.update(block.fragment.as_bytes()).update(&block.index.to_le_bytes()).update(&block.tag.encode());
    }
    let mut draws = Draws(stream(DOMAIN_PODR2_WEIGHTS, transcript.finalize().as_bytes()));
    let weights: Vec<u128> = blocks.iter().map(|_| draws.weight()).collect();

    let task = |(blocks, weights): (&[TaggedBlock<'_>], &[u128])| {
        let mut sum = BlockSum::new();
        blocks.iter().zip(weights).for_each(|(block, weight)| sum.add(*weight, block.data));
        let tags: Vec<G1Affine> = blocks.iter().map(|block| block.tag).collect();
        let hashes: Vec<G1> = blocks.iter().map(|block| block_hash(&block.fragment, block.index)).collect();
        (weighted_sum(&tags, weights), weighted_sum(&G1::all_affine(&hashes), weights), sum)
    };
    let merge = |(tags, hashes, mut sum): (G1, G1, BlockSum), (t, h, s): (G1, G1, BlockSum)| {
        sum.merge(&s);
        (tags.plus(&t), hashes.plus(&h), sum)
    };
    let tasks = blocks.par_chunks(CHECK_TASK_BLOCKS).zip(weights.par_chunks(CHECK_TASK_BLOCKS)).map(task);
    let (tags, hashes, sum) = tasks.reduce(|| (G1::default(), G1::default(), BlockSum::new()), merge);
    let right = hashes.plus(&scalar_sum(&srs.powers, &sum.reduce()));
    pairings_cancel(&[(tags.negated(), G2Affine::generator()), (right, key.v)])
}
