//! Which files claim fragments of this miner, since when, and what they still ask for after they are gone.
//!
//! Owns the claims in the fragments column. Invariants: a file claims once, however often its event is seen; a fragment counts
//! the claims on it, those that were released but not forgotten included; what a miner held in the block before a round opened
//! can be told until the claims released since are forgotten.

use super::{
    FragmentError, FragmentIndex, FragmentInfo,
    index::{fragment_key, keyed, put_info},
};
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability},
    ledger::manifest::MANIFEST_MAX_SEGMENTS,
    types::{FileId, FragmentId, Height},
};
use borsh::BorshDeserialize;
use std::collections::BTreeMap;

const CLAIM_KEY: u8 = b'm';
/// Claims that were released: key ‖ height ‖ file.
const RELEASED_KEY: u8 = b'r';
/// Version of claims without heights.
const FIRST_VERSION: u8 = 1;
/// Claims read at a time.
const PAGE_ENTRIES: usize = 256;
/// Key epochs a claim remembers: an older one is not asked for any more.
const TAG_MARKS_MAX: usize = 4;

/// A fragment that is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Claimed {
    /// Which.
    pub id: FragmentId,
    /// Its length in bytes.
    pub len: u32,
}

/// When a claimed column got tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct TagMark {
    /// Key epoch of the tags.
    pub epoch: u64,
    /// Block that said so.
    pub since: Height,
}

/// A file's claim on this miner.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Claim {
    /// Which of the twelve columns this miner keeps.
    pub column: u8,
    /// Block that gave it to this miner.
    pub since: Height,
    /// Its tags, the newest last.
    pub tagged: Vec<TagMark>,
    /// The distinct fragments, in order of their ids.
    pub fragments: Vec<Claimed>,
}

impl Wire for Claim {
    const NAME: &'static str = "file claim";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = 32 + TAG_MARKS_MAX * 16 + MANIFEST_MAX_SEGMENTS * 36;
}

impl Claim {
    /// A claim of `fragments` made in block `since`.
    pub fn new(column: u8, since: Height, fragments: impl IntoIterator<Item = Claimed>) -> Self {
        let distinct: BTreeMap<FragmentId, u32> = fragments.into_iter().map(|f| (f.id, f.len)).collect();
        let fragments = distinct.into_iter().map(|(id, len)| Claimed { id, len }).collect();
        Self { column, since, tagged: Vec::new(), fragments }
    }

    /// Key epoch of the tags it had before block `height`.
    pub fn epoch_before(&self, height: Height) -> Option<u64> {
        self.tagged.iter().rev().find(|mark| mark.since < height).map(|mark| mark.epoch)
    }
}

/// Distinct fragments with their lengths, by id.
pub type Fragments = BTreeMap<FragmentId, u32>;

/// What a miner has to show in a round of audits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldBefore {
    /// Everything it held.
    pub all: Fragments,
    /// What of it had tags, by key epoch.
    pub tagged: BTreeMap<u64, Fragments>,
}

impl FragmentIndex {
    /// Records that `file` keeps a column here; returns those of its fragments that are missing. A claim that is already
    /// recorded changes nothing.
    pub fn claim(&self, file: FileId, claim: &Claim) -> Result<Vec<FragmentId>, FragmentError> {
        let _guard = self.lock();
        let (mut missing, mut batch) = (Vec::new(), Batch::new());
        if self.kv().get(Column::Fragments, &claim_key(file))?.is_some() || self.was_released(file, claim.since)? {
            return Ok(missing);
        }
        for &Claimed { id, len } in &claim.fragments {
            let absent = FragmentInfo { len, claims: 0, pending_since: None, present: false };
            let info = self.stat(id)?.unwrap_or(absent);
            if !info.present {
                missing.push(id);
            }
            put_info(&mut batch, id, FragmentInfo { claims: info.claims + 1, pending_since: None, ..info });
        }
        batch.put(Column::Fragments, claim_key(file), codec::encode(claim));
        self.kv().write(batch, Durability::Buffered)?;
        Ok(missing)
    }

    /// Records that acknowledgements for `file` were answered by a further owner of it: nothing waits for them any more.
    pub fn settle(&self, file: FileId) -> Result<(), FragmentError> {
        let _guard = self.lock();
        let Some(claim) = self.claim_of(file)? else { return Ok(()) };
        let mut batch = Batch::new();
        for Claimed { id, .. } in claim.fragments {
            if let Some(info) = self.stat(id)?.filter(|info| info.pending_since.is_some()) {
                put_info(&mut batch, id, FragmentInfo { pending_since: None, ..info });
            }
        }
        Ok(self.kv().write(batch, Durability::Buffered)?)
    }

    /// Records that the claimed column of `file` has tags of `epoch` since block `since`.
    pub fn mark_tagged(&self, file: FileId, epoch: u64, since: Height) -> Result<(), FragmentError> {
        let _guard = self.lock();
        let Some(mut claim) = self.claim_of(file)? else { return Ok(()) };
        if claim.tagged.last().is_some_and(|mark| mark.since >= since) {
            return Ok(());
        }
        claim.tagged.push(TagMark { epoch, since });
        let old = claim.tagged.len().saturating_sub(TAG_MARKS_MAX);
        claim.tagged.drain(..old);
        let mut batch = Batch::new();
        batch.put(Column::Fragments, claim_key(file), codec::encode(&claim));
        Ok(self.kv().write(batch, Durability::Buffered)?)
    }

    /// Records that `file` lets go of its column in block `height`. Its fragments stay until [`FragmentIndex::forget_released`].
    pub fn release(&self, file: FileId, height: Height) -> Result<bool, FragmentError> {
        let _guard = self.lock();
        let Some(claim) = self.claim_of(file)? else { return Ok(false) };
        let mut batch = Batch::new();
        batch.delete(Column::Fragments, claim_key(file));
        batch.put(Column::Fragments, released_key(height, file), codec::encode(&claim));
        self.kv().write(batch, Durability::Buffered)?;
        Ok(true)
    }

    /// Forgets claims released up to block `until`; returns the fragments that nothing claims any more, for
    /// [`super::FragmentStore::collect`].
    pub fn forget_released(&self, until: Height) -> Result<Vec<FragmentId>, FragmentError> {
        let _guard = self.lock();
        let mut free = Vec::new();
        loop {
            let page = self.kv().scan(Column::Fragments, &[RELEASED_KEY], &[RELEASED_KEY], 1)?;
            let Some((key, value)) = page.into_iter().next() else { return Ok(free) };
            if released_at(&key)? > until {
                return Ok(free);
            }
            let mut batch = Batch::new();
            self.drop_claim(&self.read_claim(&value)?, &mut batch, &mut free)?;
            batch.delete(Column::Fragments, key);
            self.kv().write(batch, Durability::Buffered)?;
        }
    }

    fn drop_claim(&self, claim: &Claim, batch: &mut Batch, free: &mut Vec<FragmentId>) -> Result<(), FragmentError> {
        for &Claimed { id, .. } in &claim.fragments {
            let Some(info) = self.stat(id)? else { continue };
            let left = FragmentInfo { claims: info.claims.saturating_sub(1), ..info };
            let unused = left.claims == 0 && left.pending_since.is_none();
            if unused && !left.present {
                batch.delete(Column::Fragments, fragment_key(id));
                self.forget_tags(id, batch)?;
                continue;
            }
            put_info(batch, id, left);
            if unused {
                free.push(id);
            }
        }
        Ok(())
    }

    /// A file's claim on this miner.
    pub fn claim_of(&self, file: FileId) -> Result<Option<Claim>, FragmentError> {
        let record = self.kv().get(Column::Fragments, &claim_key(file))?;
        record.map(|bytes| self.read_claim(&bytes)).transpose()
    }

    /// Calls `visit` with every file and its claim, until it answers false.
    pub fn each_claim(&self, mut visit: impl FnMut(FileId, Claim) -> bool) -> Result<(), FragmentError> {
        self.each_record(CLAIM_KEY, |key, claim| Ok(visit(file_of(key)?, claim)))
    }

    /// What was held in the block before `opened`, with which a round opens.
    pub fn held_before(&self, opened: Height) -> Result<HeldBefore, FragmentError> {
        let mut held = HeldBefore::default();
        let mut add = |claim: Claim| {
            if claim.since >= opened {
                return;
            }
            let fragments = || claim.fragments.iter().map(|f| (f.id, f.len));
            held.all.extend(fragments());
            if let Some(epoch) = claim.epoch_before(opened) {
                held.tagged.entry(epoch).or_default().extend(fragments());
            }
        };
        self.each_claim(|_, claim| {
            add(claim);
            true
        })?;
        self.each_record(RELEASED_KEY, |key, claim| {
            if released_at(key)? >= opened {
                add(claim);
            }
            Ok(true)
        })?;
        Ok(held)
    }

    /// Reads a claim. The first version knew neither height nor lengths: such a claim is as old as the chain, and the fragments'
    /// own records have their lengths.
    fn read_claim(&self, bytes: &[u8]) -> Result<Claim, FragmentError> {
        let Some((&FIRST_VERSION, old)) = bytes.split_first() else { return Ok(codec::decode(bytes)?) };
        let malformed = |e: std::io::Error| codec::CodecError::Malformed { name: Claim::NAME, reason: e.to_string() };
        let (column, ids) = <(u8, Vec<FragmentId>)>::try_from_slice(old).map_err(malformed)?;
        let mut claim = Claim::new(column, 0, []);
        for id in ids {
            claim.fragments.push(Claimed { id, len: self.stat(id)?.map_or(0, |info| info.len) });
        }
        Ok(claim)
    }

    /// Whether the claim `file` made in block `since` was released already.
    fn was_released(&self, file: FileId, since: Height) -> Result<bool, FragmentError> {
        let mut found = false;
        self.each_key(RELEASED_KEY, |key, value| {
            found = key.ends_with(&file.0) && self.read_claim(value)?.since == since;
            Ok(!found)
        })?;
        Ok(found)
    }

    fn each_record(
        &self,
        kind: u8,
        mut visit: impl FnMut(&[u8], Claim) -> Result<bool, FragmentError>,
    ) -> Result<(), FragmentError> {
        self.each_key(kind, |key, value| visit(key, self.read_claim(value)?))
    }

    fn each_key(
        &self,
        kind: u8,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, FragmentError>,
    ) -> Result<(), FragmentError> {
        let mut from = vec![kind];
        loop {
            let page = self.kv().scan(Column::Fragments, &[kind], &from, PAGE_ENTRIES)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = [&last[..], &[0]].concat();
            for (key, value) in page {
                if !visit(&key, &value)? {
                    return Ok(());
                }
            }
        }
    }
}

fn claim_key(file: FileId) -> [u8; 33] {
    keyed(CLAIM_KEY, &file.0)
}

fn released_key(height: Height, file: FileId) -> Vec<u8> {
    [&[RELEASED_KEY][..], &height.to_be_bytes(), &file.0].concat()
}

fn released_at(key: &[u8]) -> Result<Height, FragmentError> {
    let height = key.get(1..9).and_then(|bytes| bytes.try_into().ok());
    Ok(Height::from_be_bytes(height.ok_or_else(|| malformed(key))?))
}

fn file_of(key: &[u8]) -> Result<FileId, FragmentError> {
    let id = key.get(1..).and_then(|id| id.try_into().ok());
    Ok(FileId(id.ok_or_else(|| malformed(key))?))
}

fn malformed(key: &[u8]) -> codec::CodecError {
    codec::CodecError::Malformed { name: "claim key", reason: format!("it is {} B", key.len()) }
}
