//! The storage market on a localnet: what is held is audited, a miner that dies is found, fined and replaced, who keeps data is paid.

use crate::{
    cluster::{Cluster, PATIENCE, noise},
    process::{cess, json_of},
};
use alloy_sol_types::SolCall;
use cess::{
    client::{ChainClient, ChainEvent, EventFollower, Wallet},
    ledger::{
        abi::{IRewards, REWARDS},
        audit::{Outcome, Verdict},
    },
    localnet::Action,
    types::{Address, ByteCount, FileId, U256},
};
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long one chapter may take: five rounds, on a machine that is several times slower than usual.
const CHAPTER: Duration = Duration::from_secs(480);
/// An era is a round and a third.
const ERA: u64 = 40;

/// Reads the chain's events in order and waits for those a story needs.
struct Reader {
    follower: EventFollower,
}

impl Reader {
    /// Hands events to `take` until it is content.
    async fn until(&mut self, what: &str, mut take: impl FnMut(&ChainEvent) -> bool) {
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < CHAPTER, "waited {} s for {what}", CHAPTER.as_secs());
            let Some(step) = self.follower.step(Duration::from_secs(5)).await.unwrap() else { continue };
            let events = step.batches.iter().flat_map(|batch| &batch.events);
            // All of a step is looked at, so that nothing is lost between two chapters.
            let mut content = false;
            events.for_each(|(_, event)| content |= take(event));
            if content {
                return;
            }
        }
    }
}

/// Keeps blocks coming at their shortest interval for as long as it lives.
struct Pulse(tokio::task::JoinHandle<()>);

impl Pulse {
    fn of(wallet: Wallet) -> Self {
        Self(tokio::spawn(async move {
            let nobody = Address::repeat_byte(1);
            while wallet.send_and_wait(nobody, U256::ONE, Default::default(), PATIENCE).await.is_ok() {}
        }))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn passed(verdict: u8) -> Verdict {
    Verdict::decode(verdict).expect("a verdict on the chain is one")
}

async fn holders_of(chain: &Arc<dyn ChainClient>, id: FileId) -> BTreeSet<Address> {
    chain.file(id).await.unwrap().expect("the file exists").holders.into_iter().collect()
}

async fn claimable(chain: &Arc<dyn ChainClient>, miner: Address) -> U256 {
    let data = IRewards::accountCall { miner }.abi_encode();
    let answer = chain.call(REWARDS, data.into()).await.unwrap();
    IRewards::accountCall::abi_decode_returns(&answer).unwrap().claimable
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_miner_is_found_fined_and_replaced_and_the_others_are_paid() {
    // One segment of idle space each: thirteen miners make them on the processor that the audits wait for.
    let net = Cluster::builder().storage(13).tees(1).era_blocks(ERA).space(ByteCount::mib(64)).idle(ByteCount::mib(1));
    let cluster = net.start().await;
    let bytes = noise(1_500_000, 21);
    let stored = cluster.put(&bytes).await;
    let mut reader = Reader { follower: EventFollower::new(cluster.chain.clone(), stored.block) };
    let _pulse = Pulse::of(cluster.wallet(9));

    // Everything is audited: openings, tags and idle space.
    let mut waiting = holders_of(&cluster.chain, stored.id).await;
    let mut faults = Vec::new();
    reader
        .until("every holder to pass with tags and idle space", |event| {
            if let ChainEvent::AuditDecided { miner, verdict, round, .. } = event {
                let all = Verdict { spot: Outcome::Passed, tags: Outcome::Passed, idle: Outcome::Passed };
                if passed(*verdict).is_fault() {
                    faults.push((*miner, *round, passed(*verdict)));
                }
                if passed(*verdict) == all {
                    waiting.remove(miner);
                }
            }
            waiting.is_empty()
        })
        .await;
    assert!(faults.is_empty(), "honest miners have faults: {faults:?}");

    // One dies.
    let (_, names) = cluster.holders(stored.id).await;
    let victim = cluster.chain.file(stored.id).await.unwrap().unwrap().holders[0];
    cluster.act(Action::Kill, &names[0]).await;
    let (mut fined, mut lost) = (U256::ZERO, false);
    reader
        .until("the dead miner to be forced out", |event| {
            match event {
                ChainEvent::MinerFined { account, amount, .. } if *account == victim => fined += *amount,
                ChainEvent::MinerLost { account, .. } if *account == victim => lost = true,
                _ => {}
            }
            lost
        })
        .await;
    assert!(!fined.is_zero(), "it was fined before it was forced out");
    reader
        .until("its column to be rebuilt", |event| {
            matches!(event, ChainEvent::RepairCompleted { file, from, .. } if *file == stored.id && *from == victim)
        })
        .await;
    let holders = holders_of(&cluster.chain, stored.id).await;
    assert!(holders.len() == 12 && !holders.contains(&victim));
    let stat = cluster.gateway.stat(stored.id).await.unwrap();
    assert!(stat.segments.iter().flat_map(|segment| &segment.fragments).all(|fragment| fragment.healthy));
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);

    // Whoever kept data is paid for it.
    let keeper = *holders.iter().next().unwrap();
    assert!(!claimable(&cluster.chain, keeper).await.is_zero());
    let claim = IRewards::claimCall { miner: keeper, eras: 16 }.abi_encode();
    cluster.wallet(8).send_and_wait(REWARDS, U256::ZERO, claim.into(), PATIENCE).await.unwrap();
    reader
        .until("the claim", |event| {
            matches!(event, ChainEvent::RewardClaimed { miner, amount, .. } if *miner == keeper && !amount.is_zero())
        })
        .await;

    tells_the_story(&cluster, &names[0], victim).await;
    cluster.stop().await;
}

/// The same by the command line.
async fn tells_the_story(cluster: &Cluster, name: &str, victim: Address) {
    let url = cluster.running.document().await.rpc;
    let home = tempfile::tempdir().unwrap();
    let says = |args: &[&str]| {
        let output = cess(home.path(), &[&["--url", &url], args].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let victim = victim.to_string();
    let status = says(&["miner", "status", &victim]);
    assert!(status.contains(name) && status.contains("lost"), "{status}");
    let slash = says(&["explain", "slash", &victim]);
    assert!(slash.contains("5 %") || slash.contains("5%"), "{slash}");
    let events = says(&["events", "--from", "1"]);
    assert!(events.contains(name), "{events}");
    let workers = json_of(&cess(home.path(), &["--url", &url, "--json", "tee", "list"]));
    assert!(workers.to_string().contains("DEV-"), "{workers}");
}
