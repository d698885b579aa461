//! Which fragments are held, which files claim them, and how much room is left.
//!
//! Owns the records in the fragments column and the counters over them. Must not know where the bytes are.
//! Invariants: used never grows beyond limit; a file claims once, however often its event is seen; records may lag the disk
//! after power loss and are then rebuilt from it.

use super::FragmentError;
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Kv},
    types::{B256, FileId, FragmentId, Height},
};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc};

const FRAGMENT_KEY: u8 = b'f';
const CLAIM_KEY: u8 = b'm';
const CURSOR_KEY: &[u8] = b"c";
/// Records read at a time.
const PAGE_ENTRIES: usize = 1_024;
/// Fragments one file may claim from one miner: one for each segment.
const CLAIM_MAX_FRAGMENTS: usize = crate::ledger::manifest::MANIFEST_MAX_SEGMENTS;

/// What is known of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct FragmentInfo {
    /// Its length in bytes; 0 while it is missing and was never seen.
    pub len: u32,
    /// Files that claim it.
    pub claims: u32,
    /// Height of the last acknowledgement that no claim has answered yet.
    pub pending_since: Option<Height>,
    /// Whether the bytes are here. A claimed fragment that is not should be fetched again.
    pub present: bool,
}

impl FragmentInfo {
    /// Whether nothing claims it and no acknowledgement after `until` waits for a claim.
    fn is_unused(&self, until: Height) -> bool {
        self.claims == 0 && self.pending_since.is_none_or(|since| since <= until)
    }
}

impl Wire for FragmentInfo {
    const NAME: &'static str = "fragment record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// A file's claim on this miner.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Claim {
    /// Which of the twelve columns this miner keeps.
    pub column: u8,
    /// The distinct fragments, in order of their ids.
    pub fragments: Vec<FragmentId>,
}

impl Wire for Claim {
    const NAME: &'static str = "file claim";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 16 + CLAIM_MAX_FRAGMENTS * 32;
}

/// How far the chain was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Cursor {
    /// The chain.
    pub genesis: [u8; 32],
    /// Height up to which every event is reflected in the claims.
    pub height: Height,
}

impl Wire for Cursor {
    const NAME: &'static str = "follower cursor";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

impl Cursor {
    /// The position `height` on the chain that began with `genesis`.
    pub fn new(genesis: B256, height: Height) -> Self {
        Self { genesis: genesis.0, height }
    }
}

/// Room on this miner, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Lent to the network.
    pub limit: u64,
    /// Taken by stored fragments.
    pub used: u64,
    /// Promised to puts under way.
    pub reserved: u64,
    /// Number of stored fragments.
    pub fragments: u64,
}

impl Space {
    /// Bytes a further put may take.
    pub fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used).saturating_sub(self.reserved)
    }
}

/// The index of one miner.
pub struct FragmentIndex {
    kv: Arc<dyn Kv>,
    /// Guards the counters and every read-modify-write of records. Never held across an await.
    space: Mutex<Space>,
}

/// Room promised to one put; given back when dropped.
pub struct Reservation {
    index: Arc<FragmentIndex>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.index.space.lock().reserved -= self.bytes;
    }
}

impl FragmentIndex {
    /// Reads the records and counts what they hold.
    pub fn open(kv: Arc<dyn Kv>, limit: u64) -> Result<Arc<Self>, FragmentError> {
        let index = Self { kv, space: Mutex::new(Space { limit, ..Space::default() }) };
        let mut space = Space { limit, ..Space::default() };
        index.each(|_, info| {
            if info.present {
                space.used += u64::from(info.len);
                space.fragments += 1;
            }
        })?;
        *index.space.lock() = space;
        Ok(Arc::new(index))
    }

    /// What is known of a fragment.
    pub fn stat(&self, id: FragmentId) -> Result<Option<FragmentInfo>, FragmentError> {
        let record = self.kv.get(Column::Fragments, &fragment_key(id))?;
        Ok(record.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Whether the bytes are here.
    pub fn holds(&self, id: FragmentId) -> Result<bool, FragmentError> {
        Ok(self.stat(id)?.is_some_and(|info| info.present))
    }

    /// At most `limit` fragments with ids above `after`, in order.
    pub fn list(
        &self,
        after: Option<FragmentId>,
        limit: usize,
    ) -> Result<Vec<(FragmentId, FragmentInfo)>, FragmentError> {
        let from = match after {
            None => vec![FRAGMENT_KEY],
            Some(id) => [&fragment_key(id)[..], &[0]].concat(),
        };
        let records = self.kv.scan(Column::Fragments, &[FRAGMENT_KEY], &from, limit)?;
        records.into_iter().map(|(key, value)| Ok((fragment_of(&key)?, codec::decode(&value)?))).collect()
    }

    /// Calls `visit` with every fragment, a page at a time.
    pub fn each(&self, mut visit: impl FnMut(FragmentId, FragmentInfo)) -> Result<(), FragmentError> {
        let mut after = None;
        loop {
            let page = self.list(after, PAGE_ENTRIES)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(*last);
            page.into_iter().for_each(|(id, info)| visit(id, info));
        }
    }

    /// Room left and taken.
    pub fn space(&self) -> Space {
        *self.space.lock()
    }

    /// Changes the space lent. What is held stays, even if it is more.
    pub fn set_limit(&self, limit: u64) {
        self.space.lock().limit = limit;
    }

    /// Promises room for `bytes` or says how much is free.
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, FragmentError> {
        let mut space = self.space.lock();
        if space.free() < bytes {
            return Err(FragmentError::NoSpace { free: space.free(), limit: space.limit, needed: bytes });
        }
        space.reserved += bytes;
        Ok(Reservation { index: self.clone(), bytes })
    }

    /// Records fragments whose bytes are safely stored. Claims made before they arrived are kept.
    pub fn insert(&self, stored: &[(FragmentId, u32)], since: Height) -> Result<(), FragmentError> {
        let mut space = self.space.lock();
        let mut changed = *space;
        let mut batch = Batch::new();
        for &(id, len) in stored.iter().collect::<BTreeSet<_>>() {
            let known = self.stat(id)?;
            let claims = known.map_or(0, |info| info.claims);
            let pending_since = known.and_then(|info| info.pending_since).max(Some(since));
            if !known.is_some_and(|info| info.present) {
                changed.used += u64::from(len);
                changed.fragments += 1;
            }
            put_info(&mut batch, id, FragmentInfo { len, claims, pending_since, present: true });
        }
        self.kv.write(batch, Durability::Buffered)?;
        *space = changed;
        Ok(())
    }

    /// Renews the waiting time of held fragments; returns the positions in `ids` of those that are not held.
    pub fn acknowledge(&self, ids: &[FragmentId], since: Height) -> Result<Vec<usize>, FragmentError> {
        let _guard = self.space.lock();
        let (mut missing, mut batch) = (Vec::new(), Batch::new());
        for (position, &id) in ids.iter().enumerate() {
            match self.stat(id)? {
                Some(info) if info.present => {
                    // Never backwards: a receipt may have been given at a greater height than is followed yet.
                    let pending_since = info.pending_since.max(Some(since));
                    put_info(&mut batch, id, FragmentInfo { pending_since, ..info });
                }
                _ => missing.push(position),
            }
        }
        if !batch.ops.is_empty() {
            self.kv.write(batch, Durability::Buffered)?;
        }
        Ok(missing)
    }

    /// Records that `file` is active and keeps `fragments` (its column on this miner) here; returns those that are missing.
    /// A claim that is already recorded changes nothing.
    pub fn claim(
        &self,
        file: FileId,
        column: u8,
        fragments: impl IntoIterator<Item = FragmentId>,
    ) -> Result<Vec<FragmentId>, FragmentError> {
        let distinct: BTreeSet<FragmentId> = fragments.into_iter().collect();
        let _guard = self.space.lock();
        let (mut missing, mut batch) = (Vec::new(), Batch::new());
        if self.kv.get(Column::Fragments, &claim_key(file))?.is_some() {
            return Ok(missing);
        }
        for &id in &distinct {
            let absent = FragmentInfo { len: 0, claims: 0, pending_since: None, present: false };
            let info = self.stat(id)?.unwrap_or(absent);
            if !info.present {
                missing.push(id);
            }
            put_info(&mut batch, id, FragmentInfo { claims: info.claims + 1, pending_since: None, ..info });
        }
        let claim = Claim { column, fragments: distinct.into_iter().collect() };
        batch.put(Column::Fragments, claim_key(file), codec::encode(&claim));
        self.kv.write(batch, Durability::Buffered)?;
        Ok(missing)
    }

    /// Records that acknowledgements for `file` were answered by a further owner of it: nothing waits for them any more.
    pub fn settle(&self, file: FileId) -> Result<(), FragmentError> {
        let _guard = self.space.lock();
        let Some(claim) = self.claim_of(file)? else { return Ok(()) };
        let mut batch = Batch::new();
        for id in claim.fragments {
            if let Some(info) = self.stat(id)?.filter(|info| info.pending_since.is_some()) {
                put_info(&mut batch, id, FragmentInfo { pending_since: None, ..info });
            }
        }
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// Records that `file` is gone; returns the fragments that nothing claims any more, for [`super::FragmentStore::collect`].
    pub fn release(&self, file: FileId) -> Result<Vec<FragmentId>, FragmentError> {
        let _guard = self.space.lock();
        let Some(claim) = self.claim_of(file)? else { return Ok(Vec::new()) };
        let (mut free, mut batch) = (Vec::new(), Batch::new());
        for id in claim.fragments {
            let Some(info) = self.stat(id)? else { continue };
            let left = FragmentInfo { claims: info.claims.saturating_sub(1), ..info };
            let unused = left.claims == 0 && left.pending_since.is_none();
            if unused && !left.present {
                batch.delete(Column::Fragments, fragment_key(id));
                continue;
            }
            put_info(&mut batch, id, left);
            if unused {
                free.push(id);
            }
        }
        batch.delete(Column::Fragments, claim_key(file));
        self.kv.write(batch, Durability::Buffered)?;
        Ok(free)
    }

    /// A file's claim on this miner.
    pub fn claim_of(&self, file: FileId) -> Result<Option<Claim>, FragmentError> {
        let record = self.kv.get(Column::Fragments, &claim_key(file))?;
        Ok(record.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Fragments that nothing claims and that were last acknowledged at or before `height`.
    pub fn unclaimed_since(&self, height: Height) -> Result<Vec<FragmentId>, FragmentError> {
        let mut out = Vec::new();
        self.each(|id, info| {
            if info.present && info.is_unused(height) {
                out.push(id);
            }
        })?;
        Ok(out)
    }

    /// How far the chain was followed.
    pub fn cursor(&self) -> Result<Option<Cursor>, FragmentError> {
        let record = self.kv.get(Column::Fragments, CURSOR_KEY)?;
        Ok(record.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Moves the cursor. Synced, it takes every change made before onto the medium; lost, events are only seen once more.
    pub fn set_cursor(&self, cursor: Cursor, durability: Durability) -> Result<(), FragmentError> {
        let mut batch = Batch::new();
        batch.put(Column::Fragments, CURSOR_KEY, codec::encode(&cursor));
        Ok(self.kv.write(batch, durability)?)
    }

    /// Forgets those of `ids` that are held, unclaimed and not acknowledged after `until`; returns them. The caller then
    /// removes the bytes.
    pub(super) fn forget_unused(&self, ids: &[FragmentId], until: Height) -> Result<Vec<FragmentId>, FragmentError> {
        self.change_present(ids, |info| info.is_unused(until).then_some(None))
    }

    /// Marks those of `ids` that are held as missing; unclaimed ones are forgotten. Returns them.
    pub(super) fn mark_missing(&self, ids: &[FragmentId]) -> Result<Vec<FragmentId>, FragmentError> {
        self.change_present(ids, |info| {
            let missing = FragmentInfo { present: false, pending_since: None, ..info };
            Some((info.claims > 0).then_some(missing))
        })
    }

    /// Applies `change` to held fragments: `None` leaves one alone, `Some(None)` deletes its record, otherwise replaces it.
    fn change_present(
        &self,
        ids: &[FragmentId],
        change: impl Fn(FragmentInfo) -> Option<Option<FragmentInfo>>,
    ) -> Result<Vec<FragmentId>, FragmentError> {
        let mut space = self.space.lock();
        let mut changed = *space;
        let (mut gone, mut batch) = (Vec::new(), Batch::new());
        for &id in ids.iter().collect::<BTreeSet<_>>() {
            let Some(info) = self.stat(id)?.filter(|info| info.present) else { continue };
            match change(info) {
                None => continue,
                Some(None) => batch.delete(Column::Fragments, fragment_key(id)),
                Some(Some(replaced)) => put_info(&mut batch, id, replaced),
            }
            changed.used -= u64::from(info.len);
            changed.fragments -= 1;
            gone.push(id);
        }
        self.kv.write(batch, Durability::Buffered)?;
        *space = changed;
        Ok(gone)
    }
}

fn put_info(batch: &mut Batch, id: FragmentId, info: FragmentInfo) {
    batch.put(Column::Fragments, fragment_key(id), codec::encode(&info));
}

fn fragment_key(id: FragmentId) -> [u8; 33] {
    keyed(FRAGMENT_KEY, &id.0)
}

fn claim_key(id: FileId) -> [u8; 33] {
    keyed(CLAIM_KEY, &id.0)
}

fn keyed(kind: u8, id: &[u8; 32]) -> [u8; 33] {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(id);
    key
}

fn fragment_of(key: &[u8]) -> Result<FragmentId, FragmentError> {
    let malformed = || codec::CodecError::Malformed { name: "fragment key", reason: format!("it is {} B", key.len()) };
    let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or_else(malformed)?;
    Ok(FragmentId(id))
}
