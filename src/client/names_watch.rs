//! Names that are read often, kept in memory and brought up to date by the chain's events.
//!
//! Must not know what values mean. Invariants: an event newer than what is kept replaces it; what was read while an event came in never
//! replaces that event; nothing is kept longer than [`FRESH`], so that a node that answers late does no lasting harm; that a name is not
//! there is read anew each time, so that what was just made is found at once; the number of names is bounded.

use super::{ChainClient, ChainError, ChainEvent, EventFollower, EventStep, NameRecord, name_record};
use crate::runtime::{Criticality, Phase, Tasks};
use crate::types::B256;
use alloy_primitives::Bytes;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Names kept.
const NAMES_MAX: usize = 65_536;
/// How long a name is believed without having been read again or named by an event.
pub const FRESH: Duration = Duration::from_secs(30);

/// Pause before the chain is asked again where it stands.
const START_PAUSE: Duration = Duration::from_secs(1);

type Key = (B256, Bytes);

#[derive(Debug, Clone)]
struct Kept {
    /// `None` while the first read is under way.
    found: Option<Option<NameRecord>>,
    until: Instant,
}

/// A cache of names. Whoever follows the chain hands it the events.
pub struct NamesWatch {
    chain: Arc<dyn ChainClient>,
    kept: Mutex<BTreeMap<Key, Kept>>,
}

impl NamesWatch {
    /// An empty cache of the chain's names.
    pub fn new(chain: Arc<dyn ChainClient>) -> Self {
        Self { chain, kept: Mutex::default() }
    }

    /// Follows the chain's events from now on.
    pub fn follow(self: &Arc<Self>, tasks: &Tasks) {
        let (watch, stopping) = (self.clone(), tasks.stopping(Phase::Network));
        tasks.spawn(Phase::Network, "names of the chain", Criticality::Critical, async move {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = watch.apply_all() => {}
            }
            Ok(())
        });
    }

    async fn apply_all(&self) {
        let height = loop {
            match self.chain.status().await {
                Ok(status) => break status.height,
                Err(error) => tracing::debug!(%error, "names are not followed yet"),
            }
            sleep(START_PAUSE).await;
        };
        let mut follower = EventFollower::new(self.chain.clone(), height);
        loop {
            self.apply(&follower.next().await);
        }
    }

    /// The name that is there.
    pub async fn get(&self, namespace: B256, name: &[u8]) -> Result<Option<NameRecord>, ChainError> {
        let key = (namespace, Bytes::copy_from_slice(name));
        if let Some(found) = self.look(&key) {
            return Ok(Some(found));
        }
        let read = name_record(&*self.chain, namespace, name).await;
        let mut kept = self.kept.lock();
        let found = match read {
            Ok(found) => found,
            Err(error) => {
                if kept.get(&key).is_some_and(|kept| kept.found.is_none()) {
                    kept.remove(&key);
                }
                return Err(error);
            }
        };
        match kept.get_mut(&key) {
            Some(Kept { found: Some(newer), .. }) => Ok(newer.clone()),
            Some(waiting) => {
                *waiting = Kept { found: Some(found.clone()), until: Instant::now() + FRESH };
                Ok(found)
            }
            None => Ok(found),
        }
    }

    /// Has a name read anew: whoever changed it knows better than what is kept.
    pub fn forget(&self, namespace: B256, name: &[u8]) {
        self.kept.lock().remove(&(namespace, Bytes::copy_from_slice(name)));
    }

    /// Brings what is kept up to date.
    pub fn apply(&self, step: &EventStep) {
        for (_, event) in step.batches.iter().flat_map(|batch| &batch.events) {
            match event {
                ChainEvent::NameSet { namespace, owner, name, version, value } => {
                    let (owner, version, value) = (*owner, *version, value.clone());
                    let record = NameRecord { name: name.clone(), owner, version, value };
                    self.changed((*namespace, name.clone()), Some(record), version);
                }
                ChainEvent::NameRemoved { namespace, name, version, .. } => {
                    self.changed((*namespace, name.clone()), None, *version);
                }
                _ => {}
            }
        }
    }

    /// A name that is kept and fresh; otherwise a note that it is being read.
    fn look(&self, key: &Key) -> Option<NameRecord> {
        let (mut kept, now) = (self.kept.lock(), Instant::now());
        match kept.get(key) {
            Some(Kept { found: Some(Some(found)), until }) if *until > now => return Some(found.clone()),
            Some(Kept { found: None, .. }) => return None,
            _ => {}
        }
        if kept.len() >= NAMES_MAX {
            kept.clear();
        }
        kept.insert(key.clone(), Kept { found: None, until: now + FRESH });
        None
    }

    fn changed(&self, key: Key, record: Option<NameRecord>, version: u64) {
        let mut kept = self.kept.lock();
        let Some(entry) = kept.get_mut(&key) else { return };
        let known = entry.found.as_ref().and_then(Option::as_ref).map_or(0, |found| found.version);
        // A removal names the version that is gone, a change a newer one: either way what is older than it is out.
        if known <= version {
            *entry = Kept { found: Some(record), until: Instant::now() + FRESH };
        }
    }
}
