//! Access keys as the chain has them: a global name each, whose value holds the secret sealed to this gateway's group.
//!
//! Must not know how names are read. Invariants: a name that its account did not set is no key; a key that was revoked is not found
//! from the block on that the watch has seen.

use super::keys::{Keys, KeysError, KnownKey};
use crate::{
    client::{
        NameRecord, NamesWatch, Namespace,
        s3::{AccessKey, KeyRecord, key_name, open_secret},
    },
    codec::decode,
    runtime::Secret,
    types::{Address, ChainId},
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc};
use zeroize::Zeroizing;

/// Keys whose secrets are kept opened.
const OPENED_MAX: usize = 1_024;

/// Keys on the chain.
pub struct ChainKeys {
    names: Arc<NamesWatch>,
    chain_id: ChainId,
    group_secret: Zeroizing<[u8; 32]>,
    /// By id: the version of the name that was opened, and what was in it.
    opened: Mutex<BTreeMap<String, (u64, KnownKey)>>,
}

impl ChainKeys {
    /// Keys read through `names`, sealed to the group whose X25519 secret is given.
    pub fn new(names: Arc<NamesWatch>, chain_id: ChainId, group_secret: Zeroizing<[u8; 32]>) -> Self {
        Self { names, chain_id, group_secret, opened: Mutex::default() }
    }

    fn open(&self, id: &str, record: &NameRecord) -> Option<KnownKey> {
        if let Some((version, key)) = self.opened.lock().get(id)
            && *version == record.version
        {
            return Some(key.clone());
        }
        let key = open_record(id, record, self.chain_id, &self.group_secret)?;
        let mut opened = self.opened.lock();
        if opened.len() >= OPENED_MAX {
            opened.clear();
        }
        opened.insert(id.to_owned(), (record.version, key.clone()));
        Some(key)
    }
}

/// The key in a record; none when it was not set by its account or not sealed to this group.
fn open_record(id: &str, record: &NameRecord, chain_id: ChainId, secret: &[u8; 32]) -> Option<KnownKey> {
    let value: KeyRecord = decode(&record.value).ok()?;
    let account = value.account();
    if record.owner != account {
        tracing::debug!(id, owner = %record.owner, "a name of a key was not set by its account");
        return None;
    }
    match open_secret(secret, chain_id, account, id, &value.sealed) {
        Ok(secret) => Some(KnownKey { account, secret: Secret::new(secret.to_string()) }),
        Err(error) => {
            tracing::debug!(%error, "a key is of another group");
            None
        }
    }
}

#[async_trait]
impl Keys for ChainKeys {
    async fn look_up(&self, id: &str) -> Result<Option<KnownKey>, KeysError> {
        // Ids that are none of ours cost the chain nothing.
        if AccessKey::check_id(id).is_err() {
            return Ok(None);
        }
        let global = Namespace::global(Address::ZERO).id();
        let found = self.names.get(global, key_name(id).as_bytes()).await;
        let found = found.map_err(|error| KeysError { id: id.to_owned(), reason: error.to_string() })?;
        if found.is_none() {
            self.opened.lock().remove(id);
        }
        Ok(found.and_then(|record| self.open(id, &record)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::s3::seal_secret, codec::encode};
    use hpke::{Kem, Serializable, kem::X25519HkdfSha256};

    const ID: &str = "CESSAAAAAAAAAAAAAAAA";
    const ANN: Address = Address::repeat_byte(1);

    fn group(seed: u8) -> ([u8; 32], [u8; 32]) {
        let (secret, public) = X25519HkdfSha256::derive_keypair(&[seed; 32]);
        (secret.to_bytes().into(), public.to_bytes().into())
    }

    fn record(owner: Address, account: Address, sealed: Vec<u8>) -> NameRecord {
        let value = encode(&KeyRecord::new(account, sealed)).into();
        NameRecord { name: key_name(ID).into_bytes().into(), owner, version: 1, value }
    }

    #[test]
    fn a_record_is_a_key_only_if_its_account_set_it_for_this_group() {
        let (secret, public) = group(1);
        let sealed = seal_secret(&public, 5, ANN, ID, "the secret").unwrap();
        let opened = open_record(ID, &record(ANN, ANN, sealed.clone()), 5, &secret).unwrap();
        assert_eq!((opened.account, opened.secret.expose().as_str()), (ANN, "the secret"));
        let other = Address::repeat_byte(2);
        assert_eq!(open_record(ID, &record(other, ANN, sealed.clone()), 5, &secret), None, "a copy under another name");
        assert_eq!(
            open_record(ID, &record(other, other, sealed.clone()), 5, &secret),
            None,
            "a copy for another account"
        );
        assert_eq!(open_record(ID, &record(ANN, ANN, sealed.clone()), 6, &secret), None, "another chain");
        assert_eq!(open_record(ID, &record(ANN, ANN, sealed), 5, &group(2).0), None, "another group");
        let mut broken = record(ANN, ANN, Vec::new());
        broken.value = vec![9, 9].into();
        assert_eq!(open_record(ID, &broken, 5, &secret), None);
    }
}
