//! Journals of buckets, as the group sees them.
//!
//! Must not know ownership. Invariant: a bucket has one journal, whose id follows from the chain and the bucket alone.

use crate::{
    access::group::{BucketKey, JournalFault, Journals, Members},
    storage::journal::{JournalClient, JournalError, JournalId, epoch},
    types::B256,
};
use async_trait::async_trait;

/// Journals on the miners of a chain.
#[derive(Clone)]
pub struct BucketJournals {
    client: JournalClient,
    genesis: B256,
}

impl BucketJournals {
    /// Journals of the chain with this genesis.
    pub fn new(client: JournalClient, genesis: B256) -> Self {
        Self { client, genesis }
    }

    /// Talks to their miners.
    pub(super) fn client(&self) -> &JournalClient {
        &self.client
    }

    /// The journal of a bucket.
    pub(super) fn id(&self, bucket: &BucketKey) -> JournalId {
        JournalId::of(self.genesis, &bucket.id())
    }
}

#[async_trait]
impl Journals for BucketJournals {
    async fn create(&self, bucket: &BucketKey, owner: u32) -> Result<Members, JournalFault> {
        self.client.create(self.id(bucket), epoch(owner, 0)).await.map_err(fault)
    }

    async fn reachable(&self, bucket: &BucketKey, members: &Members, owner: u32) -> Result<(), JournalFault> {
        // Writers of this owner may have sealed it higher: that is an answer, too.
        match self.client.touch(self.id(bucket), *members, epoch(owner, u32::MAX)).await {
            Ok(()) | Err(JournalError::Fenced { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }

    async fn seal(&self, bucket: &BucketKey, members: &Members, owner: u32) -> Result<(), JournalFault> {
        self.client.seal(self.id(bucket), *members, epoch(owner, 0)).await.map_err(fault)
    }

    async fn remove(&self, bucket: &BucketKey, members: &Members, owner: u32) -> Result<(), JournalFault> {
        // As the last writer there can be under that owner.
        match self.client.remove(self.id(bucket), *members, epoch(owner, u32::MAX)).await {
            Ok(()) | Err(JournalError::Lost { .. }) => Ok(()),
            Err(error) => Err(fault(error)),
        }
    }
}

fn fault(error: JournalError) -> JournalFault {
    match error {
        JournalError::Fenced { .. } => JournalFault::Fenced,
        error @ JournalError::Lost { .. } => JournalFault::Lost(error.to_string()),
        error => JournalFault::Unreachable(error.to_string()),
    }
}
