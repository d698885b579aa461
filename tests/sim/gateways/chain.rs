//! The chain's twin: names that change by compare-and-swap, after a while, whether or not the one who asked still listens.
//!
//! Owns who owns which bucket, and the names of tables. Invariants that it checks: an epoch belongs to one gateway; epochs grow.

use super::{sometimes::Sometimes, witness::Witness};
use crate::machine::{Dice, now, until};
use async_trait::async_trait;
use cess::{
    access::{
        group::{BucketKey, GatewayKey, Held, Owners, OwnersFault, Ownership, SwapFault},
        store::{NameEntry, NameFault, Names},
    },
    client::ChainError,
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot, time::timeout};

/// How long a change takes to become final, milliseconds.
const FINALITY_MS: (u64, u64) = (100, 600);
/// The same while the chain is slow.
const SLOW_FINALITY_MS: (u64, u64) = (1_000, 6_000);
/// How long finality is waited for.
const DEADLINE: Duration = Duration::from_secs(5);
/// A question to the nearest node, milliseconds.
const LOOK_MS: (u64, u64) = (1, 30);
/// Patience of one who does not reach the chain.
const DIAL: Duration = Duration::from_millis(800);

/// The chain.
pub struct Chain {
    /// Where transactions travel that outlive their senders.
    outside: Handle,
    witness: Arc<Witness>,
    dice: Mutex<Dice>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    changes: u64,
    owners: BTreeMap<BucketKey, Held>,
    epochs: BTreeMap<(BucketKey, u32), GatewayKey>,
    tables: BTreeMap<BucketKey, BTreeMap<String, NameEntry>>,
    weather: Weather,
}

/// What is wrong with the chain.
#[derive(Default)]
struct Weather {
    cut: BTreeSet<usize>,
    slow: bool,
    mute: bool,
}

impl Chain {
    /// A chain without names.
    pub fn new(seed: u64, witness: Arc<Witness>) -> Arc<Self> {
        let (outside, dice) = (Handle::current(), Mutex::new(Dice::new(seed, "chain")));
        Arc::new(Self { outside, witness, dice, state: Mutex::default() })
    }

    /// The chain as a gateway reaches it.
    pub fn door(self: &Arc<Self>, gateway: usize) -> ChainDoor {
        ChainDoor { chain: self.clone(), gateway }
    }

    /// Cuts a gateway off, or connects it again.
    pub fn cut(&self, gateway: usize, cut: bool) {
        let cuts = &mut self.state.lock().weather.cut;
        if cut {
            cuts.insert(gateway)
        } else {
            cuts.remove(&gateway)
        };
    }

    /// Makes changes slow, or their answers get lost.
    pub fn disturb(&self, slow: bool, mute: bool) {
        let weather = &mut self.state.lock().weather;
        (weather.slow, weather.mute) = (slow, mute);
    }

    /// Values of all names of tables.
    pub fn table_values(&self) -> Vec<Vec<u8>> {
        let state = self.state.lock();
        state.tables.values().flatten().map(|(_, entry)| entry.value.clone()).collect()
    }

    fn millis(&self, (from, to): (u64, u64)) -> Duration {
        self.dice.lock().millis(from, to)
    }

    fn is_cut(&self, gateway: usize) -> bool {
        self.state.lock().weather.cut.contains(&gateway)
    }

    async fn look<T>(&self, gateway: usize, look: impl FnOnce(&State) -> T) -> Result<T, String> {
        let pause = self.millis(LOOK_MS);
        until(now() + pause).await;
        if self.is_cut(gateway) {
            until(now() + DIAL).await;
            return Err("no node of the chain answers".to_owned());
        }
        Ok(look(&self.state.lock()))
    }

    /// Sends a transaction. It is executed whatever becomes of its sender, who may hear nothing of it.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        gateway: usize,
        execute: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, String> {
        if self.is_cut(gateway) {
            until(now() + DIAL).await;
            return Err("no node of the chain answers".to_owned());
        }
        let (slow, mute) = {
            let weather = &self.state.lock().weather;
            (weather.slow, weather.mute)
        };
        let span = if slow { SLOW_FINALITY_MS } else { FINALITY_MS };
        let (there, back) = (self.millis(span) / 2, self.millis(span) / 2);
        let lost = mute && self.dice.lock().chance(40);
        let (tell, told) = oneshot::channel();
        let chain = self.clone();
        self.outside.spawn(async move {
            until(now() + there).await;
            let outcome = execute(&mut chain.state.lock());
            until(now() + back).await;
            // Whoever sent it may be gone.
            let _ = tell.send(outcome);
        });
        let outcome = timeout(DEADLINE, told).await;
        match outcome {
            Ok(Ok(outcome)) if !lost && !self.is_cut(gateway) => Ok(outcome),
            _ => {
                self.witness.count(Sometimes::ChainMute);
                Err("it is not final in time".to_owned())
            }
        }
    }
}

/// One gateway's way to the chain.
#[derive(Clone)]
pub struct ChainDoor {
    chain: Arc<Chain>,
    gateway: usize,
}

impl ChainDoor {
    /// Names of a bucket's tables.
    pub fn tables(&self, bucket: BucketKey) -> TableNames {
        TableNames { door: self.clone(), bucket }
    }
}

#[async_trait]
impl Owners for ChainDoor {
    async fn read(&self, bucket: &BucketKey) -> Result<Option<Held>, OwnersFault> {
        let found = self.chain.look(self.gateway, |state| state.owners.get(bucket).cloned()).await;
        found.map_err(OwnersFault)
    }

    async fn swap(&self, bucket: &BucketKey, expected: u64, new: &Ownership) -> Result<u64, SwapFault> {
        let (bucket, new, witness, gateway) = (*bucket, new.clone(), self.chain.witness.clone(), self.gateway);
        let swap = move |state: &mut State| {
            let held = state.owners.get(&bucket);
            if held.map_or(0, |held| held.version) != expected {
                return None;
            }
            check_epoch(&witness, &bucket, held.map(|held| &held.ownership), &new);
            let owner = *state.epochs.entry((bucket, new.epoch)).or_insert(new.gateway);
            if owner != new.gateway {
                witness.violation(&format!("epoch {} of bucket {bucket} belongs to two gateways", new.epoch));
            }
            note_owner(&witness, gateway, held.map(|held| &held.ownership), &new);
            state.changes += 1;
            let version = state.changes;
            state.owners.insert(bucket, Held { version, ownership: new });
            Some(version)
        };
        match self.chain.change(self.gateway, swap).await {
            Ok(Some(version)) => Ok(version),
            Ok(None) => Err(SwapFault::Conflict),
            Err(reason) => Err(SwapFault::Unknown(reason)),
        }
    }
}

fn check_epoch(witness: &Witness, bucket: &BucketKey, before: Option<&Ownership>, new: &Ownership) {
    let Some(before) = before else { return };
    let moved = before.gateway == new.gateway && before.epoch == new.epoch;
    if !moved && new.epoch <= before.epoch {
        witness.violation(&format!("bucket {bucket} went from epoch {} to {}", before.epoch, new.epoch));
    }
}

fn note_owner(witness: &Witness, gateway: usize, before: Option<&Ownership>, new: &Ownership) {
    witness.note(&format!("g{gateway} owns a bucket in epoch {}", new.epoch));
    match before {
        Some(before) if before.gateway != new.gateway => {
            witness.count(Sometimes::TakenOver);
            if witness.is_standing(&before.gateway.peer) {
                witness.count(Sometimes::TakenFromTheLiving);
            }
        }
        Some(before) if before.epoch != new.epoch => witness.count(Sometimes::OpenedAgain),
        Some(_) => witness.count(Sometimes::MinerReplaced),
        None => {}
    }
}

/// Names of one bucket's tables.
pub struct TableNames {
    door: ChainDoor,
    bucket: BucketKey,
}

impl TableNames {
    /// Changes a name that has version `expected`.
    async fn change(&self, name: &str, expected: u64, value: Option<Vec<u8>>) -> Result<u64, NameFault> {
        let (bucket, name) = (self.bucket, name.to_owned());
        let change = move |state: &mut State| {
            let names = state.tables.entry(bucket).or_default();
            if names.get(&name).map_or(0, |entry| entry.version) != expected {
                return Err(names.get(&name).cloned());
            }
            state.changes += 1;
            let version = state.changes;
            match value {
                Some(value) => names.insert(name, NameEntry { version, value }),
                None => names.remove(&name),
            };
            Ok(version)
        };
        let outcome = self.door.chain.change(self.door.gateway, change).await.map_err(unreachable)?;
        outcome.map_err(|present| NameFault::Conflict { present })
    }
}

#[async_trait]
impl Names for TableNames {
    async fn get(&self, name: &str) -> Result<Option<NameEntry>, NameFault> {
        let bucket = self.bucket;
        let look = |state: &State| state.tables.get(&bucket).and_then(|names| names.get(name)).cloned();
        self.door.chain.look(self.door.gateway, look).await.map_err(unreachable)
    }

    async fn set(&self, name: &str, expected: u64, value: Vec<u8>) -> Result<u64, NameFault> {
        self.change(name, expected, Some(value)).await
    }

    async fn remove(&self, name: &str, expected: u64) -> Result<(), NameFault> {
        self.change(name, expected, None).await.map(drop)
    }

    async fn list(&self) -> Result<Vec<(String, NameEntry)>, NameFault> {
        let bucket = self.bucket;
        let look = |state: &State| state.tables.get(&bucket).into_iter().flatten().map(owned).collect();
        self.door.chain.look(self.door.gateway, look).await.map_err(unreachable)
    }
}

fn owned((name, entry): (&String, &NameEntry)) -> (String, NameEntry) {
    (name.clone(), entry.clone())
}

fn unreachable(reason: String) -> NameFault {
    ChainError::Unreachable(reason).into()
}
