//! Which fragments are held and how much room is left.
//!
//! Owns the records in the fragments column and the counters over them; the claims among them are in `claims`. Must not know
//! where the bytes are. Invariants: fragments and idle space together never grow beyond the limit; records may lag the disk
//! after power loss and are then rebuilt from it.

use super::FragmentError;
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability, Kv},
    types::{B256, FragmentId, Height},
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeSet, sync::Arc};

const FRAGMENT_KEY: u8 = b'f';
const CURSOR_KEY: &[u8] = b"c";
/// Records read at a time.
const PAGE_ENTRIES: usize = 1_024;

/// What is known of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct FragmentInfo {
    /// Its length in bytes.
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
    /// Taken on disk by idle space.
    pub idle: u64,
    /// Taken by journals of gateways.
    pub journals: u64,
    /// Number of stored fragments.
    pub fragments: u64,
}

impl Space {
    /// Bytes a further put may take.
    pub fn free(&self) -> u64 {
        let taken = [self.used, self.reserved, self.idle, self.journals];
        taken.into_iter().fold(self.limit, u64::saturating_sub)
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

    /// Says how much of the space lent idle segments take on disk.
    pub fn set_idle(&self, bytes: u64) {
        self.space.lock().idle = bytes;
    }

    /// Says how much of the space lent journals take.
    pub fn set_journals(&self, bytes: u64) {
        self.space.lock().journals = bytes;
    }

    /// The database the records are in.
    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// Keeps every other change of records away while it is held.
    pub(super) fn lock(&self) -> MutexGuard<'_, Space> {
        self.space.lock()
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
                Some(None) => {
                    batch.delete(Column::Fragments, fragment_key(id));
                    self.forget_tags(id, &mut batch)?;
                }
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

pub(super) fn put_info(batch: &mut Batch, id: FragmentId, info: FragmentInfo) {
    batch.put(Column::Fragments, fragment_key(id), codec::encode(&info));
}

pub(super) fn fragment_key(id: FragmentId) -> [u8; 33] {
    keyed(FRAGMENT_KEY, &id.0)
}

pub(super) fn keyed(kind: u8, id: &[u8; 32]) -> [u8; 33] {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(id);
    key
}

fn fragment_of(key: &[u8]) -> Result<FragmentId, FragmentError> {
    let malformed = || codec::CodecError::Malformed { name: "fragment key", reason: format!("it is {} B", key.len()) };
    let id = key.get(1..).and_then(|id| id.try_into().ok()).ok_or_else(malformed)?;
    Ok(FragmentId(id))
}
