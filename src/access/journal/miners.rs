//! The log on three miners.
//!
//! Owns which journal, under which owner's epoch. Must not know how a journal works. Invariants: a writer's epoch ranks below its
//! owner's: an owner that lost the journal cannot come back by opening the engine once more; miners see veiled records only.

use super::{
    Log, LogError, Tail,
    veil::{NONCE_BYTES, Veil},
};
use crate::storage::journal::{Journal, JournalClient, JournalError, JournalId, Members, epoch};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

/// A journal under one owner.
pub struct MinersLog {
    client: JournalClient,
    id: JournalId,
    owner: u32,
    veil: Veil,
    state: Mutex<State>,
}

struct State {
    members: Members,
    /// The newest writer that sealed it, 0 before the first.
    writer: u64,
    open: Option<Journal>,
}

impl MinersLog {
    /// The journal `id` on `members` for the owner of this epoch.
    pub fn new(client: JournalClient, id: JournalId, members: Members, owner: u32) -> Self {
        let veil = Veil::new(id, client.secret_of(id));
        Self { client, id, owner, veil, state: Mutex::new(State { members, writer: 0, open: None }) }
    }

    /// Shuts earlier owners out; done before the engine is opened.
    pub async fn take(&self) -> Result<(), JournalError> {
        let members = self.members();
        self.client.seal(self.id, members, epoch(self.owner, 0)).await
    }

    /// Confirms on two miners that no later owner came. The owner's lease counts from before the call.
    pub async fn confirm(&self) -> Result<(), JournalError> {
        let (open, members, writer) = {
            let state = self.state.lock();
            (state.open.clone(), state.members, state.writer)
        };
        match open {
            Some(journal) => journal.touch().await,
            None => {
                // A writer's epoch fits, or it would not have been noted.
                let writer = u32::try_from(writer).unwrap_or(u32::MAX);
                self.client.touch(self.id, members, epoch(self.owner, writer)).await
            }
        }
    }

    /// The miners it lies on.
    pub fn members(&self) -> Members {
        let state = self.state.lock();
        state.open.as_ref().map_or(state.members, Journal::members)
    }

    /// The journal while it is open: to see which of its miners ail, and to replace them.
    pub fn journal(&self) -> Option<Journal> {
        self.state.lock().open.clone()
    }

    /// Whether one of its miners should be replaced.
    pub fn ails(&self) -> bool {
        self.journal().is_some_and(|journal| !journal.ailing().is_empty())
    }

    /// Puts another miner in the place of one that lost the journal or fails for long; returns whether one was replaced. `note`
    /// notes the new members in the owner's name, as [`Journal::replace`] wants it.
    pub async fn tend<F>(&self, note: impl Fn(Members) -> F) -> Result<bool, JournalError>
    where
        F: Future<Output = bool>,
    {
        let Some(journal) = self.journal() else { return Ok(false) };
        let Some(ailing) = journal.ailing().into_iter().next() else { return Ok(false) };
        journal.replace(ailing, note).await?;
        Ok(true)
    }

    /// The journal if this writer opened it last.
    fn of(&self, writer: u64) -> Result<Journal, LogError> {
        let state = self.state.lock();
        if state.writer > writer {
            return Err(LogError::Fenced(format!("writer {} opened it after writer {writer}", state.writer)));
        }
        state.open.clone().ok_or_else(|| LogError::Unavailable(format!("writer {writer} has not sealed it")))
    }
}

#[async_trait]
impl Log for MinersLog {
    async fn seal(&self, writer: u64) -> Result<Tail, LogError> {
        let narrow = u32::try_from(writer);
        let narrow =
            narrow.map_err(|_| LogError::Unavailable(format!("writer epoch {writer} is over {}", u32::MAX)))?;
        let members = {
            let members = self.members();
            let mut state = self.state.lock();
            if state.writer > writer {
                return Err(LogError::Fenced(format!("writer {} opened it already", state.writer)));
            }
            // From now on the lease is confirmed under this epoch: once a miner is sealed by it, it refuses the one before.
            (state.writer, state.members, state.open) = (writer, members, None);
            members
        };
        let journal = self.client.open(self.id, members, epoch(self.owner, narrow)).await?;
        let (base, last) = journal.span();
        let mut state = self.state.lock();
        if state.writer == writer {
            state.open = Some(journal);
        }
        Ok(Tail { base, last })
    }

    async fn read(&self, writer: u64, from: u64) -> Result<Vec<Bytes>, LogError> {
        let records = self.of(writer)?.records(from);
        let lifted = (from..).zip(records).map(|(number, record)| {
            let plain = self.veil.lift(number, &record).map(Bytes::from);
            plain.ok_or_else(|| LogError::Lost(format!("record {number} is not what was written")))
        });
        lifted.collect()
    }

    async fn append(&self, writer: u64, first: u64, records: Vec<Bytes>) -> Result<(), LogError> {
        let journal = self.of(writer)?;
        let last = first + records.len() as u64 - 1;
        let veiled = (first..).zip(records).map(|(number, record)| {
            let mut nonce = [0; NONCE_BYTES];
            self.client.rng().fill(&mut nonce);
            Bytes::from(self.veil.draw(journal.epoch(), number, nonce, &record))
        });
        let stored = journal.append(veiled.collect()).await?;
        if stored != last {
            return Err(LogError::Lost(format!("record {last} was numbered {stored}")));
        }
        Ok(())
    }

    async fn trim(&self, writer: u64, upto: u64) -> Result<(), LogError> {
        self.of(writer)?.trim(upto);
        Ok(())
    }

    async fn touch(&self, writer: u64) -> Result<(), LogError> {
        Ok(self.of(writer)?.touch().await?)
    }
}

impl From<JournalError> for LogError {
    fn from(error: JournalError) -> Self {
        let words = error.to_string();
        match error {
            JournalError::Fenced { .. } => Self::Fenced(words),
            JournalError::Full { .. } => Self::Full(words),
            JournalError::Lost { .. } => Self::Lost(words),
            _ => Self::Unavailable(words),
        }
    }
}
