//! Fragments as files: one file each, named by its id, in 256 directories by the id's first byte.
//!
//! Owns the directory. Must not know claims beyond asking the index. Invariants: a file under its final name is whole, since
//! it was written and synced under a temporary one; the directory entry is synced before `put` returns.
//! Why one file each: docs/adr/0005-fragment-store.md.

use super::{
    FragmentError, FragmentIndex, FragmentStore, check,
    commit::{Committer, Job, Staged},
    recovery,
};
use crate::{
    kv::Kv,
    runtime::{Counter, Criticality, Node, Phase, Timer},
    types::{FragmentId, Height},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    fs::{self, File},
    io::{self, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    task::spawn_blocking,
    time::Instant,
};

/// Fragments written to the medium at once.
const WRITERS_MAX: usize = 4;
/// Fragments read from the medium at once.
const READERS_MAX: usize = 8;
/// What bytes that are written past the system's cache are aligned to: fragments come as frames.
#[cfg(target_os = "linux")]
const PAGE_BYTES: usize = crate::network::FRAME_ALIGN_BYTES;
/// Commits and removals that wait for the committer.
const JOBS_MAX_QUEUED: usize = 256;

/// Where things are under the store's directory.
#[derive(Clone)]
pub(super) struct Layout {
    root: PathBuf,
    closed: Arc<AtomicBool>,
}

/// The store on a directory.
pub struct DiskStore {
    node: Node,
    layout: Layout,
    index: Arc<FragmentIndex>,
    jobs: mpsc::Sender<Job>,
    writers: Arc<Semaphore>,
    readers: Arc<Semaphore>,
    next_temporary: AtomicU64,
}

impl DiskStore {
    /// Opens or creates the store in `root`, brings index and disk in line, and starts its committer. `limit` is the space
    /// lent in bytes. Blocks on the disk.
    pub fn open(node: &Node, root: &Path, kv: Arc<dyn Kv>, limit: u64) -> Result<Arc<Self>, FragmentError> {
        let layout = Layout { root: root.to_owned(), closed: Arc::default() };
        let closed = layout.closed.clone();
        node.kill.on_kill(move |_| closed.store(true, Ordering::SeqCst));
        recovery::prepare(&layout)?;
        let index = FragmentIndex::open(kv, limit)?;
        recovery::reconcile(&layout, &index)?;
        let (jobs, queue) = mpsc::channel(JOBS_MAX_QUEUED);
        let committer = Committer { layout: layout.clone(), index: index.clone() };
        node.tasks.spawn(Phase::Store, "fragment-store", Criticality::Critical, {
            let stopping = node.tasks.stopping(Phase::Store);
            async move {
                committer.run(queue, stopping).await;
                Ok(())
            }
        });
        Ok(Arc::new(Self {
            node: node.clone(),
            layout,
            index,
            jobs,
            writers: Arc::new(Semaphore::new(WRITERS_MAX)),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            next_temporary: AtomicU64::new(0),
        }))
    }

    /// Hands a job to the committer and waits for its answer.
    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, FragmentError>>) -> Job,
    ) -> Result<T, FragmentError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| FragmentError::Closed)?;
        answer.await.map_err(|_| FragmentError::Closed)?
    }

    /// Reads of the file of a fragment, of the length it should have, on a thread that may wait for the medium.
    async fn read_file<T: Send + 'static>(
        &self,
        id: FragmentId,
        read: impl FnOnce(&Path, FragmentId, u64) -> Result<T, FragmentError> + Send + 'static,
    ) -> Result<T, FragmentError> {
        let info = self.index.stat(id)?.filter(|info| info.present).ok_or(FragmentError::NotHeld { id })?;
        let layout = self.layout.clone();
        let permit = self.readers.clone().acquire_owned().await.expect("the semaphore is never closed");
        let read = blocking(move || {
            let _permit = permit;
            layout.check_open()?;
            read(&layout.file(id), id, u64::from(info.len))
        })
        .await;
        if read.as_ref().is_err_and(FragmentError::is_damage) {
            self.node.metrics.add(Counter::FragmentsBad, 1);
        }
        read
    }

    /// Writes and syncs a temporary file with the checked bytes.
    async fn stage(&self, id: FragmentId, bytes: Bytes, since: Height) -> Result<Staged, FragmentError> {
        let len = u32::try_from(bytes.len()).map_err(|_| FragmentError::Length { id, len: bytes.len() })?;
        let reservation = self.index.reserve(u64::from(len))?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = self.layout.incoming().join(number.to_string());
        let layout = self.layout.clone();
        let permit = self.writers.clone().acquire_owned().await.expect("the semaphore is never closed");
        blocking(move || {
            let _permit = permit;
            check(id, &bytes)?;
            layout.check_open()?;
            let staged = Staged { id, len, since, temporary, reservation };
            write_synced(&staged.temporary, &bytes)?;
            Ok(staged)
        })
        .await
    }
}

#[async_trait]
impl FragmentStore for DiskStore {
    fn index(&self) -> &Arc<FragmentIndex> {
        &self.index
    }

    async fn put(&self, id: FragmentId, bytes: Bytes, since: Height) -> Result<(), FragmentError> {
        let start = Instant::now();
        if self.index.acknowledge(&[id], since)?.is_empty() {
            return Ok(());
        }
        let staged = self.stage(id, bytes, since).await?;
        self.ask(|reply| Job::Commit { staged, reply }).await?;
        self.node.metrics.add(Counter::FragmentsStored, 1);
        self.node.metrics.observe(Timer::FragmentWrite, start.elapsed());
        Ok(())
    }

    async fn get(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.read_file(id, |path, id, len| {
            let bytes = read_whole(path, id, len)?;
            if crate::crypto::hash::content(&bytes) != id.0 {
                return Err(FragmentError::Damaged { id });
            }
            Ok(bytes)
        })
        .await
    }

    async fn whole(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.read_file(id, read_whole).await
    }

    async fn read(&self, id: FragmentId, parts: Vec<Range<usize>>) -> Result<Vec<Bytes>, FragmentError> {
        self.read_file(id, move |path, id, len| read_parts(path, id, len, parts)).await
    }

    async fn collect(&self, ids: Vec<FragmentId>, until: Height) -> Result<u64, FragmentError> {
        let removed = self.ask(|reply| Job::Collect { ids, until, reply }).await?;
        self.node.metrics.add(Counter::FragmentsDeleted, removed);
        Ok(removed)
    }

    async fn discard(&self, id: FragmentId) -> Result<(), FragmentError> {
        self.ask(|reply| Job::Discard { id, reply }).await
    }
}

impl Layout {
    /// Fragments that are being written.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Directory of the fragments whose id begins with `first`.
    pub(super) fn shard(&self, first: u8) -> PathBuf {
        self.root.join(format!("{first:02x}"))
    }

    /// The fragment's final place.
    pub(super) fn file(&self, id: FragmentId) -> PathBuf {
        self.shard(id.0[0]).join(id.to_string())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Refuses once the node was killed.
    pub(super) fn check_open(&self) -> Result<(), FragmentError> {
        if self.closed.load(Ordering::SeqCst) { Err(FragmentError::Closed) } else { Ok(()) }
    }
}

/// Names what failed on which path.
pub(super) fn io_error(what: &'static str, path: &Path, reason: &io::Error) -> FragmentError {
    FragmentError::Io { what, path: path.display().to_string(), reason: reason.to_string() }
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(path: &Path) -> Result<(), FragmentError> {
    File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| io_error("sync", path, &e))
}

/// Runs blocking work off the async threads; a panic in it is the caller's.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FragmentError> + Send + 'static,
) -> Result<T, FragmentError> {
    match spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(FragmentError::Closed),
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), FragmentError> {
    let written = File::create_new(path).and_then(|file| {
        let direct = write_direct(path, bytes)?;
        file.write_all_at(&bytes[direct..], direct as u64)?;
        file.sync_data()
    });
    written.map_err(|error| {
        // The temporary file is worthless; if it cannot be removed either, the next start does.
        let _ = fs::remove_file(path);
        write_error(path, bytes.len() as u64, &error)
    })
}

/// Writes the whole pages of `bytes` to the start of a file, past the system's cache: copying three bytes there for each that a user stores
/// costs more than all else that is done with them, and few are read soon. Returns how many bytes that were, none where memory or file
/// system do not allow it.
#[cfg(target_os = "linux")]
fn write_direct(path: &Path, bytes: &[u8]) -> io::Result<usize> {
    use std::os::unix::fs::OpenOptionsExt;
    let whole = bytes.len() / PAGE_BYTES * PAGE_BYTES;
    if whole == 0 || bytes.as_ptr().align_offset(PAGE_BYTES) != 0 {
        return Ok(0);
    }
    let file = fs::OpenOptions::new().write(true).custom_flags(libc::O_DIRECT).open(path);
    match file.and_then(|file| file.write_all_at(&bytes[..whole], 0)) {
        Ok(()) => Ok(whole),
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(0),
        Err(error) => Err(error),
    }
}

/// Elsewhere everything goes through the system's cache.
#[cfg(not(target_os = "linux"))]
fn write_direct(_: &Path, _: &[u8]) -> io::Result<usize> {
    Ok(0)
}

fn write_error(path: &Path, needed: u64, error: &io::Error) -> FragmentError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            FragmentError::DiskFull { path: path.display().to_string(), needed }
        }
        _ => io_error("write", path, error),
    }
}

/// A part that ends behind the file's end is damage.
fn read_parts(path: &Path, id: FragmentId, len: u64, parts: Vec<Range<usize>>) -> Result<Vec<Bytes>, FragmentError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FragmentError::Truncated { id, len: 0, expected: len },
        _ => io_error("open", path, &error),
    })?;
    let read = |part: Range<usize>| {
        let mut bytes = vec![0; part.len()];
        let offset = u64::try_from(part.start).unwrap_or(u64::MAX);
        file.read_exact_at(&mut bytes, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => FragmentError::Truncated { id, len: offset, expected: len },
            _ => io_error("read", path, &error),
        })?;
        Ok(bytes.into())
    };
    parts.into_iter().map(read).collect()
}

fn read_whole(path: &Path, id: FragmentId, expected: u64) -> Result<Bytes, FragmentError> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FragmentError::Truncated { id, len: 0, expected },
        _ => io_error("open", path, &error),
    })?;
    let len = file.metadata().map_err(|e| io_error("stat", path, &e))?.len();
    if len != expected {
        return Err(FragmentError::Truncated { id, len, expected });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or(0));
    file.take(expected).read_to_end(&mut bytes).map_err(|e| io_error("read", path, &e))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_written_past_the_cache_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let memory: Vec<u8> = (0..6 * PAGE_BYTES).map(|at| (at % 251) as u8).collect();
        let page = memory.as_ptr().align_offset(PAGE_BYTES);
        for (start, len) in
            [(page, 4 * PAGE_BYTES), (page, 3 * PAGE_BYTES + 77), (page, 77), (page + 1, 2 * PAGE_BYTES)]
        {
            let path = dir.path().join(format!("{start}-{len}"));
            let bytes = &memory[start..start + len];
            write_synced(&path, bytes).unwrap();
            assert!(fs::read(&path).unwrap() == bytes, "{len} B from {start}");
        }
        let path = dir.path().join("direct");
        File::create(&path).unwrap();
        let bytes = &memory[page + 8..page + 8 + 2 * PAGE_BYTES];
        assert_eq!(write_direct(&path, bytes).unwrap(), 0, "memory that begins within a page is not written so");
    }

    #[test]
    fn a_full_disk_is_told_from_other_failures() {
        let path = Path::new("/lent/incoming/7");
        let full = write_error(path, 8 << 20, &io::Error::from_raw_os_error(libc::ENOSPC));
        assert_eq!(full.to_string(), "the disk under `/lent/incoming/7` is full, 8 MiB are needed");
        let broken = write_error(path, 256, &io::Error::from_raw_os_error(libc::EIO));
        assert!(matches!(broken, FragmentError::Io { what: "write", .. }));
    }
}
