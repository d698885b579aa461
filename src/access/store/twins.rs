//! The ports in memory, for tests.

use super::ports::{Files, NameEntry, NameFault, Names};
use crate::{
    access::blobs::{BlobError, BodyStream, body_of},
    client::ChainError,
    crypto::hash,
    types::FileId,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// Names in memory.
#[derive(Default)]
pub struct MemoryNames {
    names: Mutex<(u64, BTreeMap<String, NameEntry>)>,
    mute: AtomicBool,
    reads: AtomicU64,
}

impl MemoryNames {
    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Has changes done but not confirmed.
    pub fn mute(&self) {
        self.mute.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl Names for MemoryNames {
    async fn get(&self, name: &str) -> Result<Option<NameEntry>, NameFault> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        Ok(self.names.lock().1.get(name).cloned())
    }

    async fn set(&self, name: &str, expected: u64, value: Vec<u8>) -> Result<u64, NameFault> {
        let mut names = self.names.lock();
        check(names.1.get(name), expected)?;
        names.0 += 1;
        let version = names.0;
        names.1.insert(name.to_owned(), NameEntry { version, value });
        if self.mute.load(Ordering::Relaxed) {
            return Err(ChainError::Unreachable("the answer was lost".into()).into());
        }
        Ok(version)
    }

    async fn remove(&self, name: &str, expected: u64) -> Result<(), NameFault> {
        let mut names = self.names.lock();
        check(names.1.get(name), expected)?;
        names.1.remove(name);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<(String, NameEntry)>, NameFault> {
        Ok(self.names.lock().1.iter().map(|(name, entry)| (name.clone(), entry.clone())).collect())
    }
}

fn check(present: Option<&NameEntry>, expected: u64) -> Result<(), NameFault> {
    match present.map_or(0, |entry| entry.version) == expected {
        true => Ok(()),
        false => Err(NameFault::Conflict { present: present.cloned() }),
    }
}

/// Files in memory, which counts how often they are read.
#[derive(Default)]
pub struct MemoryFiles {
    files: Mutex<(u64, BTreeMap<FileId, Bytes>)>,
    reads: AtomicU64,
}

impl MemoryFiles {
    /// Files that are there.
    pub fn ids(&self) -> Vec<FileId> {
        self.files.lock().1.keys().copied().collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.files.lock().1.len()
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Changes a byte of every file.
    pub fn spoil(&self) {
        for bytes in self.files.lock().1.values_mut() {
            let mut bent = bytes.to_vec();
            bent[0] ^= 1;
            *bytes = bent.into();
        }
    }
}

#[async_trait]
impl Files for MemoryFiles {
    async fn store(&self, size: Option<u64>, body: BodyStream) -> Result<FileId, BlobError> {
        let bytes = body.try_collect::<Vec<Bytes>>().await?.concat();
        let got = bytes.len() as u64;
        if let Some(expected) = size.filter(|expected| *expected != got) {
            return Err(BlobError::Size { got, expected });
        }
        let mut files = self.files.lock();
        files.0 += 1;
        let file = FileId(hash::tagged("cess 2026 memory files", &[&files.0.to_le_bytes()]));
        files.1.insert(file, bytes.into());
        Ok(file)
    }

    async fn read(&self, file: FileId, range: Range<u64>) -> Result<BodyStream, BlobError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = self.files.lock().1.get(&file).cloned();
        let bytes = bytes.ok_or_else(|| BlobError::Fetch(format!("there is no file {file}")))?;
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(body_of(bytes.slice(bound(range.start)..bound(range.end))))
    }

    async fn remove(&self, file: FileId) -> Result<(), BlobError> {
        self.files.lock().1.remove(&file);
        Ok(())
    }
}
