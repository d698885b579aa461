//! Buckets that a gateway of the group had open when it ended: opened again, so that what was on its way in them is finished.
//!
//! An acknowledged object lies on miners that wait for its file some hours only: somebody has to make it, whether the bucket is asked for
//! or not. Must not know what there is to do in a bucket. Invariant: a note of this gateway's goes only after the bucket was attended to.

use super::{directory::Directory, routing::key, sessions::Opener};
use crate::{
    access::{
        group::{BucketKey, ChainOwners},
        objects::{BucketId, Objects},
    },
    types::Address,
};
use std::collections::BTreeSet;

/// Buckets attended to in one round.
const ROUND_MAX: usize = 64;

/// Notes of the group's gateways.
pub(super) struct LeftOpen {
    me: Address,
    others: Vec<Address>,
    owners: ChainOwners,
}

impl LeftOpen {
    pub fn new(me: Address, members: Vec<Address>, owners: ChainOwners) -> Self {
        Self { me, others: members.into_iter().filter(|member| *member != me).collect(), owners }
    }

    /// Has each bucket that is noted and not open here be opened by whoever owns it, which is this gateway if its owner is gone. What fails is
    /// tried again in the next round, and the first reason given.
    pub async fn round(&self, objects: &Objects, directory: &Directory, opener: &Opener) -> Result<(), String> {
        let open: BTreeSet<BucketKey> = opener.places().iter().map(key).collect();
        let (mut outcome, mut left) = (Ok(()), ROUND_MAX);
        for gateway in std::iter::once(&self.me).chain(&self.others) {
            let noted = self.owners.open_at(*gateway).await.map_err(|error| error.to_string())?;
            for bucket in noted.into_iter().filter(|bucket| !open.contains(bucket)) {
                let Some(rest) = left.checked_sub(1) else { return outcome };
                left = rest;
                if let Err(reason) = self.attend(*gateway, &bucket, objects, directory, opener).await {
                    outcome = outcome.and(Err(format!("bucket {bucket}, left open: {reason}")));
                }
            }
        }
        outcome
    }

    async fn attend(
        &self,
        gateway: Address,
        bucket: &BucketKey,
        objects: &Objects,
        directory: &Directory,
        opener: &Opener,
    ) -> Result<(), String> {
        let found = directory.by_id(bucket.owner(), BucketId(bucket.id())).await;
        if let Some(place) = found.map_err(|error| error.to_string())? {
            objects.attend(&place).await.map_err(|error| error.to_string())?;
        }
        let here = opener.places().iter().any(|place| key(place) == *bucket);
        if gateway == self.me && !here {
            // It is deleted, or another gateway's.
            self.owners.closed(bucket).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
