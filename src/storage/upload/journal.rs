//! Unfinished uploads, so that one can go on after its connection, or its gateway, went away.
//!
//! Owns the records in the uploads column. Must not know miners. Invariant: the recorded segments are a prefix of the file,
//! each recorded after twelve miners had acknowledged its fragments.

use crate::{
    codec::{self, CodecError, Wire},
    kv::{Batch, Column, Durability, Entry, Kv, KvError},
    ledger::manifest::{MANIFEST_MAX_SEGMENTS, SegmentEntry},
    types::{Address, Height, params::FRAGMENTS},
};
use std::{fmt, str::FromStr, sync::Arc};

const HEAD_KEY: u8 = b'h';
const SEGMENT_KEY: u8 = b's';
const ID_BYTES: usize = 16;
/// Longest name of an upload, in bytes.
pub const UPLOAD_NAME_MAX_BYTES: usize = 1_024;
/// Holders remembered that a column had before.
const FORMER_MAX: usize = 4 * FRAGMENTS;
/// Records read at a time.
const PAGE_ENTRIES: usize = 512;

/// Why the journal could not be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The database failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// A record was not written by this program.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Too long a name.
    #[error("the name of {len} B is over the limit of {UPLOAD_NAME_MAX_BYTES} B")]
    Name { len: usize },
}

/// Identity of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UploadId(pub [u8; ID_BYTES]);

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for UploadId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut id = [0; ID_BYTES];
        hex::decode_to_slice(text, &mut id).map_err(|_| "an upload id is 32 hexadecimal digits".to_owned())?;
        Ok(Self(id))
    }
}

/// Which miners an upload goes to.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Placement {
    /// Height of the beacon the miners were drawn with; none has the height [`Height::MAX`] of one given up.
    pub beacon_height: Height,
    /// Holder of each column.
    pub holders: Vec<[u8; 20]>,
    /// Earlier holders of columns, who may still have fragments.
    pub former: Vec<(u8, [u8; 20])>,
}

/// Everything about an upload but its segments.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct UploadHead {
    /// Account the file will belong to.
    pub owner: [u8; 20],
    /// Name for display.
    pub name: String,
    /// Length of the file, if it was announced.
    pub size: Option<u64>,
    /// When it began, Unix milliseconds.
    pub started_ms: u64,
    /// Its miners, once the first segment was read.
    pub placement: Option<Placement>,
}

impl Wire for UploadHead {
    const NAME: &'static str = "upload";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 128 + UPLOAD_NAME_MAX_BYTES + FRAGMENTS * 20 + FORMER_MAX * 21;
}

/// A segment entry as a record of its own.
#[derive(Debug, PartialEq, borsh::BorshSerialize, borsh::BorshDeserialize)]
struct SegmentRecord(SegmentEntry);

impl Wire for SegmentRecord {
    const NAME: &'static str = "uploaded segment";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64 + FRAGMENTS * 32;
}

/// An upload as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Its identity.
    pub id: UploadId,
    /// Everything but the segments.
    pub head: UploadHead,
    /// Segments that twelve miners acknowledged, in order.
    pub segments: Vec<SegmentEntry>,
}

impl Upload {
    /// A new upload for `owner`.
    pub fn new(id: UploadId, owner: Address, name: String, size: Option<u64>, started_ms: u64) -> Self {
        let head = UploadHead { owner: owner.into(), name, size, started_ms, placement: None };
        Self { id, head, segments: Vec::new() }
    }

    /// The account the file will belong to.
    pub fn owner(&self) -> Address {
        self.head.owner.into()
    }

    /// Bytes that are safely stored: the sender goes on from here.
    pub fn offset(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.len)).sum()
    }
}

impl Placement {
    /// Gives up the beacon: its miners did not suffice, so the next attempt is drawn with a newer one, which knows the miners
    /// that registered since. Holders stay as far as that ranking has them.
    pub(super) fn expire(&mut self) {
        self.beacon_height = Height::MAX;
    }

    /// Notes that `holder` had `column`; the oldest notes make room.
    pub(super) fn remember(&mut self, column: u8, holder: Address) {
        let note = (column, holder.into());
        self.former.retain(|known| *known != note);
        if self.former.len() == FORMER_MAX {
            self.former.remove(0);
        }
        self.former.push(note);
    }
}

/// The unfinished uploads of a gateway.
#[derive(Clone)]
pub struct UploadJournal {
    kv: Arc<dyn Kv>,
}

impl UploadJournal {
    /// The journal in `kv`.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Records an upload's head, new or changed.
    pub fn save_head(&self, upload: &Upload) -> Result<(), JournalError> {
        let len = upload.head.name.len();
        if len > UPLOAD_NAME_MAX_BYTES {
            return Err(JournalError::Name { len });
        }
        let mut batch = Batch::new();
        batch.put(Column::Uploads, head_key(upload.id), codec::encode(&upload.head));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// Records segment `index`, which twelve miners acknowledged.
    pub fn save_segment(&self, id: UploadId, index: usize, entry: &SegmentEntry) -> Result<(), JournalError> {
        let mut batch = Batch::new();
        batch.put(Column::Uploads, segment_key(id, index), codec::encode(&SegmentRecord(entry.clone())));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// Forgets the segments from number `kept` on: their bytes must be sent again.
    pub fn truncate(&self, id: UploadId, kept: usize) -> Result<(), JournalError> {
        let (prefix, from) = (keyed(id, SEGMENT_KEY), segment_key(id, kept));
        loop {
            let records = self.kv.scan(Column::Uploads, &prefix, &from, PAGE_ENTRIES)?;
            if records.is_empty() {
                return Ok(());
            }
            self.delete(records)?;
        }
    }

    /// An unfinished upload.
    pub fn load(&self, id: UploadId) -> Result<Option<Upload>, JournalError> {
        let Some(head) = self.kv.get(Column::Uploads, &head_key(id))? else { return Ok(None) };
        let head = codec::decode(&head)?;
        let mut segments = Vec::new();
        for index in 0..MANIFEST_MAX_SEGMENTS {
            match self.kv.get(Column::Uploads, &segment_key(id, index))? {
                Some(record) => segments.push(codec::decode::<SegmentRecord>(&record)?.0),
                None => break,
            }
        }
        Ok(Some(Upload { id, head, segments }))
    }

    /// Identities of all unfinished uploads.
    pub fn list(&self) -> Result<Vec<UploadId>, JournalError> {
        let mut ids: Vec<UploadId> = Vec::new();
        let mut from = Vec::new();
        loop {
            // A head sorts before its segments, so the next upload begins right after this one's largest key.
            let Some((key, _)) = self.kv.scan(Column::Uploads, &[], &from, 1)?.pop() else { return Ok(ids) };
            let Some(id) = key.first_chunk::<ID_BYTES>() else { return Ok(ids) };
            ids.push(UploadId(*id));
            from = [&id[..], &[u8::MAX]].concat();
        }
    }

    /// Forgets an upload that is finished or was given up.
    pub fn remove(&self, id: UploadId) -> Result<(), JournalError> {
        loop {
            let records = self.kv.scan(Column::Uploads, &id.0, &id.0, PAGE_ENTRIES)?;
            if records.is_empty() {
                return Ok(());
            }
            self.delete(records)?;
        }
    }

    fn delete(&self, records: Vec<Entry>) -> Result<(), JournalError> {
        let mut batch = Batch::new();
        records.into_iter().for_each(|(key, _)| batch.delete(Column::Uploads, key));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }
}

fn keyed(id: UploadId, kind: u8) -> Vec<u8> {
    [&id.0[..], &[kind]].concat()
}

fn head_key(id: UploadId) -> Vec<u8> {
    keyed(id, HEAD_KEY)
}

fn segment_key(id: UploadId, index: usize) -> Vec<u8> {
    let index = u32::try_from(index).expect("a file has at most 4,096 segments");
    [&keyed(id, SEGMENT_KEY)[..], &index.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::golden::check,
        kv::MemoryKv,
        types::{FragmentId, SegmentId},
    };

    fn entry(n: u8) -> SegmentEntry {
        SegmentEntry { id: SegmentId([n; 32]), len: 100, fragments: [FragmentId([n; 32]); FRAGMENTS] }
    }

    #[test]
    fn an_upload_comes_back_as_far_as_it_got() {
        let kv = MemoryKv::new();
        let journal = UploadJournal::new(Arc::new(kv.reopen()));
        let (one, two) = (UploadId([1; 16]), UploadId([255; 16]));
        let mut upload = Upload::new(one, Address::repeat_byte(7), "movie.mkv".into(), Some(300), 5);
        journal.save_head(&upload).unwrap();
        journal.save_head(&Upload::new(two, Address::ZERO, String::new(), None, 6)).unwrap();
        for n in 0..2 {
            journal.save_segment(one, usize::from(n), &entry(n)).unwrap();
            upload.segments.push(entry(n));
        }
        let mut placement = Placement { beacon_height: 9, holders: vec![[3; 20]; FRAGMENTS], former: Vec::new() };
        (0..100).for_each(|n| placement.remember(11, Address::repeat_byte(n)));
        upload.head.placement = Some(placement);
        journal.save_head(&upload).unwrap();
        let journal = UploadJournal::new(Arc::new(kv.reopen()));
        assert_eq!(journal.load(one).unwrap().as_ref(), Some(&upload));
        assert_eq!(upload.offset(), 200);
        assert_eq!(journal.list().unwrap(), [one, two]);
        journal.truncate(one, 1).unwrap();
        assert_eq!(journal.load(one).unwrap().unwrap().segments, [entry(0)]);
        assert_eq!("01010101010101010101010101010101".parse(), Ok(one));
        journal.remove(one).unwrap();
        assert_eq!(journal.load(one).unwrap(), None);
        assert_eq!(journal.list().unwrap(), [two]);
    }

    #[test]
    fn encodings_are_stable() {
        check(&SegmentRecord(entry(1)));
        let mut upload = Upload::new(UploadId([1; 16]), Address::repeat_byte(7), "movie.mkv".into(), Some(300), 5);
        let mut placement = Placement { beacon_height: 9, holders: vec![[3; 20]; FRAGMENTS], former: Vec::new() };
        placement.remember(11, Address::repeat_byte(4));
        upload.head.placement = Some(placement);
        check(&upload.head);
    }

    #[test]
    fn a_gap_ends_the_prefix_and_long_names_are_refused() {
        let journal = UploadJournal::new(Arc::new(MemoryKv::new()));
        let mut upload = Upload::new(UploadId([1; 16]), Address::ZERO, "x".into(), None, 0);
        journal.save_head(&upload).unwrap();
        journal.save_segment(upload.id, 1, &entry(1)).unwrap();
        assert!(journal.load(upload.id).unwrap().unwrap().segments.is_empty());
        upload.head.name = "x".repeat(UPLOAD_NAME_MAX_BYTES + 1);
        assert!(matches!(journal.save_head(&upload), Err(JournalError::Name { len: 1_025 })));
    }
}
