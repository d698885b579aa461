//! The one place where fragments appear and disappear on disk.
//!
//! Owns the order of renames, directory syncs, index changes and removals: one job after the other, so that a put and a
//! removal of one fragment cannot cross. Concurrent puts share their directory syncs.

use super::{
    FragmentError, FragmentIndex, Reservation,
    disk::{Layout, blocking, io_error, sync_dir},
};
use crate::types::{FragmentId, Height};
use std::{collections::BTreeSet, fs, io, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Jobs done in one go.
const BATCH_MAX_JOBS: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, FragmentError>>;

/// A fragment whose bytes are synced under a temporary name.
pub(super) struct Staged {
    pub id: FragmentId,
    pub len: u32,
    pub since: Height,
    pub temporary: PathBuf,
    /// Held until the index counts the bytes.
    pub reservation: Reservation,
}

/// What the committer is asked to do.
pub(super) enum Job {
    /// Makes a staged fragment visible.
    Commit { staged: Staged, reply: Reply<()> },
    /// Removes unclaimed fragments.
    Collect { ids: Vec<FragmentId>, until: Height, reply: Reply<u64> },
    /// Removes a damaged fragment.
    Discard { id: FragmentId, reply: Reply<()> },
}

pub(super) struct Committer {
    pub layout: Layout,
    pub index: Arc<FragmentIndex>,
}

impl Committer {
    /// Works until the node stops; what was queued by then is still done.
    pub async fn run(self, mut queue: mpsc::Receiver<Job>, stopping: CancellationToken) {
        let this = Arc::new(self);
        let mut jobs = Vec::with_capacity(BATCH_MAX_JOBS);
        loop {
            tokio::select! { biased;
                read = queue.recv_many(&mut jobs, BATCH_MAX_JOBS) => if read == 0 { return },
                () = stopping.cancelled(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            }
            let (batch, worker) = (std::mem::take(&mut jobs), this.clone());
            // A failure was reported to whoever asked; a closed pool means the process ends.
            let _ = blocking(move || {
                worker.work(batch);
                Ok(())
            })
            .await;
        }
    }

    fn work(&self, jobs: Vec<Job>) {
        let mut commits = Vec::new();
        for job in jobs {
            match job {
                Job::Commit { staged, reply } => commits.push((staged, reply)),
                Job::Collect { ids, until, reply } => {
                    self.commit(&mut commits);
                    answer(reply, self.collect(&ids, until));
                }
                Job::Discard { id, reply } => {
                    self.commit(&mut commits);
                    answer(reply, self.index.mark_missing(&[id]).and_then(|gone| self.unlink(&gone)).map(|_| ()));
                }
            }
        }
        self.commit(&mut commits);
    }

    /// Renames all, syncs each directory once, then records all.
    fn commit(&self, commits: &mut Vec<(Staged, Reply<()>)>) {
        let mut renamed = Vec::with_capacity(commits.len());
        for (staged, reply) in commits.drain(..) {
            match self.rename(&staged) {
                Ok(()) => renamed.push((staged, reply)),
                Err(error) => answer(reply, Err(error)),
            }
        }
        let shards: BTreeSet<u8> = renamed.iter().map(|(staged, _)| staged.id.0[0]).collect();
        let synced = shards.into_iter().try_for_each(|first| sync_dir(&self.layout.shard(first)));
        for (Staged { id, len, since, reservation, .. }, reply) in renamed {
            let result = synced.clone().and_then(|()| self.layout.check_open());
            let result = result.and_then(|()| self.index.insert(&[(id, len)], since));
            drop(reservation);
            answer(reply, result);
        }
    }

    fn rename(&self, staged: &Staged) -> Result<(), FragmentError> {
        self.layout.check_open()?;
        if self.index.holds(staged.id)? {
            return remove(&staged.temporary);
        }
        let shard = self.layout.shard(staged.id.0[0]);
        match fs::create_dir(&shard) {
            Ok(()) => sync_dir(self.layout.root())?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("create", &shard, &error)),
        }
        let target = self.layout.file(staged.id);
        fs::rename(&staged.temporary, &target).map_err(|e| io_error("rename to", &target, &e))
    }

    fn collect(&self, ids: &[FragmentId], until: Height) -> Result<u64, FragmentError> {
        self.layout.check_open()?;
        let gone = self.index.forget_unused(ids, until)?;
        self.unlink(&gone)
    }

    fn unlink(&self, ids: &[FragmentId]) -> Result<u64, FragmentError> {
        self.layout.check_open()?;
        for id in ids {
            remove(&self.layout.file(*id))?;
        }
        Ok(ids.len() as u64)
    }
}

fn remove(path: &std::path::Path) -> Result<(), FragmentError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path, &error)),
        _ => Ok(()),
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, FragmentError>) {
    // Whoever asked may have given up; the work is done all the same.
    let _ = reply.send(result);
}
