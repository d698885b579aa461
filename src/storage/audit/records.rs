//! What the holdings index keeps on disk, and the keys it keeps it under.
//!
//! Owns shapes and their caps. Must not know events. Invariant: numbers in keys are big-endian, so that scans go in their order.

use crate::{
    codec::Wire,
    ledger::audit::{Outcome, Verdict},
    types::{Address, FileId, Height, params::FRAGMENTS},
};

/// Taggings of one column that are remembered: the newest of a block and those that an open round may still go back to.
const TAGGINGS_MAX: usize = 64;
/// Key epochs one set of proofs may name; the interface's own bound.
const PROOFS_MAX: usize = 64;
/// Segments of one batch of commitments, and the bytes of each.
const COMMITMENT_MAX_BYTES: usize = 512;

/// Bytes of an account.
pub(super) type Account = [u8; 20];

/// Prefixes of the keys in the index's column.
pub(super) mod prefix {
    /// The cursor.
    pub const CURSOR: u8 = b'c';
    /// file → its manifest as the event gave it.
    pub const MANIFEST: u8 = b'm';
    /// file → [`super::FileEntry`].
    pub const FILE: u8 = b'f';
    /// miner ‖ file ‖ since → [`super::Hold`].
    pub const HOLD: u8 = b'h';
    /// height ‖ key of a record that is of no use from then on.
    pub const STALE: u8 = b'x';
    /// since ‖ file: columns of it wait for tags.
    pub const UNTAGGED: u8 = b't';
    /// miner → height of its registration.
    pub const MINER: u8 = b'n';
    /// epoch → [`super::EpochEntry`].
    pub const EPOCH: u8 = b'e';
    /// epoch ‖ worker → the worker's seal key ‖ the epoch's key, sealed to it.
    pub const HANDED: u8 = b'k';
    /// round ‖ miner → [`super::RoundEntry`].
    pub const ROUND: u8 = b'r';
    /// miner ‖ batch → [`super::BatchEntry`].
    pub const BATCH: u8 = b'i';
    /// appeal → [`super::AppealEntry`].
    pub const APPEAL: u8 = b'q';
    /// round ‖ miner → [`super::OwnVote`].
    pub const VOTE: u8 = b'v';
    /// round ‖ miner ‖ part → bytes a verdict of this node was based on.
    pub const BYTES: u8 = b'b';
    /// [`super::Restored`], if the index was filled from the chain's state.
    pub const RESTORED: u8 = b's';
}

/// A key under `prefix`.
pub(super) fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    std::iter::once(prefix).chain(parts.iter().flat_map(|part| part.iter().copied())).collect()
}

/// Key of a hold.
pub(super) fn hold_key(miner: &Address, file: &FileId, since: Height) -> Vec<u8> {
    key(prefix::HOLD, &[miner.as_slice(), file.as_bytes(), &since.to_be_bytes()])
}

/// Key of what belongs to a miner's round.
pub(super) fn round_key(prefix: u8, round: u64, miner: &Address) -> Vec<u8> {
    key(prefix, &[&round.to_be_bytes(), miner.as_slice()])
}

/// The number that stands `at` bytes into a key.
pub(super) fn number_at(key: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(at..at + 8)?.try_into().ok()?))
}

/// The account that stands `at` bytes into a key.
pub(super) fn account_at(key: &[u8], at: usize) -> Option<Address> {
    Some(Address::from_slice(key.get(at..at + 20)?))
}

/// The file that stands `at` bytes into a key.
pub(super) fn file_at(key: &[u8], at: usize) -> Option<FileId> {
    Some(FileId(key.get(at..at + 32)?.try_into().ok()?))
}

/// A file that is active.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct FileEntry {
    /// Who holds each column.
    pub(super) holders: [Account; FRAGMENTS],
    /// Since when each is there.
    pub(super) since: [Height; FRAGMENTS],
    /// Epoch of each column's tags.
    pub(super) tagged: [Option<u64>; FRAGMENTS],
    /// Since when columns have waited for tags; none if all have them.
    pub(super) untagged_since: Option<Height>,
}

impl FileEntry {
    /// Who holds each column.
    pub fn holders(&self) -> Vec<Address> {
        self.holders.iter().map(Address::from).collect()
    }

    /// Columns that have no tags.
    pub fn untagged(&self) -> Vec<usize> {
        (0..FRAGMENTS).filter(|&column| self.tagged[column].is_none()).collect()
    }
}

impl Wire for FileEntry {
    const NAME: &'static str = "indexed file";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 16 + FRAGMENTS * (20 + 8 + 9);
}

/// A miner's column of a file, for as long as it holds or held it.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub(super) struct Hold {
    pub column: u8,
    /// Block that let go of it.
    pub until: Option<Height>,
    /// Blocks that said it is tagged, and the epochs, ascending.
    pub tags: Vec<(Height, u64)>,
}

impl Hold {
    /// Notes tags; forgets what no round before `useful` can ask for.
    pub fn tag(&mut self, height: Height, epoch: u64, useful: Height) {
        self.tags.retain(|(at, _)| *at != height);
        self.tags.push((height, epoch));
        let older = self.tags.iter().filter(|(at, _)| *at < useful).count();
        self.tags.drain(..older.saturating_sub(1));
        let excess = self.tags.len().saturating_sub(TAGGINGS_MAX);
        self.tags.drain(..excess);
    }

    /// Whether it counts for a round that opens with block `opened`, given where it began.
    pub fn counts(&self, since: Height, opened: Height) -> bool {
        since < opened && self.until.is_none_or(|until| until >= opened)
    }

    /// Epoch of its tags just before block `opened`.
    pub fn epoch_before(&self, opened: Height) -> Option<u64> {
        self.tags.iter().rev().find(|(at, _)| *at < opened).map(|(_, epoch)| *epoch)
    }
}

impl Wire for Hold {
    const NAME: &'static str = "indexed column";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 32 + TAGGINGS_MAX * 16;
}

/// That the index was filled from the chain's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub(super) struct Restored {
    /// Block until which the state was read: rounds that opened up to it may be about what is not here.
    pub height: Height,
}

impl Wire for Restored {
    const NAME: &'static str = "index taken over from the state";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 16;
}

/// A key epoch.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct EpochEntry {
    /// v and w, as the event gave them.
    pub key: Vec<u8>,
    /// Whether it takes new tags.
    pub open: bool,
    /// Block since which its tags count no more.
    pub suspended: Option<Height>,
}

impl Wire for EpochEntry {
    const NAME: &'static str = "indexed key epoch";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 32 + crate::proofs::podr2::GROUP_KEY_BYTES;
}

/// What the chain says of a miner's round.
#[derive(Debug, Clone, Default, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct RoundEntry {
    /// Digests of its spot openings and its idle proof, once it answered.
    pub answered: Option<([u8; 32], [u8; 32])>,
    /// Its proofs with their epochs, once it handed them in.
    pub proven: Option<Vec<(u64, Vec<u8>)>>,
    /// The committee's verdict.
    pub decided: Option<u8>,
}

impl Wire for RoundEntry {
    const NAME: &'static str = "indexed audit";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 128 + PROOFS_MAX * (16 + crate::proofs::podr2::PROOF_BYTES);
}

/// Commitments to idle space that wait.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct BatchEntry {
    /// Block of the commitments.
    pub height: Height,
    /// Number of the first segment.
    pub first: u64,
    /// One for each segment, encoded.
    pub commitments: Vec<Vec<u8>>,
    /// Whether this node voted about it.
    pub voted: bool,
}

impl Wire for BatchEntry {
    const NAME: &'static str = "indexed idle batch";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 32 + crate::types::params::IDLE_COMMITMENTS_MAX * (4 + COMMITMENT_MAX_BYTES);
}

/// An appeal that is open.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct AppealEntry {
    /// Whose verdict.
    pub miner: Account,
    /// Of which round.
    pub round: u64,
    /// Block of the appeal.
    pub height: Height,
    /// Whether this node ruled.
    pub ruled: bool,
}

impl Wire for AppealEntry {
    const NAME: &'static str = "indexed appeal";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// What this node voted, and which parts of it nobody can argue with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct OwnVote {
    /// The verdict.
    pub verdict: u8,
    /// Bit 0: spot, 1: tags, 2: idle.
    pub certain: u8,
    /// Whether it appealed.
    pub appealed: bool,
}

impl OwnVote {
    /// The verdict to appeal for, if the `decided` one is wrong for certain: something passed that failed, or did not pass that did.
    pub fn objection(&self, decided: u8) -> Option<Verdict> {
        let (own, mut better) = (Verdict::decode(self.verdict)?, Verdict::decode(decided)?);
        let before = better;
        let parts = [(0, own.spot, &mut better.spot), (1, own.tags, &mut better.tags), (2, own.idle, &mut better.idle)];
        for (bit, own, decided) in parts {
            let differs = match *decided {
                Outcome::Passed => own.is_fault(),
                Outcome::Failed | Outcome::Missed => own == Outcome::Passed,
                Outcome::NotDue => false,
            };
            if differs && self.certain >> bit & 1 == 1 {
                *decided = own;
            }
        }
        (better != before).then_some(better)
    }
}

impl Wire for OwnVote {
    const NAME: &'static str = "own audit vote";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8;
}
