//! One attempt to have an operation executed by whoever owns its bucket.
//!
//! Must not know how buckets are taken over. Invariant: a bucket is taken over only when its owner, or that there is none, was read from the
//! chain, and after [`SILENCE`] without a sign of life.

use super::{
    gateways::Gateways,
    lease::SILENCE,
    ownership::{BucketKey, Held},
    place::{Place, TakeFault},
    port::{GroupError, OpId},
    serving::{Ending, Refusal, Serving},
    takeover::ENDED,
    wire::{Answer, Question},
};
use crate::codec;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// How often an owner that is executing an operation is asked for a sign of life.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How long that sign is waited for.
const PROBE_DEADLINE: Duration = Duration::from_secs(1);

/// An operation on its way.
pub(super) struct Task {
    pub(super) bucket: BucketKey,
    pub(super) id: OpId,
    pub(super) op: Bytes,
    pub(super) end: Instant,
}

/// What came of an attempt.
pub(super) enum Step {
    /// It is over.
    Done(Result<Bytes, GroupError>),
    /// Another gateway owns the bucket now: try there.
    Moved,
    /// Nobody executes it at the moment.
    Later(String),
}

impl Gateways {
    pub(super) async fn attempt(&self, place: &Arc<Place>, task: &Task) -> Step {
        if place.is_ended() {
            return Step::Done(Err(GroupError::Failed { bucket: task.bucket, reason: ENDED.to_owned() }));
        }
        if let Some(serving) = place.serving() {
            return self.execute_here(place, &serving, task).await;
        }
        let held = match place.known() {
            Some(known) => Some(known),
            None => match self.look_up(place, task.bucket).await {
                Ok(found) => found,
                Err(error) => return Step::Done(Err(error)),
            },
        };
        match held {
            Some(held) if held.ownership.gateway != self.me => self.ask(place, &held, task).await,
            ours => self.take(place, task.bucket, ours).await,
        }
    }

    /// Who owns the bucket, from the chain.
    pub(super) async fn look_up(&self, place: &Place, bucket: BucketKey) -> Result<Option<Held>, GroupError> {
        match self.ports.owners.read(&bucket).await {
            Ok(Some(held)) => {
                place.learn(held.clone());
                Ok(Some(held))
            }
            Ok(None) => Ok(None),
            Err(fault) => Err(GroupError::Chain { bucket, reason: fault.to_string() }),
        }
    }

    async fn execute_here(&self, place: &Place, serving: &Arc<Serving>, task: &Task) -> Step {
        let bucket = task.bucket;
        match serving.execute(task.id, task.op.clone()).await {
            Ok(reply) => Step::Done(Ok(reply)),
            Err(Refusal::Failed(reason)) => Step::Done(Err(GroupError::Failed { bucket, reason })),
            Err(Refusal::Fenced) => {
                self.let_go(place, serving, Ending::Abandoned).await;
                Step::Moved
            }
            Err(Refusal::Broken(reason)) => {
                self.let_go(place, serving, Ending::Abandoned).await;
                Step::Later(reason)
            }
            Err(Refusal::Lapsed(reason)) => {
                // Without the journal's miners this gateway hears of a new owner from the chain only.
                if let Ok(Some(held)) = self.ports.owners.read(&bucket).await
                    && held.ownership.gateway != self.me
                {
                    self.let_go(place, serving, Ending::Abandoned).await;
                    place.learn(held);
                    return Step::Moved;
                }
                Step::Later(reason)
            }
        }
    }

    async fn ask(&self, place: &Arc<Place>, held: &Held, task: &Task) -> Step {
        let Task { bucket, id, .. } = *task;
        let left = task.end.saturating_duration_since(Instant::now());
        let millis = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
        let question = Question::Execute { bucket, id, millis, op: task.op.to_vec() };
        let answer = tokio::select! {
            answer = self.send(held, &question, left) => answer,
            since = self.falls_silent(bucket, held) => {
                return self.unheard(place, bucket, held, since, "it gives no sign of life").await;
            }
        };
        match answer {
            Ok(Answer::Busy { reason }) => self.unheard(place, bucket, held, Instant::now(), &reason).await,
            Ok(answer) => {
                place.heard();
                answered(place, held, bucket, answer)
            }
            Err(reason) => self.unheard(place, bucket, held, Instant::now(), &reason).await,
        }
    }

    async fn send(&self, to: &Held, question: &Question, deadline: Duration) -> Result<Answer, String> {
        let peer = to.ownership.gateway.peer;
        let sealed = self.key.seal(&peer, question);
        let answer = self.ports.peers.ask(peer, sealed, deadline).await.map_err(|fault| fault.to_string())?;
        codec::decode(&answer).map_err(|error| error.to_string())
    }

    /// Returns when the owner has given no sign of life for [`SILENCE`]: the time of the last one.
    async fn falls_silent(&self, bucket: BucketKey, held: &Held) -> Instant {
        let mut heard = Instant::now();
        loop {
            sleep(PROBE_EVERY).await;
            let asked = Instant::now();
            match self.send(held, &Question::Alive { bucket }, PROBE_DEADLINE).await {
                Ok(Answer::Alive) => heard = asked,
                _ if heard.elapsed() >= SILENCE => return heard,
                _ => {}
            }
        }
    }

    /// The owner did not answer, or not for the bucket: it is taken over if that has lasted.
    async fn unheard(&self, place: &Arc<Place>, bucket: BucketKey, held: &Held, at: Instant, why: &str) -> Step {
        let since = place.unheard(held.version, at);
        let reason = format!("its gateway {} does not serve it: {why}", held.ownership.gateway);
        match self.look_up(place, bucket).await {
            Ok(Some(now)) if now.version == held.version => {}
            Ok(Some(_)) => return Step::Moved,
            Ok(None) => {
                place.forget();
                return Step::Moved;
            }
            Err(error) if since.elapsed() >= SILENCE => return Step::Done(Err(error)),
            Err(_) => return Step::Later(reason),
        }
        if since.elapsed() < SILENCE {
            return Step::Later(reason);
        }
        self.take(place, bucket, Some(held.clone())).await
    }

    async fn take(&self, place: &Arc<Place>, bucket: BucketKey, seen: Option<Held>) -> Step {
        match self.take_over(place, bucket, seen).await {
            Ok(()) | Err(TakeFault::Moved) => Step::Moved,
            Err(TakeFault::Chain(reason)) => Step::Done(Err(GroupError::Chain { bucket, reason })),
            Err(TakeFault::Later(reason)) => Step::Later(reason),
            Err(TakeFault::Refused(reason)) => Step::Done(Err(GroupError::Failed { bucket, reason })),
        }
    }
}

fn answered(place: &Place, held: &Held, bucket: BucketKey, answer: Answer) -> Step {
    match answer {
        Answer::Done { reply } => Step::Done(Ok(reply.into())),
        Answer::Failed { reason } => Step::Done(Err(GroupError::Failed { bucket, reason })),
        Answer::Moved { to } => {
            match to.map(Held::from) {
                Some(newer) if newer.version > held.version => place.learn(newer),
                _ => place.forget(),
            }
            Step::Moved
        }
        Answer::Alive | Answer::Busy { .. } => Step::Later("its gateway answered another question".to_owned()),
    }
}
