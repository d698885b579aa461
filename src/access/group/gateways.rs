//! A gateway among those of its group: every operation on a bucket goes through here.
//!
//! Owns the buckets this gateway knows and the task that renews leases. Must not know what operations mean. Invariants: an operation
//! ends by its deadline; the number of known buckets is bounded, those that are open are never forgotten.

use super::{
    answer::Answering,
    forward::{Step, Task},
    lease::HEARTBEAT,
    ownership::{BucketKey, GatewayKey},
    place::Place,
    port::{Executor, GroupError, Journals, Owners, Peers},
    serving::{Ending, Refusal, Serving},
    wire::{GroupKey, OP_MAX_BYTES},
};
use crate::runtime::{Criticality, Node, NodeRng, Phase, Tasks};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

/// Buckets known at a time.
const PLACES_MAX: usize = 65_536;
/// Owners an operation is brought to before it is given up.
const REDIRECTS_MAX: u32 = 8;
/// Pause before an operation that found nobody is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// A bucket that was not asked for so long is closed here.
const IDLE_CLOSE: Duration = Duration::from_secs(600);
/// Leases renewed at a time.
const PARALLEL_TOUCHES: usize = 256;

/// What a gateway of a group stands on.
#[derive(Clone)]
pub struct GroupPorts {
    /// Records of owners.
    pub owners: Arc<dyn Owners>,
    /// Journals.
    pub journals: Arc<dyn Journals>,
    /// Other gateways.
    pub peers: Arc<dyn Peers>,
    /// Who opens buckets here.
    pub executor: Arc<dyn Executor>,
}

/// A gateway of a group.
pub struct Gateways {
    pub(super) me: GatewayKey,
    pub(super) key: GroupKey,
    pub(super) ports: GroupPorts,
    pub(super) tasks: Tasks,
    rng: NodeRng,
    this: Weak<Self>,
    places: Mutex<BTreeMap<BucketKey, Arc<Place>>>,
}

impl Gateways {
    /// Joins the group of this secret: answers the others and renews leases from now on.
    pub fn start(node: &Node, me: GatewayKey, secret: &[u8; 32], ports: GroupPorts) -> Arc<Self> {
        let (tasks, rng) = (node.tasks.clone(), node.rng.clone());
        let (key, places) = (GroupKey::of(secret), Mutex::default());
        let gateways = Arc::new_cyclic(|this| Self { me, key, ports, tasks, rng, this: this.clone(), places });
        gateways.ports.peers.serve(Arc::new(Answering(Arc::downgrade(&gateways))));
        let keeper = gateways.clone();
        node.tasks.spawn(Phase::Produce, "bucket leases", Criticality::Critical, async move {
            keeper.keep_leases().await;
            Ok(())
        });
        gateways
    }

    /// Has the bucket's owner execute an operation: this gateway, another one, or this one after it took the bucket over.
    /// Executed once as long as the owner lives; when it dies with the answer, the next owner is given the operation again, under the same id.
    pub async fn execute(&self, bucket: BucketKey, op: Bytes, deadline: Duration) -> Result<Bytes, GroupError> {
        if op.len() > OP_MAX_BYTES {
            return Err(GroupError::TooLarge { bucket, len: op.len(), max: OP_MAX_BYTES });
        }
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        let (task, place) = (Task { bucket, id, op, end: Instant::now() + deadline }, self.place(bucket));
        let (mut moves, mut reason) = (0, "nobody has answered yet".to_owned());
        let unavailable = |reason| Err(GroupError::Unavailable { bucket, reason });
        while let Ok(step) = timeout_at(task.end, self.attempt(&place, &task)).await {
            match step {
                Step::Done(outcome) => return outcome,
                Step::Moved if moves == REDIRECTS_MAX => {
                    return unavailable(format!("its owner changed {REDIRECTS_MAX} times"));
                }
                Step::Moved => moves += 1,
                Step::Later(why) => {
                    reason = why;
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
        unavailable(format!("{reason} ({} ms)", deadline.as_millis()))
    }

    /// Closes every bucket that is open here, in order. For the drain of a gateway, while journals are still written: whoever is asked for
    /// the buckets next has less to replay. Nothing acknowledged depends on it.
    pub async fn close(&self) {
        self.end_all(Ending::InOrder).await;
    }

    /// Buckets that are open here and have a lease.
    pub fn served(&self) -> Vec<BucketKey> {
        let holds = |place: &Place| place.serving().is_some_and(|serving| serving.holds());
        self.all_places().into_iter().filter(|(_, place)| holds(place)).map(|(bucket, _)| bucket).collect()
    }

    pub(super) fn place(&self, bucket: BucketKey) -> Arc<Place> {
        let mut places = self.places.lock();
        if places.len() >= PLACES_MAX && !places.contains_key(&bucket) {
            places.retain(|_, place| !place.is_idle());
        }
        places.entry(bucket).or_default().clone()
    }

    pub(super) fn weak(&self) -> Weak<Self> {
        self.this.clone()
    }

    /// Closes a bucket, once.
    pub(super) async fn let_go(&self, place: &Place, serving: &Arc<Serving>, ending: Ending) {
        if place.take_out(serving) {
            serving.close(ending).await;
        }
    }

    async fn keep_leases(&self) {
        let stopping = self.tasks.stopping(Phase::Produce);
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stopping.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let open =
                self.all_places().into_iter().filter_map(|(bucket, place)| Some((bucket, place.serving()?, place)));
            stream::iter(open)
                .for_each_concurrent(PARALLEL_TOUCHES, |(bucket, serving, place)| async move {
                    self.keep(bucket, &place, &serving).await;
                })
                .await;
        }
        // Journals end in the same phase: what was not closed before is let go.
        self.end_all(Ending::Abandoned).await;
    }

    async fn end_all(&self, ending: Ending) {
        let open = self.all_places().into_iter().filter_map(|(_, place)| Some((place.serving()?, place)));
        stream::iter(open)
            .for_each_concurrent(PARALLEL_TOUCHES, |(serving, place)| async move {
                self.let_go(&place, &serving, ending).await;
            })
            .await;
    }

    async fn keep(&self, bucket: BucketKey, place: &Place, serving: &Arc<Serving>) {
        if serving.idle() >= IDLE_CLOSE {
            tracing::debug!(%bucket, "a bucket nobody asks for is closed");
            self.let_go(place, serving, Ending::InOrder).await;
        } else if let Err(refusal) = serving.keep().await {
            match refusal {
                Refusal::Fenced => tracing::info!(%bucket, "another gateway has taken a bucket over"),
                other => tracing::warn!(%bucket, ?other, "a bucket is closed, to be opened again"),
            }
            self.let_go(place, serving, Ending::Abandoned).await;
        }
    }

    fn all_places(&self) -> Vec<(BucketKey, Arc<Place>)> {
        self.places.lock().iter().map(|(bucket, place)| (*bucket, place.clone())).collect()
    }
}
