//! One validator driven without consensus: this module plays the engine.

use super::{
    app::{build, validate},
    bft::Application,
    error::StoreError,
    full::FullChain,
    *,
};
use crate::{
    consensus::{Block, Certificate, ConsensusError, sign_bytes},
    crypto::{EcdsaKey, NodeKeys, SecretKey, native_address},
    kv::{Column, Kv, MemoryKv},
    ledger::{
        genesis::{Genesis, GenesisAccount, GenesisValidator},
        native::NativeTx,
        tx::sign_eip1559,
    },
    runtime::{CpuPool, ManualClock, Node, NodeRng},
    types::{Address, Amount, Profile, U256},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub(super) const CHAIN: u64 = 11_332;
pub(super) const START_MS: u64 = 1_700_000_000_000;
pub(super) const FEE: u128 = 10_000_000_000;

/// A chain with one validator and two rich accounts.
pub(super) struct Fixture {
    pub keys: NodeKeys,
    pub kv: Arc<MemoryKv>,
    pub chain: Arc<FullChain>,
}

pub(super) fn ethereum_key() -> EcdsaKey {
    EcdsaKey::from_bytes(&[0x11; 32]).unwrap()
}

pub(super) fn native_key() -> SecretKey {
    SecretKey::from_bytes(&[0x22; 32])
}

pub(super) fn genesis(keys: &NodeKeys) -> Genesis {
    let rich = || GenesisAccount { balance: Amount::tokens(1_000), ..GenesisAccount::default() };
    Genesis {
        chain_id: CHAIN,
        profile: Profile::Dev,
        overrides: Default::default(),
        time_ms: START_MS,
        extra_data: Bytes::new(),
        alloc: BTreeMap::from([(ethereum_key().address(), rich()), (native_address(&native_key().public()), rich())]),
        tee: Default::default(),
        deployments: Vec::new(),
        validators: vec![GenesisValidator {
            account: keys.address(),
            consensus_key: keys.consensus.public(),
            vrf_key: keys.vrf.public(),
            network_key: keys.network.public(),
            stake: Amount::tokens(1_000),
        }],
    }
}

pub(super) fn node() -> Node {
    let clock = Arc::new(ManualClock::at(START_MS));
    Node::new("test", CpuPool::new("test", 2)).with_ports(clock, NodeRng::from_seed(1))
}

impl Fixture {
    pub(super) fn new() -> Self {
        Self::on(Arc::new(MemoryKv::new())).unwrap()
    }

    pub(super) fn on(kv: Arc<MemoryKv>) -> Result<Self, StoreError> {
        let keys = NodeKeys::derive(&[7; 32]);
        let chain = FullChain::open(&node(), kv.clone(), &genesis(&keys))?;
        Ok(Self { keys, kv, chain })
    }

    /// The same chain after a crash.
    pub(super) fn reopened(&self) -> Self {
        Self::on(Arc::new(self.kv.reopen())).unwrap()
    }

    /// The next block, out of the pool.
    pub(super) fn next(&self) -> Block {
        let height = self.chain.ordered().height() + 1;
        build(&self.chain, &self.keys, height, 0, START_MS + height * 1_000).unwrap()
    }

    pub(super) fn certificate(&self, block: &Block) -> Certificate {
        let (height, id, account) = (block.header.height, block.id(), self.keys.address());
        let signature = self.keys.consensus.sign(&sign_bytes::precommit(CHAIN, height, 0, &id, &account));
        Certificate { height, round: 0, block: id, signatures: vec![(account, signature)] }
    }

    /// Decides and executes the next block.
    pub(super) fn seal(&self) -> Arc<Head> {
        let block = self.next();
        validate(&self.chain, &block).unwrap();
        self.chain.commit(&block, &self.certificate(&block)).unwrap()
    }

    /// An Ethereum transaction.
    pub(super) fn ethereum(&self, nonce: u64, to: TxKind, value: u64, input: Vec<u8>) -> Vec<u8> {
        let tx = TxEip1559 {
            chain_id: CHAIN,
            nonce,
            gas_limit: 1_000_000,
            max_fee_per_gas: FEE,
            max_priority_fee_per_gas: 1,
            to,
            value: U256::from(value),
            access_list: Default::default(),
            input: input.into(),
        };
        sign_eip1559(&tx, &ethereum_key()).to_vec()
    }

    /// A native transfer.
    pub(super) fn native(&self, nonce: u64, value: u64) -> Vec<u8> {
        let tx = NativeTx {
            chain_id: CHAIN,
            nonce,
            max_priority_fee: 2,
            max_fee: u64::try_from(FEE).unwrap(),
            gas_limit: 21_000,
            key: native_key().public(),
            to: SINK,
            value: U256::from(value),
            data: Bytes::new(),
        };
        tx.sign(&native_key()).to_vec()
    }

    pub(super) fn balance(&self, account: Address) -> U256 {
        self.chain.read(|view, _| view.account(&account)).unwrap().map_or(U256::ZERO, |info| info.balance)
    }
}

pub(super) const SINK: Address = Address::repeat_byte(0x55);

#[test]
fn transactions_become_blocks_and_survive_a_restart() {
    let chain = Fixture::new();
    let first = chain.chain.admit(&chain.native(0, 5), true).unwrap();
    chain.chain.admit(&chain.native(1, 6), true).unwrap();
    chain.chain.admit(&chain.ethereum(0, TxKind::Call(SINK), 7, vec![]), true).unwrap();
    let head = chain.seal();
    assert_eq!((head.height(), head.executed.header.gas_used), (1, 63_000));
    assert_eq!(chain.balance(SINK), U256::from(18));
    assert_eq!(chain.chain.pool().size(), (0, 0));
    assert_eq!(head.executed.header.mix_hash, head.executed.beacon);
    let place = chain.chain.blocks().find_tx(&first.hash).unwrap().unwrap();
    assert_eq!(place.height, 1);
    let receipts = chain.chain.blocks().receipts(1).unwrap();
    assert_eq!(receipts[usize::try_from(place.index).unwrap()].tx, first.hash);
    assert_eq!(chain.chain.blocks().find_block(&head.executed.hash).unwrap(), Some(1));
    let replayed = chain.chain.admit(&chain.native(0, 5), true).unwrap_err();
    assert_eq!(replayed.to_string(), "replayed transaction: nonce 0 is used, next is 2");
    let again = Fixture::on(Arc::new(chain.kv.reopen())).unwrap();
    assert_eq!(again.chain.head().executed, head.executed);
    assert_eq!(again.balance(SINK), U256::from(18));
    assert_eq!(again.seal().height(), 2);
}

#[test]
fn a_block_decided_before_a_crash_is_executed_after_it() {
    let chain = Fixture::new();
    chain.chain.admit(&chain.native(0, 5), true).unwrap();
    let block = chain.next();
    chain.chain.blocks().append(&block, &chain.certificate(&block)).unwrap();
    let twin = Fixture::on(Arc::new(MemoryKv::new())).unwrap();
    let expected = twin.chain.commit(&block, &chain.certificate(&block)).unwrap();
    let again = Fixture::on(Arc::new(chain.kv.reopen())).unwrap();
    assert_eq!(again.chain.head().executed, expected.executed);
    assert_eq!(again.balance(SINK), U256::from(5));
}

#[test]
fn power_loss_costs_no_decided_block() {
    let chain = Fixture::new();
    for nonce in 0..5 {
        chain.chain.admit(&chain.native(nonce, 1), true).unwrap();
        chain.seal();
    }
    let lost = Arc::new(chain.kv.after_power_loss());
    assert_ne!(
        lost.get(Column::Meta, b"chain/executed").unwrap(),
        chain.kv.get(Column::Meta, b"chain/executed").unwrap()
    );
    let again = Fixture::on(lost).unwrap();
    assert_eq!(again.chain.head().executed, chain.chain.head().executed);
    assert_eq!(again.balance(SINK), U256::from(5));
}

#[test]
fn a_foreign_database_is_refused_with_both_hashes() {
    let chain = Fixture::new();
    let mut other = genesis(&chain.keys);
    other.time_ms += 1;
    let expected = other.build().unwrap().header.hash_slow();
    let Err(refused) = FullChain::open(&node(), chain.kv.clone(), &other) else { panic!("it was opened") };
    let text = refused.to_string();
    assert!(text.contains(&chain.chain.spec().genesis.to_string()) && text.contains(&expected.to_string()), "{text}");
}

#[test]
fn damaged_state_is_noticed_at_the_next_start() {
    let chain = Fixture::new();
    chain.seal();
    let mut batch = crate::kv::Batch::new();
    batch.delete(Column::Accounts, native_address(&native_key().public()).as_slice());
    chain.kv.write(batch, crate::kv::Durability::Synced).unwrap();
    assert!(matches!(Fixture::on(Arc::new(chain.kv.reopen())), Err(StoreError::Root { height: 1, .. })));
}

#[test]
fn a_failed_write_stops_the_chain_and_loses_nothing() {
    let chain = Fixture::new();
    let block = chain.next();
    chain.kv.fail_next_write("disk full");
    let failed = chain.chain.commit(&block, &chain.certificate(&block)).unwrap_err();
    assert!(failed.to_string().contains("disk full"), "{failed}");
    assert_eq!(chain.chain.head().height(), 0);
    let again = Fixture::on(Arc::new(chain.kv.reopen())).unwrap();
    again.chain.commit(&block, &again.certificate(&block)).unwrap();
    assert_eq!(again.chain.head().height(), 1);
}

#[test]
fn commits_are_checked_and_repeatable() {
    let chain = Fixture::new();
    let block = chain.next();
    let certificate = chain.certificate(&block);
    let mut unsigned = certificate.clone();
    unsigned.signatures.clear();
    assert!(matches!(chain.chain.commit(&block, &unsigned), Err(StoreError::Consensus(_))));
    let mut other = block.clone();
    other.header.time_ms += 1;
    assert!(matches!(chain.chain.commit(&other, &certificate), Err(StoreError::ForeignCertificate { .. })));
    let head = chain.chain.commit(&block, &certificate).unwrap();
    assert_eq!(chain.chain.commit(&block, &certificate).unwrap().executed, head.executed);
    assert!(matches!(chain.chain.commit(&other, &chain.certificate(&other)), Err(StoreError::Conflict(1))));
    let mut late = chain.next();
    late.header.height += 1;
    assert!(matches!(chain.chain.commit(&late, &chain.certificate(&late)), Err(StoreError::OutOfOrder { .. })));
}

#[test]
fn a_block_decided_before_its_round_is_refused() {
    let chain = Fixture::new();
    let mut later = chain.next();
    later.header.round = 1;
    let refused = chain.chain.commit(&later, &chain.certificate(&later));
    let early = ConsensusError::DecidedBefore { height: 1, decided: 0, built: 1 };
    assert!(matches!(&refused, Err(StoreError::Consensus(error)) if *error == early), "{refused:?}");
    assert_eq!(chain.chain.blocks().decided_height().unwrap(), 0);
}

#[test]
fn transactions_that_cannot_run_are_skipped_and_forgotten() {
    let chain = Fixture::new();
    let mut block = chain.next();
    block.txs = vec![chain.native(4, 1), chain.native(0, 1), vec![0x6c, 1, 2]];
    block.header.body = Block::body_hash(&block.txs);
    chain.chain.admit(&block.txs[0], true).unwrap();
    let head = chain.chain.commit(&block, &chain.certificate(&block)).unwrap();
    let skipped: Vec<_> = head.executed.skipped.iter().map(|skip| skip.index).collect();
    assert_eq!(skipped, [2, 0]);
    assert_eq!(chain.chain.blocks().receipts(1).unwrap().len(), 1);
    assert_eq!(chain.chain.pool().size().0, 0);
    assert_eq!(chain.balance(SINK), U256::from(1));
}

#[tokio::test]
async fn every_kind_of_bad_block_is_refused() {
    let chain = Fixture::new();
    chain.chain.admit(&chain.native(0, 1), true).unwrap();
    let good = chain.next();
    let judge = |block: &Block| validate(&chain.chain, block);
    assert_eq!(judge(&good), Ok(()));
    type Change = fn(&mut Block);
    let headers: [(Change, &str); 9] = [
        (|b| b.header.chain_id += 1, "block is for chain 11333, this is chain 11332"),
        (|b| b.header.height += 1, "block has height 2, expected 1"),
        (|b| b.header.parent.0[0] ^= 1, "block follows"),
        (|b| b.header.executed.hash.0[0] ^= 1, "as executed block 0, this node computed"),
        (|b| b.header.committee[0] ^= 1, "block names another committee"),
        (|b| b.header.next_committee[0] ^= 1, "block names another next committee"),
        (|b| b.header.time_ms = START_MS, "is not after its parent's"),
        (|b| b.header.proposer.0[0] ^= 1, "it is the turn of"),
        (|b| b.header.vrf.0[0] ^= 1, "beacon proof of"),
    ];
    for (change, words) in headers {
        let mut bad = good.clone();
        change(&mut bad);
        let fault = judge(&bad).unwrap_err().to_string();
        assert!(fault.contains(words), "{fault}");
    }
    let mut ahead = good.clone();
    ahead.header.time_ms = START_MS + 60_000;
    assert_eq!(judge(&ahead), Ok(()), "two thirds outvote one clock");
    let app = LedgerApp::new(chain.chain.clone(), chain.keys.clone());
    assert!(app.check_clock(&ahead.header).unwrap_err().contains("ms ahead of this node's clock"));
    assert_eq!(app.check_clock(&good.header), Ok(()));
    let mut body = good.clone();
    body.txs.push(vec![1]);
    assert_eq!(judge(&body), Err(BlockFault::Body));
}

#[test]
fn every_kind_of_bad_body_is_refused() {
    let chain = Fixture::new();
    let good = chain.next();
    let judge = |txs: Vec<Vec<u8>>| {
        let mut bad = good.clone();
        bad.header.body = Block::body_hash(&txs);
        bad.txs = txs;
        validate(&chain.chain, &bad).map_err(|fault| fault.to_string())
    };
    let refused = |txs, words: &str| {
        let fault = judge(txs).unwrap_err();
        assert!(fault.contains(words), "{fault}");
    };
    refused(vec![vec![1]; 8_193], "8193 transactions, the limit is 8192");
    refused(vec![vec![1; (2 << 20) + 1]], "bytes in one transaction");
    refused(vec![vec![1; 2 << 20]; 3], "6291456 bytes, the limit is 4194304");
    refused(vec![vec![0x6c, 9]], "transaction 0 of the block is not valid");
    refused(vec![chain.native(0, 1), chain.native(0, 1)], "is in the block twice");
    let mut foreign = chain.native(0, 1);
    *foreign.last_mut().unwrap() ^= 1;
    refused(vec![chain.native(0, 1), foreign], "transaction 1 of the block is not valid");
    let thirsty = |nonce| {
        let tx =
            TxEip1559 { chain_id: CHAIN, nonce, gas_limit: 50_000_000, max_fee_per_gas: FEE, ..Default::default() };
        sign_eip1559(&TxEip1559 { to: TxKind::Call(SINK), ..tx }, &ethereum_key()).to_vec()
    };
    refused((0..3).map(thirsty).collect(), "150000000 gas, the limit is 120000000");
    assert_eq!(judge(vec![chain.native(9, 1)]), Ok(()), "nonces are a matter of execution");
}

#[test]
fn readers_never_see_a_mixture_of_two_blocks() {
    let chain = Arc::new(Fixture::new());
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = std::thread::spawn({
        let (chain, done) = (chain.clone(), done.clone());
        move || {
            let mut reads = 0u32;
            while !done.load(std::sync::atomic::Ordering::Relaxed) || reads == 0 {
                let read = chain.chain.read(|view, head| {
                    let sink = view.account(&SINK)?.map_or(U256::ZERO, |info| info.balance);
                    Ok::<_, crate::ledger::state::StateError>((head.height(), sink))
                });
                let (height, sink) = read.unwrap();
                assert_eq!(sink, U256::from(height));
                reads += 1;
            }
        }
    });
    for nonce in 0..30 {
        chain.chain.admit(&chain.native(nonce, 1), true).unwrap();
        chain.seal();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    reader.join().unwrap();
}

#[tokio::test]
async fn the_application_drives_the_chain() {
    let chain = Fixture::new();
    let app = LedgerApp::new(chain.chain.clone(), chain.keys.clone());
    let mut finalised = chain.chain.node().bus.subscribe::<BlockFinalised>();
    let tip = app.tip().await;
    assert_eq!((tip.height, tip.committee.members.len()), (0, 1));
    chain.chain.admit(&chain.native(0, 1), true).unwrap();
    let began = std::time::Instant::now();
    app.wait_to_start(1).await;
    let interval = chain.chain.spec().params.block_interval_ms;
    assert!(chain.chain.ordered().since.elapsed() >= Duration::from_millis(interval));
    assert!(began.elapsed() < Duration::from_millis(chain.chain.spec().params.idle_block_interval_ms));
    let block = app.propose(1, 0).await.unwrap();
    assert_eq!(block.txs.len(), 1);
    app.validate(&block).await.unwrap();
    assert!(app.propose(3, 0).await.is_err());
    assert!(app.validate(&block).await.is_ok());
    let next = app.commit(block.clone(), chain.certificate(&block)).await.unwrap();
    assert_eq!(next.height, 1);
    assert_ne!(next.seed, tip.seed);
    assert_eq!(finalised.recv().await.unwrap().height, 1);
    let (stored, certificate) = app.decided(1).await.unwrap().unwrap();
    assert_eq!((stored.id(), certificate.block), (block.id(), block.id()));
    assert!(app.decided(2).await.unwrap().is_none());
    app.wait_to_start(1).await;
    assert!(app.validate(&block).await.unwrap_err().contains("block has height 1, expected 2"));
}

#[test]
fn many_blocks_are_committed_at_once_and_wrong_ones_are_refused() {
    let (chain, twin) = (Fixture::new(), Fixture::new());
    let mut blocks = Vec::new();
    // Over two eras: committees are judged as the state comes to know them.
    for nonce in 0..150 {
        chain.chain.admit(&chain.native(nonce, 1), true).unwrap();
        let block = chain.next();
        let certificate = chain.certificate(&block);
        chain.chain.commit(&block, &certificate).unwrap();
        blocks.push((block, certificate));
    }
    let refused = |blocks: &[(Block, Certificate)]| twin.chain.commit_many(blocks).unwrap().unwrap_err();
    assert!(refused(&blocks[1..3]).contains("do not follow block 0"));
    let mut gap = blocks[..3].to_vec();
    gap.remove(1);
    assert!(refused(&gap).contains("do not follow block 0"));
    let mut unsigned = blocks[..3].to_vec();
    unsigned[2].1.signatures.clear();
    assert!(refused(&unsigned).contains("height 3"));
    assert_eq!((twin.chain.head().height(), twin.chain.blocks().decided_height().unwrap()), (0, 0));
    twin.chain.commit_many(&blocks).unwrap().unwrap();
    assert_eq!(twin.chain.head().executed, chain.chain.head().executed);
    let again = Fixture::on(Arc::new(twin.kv.after_power_loss())).unwrap();
    assert_eq!(again.chain.head().executed, chain.chain.head().executed, "all of them were durable first");
}
