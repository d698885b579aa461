//! Serves the states of a few recent blocks.
//!
//! Owns which states are pinned. Must not know how they are proven. Invariants: a pinned state is complete and never changes;
//! pins, questions at a time and answers are bounded; a state that is being downloaded stays a while longer.

use super::wire::{Answer, OFFER_MAX_SNAPSHOTS, Question, STATE_PROTOCOL};
use crate::{
    chain::{BlockFinalised, block_store::BlockStore, error::StoreError, full::FullChain},
    codec,
    kv::{Column, Kv},
    ledger::{
        commitment::StateTrie,
        snapshot::{PART_MAX_BYTES, PartBody, PartId, PartLimits},
    },
    network::{Network, PeerId, RequestHandler},
    runtime::{BusError, Counter, Criticality, Node, Phase, Worker},
    types::{Height, Params},
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::Semaphore, time::Instant};

/// Most blocks between two snapshots: the era's length where that is less.
const SNAPSHOT_MAX_INTERVAL_BLOCKS: u64 = 1_024;
/// Snapshots that are always kept.
const SNAPSHOTS_KEPT: usize = 3;
/// A snapshot that was asked for within this time is kept as well.
const SNAPSHOT_LEASE: Duration = Duration::from_secs(60);
/// Most snapshots, leased ones included.
const SNAPSHOTS_MAX: usize = 8;
/// Questions answered at a time.
const QUESTIONS_MAX: usize = 32;
const _: () = assert!(SNAPSHOTS_KEPT <= SNAPSHOTS_MAX && SNAPSHOTS_MAX <= OFFER_MAX_SNAPSHOTS);

struct Pin {
    state: StateTrie,
    asked: Option<Instant>,
}

/// The pinned states.
#[derive(Default)]
struct Pins {
    by_height: BTreeMap<Height, Pin>,
}

impl Pins {
    fn add(&mut self, height: Height, state: StateTrie, now: Instant) {
        self.by_height.insert(height, Pin { state, asked: None });
        let leased = |pin: &Pin| pin.asked.is_some_and(|asked| now.duration_since(asked) < SNAPSHOT_LEASE);
        while self.by_height.len() > SNAPSHOTS_KEPT {
            let old = self.by_height.len() - SNAPSHOTS_KEPT;
            let full = self.by_height.len() > SNAPSHOTS_MAX;
            let dropped = self.by_height.iter().take(old).find(|(_, pin)| full || !leased(pin));
            let Some(height) = dropped.map(|(height, _)| *height) else { return };
            self.by_height.remove(&height);
        }
    }

    fn get(&mut self, height: Height, now: Instant) -> Option<StateTrie> {
        let pin = self.by_height.get_mut(&height)?;
        pin.asked = Some(now);
        Some(pin.state.clone())
    }
}

/// Answers the questions of others.
pub(in crate::chain) struct StateServer {
    node: Node,
    kv: Arc<dyn Kv>,
    blocks: BlockStore,
    chain: OnceLock<Arc<FullChain>>,
    pins: Mutex<Pins>,
    limits: PartLimits,
    permits: Semaphore,
}

impl StateServer {
    /// Serves from now on: only how far the node is, until the chain is there.
    pub fn start(node: &Node, net: &dyn Network, kv: Arc<dyn Kv>) -> Arc<Self> {
        let server = Self::new(node, kv, PartLimits::default());
        net.serve(STATE_PROTOCOL, Arc::new(Handler(server.clone())));
        server
    }

    /// A server that nobody reaches yet.
    pub(super) fn new(node: &Node, kv: Arc<dyn Kv>, limits: PartLimits) -> Arc<Self> {
        Arc::new(Self {
            node: node.clone(),
            blocks: BlockStore::new(kv.clone()),
            kv,
            chain: OnceLock::new(),
            pins: Mutex::default(),
            limits,
            permits: Semaphore::new(QUESTIONS_MAX),
        })
    }

    /// Pins states of `chain` from now on, beginning with the newest: a node that has just started can help as well. `worker` shows
    /// as long what became of this node's own state sync.
    pub fn attach(self: &Arc<Self>, chain: Arc<FullChain>, worker: Worker) {
        let interval = interval(&chain.spec().params);
        let mut blocks = self.node.bus.subscribe::<BlockFinalised>();
        self.pin(&chain, chain.head().height());
        let (server, stop) = (self.clone(), self.node.tasks.stopping(Phase::Produce));
        if self.chain.set(chain.clone()).is_err() {
            return;
        }
        self.node.tasks.spawn(Phase::Produce, "state snapshots", Criticality::Optional, async move {
            let pin = async {
                loop {
                    match blocks.recv().await {
                        Ok(block) if block.height.is_multiple_of(interval) => server.pin(&chain, block.height),
                        // What was missed is old: newer states follow.
                        Ok(_) | Err(BusError::Lagged(_)) => {}
                        Err(BusError::Closed) => return,
                    }
                }
            };
            stop.run_until_cancelled(pin).await;
            drop(worker);
            Ok(())
        });
    }

    fn pin(&self, chain: &FullChain, height: Height) {
        // A node that catches up may be far beyond it already.
        if let Some(state) = chain.recent_state(height).filter(|_| height > 0) {
            self.pins.lock().add(height, state, Instant::now());
        }
    }

    /// The answer to a question.
    pub(super) fn answer(&self, question: Question) -> Result<Answer, StoreError> {
        match question {
            Question::Offer => {
                let tip = match self.chain.get() {
                    Some(chain) => chain.head().height(),
                    None => self.blocks.executed_height()?.unwrap_or_default(),
                };
                // A block is proven by the one after it.
                let snapshots = self.pins.lock().by_height.keys().copied().filter(|height| *height < tip).collect();
                Ok(Answer::Offer { tip, snapshots })
            }
            Question::Parts { height, parts } => {
                let Some(state) = self.pins.lock().get(height, Instant::now()) else { return Ok(Answer::Gone) };
                self.parts(&state, &parts)
            }
        }
    }

    fn parts(&self, state: &StateTrie, parts: &[PartId]) -> Result<Answer, StoreError> {
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        for id in parts {
            let body = match id {
                PartId::Code(hash) => self.kv.get(Column::Code, hash)?.map(PartBody::Code),
                _ => state.part(id, &self.limits),
            };
            let Some(body) = body else { break };
            bytes += body.bytes();
            bodies.push(body);
            if bytes >= PART_MAX_BYTES {
                break;
            }
        }
        self.node.metrics.add(Counter::StatePartsServed, u64::try_from(bodies.len()).unwrap_or(u64::MAX));
        Ok(Answer::Parts(bodies))
    }
}

/// Blocks between two snapshots.
fn interval(params: &Params) -> u64 {
    params.era_blocks.clamp(1, SNAPSHOT_MAX_INTERVAL_BLOCKS)
}

struct Handler(Arc<StateServer>);

#[async_trait]
impl RequestHandler for Handler {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        let question: Question = codec::decode(&body).map_err(|e| e.to_string())?;
        let _permit =
            self.0.permits.try_acquire().map_err(|_| format!("{QUESTIONS_MAX} questions are being answered"))?;
        let server = self.0.clone();
        let answer = self.0.node.pool.run(move || server.answer(question)).await;
        answer.map(|answer| codec::encode(&answer).into()).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_snapshots_are_kept_and_those_in_use() {
        let mut pins = Pins::default();
        let start = Instant::now();
        for height in 1..=4 {
            pins.add(height * 60, StateTrie::default(), start);
        }
        assert_eq!(pins.by_height.keys().copied().collect::<Vec<_>>(), [120, 180, 240]);
        assert!(pins.get(60, start).is_none() && pins.get(120, start).is_some());
        for height in 5..=6 {
            pins.add(height * 60, StateTrie::default(), start);
        }
        assert_eq!(pins.by_height.keys().copied().collect::<Vec<_>>(), [120, 240, 300, 360]);
        pins.add(420, StateTrie::default(), start + SNAPSHOT_LEASE);
        assert_eq!(pins.by_height.keys().copied().collect::<Vec<_>>(), [300, 360, 420]);
        for height in 8..40 {
            pins.get(height * 60 - 60, start);
            pins.add(height * 60, StateTrie::default(), start);
        }
        assert_eq!(pins.by_height.len(), SNAPSHOTS_MAX, "leases are bounded");
    }
}
