//! What the group needs of the rest: the chain's names, journals, other gateways, and who executes operations.
//!
//! Owns the ports and their errors. Must not know what stands behind them.

use super::ownership::{BucketKey, Held, Members, Ownership};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;

/// Identity of an operation: random, the same in every repetition.
pub type OpId = [u8; 16];

/// Why an operation was not executed, or its outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// The chain cannot say who owns the bucket.
    #[error("who serves bucket {bucket} cannot be looked up: {reason}")]
    Chain { bucket: BucketKey, reason: String },
    /// Nobody could serve it in time. The operation may have been executed all the same.
    #[error("bucket {bucket} is not served at the moment: {reason}")]
    Unavailable { bucket: BucketKey, reason: String },
    /// Its gateway could not execute the operation.
    #[error("the gateway of bucket {bucket} failed: {reason}")]
    Failed { bucket: BucketKey, reason: String },
    /// Larger than what travels between gateways.
    #[error("an operation on bucket {bucket} is {len} B, the limit is {max} B")]
    TooLarge { bucket: BucketKey, len: usize, max: usize },
}

/// The chain did not say what stands under a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OwnersFault(pub String);

/// Why an ownership was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapFault {
    /// Somebody else changed it first.
    #[error("the bucket's owner has changed meanwhile")]
    Conflict,
    /// The change may have happened or still happen.
    #[error("whether the bucket's owner has changed is not known: {0}")]
    Unknown(String),
    /// The chain refused.
    #[error("the chain refused the new owner: {0}")]
    Refused(String),
}

/// Records of owners on the chain.
#[async_trait]
pub trait Owners: Send + Sync + 'static {
    /// Who owns a bucket.
    async fn read(&self, bucket: &BucketKey) -> Result<Option<Held>, OwnersFault>;

    /// Sets the owner if the version is `expected` (0: if there is none), and gives the new version once it is final.
    async fn swap(&self, bucket: &BucketKey, expected: u64, new: &Ownership) -> Result<u64, SwapFault>;
}

/// Why the miners of a journal did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalFault {
    /// They know a newer epoch.
    #[error("the journal belongs to a newer owner")]
    Fenced,
    /// Two of the three do not have it.
    #[error("the journal is gone: {0}")]
    Lost(String),
    /// Two of the three did not answer.
    #[error("the journal cannot be reached: {0}")]
    Unreachable(String),
}

/// Journals of buckets, as far as ownership is concerned.
#[async_trait]
pub trait Journals: Send + Sync + 'static {
    /// Chooses miners for a bucket's journal and makes it there, in `epoch`.
    async fn create(&self, bucket: &BucketKey, epoch: u32) -> Result<Members, JournalFault>;

    /// Whether two of the three answer; asked before a take-over, which would be in vain otherwise.
    /// `epoch` is that of the owner before.
    async fn reachable(&self, bucket: &BucketKey, members: &Members, epoch: u32) -> Result<(), JournalFault>;

    /// From when it returns on, at least two of the three refuse to confirm or append anything of an older epoch, power loss included.
    async fn seal(&self, bucket: &BucketKey, members: &Members, epoch: u32) -> Result<(), JournalFault>;

    /// Has the miners forget a journal that belongs to `epoch`. One that is gone is no error.
    async fn remove(&self, bucket: &BucketKey, members: &Members, epoch: u32) -> Result<(), JournalFault>;
}

/// Why a gateway did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("gateway cannot be reached: {0}")]
pub struct PeerFault(pub String);

/// Other gateways.
#[async_trait]
pub trait Peers: Send + Sync + 'static {
    /// Asks the gateway whose network key is `peer`.
    async fn ask(&self, peer: [u8; 32], question: Bytes, deadline: Duration) -> Result<Bytes, PeerFault>;

    /// Answers what others ask from now on.
    fn serve(&self, handler: Arc<dyn PeerHandler>);
}

/// Answers other gateways.
#[async_trait]
pub trait PeerHandler: Send + Sync + 'static {
    /// One answer, or why there is none.
    async fn answer(&self, question: Bytes) -> Result<Bytes, String>;
}

/// Why an open bucket did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionFault {
    /// Another gateway owns the bucket.
    #[error("the bucket belongs to a newer owner")]
    Fenced,
    /// Trying again later may help.
    #[error("{0}")]
    Unavailable(String),
    /// It will serve nothing any more: it is to be closed and opened again.
    #[error("it has to be opened again: {0}")]
    Broken(String),
    /// It will not help.
    #[error("{0}")]
    Failed(String),
}

/// Opens buckets this gateway owns.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Fails if there is no such bucket; asked before anything is changed for it.
    async fn knows(&self, _bucket: &BucketKey) -> Result<(), SessionFault> {
        Ok(())
    }

    /// Opens a bucket with everything that was acknowledged in it. The journal is sealed with the grant's epoch already.
    async fn open(&self, grant: Grant) -> Result<Arc<dyn Session>, SessionFault>;
}

/// A bucket that is open here.
#[async_trait]
pub trait Session: Send + Sync + 'static {
    /// Executes one operation; durable when it returns. `id` is the same when an operation is repeated, at this gateway or the next
    /// owner: whoever keeps it with the effects can tell a repetition.
    async fn execute(&self, id: OpId, op: Bytes) -> Result<Bytes, SessionFault>;

    /// Whether an operation is one that no user asked for: a bucket that is asked nothing else is idle.
    fn is_upkeep(&self, _op: &[u8]) -> bool {
        false
    }

    /// Returns when two of the journal's three miners have confirmed that they know no newer epoch. While the journal moves to other
    /// miners, two of the former and two of the new ones.
    async fn touch(&self) -> Result<(), SessionFault>;

    /// Lets go in order: the next opening has little to do. Nothing acknowledged depends on it.
    async fn close(&self);

    /// Lets go without writing anything more: another gateway owns the bucket, or it is broken.
    async fn abandon(&self);
}

/// The right to open a bucket.
#[derive(Clone)]
pub struct Grant {
    /// Which.
    pub bucket: BucketKey,
    /// The ownership's epoch.
    pub epoch: u32,
    /// Miners of its journal.
    pub members: Members,
    /// The ownership's record, to move the journal to other miners.
    pub holding: Arc<Holding>,
}

/// An ownership of this gateway's, as it stands on the chain.
pub struct Holding {
    owners: Arc<dyn Owners>,
    bucket: BucketKey,
    held: Mutex<Held>,
}

impl Holding {
    pub(super) fn new(owners: Arc<dyn Owners>, bucket: BucketKey, held: Held) -> Self {
        Self { owners, bucket, held: Mutex::new(held) }
    }

    /// Records that the journal lies on other miners. After [`SwapFault::Unknown`] either may be true until it is called again:
    /// the former and the new miners both have to be kept.
    pub async fn move_journal(&self, members: &Members) -> Result<(), SwapFault> {
        let mut held = self.held.lock().await;
        let Ownership { gateway, epoch, .. } = held.ownership;
        let new = Ownership::new(gateway, epoch, members);
        if held.ownership == new {
            return Ok(());
        }
        *held = settle(&*self.owners, &self.bucket, held.version, new).await?;
        Ok(())
    }
}

/// Sets an owner, and looks what came of it where the chain did not say.
pub(super) async fn settle(
    owners: &dyn Owners,
    bucket: &BucketKey,
    expected: u64,
    new: Ownership,
) -> Result<Held, SwapFault> {
    let fault = match owners.swap(bucket, expected, &new).await {
        Ok(version) => return Ok(Held { version, ownership: new }),
        Err(fault) => fault,
    };
    match owners.read(bucket).await {
        // Nobody else writes this gateway's key with this epoch, so it is this change, whatever became of its answer.
        Ok(Some(held)) if held.ownership == new => Ok(held),
        Ok(found) if found.as_ref().map_or(0, |held| held.version) != expected => Err(SwapFault::Conflict),
        _ => Err(fault),
    }
}
