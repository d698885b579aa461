//! Nodes that die, stop and come back.

use crate::cluster::{Cluster, PATIENCE, noise, wait_for};
use cess::{localnet::Action, types::U256};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_eight_of_twelve_holders_may_be_down() {
    let cluster = Cluster::builder().start().await;
    let bytes = noise((33 << 20) + 1, 11);
    let stored = cluster.put(&bytes).await;
    let (_, names) = cluster.holders(stored.id).await;
    // The four data fragments are among the eight, so that decoding is really needed.
    for name in &names[..8] {
        cluster.act(Action::Kill, name).await;
    }
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    assert_eq!(cluster.get_past_cache(stored.id).await.unwrap(), bytes);
    let stat = cluster.gateway.stat(stored.id).await.unwrap();
    let healthy = stat.segments[0].fragments.iter().filter(|f| f.healthy).count();
    assert_eq!(healthy, 4);

    cluster.act(Action::Kill, &names[8]).await;
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes, "the gateway has read it lately");
    let error = cluster.get_past_cache(stored.id).await.unwrap_err().to_string();
    assert!(!error.is_empty());
    cluster.act(Action::Start, &names[0]).await;
    let back =
        wait_for("the restarted holder to serve again", || async { cluster.get_past_cache(stored.id).await.ok() })
            .await;
    assert_eq!(back, bytes);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_validators_survive_the_death_of_any_one_and_it_catches_up() {
    let cluster = Cluster::builder().validators(4).storage(0).start().await;
    let height = |v: usize| {
        let chain = cluster.chain_of(v);
        async move { chain.status().await.map(|s| s.height) }
    };
    for victim in [3, 1] {
        let name = format!("validator-{victim}");
        cluster.act(Action::Kill, &name).await;
        let before = height(0).await.unwrap();
        let wallet = cluster.wallet(0);
        wallet.send_and_wait(wallet.address(), U256::from(1), Default::default(), PATIENCE).await.unwrap();
        wait_for("three validators to go on", || async { (height(0).await.ok()? >= before + 5).then_some(()) }).await;
        cluster.act(Action::Start, &name).await;
        let goal = height(0).await.unwrap();
        wait_for("the restarted validator to catch up", || async {
            (height(victim).await.ok()? >= goal).then_some(())
        })
        .await;
    }
    // Agreement: the same block everywhere at the lowest common height.
    let mut hashes = Vec::new();
    let common = height(0).await.unwrap();
    for v in 0..4 {
        let chain = cluster.chain_of(v);
        wait_for("all to reach one height", || async { (chain.status().await.ok()?.height >= common).then_some(()) })
            .await;
        hashes.push(chain.beacon(common).await.unwrap().unwrap());
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_localnet_continues_with_everything_it_acknowledged() {
    let cluster = Cluster::builder().validators(2).start().await;
    let bytes = noise(3_000_000, 12);
    let stored = cluster.put(&bytes).await;
    let height = cluster.chain.status().await.unwrap().height;
    let cluster = cluster.restart().await;
    assert!(cluster.chain.status().await.unwrap().height >= height);
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    // And after everything was killed at once.
    for node in cluster.running.document().await.nodes {
        cluster.act(Action::Kill, &node.name).await;
    }
    let cluster = cluster.restart().await;
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    let again = cluster.put(&noise(10, 13)).await;
    assert!(again.block > stored.block);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_miner_is_replaced_during_an_upload() {
    let cluster = Cluster::builder().storage(14).start().await;
    cluster.act(Action::Pause, "storage-3").await;
    let bytes = noise(2_000_000, 14);
    let stored = cluster.put(&bytes).await;
    let (stat, names) = cluster.holders(stored.id).await;
    assert!(!names.contains(&"storage-3".to_owned()), "{names:?}");
    assert!(stat.segments[0].fragments.iter().all(|f| f.healthy));
    cluster.act(Action::Resume, "storage-3").await;
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    cluster.stop().await;
}
