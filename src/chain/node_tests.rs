//! Whole chains on an in-memory network: consensus, execution, gossip and the tunnel together.

use super::{
    bft::{BftConfig, Misbehaviour},
    statesync::{SyncConfig, SyncStore},
    tests::{CHAIN, FEE, native_key},
    *,
};
use crate::{
    client::{ChainClient, RemoteChain, Signer, TunnelTransport, Wallet, light::LightClient},
    codec,
    config::SyncMode,
    consensus::{Conflict, double_vote},
    crypto::{NodeKeys, native_address},
    kv::MemoryKv,
    ledger::{
        abi::{IStaking, STAKING},
        genesis::{Genesis, GenesisAccount, GenesisValidator},
        modules::staking_calls,
        native::NativeTx,
    },
    network::{HostConfig, Libp2pNetwork, MemoryHub, MemoryNetwork, Network, peer_id_of},
    rpc::Server,
    runtime::{Counter, CpuPool, Node, NodeRuntime},
    types::{Address, Amount, Profile, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tempfile::TempDir;

/// Longest any story here may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Validators and followers of one chain.
struct Town {
    hub: Arc<MemoryHub>,
    genesis: Genesis,
    pool: CpuPool,
    dir: TempDir,
}

struct Resident {
    node: Node,
    kv: Arc<MemoryKv>,
    net: Arc<MemoryNetwork>,
    chain: ChainNode,
}

fn keys(i: u8) -> NodeKeys {
    NodeKeys::derive(&[i + 1; 32])
}

fn validator(i: u8) -> GenesisValidator {
    let keys = keys(i);
    GenesisValidator {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        stake: Amount::tokens(1_000),
    }
}

impl Town {
    fn new(validators: u8) -> Self {
        Self::with(validators, |_| {})
    }

    /// A town whose genesis `change` has edited.
    fn with(validators: u8, change: impl FnOnce(&mut Genesis)) -> Self {
        let rich = GenesisAccount { balance: Amount::tokens(1_000), ..GenesisAccount::default() };
        let mut genesis = Genesis {
            chain_id: CHAIN,
            profile: Profile::Dev,
            overrides: Default::default(),
            time_ms: 1_700_000_000_000,
            extra_data: Bytes::new(),
            alloc: BTreeMap::from([(native_address(&native_key().public()), rich)]),
            tee: Default::default(),
            deployments: Vec::new(),
            validators: (0..validators).map(validator).collect(),
        };
        change(&mut genesis);
        Self { hub: MemoryHub::new(1), genesis, pool: CpuPool::new("town", 2), dir: TempDir::new().unwrap() }
    }

    async fn start(&self, i: u8, kv: Arc<MemoryKv>, peers: &[&Resident]) -> Resident {
        self.start_synced(i, kv, peers, SyncConfig::default()).await
    }

    async fn start_synced(&self, i: u8, kv: Arc<MemoryKv>, peers: &[&Resident], sync: SyncConfig) -> Resident {
        let (keys, node) = (keys(i), Node::new(&format!("n{i}"), self.pool.clone()));
        let net = self.hub.join(peer_id_of(&keys.network.public()).unwrap());
        for peer in peers {
            net.dial(peer.net.listen_addrs().remove(0)).await.unwrap();
        }
        let wal_dir = self.dir.path().join(format!("n{i}"));
        let config = ChainConfig { wal_dir, bft: BftConfig::default(), sync, options: Default::default() };
        let chain = ChainNode::start(&node, kv.clone(), net.clone(), &keys, &self.genesis, config).await.unwrap();
        Resident { node, kv, net, chain }
    }
}

fn transfer(nonce: u64, to: Address) -> Bytes {
    let tx = NativeTx {
        chain_id: CHAIN,
        nonce,
        max_priority_fee: 1,
        max_fee: u64::try_from(FEE).unwrap(),
        gas_limit: 21_000,
        key: native_key().public(),
        to,
        value: U256::from(1),
        data: Bytes::new(),
    };
    tx.sign(&native_key())
}

async fn above(client: &dyn ChainClient, height: u64) {
    let status = client.wait_above(height, DEADLINE).await.unwrap();
    assert!(status.height > height, "block {} was not reached", height + 1);
}

async fn mined(client: &dyn ChainClient, tx: crate::types::B256) {
    let story = async {
        let mut height = 0;
        while client.outcome(tx).await.unwrap().is_none() {
            height = client.wait_above(height, DEADLINE).await.unwrap().height;
        }
    };
    tokio::time::timeout(DEADLINE, story).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_validator_serves_a_home_node_through_the_tunnel() {
    let town = Town::new(1);
    let validator = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    let home = town.hub.join(peer_id_of(&keys(9).network.public()).unwrap());
    home.dial(validator.net.listen_addrs().remove(0)).await.unwrap();
    let remote = RemoteChain::new(Arc::new(TunnelTransport::new(home, vec![validator.net.local_peer()])));
    let to = Address::repeat_byte(9);
    let tx = remote.submit(transfer(0, to)).await.unwrap();
    mined(&remote, tx).await;
    assert_eq!(remote.balance(to).await.unwrap(), U256::from(1));
    assert_eq!(remote.status().await.unwrap().genesis, validator.chain.client.chain().spec().genesis);
    let replayed = remote.submit(transfer(0, Address::ZERO)).await.unwrap_err();
    assert_eq!(replayed.to_string(), "replayed transaction: nonce 0 is used, next is 1");
    assert!(validator.chain.bft.is_validator());
    validator.node.tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validators_agree_a_killed_one_catches_up_and_followers_submit() {
    let town = Town::new(4);
    let mut residents: Vec<Resident> = Vec::new();
    for i in 0..4 {
        let peers: Vec<&Resident> = residents.iter().collect();
        let resident = town.start(i, Arc::new(MemoryKv::new()), &peers).await;
        residents.push(resident);
    }
    let to = Address::repeat_byte(9);
    let first = residents[0].chain.client.submit(transfer(0, to)).await.unwrap();
    for resident in &residents {
        mined(resident.chain.client.as_ref(), first).await;
    }
    let killed = residents.pop().unwrap();
    killed.node.kill.pull("killed by the test");
    town.hub.crash(killed.net.local_peer());
    killed.node.tasks.shutdown().await;
    let reached = residents[0].chain.client.status().await.unwrap().height;
    let second = residents[1].chain.client.submit(transfer(1, to)).await.unwrap();
    mined(residents[2].chain.client.as_ref(), second).await;
    above(residents[0].chain.client.as_ref(), reached + 1).await;
    let peers: Vec<&Resident> = residents.iter().collect();
    let back = town.start(3, Arc::new(killed.kv.reopen()), &peers).await;
    mined(back.chain.client.as_ref(), second).await;
    let height = back.chain.client.status().await.unwrap().height;
    above(residents[0].chain.client.as_ref(), height - 1).await;
    // A follower's transaction reaches the committee by gossip.
    let peers: Vec<&Resident> = residents.iter().collect();
    let follower = town.start(4, Arc::new(MemoryKv::new()), &peers).await;
    mined(follower.chain.client.as_ref(), second).await;
    let third = follower.chain.client.submit(transfer(2, to)).await.unwrap();
    mined(follower.chain.client.as_ref(), third).await;
    mined(residents[0].chain.client.as_ref(), third).await;
    assert!(!follower.chain.bft.is_validator());
    let hash = |resident: &Resident| resident.chain.client.chain().blocks().executed(height).unwrap().unwrap().hash;
    assert_eq!(hash(&back), hash(&residents[0]));
    residents.extend([back, follower]);
    for resident in &residents {
        mined(resident.chain.client.as_ref(), third).await;
        assert_eq!(resident.chain.client.balance(to).await.unwrap(), U256::from(3));
        resident.node.tasks.shutdown().await;
    }
}

/// What must be gone with a node.
struct Remains {
    chain: Weak<FullChain>,
    kv: Weak<MemoryKv>,
    net: Weak<Libp2pNetwork>,
}

impl Remains {
    fn owners(&self) -> [usize; 3] {
        [self.chain.strong_count(), self.kv.strong_count(), self.net.strong_count()]
    }

    async fn until_gone(&self) {
        while self.owners() != [0; 3] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A validator with a real host and a JSON-RPC server, on a runtime of its own.
async fn lone_validator(town: &Town) -> (NodeRuntime, Remains) {
    let (genesis, wal_dir) = (town.genesis.clone(), town.dir.path().join("lone"));
    let builder = move |node: Node| async move {
        let keys = keys(0);
        let listen = vec!["/ip4/127.0.0.1/tcp/0".parse()?];
        let net = Libp2pNetwork::start(HostConfig::new(keys.network.clone(), CHAIN.to_string(), listen), &node).await?;
        let kv = Arc::new(MemoryKv::new());
        let config =
            ChainConfig { wal_dir, bft: BftConfig::default(), sync: Default::default(), options: Default::default() };
        let chain = ChainNode::start(&node, kv.clone(), net.clone(), &keys, &genesis, config).await?;
        let remains =
            Remains { chain: Arc::downgrade(chain.client.chain()), kv: Arc::downgrade(&kv), net: Arc::downgrade(&net) };
        Server::start("127.0.0.1:0".parse()?, chain.rpc, node.metrics.clone(), &node)?;
        above(chain.client.as_ref(), 0).await;
        Ok(remains)
    };
    NodeRuntime::start("lone", town.pool.clone(), builder).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_leaves_nothing_in_memory() {
    for killed in [true, false] {
        let town = Town::new(1);
        let (runtime, remains) = lone_validator(&town).await;
        assert!(remains.owners().into_iter().all(|owners| owners > 0));
        match killed {
            true => runtime.kill(),
            false => assert_eq!(runtime.stop().await, Vec::<String>::new()),
        }
        let gone = tokio::time::timeout(DEADLINE, remains.until_gone()).await.is_ok();
        let owners = remains.owners();
        assert!(gone, "killed: {killed}, owners of chain, database and host: {owners:?}");
    }
}

/// Sends transactions, so that blocks come at their shortest interval, until `client` is at `height`.
async fn drive_to(client: &dyn ChainClient, nonce: &mut u64, height: u64) {
    while client.status().await.unwrap().height < height {
        let tx = client.submit(transfer(*nonce, Address::repeat_byte(9))).await.unwrap();
        *nonce += 1;
        mined(client, tx).await;
    }
}

fn seated(resident: &Resident, height: u64) -> Vec<Address> {
    let seated = resident.chain.client.chain().committee_at(height).unwrap();
    seated.committee.members.iter().map(|member| member.account).collect()
}

/// A fifth validator bonds, registers and is seated two eras later; the one it replaces follows from then on. Nobody restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_takes_a_seat_two_eras_later() {
    const ERA: u64 = 8;
    let newcomer = keys(4);
    let town = Town::with(4, |genesis| {
        genesis.overrides.era_blocks = Some(ERA);
        let rich = GenesisAccount { balance: Amount::tokens(10_000), ..GenesisAccount::default() };
        genesis.alloc.insert(newcomer.address(), rich);
    });
    let mut residents: Vec<Resident> = Vec::new();
    for i in 0..5 {
        let peers: Vec<&Resident> = residents.iter().collect();
        let resident = town.start(i, Arc::new(MemoryKv::new()), &peers).await;
        residents.push(resident);
    }
    let client = residents[4].chain.client.clone();
    assert!(!residents[4].chain.bft.is_validator());
    let wallet = Wallet::new(client.clone(), Signer::Native(newcomer.account.clone()), CHAIN);
    let stake = Amount::tokens(5_000).0;
    wallet.send_and_wait(STAKING, stake, IStaking::bondCall {}.abi_encode().into(), DEADLINE).await.unwrap();
    let register = staking_calls::registration(&newcomer, CHAIN, &newcomer.address());
    let outcome = wallet.send_and_wait(STAKING, U256::ZERO, register.abi_encode().into(), DEADLINE).await.unwrap();
    let switch = (outcome.height / ERA + 2) * ERA;
    let mut nonce = 0;
    drive_to(client.as_ref(), &mut nonce, switch + ERA / 2).await;

    let (before, after) = (seated(&residents[0], switch - 1), seated(&residents[0], switch));
    assert!(!before.contains(&newcomer.address()) && after.contains(&newcomer.address()));
    let gone = before.iter().find(|account| !after.contains(account)).expect("four seats, five candidates");
    let blocks = residents[4].chain.client.chain();
    let header = |height| blocks.blocks().block(height).unwrap().unwrap().header;
    let hash = |height| residents[0].chain.client.chain().committee_at(height).unwrap().hash;
    assert_eq!(header(switch - 1).next_committee, hash(switch), "the last header of the era names the next committee");
    assert_ne!(header(switch - 1).next_committee, header(switch - 1).committee);
    assert_eq!(header(switch).committee, hash(switch));
    assert!(residents[4].chain.bft.is_validator());
    let proposed = (switch..switch + ERA / 2).any(|height| header(height).proposer == newcomer.address());
    let signed = (switch..switch + ERA / 2).any(|height| {
        let certificate = blocks.blocks().certificate(height).unwrap().unwrap();
        certificate.signatures.iter().any(|(account, _)| *account == newcomer.address())
    });
    assert!(proposed || signed, "the newcomer takes part");
    // Rewards pay for the reveals that every candidate's node sends by itself; whoever earned nothing yet sends none.
    let mut revealed = 0;
    for i in 0..4 {
        let activity = IStaking::activityCall { account: keys(i).address(), era: 1 };
        let data = client.call(STAKING, activity.abi_encode().into()).await.unwrap();
        revealed += u32::from(IStaking::activityCall::abi_decode_returns(&data).unwrap().revealedAt > 0);
    }
    assert!(revealed > 0, "nobody revealed in era 1");
    // Whoever knows only genesis is led to the newcomer by certificates alone.
    let home = town.hub.join(peer_id_of(&keys(9).network.public()).unwrap());
    home.dial(residents[0].net.listen_addrs().remove(0)).await.unwrap();
    let tunnel = Arc::new(TunnelTransport::new(home, vec![residents[0].net.local_peer()]));
    let light = LightClient::new(tunnel, &town.genesis, town.pool.clone()).unwrap();
    let certified = light.certified(switch).await.unwrap();
    assert_eq!(certified.committee.hash(), hash(switch));
    assert_eq!(certified.signed.header, header(switch));
    let height = blocks.head().height();
    for (i, resident) in (0u8..).zip(&residents) {
        above(resident.chain.client.as_ref(), height - 1).await;
        assert_eq!(resident.chain.bft.is_validator(), keys(i).address() != *gone);
    }
    for resident in &residents {
        resident.node.tasks.shutdown().await;
    }
}

/// What the engine of one node sees becomes a transaction, and the validator pays for it, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_equivocation_seen_by_one_node_is_punished_on_chain() {
    let town = Town::with(1, |genesis| {
        let rich = GenesisAccount { balance: Amount::tokens(10), ..GenesisAccount::default() };
        genesis.alloc.insert(keys(0).address(), rich);
        // A second validator that is never there: the first has three quarters of the power.
        genesis.validators[0].stake = Amount::tokens(3_000);
        genesis.validators.push(validator(1));
    });
    let resident = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    let (client, offender) = (resident.chain.client.clone(), keys(1));
    let mut nonce = 0;
    drive_to(client.as_ref(), &mut nonce, 3).await;
    for height in [1, 2] {
        let good = double_vote(&offender, CHAIN, height, 0);
        // A pair that convicts nobody comes first.
        let mut useless = good.clone();
        if let Conflict::Votes(first, second) = &mut useless.conflict {
            second.clone_from(first);
        }
        let evidence = [useless, good].iter().map(|evidence| codec::encode(evidence).into()).collect();
        resident.node.bus.publish(Misbehaviour { height, account: offender.address(), evidence });
    }
    let punished = async {
        let activity = IStaking::activityCall { account: offender.address(), era: 0 };
        loop {
            let data = client.call(STAKING, activity.abi_encode().into()).await.unwrap();
            let activity = IStaking::activityCall::abi_decode_returns(&data).unwrap();
            if activity.punishments > 1 {
                return activity;
            }
            let height = client.status().await.unwrap().height;
            client.wait_above(height, DEADLINE).await.unwrap();
        }
    };
    let activity = tokio::time::timeout(DEADLINE, punished).await.unwrap();
    // One of two, in one era: min((3/2)², 1) · 5 % of 1,000 tokens.
    assert_eq!((activity.punishments, activity.slashed), (2, Amount::tokens(50).0));
    resident.node.tasks.shutdown().await;
}

fn by_state() -> SyncConfig {
    SyncConfig { mode: SyncMode::State, ..SyncConfig::default() }
}

async fn asked(resident: &Resident, method: &'static str, params: serde_json::Value) -> serde_json::Value {
    let question = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer = crate::rpc::call_raw(&resident.chain.rpc, question.as_bytes(), &[method]).await;
    serde_json::from_slice(&answer).unwrap()
}

/// A node without a past takes over a state that certificates prove, follows from there, also after a restart, and says what it
/// does not have. Others find the blocks it lacks elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_takes_over_a_state_and_follows() {
    const ERA: u64 = 4;
    let town = Town::with(1, |genesis| genesis.overrides.era_blocks = Some(ERA));
    let validator = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    let (client, mut nonce) = (validator.chain.client.clone(), 0);
    drive_to(client.as_ref(), &mut nonce, 3 * ERA + 1).await;
    let kv = Arc::new(MemoryKv::new());
    let newcomer = town.start_synced(5, kv.clone(), &[&validator], by_state()).await;
    let blocks = newcomer.chain.client.chain().blocks().clone();
    let first = blocks.first_height().unwrap();
    assert!(first > ERA && (first - 1).is_multiple_of(ERA), "history begins with {first}");
    let worker = |resident: &Resident| {
        let workers = resident.node.workers.list().into_iter();
        workers.filter(|worker| worker.name == "state sync" && worker.errors == 0).count()
    };
    assert_eq!((worker(&newcomer), newcomer.node.metrics.counter(Counter::StateSyncs)), (1, 1));
    // It follows, and submits.
    let sent = newcomer.chain.client.submit(transfer(nonce, Address::repeat_byte(7))).await.unwrap();
    nonce += 1;
    mined(newcomer.chain.client.as_ref(), sent).await;
    let at = |resident: &Resident, height| resident.chain.client.chain().blocks().executed(height).unwrap();
    assert_eq!(at(&newcomer, first).unwrap().hash, at(&validator, first).unwrap().hash);
    let sealed = at(&newcomer, first - 1).unwrap();
    assert_eq!(at(&validator, first - 1), Some(sealed.clone()), "also its time and the id of its header");
    // What it does not have, it does not invent.
    let hex = |height: u64| serde_json::json!(format!("{height:#x}"));
    for height in [1, first - 1] {
        assert!(
            asked(&newcomer, "eth_getBlockByNumber", serde_json::json!([hex(height), false])).await["result"].is_null()
        );
    }
    assert!(asked(&newcomer, "eth_getBlockByNumber", serde_json::json!([hex(0), false])).await["result"].is_object());
    let filter = serde_json::json!([{"fromBlock": hex(first - 1), "toBlock": hex(first)}]);
    let refused = asked(&newcomer, "eth_getLogs", filter).await["error"].clone();
    assert_eq!(refused["code"], crate::rpc::error::PRUNED);
    assert!(refused["message"].as_str().unwrap().contains(&format!("begins with block {first}")), "{refused}");
    let filter = serde_json::json!([{"fromBlock": hex(first), "toBlock": hex(first)}]);
    assert!(asked(&newcomer, "eth_getLogs", filter).await["result"].is_array());
    assert!(newcomer.chain.client.events(1, first).await.is_err());
    assert!(newcomer.chain.client.events(first, first).await.is_ok());
    assert!(asked(&newcomer, "eth_feeHistory", serde_json::json!([64, "latest", []])).await["result"].is_object());
    // A third node, which executes every block, asks the one that has them.
    let third = town.start(6, Arc::new(MemoryKv::new()), &[&newcomer, &validator]).await;
    mined(third.chain.client.as_ref(), sent).await;
    assert_eq!(third.chain.client.chain().blocks().first_height().unwrap(), 1);
    // A restart finds the chain it has and takes over nothing.
    newcomer.node.tasks.shutdown().await;
    town.hub.crash(newcomer.net.local_peer());
    let again = town.start_synced(5, Arc::new(kv.reopen()), &[&validator], by_state()).await;
    assert_eq!(again.node.metrics.counter(Counter::StateSyncs), 0);
    assert_eq!(again.chain.client.chain().blocks().first_height().unwrap(), first);
    let sent = client.submit(transfer(nonce, Address::repeat_byte(7))).await.unwrap();
    mined(again.chain.client.as_ref(), sent).await;
    for resident in [&validator, &third, &again] {
        resident.node.tasks.shutdown().await;
    }
}

/// Nobody offers a state: whoever insists on one does not start, and whoever does not executes the blocks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_offer_only_those_who_insist_give_up() {
    let town = Town::new(1);
    let validator = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    let (keys, node) = (keys(5), Node::new("n5", town.pool.clone()));
    let net: Arc<dyn Network> = town.hub.join(peer_id_of(&keys.network.public()).unwrap());
    net.dial(validator.net.listen_addrs().remove(0)).await.unwrap();
    let mut sync = by_state();
    sync.timing.patience = Duration::from_millis(300);
    let config = ChainConfig {
        wal_dir: town.dir.path().join("n5"),
        bft: BftConfig::default(),
        sync,
        options: Default::default(),
    };
    let kv = Arc::new(MemoryKv::new());
    let refused = ChainNode::start(&node, kv.clone(), net, &keys, &town.genesis, config).await.err().unwrap();
    assert!(refused.to_string().contains("no peer offered a snapshot"), "{refused}");
    node.tasks.shutdown().await;
    town.hub.crash(peer_id_of(&keys.network.public()).unwrap());
    let by_blocks = town.start(5, kv, &[&validator]).await;
    let tx = validator.chain.client.submit(transfer(0, Address::repeat_byte(7))).await.unwrap();
    mined(by_blocks.chain.client.as_ref(), tx).await;
    for resident in [&validator, &by_blocks] {
        resident.node.tasks.shutdown().await;
    }
}

/// A validator whose disk was lost comes back by state, a follower that was away by blocks in large stretches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_commits_what_it_missed_in_stretches() {
    const ERA: u64 = 4;
    let town = Town::with(1, |genesis| {
        genesis.overrides.era_blocks = Some(ERA);
        genesis.overrides.block_interval_ms = Some(0);
    });
    let validator = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    let (client, mut nonce) = (validator.chain.client.clone(), 0);
    drive_to(client.as_ref(), &mut nonce, 20 * ERA).await;
    let away = town.start(5, Arc::new(MemoryKv::new()), &[&validator]).await;
    let last = client.submit(transfer(nonce, Address::repeat_byte(7))).await.unwrap();
    mined(away.chain.client.as_ref(), last).await;
    for height in 1..=20 * ERA {
        let at = |resident: &Resident| resident.chain.client.chain().blocks().executed(height).unwrap().unwrap();
        assert_eq!(at(&away), at(&validator));
        assert!(away.chain.client.chain().blocks().certificate(height).unwrap().is_some());
    }
    for resident in [&validator, &away] {
        resident.node.tasks.shutdown().await;
    }
}

/// What a node that may choose does: far behind it takes over a state, near it executes blocks, and an interrupted download goes on, or
/// begins anew with another state if nobody has that one any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_may_choose_takes_the_quicker_way() {
    const ERA: u64 = 4;
    let town = Town::with(1, |genesis| genesis.overrides.era_blocks = Some(ERA));
    let validator = town.start(0, Arc::new(MemoryKv::new()), &[]).await;
    drive_to(validator.chain.client.as_ref(), &mut 0, 2 * ERA + 1).await;
    let executed = |height| validator.chain.client.chain().blocks().executed(height).unwrap().unwrap();
    let begun = |height: Option<u64>| {
        let kv = Arc::new(MemoryKv::new());
        if let Some(height) = height {
            SyncStore::new(kv.clone()).begin(&executed(height)).unwrap();
        }
        kv
    };
    let auto = |far_blocks| {
        let mut sync = SyncConfig { far_blocks, ..SyncConfig::default() };
        sync.timing.search = Duration::from_millis(200);
        sync
    };
    let blocks = || SyncConfig { mode: SyncMode::Blocks, ..SyncConfig::default() };
    let far = 1_000;
    let cases = [
        ("near", None, auto(far), 1..=1),
        ("far", None, auto(2 * ERA), ERA + 1..=u64::MAX),
        ("interrupted", Some(2 * ERA), auto(far), 2 * ERA + 1..=2 * ERA + 1),
        ("interrupted and no longer wanted", Some(2 * ERA), blocks(), 1..=1),
        ("interrupted, gone and near", Some(3), auto(far), 1..=1),
        ("interrupted, gone and far", Some(3), auto(2 * ERA), ERA + 1..=u64::MAX),
    ];
    for (number, (case, target, sync, expected)) in (5..).zip(cases) {
        let newcomer = town.start_synced(number, begun(target), &[&validator], sync).await;
        let first = newcomer.chain.client.chain().blocks().first_height().unwrap();
        assert!(expected.contains(&first), "{case}: history begins with {first}");
        let height = first.max(2 * ERA + 1);
        above(newcomer.chain.client.as_ref(), height - 1).await;
        assert_eq!(newcomer.chain.client.chain().blocks().executed(height).unwrap(), Some(executed(height)), "{case}");
        newcomer.node.tasks.shutdown().await;
        town.hub.crash(newcomer.net.local_peer());
    }
    validator.node.tasks.shutdown().await;
}
