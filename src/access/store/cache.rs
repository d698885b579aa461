//! A bounded folder of files that were written or read lately, as they are stored.
//!
//! Owns its folder: whatever else is in it is deleted. Must not know names or keys. Invariants: a file is in the cache as a whole or not
//! at all; the folder has no more bytes than its bound; losing it loses nothing.

use crate::types::FileId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read, Seek, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Ending of files that are not whole yet.
const PART: &str = "part";

/// Files kept near. Cheap to clone.
#[derive(Clone)]
pub struct FileCache {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    max_bytes: u64,
    index: Mutex<Index>,
}

#[derive(Default)]
struct Index {
    /// Length of each file, and when it was used last.
    files: BTreeMap<FileId, (u64, u64)>,
    bytes: u64,
    clock: u64,
}

impl FileCache {
    /// The cache in `dir`, which is made if need be, with what is left there from earlier.
    pub fn open(dir: &Path, max_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut index = Index::default();
        for file in fs::read_dir(dir)? {
            let (file, name) = file.map(|file| (file.path(), file.file_name()))?;
            let id = name.to_str().and_then(|name| name.parse::<FileId>().ok());
            match (id, file.metadata()?) {
                (Some(id), meta) if meta.is_file() => index.add(id, meta.len()),
                (None, meta) if meta.is_file() => fs::remove_file(&file)?,
                _ => {}
            }
        }
        let cache = Self { inner: Arc::new(Inner { dir: dir.to_owned(), max_bytes, index: Mutex::new(index) }) };
        cache.inner.shrink();
        Ok(cache)
    }

    /// Most bytes of the folder.
    pub fn max_bytes(&self) -> u64 {
        self.inner.max_bytes
    }

    /// Keeps a file. Failing to is no error: it is read from the network then.
    pub async fn put(&self, file: FileId, bytes: Bytes) {
        if bytes.len() as u64 > self.inner.max_bytes {
            return;
        }
        let inner = self.inner.clone();
        let written = tokio::task::spawn_blocking(move || inner.write(file, &bytes)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%file, %error, "a file is not cached");
        }
    }

    /// Bytes of a file that is here.
    pub async fn get(&self, file: FileId, range: Range<u64>) -> Option<Bytes> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || inner.read(file, range)).await.ok()?
    }

    /// Forgets a file.
    pub fn remove(&self, file: FileId) {
        self.inner.drop_file(file);
    }
}

impl Inner {
    fn path(&self, file: FileId) -> PathBuf {
        self.dir.join(file.to_string())
    }

    fn write(&self, file: FileId, bytes: &[u8]) -> io::Result<()> {
        if self.index.lock().touch(file).is_some() {
            return Ok(());
        }
        let part = self.path(file).with_extension(PART);
        fs::write(&part, bytes)?;
        fs::rename(&part, self.path(file))?;
        self.index.lock().add(file, bytes.len() as u64);
        self.shrink();
        Ok(())
    }

    fn read(&self, file: FileId, range: Range<u64>) -> Option<Bytes> {
        let len = self.index.lock().touch(file)?;
        if range.end > len || range.start > range.end {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(range.end - range.start).ok()?];
        let mut read = || -> io::Result<()> {
            let mut open = fs::File::open(self.path(file))?;
            open.seek(SeekFrom::Start(range.start))?;
            open.read_exact(&mut bytes)
        };
        let done = read();
        match done {
            Ok(()) => Some(bytes.into()),
            Err(error) => {
                tracing::warn!(%file, %error, "a cached file cannot be read");
                self.drop_file(file);
                None
            }
        }
    }

    /// Drops files until the bound is kept, those that were not used for longest first.
    fn shrink(&self) {
        loop {
            let oldest = {
                let index = self.index.lock();
                if index.bytes <= self.max_bytes {
                    return;
                }
                index.files.iter().min_by_key(|(_, (_, used))| *used).map(|(file, _)| *file)
            };
            let Some(oldest) = oldest else { return };
            self.drop_file(oldest);
        }
    }

    fn drop_file(&self, file: FileId) {
        let mut index = self.index.lock();
        if let Some((len, _)) = index.files.remove(&file) {
            index.bytes -= len;
            // One that cannot be deleted is found again at the next start.
            let _ = fs::remove_file(self.path(file));
        }
    }
}

impl Index {
    fn add(&mut self, file: FileId, len: u64) {
        self.clock += 1;
        if let Some((old, _)) = self.files.insert(file, (len, self.clock)) {
            self.bytes -= old;
        }
        self.bytes += len;
    }

    /// The file's length, if it is here.
    fn touch(&mut self, file: FileId) -> Option<u64> {
        self.clock += 1;
        let (len, used) = self.files.get_mut(&file)?;
        *used = self.clock;
        Some(*len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> FileId {
        FileId([n; 32])
    }

    fn bytes(n: u8) -> Bytes {
        vec![n; 100].into()
    }

    #[tokio::test]
    async fn keeps_what_was_used_last_within_its_bound() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::open(&dir.path().join("cache"), 250).unwrap();
        cache.put(id(1), bytes(1)).await;
        cache.put(id(2), bytes(2)).await;
        assert_eq!(cache.get(id(1), 10..12).await.unwrap(), [1, 1][..]);
        cache.put(id(3), bytes(3)).await;
        assert_eq!(cache.get(id(2), 0..1).await, None, "not used for longest");
        assert!(cache.get(id(1), 0..100).await.is_some() && cache.get(id(3), 99..100).await.is_some());
        assert_eq!(cache.get(id(3), 99..101).await, None);
        cache.put(id(4), vec![0; 251].into()).await;
        assert_eq!(cache.get(id(4), 0..1).await, None, "larger than the cache");
        cache.remove(id(3));
        assert_eq!(cache.get(id(3), 0..1).await, None);
    }

    #[tokio::test]
    async fn a_restart_keeps_whole_files_and_loses_torn_ones() {
        let dir = tempfile::tempdir().unwrap();
        let cache = FileCache::open(dir.path(), 1_000).unwrap();
        cache.put(id(1), bytes(1)).await;
        cache.put(id(2), bytes(2)).await;
        fs::write(dir.path().join(id(3).to_string()).with_extension(PART), b"torn").unwrap();
        fs::remove_file(dir.path().join(id(2).to_string())).unwrap();
        let cache = FileCache::open(dir.path(), 1_000).unwrap();
        assert_eq!(cache.get(id(1), 0..100).await.unwrap(), bytes(1));
        assert_eq!(cache.get(id(2), 0..1).await, None);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::remove_file(dir.path().join(id(1).to_string())).unwrap();
        assert_eq!(cache.get(id(1), 0..1).await, None, "a file that vanished is a miss");
        assert_eq!(cache.get(id(1), 0..1).await, None);
        assert!(FileCache::open(dir.path(), 50).unwrap().inner.index.lock().bytes == 0);
    }
}
