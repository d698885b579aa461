//! Names of buckets on the chain.
//!
//! A bucket's name is the global name `bucket/<name>`; that an account has it stands once more in the account's own namespace, so that an
//! account's buckets can be listed. Must not know what a bucket holds. Invariants: the global name decides: an entry of the account's
//! list without it is no bucket; names that belong together change in one transaction; a name that was freed leaves a note until nothing of
//! its bucket is left.

use super::keys::KEY_NAME;
use crate::{
    access::{
        group::{BucketKey, ChainOwners, OWNER_NAME, Ownership},
        objects::{BucketId, BucketName, ObjectsError, Place},
    },
    client::{
        ChainClient, ChainError, NameChange, NameError, NameRecord, NamesWatch, Namespace, Wallet, change_names,
        name_record, names_in,
    },
    codec::{self, Wire},
    types::Address,
};
use borsh::{BorshDeserialize, BorshSerialize};
use std::{sync::Arc, time::Duration};

/// How long a change may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(30);
/// Label of the namespace in which an account's buckets are listed.
const LIST_LABEL: &[u8] = b"buckets";
/// Label of the namespace in which a gateway notes the buckets it ended.
const ENDED_LABEL: &[u8] = b"ended buckets";
/// Times the end of a bucket starts over because somebody else changed one of its names.
const END_ATTEMPTS: usize = 4;
/// Buckets an account may have.
const BUCKETS_MAX: usize = 1_000;

/// What stands under a bucket's name.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct BucketEntry {
    pub id: [u8; 16],
    owner: [u8; 20],
    created_ms: u64,
}

impl Wire for BucketEntry {
    const NAME: &'static str = "bucket name";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// A bucket that was deleted, noted by the gateway that freed its name.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct EndedBucket {
    id: [u8; 16],
    owner: [u8; 20],
    /// When its name was freed, Unix milliseconds.
    pub ended_ms: u64,
}

impl Wire for EndedBucket {
    const NAME: &'static str = "ended bucket";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

impl EndedBucket {
    /// The group's name of it.
    pub fn key(&self) -> BucketKey {
        BucketKey::new(self.owner.into(), self.id)
    }

    fn name(&self) -> Vec<u8> {
        hex::encode(self.id).into_bytes()
    }
}

/// Why a bucket was not made.
#[derive(Debug)]
pub(super) struct CreateFault {
    pub error: ObjectsError,
    /// Whether it will not be made later either.
    pub certain: bool,
}

impl CreateFault {
    fn certain(error: ObjectsError) -> Self {
        Self { error, certain: true }
    }
}

/// The names of buckets, read through a cache and changed by this gateway's account.
pub struct Directory {
    wallet: Wallet,
    owners: ChainOwners,
    watch: Arc<NamesWatch>,
}

impl Directory {
    /// The chain's names of buckets.
    pub fn new(wallet: Wallet, watch: Arc<NamesWatch>) -> Self {
        Self { owners: ChainOwners::new(wallet.clone()), wallet, watch }
    }

    /// Where a bucket is.
    pub async fn find(&self, name: &BucketName) -> Result<Option<Place>, ObjectsError> {
        let found = self.watch.get(Namespace::global(Address::ZERO).id(), &global(name)).await;
        found.map_err(unavailable)?.map(|record| place(name, &record)).transpose()
    }

    /// Whether a name is free for `owner`, who may have another bucket: the reason if not.
    pub async fn check_free(&self, name: &BucketName, owner: Address) -> Result<(), ObjectsError> {
        // Not through the cache: a name that was freed a moment ago is free.
        let found = name_record(self.chain(), Namespace::global(owner).id(), &global(name)).await;
        match found.map_err(unavailable)? {
            Some(taken) => Err(already(name, taken.owner, owner)),
            None => Ok(()),
        }
    }

    /// Takes a free name: one transaction sets it, notes it in the account's list, and names the bucket's first owner and its sealed key.
    /// Gives the version of the owner's name.
    pub(super) async fn create(
        &self,
        place: &Place,
        bucket: &BucketKey,
        first: &Ownership,
        key: NameChange,
    ) -> Result<u64, CreateFault> {
        let (name, owner) = (&place.name, Address::from(place.owner));
        let (list, entry, value) = (list(owner), name.as_str().as_bytes(), codec::encode(&BucketEntry::of(place)));
        let listed = self.listed(name, owner).await.map_err(CreateFault::certain)?;
        let [owned, opened] = self.owners.first(bucket, first);
        let changes = [
            owned,
            opened,
            NameChange::set(&list, entry, listed, &value),
            NameChange::set(&Namespace::global(owner), &global(name), 0, &value),
            key,
        ];
        match change_names(&self.wallet, &changes, FINAL_DEADLINE).await {
            Ok(versions) => Ok(versions[0]),
            Err(NameError::Conflict { present: Some(taken), name: of, .. }) if of.as_bytes() == global(name) => {
                Err(CreateFault::certain(already(name, taken.owner, owner)))
            }
            Err(NameError::Conflict { .. }) => Err(CreateFault::certain(conflict(name))),
            Err(NameError::Chain(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. }))) => {
                Err(CreateFault::certain(refused(owner, error)))
            }
            Err(NameError::Chain(error)) => {
                // It may have been done all the same: nobody else has its id.
                match name_record(self.chain(), bucket.namespace().id(), OWNER_NAME).await {
                    Ok(Some(found)) => Ok(found.version),
                    _ => Err(CreateFault { error: unavailable(error), certain: false }),
                }
            }
        }
    }

    /// Frees the name of a bucket, and notes in the same transaction that what else there is of it has to go. Once that is done it does
    /// nothing more.
    pub async fn end(&self, place: &Place, now_ms: u64) -> Result<(), ObjectsError> {
        let owner = Address::from(place.owner);
        let named =
            [(Namespace::global(owner), global(&place.name)), (list(owner), place.name.to_string().into_bytes())];
        for _ in 0..END_ATTEMPTS {
            let mut changes = Vec::with_capacity(named.len() + 1);
            for (namespace, name) in &named {
                let found = name_record(self.chain(), namespace.id(), name).await.map_err(unavailable)?;
                // The name may be another bucket's by now.
                if let Some(record) =
                    found.filter(|record| entry_of(record).is_some_and(|entry| entry.id == place.id.0))
                {
                    changes.push(NameChange::remove(namespace, name, record.version));
                }
            }
            if changes.is_empty() {
                return Ok(());
            }
            let ended = EndedBucket { id: place.id.0, owner: place.owner, ended_ms: now_ms };
            let (space, id) = (self.ended_space(), ended.name());
            let noted = name_record(self.chain(), space.id(), &id).await.map_err(unavailable)?;
            if noted.is_none() {
                changes.push(NameChange::set(&space, &id, 0, &codec::encode(&ended)));
            }
            match change_names(&self.wallet, &changes, FINAL_DEADLINE).await {
                Ok(_) => {
                    let [(namespace, name), _] = &named;
                    self.watch.forget(namespace.id(), name);
                    return Ok(());
                }
                Err(NameError::Conflict { .. }) => {}
                Err(NameError::Chain(error)) => return Err(refused(owner, error)),
            }
        }
        Err(conflict(&place.name))
    }

    /// Buckets whose names this gateway freed and of which something may be left.
    pub(super) async fn ended(&self) -> Result<Vec<EndedBucket>, ObjectsError> {
        let noted = names_in(self.chain(), self.ended_space().id()).await.map_err(unavailable)?;
        let read = |record: NameRecord| codec::decode(&record.value).ok();
        Ok(noted.into_iter().filter_map(read).collect())
    }

    /// Nothing is left of a bucket: the names of its last owner and its key go, and the note about it.
    pub(super) async fn forget(&self, ended: &EndedBucket) -> Result<(), ObjectsError> {
        let (mut changes, owner) = (Vec::new(), Address::from(ended.owner));
        let own = ended.key().namespace();
        for (namespace, name) in
            [(own.clone(), OWNER_NAME.to_vec()), (own, KEY_NAME.to_vec()), (self.ended_space(), ended.name())]
        {
            let found = name_record(self.chain(), namespace.id(), &name).await.map_err(unavailable)?;
            changes.extend(found.map(|record| NameChange::remove(&namespace, &name, record.version)));
        }
        changes.extend(self.owners.closing(&ended.key()).await.map_err(unavailable)?);
        if changes.is_empty() {
            return Ok(());
        }
        match change_names(&self.wallet, &changes, FINAL_DEADLINE).await {
            Ok(_) => Ok(()),
            Err(NameError::Chain(error)) => Err(refused(owner, error)),
            Err(error) => Err(ObjectsError::Unavailable { reason: error.to_string() }),
        }
    }

    fn ended_space(&self) -> Namespace {
        Namespace::of(self.wallet.address(), ENDED_LABEL)
    }

    /// Buckets of an account, by name.
    pub async fn list(&self, owner: Address) -> Result<Vec<Place>, ObjectsError> {
        let mut places = Vec::new();
        for entry in self.entries(owner).await? {
            let Some(name) = std::str::from_utf8(&entry.name).ok().and_then(|text| text.parse().ok()) else { continue };
            if let Some(found) = self.find(&name).await?.filter(|found| Address::from(found.owner) == owner) {
                places.push(found);
            }
        }
        places.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(places)
    }

    /// The account's bucket of this id.
    pub async fn by_id(&self, owner: Address, id: BucketId) -> Result<Option<Place>, ObjectsError> {
        for entry in self.entries(owner).await? {
            let Some(name) = std::str::from_utf8(&entry.name).ok().and_then(|text| text.parse().ok()) else { continue };
            if let Some(listed) = entry_of(&entry).filter(|listed| listed.id == id.0) {
                return Ok(Some(listed.place(&name)));
            }
        }
        Ok(None)
    }

    async fn entries(&self, owner: Address) -> Result<Vec<NameRecord>, ObjectsError> {
        names_in(self.chain(), list(owner).id()).await.map_err(unavailable)
    }

    /// Version of a name in the account's list, where an entry without its global name may have been left. Refuses one bucket too many.
    async fn listed(&self, name: &BucketName, owner: Address) -> Result<u64, ObjectsError> {
        let listed = self.entries(owner).await?;
        let before = listed.iter().find(|record| *record.name == *name.as_str().as_bytes());
        if before.is_none() && listed.len() >= BUCKETS_MAX {
            let (count, max) = (number(listed.len()), number(BUCKETS_MAX));
            return Err(ObjectsError::TooManyBuckets { count, max });
        }
        Ok(before.map_or(0, |record| record.version))
    }

    fn chain(&self) -> &dyn ChainClient {
        &**self.wallet.chain()
    }
}

impl BucketEntry {
    fn of(place: &Place) -> Self {
        Self { id: place.id.0, owner: place.owner, created_ms: place.created_ms }
    }

    fn place(&self, name: &BucketName) -> Place {
        Place { id: BucketId(self.id), name: name.clone(), owner: self.owner, created_ms: self.created_ms }
    }
}

fn list(owner: Address) -> Namespace {
    Namespace::of(owner, LIST_LABEL)
}

/// What a record of a bucket's name says, if it is one.
pub(super) fn entry_of(record: &NameRecord) -> Option<BucketEntry> {
    codec::decode(&record.value).ok()
}

pub(super) fn global(name: &BucketName) -> Vec<u8> {
    format!("bucket/{name}").into_bytes()
}

/// The bucket of a record. Anybody may take a free name and write what he likes, so the name's owner has to be the bucket's.
fn place(name: &BucketName, record: &NameRecord) -> Result<Place, ObjectsError> {
    let foreign = || ObjectsError::BucketAlreadyExists { bucket: name.clone() };
    let entry: BucketEntry = codec::decode(&record.value).map_err(|_| foreign())?;
    if Address::from(entry.owner) != record.owner {
        return Err(foreign());
    }
    Ok(entry.place(name))
}

fn already(name: &BucketName, taken: Address, owner: Address) -> ObjectsError {
    match taken == owner {
        true => ObjectsError::BucketAlreadyOwnedByYou { bucket: name.clone() },
        false => ObjectsError::BucketAlreadyExists { bucket: name.clone() },
    }
}

fn conflict(name: &BucketName) -> ObjectsError {
    ObjectsError::Unavailable { reason: format!("bucket `{name}` is being made or removed by another request") }
}

fn unavailable(error: ChainError) -> ObjectsError {
    ObjectsError::Unavailable { reason: error.to_string() }
}

/// The chain's answer to a change: what it refused concerns the account that the gateway acts for.
fn refused(owner: Address, error: ChainError) -> ObjectsError {
    match error {
        ChainError::Refused { .. } | ChainError::Reverted { .. } => {
            ObjectsError::Account { account: owner.to_string(), reason: error.to_string() }
        }
        error => unavailable(error),
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden::check;

    fn record(owner: Address, entry: &BucketEntry) -> NameRecord {
        NameRecord { name: "bucket/photos".into(), owner, version: 3, value: codec::encode(entry).into() }
    }

    #[test]
    fn a_name_that_was_taken_in_anothers_name_is_nobodys_bucket() {
        let (alice, name) = (Address::repeat_byte(1), "photos".parse().unwrap());
        let entry = BucketEntry { id: [7; 16], owner: alice.into(), created_ms: 5 };
        check(&entry);
        check(&EndedBucket { id: [7; 16], owner: alice.into(), ended_ms: 9 });
        assert_eq!(place(&name, &record(alice, &entry)).unwrap(), entry.place(&name));
        let foreign = ObjectsError::BucketAlreadyExists { bucket: name.clone() };
        assert_eq!(place(&name, &record(Address::repeat_byte(2), &entry)), Err(foreign.clone()));
        let garbage = NameRecord { value: vec![0; 9].into(), ..record(alice, &entry) };
        assert_eq!(place(&name, &garbage), Err(foreign));
    }
}
