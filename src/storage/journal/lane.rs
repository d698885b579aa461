//! One miner of an open journal: brings the writer's records there, whatever happens to the miner.
//!
//! Owns the order of requests to it. Must not know what other miners do. Invariants: a miner gets the whole log before anything is
//! appended to it; a miner that lost the journal is never given it again under the same membership; records go out in order.

use super::{
    client::{ASK_DEADLINE, AskError, JournalClient, accepted, standing},
    progress::Progress,
    wire::{Answer, Ask, Refusal},
};
use crate::{
    network::PeerId,
    runtime::{Criticality, Phase},
    storage::links::{Begun, LinkError},
    types::Address,
};
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// Requests on their way to one miner.
const WINDOW: usize = 4;
/// Rest after a failure, and how far it grows.
const REST_MIN: Duration = Duration::from_millis(20);
const REST_MAX: Duration = Duration::from_secs(2);
/// How often a miner that is sent nothing is asked whether it still has the journal: a bucket that is only read has to be told of a miner
/// that is gone, too.
const PULSE: Duration = Duration::from_secs(2);

/// What carries records to one miner.
pub(super) struct Lane {
    client: JournalClient,
    progress: Arc<Progress>,
    account: Address,
    epoch: u64,
}

/// A request on its way.
struct Sent {
    begun: Begun<Answer>,
    due: Instant,
}

/// Where the lane and its miner stand in one conversation.
struct Session {
    peer: PeerId,
    /// The next record to send.
    next: u64,
    /// The miner was told to forget up to here.
    trimmed: u64,
    sent: VecDeque<Sent>,
}

impl Lane {
    /// Starts a lane that works until `stop`.
    pub(super) fn start(
        client: &JournalClient,
        progress: &Arc<Progress>,
        account: Address,
        epoch: u64,
        stop: CancellationToken,
    ) {
        progress.seat(account);
        let lane = Self { client: client.clone(), progress: progress.clone(), account, epoch };
        let tasks = &client.node().tasks;
        let stopping = tasks.stopping(Phase::Produce);
        let name = format!("journal {} on {account}", progress.id());
        tasks.spawn(Phase::Produce, name, Criticality::Optional, async move {
            tokio::select! {
                () = lane.run() => {}
                () = stop.cancelled() => {}
                () = stopping.cancelled() => {}
            }
            Ok(())
        });
    }

    async fn run(self) {
        let mut rest = REST_MIN;
        loop {
            let begun = Instant::now();
            let Err(error) = self.converse().await else { return };
            match &error {
                AskError::Refused { refusal: Refusal::Unknown, .. } => {
                    tracing::warn!(%error, journal = %self.progress.id(), "a journal's miner must be replaced");
                    return self.progress.lost(self.account);
                }
                AskError::Refused { refusal: Refusal::Sealed { sealed }, .. } => {
                    self.progress.sealed(self.account, *sealed);
                }
                _ => self.progress.ails(self.account),
            }
            tracing::debug!(%error, journal = %self.progress.id(), "journal lane rests");
            rest = if begun.elapsed() > REST_MAX { REST_MIN } else { (rest * 2).min(REST_MAX) };
            sleep(rest).await;
        }
    }

    /// Brings the miner up to date and keeps it so. Ends only with an error.
    async fn converse(&self) -> Result<(), AskError> {
        let mut wanted = self.progress.wanted();
        let mut session = self.begin().await?;
        loop {
            let (end, base) = *wanted.borrow_and_update();
            if session.sent.len() < WINDOW && (session.next <= end || session.trimmed < base) {
                self.send(&mut session, end, base).await?;
                continue;
            }
            self.wait(&mut session, &mut wanted).await?;
        }
    }

    /// Seals the miner for this epoch and gives it the log if it has another.
    async fn begin(&self) -> Result<Session, AskError> {
        let peer = self.client.peer(self.account).await?;
        let found = standing(self.account, self.ask(Ask::Seal { epoch: self.epoch }).await?)?;
        let (base, end) = self.progress.span();
        let next = if found.accepted == self.epoch && (base..=end).contains(&found.last) {
            self.progress.acked(self.account, found.last);
            found.last + 1
        } else {
            self.install(base + 1).await?
        };
        Ok(Session { peer, next, trimmed: found.base.min(base), sent: VecDeque::new() })
    }

    /// Sends the whole log; returns the number of the first record after it.
    async fn install(&self, start: u64) -> Result<u64, AskError> {
        let mut first = start;
        loop {
            let stretch = self.progress.stretch(first).ok_or(AskError::Unfitting { account: self.account })?;
            let (next, finish) = (stretch.next(), stretch.is_end);
            let (epoch, begin, records) = (self.epoch, first == start, stretch.records);
            let answer = self.ask(Ask::Install { epoch, first, begin, finish, records }).await?;
            if finish {
                self.stored(&answer)?;
                return Ok(next);
            }
            first = next;
        }
    }

    async fn send(&self, session: &mut Session, end: u64, base: u64) -> Result<(), AskError> {
        let ask = if session.trimmed < base {
            session.trimmed = base;
            Ask::Trim { epoch: self.epoch, upto: base }
        } else {
            debug_assert!(session.next <= end);
            let stretch = self.progress.stretch(session.next).ok_or(AskError::Unfitting { account: self.account })?;
            let first = std::mem::replace(&mut session.next, stretch.next());
            Ask::Append { epoch: self.epoch, first, records: stretch.records }
        };
        let id = self.progress.id();
        let token = self.client.token(id, self.account);
        let begun = self.client.links().begin(session.peer, (id, token, ask)).await?;
        if session.sent.front().is_some_and(|sent| sent.begun.link() != begun.link()) {
            // Those sent before may not have arrived, so this one would leave a gap.
            let reason = format!("the stream to {} ended", session.peer);
            return Err(LinkError::from(crate::network::NetError::Closed(reason)).into());
        }
        session.sent.push_back(Sent { begun, due: Instant::now() + ASK_DEADLINE });
        Ok(())
    }

    /// Waits for the oldest answer, or for something to send.
    async fn wait(&self, session: &mut Session, wanted: &mut watch::Receiver<(u64, u64)>) -> Result<(), AskError> {
        let full = session.sent.len() >= WINDOW;
        let Some(oldest) = session.sent.front_mut() else {
            // The writer holds the sender for as long as the lane runs.
            if timeout(PULSE, wanted.changed()).await.is_err() {
                self.ask(Ask::Touch { epoch: self.epoch }).await?;
            }
            return Ok(());
        };
        let answer = tokio::select! { biased;
            answer = timeout_at(oldest.due, oldest.begun.wait()) => answer,
            _ = wanted.changed(), if !full => return Ok(()),
        };
        let answer = answer.unwrap_or_else(|_| Err(self.client.links().late(session.peer, ASK_DEADLINE)))?;
        session.sent.pop_front();
        match accepted(self.account, answer)? {
            Answer::Done => Ok(()),
            answer => self.stored(&answer),
        }
    }

    fn stored(&self, answer: &Answer) -> Result<(), AskError> {
        let Answer::Stored { last } = answer else { return Err(AskError::Unfitting { account: self.account }) };
        if *last > self.progress.span().1 {
            return Err(AskError::Unfitting { account: self.account });
        }
        self.progress.acked(self.account, *last);
        Ok(())
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, AskError> {
        self.client.ask(self.account, self.progress.id(), ask, ASK_DEADLINE).await
    }
}
