//! Whole states taken apart and put together again, and parts that somebody tampered with.

use super::*;
use crate::{
    codec,
    ledger::{
        commitment::{StateCommitment, StateTrie},
        state::{AccountDelta, AccountInfo, MemoryState, StateDelta, StateView},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use proptest::prelude::*;

/// `accounts` accounts, each third with code, each second with up to `slots` slots.
fn delta(accounts: usize, slots: usize, seed: u8) -> StateDelta {
    let mut delta = StateDelta::default();
    for n in 0..accounts {
        let address = Address::from_word(keccak256([&n.to_be_bytes()[..], &[seed]].concat()));
        let mut info = AccountInfo { nonce: n as u64, balance: U256::from(n + 1), ..AccountInfo::default() };
        if n % 3 == 0 {
            let code = Bytes::from(vec![0x60, (n % 7) as u8]);
            info.code_hash = keccak256(&code);
            delta.code.insert(info.code_hash, code);
        }
        let count = if n % 2 == 0 { slots * (n + 1) / accounts.max(1) } else { 0 };
        let slots = (0..count).map(|slot| (U256::from(slot * n), U256::from(slot + 1))).collect();
        delta.accounts.insert(address, AccountDelta { info: Some(info), slots, wiped: false });
    }
    delta
}

struct Source {
    trie: StateTrie,
    state: MemoryState,
    limits: PartLimits,
}

impl Source {
    fn new(delta: &StateDelta, limits: PartLimits) -> Self {
        let mut trie = StateTrie::default();
        trie.apply(delta);
        Self { trie, state: MemoryState::from_delta(delta), limits }
    }

    fn root(&self) -> Open {
        Open { id: PartId::Accounts(Path::default()), reference: Reference::Hash(self.trie.root()) }
    }

    fn body(&self, id: &PartId) -> PartBody {
        match id {
            PartId::Code(hash) => PartBody::Code(self.state.code(&B256::from(*hash)).unwrap().to_vec()),
            _ => self.trie.part(id, &self.limits).expect("an open part exists"),
        }
    }

    /// Every part from the root down.
    fn parts(&self) -> Vec<(Open, PartBody)> {
        let (mut open, mut parts) = (vec![self.root()], Vec::new());
        if self.trie.root() == EMPTY_ROOT_HASH {
            return parts;
        }
        while let Some(part) = open.pop() {
            let body = self.body(&part.id);
            open.extend(check(&part, body.clone()).expect("an honest part").open);
            parts.push((part, body));
        }
        parts
    }
}

fn assembled(parts: &[(Open, PartBody)]) -> MemoryState {
    let mut delta = StateDelta::default();
    for (open, body) in parts {
        let open = codec::decode::<Open>(&codec::encode(open)).unwrap();
        let verified = check(&open, body.clone()).unwrap();
        for (address, info) in verified.accounts {
            delta.accounts.entry(address).or_default().info = Some(info);
        }
        for (address, slot, value) in verified.slots {
            delta.accounts.entry(address).or_default().slots.insert(slot, value);
        }
        delta.code.extend(verified.code);
    }
    MemoryState::from_delta(&delta)
}

fn limits() -> impl Strategy<Value = PartLimits> {
    (1usize..40, 1usize..40).prop_map(|(accounts, slots)| PartLimits { accounts, slots })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_state_is_the_sum_of_its_parts(accounts in 0usize..40, slots in 0usize..40, seed: u8, limits in limits()) {
        let source = Source::new(&delta(accounts, slots, seed), limits);
        let parts = source.parts();
        prop_assert_eq!(assembled(&parts), source.state);
        for (_, body) in &parts {
            let leaves = match body {
                PartBody::Accounts(accounts) => accounts.len() <= limits.accounts,
                PartBody::Slots(slots) => slots.len() <= limits.slots,
                PartBody::Node(_) | PartBody::Code(_) => true,
            };
            prop_assert!(leaves, "a part is bounded");
        }
    }

    #[test]
    fn no_change_of_a_part_goes_unnoticed(accounts in 1usize..30, slots in 1usize..30, limits in limits(), at: prop::sample::Index) {
        let source = Source::new(&delta(accounts, slots, 1), limits);
        let other = Source::new(&delta(accounts, slots, 2), limits);
        let parts = source.parts();
        let (open, body) = &parts[at.index(parts.len())];
        for forged in forgeries(body, at) {
            prop_assert!(check(open, forged.clone()).is_err(), "{forged:?} passed for {}", open.id);
        }
        if let Some(foreign) = other.trie.part(&PartId::Accounts(Path::default()), &limits) {
            prop_assert!(check(&source.root(), foreign).is_err(), "another state's part passed");
        }
    }
}

/// Everything a liar might try.
fn forgeries(body: &PartBody, at: prop::sample::Index) -> Vec<PartBody> {
    let mut forged = vec![PartBody::Accounts(Vec::new()), PartBody::Slots(Vec::new()), PartBody::Node(vec![0xc0])];
    match body {
        PartBody::Accounts(accounts) => {
            let mut change = |change: &dyn Fn(&mut Vec<AccountEntry>, usize)| {
                let mut accounts = accounts.clone();
                let at = at.index(accounts.len());
                change(&mut accounts, at);
                forged.push(PartBody::Accounts(accounts));
            };
            change(&|accounts, at| accounts[at].info.balance += U256::from(1));
            change(&|accounts, at| accounts[at].info.nonce += 1);
            change(&|accounts, at| accounts[at].info.code_hash.0[0] ^= 1);
            change(&|accounts, at| accounts[at].storage_root[0] ^= 1);
            change(&|accounts, at| accounts[at].address[0] ^= 1);
            change(&|accounts, at| accounts.truncate(at));
            change(&|accounts, at| accounts.push(accounts[at].clone()));
            change(&|accounts, at| {
                accounts.insert(0, AccountEntry { address: [9; 20], ..accounts[at].clone() });
                accounts.sort_by_key(|account| keccak256(account.address));
            });
        }
        PartBody::Slots(slots) => {
            let mut change = |change: &dyn Fn(&mut Vec<SlotEntry>, usize)| {
                let mut slots = slots.clone();
                let at = at.index(slots.len());
                change(&mut slots, at);
                forged.push(PartBody::Slots(slots));
            };
            change(&|slots, at| slots[at].value[31] ^= 0x80);
            change(&|slots, at| slots[at].value = [0; 32]);
            change(&|slots, at| slots[at].slot[0] ^= 1);
            change(&|slots, at| slots.truncate(at));
            change(&|slots, at| slots.push(slots[at]));
        }
        PartBody::Node(node) => {
            let mut node = node.clone();
            let at = at.index(node.len());
            node[at] ^= 1;
            forged.push(PartBody::Node(node));
        }
        PartBody::Code(code) => {
            forged.push(PartBody::Code([code.as_slice(), &[0]].concat()));
        }
    }
    forged
}

#[test]
fn faults_say_what_is_wrong() {
    let limits = PartLimits { accounts: 100, slots: 100 };
    let source = Source::new(&delta(4, 4, 1), limits);
    let root = source.root();
    let PartBody::Accounts(accounts) = source.body(&root.id) else { panic!("four accounts are one part") };
    let fault = |body| check(&root, body).unwrap_err().to_string();
    let dropped = accounts[1..].to_vec();
    assert_eq!(fault(PartBody::Accounts(dropped)), "accounts below 0x: it is not part of the certified state");
    let swapped = accounts.iter().rev().cloned().collect();
    assert_eq!(fault(PartBody::Accounts(swapped)), "accounts below 0x: leaf 1 is not in order");
    assert_eq!(fault(PartBody::Slots(Vec::new())), "accounts below 0x: the answer is of another kind");
    assert_eq!(fault(PartBody::Accounts(Vec::new())), "accounts below 0x: the answer is empty");
    let elsewhere = Open { id: PartId::Accounts(Path(alloy_trie::Nibbles::from_nibbles([0; 9]))), ..root.clone() };
    let outside = check(&elsewhere, PartBody::Accounts(accounts)).unwrap_err();
    assert_eq!(outside.to_string(), "accounts below 0x000000000: leaf 0 lies elsewhere");
}

#[test]
fn names_and_references_have_golden_bytes() {
    let path = Path(alloy_trie::Nibbles::from_nibbles([1, 15]));
    codec::golden::check(&PartId::Storage([2; 20], path));
    codec::golden::check(&Open { id: PartId::Accounts(path), reference: Reference::Inline(vec![0xc2, 0x20, 3]) });
    let long = PartId::Storage([2; 20], Path(alloy_trie::Nibbles::from_nibbles([1; 64])));
    assert!(codec::encode(&long).len() <= 1 + 1 + 20 + 4 + 64);
    let bad = [vec![1, 0, 65, 0, 0, 0], vec![1; 65]].concat();
    assert!(codec::decode::<PartId>(&bad).is_err(), "no path is longer than a key");
    assert!(codec::decode::<PartId>(&[1, 0, 1, 0, 0, 0, 16]).is_err(), "a nibble is below sixteen");
}
