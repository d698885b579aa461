//! Blocks that are ordered while the one before is executed.

use super::{
    LedgerApp,
    app::validate,
    bft::Application,
    checks::BlockFault,
    execution::Execution,
    order::Unexecuted,
    tests::{CHAIN, FEE, Fixture, SINK, ethereum_key},
};
use crate::{consensus::Block, ledger::tx::sign_eip1559, types::U256};
use alloy_consensus::TxEip1559;
use alloy_primitives::TxKind;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// Stores the next block without executing it.
pub(super) fn ordered(chain: &Fixture) -> (Unexecuted, Block) {
    let block = chain.next();
    assert!(chain.chain.append(&block, &chain.certificate(&block)).unwrap());
    (chain.chain.order(&block).unwrap(), block)
}

#[test]
fn a_block_names_what_is_executed_when_it_is_built() {
    let chain = Fixture::new();
    chain.chain.admit(&chain.native(0, 1), true).unwrap();
    let (first, _) = ordered(&chain);
    let early = chain.next();
    assert_eq!(early.header.executed, chain.chain.head().named());
    assert_eq!(early.header.executed.height, 0);
    assert_eq!(validate(&chain.chain, &early), Ok(()));
    let head = chain.chain.execute(first).unwrap();
    let late = chain.next();
    assert_eq!((late.header.executed, late.header.executed.height), (head.named(), 1));
    for block in [&early, &late] {
        assert_eq!(validate(&chain.chain, block), Ok(()));
    }
    assert_eq!(chain.chain.commit(&early, &chain.certificate(&early)).unwrap().height(), 2);
}

#[test]
fn nobody_votes_for_an_execution_it_has_not_done() {
    let (chain, ahead) = (Fixture::new(), Fixture::new());
    let (first, block) = ordered(&chain);
    ahead.chain.commit(&block, &ahead.certificate(&block)).unwrap();
    let next = ahead.next();
    assert_eq!(validate(&chain.chain, &next), Err(BlockFault::NotExecuted(1)));
    chain.chain.execute(first).unwrap();
    assert_eq!(validate(&chain.chain, &next), Ok(()));
    let mut wrong = next;
    wrong.header.executed.hash.0[0] ^= 1;
    assert!(matches!(validate(&chain.chain, &wrong), Err(BlockFault::Executed { height: 1, .. })));
}

#[test]
fn a_transaction_is_taken_once_and_what_was_left_out_comes_again() {
    let chain = Fixture::new();
    for nonce in 0..3 {
        chain.chain.admit(&chain.native(nonce, 1), true).unwrap();
    }
    let (first, block) = ordered(&chain);
    assert_eq!(block.txs.len(), 3);
    chain.chain.admit(&chain.native(3, 1), true).unwrap();
    assert_eq!(chain.next().txs, [chain.native(3, 1)]);
    chain.chain.execute(first).unwrap();
    assert_eq!(chain.next().txs, [chain.native(3, 1)]);
}

#[test]
fn blocks_decided_and_not_executed_are_executed_after_a_crash() {
    let chain = Fixture::new();
    chain.chain.admit(&chain.native(0, 5), true).unwrap();
    let (first, _) = ordered(&chain);
    chain.chain.admit(&chain.native(1, 7), true).unwrap();
    let second = chain.next();
    chain.chain.append(&second, &chain.certificate(&second)).unwrap();
    drop(first);
    let again = chain.reopened();
    assert_eq!((again.chain.head().height(), again.balance(SINK)), (2, U256::from(12)));
}

#[tokio::test]
async fn a_height_begins_while_its_parent_is_executed_but_not_its_grandparent() {
    let chain = Fixture::new();
    let app = LedgerApp::new(chain.chain.clone(), chain.keys.clone());
    for height in 1..=12 {
        chain.chain.admit(&chain.native(height - 1, 1), true).unwrap();
        let block = app.propose(height, 0).await.unwrap();
        assert_eq!(block.txs.len(), 1);
        app.validate(&block).await.unwrap();
        let certificate = chain.certificate(&block);
        assert_eq!(app.commit(block, certificate).await.unwrap().height, height);
        assert!(chain.chain.computed().height() + 1 >= height, "at most one block waits to be computed");
        assert!(chain.chain.head().height() + 2 >= height, "and at most one to be stored");
    }
    let mut head = chain.chain.watch();
    tokio::time::timeout(DEADLINE, head.wait_for(|head| head.height() == 12)).await.unwrap().unwrap();
    assert_eq!(chain.balance(SINK), U256::from(12));
}

#[tokio::test]
async fn after_a_full_block_the_next_begins_at_once_if_something_waits() {
    let chain = Fixture::new();
    let app = LedgerApp::new(chain.chain.clone(), chain.keys.clone());
    let wide = |nonce| {
        let tx =
            TxEip1559 { chain_id: CHAIN, nonce, gas_limit: 30_000_000, max_fee_per_gas: FEE, ..TxEip1559::default() };
        sign_eip1559(&TxEip1559 { to: TxKind::Call(SINK), ..tx }, &ethereum_key()).to_vec()
    };
    let interval = Duration::from_millis(chain.chain.spec().params.block_interval_ms);
    let waited = async |height| {
        let since = chain.chain.ordered().since;
        tokio::time::timeout(DEADLINE, app.wait_to_start(height)).await.unwrap();
        since.elapsed() >= interval
    };
    (0..4).for_each(|nonce| drop(chain.chain.admit(&wide(nonce), true).unwrap()));
    assert!(waited(1).await);
    let (first, block) = ordered(&chain);
    assert_eq!(block.txs.len(), 4);
    chain.chain.execute(first).unwrap();
    chain.chain.admit(&wide(4), true).unwrap();
    assert!(!waited(2).await, "three quarters of the gas and more were taken");
    let (second, _) = ordered(&chain);
    chain.chain.execute(second).unwrap();
    chain.chain.admit(&wide(5), true).unwrap();
    assert!(waited(3).await);
}

#[tokio::test]
async fn a_block_that_cannot_be_executed_stops_the_node() {
    let chain = Fixture::new();
    let execution = Execution::start(chain.chain.clone());
    let (first, _) = ordered(&chain);
    chain.kv.fail_next_write("disk full");
    execution.begin(first).await.unwrap();
    let failure = tokio::time::timeout(DEADLINE, chain.chain.node().tasks.failure()).await.unwrap();
    assert!(failure.contains("block execution") && failure.contains("disk full"), "{failure}");
    let refused = tokio::time::timeout(DEADLINE, execution.reached(2)).await.unwrap().unwrap_err();
    assert!(refused.to_string().contains("block 2 is not executed"), "{refused}");
    assert_eq!(chain.reopened().chain.head().height(), 1);
}
