//! Answers to other gateways that believe that this one owns a bucket.
//!
//! Invariant: a question is never passed on: who does not own the bucket says who does, and the asker goes there.

use super::{
    gateways::Gateways,
    ownership::{BucketKey, Held},
    place::{Place, TakeFault},
    port::{OpId, PeerHandler},
    serving::{Ending, Refusal},
    wire::{Answer, OP_MAX_BYTES, Question},
};
use crate::codec;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::timeout;

/// The side of a gateway that the others ask.
pub(super) struct Answering(pub(super) Weak<Gateways>);

#[async_trait]
impl PeerHandler for Answering {
    async fn answer(&self, question: Bytes) -> Result<Bytes, String> {
        let gateways = self.0.upgrade().ok_or_else(|| "this gateway stops".to_owned())?;
        let question = gateways.key.open(&gateways.me.peer, &question).map_err(|error| error.to_string())?;
        let answer = match question {
            Question::Alive { bucket } => match gateways.place(bucket).alive() {
                true => Answer::Alive,
                false => Answer::busy("it is not served here"),
            },
            Question::Execute { bucket, id, millis, op } => {
                let limit = Duration::from_millis(millis.into());
                timeout(limit, gateways.execute_for(bucket, id, op.into()))
                    .await
                    .unwrap_or_else(|_| Answer::busy("the operation takes too long"))
            }
        };
        Ok(codec::encode(&answer).into())
    }
}

impl Gateways {
    async fn execute_for(&self, bucket: BucketKey, id: OpId, op: Bytes) -> Answer {
        let place = self.place(bucket);
        if place.serving().is_none()
            && let Err(answer) = self.open_if_owned(&place, bucket).await
        {
            return answer;
        }
        let Some(serving) = place.serving() else { return Answer::busy("it is not served here any more") };
        match serving.execute(id, op).await {
            Ok(reply) if reply.len() > OP_MAX_BYTES => Answer::failed("the answer is too large"),
            Ok(reply) => Answer::Done { reply: reply.to_vec() },
            Err(Refusal::Failed(reason)) => Answer::failed(&reason),
            Err(Refusal::Lapsed(reason)) => Answer::busy(&reason),
            Err(Refusal::Broken(reason)) => {
                self.let_go(&place, &serving, Ending::Abandoned).await;
                Answer::busy(&reason)
            }
            Err(Refusal::Fenced) => {
                self.let_go(&place, &serving, Ending::Abandoned).await;
                Answer::busy("another gateway has just taken it over")
            }
        }
    }

    /// Opens a bucket that the chain says is this gateway's: it was started anew, or closed what nobody asked for.
    async fn open_if_owned(&self, place: &Arc<Place>, bucket: BucketKey) -> Result<(), Answer> {
        let held = match self.ports.owners.read(&bucket).await {
            Ok(held) => held,
            Err(fault) => return Err(Answer::busy(&format!("its gateway cannot ask the chain: {fault}"))),
        };
        match held {
            Some(held) if held.ownership.gateway == self.me => {
                self.take_over(place, bucket, Some(held)).await.map_err(|fault| match fault {
                    TakeFault::Moved => Answer::busy("another gateway has just taken it over"),
                    TakeFault::Chain(reason) | TakeFault::Later(reason) => Answer::busy(&reason),
                    TakeFault::Refused(reason) => Answer::failed(&reason),
                })
            }
            other => Err(Answer::Moved { to: other.map(|held: Held| held.into()) }),
        }
    }
}
