//! Block access lists (EIP-7928): which accounts and slots a block touched, and what each transaction left there.
//!
//! Owns how a list comes to be, its encoding and hash, and what follows from it for the state. Must not know the EVM. Invariants:
//! a list is canonical (accounts, slots and indices ascend); index 0 is what happens before the transactions, n + 1 what happens
//! after the n that ran; a transaction that was skipped leaves no trace; what follows from a block's list and the state
//! before it is the state that executing the block leads to.

use crate::{
    ledger::state::{AccountDelta, AccountInfo, StateDelta, StateError, StateView},
    types::{Address, B256},
};
use alloy_eip7928::{AccountChanges, BlockAccessIndex};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
use alloy_rlp::Decodable;
use revm::state::{Account, bal::Bal};

/// Accounts in ascending order with what was read and written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessList(Vec<AccountChanges>);

/// Why a list cannot stand for a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessListError {
    /// Not the list the header names.
    #[error("the access list's hash is {found}, the header says {expected}")]
    Foreign { found: B256, expected: B256 },
    /// Not the encoding of a list.
    #[error("the access list is malformed: {0}")]
    Malformed(String),
    /// The state below it cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl AccessList {
    /// Its RLP, what its hash is over.
    pub fn encode(&self) -> Bytes {
        alloy_rlp::encode(&self.0).into()
    }

    /// keccak256 of its RLP.
    pub fn hash(&self) -> B256 {
        keccak256(self.encode())
    }

    /// The list whose hash is `expected`. A header that names it was made of a canonical one.
    pub fn decode(rlp: &[u8], expected: B256) -> Result<Self, AccessListError> {
        let found = keccak256(rlp);
        if found != expected {
            return Err(AccessListError::Foreign { found, expected });
        }
        let malformed = |reason: &dyn ToString| AccessListError::Malformed(reason.to_string());
        let mut rest = rlp;
        let accounts = Vec::<AccountChanges>::decode(&mut rest).map_err(|e| malformed(&e))?;
        let ascending = accounts.is_sorted_by(|one, next| one.address < next.address);
        match rest.is_empty() && ascending {
            true => Ok(Self(accounts)),
            false => Err(malformed(&"bytes follow it, or its accounts do not ascend")),
        }
    }

    /// Its accounts.
    pub fn accounts(&self) -> &[AccountChanges] {
        &self.0
    }

    /// What the block changed on `before`, without running it. An account left with nothing does not exist (EIP-161): that is
    /// also how a list says that a contract destroyed itself, which on this chain one can only where it was created in the same
    /// transaction, so that it never had storage in `before`.
    pub fn replay(&self, before: &dyn StateView) -> Result<StateDelta, AccessListError> {
        let mut delta = StateDelta::default();
        for account in self.0.iter().filter(|account| account.has_changes()) {
            let change = replayed(account, before, &mut delta)?;
            delta.accounts.insert(account.address, change);
        }
        Ok(delta)
    }
}

fn replayed(
    account: &AccountChanges,
    before: &dyn StateView,
    delta: &mut StateDelta,
) -> Result<AccountDelta, AccessListError> {
    let mut info = before.account(&account.address)?.unwrap_or_default();
    if let Some(last) = account.balance_changes.last() {
        info.balance = last.post_balance;
    }
    if let Some(last) = account.nonce_changes.last() {
        info.nonce = last.new_nonce;
    }
    for change in &account.code_changes {
        info.code_hash = KECCAK256_EMPTY;
        if !change.new_code.is_empty() {
            info.code_hash = keccak256(&change.new_code);
            delta.code.insert(info.code_hash, change.new_code.clone());
        }
    }
    Ok(match info.is_empty() {
        true => AccountDelta { info: None, slots: Default::default(), wiped: true },
        false => written(account, info),
    })
}

fn written(account: &AccountChanges, info: AccountInfo) -> AccountDelta {
    let last = |slot: &alloy_eip7928::SlotChanges| slot.changes.last().map(|change| (slot.slot, change.new_value));
    AccountDelta { info: Some(info), slots: account.storage_changes.iter().filter_map(last).collect(), wiped: false }
}

/// Writes down what a block accesses while it runs.
#[derive(Default)]
pub(super) struct Recorder {
    list: Bal,
    index: u64,
}

impl Recorder {
    /// What comes from now on is of the next transaction, or of what follows the last.
    pub fn next(&mut self) {
        self.index += 1;
    }

    /// An account as a transaction leaves it, with everything it accessed there.
    pub fn note(&mut self, address: Address, account: &Account) {
        self.list.update_account(BlockAccessIndex::new(self.index), address, account);
    }

    /// The list.
    pub fn finish(self) -> AccessList {
        AccessList(self.list.into_alloy_bal())
    }
}
