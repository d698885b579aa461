//! Stories of a miner: what the chain makes it keep and drop, what it refuses, how it cares for what it has.

use super::*;
use crate::{
    crypto::PublicKey,
    kv::MemoryKv,
    ledger::receipt::receipt_message,
    network::MemoryHub,
    runtime::CpuPool,
    storage::{
        DataError,
        cluster::{Cluster, FakeChain, sample},
        fragments::MemoryStore,
        journal::{JournalClient, JournalId},
        slicer::fragment_id,
        wire::{Ask, DATA, Refusal, Request},
    },
    types::FragmentId,
};
use bytes::Bytes;
use std::time::Duration;

pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// Waits until something is so.
pub(super) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + DEADLINE;
    while !done() {
        assert!(tokio::time::Instant::now() < end, "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stored_files_are_claimed_and_deleted_ones_dropped() {
    let cluster = Cluster::new(12).await;
    let (one, two) = (cluster.put(&sample(1, 4_000)).await, cluster.put(&sample(2, 4_000)).await);
    cluster.settled().await;
    let miner = cluster.miner(one.holders[3]);
    let claim = miner.store.index().claim_of(one.file).unwrap().unwrap();
    let ids: Vec<FragmentId> = claim.fragments.iter().map(|claimed| claimed.id).collect();
    assert_eq!((claim.column, ids), (3, vec![one.manifest.segments[0].fragments[3]]));
    cluster.chain.advance(2 * Params::dev().unclaimed_fragment_blocks);
    cluster.settled().await;
    cluster.chain.delete(one.file);
    cluster.settled().await;
    let (column, rounds) = (two.manifest.column_bytes(), 2 * Params::dev().audit_round_blocks);
    assert_eq!(cluster.stored_bytes().0, column * 24, "audits of this round may still ask for it");
    cluster.chain.advance(rounds);
    cluster.settled().await;
    until("it is dropped when they are over", || cluster.stored_bytes().0 == column * 12).await;
    assert_eq!(cluster.get(&two).await, sample(2, 4_000));
    let cursor = miner.store.index().cursor().unwrap().unwrap();
    assert_eq!((cursor.genesis, cursor.height), ([1; 32], cluster.chain.height() - rounds), "where files last changed");
}

#[tokio::test]
async fn journals_lie_on_miners_and_take_of_what_they_lend() {
    let cluster = Cluster::new(4).await;
    let peer = crate::network::peer_id_of(&SecretKey::from_bytes(&[99; 32]).public()).unwrap();
    let (network, miners) = (cluster.hub.join(peer), Arc::new(cluster.directory.clone()));
    let client = JournalClient::new(&cluster.node, network, miners, [7; 32]);
    let id = JournalId([1; 32]);
    let members = client.create(id, 1).await.unwrap();
    let journal = client.open(id, members, 1).await.unwrap();
    journal.append(vec![Bytes::from(vec![1; 100_000])]).await.unwrap();
    let taken = |account| cluster.miner(account).store.index().space().journals;
    until("every member counts it", || members.iter().all(|account| taken(*account) > 100_000)).await;
    let others = cluster.miners.iter().map(|miner| miner.account()).filter(|account| !members.contains(account));
    assert!(others.map(taken).all(|bytes| bytes == 0));
}

#[tokio::test]
async fn what_no_file_claims_is_collected_in_time() {
    let cluster = Cluster::new(12).await;
    let mut upload = cluster.upload_of(None);
    cluster.try_put(&mut upload, &sample(1, 4_000)[..]).await.unwrap();
    assert!(cluster.stored_bytes().0 > 0);
    let wait = Params::dev().unclaimed_fragment_blocks;
    cluster.chain.advance(wait / 2);
    cluster.settled().await;
    assert!(cluster.stored_bytes().0 > 0, "too early");
    cluster.chain.advance(wait);
    until("unclaimed fragments are collected", || cluster.stored_bytes().0 == 0).await;
}

/// A receipt binds even a miner that is far behind: it must not collect what it signed for while it catches up.
#[tokio::test]
async fn a_miner_that_lags_keeps_what_it_signed_for() {
    let cluster = Cluster::new(12).await;
    let bytes = sample(1, 4_000);
    cluster.settled().await;
    cluster.chain.mute(true);
    cluster.chain.advance(2 * Params::dev().unclaimed_fragment_blocks);
    let behind = *cluster.miners[0].service.followed().borrow();
    let mut upload = cluster.upload_of(None);
    let call = cluster.try_put(&mut upload, &bytes[..]).await.unwrap();
    let index = cluster.miners[0].store.index();
    let (_, info) = index.list(None, 1).unwrap()[0];
    assert_eq!(info.pending_since, Some(cluster.chain.height()));
    assert!(behind + Params::dev().unclaimed_fragment_blocks < cluster.chain.height());
    // A late put, stamped with the height followed, does not take that back.
    index.acknowledge(&[index.list(None, 1).unwrap()[0].0], behind).unwrap();
    cluster.chain.mute(false);
    cluster.settled().await;
    // Every miner has collected with its claims still missing; now the file is stored.
    cluster.chain.store(&call, cluster.owner).unwrap();
    cluster.settled().await;
    cluster.chain.advance(2 * Params::dev().unclaimed_fragment_blocks);
    cluster.settled().await;
    assert_eq!(cluster.fetcher.health(&cluster.source(&call).await).await.worst(), 12);
    assert_eq!(cluster.get(&call).await, bytes);
}

#[test]
fn fragments_wait_at_least_as_long_as_a_placement_is_valid() {
    for params in [Params::mainnet(), Params::dev()] {
        assert!(params.unclaimed_fragment_blocks >= params.placement_window_blocks, "{:?}", params.profile);
    }
}

#[tokio::test]
async fn receipts_are_signed_only_over_what_is_held() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 4_000)).await;
    let miner = cluster.miner(call.holders[5]);
    let ask = |column: u8, bytes: Bytes| {
        let data = cluster.data.clone();
        async move { data.receipt(miner.peer, column, &bytes, DEADLINE).await }
    };
    let bytes: Bytes = call.manifest_bytes.0.clone();
    let receipt = ask(5, bytes.clone()).await.unwrap();
    let record = &cluster.directory.find(&[miner.account()]).await.unwrap()[0].clone().unwrap();
    let message = receipt_message(11_332, call.file, 5, miner.account());
    assert!(PublicKey(record.account_key).verify(&message, &crate::crypto::Signature(receipt)).is_ok());
    let refused = |result: Result<[u8; 64], DataError>| match result {
        Err(DataError::Refused { refusal, .. }) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(ask(4, bytes.clone()).await), Refusal::Missing(vec![0]));
    assert!(matches!(refused(ask(12, bytes).await), Refusal::Invalid(_)));
    assert!(matches!(refused(ask(1, Bytes::from_static(b"nonsense")).await), Refusal::Invalid(_)));
}

#[tokio::test]
async fn nonsense_ends_a_stream_but_not_the_service() {
    let cluster = Cluster::new(1).await;
    let peer = cluster.miners[0].peer;
    let id = FragmentId([9; 32]);
    let short_put = codec_of(Ask::Put { id, len: 256 });
    for frames in [vec![Bytes::from_static(b"\xffgarbage")], vec![short_put, Bytes::from_static(b"short")]] {
        let network = cluster.hub.join(libp2p::PeerId::random());
        let mut stream = network.open(peer, DATA).await.unwrap();
        for frame in frames {
            stream.send(frame).await.unwrap();
        }
        assert!(!matches!(stream.recv().await, Ok(Some(_))), "nothing is answered");
    }
    let bytes = Bytes::from(sample(1, 256));
    let wrong = cluster.data.put(peer, id, bytes.clone(), DEADLINE).await.unwrap_err();
    assert!(matches!(wrong, DataError::Refused { refusal: Refusal::Mismatch(found), .. } if found == id));
    let good = fragment_id(&bytes);
    cluster.data.put(peer, good, bytes.clone(), DEADLINE).await.unwrap();
    assert_eq!(cluster.data.get(peer, good, 256, DEADLINE).await.unwrap(), bytes);
    assert_eq!(cluster.data.has(peer, vec![id, good], DEADLINE).await.unwrap(), [false, true]);
    let absent = cluster.data.get(peer, id, 256, DEADLINE).await.unwrap_err();
    assert!(matches!(absent, DataError::Refused { refusal: Refusal::NotHeld(found), .. } if found == id));
    assert_eq!(cluster.miners[0].node.metrics.counter(crate::runtime::Counter::BadFrames), 2);
}

fn codec_of(ask: Ask) -> Bytes {
    crate::codec::encode(&Request { tag: 1, ask }).into()
}

fn declaration(capacity: u64) -> Declaration {
    Declaration { name: "m".into(), operator: None, prefix: 0, capacity }
}

#[tokio::test]
async fn scrub_finds_damage_reports_it_and_has_the_copy_rebuilt() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 4_000)).await;
    cluster.settled().await;
    let (miner, id) = (cluster.miner(call.holders[0]), call.manifest.segments[0].fragments[0]);
    miner.store.memory.damage(id);
    let usual = MinerConfig::new(declaration(1 << 30));
    let config = MinerConfig { scrub_bytes_per_second: u64::MAX, scrub_delay: Duration::ZERO, ..usual };
    // A second set of workers on the same store, at work at once.
    upkeep::start(&miner.service.inner, &config);
    let healed = || miner.node.metrics.counter(crate::runtime::Counter::FragmentsHealed) == 1;
    until("the damaged copy is replaced", healed).await;
    let workers = miner.node.workers.list();
    let scrub = workers.iter().find(|worker| worker.name == "scrub" && worker.errors > 0).unwrap();
    assert_eq!(scrub.last_error, Some(format!("fragment {id} on disk is damaged: its bytes do not match its id")));
    assert_eq!(miner.store.index().stat(id).unwrap().unwrap().claims, 1);
    assert_eq!(fragment_id(&miner.store.get(id).await.unwrap()), id);
}

#[tokio::test]
async fn a_start_that_cannot_work_says_why() {
    let (chain, hub) = (FakeChain::new(), MemoryHub::new(1));
    let keys = NodeKeys::derive(&[1; 32]);
    let store = MemoryStore::new(Arc::new(MemoryKv::new()), 1 << 30).unwrap();
    let start = |capacity: u64, seed: u8| {
        let (chain, hub, store, keys) = (chain.clone(), hub.clone(), store.clone(), NodeKeys::derive(&[seed; 32]));
        async move {
            let node = Node::new("miner", CpuPool::new("test", 1));
            let network = hub.join(libp2p::PeerId::random());
            let config = MinerConfig::new(declaration(capacity));
            MinerService::start(&node, network, chain, &keys, store, config).await.err().unwrap().to_string()
        }
    };
    assert_eq!(start(1_000, 1).await, "1000 B are lent, the network accepts miners from 1 MiB");
    let account = keys.address();
    let poor = format!(
        "account {account} has 0.000000000000000003 tokens, 1 are needed as collateral and a little for fees: send it tokens and start again"
    );
    assert_eq!(start(1 << 30, 1).await, poor);
    chain.add_miner(MinerRecord {
        address: account,
        operator: account,
        network_key: [5; 32],
        account_key: keys.account.public().0,
        prefix: 0,
        capacity: 1 << 30,
        used: 0,
        since: 1,
        name: "m".into(),
        ..MinerRecord::default()
    });
    assert!(start(1 << 30, 1).await.contains("is registered with another network key"));
    store.index().set_cursor(Cursor::new(B256::repeat_byte(9), 4), Durability::Synced).unwrap();
    assert!(start(1 << 30, 1).await.starts_with("the fragments here belong to the chain with genesis 0x0909"));
}

#[tokio::test]
async fn a_leaving_miners_column_is_taken_over_by_one_that_has_none() {
    let mut cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(3, 9_000)).await;
    cluster.settled().await;
    cluster.add_miner(40).await;
    let (old, new) = (call.holders[4], cluster.miners[12].account());
    cluster.chain.leave(old);
    cluster.settled().await;
    let claimed = || cluster.chain.market(|market| market.orders[0].claimer == new);
    until("the free miner claims it, after those that hold a column passed it over", claimed).await;
    cluster.chain.advance(2);
    until("it completes the repair", || cluster.chain.market(|market| market.orders.is_empty())).await;
    cluster.chain.advance(1);
    cluster.settled().await;
    let successor = cluster.miner(new);
    assert_eq!(successor.store.index().claim_of(call.file).unwrap().unwrap().column, 4);
    assert_eq!(successor.store.ids_held(), [call.manifest.segments[0].fragments[4]]);
    let leaver = cluster.miner(old);
    assert_eq!(leaver.store.index().claim_of(call.file).unwrap(), None);
    assert_eq!(*leaver.service.inner.state.borrow(), MinerState::Exiting);
    cluster.hub.crash(leaver.peer);
    assert_eq!(cluster.get(&call).await, sample(3, 9_000));
}

#[tokio::test]
async fn a_column_that_cannot_be_rebuilt_is_given_up_after_some_rounds() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(3, 9_000)).await;
    cluster.settled().await;
    let miner = cluster.miner(call.holders[0]);
    for holder in &call.holders[1..] {
        cluster.miner(*holder).set(crate::storage::cluster::Fault::Lies);
    }
    miner.store.discard(call.manifest.segments[0].fragments[0]).await.unwrap();
    let end = tokio::time::Instant::now() + DEADLINE;
    while cluster.chain.market(|market| market.surrendered.is_empty()) {
        assert!(tokio::time::Instant::now() < end, "the column is given up");
        cluster.chain.advance(Params::dev().audit_round_blocks);
        cluster.settled().await;
        let failed = |name: &str| miner.node.workers.list().iter().find(|w| w.name == name).map_or(0, |w| w.errors);
        let before = failed("self-heal");
        until("another attempt fails", || failed("self-heal") > before).await;
    }
    // The attempt after may give it up once more, which changes nothing.
    assert!(cluster.chain.market(|market| market.surrendered.iter().all(|file| *file == call.file)));
    assert!(cluster.chain.height() > 3 * Params::dev().audit_round_blocks, "not at once");
}

#[tokio::test]
async fn a_miner_that_was_forced_out_answers_no_round() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 4_000)).await;
    let (lost, other) = (call.holders[2], call.holders[3]);
    cluster.chain.emit(crate::client::ChainEvent::MinerLost { account: lost, held: 1 });
    cluster.settled().await;
    cluster.chain.advance(Params::dev().audit_round_blocks - cluster.chain.height());
    let answered = |miner| cluster.chain.market(|market| market.answers.contains_key(&(miner, 1)));
    until("the others answer", || cluster.chain.market(|market| market.answers.len()) >= 11).await;
    assert!(answered(other) && !answered(lost));
}
