//! The journal protocol: what is said on a stream between a writer and a miner.
//!
//! Owns the messages and their caps. Must not know how they are answered. A stream carries [`Request`]s one way and
//! [`Response`]s the other, one frame each. Invariants: requests of a stream take effect in the order sent; every request may be
//! repeated without harm; a miner does nothing to a journal for who does not show its token.

use crate::{
    codec::Wire,
    crypto::hash,
    network::Protocol,
    types::{B256, ByteCount},
};

/// Name of the protocol.
pub const JOURNAL: Protocol = Protocol("/cess/journal/1");
/// Largest record.
pub const RECORD_MAX_BYTES: usize = 1 << 20;
/// Records of one message, together.
pub const BATCH_MAX_BYTES: usize = 2 << 20;
/// Records of one message.
pub const BATCH_MAX_RECORDS: usize = 4_096;
/// Untrimmed records of one journal.
pub const JOURNAL_MAX_BYTES: u64 = 64 << 20;
/// Untrimmed records of all journals of one miner.
pub const JOURNALS_MAX_BYTES: u64 = 4 << 30;
/// Journals of one miner.
pub const JOURNALS_MAX: usize = 8_192;
/// What a record counts beside its bytes.
pub const RECORD_OVERHEAD_BYTES: u64 = 64;
/// Longest reason of a refusal, in bytes.
const REASON_MAX_BYTES: usize = 400;

/// Name of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct JournalId(pub [u8; 32]);

impl JournalId {
    /// The journal of a bucket on the chain that began with `genesis`.
    pub fn of(genesis: B256, bucket: &[u8; 16]) -> Self {
        Self(hash::tagged(hash::DOMAIN_JOURNAL_ID, &[genesis.as_slice(), bucket]))
    }
}

impl std::fmt::Display for JournalId {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&hex::encode(self.0))
    }
}

/// A request with the tag its answer will carry.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Request {
    /// Chosen by the asker, unique among its open requests on the stream.
    pub tag: u32,
    /// Which journal.
    pub journal: JournalId,
    /// Shows that the asker may write it: known to its writers and, one for each miner, to that miner.
    pub token: [u8; 32],
    /// What is wanted.
    pub ask: Ask,
}

/// What may be asked of a miner.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Ask {
    /// Make the journal if it is unknown, then as `Seal`.
    Create { epoch: u64 },
    /// Refuse every lower epoch from now on.
    Seal { epoch: u64 },
    /// Keep these records, numbered from `first`. Only for the epoch that installed its log here.
    Append { epoch: u64, first: u64, records: Vec<Vec<u8>> },
    /// Part of the whole log of this epoch, which replaces what is held when the last part is there.
    Install { epoch: u64, first: u64, begin: bool, finish: bool, records: Vec<Vec<u8>> },
    /// Send records from this number on.
    Read { epoch: u64, from: u64 },
    /// Forget the records up to this number.
    Trim { epoch: u64, upto: u64 },
    /// Say whether this epoch is still the highest.
    Touch { epoch: u64 },
    /// Forget the journal.
    Remove { epoch: u64 },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Response {
    /// Tag of the request.
    pub tag: u32,
    /// What came of it.
    pub answer: Answer,
}

/// What a miner holds of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Standing {
    /// Epoch whose log this is; 0 before the first.
    pub accepted: u64,
    /// Records up to this number were trimmed.
    pub base: u64,
    /// Number of the newest record, `base` if there is none.
    pub last: u64,
    /// Untrimmed bytes.
    pub bytes: u64,
}

/// What a miner may answer. It answers when what it says survives power loss.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Answer {
    /// To `Create` and `Seal`.
    Sealed(Standing),
    /// To `Append` and `Install`: number of the newest record.
    Stored { last: u64 },
    /// To `Read`: records numbered from `first`; `last` is the number of the newest there is.
    Records { first: u64, last: u64, records: Vec<Vec<u8>> },
    /// To `Trim`, `Touch` and `Remove`.
    Done,
    /// To anything.
    Refused(Refusal),
}

/// Why a miner did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Refusal {
    /// Never made here, removed, or lost.
    #[error("the journal is not held")]
    Unknown,
    /// The token is not the journal's.
    #[error("the token does not open the journal")]
    Denied,
    /// A later writer came.
    #[error("the journal is sealed by epoch {sealed}")]
    Sealed { sealed: u64 },
    /// This epoch did not seal the journal or did not install its log.
    #[error("the journal's log is of epoch {accepted}, sealed by {sealed}")]
    NotInstalled { accepted: u64, sealed: u64 },
    /// Records before these are missing.
    #[error("records must go on after number {last}")]
    Gap { last: u64 },
    /// Too many untrimmed bytes.
    #[error("the journal holds {} and may hold {}", ByteCount(*bytes), ByteCount(JOURNAL_MAX_BYTES))]
    Full { bytes: u64 },
    /// The miner lends no more to journals.
    #[error("journals take {} of the {max} B lent to them", ByteCount(*bytes))]
    NoSpace { bytes: u64, max: u64 },
    /// The miner keeps no further journals.
    #[error("{JOURNALS_MAX} journals are kept already")]
    TooMany,
    /// The request makes no sense.
    #[error("the request was refused: {0}")]
    Invalid(String),
    /// The miner failed.
    #[error("the miner failed: {0}")]
    Failed(String),
}

/// Longest encoding of the records of one message.
const RECORDS_MAX_BYTES: usize = BATCH_MAX_BYTES + 4 * BATCH_MAX_RECORDS;

impl Wire for Request {
    const NAME: &'static str = "journal request";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = RECORDS_MAX_BYTES + 128;
}

impl Wire for Response {
    const NAME: &'static str = "journal response";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = RECORDS_MAX_BYTES + 64 + REASON_MAX_BYTES;
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

/// Refuses records that no message may carry.
pub fn check_batch<'a>(records: impl Iterator<Item = &'a [u8]>) -> Result<(), Refusal> {
    let (mut count, mut bytes) = (0, 0);
    for record in records {
        if record.len() > RECORD_MAX_BYTES {
            let reason = format!("a record of {} B is over the limit of {RECORD_MAX_BYTES} B", record.len());
            return Err(Refusal::Invalid(reason));
        }
        count += 1;
        bytes += record.len();
    }
    if count > BATCH_MAX_RECORDS || bytes > BATCH_MAX_BYTES {
        let limit = format!("{BATCH_MAX_RECORDS} records of {BATCH_MAX_BYTES} B");
        return Err(Refusal::Invalid(format!("{count} records of {bytes} B are over the limit of {limit} a message")));
    }
    Ok(())
}

/// How many of the records fit into one message.
pub fn batch_of<'a>(records: impl Iterator<Item = &'a [u8]>) -> usize {
    let mut bytes = 0;
    let fits = records.take(BATCH_MAX_RECORDS).take_while(|record| {
        bytes += record.len();
        bytes <= BATCH_MAX_BYTES
    });
    fits.count()
}

/// What a record counts in a journal's bound.
pub fn cost(record: &[u8]) -> u64 {
    record.len() as u64 + RECORD_OVERHEAD_BYTES
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
        let ask = Ask::Append { epoch: 5, first: 7, records: vec![vec![1, 2], vec![3]] };
        check(&Request { tag: 7, journal: JournalId([1; 32]), token: [2; 32], ask });
        let standing = Standing { accepted: 1, base: 2, last: 3, bytes: 4 };
        check(&Response { tag: 258, answer: Answer::Sealed(standing) });
    }

    #[test]
    fn the_largest_messages_fit_their_caps() {
        let records = || {
            let mut records = vec![vec![0; RECORD_MAX_BYTES - BATCH_MAX_RECORDS]; 2];
            records.extend(vec![vec![0; 2]; BATCH_MAX_RECORDS - 2]);
            check_batch(records.iter().map(Vec::as_slice)).unwrap();
            records
        };
        let ask = Ask::Install { epoch: u64::MAX, first: u64::MAX, begin: true, finish: true, records: records() };
        codec::encode(&Request { tag: u32::MAX, journal: JournalId([9; 32]), token: [9; 32], ask });
        let answer = Answer::Records { first: u64::MAX, last: u64::MAX, records: records() };
        codec::encode(&Response { tag: u32::MAX, answer });
        let answer = Answer::Refused(Refusal::failed("ä".repeat(1_000)));
        codec::encode(&Response { tag: u32::MAX, answer });
        const { assert!(Request::MAX_BYTES < crate::network::FRAME_MAX_BYTES) };
    }

    #[test]
    fn a_batch_over_its_bounds_is_refused_by_name() {
        let refused = |records: Vec<Vec<u8>>| check_batch(records.iter().map(Vec::as_slice)).unwrap_err().to_string();
        assert!(refused(vec![vec![0; RECORD_MAX_BYTES + 1]]).contains("over the limit of 1048576 B"));
        assert!(refused(vec![vec![]; BATCH_MAX_RECORDS + 1]).contains("4096 records"));
        let three = vec![vec![0; RECORD_MAX_BYTES]; 3];
        assert!(refused(three.clone()).contains("2097152 B"));
        assert_eq!(batch_of(three.iter().map(Vec::as_slice)), 2);
    }
}
