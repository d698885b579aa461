//! Keys of buckets as they stand on the chain: sealed to the gateways of the group, and to the account's own key where it has told it.
//!
//! An account tells by a name what its buckets' keys may be sealed to; the secret of it follows from the account's. A bucket's sealed keys
//! are set in the transaction that makes it. Must not know what is sealed with them. Invariants: a bucket has one key, the one its name on the
//! chain holds; whoever has the account's secret has the key, whatever became of the gateways.

use super::directory::entry_of;
use crate::{
    access::{
        data::{
            keys::{ENVELOPE_BYTES, KeyError, Receiver, SealPair, issue},
            seal::DataKey,
        },
        group::BucketKey,
        objects::{BucketId, BucketKeys, BucketName, ObjectsError},
    },
    client::{ChainClient, ChainError, NameChange, NameError, Namespace, Wallet, name_record, set_name},
    codec::{self, Wire},
    runtime::NodeRng,
    types::Address,
};
use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use std::{sync::Arc, time::Duration};

/// How long a change may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Label of an account's namespace for what others seal to it with.
const LABEL: &[u8] = b"keys";
/// The name there.
const SEAL_NAME: &[u8] = b"seal";
/// The name of a bucket's sealed keys in its own namespace.
pub(super) const KEY_NAME: &[u8] = b"key";
/// What the account's secret for sealing is made with.
const OWNER_DOMAIN: &str = "cess 2026 account seal key v1";

/// What an account's keys are sealed to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SealKey([u8; 32]);

impl Wire for SealKey {
    const NAME: &'static str = "account seal key";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 33;
}

/// A bucket's key, sealed to each who may have it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct SealedKeys(Vec<Vec<u8>>);

impl Wire for SealedKeys {
    const NAME: &'static str = "sealed bucket keys";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 1 + 4 + 2 * (4 + ENVELOPE_BYTES);
}

/// Why an account does not have the key of its bucket.
#[derive(Debug, thiserror::Error)]
pub enum OwnerKeyError {
    /// No such bucket.
    #[error("account {account} has no bucket `{bucket}`")]
    NoBucket { account: Address, bucket: BucketName },
    /// It was made before the account told what to seal to.
    #[error(
        "the key of bucket `{bucket}` is sealed to its gateways alone: it was made before the account told its own key"
    )]
    NotSealed { bucket: BucketName },
    /// The chain did not answer, or refused.
    #[error(transparent)]
    Name(#[from] NameError),
    /// What stands there is something else.
    #[error("the sealed key of bucket `{bucket}` is damaged: {reason}")]
    Damaged { bucket: BucketName, reason: String },
}

impl From<ChainError> for OwnerKeyError {
    fn from(error: ChainError) -> Self {
        Self::Name(error.into())
    }
}

/// Has the keys of the wallet's future buckets sealed to its account, too. Doing it again does nothing.
pub async fn register_owner_key(wallet: &Wallet) -> Result<(), NameError> {
    let (space, value) = (Namespace::of(wallet.address(), LABEL), codec::encode(&SealKey(owner_pair(wallet).public())));
    let found = name_record(&**wallet.chain(), space.id(), SEAL_NAME).await?;
    match found {
        Some(found) if *found.value == *value => Ok(()),
        found => {
            let expected = found.map_or(0, |found| found.version);
            set_name(wallet, &space, SEAL_NAME, expected, &value, FINAL_DEADLINE).await.map(drop)
        }
    }
}

/// The key of a bucket of the wallet's account, from the chain and the account's secret alone.
pub async fn owner_bucket_key(wallet: &Wallet, bucket: &BucketName) -> Result<(BucketId, DataKey), OwnerKeyError> {
    let (chain, account) = (wallet.chain().as_ref(), wallet.address());
    let global = name_record(chain, Namespace::global(account).id(), &super::directory::global(bucket)).await?;
    let id = global.filter(|record| record.owner == account).and_then(|record| entry_of(&record)).map(|entry| entry.id);
    let id = id.ok_or_else(|| OwnerKeyError::NoBucket { account, bucket: bucket.clone() })?;
    let space = BucketKey::new(account, id).namespace();
    let not_sealed = || OwnerKeyError::NotSealed { bucket: bucket.clone() };
    let record = name_record(chain, space.id(), KEY_NAME).await?.ok_or_else(not_sealed)?;
    let damaged = |reason: String| OwnerKeyError::Damaged { bucket: bucket.clone(), reason };
    let SealedKeys(envelopes) = codec::decode(&record.value).map_err(|error| damaged(error.to_string()))?;
    match owner_pair(wallet).open(&id, account, &envelopes) {
        Ok(key) => Ok((BucketId(id), key)),
        Err(KeyError::Sealed(count)) if count < 2 => Err(not_sealed()),
        Err(error) => Err(damaged(error.to_string())),
    }
}

fn owner_pair(wallet: &Wallet) -> SealPair {
    SealPair::of_owner(&wallet.derived_secret(OWNER_DOMAIN))
}

/// Keys of buckets, as a gateway of the group makes and opens them.
pub(super) struct GroupKeys {
    chain: Arc<dyn ChainClient>,
    rng: NodeRng,
    pair: Arc<SealPair>,
}

impl GroupKeys {
    pub fn new(chain: Arc<dyn ChainClient>, rng: NodeRng, pair: Arc<SealPair>) -> Self {
        Self { chain, rng, pair }
    }

    /// A new key for a bucket that is about to be made, as the change that puts it onto the chain.
    pub async fn prepare(&self, bucket: &BucketKey) -> Result<NameChange, ObjectsError> {
        let owner = bucket.owner();
        let sealed = self.seal(&BucketId(bucket.id()), owner, self.seal_key_of(owner).await?)?;
        Ok(NameChange::set(&bucket.namespace(), KEY_NAME, 0, &codec::encode(&SealedKeys(sealed))))
    }

    /// What the account wants its keys sealed to.
    async fn seal_key_of(&self, owner: Address) -> Result<Option<[u8; 32]>, ObjectsError> {
        let found = name_record(&*self.chain, Namespace::of(owner, LABEL).id(), SEAL_NAME).await;
        let Some(found) = found.map_err(|error| unavailable(&error))? else { return Ok(None) };
        match codec::decode::<SealKey>(&found.value) {
            Ok(SealKey(public)) => Ok(Some(public)),
            Err(error) => Err(ObjectsError::Account {
                account: owner.to_string(),
                reason: format!("its name `{}` holds no key: {error}", String::from_utf8_lossy(SEAL_NAME)),
            }),
        }
    }

    fn seal(&self, bucket: &BucketId, owner: Address, own: Option<[u8; 32]>) -> Result<Vec<Vec<u8>>, ObjectsError> {
        let group = (Receiver::Group, self.pair.public());
        let receivers: Vec<_> = std::iter::once(group).chain(own.map(|own| (Receiver::Owner, own))).collect();
        let issued = issue(&self.rng, &bucket.0, owner, &receivers);
        issued
            .map(|(_, envelopes)| envelopes)
            .map_err(|error| ObjectsError::Account { account: owner.to_string(), reason: error.to_string() })
    }
}

#[async_trait]
impl BucketKeys for GroupKeys {
    async fn issue(&self, bucket: BucketId, owner: Address) -> Result<Vec<Vec<u8>>, ObjectsError> {
        let space = BucketKey::new(owner, bucket.0).namespace();
        let found = name_record(&*self.chain, space.id(), KEY_NAME).await.map_err(|error| unavailable(&error))?;
        match found {
            Some(record) => match codec::decode(&record.value) {
                Ok(SealedKeys(envelopes)) => Ok(envelopes),
                Err(error) => Err(ObjectsError::Damaged { reason: error.to_string() }),
            },
            None => self.seal(&bucket, owner, None),
        }
    }

    fn open(&self, bucket: BucketId, owner: Address, envelopes: &[Vec<u8>]) -> Result<DataKey, ObjectsError> {
        let opened = self.pair.open(&bucket.0, owner, envelopes);
        opened.map_err(|error| ObjectsError::Damaged { reason: error.to_string() })
    }
}

fn unavailable(error: &ChainError) -> ObjectsError {
    ObjectsError::Unavailable { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden::check;

    #[test]
    fn encodings_are_stable_and_fit_a_name() {
        check(&SealKey([1; 32]));
        let sealed = SealedKeys(vec![vec![2; ENVELOPE_BYTES], vec![3; ENVELOPE_BYTES]]);
        check(&sealed);
        assert!(SealedKeys::MAX_BYTES <= 256 && codec::encode(&sealed).len() <= SealedKeys::MAX_BYTES);
    }
}
