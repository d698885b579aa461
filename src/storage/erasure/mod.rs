//! Reed–Solomon RS(4+8) over GF(2^16): any four of a segment's twelve fragments give the segment back.
//!
//! Owns the fast paths: encoding in cache-sized stripes, rebuilding through a 4×4 inverse. Must not know ids, disks or peers.
//! Invariants: fragments 0–3 are the segment itself, padded with zeroes; the bytes equal those of a one-shot
//! `reed-solomon-simd` encoding; every fragment of a segment has the length [`fragment_len`] gives.

mod matrix;
#[cfg(test)]
mod tests;

use crate::{
    ledger::manifest::fragment_len,
    types::params::{DATA_FRAGMENTS, FRAGMENT_ALIGN_BYTES, FRAGMENTS, PARITY_FRAGMENTS, SEGMENT_MAX_BYTES},
};
use reed_solomon_simd::{
    ReedSolomonEncoder,
    engine::{DefaultEngine, Engine},
};
use std::{ops::Range, sync::LazyLock};

/// Bytes of each fragment encoded at a time: twelve such stripes stay in the second-level cache.
pub const ENCODE_STRIPE_BYTES: usize = 64 << 10;
/// Bytes of each fragment rebuilt at a time: a stripe and its scratch copy stay in the first-level cache.
pub const REBUILD_STRIPE_BYTES: usize = 16 << 10;

/// The unit in which the coder works.
const BLOCK_BYTES: usize = 64;
const _: () = assert!(FRAGMENT_ALIGN_BYTES == BLOCK_BYTES as u64);

static ENGINE: LazyLock<DefaultEngine> = LazyLock::new(DefaultEngine::new);

/// Why fragments do not give a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ErasureError {
    /// Fewer than four distinct fragments.
    #[error("{have} distinct fragments are given, {DATA_FRAGMENTS} are needed")]
    TooFew { have: usize },
    /// No fragment has this index.
    #[error("fragment index {index} is out of range, there are {FRAGMENTS}")]
    Index { index: usize },
    /// A fragment has a length the segment does not give it.
    #[error("fragment {index} is {len} B, expected {expected} B")]
    Length { index: usize, len: usize, expected: usize },
    /// Not a segment.
    #[error("a segment of {len} B cannot be decoded, it has 1 to {SEGMENT_MAX_BYTES} B")]
    Segment { len: usize },
    /// Cannot happen with this code; kept so that a wrong table is an error instead of wrong bytes.
    #[error("fragments {given:?} do not determine a segment")]
    Singular { given: [usize; DATA_FRAGMENTS] },
}

/// Encodes a segment of 1 B to 32 MiB into its twelve fragments.
pub fn encode(segment: &[u8]) -> [Vec<u8>; FRAGMENTS] {
    let len = fragment_bytes(segment.len());
    let mut fragments: [Vec<u8>; FRAGMENTS] = std::array::from_fn(|index| {
        let mut fragment = vec![0; len];
        if index < DATA_FRAGMENTS {
            let start = (index * len).min(segment.len());
            let own = &segment[start..(start + len).min(segment.len())];
            fragment[..own.len()].copy_from_slice(own);
        }
        fragment
    });
    let (data, parity) = fragments.split_at_mut(DATA_FRAGMENTS);
    let data: [&[u8]; DATA_FRAGMENTS] = std::array::from_fn(|i| &data[i][..]);
    let mut parity = parity.iter_mut();
    encode_parity(data, std::array::from_fn(|_| &mut parity.next().expect("twelve minus four are eight")[..]));
    fragments
}

/// Fills the eight parity fragments of four data fragments, all of one length that is a multiple of 64 B.
pub fn encode_parity(data: [&[u8]; DATA_FRAGMENTS], parity: [&mut [u8]; PARITY_FRAGMENTS]) {
    encode_parity_with(data, parity, |_, _| {});
}

/// As [`encode_parity`]; `each` sees every stripe (its range and the twelve pieces) while it is still in the cache.
pub fn encode_parity_with(
    data: [&[u8]; DATA_FRAGMENTS],
    mut parity: [&mut [u8]; PARITY_FRAGMENTS],
    mut each: impl FnMut(Range<usize>, [&[u8]; FRAGMENTS]),
) {
    let len = data[0].len();
    assert!(len > 0 && len.is_multiple_of(BLOCK_BYTES), "fragments of {len} B are not a multiple of {BLOCK_BYTES} B");
    assert!(data.iter().all(|d| d.len() == len) && parity.iter().all(|p| p.len() == len), "fragments differ in length");
    let mut encoder = new_encoder(len.min(ENCODE_STRIPE_BYTES));
    for range in stripes(len, ENCODE_STRIPE_BYTES) {
        if range.len() < ENCODE_STRIPE_BYTES.min(len) {
            encoder = new_encoder(range.len());
        }
        for fragment in data {
            encoder.add_original_shard(&fragment[range.clone()]).expect("four stripes of the configured length");
        }
        let encoded = encoder.encode().expect("four stripes were added");
        for (fragment, stripe) in parity.iter_mut().zip(encoded.recovery_iter()) {
            fragment[range.clone()].copy_from_slice(stripe);
        }
        let pieces = std::array::from_fn(|index| match index.checked_sub(DATA_FRAGMENTS) {
            None => &data[index][range.clone()],
            Some(index) => &parity[index][range.clone()],
        });
        each(range, pieces);
    }
}

/// Gives a segment of `len` bytes back from any four of its fragments, each with its index.
///
/// Data fragments that are present are copied, only missing ones are computed.
pub fn decode(len: usize, available: &[(usize, &[u8])]) -> Result<Vec<u8>, ErasureError> {
    if len == 0 || u64::try_from(len).is_ok_and(|len| len > SEGMENT_MAX_BYTES) {
        return Err(ErasureError::Segment { len });
    }
    let fragment = fragment_bytes(len);
    check(available, fragment)?;
    let mut segment = vec![0; fragment * DATA_FRAGMENTS];
    let mut missing = Vec::with_capacity(DATA_FRAGMENTS);
    let mut outputs = Vec::with_capacity(DATA_FRAGMENTS);
    for (index, part) in segment.chunks_exact_mut(fragment).enumerate() {
        match available.iter().find(|(have, _)| *have == index) {
            Some((_, bytes)) => part.copy_from_slice(bytes),
            None => {
                missing.push(index);
                outputs.push(part);
            }
        }
    }
    rebuild_into(&missing, available, &mut outputs)?;
    segment.truncate(len);
    Ok(segment)
}

/// Computes the fragments with the indices `wanted` (data or parity) from any four others, without decoding the rest.
pub fn rebuild(wanted: &[usize], available: &[(usize, &[u8])]) -> Result<Vec<Vec<u8>>, ErasureError> {
    let len = available.first().map_or(0, |(_, bytes)| bytes.len());
    check(available, len)?;
    let mut fragments = vec![vec![0; len]; wanted.len()];
    let mut outputs: Vec<&mut [u8]> = fragments.iter_mut().map(|fragment| &mut fragment[..]).collect();
    rebuild_into(wanted, available, &mut outputs)?;
    Ok(fragments)
}

/// Computes one fragment from any four others.
pub fn rebuild_one(wanted: usize, available: &[(usize, &[u8])]) -> Result<Vec<u8>, ErasureError> {
    let mut fragments = rebuild(&[wanted], available)?;
    Ok(fragments.pop().expect("one was asked for"))
}

/// As [`rebuild`], into buffers of the fragments' length. `available` was checked.
fn rebuild_into(wanted: &[usize], available: &[(usize, &[u8])], outputs: &mut [&mut [u8]]) -> Result<(), ErasureError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let chosen = choose(available)?;
    let given = chosen.map(|(index, _)| index);
    let mut rows = Vec::with_capacity(wanted.len());
    for &index in wanted {
        if index >= FRAGMENTS {
            return Err(ErasureError::Index { index });
        }
        rows.push(matrix::row_over(index, &given)?);
    }
    let inputs = chosen.map(|(_, bytes)| bytes);
    let mut scratch = vec![0; REBUILD_STRIPE_BYTES.min(inputs[0].len())];
    for range in stripes(inputs[0].len(), REBUILD_STRIPE_BYTES) {
        let pieces = inputs.map(|input| &input[range.clone()]);
        for (row, output) in rows.iter().zip(outputs.iter_mut()) {
            combine(row, pieces, &mut output[range.clone()], &mut scratch[..range.len()]);
        }
    }
    Ok(())
}

/// `output = Σ row[i] · inputs[i]`, all of one length that is a multiple of a block.
fn combine(row: &matrix::Row, inputs: [&[u8]; DATA_FRAGMENTS], output: &mut [u8], scratch: &mut [u8]) {
    let mut empty = true;
    for (&coefficient, input) in row.iter().zip(inputs).filter(|(coefficient, _)| **coefficient != 0) {
        if empty {
            output.copy_from_slice(input);
            scale(output, coefficient);
            empty = false;
        } else if coefficient == 1 {
            add(output, input);
        } else {
            scratch.copy_from_slice(input);
            scale(scratch, coefficient);
            add(output, scratch);
        }
    }
    assert!(!empty, "a row of an invertible matrix is not zero");
}

fn scale(bytes: &mut [u8], coefficient: u16) {
    if coefficient != 1 {
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK_BYTES>();
        assert!(rest.is_empty(), "stripes are whole blocks");
        ENGINE.mul(blocks, matrix::log(coefficient));
    }
}

fn add(bytes: &mut [u8], other: &[u8]) {
    let (words, rest) = bytes.as_chunks_mut::<16>();
    assert!(rest.is_empty(), "stripes are whole blocks");
    for (word, value) in words.iter_mut().zip(other.as_chunks::<16>().0) {
        *word = (u128::from_ne_bytes(*word) ^ u128::from_ne_bytes(*value)).to_ne_bytes();
    }
}

/// Whether indices and lengths make sense and four distinct fragments are there.
fn check(available: &[(usize, &[u8])], expected: usize) -> Result<(), ErasureError> {
    for &(index, bytes) in available {
        if index >= FRAGMENTS {
            return Err(ErasureError::Index { index });
        }
        if bytes.len() != expected || bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK_BYTES) {
            return Err(ErasureError::Length { index, len: bytes.len(), expected });
        }
    }
    choose(available).map(|_| ())
}

/// Four distinct fragments, data fragments first: their coefficients are cheap.
fn choose<'a>(available: &[(usize, &'a [u8])]) -> Result<[(usize, &'a [u8]); DATA_FRAGMENTS], ErasureError> {
    let mut sorted = available.to_vec();
    sorted.sort_unstable_by_key(|(index, _)| *index);
    sorted.dedup_by_key(|(index, _)| *index);
    let have = sorted.len();
    sorted.truncate(DATA_FRAGMENTS);
    sorted.try_into().map_err(|_| ErasureError::TooFew { have })
}

fn new_encoder(stripe: usize) -> ReedSolomonEncoder {
    ReedSolomonEncoder::new(DATA_FRAGMENTS, PARITY_FRAGMENTS, stripe).expect("4+8 is supported for whole blocks")
}

fn stripes(len: usize, stripe: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(stripe).map(move |start| start..(start + stripe).min(len))
}

fn fragment_bytes(segment: usize) -> usize {
    let bytes = u64::try_from(segment).expect("a length fits 64 bits");
    usize::try_from(fragment_len(bytes)).expect("a fragment is smaller than its segment or 256 B")
}
