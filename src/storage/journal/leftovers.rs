//! Journals that miners were to forget while they were away.
//!
//! Owns what is still to be said to whom, in memory: a writer that ends before its miner is back leaves the journal there. Must not know why a
//! journal is not needed. Invariant: who has not forgotten a journal is given it by nobody here, so that what is said late removes nothing new.

use super::{
    client::{ASK_DEADLINE, AskError, JournalClient},
    wire::{Ask, JournalId, Refusal},
};
use crate::{
    runtime::{Criticality, Phase},
    types::Address,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::time::sleep;

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(30);
/// Journals kept in mind; those of further ones stay where they are.
const LEFTOVERS_MAX: usize = 4_096;

/// What is left, with the epoch that let go of it.
#[derive(Default)]
pub(super) struct Leftovers {
    waiting: BTreeMap<(Address, JournalId), u64>,
    /// Whether a task goes through them.
    attended: bool,
}

impl Leftovers {
    /// Miners that may still hold a journal they were to forget.
    pub(super) fn holders(&self, id: JournalId) -> BTreeSet<Address> {
        self.waiting.keys().filter(|(_, journal)| *journal == id).map(|(account, _)| *account).collect()
    }

    /// Whether there is room for one more, or it is known.
    fn note(&mut self, account: Address, id: JournalId, epoch: u64) -> bool {
        let key = (account, id);
        let fits = self.waiting.len() < LEFTOVERS_MAX || self.waiting.contains_key(&key);
        if fits {
            let known = self.waiting.entry(key).or_insert(epoch);
            *known = epoch.max(*known);
        }
        fits
    }
}

impl JournalClient {
    /// Has a miner forget a journal. One that does not answer is told again until it does.
    pub(super) async fn forget(&self, account: Address, id: JournalId, epoch: u64) -> Result<(), AskError> {
        let asked = self.ask(account, id, Ask::Remove { epoch }, ASK_DEADLINE).await;
        let Err(error) = asked else { return Ok(()) };
        if !is_final(&error) {
            self.tell_later(account, id, epoch);
        }
        Err(error)
    }

    fn tell_later(&self, account: Address, id: JournalId, epoch: u64) {
        let mut leftovers = self.leftovers().lock();
        if !leftovers.note(account, id, epoch) {
            tracing::debug!(%account, journal = %id, "a journal that is not needed stays");
        } else if !std::mem::replace(&mut leftovers.attended, true) {
            let (client, tasks) = (self.clone(), &self.node().tasks);
            let stopping = tasks.stopping(Phase::Produce);
            tasks.spawn(Phase::Produce, "journals to be forgotten", Criticality::Optional, async move {
                stopping.run_until_cancelled(client.attend()).await;
                Ok(())
            });
        }
    }

    /// Goes through what is left until nothing is.
    async fn attend(self) {
        loop {
            sleep(ROUND).await;
            self.round().await;
            let mut leftovers = self.leftovers().lock();
            if leftovers.waiting.is_empty() {
                leftovers.attended = false;
                return;
            }
        }
    }

    async fn round(&self) {
        let waiting = self.leftovers().lock().waiting.clone();
        let mut absent = BTreeSet::new();
        for ((account, id), epoch) in waiting {
            if absent.contains(&account) {
                continue;
            }
            match self.ask(account, id, Ask::Remove { epoch }, ASK_DEADLINE).await {
                Err(error) if !is_final(&error) => {
                    absent.insert(account);
                }
                _ => {
                    self.leftovers().lock().waiting.remove(&(account, id));
                }
            }
        }
    }
}

/// Whether asking again is of no use: the miner does not hold the journal, or not for who asks.
fn is_final(error: &AskError) -> bool {
    match error {
        AskError::Refused { refusal, .. } => !matches!(refusal, Refusal::Failed(_)),
        AskError::Unregistered { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_mind_has_a_bound() {
        let mut leftovers = Leftovers::default();
        let id = |n: usize| JournalId(std::array::from_fn(|at| n.to_le_bytes()[at % 8]));
        let account = Address::repeat_byte(1);
        assert!((0..LEFTOVERS_MAX).all(|n| leftovers.note(account, id(n), 5)));
        assert!(!leftovers.note(account, id(LEFTOVERS_MAX), 5));
        assert!(leftovers.note(account, id(0), 4), "it is known");
        assert_eq!(leftovers.waiting[&(account, id(0))], 5, "a later writer's word stands");
        assert_eq!(leftovers.holders(id(3)), BTreeSet::from([account]));
    }
}
