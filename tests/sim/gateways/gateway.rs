//! A gateway as it runs in production, with its own runtime, and its lives one after the other.
//!
//! Owns what a life is made of and what it finds when it begins: a cache of tables, which may be gone.

use super::{
    chain::Chain,
    depot::Depot,
    miners::Registered,
    packer::Packer,
    sessions::{Keys, Opener, OpenerParts, Routing, journals},
    sometimes::Sometimes,
    witness::Witness,
};
use crate::{
    clock::SkewedClock,
    machine::{Dice, now, until},
};
use cess::{
    access::{
        blobs::Blobs,
        engine::EngineSettings,
        group::{GatewayKey, Gateways, GroupPorts},
        objects::{BucketSettings, Maintained, Objects, Place},
        store::FileCache,
    },
    crypto::{PublicKey, SecretKey},
    network::{MemoryHub, Network, PeerId, peer_id_of},
    runtime::{CpuPool, Criticality, Node, NodeRuntime, Phase},
    storage::{journal::JournalClient, peers::GatewayLink},
    types::Address,
};
use std::{
    fs,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;

/// What the gateways of the group share.
const SECRET: [u8; 32] = [9; 32];
/// Memory for blocks of tables.
const BLOCK_CACHE_BYTES: usize = 8 << 20;
/// Disk for tables.
const TABLE_CACHE_BYTES: u64 = 64 << 20;
/// How often engines ask what changed in their store.
const POLL: Duration = Duration::from_secs(3);
/// Time between two rounds of upkeep, milliseconds.
const ROUND_MS: (u64, u64) = (800, 3_000);

/// What is broken on purpose, to see whether it is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// A lease is renewed without asking the journal's miners.
    LeaseWithoutMiners,
    /// Contents nothing refers to are let go at once, whoever reads them.
    NoGrace,
}

/// How long buckets keep things here: the product's times, as much shorter as the runs are.
pub fn bucket_settings(sabotage: Option<Sabotage>) -> BucketSettings {
    BucketSettings {
        grace_ms: if sabotage == Some(Sabotage::NoGrace) { 0 } else { GRACE.as_millis().try_into().expect("seconds") },
        completed_ms: 60_000,
        removed_ms: 90_000,
        finish_after_ms: 4_000,
        abandon_after_ms: 30_000,
        part_min_bytes: 1,
    }
}

/// How long contents stay for their readers.
pub const GRACE: Duration = Duration::from_secs(12);

/// Everything outside of a gateway.
#[derive(Clone)]
pub struct Outside {
    pub hub: Arc<MemoryHub>,
    pub chain: Arc<Chain>,
    pub depot: Arc<Depot>,
    pub witness: Arc<Witness>,
    pub places: Arc<Vec<Place>>,
    pub sabotage: Option<Sabotage>,
    /// Operations of clients that wait for an answer.
    pub waiting: Arc<AtomicUsize>,
}

/// What users of a gateway that is up reach.
#[derive(Clone)]
pub struct Door {
    pub objects: Objects,
    pub gateways: Arc<Gateways>,
    pub opener: Arc<Opener>,
    /// Where its calls run, and end with it.
    pub handle: Handle,
}

/// One gateway.
pub struct Gateway {
    number: usize,
    seed: u64,
    lives: u64,
    dir: PathBuf,
    outside: Outside,
    pub clock: Arc<SkewedClock>,
    up: Option<(NodeRuntime, Door)>,
}

/// The key of a gateway's host.
fn public(gateway: usize) -> PublicKey {
    SecretKey::from_bytes(&[100 + u8::try_from(gateway).expect("a few gateways"); 32]).public()
}

/// The host of a gateway.
pub fn peer(gateway: usize) -> PeerId {
    peer_id_of(&public(gateway)).expect("a key of ours is a host's")
}

impl Gateway {
    /// One that is down, with its cache in `dir`.
    pub fn new(number: usize, seed: u64, dir: PathBuf, outside: Outside) -> Self {
        Self { number, seed, lives: 0, dir, outside, clock: Arc::new(SkewedClock::new(0)), up: None }
    }

    /// What its users reach, if it is up.
    pub fn door(&self) -> Option<Door> {
        self.up.as_ref().map(|(_, door)| door.clone())
    }

    /// Whether it is up.
    pub fn is_up(&self) -> bool {
        self.up.is_some()
    }

    /// Begins a life.
    pub async fn rise(&mut self) -> anyhow::Result<()> {
        if self.up.is_some() {
            return Ok(());
        }
        self.lives += 1;
        let (number, outside, dir, clock) = (self.number, self.outside.clone(), self.dir.clone(), self.clock.clone());
        let dice = Dice::new(self.seed, &format!("upkeep {number} {}", self.lives));
        let builder = async move |node: Node| {
            let rng = node.rng.clone();
            start(&node.with_ports(clock, rng), number, dir, &outside, dice)
        };
        let name = format!("g{number}");
        let (runtime, (objects, gateways, opener)) = NodeRuntime::start(&name, CpuPool::new(&name, 1), builder).await?;
        let handle = runtime.handle();
        self.up = Some((runtime, Door { objects, gateways, opener, handle }));
        self.outside.witness.stands(public(number).0, true);
        self.outside.witness.note(&format!("g{number} is up"));
        Ok(())
    }

    /// Ends it at once, with or without its disk.
    pub fn kill(&mut self, with_disk: bool) -> anyhow::Result<()> {
        let Some((runtime, door)) = self.up.take() else { return Ok(()) };
        self.outside.hub.crash(peer(self.number));
        self.outside.witness.stands(public(self.number).0, false);
        runtime.kill();
        drop(door);
        self.outside.witness.note(&format!("g{} is killed", self.number));
        self.outside.witness.count(Sometimes::Killed);
        if with_disk {
            self.outside.witness.count(Sometimes::CacheLost);
            if self.dir.exists() {
                fs::remove_dir_all(&self.dir)?;
            }
        }
        Ok(())
    }

    /// Ends it in order. Returns the tasks that did not end by themselves.
    pub async fn stop(&mut self) -> Vec<String> {
        let Some((runtime, door)) = self.up.take() else { return Vec::new() };
        drop(door);
        self.outside.witness.note(&format!("g{} stops", self.number));
        let aborted = runtime.stop().await;
        self.outside.hub.crash(peer(self.number));
        self.outside.witness.stands(public(self.number).0, false);
        self.outside.witness.note(&format!("g{} has stopped", self.number));
        aborted
    }

    /// Freezes it.
    pub async fn pause(&self) -> bool {
        let Some((runtime, _)) = &self.up else { return false };
        runtime.pause().await.is_ok()
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some((runtime, _)) = &self.up {
            runtime.resume();
        }
    }

    /// Why it has failed, if it has.
    pub async fn failure(&self) -> Option<String> {
        let (runtime, _) = self.up.as_ref()?;
        tokio::time::timeout(Duration::ZERO, runtime.node().tasks.failure()).await.ok()
    }
}

type Parts = (Objects, Arc<Gateways>, Arc<Opener>);

/// Puts a life together, as `access/service` does.
fn start(node: &Node, number: usize, dir: PathBuf, outside: &Outside, dice: Dice) -> anyhow::Result<Parts> {
    let network: Arc<dyn Network> = outside.hub.join(peer(number));
    let client = JournalClient::new(node, network.clone(), Arc::new(Registered), SECRET);
    let packer = Packer::new(node, number, outside.depot.clone());
    let chain = outside.chain.door(number);
    let engines = EngineSettings { poll: POLL, ..EngineSettings::with_cache_bytes(BLOCK_CACHE_BYTES) };
    let parts = OpenerParts {
        gateway: number,
        chain: chain.clone(),
        journals: client.clone(),
        packer: packer.clone(),
        cache: FileCache::open(&dir, TABLE_CACHE_BYTES)?,
        engines,
        places: outside.places.clone(),
        sabotage: outside.sabotage,
        witness: outside.witness.clone(),
    };
    let opener = Arc::new(Opener::new(node, parts));
    let ports = GroupPorts {
        owners: Arc::new(chain),
        journals: Arc::new(journals(client)),
        peers: Arc::new(GatewayLink::new(network)),
        executor: opener.clone(),
    };
    let account: [u8; 20] = Address::repeat_byte(200 + u8::try_from(number)?).into();
    let gateways = Gateways::start(node, GatewayKey { account, peer: public(number).0 }, &SECRET, ports);
    let router = Routing {
        gateway: number,
        places: outside.places.clone(),
        gateways: gateways.clone(),
        depot: outside.depot.clone(),
    };
    let objects = Objects::new(node, Arc::new(router), Arc::new(packer.clone()), Arc::new(Keys));
    keep_up(node, &objects, &opener, &packer, outside, dice);
    close_at_the_end(node, gateways.clone());
    Ok((objects, gateways, opener))
}

/// Rounds of lifecycle and garbage, and packs that became files.
fn keep_up(node: &Node, objects: &Objects, opener: &Arc<Opener>, packer: &Packer, outside: &Outside, mut dice: Dice) {
    let (rounds, open, world) = (objects.clone(), opener.clone(), outside.clone());
    let stop = node.tasks.stopping(Phase::Produce);
    node.tasks.spawn(Phase::Produce, "bucket upkeep", Criticality::Critical, async move {
        while stop.run_until_cancelled(until(now() + dice.millis(ROUND_MS.0, ROUND_MS.1))).await.is_some() {
            for (place, _) in open.open() {
                // What fails is tried again in the next round.
                if let Some(Ok(done)) = stop.run_until_cancelled(rounds.maintain(&place)).await {
                    world.note_round(&place, &done);
                }
            }
        }
        Ok(())
    });
    let (objects, mut outcomes, places) = (objects.clone(), packer.outcomes(), outside.places.clone());
    let stop = node.tasks.stopping(Phase::Produce);
    node.tasks.spawn(Phase::Produce, "packs of buckets", Criticality::Critical, async move {
        while let Some(Ok(outcome)) = stop.run_until_cancelled(outcomes.recv()).await {
            let place = places.iter().find(|place| place.id.0 == outcome.scope.bucket);
            if let Some(place) = place {
                // What fails is found in a later round.
                let _ = stop.run_until_cancelled(objects.note_outcome(place, &outcome)).await;
            }
        }
        Ok(())
    });
}

impl Outside {
    /// What a round of upkeep did.
    pub fn note_round(&self, place: &Place, done: &Maintained) {
        if *done == Maintained::default() {
            return;
        }
        self.witness.note(&format!("`{}`: {done:?}", place.name));
        let raced = self.waiting.load(Ordering::SeqCst) > 0;
        let happened = [
            (done.collected > 0 && raced, Sometimes::CollectedInRace),
            (done.removed > 0 && raced, Sometimes::RemovedInRace),
            (done.moved > 0, Sometimes::PackRewritten),
            (done.expired > 0, Sometimes::Expired),
        ];
        happened.into_iter().filter(|(did, _)| *did).for_each(|(_, what)| self.witness.count(what));
    }
}

/// Buckets are let go in order, as the product does at its end.
fn close_at_the_end(node: &Node, gateways: Arc<Gateways>) {
    let stop = node.tasks.stopping(Phase::Drain);
    node.tasks.spawn(Phase::Produce, "buckets let go", Criticality::Optional, async move {
        stop.cancelled().await;
        gateways.close().await;
        Ok(())
    });
}
