//! What it costs to make a bucket and to open one: transactions, which are what one waits for.

use super::*;
use crate::access::service::{OwnerKeyError, owner_bucket_key, register_owner_key};

/// Ann's, where she acts herself.
const ANN_KEY: &str = "ed25519:0x0707070707070707070707070707070707070707070707070707070707070707";

/// Transactions until a new bucket answers: its names, and the manifest of its engine.
const MAKING: u64 = 2;
/// Transactions until a bucket that has no tables is open at another gateway, or again at its own: its owner, and the manifest.
const OPENING: u64 = 2;
/// As many if it has tables: a manifest that names some may have no room in a name and be a file besides.
const OPENING_WITH_TABLES: u64 = 3;

#[tokio::test]
async fn making_a_bucket_waits_for_two_transactions() {
    let world = World::new().await;
    let gateway = world.gateway(1);
    for bucket in ["one", "two"].map(|text| name(&format!("bucket-{text}"))) {
        let before = world.chain.transactions();
        gateway.create(&bucket).await.unwrap();
        assert_eq!(world.chain.transactions() - before, MAKING);
        gateway.put(&bucket, "k", b"value").await;
        assert_eq!(gateway.get(&bucket, "k").await, b"value");
        assert_eq!(world.chain.transactions() - before, MAKING, "small objects cost none");
        let again = gateway.create(&bucket).await.unwrap_err();
        assert_eq!(again, ObjectsError::BucketAlreadyOwnedByYou { bucket: bucket.clone() });
        assert_eq!(world.chain.transactions() - before, MAKING);
    }
    assert_eq!(gateway.access.objects.list_buckets(ANN).await.unwrap().len(), 2);
}

#[tokio::test]
async fn opening_a_bucket_waits_for_its_owner_and_its_manifest() {
    let world = World::new().await;
    let (fresh, grown) = (name("fresh"), name("grown"));
    let first = world.gateway(1);
    for bucket in [&fresh, &grown] {
        first.create(bucket).await.unwrap();
        first.put(bucket, "k", b"value").await;
    }
    first.access.upkeep.opener.flush(&first.place(&grown).await).await;
    drop(first);
    let second = world.gateway(1);
    let before = world.chain.transactions();
    let (one, two) = tokio::join!(second.get(&fresh, "k"), second.get(&grown, "k"));
    assert_eq!((&one[..], &two[..]), (&b"value"[..], &b"value"[..]));
    let spent = world.chain.transactions() - before;
    assert!(spent <= OPENING + OPENING_WITH_TABLES, "{spent} transactions");
    second.put(&fresh, "l", b"value").await;
    assert_eq!(world.chain.transactions() - before, spent);
}

#[tokio::test]
async fn a_bucket_that_is_not_made_leaves_no_journal() {
    let world = World::new().await;
    let gateway = world.gateway(1);
    let taken = name("taken");
    gateway.create(&taken).await.unwrap();
    let names = world.chain.names();
    world.chain.take(Some(0));
    assert!(gateway.create(&name("other")).await.is_err());
    world.chain.take(None);
    assert_eq!(world.chain.names(), names);
    gateway.access.objects.delete_bucket(&taken).await.unwrap();
    until("both journals go", || world.journal_bytes() == 0).await;
    gateway.create(&name("other")).await.unwrap();
}

#[tokio::test]
async fn an_account_has_the_keys_of_its_buckets_without_a_gateway() {
    let world = World::new().await;
    let (gateway, ann) =
        (world.gateway(1), Wallet::new(world.chain.clone(), Signer::parse(ANN_KEY).unwrap(), CHAIN_ID));
    let create = async |bucket: &BucketName| {
        let ask = CreateBucket { owner: ann.address(), ..asked(bucket) };
        gateway.access.objects.create_bucket(ask).await.unwrap()
    };
    let (early, late) = (name("early"), name("late"));
    create(&early).await;
    register_owner_key(&ann).await.unwrap();
    register_owner_key(&ann).await.unwrap();
    let info = create(&late).await;
    let (id, key) = owner_bucket_key(&ann, &late).await.unwrap();
    assert_eq!(id, info.id);
    assert_eq!(gateway.access.pair.open(&id.0, ann.address(), &info.config.key_envelopes), Ok(key));
    let refused = owner_bucket_key(&ann, &early).await.unwrap_err();
    assert!(matches!(refused, OwnerKeyError::NotSealed { .. }), "{refused}");
    let other = Wallet::new(world.chain.clone(), Signer::parse(&"08".repeat(32)).unwrap(), CHAIN_ID);
    let refused = owner_bucket_key(&other, &late).await.unwrap_err();
    assert!(matches!(refused, OwnerKeyError::NoBucket { .. }), "{refused}");
}
