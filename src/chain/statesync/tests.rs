//! Downloads over an in-memory network: liars, silent peers, interruptions, snapshots that vanish.

use super::{
    SyncTiming,
    fetch::{End, Fetch},
    peers::Peers,
    server::StateServer,
    store::{SyncStore, unfinished},
    wire::{Answer, Question, STATE_PROTOCOL},
};
use crate::{
    chain::{
        StoreError,
        full::{FullChain, genesis_block},
        records::{ExecutedBlock, GenesisRecord},
        tests::{Fixture, genesis},
    },
    codec,
    crypto::NodeKeys,
    kv::{Column, Kv, MemoryKv},
    ledger::snapshot::{PartBody, PartLimits},
    network::{MemoryHub, MemoryNetwork, Network, PeerId, RequestHandler, peer_id_of},
    runtime::{Counter, Node, Worker},
    types::{Address, U256},
};
use alloy_primitives::TxKind;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Init code of a contract that stores its call data's length under many slots and leaves one byte of code.
const INIT: [u8; 18] = [
    0x60, 0x28, // PUSH1 40
    0x5b, // JUMPDEST, at 2
    0x80, 0x80, 0x55, // DUP1 DUP1 SSTORE: slot n holds n
    0x60, 0x01, 0x90, 0x03, // PUSH1 1 SWAP1 SUB
    0x80, 0x60, 0x02, 0x57, // DUP1 PUSH1 2 JUMPI
    0x60, 0x01, 0x5f, 0xf3, // PUSH1 1 PUSH0 RETURN: one zero byte of code
];
/// Small parts, so that a small state has many.
const SMALL: PartLimits = PartLimits { accounts: 3, slots: 4 };
const TIMING: SyncTiming = SyncTiming {
    answer: Duration::from_millis(250),
    offer: Duration::from_millis(250),
    search: Duration::from_millis(100),
    patience: Duration::from_secs(5),
};

/// A chain with many accounts and a contract, whose newest state but one can be had.
struct Source {
    chain: Fixture,
    server: Arc<StateServer>,
    target: ExecutedBlock,
    hub: Arc<MemoryHub>,
}

/// What a peer does with an honest answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    Honest,
    /// One bit of the first leaf is wrong.
    Flips,
    /// The last leaf is missing.
    Drops,
    /// The parts are those of another state.
    Foreign,
    /// Not an answer at all.
    Babbles,
    /// Answers nothing.
    Hangs,
    /// Answers so many questions and then nothing.
    HangsAfter(usize),
    /// Has the snapshot no longer after so many questions.
    ForgetsAfter(usize),
}

struct Peer {
    server: Arc<StateServer>,
    foreign: Option<Arc<StateServer>>,
    habit: Habit,
    asked: AtomicUsize,
}

#[async_trait]
impl RequestHandler for Peer {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        let question: Question = codec::decode(&body).map_err(|e| e.to_string())?;
        if question == Question::Offer {
            return Ok(codec::encode(&self.server.answer(question).unwrap()).into());
        }
        let before = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answer = self.server.answer(question.clone()).unwrap();
        match self.habit {
            Habit::Honest => {}
            Habit::Hangs => std::future::pending().await,
            Habit::HangsAfter(most) if before >= most => std::future::pending().await,
            Habit::ForgetsAfter(most) if before >= most => answer = Answer::Gone,
            Habit::HangsAfter(_) | Habit::ForgetsAfter(_) => {}
            Habit::Babbles => return Ok(Bytes::from_static(b"\x01\x09")),
            Habit::Foreign => answer = self.foreign.as_ref().unwrap().answer(question).unwrap(),
            Habit::Flips => change_first(&mut answer, |body| match body {
                PartBody::Accounts(accounts) => accounts[0].info.balance ^= U256::from(1),
                PartBody::Slots(slots) => slots[0].value[0] ^= 1,
                PartBody::Node(bytes) | PartBody::Code(bytes) => bytes[0] ^= 1,
            }),
            Habit::Drops => change_first(&mut answer, |body| match body {
                PartBody::Accounts(accounts) => drop(accounts.pop()),
                PartBody::Slots(slots) => drop(slots.pop()),
                PartBody::Node(bytes) | PartBody::Code(bytes) => drop(bytes.pop()),
            }),
        }
        Ok(codec::encode(&answer).into())
    }
}

fn change_first(answer: &mut Answer, change: impl FnOnce(&mut PartBody)) {
    if let Answer::Parts(bodies) = answer
        && let Some(body) = bodies.first_mut()
    {
        change(body);
    }
}

/// A chain whose transfers begin with `seed`.
fn grown(seed: u8) -> Fixture {
    let chain = Fixture::new();
    for nonce in 0..40u8 {
        let to = TxKind::Call(Address::repeat_byte(seed.wrapping_add(nonce).max(0x20)));
        chain.chain.admit(&chain.ethereum(nonce.into(), to, 7, vec![]), true).unwrap();
    }
    chain.seal();
    chain.chain.admit(&chain.ethereum(40, TxKind::Create, 0, INIT.to_vec()), true).unwrap();
    let head = chain.seal();
    let receipt = &chain.chain.blocks().receipts(head.height()).unwrap()[0];
    assert!(receipt.success, "{:?}", receipt.halt);
    chain
}

fn served(chain: &Fixture) -> Arc<StateServer> {
    let server = StateServer::new(chain.chain.node(), chain.kv.clone(), SMALL);
    server.attach(chain.chain.clone(), chain.chain.node().workers.register("server"));
    // A state is proven by the block after it.
    chain.seal();
    server
}

impl Source {
    fn new() -> Self {
        let chain = grown(0x40);
        let target = chain.chain.head().executed.clone();
        let server = served(&chain);
        Self { chain, server, target, hub: MemoryHub::new(1) }
    }

    /// A peer with a habit.
    fn peer(&self, number: u8, habit: Habit) -> (PeerId, Arc<MemoryNetwork>, Arc<Peer>) {
        let net = self.join(number);
        let foreign = (habit == Habit::Foreign).then(|| served(&grown(0x80)));
        let peer = Peer { server: self.server.clone(), foreign, habit, asked: AtomicUsize::new(0) };
        let peer = Arc::new(peer);
        net.serve(STATE_PROTOCOL, peer.clone());
        (net.local_peer(), net, peer)
    }

    fn join(&self, number: u8) -> Arc<MemoryNetwork> {
        self.hub.join(peer_id_of(&NodeKeys::derive(&[number; 32]).network.public()).unwrap())
    }

    /// Completes what was downloaded and opens the chain over it.
    fn open(&self, kv: &Arc<MemoryKv>) -> Result<Arc<FullChain>, StoreError> {
        let genesis = genesis(&self.chain.keys);
        let (first, _) = genesis_block(&genesis).unwrap();
        let record = GenesisRecord { hash: first.hash.0, chain_id: genesis.chain_id };
        SyncStore::new(kv.clone()).finish(&self.target, &record, &first)?;
        FullChain::open(self.chain.chain.node(), kv.clone(), &genesis)
    }
}

/// The node that downloads.
struct Newcomer {
    node: Node,
    net: Arc<dyn Network>,
    kv: Arc<MemoryKv>,
    worker: Worker,
    peers: Peers,
}

impl Newcomer {
    async fn new(source: &Source, kv: Arc<MemoryKv>, number: u8, peers: &[PeerId]) -> Self {
        let (node, net) = (source.chain.chain.node().clone(), source.join(number));
        for peer in peers {
            net.connect(*peer).await.unwrap();
        }
        let worker = node.workers.register("state sync");
        Self { node, net, kv, worker, peers: Peers::default() }
    }

    async fn run(&mut self, source: &Source) -> Result<End, StoreError> {
        let store = Arc::new(SyncStore::new(self.kv.clone()));
        if store.target()?.is_none() {
            store.begin(&source.target)?;
        }
        assert_eq!(store.target()?.as_ref(), Some(&source.target));
        let Self { node, net, worker, peers, .. } = self;
        let height = source.target.height();
        let mut fetch = Fetch { node, net, store: &store, worker, timing: TIMING, height, peers, known: &[] };
        fetch.run().await
    }
}

fn rows(kv: &MemoryKv, column: Column) -> usize {
    kv.scan(column, &[], &[], usize::MAX).unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_comes_over_and_the_chain_goes_on_with_it() {
    let source = Source::new();
    let (peer, _net, _) = source.peer(1, Habit::Honest);
    let kv = Arc::new(MemoryKv::new());
    let mut newcomer = Newcomer::new(&source, kv.clone(), 2, &[peer]).await;
    assert_eq!(newcomer.run(&source).await.unwrap(), End::Complete);
    assert!(unfinished(kv.as_ref()).unwrap());
    let early = FullChain::open(source.chain.chain.node(), kv.clone(), &genesis(&source.chain.keys));
    assert!(matches!(early, Err(StoreError::UnfinishedSync)), "not before its root was computed");
    let chain = source.open(&kv).unwrap();
    assert_eq!(chain.head().executed, source.target);
    assert_eq!(chain.blocks().first_height().unwrap(), source.target.height() + 1);
    // The next block of the source is the next block here.
    let next = source.target.height() + 1;
    let blocks = source.chain.chain.blocks();
    let (block, certificate) = (blocks.block(next).unwrap().unwrap(), blocks.certificate(next).unwrap().unwrap());
    let head = chain.commit(&block, &certificate).unwrap();
    assert_eq!(head.executed, source.chain.chain.head().executed);
    drop(chain);
    let again =
        FullChain::open(source.chain.chain.node(), Arc::new(kv.reopen()), &genesis(&source.chain.keys)).unwrap();
    assert_eq!(again.head().executed, head.executed);
    assert_eq!(again.blocks().first_height().unwrap(), next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn liars_are_blamed_and_left_out_and_the_sync_completes() {
    let source = Source::new();
    let habits =
        [Habit::Honest, Habit::Flips, Habit::Drops, Habit::Foreign, Habit::Babbles, Habit::Hangs, Habit::Honest];
    let peers: Vec<_> = (1..).zip(habits).map(|(number, habit)| (source.peer(number, habit), habit)).collect();
    let ids: Vec<PeerId> = peers.iter().map(|((id, ..), _)| *id).collect();
    let kv = Arc::new(MemoryKv::new());
    let mut newcomer = Newcomer::new(&source, kv.clone(), 99, &ids).await;
    let store = Arc::new(SyncStore::new(kv.clone()));
    store.begin(&source.target).unwrap();
    // Everybody gets a question, the liars first: nobody offers honest parts before they had their turn.
    for ((id, ..), habit) in &peers {
        if *habit != Habit::Honest {
            newcomer.peers.offers(*id);
        }
    }
    assert_eq!(newcomer.run(&source).await.unwrap(), End::Complete);
    for ((id, _, peer), habit) in &peers {
        let liar = !matches!(habit, Habit::Honest | Habit::Hangs);
        assert_eq!(newcomer.peers.is_blamed(id), liar);
        if liar {
            let connected = newcomer.net.peers().into_iter().any(|info| info.peer == *id);
            assert!(!connected && peer.asked.load(Ordering::SeqCst) > 0, "a liar is disconnected");
        }
    }
    assert!(newcomer.node.metrics.counter(Counter::StatePartsBad) >= 4);
    let status = newcomer.node.workers.list().into_iter().find(|worker| worker.name == "state sync").unwrap();
    assert!(status.errors >= 4 && status.last_error.unwrap().contains("peer"));
    assert_eq!(source.open(&kv).unwrap().head().executed, source.target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_download_goes_on_where_it_was() {
    let source = Source::new();
    let (peer, _net, counted) = source.peer(1, Habit::HangsAfter(2));
    let kv = Arc::new(MemoryKv::new());
    let mut newcomer = Newcomer::new(&source, kv.clone(), 2, &[peer]).await;
    let fetched = |node: &Node| node.metrics.counter(Counter::StatePartsFetched);
    {
        let started = newcomer.run(&source);
        let until_hanging = async {
            while counted.asked.load(Ordering::SeqCst) < 3 {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            ended = started => panic!("it cannot complete: {ended:?}"),
            () = until_hanging => {}
        }
    }
    let before = fetched(&newcomer.node);
    assert!(before > 0 && rows(&kv, Column::StateSync) > 0);
    let (honest, _net, _) = source.peer(3, Habit::Honest);
    let kv = Arc::new(kv.reopen());
    let mut again = Newcomer::new(&source, kv.clone(), 4, &[honest]).await;
    assert_eq!(again.run(&source).await.unwrap(), End::Complete);
    let resumed = fetched(&again.node) - before;
    assert_eq!(source.open(&kv).unwrap().head().executed, source.target);
    // From the beginning it takes all of them, also after a power loss that took everything but the target.
    let lost = Arc::new(MemoryKv::new());
    SyncStore::new(lost.clone()).begin(&source.target).unwrap();
    let mut whole = Newcomer::new(&source, lost.clone(), 5, &[honest]).await;
    let start = fetched(&whole.node);
    assert_eq!(whole.run(&source).await.unwrap(), End::Complete);
    let all = fetched(&whole.node) - start;
    assert!(resumed < all, "{before} parts, then {resumed} of {all}");
    let lost = Arc::new(lost.after_power_loss());
    assert_eq!(rows(&lost, Column::StateSync), 1, "the root is open again");
    let mut whole = Newcomer::new(&source, lost.clone(), 6, &[honest]).await;
    assert_eq!(whole.run(&source).await.unwrap(), End::Complete);
    assert_eq!(source.open(&lost).unwrap().head().executed, source.target);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_vanishes_leaves_nothing_but_code() {
    let source = Source::new();
    let (peer, _net, _) = source.peer(1, Habit::ForgetsAfter(2));
    let kv = Arc::new(MemoryKv::new());
    let mut newcomer = Newcomer::new(&source, kv.clone(), 2, &[peer]).await;
    // It still offers the snapshot and then does not have it: that cannot go on forever.
    let ended = tokio::time::timeout(Duration::from_secs(30), newcomer.run(&source)).await.expect("it ends");
    assert_eq!(ended.unwrap(), End::Gone);
    let store = SyncStore::new(kv.clone());
    assert!(rows(&kv, Column::Accounts) > 0 || rows(&kv, Column::Slots) > 0);
    store.wipe().unwrap();
    let left = [Column::Accounts, Column::Slots, Column::StateSync].map(|column| rows(&kv, column));
    assert_eq!((left, store.target().unwrap()), ([0; 3], None));
    assert!(!unfinished(kv.as_ref()).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_the_disk_decides_and_not_what_arrived() {
    let source = Source::new();
    let (peer, _net, _) = source.peer(1, Habit::Honest);
    let kv = Arc::new(MemoryKv::new());
    let mut newcomer = Newcomer::new(&source, kv.clone(), 2, &[peer]).await;
    assert_eq!(newcomer.run(&source).await.unwrap(), End::Complete);
    let (key, _) = kv.scan(Column::Slots, &[], &[], 1).unwrap().remove(0);
    let mut batch = crate::kv::Batch::new();
    batch.delete(Column::Slots, key);
    kv.write(batch, crate::kv::Durability::Synced).unwrap();
    assert!(matches!(source.open(&kv), Err(StoreError::Root { .. })));
    assert!(unfinished(kv.as_ref()).unwrap());
}
