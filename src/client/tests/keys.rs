//! Access keys of S3 on a fake chain.

use super::fake::FakeChain;
use crate::client::{
    Namespace, Signer, Wallet,
    gateway::GatewayGroup,
    name_record,
    s3::{
        AccessKey, KeyRecord, RegisteredKey, RegistryError, is_active, key_name, open_secret, register_key,
        registered_keys, revoke_key,
    },
    set_name,
};
use crate::codec::decode;
use crate::runtime::NodeRng;
use hpke::{Kem, Serializable, kem::X25519HkdfSha256};
use std::{sync::Arc, time::Duration};

const CHAIN: u64 = 11_332;
const PATIENCE: Duration = Duration::from_secs(20);

fn wallet(chain: &Arc<FakeChain>, digit: char) -> Wallet {
    let key = format!("ed25519:{}", digit.to_string().repeat(64));
    Wallet::new(chain.clone(), Signer::parse(&key).unwrap(), CHAIN)
}

#[tokio::test]
async fn a_key_is_listed_opened_by_its_group_and_gone_when_revoked() {
    let chain = FakeChain::new();
    chain.state.lock().mines = true;
    let (alice, bob) = (wallet(&chain, '7'), wallet(&chain, '8'));
    let (secret, public) = X25519HkdfSha256::derive_keypair(&[1; 32]);
    // Nobody has to be approved who acts for himself.
    let members = vec![alice.address()];
    let group = GatewayGroup { key: public.to_bytes().into(), members, s3: "http://127.0.0.1:1".into() };
    let key = AccessKey::generate(&NodeRng::from_seed(1));
    register_key(&alice, CHAIN, &group, &key).await.unwrap();
    register_key(&alice, CHAIN, &group, &key).await.unwrap();

    let listed = [RegisteredKey { id: key.id().to_owned(), is_active: true }];
    assert_eq!(registered_keys(&*chain, alice.address()).await.unwrap(), listed);
    assert_eq!(registered_keys(&*chain, bob.address()).await.unwrap(), []);
    assert!(!is_active(&*chain, bob.address(), key.id()).await.unwrap());
    let global = Namespace::global(alice.address()).id();
    let found = name_record(&*chain, global, key_name(key.id()).as_bytes()).await.unwrap().unwrap();
    let record: KeyRecord = decode(&found.value).unwrap();
    assert_eq!((found.owner, record.account()), (alice.address(), alice.address()));
    let secret: [u8; 32] = secret.to_bytes().into();
    let opened = open_secret(&secret, CHAIN, alice.address(), key.id(), &record.sealed).unwrap();
    assert_eq!(opened.as_str(), key.secret());

    let refused = revoke_key(&bob, key.id()).await.unwrap_err();
    assert!(matches!(refused, RegistryError::Unknown { account, .. } if account == bob.address()), "{refused}");
    revoke_key(&alice, key.id()).await.unwrap();
    assert_eq!(registered_keys(chain.as_ref(), alice.address()).await.unwrap(), []);
    assert!(matches!(revoke_key(&alice, key.id()).await, Err(RegistryError::Unknown { .. })));
}

/// Whoever takes the global name of another's key first has nothing of it, and the account's list shows that the key does not work.
#[tokio::test]
async fn a_name_that_another_account_has_is_no_key() {
    let chain = FakeChain::new();
    chain.state.lock().mines = true;
    let (alice, bob) = (wallet(&chain, '7'), wallet(&chain, '8'));
    let id = "CESSAAAAAAAAAAAAAAAA";
    let taken = Namespace::global(bob.address());
    set_name(&bob, &taken, key_name(id).as_bytes(), 0, b"nonsense", PATIENCE).await.unwrap();
    set_name(&alice, &Namespace::of(alice.address(), "s3keys"), id.as_bytes(), 0, b"", PATIENCE).await.unwrap();
    let listed = [RegisteredKey { id: id.to_owned(), is_active: false }];
    assert_eq!(registered_keys(&*chain, alice.address()).await.unwrap(), listed);
    revoke_key(&alice, id).await.unwrap();
    assert_eq!(registered_keys(&*chain, alice.address()).await.unwrap(), []);
    assert!(name_record(&*chain, taken.id(), key_name(id).as_bytes()).await.unwrap().is_some(), "bob's stays");
}
