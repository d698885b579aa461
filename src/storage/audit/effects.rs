//! What each event of the chain does to the index, and what is forgotten when.
//!
//! Owns the meaning of events for audits. Invariant: an event seen twice, with all after it, leaves what seeing it once leaves.

use super::{
    index::{HoldingsIndex, IndexError, PAGE_ENTRIES, handed_key},
    records::{
        AppealEntry, BatchEntry, EpochEntry, FileEntry, Hold, RoundEntry, file_at, hold_key, key, number_at, prefix,
        round_key,
    },
};
use crate::{
    client::{ChainEvent, EventStep},
    codec::{self, Wire},
    kv::{Batch, Column, Durability},
    ledger::modules::PROVE_MAX_EPOCHS,
    types::{
        Address, B256, FileId, Height,
        params::{FRAGMENTS, TAG_EPOCHS_KEPT},
    },
};

const _: () = assert!(TAG_EPOCHS_KEPT < PROVE_MAX_EPOCHS as u64, "proofs of all epochs fit a call");

/// Appeals may be open for this many of the profile's periods after a round: votes, the appeal, its judgement.
const KEEP_APPEAL_PERIODS: u64 = 3;

impl HoldingsIndex {
    /// Lets the events of a step take effect, then passes its last height.
    pub fn apply(&self, step: &EventStep) -> Result<(), IndexError> {
        for batch in &step.batches {
            for (_, event) in &batch.events {
                self.apply_event(batch.height, event)?;
            }
        }
        let round = |height| self.rounds().at(height);
        if round(step.to) != round(step.from.saturating_sub(1)) {
            self.forget(step.to)?;
        }
        self.set_height(step.to)
    }

    fn apply_event(&self, height: Height, event: &ChainEvent) -> Result<(), IndexError> {
        match event {
            ChainEvent::FileStored { id, holders, manifest, .. } => self.stored(height, id, holders, manifest),
            ChainEvent::FileDeleted { id, holders, .. } => self.deleted(height, id, holders),
            ChainEvent::RepairCompleted { file, column, to, from, .. } => {
                self.repaired(height, file, *column, to, from)
            }
            ChainEvent::FileTagged { file, epoch, columns, .. } => self.tagged(height, file, *epoch, *columns),
            ChainEvent::EpochOpened { epoch, key, .. } => self.epoch_opened(height, *epoch, key),
            ChainEvent::EpochClosed { epoch } => self.change_epoch(*epoch, |entry| entry.open = false),
            ChainEvent::EpochSuspended { epoch } => self.suspended(height, *epoch),
            ChainEvent::KeyHandedOver { epoch, to, seal_key, sealed, .. } => {
                self.handed_over(*epoch, to, seal_key, sealed)
            }
            ChainEvent::MinerRegistered { account, .. } | ChainEvent::MinerReinstated { account, .. } => {
                self.miner_joined(height, account)
            }
            ChainEvent::MinerExited { account, .. } | ChainEvent::MinerLost { account, .. } => {
                self.delete(key(prefix::MINER, &[account.as_slice()]))
            }
            ChainEvent::IdleCommitted { account, batch, first, commitments } => {
                let commitments = commitments.iter().map(|bytes| bytes.to_vec()).collect();
                let entry = BatchEntry { height, first: *first, commitments, voted: false };
                self.write(&batch_key(account, *batch), &entry)
            }
            ChainEvent::IdleDecided { account, batch, .. } => self.delete(batch_key(account, *batch)),
            _ => self.apply_audit(height, event),
        }
    }

    fn apply_audit(&self, height: Height, event: &ChainEvent) -> Result<(), IndexError> {
        match event {
            ChainEvent::Answered { miner, round, spot, idle } => {
                self.change_round(*round, miner, |entry| entry.answered = Some((spot.0, idle.0)))
            }
            ChainEvent::Proven { miner, round, epochs, proofs } => {
                let proofs = proofs.iter().map(|proof| proof.to_vec());
                let proofs = epochs.iter().copied().zip(proofs).collect();
                self.change_round(*round, miner, |entry| entry.proven = Some(proofs))
            }
            ChainEvent::AuditDecided { miner, round, verdict, .. } => {
                self.change_round(*round, miner, |entry| entry.decided = Some(*verdict))
            }
            ChainEvent::AuditRefuted { miner, round, verdict, .. } => self.change_round(*round, miner, |entry| {
                // Before there is a verdict the event has none.
                entry.decided = entry.decided.map(|_| *verdict);
            }),
            ChainEvent::AppealOpened { appeal, miner, round, .. } => {
                let entry = AppealEntry { miner: miner.0.0, round: *round, height, ruled: false };
                self.write(&key(prefix::APPEAL, &[&appeal.to_be_bytes()]), &entry)
            }
            ChainEvent::AppealDecided { appeal, .. } => self.delete(key(prefix::APPEAL, &[&appeal.to_be_bytes()])),
            _ => Ok(()),
        }
    }

    fn stored(&self, height: Height, file: &FileId, holders: &[Address], manifest: &[u8]) -> Result<(), IndexError> {
        let Ok(holders) = <[Address; FRAGMENTS]>::try_from(holders) else { return Ok(()) };
        let mut batch = Batch::new();
        self.drop_untagged(file, &mut batch)?;
        let entry = FileEntry {
            holders: holders.map(|holder| holder.0.0),
            since: [height; FRAGMENTS],
            tagged: [None; FRAGMENTS],
            untagged_since: Some(height),
        };
        for (column, holder) in (0u8..).zip(&holders) {
            self.end_holds(height, height.saturating_sub(1), file, holder, &mut batch)?;
            let hold = Hold { column, until: None, tags: Vec::new() };
            put(&mut batch, hold_key(holder, file, height), &hold);
        }
        put(&mut batch, file_key(file), &entry);
        batch.put(Column::Holdings, untagged_key(height, file), []);
        batch.put(Column::Holdings, key(prefix::MANIFEST, &[file.as_bytes()]), manifest);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn deleted(&self, height: Height, file: &FileId, holders: &[Address]) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        for holder in holders {
            self.release(height, file, holder, &mut batch)?;
        }
        self.drop_untagged(file, &mut batch)?;
        batch.delete(Column::Holdings, file_key(file));
        batch.put(Column::Holdings, stale_key(height, &key(prefix::MANIFEST, &[file.as_bytes()])), []);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn repaired(
        &self,
        height: Height,
        file: &FileId,
        column: u8,
        to: &Address,
        from: &Address,
    ) -> Result<(), IndexError> {
        let at = usize::from(column);
        let Some(mut entry) = self.file(file)?.filter(|_| at < FRAGMENTS) else { return Ok(()) };
        let mut batch = Batch::new();
        self.release(height, file, from, &mut batch)?;
        // An index that was filled from the state may have the column at its new holder already.
        self.end_holds(height, height.saturating_sub(1), file, to, &mut batch)?;
        put(&mut batch, hold_key(to, file, height), &Hold { column, until: None, tags: Vec::new() });
        (entry.holders[at], entry.since[at], entry.tagged[at]) = (to.0.0, height, None);
        self.wait_for_tags(height, file, &mut entry, &mut batch);
        put(&mut batch, file_key(file), &entry);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn tagged(&self, height: Height, file: &FileId, epoch: u64, columns: u16) -> Result<(), IndexError> {
        let Some(mut entry) = self.file(file)? else { return Ok(()) };
        let useful = self.oldest_useful(height);
        let mut batch = Batch::new();
        for column in (0..FRAGMENTS).filter(|column| columns >> column & 1 == 1) {
            let key = hold_key(&Address::from(entry.holders[column]), file, entry.since[column]);
            if let Some(mut hold) = self.read::<Hold>(&key)? {
                hold.tag(height, epoch, useful);
                put(&mut batch, key, &hold);
            }
            entry.tagged[column] = Some(epoch);
        }
        if entry.tagged.iter().all(Option::is_some) {
            self.drop_untagged(file, &mut batch)?;
            entry.untagged_since = None;
        }
        put(&mut batch, file_key(file), &entry);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn epoch_opened(&self, height: Height, epoch: u64, group_key: &[u8]) -> Result<(), IndexError> {
        let entry = EpochEntry { key: group_key.to_vec(), open: true, suspended: None };
        self.write(&key(prefix::EPOCH, &[&epoch.to_be_bytes()]), &entry)?;
        match epoch.checked_sub(TAG_EPOCHS_KEPT) {
            Some(oldest) => self.tag_anew(height, |tagged| tagged <= oldest),
            None => Ok(()),
        }
    }

    fn handed_over(&self, epoch: u64, to: &Address, seal_key: &B256, sealed: &[u8]) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.put(Column::Holdings, handed_key(epoch, to), [seal_key.as_slice(), sealed].concat());
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn change_epoch(&self, epoch: u64, change: impl FnOnce(&mut EpochEntry)) -> Result<(), IndexError> {
        let Some(mut entry) = self.epoch(epoch)? else { return Ok(()) };
        change(&mut entry);
        self.write(&key(prefix::EPOCH, &[&epoch.to_be_bytes()]), &entry)
    }

    fn suspended(&self, height: Height, epoch: u64) -> Result<(), IndexError> {
        self.change_epoch(epoch, |entry| (entry.open, entry.suspended) = (false, Some(height)))?;
        self.tag_anew(height, |tagged| tagged == epoch)
    }

    /// Every column with tags of such an epoch waits for others. What a round is about does not change by that.
    fn tag_anew(&self, height: Height, is_past: impl Fn(u64) -> bool) -> Result<(), IndexError> {
        self.each(&[prefix::FILE], |file_key, value| {
            let mut entry: FileEntry = codec::decode(value)?;
            let waits = |tagged: &Option<u64>| tagged.is_some_and(&is_past);
            let Some(file) = file_at(file_key, 1).filter(|_| entry.tagged.iter().any(waits)) else { return Ok(()) };
            let mut batch = Batch::new();
            entry.tagged.iter_mut().filter(|tagged| waits(tagged)).for_each(|tagged| *tagged = None);
            self.wait_for_tags(height, &file, &mut entry, &mut batch);
            put(&mut batch, file_key.to_vec(), &entry);
            Ok(self.kv.write(batch, Durability::Buffered)?)
        })
    }

    fn miner_joined(&self, height: Height, miner: &Address) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.put(Column::Holdings, key(prefix::MINER, &[miner.as_slice()]), height.to_be_bytes());
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    fn change_round(
        &self,
        round: u64,
        miner: &Address,
        change: impl FnOnce(&mut RoundEntry),
    ) -> Result<(), IndexError> {
        let mut entry = self.round(round, miner)?;
        change(&mut entry);
        self.write(&round_key(prefix::ROUND, round, miner), &entry)
    }

    /// Ends what `holder` holds of the file.
    fn release(&self, height: Height, file: &FileId, holder: &Address, batch: &mut Batch) -> Result<(), IndexError> {
        self.end_holds(height, height, file, holder, batch)
    }

    /// Ends at `height` what `holder` has held of the file since `began` or before.
    fn end_holds(
        &self,
        height: Height,
        began: Height,
        file: &FileId,
        holder: &Address,
        batch: &mut Batch,
    ) -> Result<(), IndexError> {
        self.each(&key(prefix::HOLD, &[holder.as_slice(), file.as_bytes()]), |key, value| {
            let mut hold: Hold = codec::decode(value)?;
            let is_old = number_at(key, 53).is_some_and(|since| since <= began);
            if hold.until.is_none() && is_old {
                hold.until = Some(height);
                put(batch, key.to_vec(), &hold);
                batch.put(Column::Holdings, stale_key(height, key), []);
            }
            Ok(())
        })
    }

    fn wait_for_tags(&self, height: Height, file: &FileId, entry: &mut FileEntry, batch: &mut Batch) {
        if entry.untagged_since.is_none() {
            entry.untagged_since = Some(height);
            batch.put(Column::Holdings, untagged_key(height, file), []);
        }
    }

    fn drop_untagged(&self, file: &FileId, batch: &mut Batch) -> Result<(), IndexError> {
        if let Some(since) = self.file(file)?.and_then(|entry| entry.untagged_since) {
            batch.delete(Column::Holdings, untagged_key(since, file));
        }
        Ok(())
    }

    /// First block whose holdings a round may still be about at `height`.
    fn oldest_useful(&self, height: Height) -> Height {
        self.rounds().opened_at(self.oldest_round(height))
    }

    /// First round that may still be voted about or appealed at `height`.
    pub(super) fn oldest_round(&self, height: Height) -> u64 {
        let appeals = KEEP_APPEAL_PERIODS.saturating_mul(self.params.audit_appeal_blocks);
        self.rounds().at(height.saturating_sub(appeals)).saturating_sub(2)
    }

    /// Forgets what no round and no appeal needs at `height`.
    pub(super) fn forget(&self, height: Height) -> Result<(), IndexError> {
        let (round, opened) = (self.oldest_round(height), self.oldest_useful(height));
        for prefix in [prefix::ROUND, prefix::VOTE, prefix::BYTES] {
            self.forget_until(prefix, round, |_, batch, key| {
                batch.delete(Column::Holdings, key);
                Ok(())
            })?;
        }
        self.forget_until(prefix::STALE, opened, |index, batch, stale| {
            let Some(record) = stale.get(9..) else { return Ok(()) };
            if index.is_stale(record, opened)? {
                batch.delete(Column::Holdings, record);
            }
            batch.delete(Column::Holdings, stale);
            Ok(())
        })
    }

    /// A hold that began anew under its key, and the manifest of a file that is active again, are not.
    fn is_stale(&self, record: &[u8], opened: Height) -> Result<bool, IndexError> {
        match record.first() {
            Some(&prefix::HOLD) => {
                let hold: Option<Hold> = self.read(record)?;
                Ok(hold.and_then(|hold| hold.until).is_some_and(|until| until < opened))
            }
            _ => Ok(file_at(record, 1).map(|file| self.file(&file)).transpose()?.flatten().is_none()),
        }
    }

    fn forget_until(
        &self,
        prefix: u8,
        until: u64,
        mut each: impl FnMut(&Self, &mut Batch, &[u8]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        loop {
            let page = self.kv.scan(Column::Holdings, &[prefix], &[prefix], PAGE_ENTRIES)?;
            let mut batch = Batch::new();
            let old = |key: &[u8]| number_at(key, 1).is_some_and(|number| number < until);
            for (key, _) in page.iter().filter(|(key, _)| old(key)) {
                each(self, &mut batch, key)?;
            }
            if batch.ops.is_empty() {
                return Ok(());
            }
            self.kv.write(batch, Durability::Buffered)?;
        }
    }

    fn delete(&self, key: Vec<u8>) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.delete(Column::Holdings, key);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }
}

fn put<T: Wire>(batch: &mut Batch, key: Vec<u8>, value: &T) {
    batch.put(Column::Holdings, key, codec::encode(value));
}

fn file_key(file: &FileId) -> Vec<u8> {
    key(prefix::FILE, &[file.as_bytes()])
}

fn untagged_key(since: Height, file: &FileId) -> Vec<u8> {
    key(prefix::UNTAGGED, &[&since.to_be_bytes(), file.as_bytes()])
}

fn batch_key(miner: &Address, batch: u64) -> Vec<u8> {
    key(prefix::BATCH, &[miner.as_slice(), &batch.to_be_bytes()])
}

fn stale_key(height: Height, record: &[u8]) -> Vec<u8> {
    key(prefix::STALE, &[&height.to_be_bytes(), record])
}
