//! A bucket that is open here, with its lease.
//!
//! Must not know how it was opened. Invariant: nothing is answered unless the lease holds when the answer leaves.

use super::{
    lease::{HEARTBEAT, Lease},
    ownership::BucketKey,
    port::{OpId, Session, SessionFault},
    recent::Recent,
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long one confirmation is waited for.
const TOUCH_DEADLINE: Duration = HEARTBEAT;

/// Why an open bucket did not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No lease at the moment. The operation may have been executed.
    Lapsed(String),
    /// Another gateway is the owner.
    Fenced,
    /// It has to be opened again.
    Broken(String),
    /// It was not executed.
    Failed(String),
}

/// How an open bucket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is not needed here any more.
    InOrder,
    /// It is another gateway's, or broken.
    Abandoned,
}

/// An open bucket.
pub(super) struct Serving {
    bucket: BucketKey,
    session: Arc<dyn Session>,
    lease: Lease,
    recent: Mutex<Recent>,
    used: Mutex<Instant>,
}

impl Serving {
    pub(super) fn new(bucket: BucketKey, session: Arc<dyn Session>) -> Self {
        let (lease, recent, used) = (Lease::new(), Mutex::default(), Mutex::new(Instant::now()));
        Self { bucket, session, lease, recent, used }
    }

    /// Executes an operation once, however often it is asked for.
    pub(super) async fn execute(&self, id: OpId, op: Bytes) -> Result<Bytes, Refusal> {
        if !self.session.is_upkeep(&op) {
            *self.used.lock() = Instant::now();
        }
        self.require_lease()?;
        let cell = self.recent.lock().cell(id);
        let execute = async || {
            let reply = self.session.execute(id, op).await?;
            self.recent.lock().answered(id, reply.len());
            Ok(reply)
        };
        let reply = cell.get_or_try_init(execute).await;
        let reply = reply.cloned().map_err(|fault| match fault {
            SessionFault::Fenced => Refusal::Fenced,
            SessionFault::Unavailable(reason) => Refusal::Lapsed(reason),
            SessionFault::Broken(reason) => Refusal::Broken(reason),
            SessionFault::Failed(reason) => Refusal::Failed(reason),
        })?;
        self.require_lease()?;
        Ok(reply)
    }

    /// Whether it may answer now.
    pub(super) fn holds(&self) -> bool {
        self.lease.holds()
    }

    /// Renews the lease. The error is final.
    pub(super) async fn keep(&self) -> Result<(), Refusal> {
        let asked = Instant::now();
        match timeout(TOUCH_DEADLINE, self.session.touch()).await {
            Ok(Ok(())) => self.lease.renew(asked),
            Ok(Err(SessionFault::Fenced)) => {
                self.lease.end();
                return Err(Refusal::Fenced);
            }
            Ok(Err(SessionFault::Broken(reason))) => {
                self.lease.end();
                return Err(Refusal::Broken(reason));
            }
            Ok(Err(fault)) => tracing::debug!(bucket = %self.bucket, %fault, "a lease was not renewed"),
            Err(_) => tracing::debug!(bucket = %self.bucket, "a lease was not renewed in time"),
        }
        Ok(())
    }

    /// Answers no more, and lets go: in order, or at once.
    pub(super) async fn close(&self, ending: Ending) {
        self.lease.end();
        match ending {
            Ending::InOrder => self.session.close().await,
            Ending::Abandoned => self.session.abandon().await,
        }
    }

    /// How long nothing was asked of it.
    pub(super) fn idle(&self) -> Duration {
        self.used.lock().elapsed()
    }

    fn require_lease(&self) -> Result<(), Refusal> {
        if self.lease.holds() {
            return Ok(());
        }
        Err(Refusal::Lapsed("its gateway does not reach two miners of the journal".to_owned()))
    }
}
