//! Access keys on the chain: a global name each, and in the account's own namespace a list of them.
//!
//! Invariant: a key is in the list before it works, and until it has stopped working.

use super::{AccessKey, KeyRecord, RecordError, key_name, seal_secret};
use crate::{
    client::{
        ChainClient, ChainError, NameError, Namespace, Wallet, approve_operator, gateway::GatewayGroup, is_operator,
        name_record, names_in, remove_name, set_name,
    },
    codec::{decode, encode},
    types::{Address, ChainId},
};
use futures::future::try_join_all;
use std::time::Duration;

/// How long a change may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Label of the namespace with the account's list.
const LIST: &str = "s3keys";

/// Why a key was not registered or revoked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The secret cannot be sealed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The chain refused or cannot be asked.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No key of the account.
    #[error("account {account} has no access key `{id}`")]
    Unknown { account: Address, id: String },
}

impl From<ChainError> for RegistryError {
    fn from(error: ChainError) -> Self {
        Self::Name(error.into())
    }
}

/// A key that the chain knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredKey {
    /// Its id.
    pub id: String,
    /// Whether gateways accept it; one that is listed and not accepted was being made or revoked.
    pub is_active: bool,
}

/// Makes a key work for the wallet's account at a group of gateways, and lets them act for the account. Doing it again does no harm.
pub async fn register_key(
    wallet: &Wallet,
    chain_id: ChainId,
    group: &GatewayGroup,
    key: &AccessKey,
) -> Result<(), RegistryError> {
    let account = wallet.address();
    let sealed = seal_secret(&group.key, chain_id, account, key.id(), key.secret())?;
    try_join_all(group.members.iter().map(|gateway| approve(wallet, *gateway))).await?;
    set(wallet, &Namespace::of(account, LIST), key.id(), &[]).await?;
    set(wallet, &Namespace::global(account), &key_name(key.id()), &encode(&KeyRecord::new(account, sealed))).await
}

async fn approve(wallet: &Wallet, gateway: Address) -> Result<(), RegistryError> {
    if !is_operator(wallet.chain().as_ref(), wallet.address(), gateway).await? {
        approve_operator(wallet, gateway, true, FINAL_DEADLINE).await?;
    }
    Ok(())
}

/// Sets a name of the account's that may be there.
async fn set(wallet: &Wallet, namespace: &Namespace, name: &str, value: &[u8]) -> Result<(), RegistryError> {
    let found = name_record(wallet.chain().as_ref(), namespace.id(), name.as_bytes()).await?;
    let expected = found.as_ref().map_or(0, |record| record.version);
    // What is listed already stays; a sealed secret is another one each time.
    if found.is_none_or(|record| *record.value != *value) {
        set_name(wallet, namespace, name.as_bytes(), expected, value, FINAL_DEADLINE).await?;
    }
    Ok(())
}

/// Keys in an account's list.
pub async fn registered_keys(chain: &dyn ChainClient, account: Address) -> Result<Vec<RegisteredKey>, ChainError> {
    let mut found = Vec::new();
    for name in names_in(chain, Namespace::of(account, LIST).id()).await? {
        let id = String::from_utf8_lossy(&name.name).into_owned();
        let is_active = is_active(chain, account, &id).await?;
        found.push(RegisteredKey { id, is_active });
    }
    Ok(found)
}

/// Whether gateways accept a key for an account.
pub async fn is_active(chain: &dyn ChainClient, account: Address, id: &str) -> Result<bool, ChainError> {
    let record = name_record(chain, Namespace::global(account).id(), key_name(id).as_bytes()).await?;
    Ok(record.is_some_and(|record| {
        record.owner == account && decode::<KeyRecord>(&record.value).is_ok_and(|key| key.account() == account)
    }))
}

/// Makes a key of the wallet's account worthless: gateways refuse it from the next block on.
pub async fn revoke_key(wallet: &Wallet, id: &str) -> Result<(), RegistryError> {
    let (chain, account) = (wallet.chain().clone(), wallet.address());
    let places = [(Namespace::global(account), key_name(id)), (Namespace::of(account, LIST), id.to_owned())];
    let mut is_known = false;
    for (namespace, name) in places {
        let found = name_record(chain.as_ref(), namespace.id(), name.as_bytes()).await?;
        let Some(record) = found.filter(|record| record.owner == account) else { continue };
        is_known = true;
        match remove_name(wallet, &namespace, name.as_bytes(), record.version, FINAL_DEADLINE).await {
            // Somebody else of this account was quicker.
            Ok(()) | Err(NameError::Conflict { present: None, .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if is_known { Ok(()) } else { Err(RegistryError::Unknown { account, id: id.to_owned() }) }
}
