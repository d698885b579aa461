//! One journal on one miner: its file, and what of it is in memory.
//!
//! Owns the rules of epochs, numbers and bounds, and the writes. Must not know who asks. Invariants: what [`Log::commit`] returned
//! `Ok` for survives power loss; records are numbered without gaps; an epoch appends only to its own log; a log is replaced whole
//! or not at all; after a failed write nothing more is written.

use super::{
    StoreError,
    entry::{self, Entry},
};
use crate::storage::journal::wire::{
    BATCH_MAX_BYTES, BATCH_MAX_RECORDS, JOURNAL_MAX_BYTES, JournalId, Refusal, Standing, cost,
};
use std::{
    collections::VecDeque,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Files are extended by zeros in steps between these, so that most syncs write no metadata.
const EXTENT_MIN_BYTES: u64 = 64 << 10;
const EXTENT_MAX_BYTES: u64 = 1 << 20;
/// A file smaller than this is not rewritten to get rid of trimmed records.
const COMPACT_MIN_BYTES: u64 = 1 << 20;

/// Where a record lies in the file.
#[derive(Debug, Clone, Copy)]
struct Spot {
    at: u64,
    len: u32,
    cost: u64,
}

/// One journal.
pub(super) struct Log {
    id: JournalId,
    lock: [u8; 32],
    sealed: u64,
    standing: Standing,
    spots: VecDeque<Spot>,
    path: PathBuf,
    file: Option<File>,
    /// Where the next entry will lie.
    end: u64,
    /// Bytes at the end that are not yet in the file.
    waiting: Vec<u8>,
    /// Length of the file.
    allocated: u64,
    synced: u64,
    broken: bool,
    incoming: Option<Box<Log>>,
}

impl Log {
    /// A new journal in `path`, not yet on the medium.
    pub(super) fn create(path: PathBuf, id: JournalId, lock: [u8; 32], epoch: u64) -> Self {
        let mut log = Self::empty(path, id, lock);
        log.sealed = epoch;
        log.push_head();
        log
    }

    fn empty(path: PathBuf, id: JournalId, lock: [u8; 32]) -> Self {
        Self {
            id,
            lock,
            sealed: 0,
            standing: Standing::default(),
            spots: VecDeque::new(),
            path,
            file: None,
            end: 0,
            waiting: Vec::new(),
            allocated: 0,
            synced: 0,
            broken: false,
            incoming: None,
        }
    }

    /// The journal in the file `path`. What was torn off is cut.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let bytes = fs::read(&path).map_err(|e| StoreError::io("read", &path, &e))?;
        let damaged = |reason: String| StoreError::Damaged { path: path.display().to_string(), reason };
        let scan = entry::scan(&bytes).map_err(|e| damaged(e.to_string()))?;
        if scan.damaged {
            return Err(damaged(format!("synced entries behind {} B are lost", scan.end)));
        }
        let mut entries = scan.entries.into_iter();
        let head = match entries.next().map(|placed| placed.entry) {
            Some(Entry::Head { journal, lock, sealed, accepted, base }) => (journal, lock, sealed, accepted, base),
            // The crash came before the journal was there for anybody.
            None => return Err(StoreError::Unborn { path: path.display().to_string() }),
            Some(_) => return Err(damaged("it does not begin with a head".to_owned())),
        };
        let (journal, lock, sealed, accepted, base) = head;
        let mut log = Self::empty(path.clone(), journal, lock);
        log.sealed = sealed;
        log.standing = Standing { accepted, base, last: base, bytes: 0 };
        for placed in entries {
            match placed.entry {
                Entry::Head { .. } => return Err(damaged(format!("a second head is at {} B", placed.at))),
                Entry::Seal { epoch } => log.sealed = epoch,
                Entry::Adopt { epoch } => log.standing.accepted = epoch,
                Entry::Trim { upto } => log.forget(upto),
                Entry::Record { seq, bytes } if seq == log.standing.last + 1 => {
                    log.note(Spot { at: placed.at, len: placed.len, cost: cost(&bytes) });
                }
                Entry::Record { seq, .. } => return Err(damaged(format!("record {seq} is out of order"))),
            }
        }
        let tail = usize::try_from(scan.end).map_or(&[][..], |end| &bytes[end.min(bytes.len())..]);
        log.settle(scan.end, tail.iter().any(|byte| *byte != 0))?;
        Ok(log)
    }

    /// Takes the file as it was found up to `end`; cuts it there if something lies behind.
    fn settle(&mut self, end: u64, torn: bool) -> Result<(), StoreError> {
        let path = self.path.clone();
        let failed = |what: &'static str| move |e: io::Error| (what, e);
        let file = self.handle()?;
        let cut = if torn { file.set_len(end).map_err(failed("cut")) } else { Ok(()) };
        let settled = cut.and_then(|()| {
            file.sync_all().map_err(failed("sync"))?;
            Ok(file.metadata().map_err(failed("stat"))?.len())
        });
        let allocated = settled.map_err(|(what, error)| StoreError::io(what, &path, &error))?;
        (self.end, self.synced, self.allocated) = (end, end, allocated);
        Ok(())
    }

    pub(super) fn id(&self) -> JournalId {
        self.id
    }

    pub(super) fn lock(&self) -> &[u8; 32] {
        &self.lock
    }

    pub(super) fn bytes(&self) -> u64 {
        self.standing.bytes
    }

    /// Whether something waits for [`Log::commit`].
    pub(super) fn is_dirty(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Closes the file until it is needed again.
    pub(super) fn rest(&mut self) {
        if !self.is_dirty() {
            self.file = None;
        }
    }

    /// Refuses lower epochs from now on.
    pub(super) fn seal(&mut self, epoch: u64) -> Result<Standing, Refusal> {
        self.check_epoch(epoch)?;
        if epoch > self.sealed {
            self.sealed = epoch;
            self.incoming = None;
            self.push(&Entry::Seal { epoch });
        }
        Ok(self.standing)
    }

    /// Adds records; those that are here already are passed over.
    pub(super) fn append(&mut self, epoch: u64, first: u64, records: &[Vec<u8>]) -> Result<u64, Refusal> {
        self.check_epoch(epoch)?;
        let Standing { accepted, last, bytes, .. } = self.standing;
        if accepted != epoch || self.sealed != epoch {
            return Err(Refusal::NotInstalled { accepted, sealed: self.sealed });
        }
        if first == 0 || first > last + 1 {
            return Err(Refusal::Gap { last });
        }
        let known = usize::try_from(last + 1 - first).unwrap_or(usize::MAX).min(records.len());
        let added = &records[known..];
        let more: u64 = added.iter().map(|record| cost(record)).sum();
        if bytes + more > JOURNAL_MAX_BYTES {
            return Err(Refusal::Full { bytes });
        }
        for record in added {
            self.push_record(record);
        }
        Ok(self.standing.last)
    }

    /// Takes a part of the whole log of `epoch`.
    pub(super) fn install(
        &mut self,
        epoch: u64,
        first: u64,
        (begin, finish): (bool, bool),
        records: &[Vec<u8>],
    ) -> Result<u64, Refusal> {
        self.check_epoch(epoch)?;
        if self.sealed != epoch {
            return Err(Refusal::NotInstalled { accepted: self.standing.accepted, sealed: self.sealed });
        }
        let base = first.checked_sub(1).ok_or_else(|| Refusal::invalid("records are numbered from 1"))?;
        let same = self.spots.is_empty() && self.standing.last == base;
        if begin && finish && records.is_empty() && same {
            self.incoming = None;
            if self.standing.accepted != epoch {
                self.standing.accepted = epoch;
                self.push(&Entry::Adopt { epoch });
            }
            return Ok(self.standing.last);
        }
        if begin {
            self.incoming =
                Some(Box::new(self.successor("incoming", Standing { accepted: epoch, base, last: base, bytes: 0 })));
        }
        let incoming =
            self.incoming.as_mut().ok_or_else(|| Refusal::invalid("a log is installed from its beginning"))?;
        let last = incoming.append(epoch, first, records)?;
        if incoming.waiting.len() > 2 * BATCH_MAX_BYTES {
            incoming.commit().map_err(Refusal::failed)?;
        }
        if finish {
            let incoming = self.incoming.take().ok_or_else(|| Refusal::failed("the log vanished"))?;
            self.become_log(*incoming).map_err(Refusal::failed)?;
        }
        Ok(last)
    }

    /// Records from `from` on, as many as one message carries, and the number of the newest.
    pub(super) fn read(&mut self, epoch: u64, from: u64) -> Result<(u64, Vec<Vec<u8>>), Refusal> {
        self.check_epoch(epoch)?;
        let Standing { base, last, .. } = self.standing;
        if from <= base {
            return Err(Refusal::invalid(format!("records up to {base} were trimmed, {from} is asked for")));
        }
        self.commit().map_err(Refusal::failed)?;
        let skip = usize::try_from(from - base - 1).unwrap_or(usize::MAX);
        let (mut records, mut bytes) = (Vec::new(), 0);
        for spot in self.spots.iter().skip(skip).copied().collect::<Vec<_>>() {
            bytes += spot.cost;
            if bytes > BATCH_MAX_BYTES as u64 || records.len() == BATCH_MAX_RECORDS {
                break;
            }
            records.push(self.read_record(spot).map_err(Refusal::failed)?);
        }
        Ok((last, records))
    }

    /// Forgets records up to `upto`.
    pub(super) fn trim(&mut self, epoch: u64, upto: u64) -> Result<(), Refusal> {
        self.check_epoch(epoch)?;
        if epoch != self.standing.accepted {
            return Err(Refusal::NotInstalled { accepted: self.standing.accepted, sealed: self.sealed });
        }
        let upto = upto.min(self.standing.last);
        if upto <= self.standing.base {
            return Ok(());
        }
        self.forget(upto);
        self.push(&Entry::Trim { upto });
        let live: u64 = self.spots.iter().map(|spot| u64::from(spot.len)).sum();
        if self.end > COMPACT_MIN_BYTES && live * 2 < self.end {
            self.compact().map_err(Refusal::failed)?;
        }
        Ok(())
    }

    /// Whether `epoch` is still the highest.
    pub(super) fn touch(&self, epoch: u64) -> Result<(), Refusal> {
        self.check_epoch(epoch)
    }

    /// Removes the journal's files.
    pub(super) fn remove(&mut self, epoch: u64) -> Result<(), Refusal> {
        self.check_epoch(epoch)?;
        self.incoming = None;
        self.waiting.clear();
        self.file = None;
        let gone = fs::remove_file(&self.path).map_err(|e| StoreError::io("remove", &self.path, &e));
        gone.and_then(|()| sync_parent(&self.path)).map_err(Refusal::failed)
    }

    /// Brings everything onto the medium.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        if self.broken {
            return Err(StoreError::Poisoned { journal: self.id });
        }
        if !self.is_dirty() {
            return Ok(());
        }
        let done = self.write_out();
        self.broken = done.is_err();
        done
    }

    fn write_out(&mut self) -> Result<(), StoreError> {
        let fresh = self.allocated == 0;
        let waiting = std::mem::take(&mut self.waiting);
        let start = self.end - waiting.len() as u64;
        let grown = (self.end > self.allocated).then(|| {
            let step = self.allocated.clamp(EXTENT_MIN_BYTES, EXTENT_MAX_BYTES);
            self.end.next_multiple_of(step)
        });
        let end = self.end;
        let path = self.path.clone();
        let file = self.handle()?;
        let written = file.write_all_at(&waiting, start).and_then(|()| {
            if let Some(grown) = grown {
                let zeros = vec![0; usize::try_from(grown - end).unwrap_or(0)];
                file.write_all_at(&zeros, end)?;
            }
            file.sync_data()
        });
        written.map_err(|e| StoreError::io("write", &path, &e))?;
        self.allocated = grown.unwrap_or(self.allocated);
        self.synced = self.end;
        if fresh { sync_parent(&self.path) } else { Ok(()) }
    }

    fn handle(&mut self) -> Result<&File, StoreError> {
        if self.file.is_none() {
            let options = File::options().read(true).write(true).create(true).truncate(false).open(&self.path);
            self.file = Some(options.map_err(|e| StoreError::io("open", &self.path, &e))?);
        }
        self.file.as_ref().ok_or(StoreError::Poisoned { journal: self.id })
    }

    fn check_epoch(&self, epoch: u64) -> Result<(), Refusal> {
        if self.broken {
            return Err(Refusal::failed(StoreError::Poisoned { journal: self.id }));
        }
        if epoch < self.sealed { Err(Refusal::Sealed { sealed: self.sealed }) } else { Ok(()) }
    }

    fn read_record(&mut self, spot: Spot) -> Result<Vec<u8>, StoreError> {
        let path = self.path.clone();
        let mut bytes = vec![0; usize::try_from(spot.len).unwrap_or(0)];
        let file = self.handle()?;
        file.read_exact_at(&mut bytes, spot.at).map_err(|e| StoreError::io("read", &path, &e))?;
        let damaged = |reason: String| StoreError::Damaged { path: path.display().to_string(), reason };
        match entry::read(&bytes, spot.at).map_err(|e| damaged(e.to_string()))?.0.entry {
            Entry::Record { bytes, .. } => Ok(bytes),
            _ => Err(damaged(format!("there is no record at {} B", spot.at))),
        }
    }

    fn push(&mut self, entry: &Entry) -> Spot {
        let at = self.end;
        let len = entry::write(&mut self.waiting, at, self.synced, entry);
        self.end += u64::from(len);
        Spot { at, len, cost: 0 }
    }

    fn push_head(&mut self) {
        let Standing { accepted, base, .. } = self.standing;
        self.push(&Entry::Head { journal: self.id, lock: self.lock, sealed: self.sealed, accepted, base });
    }

    fn push_record(&mut self, record: &[u8]) {
        let spot = self.push(&Entry::Record { seq: self.standing.last + 1, bytes: record.to_vec() });
        self.note(Spot { cost: cost(record), ..spot });
    }

    fn note(&mut self, spot: Spot) {
        self.standing.last += 1;
        self.standing.bytes += spot.cost;
        self.spots.push_back(spot);
    }

    fn forget(&mut self, upto: u64) {
        while self.standing.base < upto {
            let Some(spot) = self.spots.pop_front() else { break };
            self.standing.base += 1;
            self.standing.bytes -= spot.cost;
        }
    }

    /// A log that is to take this one's place, in a file of its own.
    fn successor(&self, kind: &str, standing: Standing) -> Self {
        let mut next = Self::empty(self.path.with_extension(kind), self.id, self.lock);
        // What an attempt before this one left there is worthless; if it cannot be removed, writing will say why.
        let _ = fs::remove_file(&next.path);
        next.sealed = self.sealed;
        next.standing = standing;
        next.push_head();
        next
    }

    /// Puts `next` in this log's place. If that fails, which of the two is on the medium is not known.
    fn become_log(&mut self, mut next: Self) -> Result<(), StoreError> {
        self.broken = true;
        next.commit()?;
        fs::rename(&next.path, &self.path).map_err(|e| StoreError::io("rename", &next.path, &e))?;
        sync_parent(&self.path)?;
        next.path = std::mem::take(&mut self.path);
        *self = next;
        Ok(())
    }

    /// Rewrites the file without what was trimmed.
    fn compact(&mut self) -> Result<(), StoreError> {
        self.commit()?;
        let standing = Standing { last: self.standing.base, bytes: 0, ..self.standing };
        let mut next = self.successor("compact", standing);
        for spot in self.spots.iter().copied().collect::<Vec<_>>() {
            let record = self.read_record(spot)?;
            next.push_record(&record);
        }
        let incoming = next.incoming.take();
        self.become_log(next)?;
        self.incoming = incoming;
        Ok(())
    }
}

/// Makes the entries of a file's directory durable.
fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let synced = File::open(parent).and_then(|dir| dir.sync_all());
    synced.map_err(|e| StoreError::io("sync", parent, &e))
}

#[cfg(test)]
impl Log {
    /// Where the written entries end.
    pub(super) fn end(&self) -> u64 {
        self.end
    }
}
