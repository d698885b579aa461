//! The opening of one chunk: its bytes and the chaining values beside its path to the root, from the leaf up.
//!
//! BLAKE3 gives leaves, inner nodes and the root different flags and every leaf its number, so that none of them can stand for
//! another; the verifier derives the path from length and index, so that none can be shorter or longer than it is.

use crate::{
    proofs::fragment::{CHUNK_BYTES, Fragment, FragmentLength},
    types::FragmentId,
    types::params::FRAGMENT_MAX_BYTES,
};
use blake3::{
    Hasher,
    hazmat::{ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root},
};

/// Bytes of an inner node's chaining value.
const NODE_BYTES: usize = 32;
/// Bytes of the longest opening: a chunk of the largest fragment.
pub const OPENING_MAX_BYTES: usize = {
    let depth = FRAGMENT_MAX_BYTES.div_ceil(CHUNK_BYTES).next_power_of_two().trailing_zeros();
    CHUNK_BYTES as usize + depth as usize * NODE_BYTES
};

/// Why a chunk cannot be opened, or an opening is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The fragment has no such chunk.
    #[error("fragment `{fragment}` has {chunks} chunks, chunk {chunk} is none of them")]
    Chunk { fragment: FragmentId, chunk: u64, chunks: u64 },
    /// The bytes given as the fragment have another length.
    #[error("fragment `{fragment}` has {expected} B, {given} B were given")]
    Fragment { fragment: FragmentId, given: usize, expected: u64 },
    /// An opening of another length than this chunk's.
    #[error("the opening of chunk {chunk} of fragment `{fragment}` is {expected} B, this one {given} B")]
    Length { fragment: FragmentId, chunk: u64, given: usize, expected: usize },
    /// It leads to another root.
    #[error("the opening of chunk {chunk} does not lead to fragment `{fragment}`")]
    Root { fragment: FragmentId, chunk: u64 },
}

/// A step down the tree: what is beside the path.
struct Sibling {
    /// Where it begins in the fragment.
    offset: u64,
    /// Its length in bytes.
    length: u64,
}

/// What is beside the path from the root down to `chunk`.
fn siblings(length: FragmentLength, chunk: u64) -> Vec<Sibling> {
    let wanted = chunk * CHUNK_BYTES;
    let (mut offset, mut length, mut path) = (0, length.bytes(), Vec::new());
    while length > CHUNK_BYTES {
        let left = left_subtree_len(length);
        if wanted < offset + left {
            path.push(Sibling { offset: offset + left, length: length - left });
            length = left;
        } else {
            path.push(Sibling { offset, length: left });
            (offset, length) = (offset + left, length - left);
        }
    }
    path
}

fn check_chunk(fragment: &Fragment, chunk: u64) -> Result<(), OpenError> {
    let chunks = fragment.length.chunks();
    if chunk < chunks { Ok(()) } else { Err(OpenError::Chunk { fragment: fragment.id, chunk, chunks }) }
}

/// The length of the opening of `chunk`.
pub fn opening_bytes(fragment: &Fragment, chunk: u64) -> Result<usize, OpenError> {
    check_chunk(fragment, chunk)?;
    Ok(fragment.length.chunk(chunk).len() + siblings(fragment.length, chunk).len() * NODE_BYTES)
}

/// Opens `chunk` of a fragment whose bytes are `data`. Hashes all of them.
pub fn open(fragment: &Fragment, data: &[u8], chunk: u64) -> Result<Vec<u8>, OpenError> {
    check_chunk(fragment, chunk)?;
    if !fragment.length.is_of(data) {
        let (given, expected) = (data.len(), fragment.length.bytes());
        return Err(OpenError::Fragment { fragment: fragment.id, given, expected });
    }
    let mut opening = data[fragment.length.chunk(chunk)].to_vec();
    for Sibling { offset, length } in siblings(fragment.length, chunk).into_iter().rev() {
        let at = |byte: u64| usize::try_from(byte).expect("inside of `data`");
        opening.extend_from_slice(&subtree(offset, &data[at(offset)..at(offset + length)]));
    }
    Ok(opening)
}

fn subtree(offset: u64, bytes: &[u8]) -> ChainingValue {
    Hasher::new().set_input_offset(offset).update(bytes).finalize_non_root()
}

/// Checks an opening of `chunk` and returns the chunk's bytes.
pub fn verify_opening<'a>(fragment: &Fragment, chunk: u64, opening: &'a [u8]) -> Result<&'a [u8], OpenError> {
    let expected = opening_bytes(fragment, chunk)?;
    if opening.len() != expected {
        return Err(OpenError::Length { fragment: fragment.id, chunk, given: opening.len(), expected });
    }
    let (bytes, path) = opening.split_at(fragment.length.chunk(chunk).len());
    let (path, _) = path.as_chunks::<NODE_BYTES>();
    let root = match path.split_last() {
        // The whole fragment is one chunk.
        None => blake3::hash(bytes),
        Some((last, below)) => {
            let leaf_offset = chunk * CHUNK_BYTES;
            let siblings = siblings(fragment.length, chunk);
            let sides = siblings.iter().map(|sibling| sibling.offset < leaf_offset).rev();
            let mut node = subtree(leaf_offset, bytes);
            for (value, is_left) in below.iter().zip(sides) {
                let (left, right) = ordered(value, &node, is_left);
                node = merge_subtrees_non_root(left, right, Mode::Hash);
            }
            let (left, right) = ordered(last, &node, siblings[0].offset < leaf_offset);
            merge_subtrees_root(left, right, Mode::Hash)
        }
    };
    if root.as_bytes() == fragment.id.as_bytes() {
        Ok(bytes)
    } else {
        Err(OpenError::Root { fragment: fragment.id, chunk })
    }
}

fn ordered<'a>(
    sibling: &'a ChainingValue,
    node: &'a ChainingValue,
    sibling_is_left: bool,
) -> (&'a ChainingValue, &'a ChainingValue) {
    if sibling_is_left { (sibling, node) } else { (node, sibling) }
}
