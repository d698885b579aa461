//! What a block's access list says, written out by hand, and that it is enough to follow the chain.

use super::rig::{GWEI, PROPOSER, Rig, key, transfer, tx};
use crate::{
    ledger::executor::{AccessList, AccessListError, Rules, next_base_fee},
    types::{Address, B256, U256},
};
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, CodeChange, NonceChange, SlotChanges, StorageChange,
};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Bytes, bytes, keccak256};
use proptest::prelude::*;

const RECEIVER: Address = Address::repeat_byte(0x11);

fn at(index: u64) -> BlockAccessIndex {
    BlockAccessIndex::new(index)
}

#[test]
fn the_list_of_a_transfer_beside_a_skipped_transaction() {
    let mut rig = Rig::new();
    rig.env.rules = Rules { protocol: false, ..Rules::CESS };
    let (env, rich) = (rig.env.clone(), rig.balance(key(1).address()));
    // The first one's nonce is too high: it leaves no trace, and the index counts those that ran.
    let run = rig.block(&[transfer(2, 9, RECEIVER, 1), transfer(1, 0, RECEIVER, 7)]);
    assert_eq!(run.skipped.len(), 1);
    let tip = U256::from(21_000 * GWEI);
    let fee = U256::from(21_000 * u128::from(env.base_fee)) + tip;
    let mut expected = vec![
        AccountChanges {
            address: HISTORY_STORAGE_ADDRESS,
            storage_changes: vec![SlotChanges {
                slot: U256::ZERO,
                changes: vec![StorageChange::new(at(0), env.parent_hash.into())],
            }],
            ..Default::default()
        },
        AccountChanges {
            address: RECEIVER,
            balance_changes: vec![BalanceChange::new(at(1), U256::from(7))],
            ..Default::default()
        },
        AccountChanges {
            address: PROPOSER,
            balance_changes: vec![BalanceChange::new(at(1), tip)],
            ..Default::default()
        },
        AccountChanges {
            address: key(1).address(),
            balance_changes: vec![BalanceChange::new(at(1), rich - fee - U256::from(7))],
            nonce_changes: vec![NonceChange::new(at(1), 1)],
            ..Default::default()
        },
    ];
    expected.sort_by_key(|account| account.address);
    assert_eq!(run.access_list.accounts(), expected);
    let header = run.header(&env, B256::ZERO, &[transfer(2, 9, RECEIVER, 1), transfer(1, 0, RECEIVER, 7)]);
    assert_eq!(header.block_access_list_hash, Some(keccak256(alloy_rlp::encode(&expected))));
}

#[test]
fn code_slots_written_and_slots_read_are_told_apart() {
    let mut rig = Rig::new();
    rig.env.rules = Rules { protocol: false, ..Rules::CESS };
    // Stores 1 in slot 2 and reads slot 3.
    let code = bytes!("60016002556003545000");
    let init: Bytes = [&bytes!("600a600a5f39600a5ff3")[..], &code].concat().into();
    let contract = key(1).address().create(0);
    let run = rig.block(&[
        tx(1, 0, None, U256::ZERO, init),
        tx(2, 0, Some(contract), U256::ZERO, Bytes::new()),
        tx(3, 0, Some(contract), U256::ZERO, Bytes::new()),
    ]);
    let list = run.access_list.accounts();
    let expected = AccountChanges {
        address: contract,
        storage_changes: vec![SlotChanges {
            slot: U256::from(2),
            // The third transaction finds the value there.
            changes: vec![StorageChange::new(at(2), U256::from(1))],
        }],
        storage_reads: vec![U256::from(3)],
        balance_changes: vec![],
        nonce_changes: vec![NonceChange::new(at(1), 1)],
        code_changes: vec![CodeChange::new(at(1), code)],
    };
    assert_eq!(list.iter().find(|account| account.address == contract), Some(&expected));
}

#[test]
fn another_list_than_the_headers_is_refused() {
    let mut rig = Rig::new();
    let list = rig.block(&[transfer(1, 0, RECEIVER, 7)]).access_list;
    let mut forged = list.encode().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let refused = AccessList::decode(&forged, list.hash());
    assert_eq!(refused, Err(AccessListError::Foreign { found: keccak256(&forged), expected: list.hash() }));
    let longer = [&list.encode()[..], &[0]].concat();
    assert!(matches!(AccessList::decode(&longer, keccak256(&longer)), Err(AccessListError::Malformed(_))));
}

/// What a random transaction does.
#[derive(Debug, Clone)]
enum Step {
    Pay {
        from: u8,
        to: u8,
        value: u64,
    },
    /// Wrong by this many.
    BadNonce {
        from: u8,
        off: u64,
    },
    Create {
        from: u8,
        code: usize,
    },
    Call {
        from: u8,
        contract: u8,
        word: u64,
    },
}

/// Init codes: a counter; a contract that stores, then destroys itself at once; one that reverts; one that runs out of gas.
const INITS: [Bytes; 4] = [
    bytes!("6008600a5f3960085ff35f546001015f5500"),
    bytes!("600160025533ff"),
    bytes!("60016002555f5ffd"),
    bytes!("5b5f56"),
];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1u8..=4, 0u8..8, 0u64..1_000).prop_map(|(from, to, value)| Step::Pay { from, to, value }),
        (1u8..=4, 1u64..3).prop_map(|(from, off)| Step::BadNonce { from, off }),
        (1u8..=4, 0usize..INITS.len()).prop_map(|(from, code)| Step::Create { from, code }),
        (1u8..=4, 0u8..8, any::<u64>()).prop_map(|(from, contract, word)| Step::Call { from, contract, word }),
    ]
}

/// Senders, proposer, a precompiled contract, an account that does not exist, and where contracts come to be.
fn target(n: u8) -> Address {
    match n {
        0 => PROPOSER,
        n @ 1..=4 => key(n).address(),
        5 => Address::with_last_byte(4),
        6 => RECEIVER,
        _ => key(1).address().create(0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    // The rig replays the list of every block and compares state and root.
    #[test]
    fn a_list_is_enough_to_follow(blocks in prop::collection::vec(prop::collection::vec(step(), 0..12), 1..4)) {
        let mut rig = Rig::new();
        let mut nonces = [0u64; 5];
        for steps in blocks {
            let mut used = |from: u8| {
                nonces[usize::from(from)] += 1;
                nonces[usize::from(from)] - 1
            };
            let txs: Vec<_> = steps.into_iter().map(|step| match step {
                Step::Pay { from, to, value } => transfer(from, used(from), target(to), value),
                Step::BadNonce { from, off } => transfer(from, u64::MAX / 2 + off, RECEIVER, 1),
                Step::Create { from, code } => tx(from, used(from), None, U256::from(code % 2), INITS[code].clone()),
                Step::Call { from, contract, word } => {
                    let to = key(contract % 4 + 1).address().create(u64::from(contract / 4));
                    tx(from, used(from), Some(to), U256::ZERO, word.to_be_bytes().to_vec())
                }
            }).collect();
            let fee = rig.env.base_fee;
            let run = rig.block(&txs);
            prop_assert_eq!(rig.env.base_fee, next_base_fee(run.gas_used, rig.env.gas_limit, fee));
            for (n, nonce) in nonces.iter().enumerate().skip(1) {
                let account = key(u8::try_from(n).unwrap()).address();
                prop_assert_eq!(rig.nonce(account), *nonce);
            }
        }
    }
}
