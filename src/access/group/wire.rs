//! What gateways say to each other about buckets.
//!
//! Owns the messages, their caps and the mark that shows that the asker is of the group. Must not know how an operation is executed.
//! Invariant: a question is valid for the gateway it was made for only.

use super::{
    ownership::{BucketKey, Held, Ownership},
    port::OpId,
};
use crate::{
    codec::{self, CodecError, Wire},
    crypto::hash,
};
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;

/// Largest operation, and largest answer of one.
pub const OP_MAX_BYTES: usize = 8 << 20;
/// Room for everything else in a message.
const HEAD_MAX_BYTES: usize = 4 << 10;
/// Longest reason in an answer.
const REASON_MAX_BYTES: usize = 1_024;
/// Bytes of the mark before a question.
const MARK_BYTES: usize = 32;

/// Largest question with its mark, and largest answer.
pub(super) const MESSAGE_MAX_BYTES: usize = MARK_BYTES + OP_MAX_BYTES + HEAD_MAX_BYTES;

/// What is asked of the gateway that owns a bucket.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Question {
    /// Is the bucket being served, or about to be?
    Alive { bucket: BucketKey },
    /// Execute an operation within so many milliseconds.
    Execute { bucket: BucketKey, id: OpId, millis: u32, op: Vec<u8> },
}

impl Wire for Question {
    const NAME: &'static str = "gateway question";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES + HEAD_MAX_BYTES;
}

/// What it answers.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Answer {
    /// It is being served, or will be in a moment.
    Alive,
    /// The operation was executed.
    Done { reply: Vec<u8> },
    /// The operation was not executed and will not be.
    Failed { reason: String },
    /// Not now: it has no lease. The operation may have been executed all the same.
    Busy { reason: String },
    /// Another gateway owns the bucket, or none does.
    Moved { to: Option<OwnerSeen> },
}

impl Answer {
    pub(super) fn failed(reason: &str) -> Self {
        Self::Failed { reason: brief(reason) }
    }

    pub(super) fn busy(reason: &str) -> Self {
        Self::Busy { reason: brief(reason) }
    }
}

impl Wire for Answer {
    const NAME: &'static str = "gateway answer";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES + HEAD_MAX_BYTES;
}

/// An ownership as the answering gateway knows it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct OwnerSeen {
    version: u64,
    ownership: Ownership,
}

impl From<Held> for OwnerSeen {
    fn from(held: Held) -> Self {
        Self { version: held.version, ownership: held.ownership }
    }
}

impl From<OwnerSeen> for Held {
    fn from(seen: OwnerSeen) -> Self {
        Self { version: seen.version, ownership: seen.ownership }
    }
}

/// Why a question is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum QuestionError {
    #[error("the asker is not of this gateway's group")]
    Stranger,
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The secret of a group of gateways, as far as their talk is concerned.
#[derive(Clone)]
pub(super) struct GroupKey([u8; 32]);

impl GroupKey {
    pub(super) fn of(secret: &[u8; 32]) -> Self {
        Self(hash::tagged(hash::DOMAIN_GATEWAY_GROUP, &[secret]))
    }

    /// A question for the gateway whose network key is `peer`.
    pub(super) fn seal(&self, peer: &[u8; 32], question: &Question) -> Bytes {
        let body = codec::encode(question);
        [self.mark(peer, &body).as_slice(), &body].concat().into()
    }

    /// A question that reached the gateway whose network key is `peer`.
    pub(super) fn open(&self, peer: &[u8; 32], sealed: &[u8]) -> Result<Question, QuestionError> {
        let (mark, body) = sealed.split_first_chunk::<MARK_BYTES>().ok_or(QuestionError::Stranger)?;
        // Hashes compare in constant time.
        if blake3::Hash::from_bytes(*mark) != blake3::Hash::from_bytes(self.mark(peer, body)) {
            return Err(QuestionError::Stranger);
        }
        Ok(codec::decode(body)?)
    }

    fn mark(&self, peer: &[u8; 32], body: &[u8]) -> [u8; MARK_BYTES] {
        hash::tagged(hash::DOMAIN_GATEWAY_GROUP, &[&self.0, peer, body])
    }
}

fn brief(reason: &str) -> String {
    let mut end = reason.len().min(REASON_MAX_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::group::GatewayKey, codec::golden, types::Address};

    fn bucket() -> BucketKey {
        BucketKey::new(Address::repeat_byte(1), [2; 16])
    }

    fn ownership() -> Ownership {
        let gateway = GatewayKey { account: [3; 20], peer: [4; 32] };
        Ownership::new(gateway, 5, &[6, 7, 8].map(Address::repeat_byte))
    }

    #[test]
    fn messages_have_their_golden_bytes() {
        golden::check(&Question::Execute { bucket: bucket(), id: [3; 16], millis: 4, op: vec![5; 3] });
        golden::check(&Answer::Moved { to: Some(Held { version: 9, ownership: ownership() }.into()) });
        golden::check(&ownership());
    }

    #[test]
    fn a_question_is_for_one_gateway_of_the_group() {
        let (ours, theirs) = (GroupKey::of(&[1; 32]), GroupKey::of(&[2; 32]));
        let question = Question::Alive { bucket: bucket() };
        let sealed = ours.seal(&[7; 32], &question);
        assert_eq!(ours.open(&[7; 32], &sealed), Ok(question));
        assert_eq!(ours.open(&[8; 32], &sealed), Err(QuestionError::Stranger));
        assert_eq!(theirs.open(&[7; 32], &sealed), Err(QuestionError::Stranger));
        assert_eq!(ours.open(&[7; 32], &sealed[..31]), Err(QuestionError::Stranger));
        let mut changed = sealed.to_vec();
        changed[40] ^= 1;
        assert_eq!(ours.open(&[7; 32], &changed), Err(QuestionError::Stranger));
    }

    #[test]
    fn reasons_are_cut_at_a_character() {
        let long = "é".repeat(REASON_MAX_BYTES);
        let Answer::Busy { reason } = Answer::busy(&format!("a{long}")) else { panic!("not busy") };
        assert_eq!(reason.len(), REASON_MAX_BYTES - 1);
    }
}
