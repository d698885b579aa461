//! An open journal: one writer's end of it.
//!
//! Owns the deadlines of a writer and the replacement of a miner. Must not know what records mean. Invariants: a record is
//! acknowledged in order and only when it is done (`progress`); a new miner counts only after it has all that is done, and alone
//! in the old one's place only after the membership was noted.

use super::{
    Members, QUORUM,
    client::{JournalClient, JournalError},
    lane::Lane,
    progress::{Mark, Progress},
    recover::Recovered,
    wire::JournalId,
};
use crate::types::Address;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long it may take until two miners have the log of a new writer.
const OPEN_DEADLINE: Duration = Duration::from_secs(20);
/// How long it may take until a new miner has the log.
const JOIN_DEADLINE: Duration = Duration::from_secs(20);
/// How long a miner may fail before it should be replaced.
const PATIENCE: Duration = Duration::from_secs(30);
/// As long while less than two do what is asked.
const HASTE: Duration = Duration::from_secs(3);

/// An open journal. Cheap to clone; its lanes end with the last clone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    client: JournalClient,
    progress: Arc<Progress>,
    epoch: u64,
    lanes: Mutex<BTreeMap<Address, CancellationToken>>,
    /// Held while a miner is replaced.
    replacing: tokio::sync::Mutex<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lanes.lock().values().for_each(CancellationToken::cancel);
    }
}

impl Journal {
    /// Begins to write; returns when two miners have the log.
    pub(super) async fn start(
        client: &JournalClient,
        id: JournalId,
        members: Members,
        epoch: u64,
        recovered: Recovered,
    ) -> Result<Self, JournalError> {
        let progress = Arc::new(Progress::new(id, members, recovered));
        let lanes = Mutex::default();
        let journal = Self {
            inner: Arc::new(Inner { client: client.clone(), progress, epoch, lanes, replacing: Default::default() }),
        };
        members.iter().for_each(|account| journal.inner.start_lane(*account));
        let (what, (_, end)) = ("took over its log", journal.inner.progress.span());
        let late = |_| Err(journal.inner.failed(what, &format!("no answer within {} s", OPEN_DEADLINE.as_secs())));
        timeout(OPEN_DEADLINE, journal.inner.done(end, what)).await.unwrap_or_else(late)?;
        Ok(journal)
    }

    /// Its epoch.
    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// Numbers of the newest trimmed record and of the newest one.
    pub fn span(&self) -> (u64, u64) {
        self.inner.progress.span()
    }

    /// Appends records; returns the number of the last when they and all before them are durable, however long it takes: a writer that
    /// lives can bring all it holds to other miners, one that gave up could not. After an error that is not about its size a record may be
    /// durable or not.
    pub async fn append(&self, records: Vec<Bytes>) -> Result<u64, JournalError> {
        let last = self.inner.progress.push(records)?;
        self.inner.done(last, "stored a record").await?;
        Ok(last)
    }

    /// Untrimmed records numbered from `from` on.
    pub fn records(&self, from: u64) -> Vec<Bytes> {
        self.inner.progress.records(from)
    }

    /// Forgets records up to `upto`; those that are not durable yet stay.
    pub fn trim(&self, upto: u64) {
        self.inner.progress.trim(upto);
    }

    /// Confirms on two miners that no later writer came.
    pub async fn touch(&self) -> Result<(), JournalError> {
        let Inner { client, progress, epoch, .. } = &*self.inner;
        for set in progress.sets() {
            client.touch(progress.id(), set, *epoch).await?;
        }
        Ok(())
    }

    /// The miners it lies on.
    pub fn members(&self) -> Members {
        self.inner.progress.sets()[0]
    }

    /// Miners that should be replaced.
    pub fn ailing(&self) -> Vec<Address> {
        self.inner.progress.ailing(PATIENCE, HASTE)
    }

    /// Puts another miner in the place of `old`. `note` must note the new members where the next writer looks, and only if this
    /// writer is still the owner: it says whether it did, and tries until it knows. While it does, both sets must have a record. Two that
    /// are gone are replaced one after the other: the new one and the third have all that is durable, and so has the writer. To
    /// be driven to its end: one that is dropped leaves both sets in force.
    pub async fn replace<F>(&self, old: Address, note: impl FnOnce(Members) -> F) -> Result<Members, JournalError>
    where
        F: Future<Output = bool>,
    {
        let Inner { client, progress, epoch, replacing, .. } = &*self.inner;
        let journal = progress.id();
        let _alone = replacing.try_lock().map_err(|_| JournalError::Replacing { journal })?;
        let [members] = progress.sets()[..] else { return Err(JournalError::Replacing { journal }) };
        let (new, next) = self.join_one(old, members).await?;
        if !note(next).await {
            progress.settle(members).into_iter().for_each(|account| self.inner.stop_lane(account));
            let _ = client.forget(new, journal, *epoch).await;
            return Err(JournalError::Fenced { journal, sealed: epoch + 1 });
        }
        progress.settle(next).into_iter().for_each(|account| self.inner.stop_lane(account));
        // Its copy is of no use any more; if it does not answer, that is why it goes, and it is told when it is back.
        let _ = client.forget(old, journal, *epoch).await;
        tracing::info!(%journal, %old, %new, "a journal's miner was replaced");
        Ok(next)
    }

    /// Finds a miner that takes the log in the place of `old`, and brings it there.
    async fn join_one(&self, old: Address, members: Members) -> Result<(Address, Members), JournalError> {
        let Inner { client, progress, epoch, .. } = &*self.inner;
        let others: Vec<_> = members.into_iter().filter(|account| *account != old).collect();
        let mut tried: BTreeSet<_> = members.into_iter().collect();
        while let Some(account) = client.candidate(progress.id(), &others, &tried).await? {
            tried.insert(account);
            if let Err(error) = client.made(account, progress.id(), *epoch).await {
                tracing::debug!(%account, journal = %progress.id(), %error, "no journal here");
                continue;
            }
            let next = members.map(|member| if member == old { account } else { member });
            self.inner.start_lane(account);
            if timeout(JOIN_DEADLINE, progress.until_joined(account, next)).await.is_ok() {
                return Ok((account, next));
            }
            progress.settle(members).into_iter().for_each(|account| self.inner.stop_lane(account));
        }
        Err(JournalError::NoMiners { found: others.len() })
    }
}

impl Inner {
    fn start_lane(&self, account: Address) {
        let stop = CancellationToken::new();
        if let Some(before) = self.lanes.lock().insert(account, stop.clone()) {
            before.cancel();
        }
        Lane::start(&self.client, &self.progress, account, self.epoch, stop);
    }

    fn stop_lane(&self, account: Address) {
        if let Some(stop) = self.lanes.lock().remove(&account) {
            stop.cancel();
        }
    }

    /// Waits until record `last` is durable.
    async fn done(&self, last: u64, what: &'static str) -> Result<(), JournalError> {
        let mut mark = self.progress.mark();
        match mark.wait_for(|mark| mark.done >= Some(last) || mark.fenced.is_some()).await.as_deref() {
            Ok(Mark { done, .. }) if *done >= Some(last) => Ok(()),
            Ok(Mark { fenced, .. }) => {
                Err(JournalError::Fenced { journal: self.progress.id(), sealed: fenced.unwrap_or(self.epoch) })
            }
            Err(_) => Err(self.failed(what, "the writer ended")),
        }
    }

    fn failed(&self, what: &'static str, reason: &str) -> JournalError {
        let reached = self.progress.healthy().min(QUORUM - 1);
        JournalError::Unavailable { journal: self.progress.id(), reached, what, reason: reason.to_owned() }
    }
}

#[cfg(test)]
impl Journal {
    /// Miners that do what is asked.
    pub(super) fn healthy(&self) -> usize {
        self.inner.progress.healthy()
    }
}
