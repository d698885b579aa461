//! The beginning and the end of a bucket, as far as ownership is concerned.
//!
//! A bucket begins with the journal; its first owner is named in the transaction that makes it, and opens it under that epoch without another
//! change. It ends when nobody can answer for it any more. Must not know how a bucket is named or what it holds. Invariants: an ownership
//! that was prepared is used once, by the gateway that prepared it, in the life in which it did; a bucket that ended here is not opened again.

use super::{
    gateways::Gateways,
    lease::{LEASE, LEASE_MARGIN},
    ownership::{BucketKey, Held, Ownership},
    port::{GroupError, JournalFault, SwapFault, settle},
    serving::Ending,
};
use tokio::time::sleep;

/// Epoch of a bucket's first owner.
const FIRST_EPOCH: u32 = 1;

impl Gateways {
    /// Makes the journal of a bucket that is about to be made, and gives what its owner's name is to hold.
    pub async fn prepare(&self, bucket: &BucketKey) -> Result<Ownership, GroupError> {
        let made = self.ports.journals.create(bucket, FIRST_EPOCH).await;
        let members = made.map_err(|fault| unavailable(*bucket, &fault))?;
        Ok(Ownership::new(self.me, FIRST_EPOCH, &members))
    }

    /// The chain has the ownership that was prepared: the bucket is opened here when it is asked for.
    pub fn begin(&self, bucket: BucketKey, held: Held) {
        self.place(bucket).begin(held);
    }

    /// The bucket is not made after all.
    pub async fn give_up(&self, bucket: &BucketKey, prepared: &Ownership) {
        let removed = self.ports.journals.remove(bucket, &prepared.members(), prepared.epoch).await;
        if let Err(fault) = removed {
            tracing::debug!(%bucket, %fault, "the journal of a bucket that was not made stays");
        }
    }

    /// Ends a bucket: when this returns, neither this gateway nor another one answers for it or writes its journal. Gives its last
    /// ownership, none if there is none. Doing it again does no harm.
    pub async fn retire(&self, bucket: BucketKey) -> Result<Option<Held>, GroupError> {
        let place = self.place(bucket);
        if let Some(serving) = place.end() {
            serving.close(Ending::Abandoned).await;
        }
        let found = self.ports.owners.read(&bucket).await;
        let found = found.map_err(|fault| GroupError::Chain { bucket, reason: fault.to_string() })?;
        let Some(former) = found else { return Ok(None) };
        let Ownership { gateway, epoch, .. } = former.ownership;
        if gateway == self.me && place.is_settled(epoch) {
            return Ok(Some(former));
        }
        let members = former.ownership.members();
        let next = Ownership::new(self.me, epoch.saturating_add(1), &members);
        let held = settle(&*self.ports.owners, &bucket, former.version, next.clone()).await;
        let held = held.map_err(|fault| match fault {
            SwapFault::Refused(reason) => GroupError::Failed { bucket, reason },
            fault => GroupError::Unavailable { bucket, reason: fault.to_string() },
        })?;
        match self.ports.journals.seal(&bucket, &members, next.epoch).await {
            // Of a journal that is gone nobody has a lease confirmed.
            Ok(()) | Err(JournalFault::Lost(_)) => {}
            Err(fault) => return Err(unavailable(bucket, &fault)),
        }
        sleep(LEASE + LEASE_MARGIN).await;
        place.settle(next.epoch);
        Ok(Some(held))
    }
}

fn unavailable(bucket: BucketKey, fault: &JournalFault) -> GroupError {
    GroupError::Unavailable { bucket, reason: fault.to_string() }
}
