//! Blocks that are computed while the one before is stored.

use super::{
    LedgerApp,
    bft::Application,
    computed::Computed,
    execution::Execution,
    full::FullChain,
    head::Head,
    order_tests::ordered,
    tests::{Fixture, SINK, ethereum_key, genesis, node},
};
use crate::{
    consensus::Block,
    crypto::NodeKeys,
    kv::{Batch, Column, Durability, Entry, Kv, KvError, MemoryKv},
    types::U256,
};
use alloy_primitives::TxKind;
use futures::FutureExt;
use parking_lot::{Condvar, Mutex};
use std::{sync::Arc, thread::JoinHandle, time::Duration};

const DEADLINE: Duration = Duration::from_secs(10);

/// A database that holds up what is not synced until it is let through.
struct HeldKv {
    disk: Arc<MemoryKv>,
    writes: Mutex<Writes>,
    changed: Condvar,
}

#[derive(Default)]
struct Writes {
    waiting: usize,
    let_through: usize,
}

impl HeldKv {
    /// Resolves when somebody waits to write.
    fn arrived(&self) {
        let mut writes = self.writes.lock();
        let late = self.changed.wait_while_for(&mut writes, |writes| writes.waiting == 0, DEADLINE);
        assert!(!late.timed_out(), "nobody writes");
    }

    fn let_through(&self, writes: usize) {
        self.writes.lock().let_through += writes;
        self.changed.notify_all();
    }
}

impl Kv for HeldKv {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.disk.get(column, key)
    }

    fn scan(&self, column: Column, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        self.disk.scan(column, prefix, from, limit)
    }

    fn last(&self, column: Column, prefix: &[u8]) -> Result<Option<Entry>, KvError> {
        self.disk.last(column, prefix)
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), KvError> {
        if durability == Durability::Buffered {
            let mut writes = self.writes.lock();
            writes.waiting += 1;
            self.changed.notify_all();
            let late = self.changed.wait_while_for(&mut writes, |writes| writes.let_through == 0, DEADLINE);
            assert!(!late.timed_out(), "the write is never let through");
            writes.waiting -= 1;
            writes.let_through -= 1;
        }
        self.disk.write(batch, durability)
    }

    fn poison(&self, reason: &str) {
        self.disk.poison(reason);
    }
}

fn held() -> (Arc<HeldKv>, Fixture) {
    let (keys, disk) = (NodeKeys::derive(&[7; 32]), Arc::new(MemoryKv::new()));
    let kv = Arc::new(HeldKv { disk: disk.clone(), writes: Mutex::default(), changed: Condvar::new() });
    let chain = FullChain::open(&node(), kv.clone(), &genesis(&keys)).unwrap();
    (kv, Fixture { keys, kv: disk, chain })
}

/// Transactions of the block of `height` that read what the one before wrote: nonces, balances, code and a word.
fn admit(chain: &Fixture, height: u64) {
    // Counts its calls in its first word.
    let counter = hex::decode("6960005460010160005500600052600a6016f3").unwrap();
    let nonce = height - 1;
    let call = match nonce {
        0 => chain.ethereum(0, TxKind::Create, 0, counter),
        _ => chain.ethereum(nonce, TxKind::Call(ethereum_key().address().create(0)), 0, vec![]),
    };
    for tx in [chain.native(nonce, height), call] {
        chain.chain.admit(&tx, true).unwrap();
    }
}

/// Has `computed` stored by a thread that is held up.
fn store(kv: &HeldKv, chain: &Fixture, computed: Computed) -> JoinHandle<Arc<Head>> {
    let (chain, computed) = (chain.chain.clone(), Arc::new(computed));
    chain.hand_over(&computed);
    let storing = std::thread::spawn(move || chain.store(&computed).unwrap());
    kv.arrived();
    storing
}

fn commit(twin: &Fixture, block: &Block) -> Arc<Head> {
    twin.chain.commit(block, &twin.certificate(block)).unwrap()
}

fn rows(kv: &MemoryKv) -> Vec<(Column, Entry)> {
    let of = |column| kv.scan(column, &[], &[], usize::MAX).unwrap().into_iter().map(move |row| (column, row));
    Column::ALL.into_iter().flat_map(of).collect()
}

/// What a kill leaves of the database.
fn copy(kv: &MemoryKv) -> MemoryKv {
    let (copy, mut batch) = (MemoryKv::new(), Batch::new());
    rows(kv).into_iter().for_each(|(column, (key, value))| batch.put(column, key, value));
    copy.write(batch, Durability::Synced).unwrap();
    copy
}

#[test]
fn a_block_is_computed_while_its_parent_is_stored_as_if_it_were() {
    const HEIGHTS: u64 = 6;
    let ((kv, chain), twin) = (held(), Fixture::new());
    let mut storing: Option<JoinHandle<Arc<Head>>> = None;
    for height in 1..=HEIGHTS {
        admit(&chain, height);
        let (unexecuted, block) = ordered(&chain);
        let before = twin.balance(SINK);
        assert_eq!(chain.chain.computed().height(), height - 1);
        let computed = chain.chain.compute(unexecuted).unwrap();
        // The parent is still held up: nobody sees it, and a kill now loses no block.
        let stored = height.saturating_sub(2);
        assert_eq!(chain.chain.head().height(), stored);
        assert!(chain.chain.blocks().executed(stored + 1).unwrap().is_none());
        assert!(chain.chain.recent_state(stored + 1).is_none());
        let expected = commit(&twin, &block);
        assert_eq!(computed.head.executed, expected.executed);
        assert_eq!(computed.execution.receipts, twin.chain.blocks().receipts(height).unwrap());
        for lost in [copy(&chain.kv), chain.kv.after_power_loss()] {
            let again = Fixture::on(Arc::new(lost)).unwrap();
            assert_eq!(again.chain.head().executed, expected.executed, "killed while {height} was computed");
        }
        if let Some(storing) = storing.take() {
            kv.let_through(1);
            assert_eq!(storing.join().unwrap().height(), height - 1);
            assert_eq!((chain.chain.head().height(), chain.balance(SINK)), (height - 1, before));
        }
        storing = Some(store(&kv, &chain, computed));
    }
    kv.let_through(1);
    storing.unwrap().join().unwrap();
    let counter = ethereum_key().address().create(0);
    let counted = chain.chain.read(|view, _| view.slot(&counter, &U256::ZERO)).unwrap();
    assert_eq!(counted, U256::from(HEIGHTS - 1));
    assert!(rows(&chain.kv) == rows(&twin.kv), "both wrote the same");
}

#[tokio::test]
async fn ordering_goes_on_while_a_block_is_stored_and_waits_for_the_next_but_one() {
    let (kv, chain) = held();
    let app = LedgerApp::new(chain.chain.clone(), chain.keys.clone());
    let mut named = Vec::new();
    for height in 1..=2 {
        admit(&chain, height);
        let block = app.propose(height, 0).await.unwrap();
        app.validate(&block).await.unwrap();
        named.push(block.header.executed.height);
        let certificate = chain.certificate(&block);
        app.commit(block, certificate).await.unwrap();
        if height == 1 {
            let mut computed = chain.chain.watch_computed();
            tokio::time::timeout(DEADLINE, computed.wait_for(|head| head.height() == 1)).await.unwrap().unwrap();
        }
    }
    assert_eq!(named, [0, 1], "a header names what is computed, stored or not");
    admit(&chain, 3);
    let third = app.propose(3, 0).await.unwrap();
    assert_eq!((third.header.executed.height, third.txs.len()), (1, 2), "the second cannot take its place");
    app.validate(&third).await.unwrap();
    let certificate = chain.certificate(&third);
    let mut committing = Box::pin(app.commit(third, certificate));
    while chain.chain.blocks().decided_height().unwrap() < 3 {
        assert!((&mut committing).now_or_never().is_none());
        tokio::task::yield_now().await;
    }
    assert_eq!((chain.chain.head().height(), chain.chain.computed().height()), (0, 1));
    let again = Fixture::on(Arc::new(chain.kv.after_power_loss())).unwrap();
    assert_eq!((again.chain.head().height(), again.balance(SINK)), (3, U256::from(6)));
    kv.let_through(3);
    tokio::time::timeout(DEADLINE, committing).await.unwrap().unwrap();
    let mut head = chain.chain.watch();
    tokio::time::timeout(DEADLINE, head.wait_for(|head| head.height() == 3)).await.unwrap().unwrap();
    assert_eq!(chain.chain.head().executed, again.chain.head().executed);
    let waits = "cess_store_wait_seconds_count{node=\"test\"} 3";
    assert!(chain.chain.node().metrics.render().contains(waits));
}

#[tokio::test]
async fn what_was_begun_is_finished_before_the_database_closes() {
    let (kv, chain) = held();
    let execution = Execution::start(chain.chain.clone());
    for height in 1..=2 {
        admit(&chain, height);
        execution.begin(ordered(&chain).0).await.unwrap();
        tokio::time::timeout(DEADLINE, execution.reached(1)).await.unwrap().unwrap();
    }
    let tasks = chain.chain.node().tasks.clone();
    let mut stopping = Box::pin(tasks.shutdown());
    assert!((&mut stopping).now_or_never().is_none(), "a write is under way");
    kv.let_through(2);
    assert!(tokio::time::timeout(DEADLINE, stopping).await.unwrap().is_empty());
    assert!(chain.chain.head().height() >= 1);
    assert_eq!(chain.chain.head().height(), chain.chain.computed().height());
    assert_eq!(chain.reopened().chain.head().height(), 2);
}

#[tokio::test]
async fn a_block_that_cannot_be_stored_stops_the_node_and_the_next_is_not_stored() {
    let (kv, chain) = held();
    let execution = Execution::start(chain.chain.clone());
    for height in 1..=2 {
        admit(&chain, height);
        execution.begin(ordered(&chain).0).await.unwrap();
        tokio::time::timeout(DEADLINE, execution.reached(1)).await.unwrap().unwrap();
    }
    chain.kv.fail_next_write("disk full");
    kv.let_through(1);
    let failure = tokio::time::timeout(DEADLINE, chain.chain.node().tasks.failure()).await.unwrap();
    assert!(failure.contains("block 1 cannot be stored") && failure.contains("disk full"), "{failure}");
    let refused = tokio::time::timeout(DEADLINE, execution.reached(2)).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("block 2 is not executed"), "{refused}");
    assert_eq!((chain.chain.head().height(), chain.reopened().chain.head().height()), (0, 2));
}
