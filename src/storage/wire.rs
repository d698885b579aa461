//! The data plane's protocol: what is said on a bulk stream between a reader or writer and a miner.
//!
//! Owns the messages and their caps. Must not know how they are answered. A stream carries [`Request`]s one way and
//! [`Response`]s the other, one frame each; a `Put` and a `Fragment` are followed by one frame of raw bytes.
//! Invariants: every request is answered once, in any order, under its tag; every request may be repeated without harm.

use super::fragments::FragmentError;
use crate::{
    codec::Wire,
    ledger::manifest::{MANIFEST_MAX_SEGMENTS, Manifest},
    network::Protocol,
    types::{ByteCount, FragmentId},
};

/// Name of the protocol.
pub const DATA: Protocol = Protocol("/cess/data/1");
/// Fragments one `Has` may ask for.
pub const HAS_MAX_FRAGMENTS: usize = MANIFEST_MAX_SEGMENTS;
/// Longest reason of a refusal, in bytes.
pub const REASON_MAX_BYTES: usize = 400;

/// A request with the tag its answer will carry.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Request {
    /// Chosen by the asker, unique among its open requests on the stream.
    pub tag: u32,
    /// What is wanted.
    pub ask: Ask,
}

/// What may be asked of a miner.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Ask {
    /// Keep the fragment whose `len` bytes follow in the next frame. Answered when they survive power loss.
    Put { id: FragmentId, len: u32 },
    /// Send a fragment.
    Get { id: FragmentId },
    /// Which of these are held? At most [`HAS_MAX_FRAGMENTS`].
    Has { ids: Vec<FragmentId> },
    /// Sign that fragment `column` of every segment of this encoded manifest is held.
    Receipt { column: u8, manifest: Vec<u8> },
    /// Keep the PoDR² tags of a fragment, made with the key of this epoch; `len` bytes of them follow in the next frame.
    Tags { id: FragmentId, epoch: u64, len: u32 },
    /// Sign that good tags of this epoch are held for fragment `column` of every segment of this encoded manifest.
    TagReceipt { column: u8, epoch: u64, manifest: Vec<u8> },
    /// Send the answer to a round that was committed to on the chain.
    Audit { round: u64, part: AuditPart },
    /// Send the proof that a segment of a batch of commitments was labelled by the graph.
    IdleProof { batch: u64, segment: u64 },
    /// Compare a fragment on the disk with its id: what was sent was not it. Answered with `Stored` if it is whole.
    Check { id: FragmentId },
}

/// Which answer of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum AuditPart {
    /// Openings of chunks.
    Spot,
    /// Leaves of idle space.
    Idle,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Response {
    /// Tag of the request.
    pub tag: u32,
    /// What came of it.
    pub answer: Answer,
}

/// What a miner may answer.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Answer {
    /// To `Put`, `Tags` and `Check`.
    Stored,
    /// To `Get`: the bytes follow in the next frame.
    Fragment { len: u32 },
    /// To `Has`, in the order asked.
    Held(Vec<bool>),
    /// To `Receipt`: an ed25519 signature of the miner's account key.
    Signed([u8; 64]),
    /// To anything.
    Refused(Refusal),
    /// To `Audit` and `IdleProof`: the bytes follow in the next frame.
    Proof { len: u32 },
}

/// Why a miner did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Refusal {
    /// The fragment is not here.
    #[error("fragment {0} is not held")]
    NotHeld(FragmentId),
    /// The fragment was here but its bytes are bad; it was dropped.
    #[error("fragment {0} is damaged")]
    Damaged(FragmentId),
    /// The bytes are not the fragment they were called.
    #[error("the bytes sent do not match fragment {0}")]
    Mismatch(FragmentId),
    /// No room.
    #[error("{} are free, {} are needed", ByteCount(*free), ByteCount(*needed))]
    NoSpace { free: u64, needed: u64 },
    /// Fragments of these segments are missing, so there is no receipt.
    #[error("fragments of {} segments are missing", .0.len())]
    Missing(Vec<u32>),
    /// The request makes no sense.
    #[error("the request was refused: {0}")]
    Invalid(String),
    /// The miner failed.
    #[error("the miner failed: {0}")]
    Failed(String),
}

impl Wire for Request {
    const NAME: &'static str = "data request";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = Manifest::MAX_BYTES + 64;
}

impl Wire for Response {
    const NAME: &'static str = "data response";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64 + 4 * MANIFEST_MAX_SEGMENTS + REASON_MAX_BYTES;
}

impl Refusal {
    /// A refusal of a request that makes no sense.
    pub fn invalid(reason: impl ToString) -> Self {
        Self::Invalid(shorten(&reason.to_string()))
    }

    /// A failure of the miner itself.
    pub fn failed(reason: impl ToString) -> Self {
        Self::Failed(shorten(&reason.to_string()))
    }
}

impl From<FragmentError> for Refusal {
    fn from(error: FragmentError) -> Self {
        match error {
            FragmentError::NotHeld { id } => Self::NotHeld(id),
            FragmentError::Damaged { id } | FragmentError::Truncated { id, .. } => Self::Damaged(id),
            FragmentError::Mismatch { id } => Self::Mismatch(id),
            FragmentError::Length { .. } => Self::invalid(error),
            FragmentError::NoSpace { free, needed, .. } => Self::NoSpace { free, needed },
            FragmentError::DiskFull { needed, .. } => Self::NoSpace { free: 0, needed },
            other => Self::failed(other),
        }
    }
}

fn shorten(reason: &str) -> String {
    let mut end = reason.len().min(REASON_MAX_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{self, golden::check};

    #[test]
    fn encodings_are_stable() {
        check(&Request { tag: 7, ask: Ask::Put { id: FragmentId([1; 32]), len: 256 } });
        check(&Response { tag: 258, answer: Answer::Held(vec![true, false]) });
    }

    #[test]
    fn the_largest_messages_fit_their_caps() {
        let ids = vec![FragmentId([9; 32]); HAS_MAX_FRAGMENTS];
        let manifest = vec![0; Manifest::MAX_BYTES];
        for ask in [Ask::Has { ids }, Ask::Receipt { column: 11, manifest }] {
            codec::encode(&Request { tag: u32::MAX, ask });
        }
        let missing = Refusal::Missing((0..4_096).collect());
        for refusal in [missing, Refusal::failed("ä".repeat(1_000))] {
            codec::encode(&Response { tag: u32::MAX, answer: Answer::Refused(refusal) });
        }
        const { assert!(Request::MAX_BYTES < crate::network::FRAME_MAX_BYTES) };
    }
}
