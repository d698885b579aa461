//! Bounds, order, replacement, eviction and the words of refusals.

use super::{lanes::Lanes, *};
use crate::{
    crypto::SecretKey,
    ledger::{
        native::NativeTx,
        state::{AccountDelta, AccountInfo, MemoryState, StateDelta},
        tx::decode_and_recover,
    },
};
use proptest::prelude::*;
use std::collections::BTreeMap;

const CHAIN: ChainId = 11_332;

fn key(i: u8) -> SecretKey {
    SecretKey::from_bytes(&[i + 1; 32])
}

fn sender(i: u8) -> Address {
    crate::crypto::native_address(&key(i).public())
}

fn raw_of(i: u8, nonce: u64, fee: u64, tip: u64, size: usize, chain_id: ChainId) -> Vec<u8> {
    let tx = NativeTx {
        chain_id,
        nonce,
        max_priority_fee: tip,
        max_fee: fee,
        gas_limit: 1_000_000,
        key: key(i).public(),
        to: Address::repeat_byte(9),
        value: U256::from(1),
        data: vec![7; size].into(),
    };
    tx.sign(&key(i)).to_vec()
}

fn tx(i: u8, nonce: u64, fee: u64, tip: u64, size: usize) -> Arc<VerifiedTx> {
    Arc::new(decode_and_recover(&raw_of(i, nonce, fee, tip, size, CHAIN), CHAIN).unwrap())
}

fn rich(next: u64) -> MemoryState {
    let mut delta = StateDelta::default();
    for i in 0..4 {
        let info = AccountInfo { nonce: next, balance: U256::from(u128::MAX), ..AccountInfo::default() };
        delta.accounts.insert(sender(i), AccountDelta { info: Some(info), ..AccountDelta::default() });
    }
    MemoryState::from_delta(&delta)
}

fn small() -> Limits {
    Limits { txs: 12, bytes: 12_000, sender_txs: 5, sender_bytes: 4_000, nonce_ahead: 8 }
}

#[derive(Debug, Clone)]
enum Step {
    Insert { who: u8, ahead: u64, fee: u64, tip: u64, size: usize },
    Mine { who: u8, count: u64 },
    Order { who: u8, count: u64 },
    GiveBack,
    Expire,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0u8..4, 0u64..9, 10u64..40, 0u64..10, 0usize..2_000)
            .prop_map(|(who, ahead, fee, tip, size)| Step::Insert { who, ahead, fee, tip, size }),
        2 => (0u8..4, 0u64..4).prop_map(|(who, count)| Step::Mine { who, count }),
        2 => (0u8..4, 1u64..4).prop_map(|(who, count)| Step::Order { who, count }),
        1 => Just(Step::GiveBack),
        1 => Just(Step::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bounds_hold_and_batches_are_in_order(steps in prop::collection::vec(step(), 1..40), base_fee in 0u64..30) {
        let (mut lanes, mut next, mut taken) = (Lanes::new(small()), BTreeMap::<u8, u64>::new(), BTreeMap::<u8, u64>::new());
        for (height, step) in (1u64..).zip(steps) {
            match step {
                Step::Insert { who, ahead, fee, tip, size } => {
                    let first = next.get(&who).copied().unwrap_or_default();
                    // Refusals are part of the game; the invariants below must hold after each.
                    let _ = lanes.insert(tx(who, first + ahead, fee, tip.min(fee), size), first, height, None);
                }
                Step::Mine { who, count } => {
                    let first = next.entry(who).or_default();
                    *first += count;
                    lanes.prune(&[], &[(sender(who), *first)]);
                }
                Step::Order { who, count } => {
                    let turn = taken.entry(who).or_default();
                    *turn = (*turn).max(next.get(&who).copied().unwrap_or_default());
                    for _ in 0..count {
                        lanes.take_turn(height, sender(who), *turn);
                        *turn += 1;
                    }
                }
                Step::GiveBack => {
                    lanes.give_back(height);
                    taken.clear();
                }
                Step::Expire => lanes.expire(height.saturating_sub(10)),
            }
            lanes.check();
            let batch = lanes.batch(base_fee, 100, usize::MAX, u64::MAX);
            prop_assert_eq!(lanes.any_ready(base_fee), !batch.is_empty());
            let turn = |who: u8| next.get(&who).max(taken.get(&who)).copied().unwrap_or_default();
            let mut expected: BTreeMap<Address, u64> = (0..4).map(|who| (sender(who), turn(who))).collect();
            for tx in &batch {
                prop_assert!(tx.max_fee() >= u128::from(base_fee));
                let nonce = expected.get_mut(&tx.sender).unwrap();
                prop_assert_eq!(tx.nonce, *nonce);
                *nonce += 1;
            }
            // Whoever stands at the head of another lane when a transaction is taken tips no more.
            for (at, taken) in batch.iter().enumerate() {
                for other in &batch[at + 1..] {
                    let blocked = batch[at..].iter().any(|tx| tx.sender == other.sender && tx.nonce < other.nonce);
                    prop_assert!(blocked || taken.tip(base_fee).unwrap() >= other.tip(base_fee).unwrap());
                }
            }
        }
    }
}

#[test]
fn block_bounds_are_respected() {
    let mut lanes = Lanes::new(Limits::default());
    for who in 0..4 {
        for nonce in 0..3 {
            lanes.insert(tx(who, nonce, 100, 5 + u64::from(who), 1_000), 0, 1, None).unwrap();
        }
    }
    assert_eq!(lanes.batch(0, 5, usize::MAX, u64::MAX).len(), 5);
    assert_eq!(lanes.batch(0, 100, 3_600, u64::MAX).len(), 3);
    assert_eq!(lanes.batch(0, 100, usize::MAX, 4_999_999).len(), 4);
    let best: Vec<_> = lanes.batch(0, 3, usize::MAX, u64::MAX).iter().map(|tx| (tx.sender, tx.nonce)).collect();
    assert_eq!(best, [(sender(3), 0), (sender(3), 1), (sender(3), 2)]);
    assert!(lanes.batch(101, 100, usize::MAX, u64::MAX).is_empty());
}

#[test]
fn replacement_needs_ten_percent_more_of_both_fees() {
    let mut lanes = Lanes::new(Limits::default());
    let first = tx(0, 0, 100, 10, 0);
    lanes.insert(first.clone(), 0, 1, None).unwrap();
    assert_eq!(lanes.insert(first.clone(), 0, 1, None), Err(PoolError::Known(first.hash)));
    let low = Err(PoolError::Underpriced { nonce: 0, fee: 110, tip: 11 });
    assert_eq!(lanes.insert(tx(0, 0, 109, 20, 0), 0, 1, None), low);
    assert_eq!(lanes.insert(tx(0, 0, 200, 10, 0), 0, 1, None), low);
    assert_eq!(lanes.insert(tx(0, 0, 110, 11, 0), 0, 1, None), Ok(Some(first.hash)));
    assert_eq!(lanes.len(), 1);
    lanes.check();
}

#[test]
fn a_full_pool_gives_up_its_cheapest_tail_only_for_more() {
    let mut lanes = Lanes::new(Limits { txs: 3, ..Limits::default() });
    lanes.insert(tx(0, 0, 50, 0, 0), 0, 1, None).unwrap();
    lanes.insert(tx(0, 1, 20, 0, 0), 0, 1, None).unwrap();
    lanes.insert(tx(1, 0, 30, 0, 0), 0, 1, None).unwrap();
    assert!(matches!(lanes.insert(tx(2, 0, 20, 0, 0), 0, 1, None), Err(PoolError::Full { txs: 3, fee: 20, .. })));
    lanes.insert(tx(2, 0, 25, 0, 0), 0, 1, None).unwrap();
    assert_eq!(lanes.next_nonce(&sender(0), 0), 1);
    lanes.check();
    // Twenty-five is the cheapest now, then thirty, then fifty: a very large newcomer takes as many as it needs.
    let mut bytes = Lanes::new(Limits { bytes: 2_000, ..Limits::default() });
    for who in 0..3 {
        bytes.insert(tx(who, 0, 20 + u64::from(who), 0, 300), 0, 1, None).unwrap();
    }
    bytes.insert(tx(3, 0, 40, 0, 1_200), 0, 1, None).unwrap();
    bytes.check();
    assert_eq!(bytes.len(), 2);
    assert!(bytes.is_ready(&sender(2), 0) && bytes.is_ready(&sender(3), 0));
}

#[test]
fn senders_are_bounded() {
    let mut lanes = Lanes::new(small());
    for nonce in 0..5 {
        lanes.insert(tx(0, nonce, 20, 0, 0), 0, 1, None).unwrap();
    }
    let full = lanes.insert(tx(0, 5, 20, 0, 0), 0, 1, None);
    assert!(matches!(full, Err(PoolError::SenderFull { what: "transactions", max: 5, .. })));
    let wide = lanes.insert(tx(1, 0, 20, 0, 4_000), 0, 1, None);
    assert!(matches!(wide, Err(PoolError::SenderFull { what: "bytes", max: 4_000, .. })));
    lanes.check();
}

#[test]
fn admission_names_what_is_wrong() {
    let (pool, state) = (Mempool::new(CHAIN, Limits::default()), rich(5));
    let admit = |raw: Vec<u8>| pool.admit(&raw, &state, 1, true).map(|tx| tx.nonce);
    let replayed = admit(raw_of(0, 3, 100, 1, 0, CHAIN)).unwrap_err();
    assert_eq!(replayed.to_string(), "replayed transaction: nonce 3 is used, next is 5");
    assert!(matches!(admit(raw_of(0, 6_000, 100, 1, 0, CHAIN)), Err(PoolError::NonceAhead { next: 5, .. })));
    assert!(matches!(admit(raw_of(0, 5, 100, 1, 0, CHAIN + 1)), Err(PoolError::Invalid(TxError::WrongChain { .. }))));
    assert!(matches!(admit(raw_of(0, 5, 1, 1, 0, CHAIN)), Err(PoolError::FeeTooLow { .. })));
    assert!(matches!(admit(raw_of(8, 0, 100, 1, 0, CHAIN)), Err(PoolError::Funds { .. })));
    let mut forged = raw_of(0, 5, 100, 1, 0, CHAIN);
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(admit(forged), Err(PoolError::Invalid(_))));
    assert_eq!(admit(raw_of(0, 5, 100, 1, 0, CHAIN)), Ok(5));
    assert_eq!(pool.size().0, 1);
}

#[test]
fn what_a_decided_block_holds_is_in_no_other() {
    let (pool, state) = (Mempool::new(CHAIN, Limits::default()), rich(0));
    let admit = |raw: Vec<u8>| pool.admit(&raw, &state, 1, false);
    let first = admit(raw_of(0, 0, 100, 1, 0, CHAIN)).unwrap();
    let second = admit(raw_of(0, 1, 100, 1, 0, CHAIN)).unwrap();
    let pending = || pool.pending(0, 9, usize::MAX, u64::MAX).iter().map(|tx| tx.hash).collect::<Vec<_>>();
    let unheard = tx(1, 0, 100, 1, 0);
    pool.order(5, &[first.clone(), unheard.clone()]);
    assert_eq!(pending(), [second.hash]);
    assert_eq!(pool.next_nonce(&sender(0), 0), 2);
    assert_eq!(
        admit(unheard.raw.to_vec()),
        Err(PoolError::Replayed { nonce: 0, next: 1 }),
        "heard of after it was decided"
    );
    assert_eq!(admit(raw_of(0, 0, 200, 50, 0, CHAIN)), Err(PoolError::Replayed { nonce: 0, next: 1 }), "nor replaced");
    pool.order(5, &[tx(0, 7, 100, 1, 0)]);
    assert_eq!(pending(), [second.hash], "a nonce out of turn takes nothing");
    pool.order(6, std::slice::from_ref(&second));
    assert!(pending().is_empty());
    pool.prune(5, &[first.hash], &[(sender(0), 1)], 0);
    assert!(pending().is_empty(), "block 6 is not executed");
    pool.prune(6, &[], &[], 0);
    assert_eq!(pending(), [second.hash], "it was left out of block 6");
}

#[tokio::test]
async fn readiness_follows_the_pool() {
    let (pool, state) = (Mempool::new(CHAIN, Limits::default()), rich(0));
    let waiting = |pool: &Mempool| *pool.ready.borrow();
    pool.admit(&raw_of(0, 1, 100, 1, 0, CHAIN), &state, 1, false).unwrap();
    assert!(!waiting(&pool), "nonce 0 is missing");
    let head = pool.admit(&raw_of(0, 0, 100, 1, 0, CHAIN), &state, 1, false).unwrap();
    pool.wait_ready().await;
    assert_eq!(pool.next_nonce(&sender(0), 0), 2);
    assert!(pool.prune(2, &[head.hash], &[(sender(0), 1)], 7).is_empty(), "it was heard of, not handed in");
    assert!(waiting(&pool));
    pool.prune(3, &[], &[], 101);
    assert!(!waiting(&pool), "the base fee is above every bid");
    pool.prune(4, &[], &[(sender(0), 2)], 7);
    assert_eq!(pool.size(), (0, 0));
}

#[test]
fn many_get_their_answers_in_order_and_others_have_their_turn_meanwhile() {
    let (many, state) = (2 * TURN_MAX_TXS + 9, rich(0));
    let nonces = 0..u64::try_from(many).unwrap();
    let mut raws: Vec<Vec<u8>> = nonces.map(|nonce| raw_of(0, nonce, 100, 1, 0, CHAIN)).collect();
    let bad = TURN_MAX_TXS + 3;
    *raws[bad].last_mut().unwrap() ^= 1;
    let deadline = Instant::now() + std::time::Duration::from_secs(120);
    loop {
        let pool = Mempool::new(CHAIN, Limits::default());
        let checked = pool.memo().verify_all(&raws);
        let (admitted, seen) = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| std::iter::repeat_with(|| pool.size().0).find(|size| *size > 0).unwrap());
            (pool.admit_checked(checked, &state, 1, true), watcher.join().unwrap())
        });
        let answers: Vec<_> = admitted.iter().map(|one| one.as_ref().ok().map(|tx| tx.nonce)).collect();
        let expected: Vec<_> = (0..many).map(|at| (at != bad).then(|| u64::try_from(at).unwrap())).collect();
        assert_eq!(answers, expected);
        if seen < many - 1 {
            assert!(seen == TURN_MAX_TXS || seen == 2 * TURN_MAX_TXS - 1, "{seen} were seen between two turns");
            return;
        }
        assert!(Instant::now() < deadline, "nobody had a turn");
    }
}

#[test]
fn limits_are_those_of_the_configuration() {
    let mut config = crate::config::Config::defaults().pool;
    (config.max_txs, config.sender_max_txs) = (20, 7);
    let limits = Limits::from(&config);
    assert_eq!((limits.txs, limits.sender_txs, limits.nonce_ahead), (20, 7, 7));
    assert_eq!(Limits::default().txs, 65_536);
}
