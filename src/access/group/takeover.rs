//! Taking a bucket over: the chain first, then the journal, then the wait for the lease of the owner before.
//!
//! Invariants: a bucket is opened here only after the chain names this gateway, two miners of its journal refuse every older epoch, and the
//! longest lease that anybody can have been given before that is over; a take-over runs to its end whoever waits for it.

use super::{
    gateways::Gateways,
    lease::{LEASE, LEASE_MARGIN},
    ownership::{BucketKey, Held, Ownership},
    place::{Place, TakeFault},
    port::{Grant, Holding, JournalFault, SessionFault, SwapFault, settle},
    serving::{Ending, Serving},
};
use crate::runtime::{Criticality, Phase};
use std::{
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long a take-over may last.
const TAKE_OVER_MAX: Duration = Duration::from_secs(60);
/// How long sealing is tried.
const SEAL_MAX: Duration = Duration::from_secs(10);
/// Pause between two attempts at it.
const SEAL_PAUSE: Duration = Duration::from_millis(250);
/// Why a bucket is not opened any more.
pub(super) const ENDED: &str = "the bucket was deleted";

impl Gateways {
    /// Takes the bucket over from the owner that was seen, or waits until the take-over that is under way has ended.
    pub(super) async fn take_over(
        &self,
        place: &Arc<Place>,
        bucket: BucketKey,
        seen: Option<Held>,
    ) -> Result<(), TakeFault> {
        let mut end = place.take(|told| {
            let (gateways, at) = (self.weak(), place.clone());
            self.tasks.spawn(Phase::Produce, "take-over of a bucket", Criticality::Optional, async move {
                let outcome = match Weak::upgrade(&gateways) {
                    Some(gateways) => gateways.run_take_over(&at, bucket, seen).await,
                    None => Err(TakeFault::Later("this gateway stops".to_owned())),
                };
                at.taken();
                told.send_replace(Some(outcome));
                Ok(())
            });
        });
        let ended = end.wait_for(Option::is_some).await.map(|outcome| outcome.clone());
        match ended {
            Ok(outcome) => outcome.unwrap_or(Err(TakeFault::Moved)),
            Err(_) => {
                // The task is gone without a word: it panicked, or this node stops.
                place.taken();
                Err(TakeFault::Later("this gateway stops".to_owned()))
            }
        }
    }

    async fn run_take_over(&self, place: &Place, bucket: BucketKey, seen: Option<Held>) -> Result<(), TakeFault> {
        if place.serving().is_some() {
            return Ok(());
        }
        let outcome = timeout(TAKE_OVER_MAX, self.own_and_open(place, bucket, seen)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(TakeFault::Later("its take-over takes too long".to_owned())));
        match &outcome {
            Ok(()) => tracing::info!(%bucket, "a bucket is served here"),
            Err(fault) => tracing::debug!(%bucket, ?fault, "a bucket was not taken over"),
        }
        outcome
    }

    async fn own_and_open(&self, place: &Place, bucket: BucketKey, seen: Option<Held>) -> Result<(), TakeFault> {
        let former = self.ports.owners.read(&bucket).await.map_err(|fault| TakeFault::Chain(fault.to_string()))?;
        if version(former.as_ref()) != version(seen.as_ref()) {
            match former {
                Some(newer) => place.learn(newer),
                None => place.forget(),
            }
            return Err(TakeFault::Moved);
        }
        let begins = former.clone().filter(|held| held.ownership.gateway == self.me && place.begins(held));
        let held = match begins {
            Some(first) => first,
            None => {
                self.ports.executor.knows(&bucket).await.map_err(unknown)?;
                self.own(place, bucket, former.as_ref()).await?
            }
        };
        let Ownership { epoch, .. } = held.ownership;
        let members = held.ownership.members();
        let sealed = self.seal(bucket, &held).await?;
        self.wait_out(place, former.as_ref(), sealed).await;
        place.settle(epoch);
        let holding = Arc::new(Holding::new(self.ports.owners.clone(), bucket, held));
        let session = self.ports.executor.open(Grant { bucket, epoch, members, holding }).await.map_err(not_opened)?;
        let serving = Arc::new(Serving::new(bucket, session));
        if let Err(refusal) = serving.keep().await {
            serving.close(Ending::Abandoned).await;
            place.forget();
            tracing::debug!(%bucket, ?refusal, "an open bucket was closed at once");
            return Err(TakeFault::Moved);
        }
        if !place.serve(serving.clone()) {
            serving.close(Ending::Abandoned).await;
            return Err(TakeFault::Refused(ENDED.to_owned()));
        }
        place.heard();
        Ok(())
    }

    /// Has the chain name this gateway.
    async fn own(&self, place: &Place, bucket: BucketKey, former: Option<&Held>) -> Result<Held, TakeFault> {
        let (epoch, members) = match former {
            None => (1, self.ports.journals.create(&bucket, 1).await.map_err(|fault| no_journal(&fault))?),
            Some(Held { ownership, .. }) => {
                let members = ownership.members();
                self.ports
                    .journals
                    .reachable(&bucket, &members, ownership.epoch)
                    .await
                    .map_err(|fault| no_journal(&fault))?;
                let next = ownership.epoch.checked_add(1);
                (next.ok_or_else(|| TakeFault::Refused("it was taken over too often".to_owned()))?, members)
            }
        };
        let new = Ownership::new(self.me, epoch, &members);
        let held = settle(&*self.ports.owners, &bucket, version(former), new).await.map_err(|fault| match fault {
            SwapFault::Conflict => {
                place.forget();
                TakeFault::Moved
            }
            SwapFault::Unknown(reason) => TakeFault::Chain(reason),
            SwapFault::Refused(reason) => TakeFault::Refused(reason),
        })?;
        place.learn(held.clone());
        Ok(held)
    }

    /// Has the journal refuse older epochs, and gives a moment from which on it does.
    async fn seal(&self, bucket: BucketKey, held: &Held) -> Result<Instant, TakeFault> {
        let (members, epoch, end) = (held.ownership.members(), held.ownership.epoch, Instant::now() + SEAL_MAX);
        loop {
            match self.ports.journals.seal(&bucket, &members, epoch).await {
                Ok(()) => return Ok(Instant::now()),
                Err(fault @ JournalFault::Unreachable(_)) if Instant::now() >= end => return Err(no_journal(&fault)),
                Err(JournalFault::Unreachable(_)) => sleep(SEAL_PAUSE).await,
                Err(fault) => return Err(no_journal(&fault)),
            }
        }
    }

    /// Waits until nobody's lease can last any more. Nothing to wait for where nobody had one but this gateway, which has let go.
    async fn wait_out(&self, place: &Place, former: Option<&Held>, sealed: Instant) {
        let Some(Held { ownership, .. }) = former else { return };
        if ownership.gateway != self.me || !place.is_settled(ownership.epoch) {
            sleep_until(sealed + LEASE + LEASE_MARGIN).await;
        }
    }
}

fn version(held: Option<&Held>) -> u64 {
    held.map_or(0, |held| held.version)
}

fn no_journal(fault: &JournalFault) -> TakeFault {
    match fault {
        JournalFault::Fenced => TakeFault::Moved,
        JournalFault::Unreachable(_) | JournalFault::Lost(_) => TakeFault::Later(fault.to_string()),
    }
}

/// What was said of a bucket that is to be taken over.
fn unknown(fault: SessionFault) -> TakeFault {
    match fault {
        SessionFault::Failed(reason) => TakeFault::Refused(reason),
        fault => not_opened(fault),
    }
}

fn not_opened(fault: SessionFault) -> TakeFault {
    match fault {
        SessionFault::Fenced => TakeFault::Moved,
        SessionFault::Unavailable(reason) | SessionFault::Broken(reason) | SessionFault::Failed(reason) => {
            TakeFault::Later(reason)
        }
    }
}
