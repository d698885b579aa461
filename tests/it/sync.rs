//! Nodes that join late, or come back without a disk.

use crate::cluster::{Cluster, PATIENCE, wait_for};
use cess::{localnet::Action, types::U256};

/// Blocks of an era here: a snapshot is kept at the end of each.
const ERA: u64 = 8;

/// One validator of four loses its database and comes back with the state of a recent block. Then another one dies, so that nothing
/// can be decided any more without the vote of the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_validator_comes_back_by_state_and_votes_again() {
    let cluster = Cluster::builder().validators(4).storage(0).era_blocks(ERA).start().await;
    let height = |v: usize| {
        let chain = cluster.chain_of(v);
        async move { chain.status().await.map(|s| s.height) }
    };
    let wallet = cluster.wallet(0);
    let pay = || wallet.send_and_wait(wallet.address(), U256::from(1), Default::default(), PATIENCE);
    while height(0).await.unwrap() < 2 * ERA {
        pay().await.unwrap();
    }
    cluster.act(Action::Kill, "validator-3").await;
    let dir = cluster.node_dir("validator-3");
    for lost in ["db", "wal"] {
        std::fs::remove_dir_all(dir.join(lost)).unwrap();
    }
    let config = dir.join("config.toml");
    let settings = std::fs::read_to_string(&config).unwrap();
    assert!(settings.contains("sync = \"auto\""), "{settings}");
    std::fs::write(&config, settings.replace("sync = \"auto\"", "sync = \"state\"")).unwrap();
    // Three go on without it.
    pay().await.unwrap();
    cluster.act(Action::Start, "validator-3").await;
    let goal = height(0).await.unwrap();
    wait_for("the wiped validator to catch up", || async { (height(3).await.ok()? >= goal).then_some(()) }).await;
    let workers = cluster.workers_of(3).await;
    assert!(workers.iter().any(|name| name == "state sync"), "it shows what it did: {workers:?}");
    let back = cluster.chain_of(3);
    assert!(back.events(1, 1).await.unwrap_err().to_string().contains("history begins"), "it took over a state");
    assert_eq!(back.beacon(goal).await.unwrap(), cluster.chain.beacon(goal).await.unwrap());

    cluster.act(Action::Kill, "validator-2").await;
    let before = height(0).await.unwrap();
    pay().await.unwrap();
    wait_for("three validators to go on, the wiped one among them", || async {
        (height(0).await.ok()? >= before + 3).then_some(())
    })
    .await;
    cluster.stop().await;
}
