//! How far a writer's records have come on each miner.
//!
//! Owns the untrimmed records in memory and the rule of what is done. Must not know how records travel. Invariants: a record is
//! done when two miners of every set in force have it; what is done stays done; records are numbered without gaps.

use super::{
    Members, QUORUM,
    client::JournalError,
    recover::Recovered,
    wire::{JOURNAL_MAX_BYTES, JournalId, RECORD_MAX_BYTES, batch_of, cost},
};
use crate::types::Address;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};
use tokio::{sync::watch, time::Instant};

/// What those who wait need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Records up to this number are durable. `None` until two miners have the log.
    pub done: Option<u64>,
    /// Two miners say that a later writer came, of this epoch at least.
    pub fenced: Option<u64>,
}

/// A miner as its lane sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    /// It has the log of this epoch up to here.
    acked: Option<u64>,
    sealed_by: Option<u64>,
    /// It does not hold the journal any more.
    lost: bool,
    /// Since when it does not do what is asked.
    ailing: Option<Instant>,
}

struct State {
    base: u64,
    records: VecDeque<Bytes>,
    bytes: u64,
    /// The miners in force; a second set while one is being replaced.
    sets: Vec<Members>,
    seats: BTreeMap<Address, Seat>,
}

/// Shared by a writer and its lanes.
pub(super) struct Progress {
    id: JournalId,
    state: Mutex<State>,
    mark: watch::Sender<Mark>,
    /// Changes when a miner does.
    moved: watch::Sender<()>,
    /// Number of the newest record and of the newest trimmed one.
    wanted: watch::Sender<(u64, u64)>,
}

/// Records for a message.
pub(super) struct Stretch {
    pub first: u64,
    pub records: Vec<Vec<u8>>,
    /// Whether these are the newest.
    pub is_end: bool,
}

impl Stretch {
    /// Number of the first record after these.
    pub(super) fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

impl State {
    fn end(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    /// The newest number that two miners of every set have.
    fn done(&self) -> Option<u64> {
        self.sets.iter().map(|set| self.done_by(set)).min().flatten()
    }

    /// The newest number that two miners of a set have.
    fn done_by(&self, set: &Members) -> Option<u64> {
        let mut acked: Vec<u64> = set.iter().filter_map(|account| self.seats.get(account)?.acked).collect();
        acked.sort_unstable_by(|a, b| b.cmp(a));
        acked.get(QUORUM - 1).copied()
    }

    fn fenced(&self) -> Option<u64> {
        let mut sealed: Vec<u64> = self.seats.values().filter_map(|seat| seat.sealed_by).collect();
        sealed.sort_unstable_by(|a, b| b.cmp(a));
        sealed.get(QUORUM - 1).copied()
    }
}

impl Progress {
    pub(super) fn new(id: JournalId, members: Members, recovered: Recovered) -> Self {
        let Recovered { base, records } = recovered;
        let bytes = records.iter().map(|record| cost(record)).sum();
        let end = base + records.len() as u64;
        let seats = BTreeMap::new();
        Self {
            id,
            state: Mutex::new(State { base, records, bytes, sets: vec![members], seats }),
            mark: watch::Sender::new(Mark { done: None, fenced: None }),
            moved: watch::Sender::new(()),
            wanted: watch::Sender::new((end, base)),
        }
    }

    pub(super) fn id(&self) -> JournalId {
        self.id
    }

    /// Counts a miner in once its lane begins.
    pub(super) fn seat(&self, account: Address) {
        let seat = Seat { acked: None, sealed_by: None, lost: false, ailing: Some(Instant::now()) };
        self.state.lock().seats.insert(account, seat);
    }

    /// Numbers records and has the lanes send them; returns the number of the last.
    pub(super) fn push(&self, records: Vec<Bytes>) -> Result<u64, JournalError> {
        if let Some(record) = records.iter().find(|record| record.len() > RECORD_MAX_BYTES) {
            return Err(JournalError::TooLarge { len: record.len(), max: RECORD_MAX_BYTES });
        }
        let more: u64 = records.iter().map(|record| cost(record)).sum();
        let mut state = self.state.lock();
        if let Some(sealed) = self.mark.borrow().fenced {
            return Err(JournalError::Fenced { journal: self.id, sealed });
        }
        if state.bytes + more > JOURNAL_MAX_BYTES {
            return Err(JournalError::Full { journal: self.id, bytes: state.bytes, max: JOURNAL_MAX_BYTES });
        }
        state.bytes += more;
        state.records.extend(records);
        self.wanted.send_replace((state.end(), state.base));
        Ok(state.end())
    }

    /// Forgets records up to `upto`, of those that are done.
    pub(super) fn trim(&self, upto: u64) {
        let mut state = self.state.lock();
        let upto = upto.min(self.mark.borrow().done.unwrap_or(0));
        while state.base < upto {
            let Some(record) = state.records.pop_front() else { break };
            state.base += 1;
            state.bytes -= cost(&record);
        }
        self.wanted.send_replace((state.end(), state.base));
    }

    /// Numbers of the newest trimmed and of the newest record.
    pub(super) fn span(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.base, state.end())
    }

    /// Records from `from` on, as many as a message carries; `None` if some were trimmed already.
    pub(super) fn stretch(&self, from: u64) -> Option<Stretch> {
        let state = self.state.lock();
        let skip = usize::try_from(from.checked_sub(state.base + 1)?).ok()?;
        let rest = || state.records.iter().skip(skip).map(|record| &record[..]);
        let records: Vec<_> = rest().take(batch_of(rest())).map(<[u8]>::to_vec).collect();
        let is_end = skip + records.len() == state.records.len();
        Some(Stretch { first: from, records, is_end })
    }

    /// All records from `from` on.
    pub(super) fn records(&self, from: u64) -> Vec<Bytes> {
        let state = self.state.lock();
        let skip = usize::try_from(from.saturating_sub(state.base + 1)).unwrap_or(usize::MAX);
        state.records.iter().skip(skip).cloned().collect()
    }

    /// A miner has everything up to `last`.
    pub(super) fn acked(&self, account: Address, last: u64) {
        self.change(account, |seat| {
            seat.acked = seat.acked.max(Some(last));
            seat.sealed_by = None;
            seat.ailing = None;
        });
    }

    /// A miner obeys a later writer.
    pub(super) fn sealed(&self, account: Address, by: u64) {
        self.change(account, |seat| seat.sealed_by = Some(by));
        self.ails(account);
    }

    /// A miner lost the journal, and what it had of it.
    pub(super) fn lost(&self, account: Address) {
        self.change(account, |seat| (seat.lost, seat.acked) = (true, None));
    }

    /// A miner does not do what is asked.
    pub(super) fn ails(&self, account: Address) {
        self.change(account, |seat| seat.ailing = seat.ailing.or(Some(Instant::now())));
    }

    fn change(&self, account: Address, change: impl FnOnce(&mut Seat)) {
        let mut state = self.state.lock();
        let Some(seat) = state.seats.get_mut(&account) else { return };
        change(seat);
        let (done, fenced) = (state.done(), state.fenced());
        self.moved.send_replace(());
        self.mark.send_if_modified(|mark| {
            let next = Mark { done: mark.done.max(done), fenced: mark.fenced.or(fenced) };
            std::mem::replace(mark, next) != next
        });
    }

    /// Miners that lost the journal, or have not done what is asked for `patience`; for `haste` if less than two do it, since nothing
    /// is acknowledged until one of them is replaced.
    pub(super) fn ailing(&self, patience: Duration, haste: Duration) -> Vec<Address> {
        let healthy = self.healthy();
        let patience = if healthy < QUORUM { haste } else { patience };
        let state = self.state.lock();
        let ails = |seat: &Seat| seat.lost || seat.ailing.is_some_and(|since| since.elapsed() >= patience);
        state.seats.iter().filter(|(_, seat)| ails(seat)).map(|(account, _)| *account).collect()
    }

    /// Miners that do what is asked.
    pub(super) fn healthy(&self) -> usize {
        self.state.lock().seats.values().filter(|seat| seat.ailing.is_none() && !seat.lost).count()
    }

    /// From when `account`, which is new in `next`, has the log, records must be on two miners of `next` too; returns when all
    /// that is done is.
    pub(super) async fn until_joined(&self, account: Address, next: Members) {
        let mut moved = self.moved.subscribe();
        // Progress itself holds the sender.
        while !self.has_log(account) {
            let _ = moved.changed().await;
        }
        self.state.lock().sets.push(next);
        while !self.is_covered(&next) {
            let _ = moved.changed().await;
        }
    }

    fn has_log(&self, account: Address) -> bool {
        self.state.lock().seats.get(&account).is_some_and(|seat| seat.acked.is_some())
    }

    /// Whether these miners have what is done. That the former ones had it is what made it done, be they lost by now.
    fn is_covered(&self, next: &Members) -> bool {
        let state = self.state.lock();
        state.done_by(next) >= self.mark.borrow().done
    }

    /// The miners in force; the first set is the one that is noted.
    pub(super) fn sets(&self) -> Vec<Members> {
        self.state.lock().sets.clone()
    }

    /// From now on only `members` count. Returns who left.
    pub(super) fn settle(&self, members: Members) -> Vec<Address> {
        let mut state = self.state.lock();
        state.sets = vec![members];
        let gone: Vec<_> = state.seats.keys().filter(|account| !members.contains(account)).copied().collect();
        for account in &gone {
            state.seats.remove(account);
        }
        gone
    }

    /// Where things stand, and changes of it.
    pub(super) fn mark(&self) -> watch::Receiver<Mark> {
        self.mark.subscribe()
    }

    /// What the lanes are to send.
    pub(super) fn wanted(&self) -> watch::Receiver<(u64, u64)> {
        self.wanted.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const ID: JournalId = JournalId([1; 32]);

    fn account(n: u8) -> Address {
        Address::repeat_byte(n)
    }

    fn progress() -> Progress {
        let members = [account(1), account(2), account(3)];
        let progress = Progress::new(ID, members, Recovered { base: 4, records: VecDeque::new() });
        members.iter().for_each(|account| progress.seat(*account));
        progress
    }

    fn done(progress: &Progress) -> Option<u64> {
        progress.mark().borrow().done
    }

    #[test]
    fn two_of_three_make_a_record_durable() {
        let progress = progress();
        assert_eq!(progress.push(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]).unwrap(), 6);
        progress.acked(account(1), 6);
        assert_eq!(done(&progress), None);
        progress.acked(account(3), 5);
        assert_eq!(done(&progress), Some(5));
        progress.trim(6);
        assert_eq!(progress.span(), (5, 6));
        assert!(progress.stretch(5).is_none());
        assert_eq!(progress.stretch(6).unwrap().next(), 7);
    }

    #[test]
    fn one_miner_alone_cannot_fence() {
        let progress = progress();
        progress.sealed(account(1), 9);
        assert_eq!(progress.mark().borrow().fenced, None);
        progress.sealed(account(2), 8);
        assert_eq!(progress.mark().borrow().fenced, Some(8));
        assert!(matches!(progress.push(vec![Bytes::new()]), Err(JournalError::Fenced { sealed: 8, .. })));
    }

    #[tokio::test]
    async fn while_a_miner_is_replaced_both_sets_must_have_a_record() {
        let progress = progress();
        progress.push(vec![Bytes::new(); 3]).unwrap();
        for (account, last) in [(account(1), 5), (account(2), 5), (account(3), 4)] {
            progress.acked(account, last);
        }
        let next = [account(4), account(2), account(3)];
        progress.seat(account(4));
        let mut joining = Box::pin(progress.until_joined(account(4), next));
        assert!((&mut joining).now_or_never().is_none(), "it has no log");
        progress.acked(account(4), 4);
        assert!((&mut joining).now_or_never().is_none(), "only the second of the new miners has what is done");
        progress.acked(account(4), 5);
        joining.await;
        // Two of the old set, but of the new one only the second has it.
        progress.acked(account(1), 7);
        progress.acked(account(2), 7);
        assert_eq!(done(&progress), Some(5));
        progress.acked(account(4), 6);
        assert_eq!(done(&progress), Some(6));
        assert_eq!(progress.settle(next), [account(1)]);
        progress.acked(account(3), 7);
        assert_eq!(done(&progress), Some(7));
    }

    #[test]
    fn a_journal_that_is_not_trimmed_fills_up() {
        let progress = progress();
        let record = Bytes::from(vec![0; RECORD_MAX_BYTES]);
        let mut pushed = 0;
        let full = loop {
            match progress.push(vec![record.clone()]) {
                Ok(_) => pushed += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(pushed, 63);
        assert!(full.to_string().contains("the limit is 64"), "{full}");
        assert!(matches!(
            progress.push(vec![vec![0; RECORD_MAX_BYTES + 1].into()]),
            Err(JournalError::TooLarge { .. })
        ));
    }
}
