//! The memory of many versions by itself, and blocks in which everything goes wrong that can.

use super::{
    super::{BlockEnv, ExecError, Execution, tests::rig::PROPOSER},
    BlockStm,
    memory::{Memory, Place, Read, Seen},
};
use crate::{
    ledger::{
        state::{AccountDelta, AccountInfo, MemoryState, StateDelta, StateView},
        tx::VerifiedTx,
    },
    types::{Address, U256},
};
use revm::state::{Account, AccountInfo as EvmAccount, EvmState, EvmStorageSlot, TransactionId};
use std::collections::BTreeMap;

impl BlockStm {
    /// Runs a block in an order in which hardly any run can be kept.
    pub(in crate::ledger::executor) fn run_backwards(
        &self,
        view: &(dyn StateView + Sync),
        env: &BlockEnv,
        txs: &[VerifiedTx],
    ) -> Result<Execution, ExecError> {
        let txs: Vec<&VerifiedTx> = txs.iter().collect();
        self.run_after(view, env, &txs, |runner| runner.work_backwards())
    }
}

const OWNER: Address = Address::repeat_byte(1);
const OTHER: Address = Address::repeat_byte(2);

fn info(balance: u64) -> AccountInfo {
    AccountInfo { nonce: 1, balance: U256::from(balance), ..AccountInfo::default() }
}

fn slot(n: u64) -> U256 {
    U256::from(n)
}

/// `OWNER` has 10 and 7 in slot 1.
fn before() -> MemoryState {
    let change = AccountDelta { info: Some(info(10)), slots: BTreeMap::from([(slot(1), U256::from(7))]), wiped: false };
    MemoryState::from_delta(&StateDelta { accounts: BTreeMap::from([(OWNER, change)]), code: BTreeMap::new() })
}

fn evm(info: AccountInfo) -> EvmAccount {
    EvmAccount { balance: info.balance, nonce: info.nonce, code_hash: info.code_hash, ..Default::default() }
}

/// A transaction that leaves `address` with `balance` and `slots`.
fn left(address: Address, balance: u64, slots: &[(u64, u64)]) -> EvmState {
    let mut account = Account::from(evm(info(10)));
    account.info = evm(info(balance));
    account.mark_touch();
    for (key, value) in slots {
        let word = EvmStorageSlot::new_changed(U256::ZERO, U256::from(*value), TransactionId::ZERO);
        account.storage.insert(slot(*key), word);
    }
    EvmState::from_iter([(address, account)])
}

fn removed(address: Address) -> EvmState {
    let mut account = Account::from(evm(info(10)));
    account.mark_touch();
    account.mark_selfdestruct();
    EvmState::from_iter([(address, account)])
}

fn balance(memory: &Memory<'_>, reader: usize) -> Option<u64> {
    match memory.account(reader, OWNER).unwrap() {
        Seen::Value(info) => info.map(|info| info.balance.to()),
        Seen::Estimate(_) => None,
    }
}

#[test]
fn a_reader_finds_what_the_last_writer_before_it_left() {
    let state = before();
    let memory = Memory::new(&state, &StateDelta::default(), PROPOSER, false);
    assert_eq!(balance(&memory, 9), Some(10));
    memory.publish(5, &left(OWNER, 50, &[(1, 51)]), &mut Vec::new());
    memory.publish(2, &left(OWNER, 20, &[]), &mut Vec::new());
    let seen: Vec<_> = (0..8).map(|reader| balance(&memory, reader).unwrap()).collect();
    assert_eq!(seen, [10, 10, 10, 20, 20, 20, 50, 50]);
    let words: Vec<_> = [0, 5, 6].map(|reader| memory.slot(reader, OWNER, slot(1)).unwrap()).into();
    assert_eq!(words, [7, 7, 51].map(|word| Seen::Value(U256::from(word))));
    assert_eq!(memory.account(9, OTHER), Ok(Seen::Value(None)));
}

#[test]
fn what_the_block_does_first_is_seen_by_all() {
    let state = before();
    let change = AccountDelta { info: Some(info(11)), slots: BTreeMap::from([(slot(2), U256::from(3))]), wiped: false };
    let begun = StateDelta { accounts: BTreeMap::from([(OWNER, change)]), code: BTreeMap::new() };
    let memory = Memory::new(&state, &begun, PROPOSER, false);
    assert_eq!(balance(&memory, 0), Some(11));
    assert_eq!(memory.slot(0, OWNER, slot(2)), Ok(Seen::Value(U256::from(3))));
}

#[test]
fn a_second_run_replaces_what_the_first_wrote() {
    let state = before();
    let memory = Memory::new(&state, &StateDelta::default(), PROPOSER, false);
    let mut written = Vec::new();
    assert!(memory.publish(1, &left(OWNER, 20, &[(1, 8), (2, 9)]), &mut written));
    memory.doubt(1, &written);
    assert_eq!(memory.account(2, OWNER), Ok(Seen::Estimate(1)));
    assert_eq!(memory.slot(2, OWNER, slot(1)), Ok(Seen::Estimate(1)));
    assert_eq!(balance(&memory, 1), Some(10), "earlier ones are not concerned");
    assert!(!memory.publish(1, &left(OWNER, 21, &[(1, 8)]), &mut written), "nowhere new");
    assert_eq!(balance(&memory, 2), Some(21));
    assert_eq!(memory.slot(2, OWNER, slot(2)), Ok(Seen::Value(U256::ZERO)), "not written any more");
    assert!(memory.publish(1, &left(OWNER, 21, &[(3, 8)]), &mut written), "slot 3 is new");
    memory.publish(1, &EvmState::default(), &mut written);
    assert_eq!((balance(&memory, 2), written), (Some(10), Vec::<Place>::new()));
}

#[test]
fn an_account_takes_its_storage_with_it() {
    let state = before();
    let memory = Memory::new(&state, &StateDelta::default(), PROPOSER, false);
    let word = |reader| memory.slot(reader, OWNER, slot(1)).unwrap();
    assert_eq!(word(9), Seen::Value(U256::from(7)));
    let mut written = Vec::new();
    memory.publish(2, &removed(OWNER), &mut written);
    memory.publish(4, &left(OWNER, 1, &[(1, 5)]), &mut Vec::new());
    assert_eq!([2, 3, 5].map(word), [7, 0, 5].map(|word| Seen::Value(U256::from(word))));
    assert_eq!(memory.slot(3, OWNER, slot(9)), Ok(Seen::Value(U256::ZERO)), "a slot nobody asked for before");
    memory.doubt(2, &written);
    assert_eq!([3, 5].map(word), [Seen::Estimate(2), Seen::Value(U256::from(5))]);
}

#[test]
fn reads_are_confirmed_by_value() {
    let state = before();
    let memory = Memory::new(&state, &StateDelta::default(), PROPOSER, false);
    let reads = [Read::Account(OWNER, Some(info(10))), Read::Slot(OWNER, slot(1), U256::from(7))];
    assert_eq!(memory.confirms(3, &reads), Ok(true));
    let mut written = Vec::new();
    memory.publish(1, &left(OWNER, 12, &[(1, 7)]), &mut written);
    assert_eq!(memory.confirms(3, &reads), Ok(false));
    memory.publish(1, &left(OWNER, 10, &[(1, 7)]), &mut written);
    assert_eq!(memory.confirms(3, &reads), Ok(true), "somebody wrote what was there");
    memory.doubt(1, &written);
    assert_eq!(memory.confirms(3, &reads), Ok(false));
}

#[test]
fn the_proposers_account_is_left_out() {
    let state = before();
    let memory = Memory::new(&state, &StateDelta::default(), OWNER, false);
    assert!(!memory.publish(1, &left(OWNER, 12, &[]), &mut Vec::new()));
}
