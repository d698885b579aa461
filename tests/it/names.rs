//! Names and operators on a chain that runs.

use crate::cluster::{Cluster, PATIENCE};
use cess::{
    access::group::{BucketKey, ChainOwners, GatewayKey, Owners, Ownership, SwapFault},
    client::{
        ChainError, NameError, Namespace, approve_operator, is_operator, name_record, names_in, remove_name, set_name,
    },
    types::{Address, B256},
};
use futures::future::join_all;

/// Names of the largest size that are set and listed.
const MANY: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_change_by_their_versions_and_operators_act_for_accounts() {
    let cluster = Cluster::builder().start().await;
    let (alice, gateway) = (cluster.wallet(0), cluster.wallet(1));
    let chain = &*cluster.chain;

    // The global namespace: the first one has it.
    let (ours, theirs) = (Namespace::global(alice.address()), Namespace::global(gateway.address()));
    let version = set_name(&alice, &ours, b"bucket/photos", 0, b"alice's", PATIENCE).await.unwrap();
    let refused = set_name(&gateway, &theirs, b"bucket/photos", 0, b"mine", PATIENCE).await.unwrap_err();
    assert!(refused.to_string().contains("has version"), "{refused}");
    let refused = set_name(&gateway, &theirs, b"bucket/photos", version, b"mine", PATIENCE).await.unwrap_err();
    assert!(matches!(&refused, NameError::Chain(ChainError::Refused { .. })), "{refused}");
    assert!(refused.to_string().contains("name `bucket/photos` is "), "{refused}");
    let found = name_record(chain, B256::ZERO, b"bucket/photos").await.unwrap().unwrap();
    assert_eq!((found.owner, found.version, &found.value[..]), (alice.address(), version, &b"alice's"[..]));
    remove_name(&alice, &ours, b"bucket/photos", version, PATIENCE).await.unwrap();
    assert_eq!(name_record(chain, B256::ZERO, b"bucket/photos").await.unwrap(), None);

    // A bucket's owner is set by a gateway that may act for the account, and by no other.
    let (owners, bucket) = (ChainOwners::new(gateway.clone()), BucketKey::new(alice.address(), [7; 16]));
    let me = GatewayKey { account: gateway.address().into(), peer: [1; 32] };
    let ownership = |epoch| Ownership::new(me, epoch, &[1, 2, 3].map(Address::repeat_byte));
    let refused = owners.swap(&bucket, 0, &ownership(1)).await.unwrap_err();
    assert!(matches!(&refused, SwapFault::Refused(words) if words.contains("approve it as an operator")), "{refused}");
    approve_operator(&alice, gateway.address(), true, PATIENCE).await.unwrap();
    assert!(is_operator(chain, alice.address(), gateway.address()).await.unwrap());
    let first = owners.swap(&bucket, 0, &ownership(1)).await.unwrap();
    assert_eq!(owners.swap(&bucket, 0, &ownership(2)).await, Err(SwapFault::Conflict));
    owners.swap(&bucket, first, &ownership(2)).await.unwrap();
    assert_eq!(owners.read(&bucket).await.unwrap().unwrap().ownership, ownership(2));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_names_of_the_largest_size_are_listed() {
    let cluster = Cluster::builder().start().await;
    let alice = cluster.wallet(0);
    let space = Namespace::of(alice.address(), *b"db/large");
    let names: Vec<String> = (0..MANY).map(|number| format!("{number:0>256}")).collect();
    let set = |name: String| {
        let (alice, space) = (alice.clone(), space.clone());
        async move { set_name(&alice, &space, name.as_bytes(), 0, &[7; 256], PATIENCE).await.unwrap() }
    };
    let mut versions = join_all(names.iter().cloned().map(set)).await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=u64::try_from(MANY).unwrap()).collect::<Vec<_>>());
    let listed = names_in(&*cluster.chain, space.id()).await.unwrap();
    let listed: Vec<String> = listed.into_iter().map(|name| String::from_utf8(name.name.to_vec()).unwrap()).collect();
    assert_eq!(listed, names);
    cluster.stop().await;
}
