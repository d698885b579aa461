//! Records of owners in the names of the chain, and of the buckets a gateway has open.
//!
//! A gateway's own namespace lists what it took over and did not close in order with nothing left to do: after a crash that is opened again
//! and looked after, by itself or by another of the group. Must not know what follows from an ownership. Invariants: a value that is no
//! ownership is an error, and so is a name of another account; an ownership and the note about it are set in one transaction.

use super::{
    ownership::{BucketKey, Held, OWNER_NAME, Ownership},
    port::{Owners, OwnersFault, SwapFault},
};
use crate::{
    client::{ChainError, NameChange, NameError, Namespace, Wallet, change_names, name_record, names_in},
    codec::{self, Wire},
    types::Address,
};
use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use std::time::Duration;

/// How long a change may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(20);
/// Label of the namespace in which a gateway notes the buckets it has open.
const OPEN_LABEL: &[u8] = b"open buckets";

/// A bucket that a gateway has open.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct OpenNote(BucketKey);

impl Wire for OpenNote {
    const NAME: &'static str = "open bucket";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// The chain's names, changed by a gateway that the buckets' owners have approved as an operator.
#[derive(Debug, Clone)]
pub struct ChainOwners {
    wallet: Wallet,
}

impl ChainOwners {
    /// Ownerships of buckets, changed by the wallet's account.
    pub fn new(wallet: Wallet) -> Self {
        Self { wallet }
    }

    /// What names the first owner of a bucket that is about to be made. The first change is the ownership's.
    pub fn first(&self, bucket: &BucketKey, first: &Ownership) -> [NameChange; 2] {
        [self.owned(bucket, 0, first), self.opened(bucket)]
    }

    /// Buckets that a gateway has noted as open.
    pub async fn open_at(&self, gateway: Address) -> Result<Vec<BucketKey>, ChainError> {
        let noted = names_in(&**self.wallet.chain(), open_space(gateway).id()).await?;
        Ok(noted.iter().filter_map(|record| codec::decode(&record.value).ok()).map(|OpenNote(key)| key).collect())
    }

    /// What takes the note back that this gateway has a bucket open, if there is one.
    pub async fn closing(&self, bucket: &BucketKey) -> Result<Option<NameChange>, ChainError> {
        let (space, name) = (open_space(self.wallet.address()), bucket.to_string());
        let found = name_record(&**self.wallet.chain(), space.id(), name.as_bytes()).await?;
        Ok(found.map(|record| NameChange::remove(&space, name.as_bytes(), record.version)))
    }

    /// Takes the note back.
    pub async fn closed(&self, bucket: &BucketKey) -> Result<(), NameError> {
        match self.closing(bucket).await? {
            Some(change) => change_names(&self.wallet, &[change], FINAL_DEADLINE).await.map(drop),
            None => Ok(()),
        }
    }

    fn owned(&self, bucket: &BucketKey, expected: u64, new: &Ownership) -> NameChange {
        NameChange::set(&bucket.namespace(), OWNER_NAME, expected, &codec::encode(new))
    }

    fn opened(&self, bucket: &BucketKey) -> NameChange {
        let (space, value) = (open_space(self.wallet.address()), codec::encode(&OpenNote(*bucket)));
        NameChange::set(&space, bucket.to_string().as_bytes(), 0, &value)
    }
}

fn open_space(gateway: Address) -> Namespace {
    Namespace::of(gateway, OPEN_LABEL)
}

#[async_trait]
impl Owners for ChainOwners {
    async fn read(&self, bucket: &BucketKey) -> Result<Option<Held>, OwnersFault> {
        let found = name_record(&**self.wallet.chain(), bucket.namespace().id(), OWNER_NAME).await;
        let Some(found) = found.map_err(|error| OwnersFault(error.to_string()))? else { return Ok(None) };
        let ownership = codec::decode(&found.value).map_err(|error| OwnersFault(error.to_string()))?;
        Ok(Some(Held { version: found.version, ownership }))
    }

    async fn swap(&self, bucket: &BucketKey, expected: u64, new: &Ownership) -> Result<u64, SwapFault> {
        let noted = self.closing(bucket).await.map_err(|error| SwapFault::Unknown(error.to_string()))?.is_some();
        // Gateways are native accounts; others own buckets in tests alone.
        let note = (!noted && self.wallet.is_native()).then(|| self.opened(bucket));
        let changes: Vec<NameChange> = std::iter::once(self.owned(bucket, expected, new)).chain(note).collect();
        let set = change_names(&self.wallet, &changes, FINAL_DEADLINE).await;
        set.map(|versions| versions[0]).map_err(|error| match error {
            NameError::Conflict { .. } => SwapFault::Conflict,
            NameError::Chain(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                SwapFault::Refused(error.to_string())
            }
            NameError::Chain(error) => SwapFault::Unknown(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_stable() {
        crate::codec::golden::check(&OpenNote(BucketKey::new(Address::repeat_byte(1), [2; 16])));
    }
}
