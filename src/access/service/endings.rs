//! What is left of buckets that were deleted: tables, journals, the names of their owners.
//!
//! Owns the order in which it goes. Must not know what a bucket held. Invariants: nothing goes before the bucket's name was freed, which
//! happens after everything in it was let go; no step needs what an earlier one removed, so that one that was interrupted is done
//! again; the note about the bucket goes last.

use super::{
    directory::{Directory, EndedBucket},
    journals::BucketJournals,
    sessions::{Opener, tables_scope},
};
use crate::{
    access::{
        blobs::Scope,
        data::Packs,
        group::{BucketKey, Gateways, Journals},
    },
    runtime::Node,
};
use parking_lot::Mutex;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// How long a bucket is kept in mind after its end: what was on its way then, a pack of another gateway or a miner that was away, has come.
pub(super) const ENDED_KEPT: Duration = Duration::from_hours(2);

/// Ends buckets for good.
pub(super) struct Endings {
    node: Node,
    directory: Arc<Directory>,
    gateways: Arc<Gateways>,
    journals: BucketJournals,
    opener: Arc<Opener>,
    packs: Packs,
    due: Notify,
    /// One round at a time.
    pub(super) turn: tokio::sync::Mutex<()>,
    /// Those that were cleared in this life and are looked at once more when their time is over.
    cleared: Mutex<BTreeSet<BucketKey>>,
}

impl Endings {
    pub fn new(
        node: &Node,
        directory: Arc<Directory>,
        gateways: Arc<Gateways>,
        journals: BucketJournals,
        opener: Arc<Opener>,
        packs: Packs,
    ) -> Self {
        let (node, due, turn, cleared) = (node.clone(), Notify::new(), Default::default(), Mutex::default());
        Self { node, directory, gateways, journals, opener, packs, due, turn, cleared }
    }

    /// A bucket has ended.
    pub fn wake(&self) {
        self.due.notify_one();
    }

    /// Waits until one has.
    pub async fn woken(&self) {
        self.due.notified().await;
    }

    /// Does what is due for each bucket that this gateway ended. What fails is tried again in the next round, and the first reason given.
    pub async fn round(&self) -> Result<(), String> {
        let _turn = self.turn.lock().await;
        let mut outcome = Ok(());
        for bucket in self.directory.ended().await.map_err(|error| error.to_string())? {
            if let Err(reason) = self.end(&bucket).await {
                tracing::warn!(bucket = %bucket.key(), reason, "a deleted bucket is not gone yet");
                outcome = outcome.and(Err(format!("bucket {}: {reason}", bucket.key())));
            }
        }
        outcome
    }

    async fn end(&self, bucket: &EndedBucket) -> Result<(), String> {
        let (key, age) = (bucket.key(), self.node.clock.unix_ms().saturating_sub(bucket.ended_ms));
        let over = u128::from(age) >= ENDED_KEPT.as_millis();
        if !over && self.cleared.lock().contains(&key) {
            return Ok(());
        }
        self.clear(&key).await?;
        if !over {
            self.cleared.lock().insert(key);
            return Ok(());
        }
        self.directory.forget(bucket).await.map_err(|error| error.to_string())?;
        self.cleared.lock().remove(&key);
        tracing::info!(bucket = %key, "nothing is left of a deleted bucket");
        Ok(())
    }

    /// Tables and files first, then the journal: as long as there are tables, there is a log that belongs to them.
    async fn clear(&self, key: &BucketKey) -> Result<(), String> {
        let last = self.gateways.retire(*key).await.map_err(|error| error.to_string())?;
        self.opener.tables(key).clear().await.map_err(|error| error.to_string())?;
        for scope in [tables_scope(key), Scope::new(key.owner(), key.id())] {
            let removed = self.packs.collect(scope, &BTreeSet::new(), 0).await;
            removed.map_err(|error| error.to_string())?;
        }
        if let Some(held) = last {
            let (members, epoch) = (held.ownership.members(), held.ownership.epoch);
            self.journals.remove(key, &members, epoch).await.map_err(|fault| fault.to_string())?;
        }
        Ok(())
    }
}
