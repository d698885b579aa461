//! Names read, listed, changed and watched on a fake chain.

use super::fake::FakeChain;
use crate::client::{
    ChainError, ChainEvent, EventBatch, EventStep, NameChange, NameError, NameRecord, NamesWatch, Namespace, Signer,
    Wallet, change_names, name_count, name_record, names_in, remove_name, set_name,
};
use crate::runtime::Tasks;
use crate::types::{Address, B256};
use alloy_primitives::Bytes;
use std::{sync::Arc, time::Duration};

const PATIENCE: Duration = Duration::from_secs(20);
const NATIVE: &str = "ed25519:0x0707070707070707070707070707070707070707070707070707070707070707";

fn chain() -> (Arc<FakeChain>, Wallet) {
    let chain = FakeChain::new();
    chain.state.lock().mines = true;
    (chain.clone(), Wallet::new(chain, Signer::parse(NATIVE).unwrap(), 11_332))
}

fn space(wallet: &Wallet) -> Namespace {
    Namespace::of(wallet.address(), *b"db/01")
}

#[tokio::test]
async fn a_name_is_set_changed_and_removed_by_its_version() {
    let (chain, wallet) = chain();
    let space = space(&wallet);
    assert_eq!(name_record(&*chain, space.id(), b"owner").await.unwrap(), None);
    let first = set_name(&wallet, &space, b"owner", 0, b"one", PATIENCE).await.unwrap();
    let second = set_name(&wallet, &space, b"owner", first, b"two", PATIENCE).await.unwrap();
    assert!(second > first);
    let (name, value) = (Bytes::from_static(b"owner"), Bytes::from_static(b"two"));
    let expected = NameRecord { name, owner: wallet.address(), version: second, value };
    assert_eq!(name_record(&*chain, space.id(), b"owner").await.unwrap(), Some(expected.clone()));

    let refused = set_name(&wallet, &space, b"owner", first, b"three", PATIENCE).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("name `owner` has version {second}, {first} was expected"));
    let NameError::Conflict { present, .. } = refused else { panic!("{refused}") };
    assert_eq!(present, Some(expected));
    let refused = remove_name(&wallet, &space, b"owner", first, PATIENCE).await.unwrap_err();
    assert!(matches!(refused, NameError::Conflict { .. }), "{refused}");
    remove_name(&wallet, &space, b"owner", second, PATIENCE).await.unwrap();
    let refused = remove_name(&wallet, &space, b"owner", second, PATIENCE).await.unwrap_err();
    assert!(matches!(refused, NameError::Conflict { present: None, .. }), "{refused}");
    assert_eq!(Namespace::global(wallet.address()).id(), B256::ZERO);
}

#[tokio::test]
async fn names_change_together_or_not_at_all() {
    let (chain, wallet) = chain();
    let (one, two) = (space(&wallet), Namespace::of(wallet.address(), *b"db/02"));
    let change = async |changes: &[NameChange]| change_names(&wallet, changes, PATIENCE).await;
    let made = [NameChange::set(&one, b"a", 0, b"1"), NameChange::set(&two, b"a", 0, b"2")];
    let versions = change(&made).await.unwrap();
    assert_eq!(chain.state.lock().submitted.len(), 1, "one transaction");
    for (space, version, value) in [(&one, versions[0], b"1"), (&two, versions[1], b"2")] {
        let found = name_record(&*chain, space.id(), b"a").await.unwrap().unwrap();
        assert_eq!((found.version, &found.value[..]), (version, &value[..]));
    }
    let late = change(&[NameChange::set(&one, b"b", 0, b"3"), NameChange::remove(&two, b"a", 9)]).await.unwrap_err();
    assert_eq!(late.to_string(), format!("name `a` has version {}, 9 was expected", versions[1]));
    assert_eq!(name_record(&*chain, one.id(), b"b").await.unwrap(), None);
    let next = [NameChange::set(&one, b"a", versions[0], b"4"), NameChange::remove(&two, b"a", versions[1])];
    let versions = change(&next).await.unwrap();
    assert_eq!(versions[1], 0);
    assert_eq!(name_record(&*chain, one.id(), b"a").await.unwrap().unwrap().version, versions[0]);
    assert!(names_in(&*chain, two.id()).await.unwrap().is_empty());
    let ethereum = Wallet::new(chain.clone(), Signer::parse(&"07".repeat(32)).unwrap(), 11_332);
    let made = [&one, &two].map(|space| NameChange::set(space, b"c", 0, b"5"));
    let refused = change_names(&ethereum, &made, PATIENCE).await.unwrap_err();
    assert!(refused.to_string().contains("only a native account"), "{refused}");
}

#[tokio::test]
async fn a_listing_has_every_name_once_although_some_go_meanwhile() {
    let (chain, wallet) = chain();
    let space = space(&wallet);
    for number in 0..250 {
        set_name(&wallet, &space, format!("name {number:03}").as_bytes(), 0, b"", PATIENCE).await.unwrap();
    }
    assert_eq!(name_count(&*chain, space.id()).await.unwrap(), 250);
    let named = |list: Vec<NameRecord>| list.into_iter().map(|name| name.name.to_vec()).collect::<Vec<_>>();
    let all: Vec<Vec<u8>> = (0..250).map(|number| format!("name {number:03}").into_bytes()).collect();
    assert_eq!(named(names_in(&*chain, space.id()).await.unwrap()), all);
    assert!(names_in(&*chain, B256::ZERO).await.unwrap().is_empty());
    // After the first page is read the first name goes, and the last one takes its place.
    chain.state.lock().names.first_goes_after = Some(0);
    assert_eq!(named(names_in(&*chain, space.id()).await.unwrap()), all[1..]);
}

#[tokio::test]
async fn a_watched_name_is_read_once_and_follows_the_events() {
    let (chain, wallet) = chain();
    let space = space(&wallet);
    let watch = NamesWatch::new(chain.clone());
    let value = |found: Option<NameRecord>| found.map(|found| found.value.to_vec());
    assert_eq!(value(watch.get(space.id(), b"owner").await.unwrap()), None);
    let before = set_name(&wallet, &space, b"owner", 0, b"one", PATIENCE).await.unwrap();
    assert_eq!(
        value(watch.get(space.id(), b"owner").await.unwrap()),
        Some(b"one".to_vec()),
        "it was not looked for again"
    );
    let first = set_name(&wallet, &space, b"owner", before, b"two", PATIENCE).await.unwrap();
    assert_eq!(value(watch.get(space.id(), b"owner").await.unwrap()), Some(b"one".to_vec()), "it was read again");
    watch.apply(&newest(&chain));
    chain.state.lock().names.entries.clear();
    assert_eq!(value(watch.get(space.id(), b"owner").await.unwrap()), Some(b"two".to_vec()));
    // What is older than what is kept changes nothing.
    watch.apply(&step(ChainEvent::NameRemoved {
        namespace: space.id(),
        owner: wallet.address(),
        name: Bytes::from_static(b"owner"),
        version: first - 1,
    }));
    assert_eq!(value(watch.get(space.id(), b"owner").await.unwrap()), Some(b"two".to_vec()));
    watch.apply(&step(ChainEvent::NameRemoved {
        namespace: space.id(),
        owner: wallet.address(),
        name: Bytes::from_static(b"owner"),
        version: first,
    }));
    assert_eq!(value(watch.get(space.id(), b"owner").await.unwrap()), None);
}

#[tokio::test]
async fn a_watch_follows_the_chain_by_itself() {
    let (chain, wallet) = chain();
    let space = space(&wallet);
    let (watch, tasks) = (Arc::new(NamesWatch::new(chain.clone())), Tasks::new("test"));
    watch.follow(&tasks);
    let first = set_name(&wallet, &space, b"owner", 0, b"one", PATIENCE).await.unwrap();
    assert!(watch.get(space.id(), b"owner").await.unwrap().is_some());
    let second = set_name(&wallet, &space, b"owner", first, b"two", PATIENCE).await.unwrap();
    tokio::time::timeout(PATIENCE, until_version(&watch, space.id(), second)).await.expect("the event came");
    assert!(tasks.shutdown().await.is_empty(), "a task had to be aborted");
}

async fn until_version(watch: &NamesWatch, namespace: B256, version: u64) {
    while watch.get(namespace, b"owner").await.unwrap().is_none_or(|found| found.version != version) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_watched_is_read_again_after_a_while() {
    let (chain, wallet) = chain();
    let space = space(&wallet);
    let watch = NamesWatch::new(chain.clone());
    let first = set_name(&wallet, &space, b"owner", 0, b"one", PATIENCE).await.unwrap();
    let version = |found: Option<NameRecord>| found.map(|found| found.version);
    assert_eq!(version(watch.get(space.id(), b"owner").await.unwrap()), Some(first));
    let second = set_name(&wallet, &space, b"owner", first, b"two", PATIENCE).await.unwrap();
    // The event never came.
    assert_eq!(version(watch.get(space.id(), b"owner").await.unwrap()), Some(first));
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(version(watch.get(space.id(), b"owner").await.unwrap()), Some(second));
}

#[tokio::test]
async fn a_name_that_cannot_be_read_is_asked_for_again() {
    let (chain, wallet) = chain();
    let watch = NamesWatch::new(chain.clone());
    chain.state.lock().call_fails = Some(ChainError::Unreachable("the test pulled the plug".into()));
    assert!(matches!(watch.get(B256::ZERO, b"bucket/a").await, Err(ChainError::Unreachable(_))));
    set_name(&wallet, &Namespace::global(wallet.address()), b"bucket/a", 0, b"", PATIENCE).await.unwrap();
    assert!(watch.get(B256::ZERO, b"bucket/a").await.unwrap().is_some());
}

fn newest(chain: &FakeChain) -> EventStep {
    let state = chain.state.lock();
    let batch = state.events.values().last().unwrap().clone();
    EventStep { from: batch.height, to: batch.height, batches: vec![batch] }
}

fn step(event: ChainEvent) -> EventStep {
    let batch = EventBatch { height: 9, events: vec![(Address::ZERO.into_word(), event)] };
    EventStep { from: 9, to: 9, batches: vec![batch] }
}
