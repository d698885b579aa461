//! The in-memory twin of the store, for tests and simulations.
//!
//! Owns the bytes in a map. Invariant: behaves as [`super::DiskStore`] does in everything the port promises.

use super::{FragmentError, FragmentIndex, FragmentStore, check};
use crate::{
    kv::Kv,
    types::{FragmentId, Height},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};

/// Fragments in memory.
pub struct MemoryStore {
    index: Arc<FragmentIndex>,
    bytes: Mutex<BTreeMap<FragmentId, Bytes>>,
}

impl MemoryStore {
    /// An empty store that lends `limit` bytes and keeps its records in `kv`.
    pub fn new(kv: Arc<dyn Kv>, limit: u64) -> Result<Arc<Self>, FragmentError> {
        Ok(Arc::new(Self { index: FragmentIndex::open(kv, limit)?, bytes: Mutex::default() }))
    }

    /// Flips one bit of a stored fragment, as a bad disk would. False if it is not held.
    pub fn damage(&self, id: FragmentId) -> bool {
        let mut bytes = self.bytes.lock();
        let Some(stored) = bytes.get_mut(&id) else { return false };
        let mut bent = stored.to_vec();
        bent[0] ^= 1;
        *stored = bent.into();
        true
    }

    /// Ids of the stored fragments.
    pub fn ids(&self) -> Vec<FragmentId> {
        self.bytes.lock().keys().copied().collect()
    }
}

#[async_trait]
impl FragmentStore for MemoryStore {
    fn index(&self) -> &Arc<FragmentIndex> {
        &self.index
    }

    async fn put(&self, id: FragmentId, bytes: Bytes, since: Height) -> Result<(), FragmentError> {
        let mut stored = self.bytes.lock();
        if self.index.acknowledge(&[id], since)?.is_empty() {
            return Ok(());
        }
        let len = u32::try_from(bytes.len()).map_err(|_| FragmentError::Length { id, len: bytes.len() })?;
        let _reservation = self.index.reserve(u64::from(len))?;
        check(id, &bytes)?;
        self.index.insert(&[(id, len)], since)?;
        // A copy, as a disk would make one: the sender's buffer goes back to its pool.
        stored.insert(id, Bytes::copy_from_slice(&bytes));
        Ok(())
    }

    async fn get(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        let bytes = self.whole(id).await?;
        if crate::crypto::hash::content(&bytes) != id.0 {
            return Err(FragmentError::Damaged { id });
        }
        Ok(bytes)
    }

    async fn whole(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.bytes.lock().get(&id).cloned().ok_or(FragmentError::NotHeld { id })
    }

    async fn collect(&self, ids: Vec<FragmentId>, until: Height) -> Result<u64, FragmentError> {
        let mut stored = self.bytes.lock();
        let gone = self.index.forget_unused(&ids, until)?;
        stored.retain(|id, _| !gone.contains(id));
        Ok(gone.len() as u64)
    }

    async fn discard(&self, id: FragmentId) -> Result<(), FragmentError> {
        let mut stored = self.bytes.lock();
        for id in self.index.mark_missing(&[id])? {
            stored.remove(&id);
        }
        Ok(())
    }
}
