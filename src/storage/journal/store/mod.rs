//! The journals one miner keeps.
//!
//! Owns their directory and the one place where they change. Must not know peers. Invariants: what is answered is on the medium for
//! good; everything that waits is written and synced together; requests take effect in the order in which they were handed over;
//! the bytes of all journals stay within the limit.

mod entry;
mod log;
#[cfg(test)]
mod tests;

use super::wire::{Answer, Ask, JOURNALS_MAX, JournalId, Refusal, Request, check_batch, cost};
use crate::{
    crypto::hash,
    runtime::{Criticality, Node, Phase},
};
use log::Log;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;

/// Requests that wait for the disk, and at most so many are served by one sync.
const JOBS_MAX_QUEUED: usize = 4_096;
/// Files synced at once.
const SYNCS_MAX: usize = 8;
/// Files kept open between two syncs.
const OPEN_FILES_MAX: usize = 128;

/// Why the store cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file system failed.
    #[error("cannot {what} `{path}`: {reason}")]
    Io { what: &'static str, path: String, reason: String },
    /// A file lost what was synced.
    #[error("the journal in `{path}` is damaged: {reason}")]
    Damaged { path: String, reason: String },
    /// A file that was begun and not yet synced when the node stopped.
    #[error("the journal in `{path}` was never finished")]
    Unborn { path: String },
    /// A write failed earlier; what is on the medium is known after the next start.
    #[error("journal {journal} is closed after a failed write")]
    Poisoned { journal: JournalId },
}

impl StoreError {
    fn io(what: &'static str, path: &Path, reason: &io::Error) -> Self {
        Self::Io { what, path: path.display().to_string(), reason: reason.to_string() }
    }
}

/// Told how many bytes all journals take.
pub type SizeHook = Box<dyn Fn(u64) + Send>;

/// Handle of the store. Cheap to clone.
#[derive(Clone)]
pub struct JournalStore {
    jobs: mpsc::Sender<Job>,
}

struct Job {
    request: Request,
    reply: oneshot::Sender<Answer>,
}

struct Shelf {
    root: PathBuf,
    limit: u64,
    closed: Arc<AtomicBool>,
    journals: BTreeMap<JournalId, Log>,
    bytes: u64,
    on_size: SizeHook,
}

impl JournalStore {
    /// Opens or creates the store in `root` for at most `limit` bytes and starts its writer. Blocks on the disk.
    pub fn open(node: &Node, root: &Path, limit: u64, on_size: SizeHook) -> Result<Self, StoreError> {
        fs::create_dir_all(root).map_err(|e| StoreError::io("create", root, &e))?;
        let closed = Arc::new(AtomicBool::new(false));
        let flag = closed.clone();
        node.kill.on_kill(move |_| flag.store(true, Ordering::SeqCst));
        let journals = load(root)?;
        let bytes = journals.values().map(Log::bytes).sum();
        on_size(bytes);
        let shelf = Shelf { root: root.to_owned(), limit, closed, journals, bytes, on_size };
        let (jobs, queue) = mpsc::channel(JOBS_MAX_QUEUED);
        let stopping = node.tasks.stopping(Phase::Store);
        node.tasks.spawn(Phase::Store, "journal-store", Criticality::Critical, async move {
            run(shelf, queue, stopping).await;
            Ok(())
        });
        Ok(Self { jobs })
    }

    /// Hands over a request; waits while too many are queued. The answer comes when it is on the medium.
    pub async fn submit(&self, request: Request) -> oneshot::Receiver<Answer> {
        let (reply, answer) = oneshot::channel();
        if let Err(refused) = self.jobs.send(Job { request, reply }).await {
            let Job { reply, .. } = refused.0;
            // Whoever asked waits on the other end.
            let _ = reply.send(Answer::Refused(Refusal::failed("it stops")));
        }
        answer
    }

    /// Hands over a request and waits for the answer.
    pub async fn ask(&self, request: Request) -> Answer {
        let answer = self.submit(request).await.await;
        answer.unwrap_or_else(|_| Answer::Refused(Refusal::failed("it stops")))
    }
}

/// Works until the node stops; what was queued by then is still done.
async fn run(mut shelf: Shelf, mut queue: mpsc::Receiver<Job>, stopping: CancellationToken) {
    let mut jobs = Vec::new();
    loop {
        tokio::select! { biased;
            read = queue.recv_many(&mut jobs, JOBS_MAX_QUEUED) => if read == 0 { return },
            () = stopping.cancelled(), if !queue.is_closed() => {
                queue.close();
                continue;
            }
        }
        let batch = std::mem::take(&mut jobs);
        let worked = spawn_blocking(move || {
            shelf.work(batch);
            shelf
        });
        match worked.await {
            Ok(back) => shelf = back,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return,
        }
    }
}

impl Shelf {
    fn work(&mut self, jobs: Vec<Job>) {
        let mut answers = Vec::with_capacity(jobs.len());
        for Job { request, reply } in jobs {
            let journal = request.journal;
            let answer = self.handle(request).unwrap_or_else(Answer::Refused);
            answers.push((journal, answer, reply));
        }
        let failed = self.commit();
        (self.on_size)(self.bytes);
        for (journal, answer, reply) in answers {
            let answer = match failed.get(&journal) {
                Some(error) => Answer::Refused(Refusal::failed(error)),
                None => answer,
            };
            // Whoever asked may be gone.
            let _ = reply.send(answer);
        }
    }

    /// Syncs every journal that changed, several at once; returns those that failed.
    fn commit(&mut self) -> BTreeMap<JournalId, StoreError> {
        if self.closed.load(Ordering::SeqCst) {
            let journals = self.journals.keys();
            return journals.map(|journal| (*journal, StoreError::Poisoned { journal: *journal })).collect();
        }
        let mut dirty: Vec<&mut Log> = self.journals.values_mut().filter(|log| log.is_dirty()).collect();
        let mut failed = BTreeMap::new();
        let share = dirty.len().div_ceil(SYNCS_MAX).max(1);
        let commit = |logs: &mut [&mut Log]| {
            let results = logs.iter_mut().map(|log| (log.id(), log.commit()));
            results.filter_map(|(id, result)| result.err().map(|error| (id, error))).collect::<Vec<_>>()
        };
        match dirty.as_mut_slice() {
            [] => {}
            few @ [_] => failed.extend(commit(few)),
            many => std::thread::scope(|scope| {
                let threads: Vec<_> = many.chunks_mut(share).map(|part| scope.spawn(|| commit(part))).collect();
                for thread in threads {
                    failed.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                }
            }),
        }
        for (journal, error) in &failed {
            tracing::error!(%journal, %error, "journal closed");
        }
        if self.journals.len() > OPEN_FILES_MAX {
            self.journals.values_mut().for_each(Log::rest);
        }
        failed
    }

    fn handle(&mut self, request: Request) -> Result<Answer, Refusal> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(Refusal::failed("it was killed"));
        }
        let Request { journal, token, ask, .. } = request;
        let lock = hash::tagged(hash::DOMAIN_JOURNAL_LOCK, &[&token]);
        if let Ask::Create { epoch } = ask {
            self.create(journal, lock, epoch)?;
        }
        if let Ask::Append { records, .. } | Ask::Install { records, .. } = &ask {
            self.check_room(records)?;
        }
        let log = self.journals.get_mut(&journal).ok_or(Refusal::Unknown)?;
        if *log.lock() != lock {
            return Err(Refusal::Denied);
        }
        let before = log.bytes();
        let answer = perform(log, &ask);
        let after = log.bytes();
        self.bytes = self.bytes - before + after;
        if matches!((&ask, &answer), (Ask::Remove { .. }, Ok(_))) {
            self.journals.remove(&journal);
            self.bytes -= after;
        }
        answer
    }

    fn create(&mut self, id: JournalId, lock: [u8; 32], epoch: u64) -> Result<(), Refusal> {
        if self.journals.contains_key(&id) {
            return Ok(());
        }
        if self.journals.len() >= JOURNALS_MAX {
            return Err(Refusal::TooMany);
        }
        self.journals.insert(id, Log::create(self.root.join(format!("{id}.log")), id, lock, epoch));
        Ok(())
    }

    fn check_room(&self, records: &[Vec<u8>]) -> Result<(), Refusal> {
        check_batch(records.iter().map(Vec::as_slice))?;
        let more: u64 = records.iter().map(|record| cost(record)).sum();
        if self.bytes + more > self.limit {
            return Err(Refusal::NoSpace { bytes: self.bytes, max: self.limit });
        }
        Ok(())
    }
}

fn perform(log: &mut Log, ask: &Ask) -> Result<Answer, Refusal> {
    Ok(match ask {
        Ask::Create { epoch } | Ask::Seal { epoch } => Answer::Sealed(log.seal(*epoch)?),
        Ask::Append { epoch, first, records } => Answer::Stored { last: log.append(*epoch, *first, records)? },
        Ask::Install { epoch, first, begin, finish, records } => {
            Answer::Stored { last: log.install(*epoch, *first, (*begin, *finish), records)? }
        }
        Ask::Read { epoch, from } => {
            let (last, records) = log.read(*epoch, *from)?;
            Answer::Records { first: *from, last, records }
        }
        Ask::Trim { epoch, upto } => {
            log.trim(*epoch, *upto)?;
            Answer::Done
        }
        Ask::Touch { epoch } => {
            log.touch(*epoch)?;
            Answer::Done
        }
        Ask::Remove { epoch } => {
            log.remove(*epoch)?;
            Answer::Done
        }
    })
}

/// The journals in `root`. One that lost what was synced is put aside: its writers see it as lost.
fn load(root: &Path) -> Result<BTreeMap<JournalId, Log>, StoreError> {
    let failed = |what: &'static str, path: &Path, e: &io::Error| StoreError::io(what, path, e);
    let mut paths = BTreeSet::new();
    for file in fs::read_dir(root).map_err(|e| failed("list", root, &e))? {
        paths.insert(file.map_err(|e| failed("list", root, &e))?.path());
    }
    let mut journals = BTreeMap::new();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("log") => {}
            Some("incoming" | "compact") => {
                fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?;
                continue;
            }
            _ => continue,
        }
        match Log::open(path.clone()) {
            Ok(mut log) => {
                log.rest();
                journals.insert(log.id(), log);
            }
            Err(StoreError::Unborn { .. }) => fs::remove_file(&path).map_err(|e| failed("remove", &path, &e))?,
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "journal put aside; its writers will replace this miner");
                let aside = path.with_extension("damaged");
                fs::rename(&path, &aside).map_err(|e| failed("rename", &path, &e))?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(journals)
}
