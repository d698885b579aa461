//! The state inside a block: the view below, what earlier transactions of the block changed, and a cache of what was read.
//!
//! Owns the translation between revm's accounts and ours. Must not know transactions. Invariant: after each transaction the
//! delta lists exactly what differs from the view (a value that was changed back may stay listed).

use crate::{
    ledger::state::{AccountDelta, AccountInfo, StateDelta, StateError, StateView},
    types::{Address, B256, U256},
};
use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_primitives::{KECCAK256_EMPTY, map::AddressMap};
use revm::{
    Database, DatabaseCommit,
    database_interface::DBErrorMarker,
    primitives::hardfork::SpecId,
    state::{Account, AccountInfo as EvmAccount, Bytecode, EvmStorageSlot},
};
use std::collections::BTreeMap;

impl DBErrorMarker for StateError {}

/// revm's database for the length of one block.
pub(super) struct BlockState<'a> {
    view: &'a dyn StateView,
    delta: StateDelta,
    accounts: BTreeMap<Address, Option<AccountInfo>>,
    slots: BTreeMap<(Address, U256), U256>,
    code: BTreeMap<B256, Bytecode>,
    /// Whether accounts without anything stay: on Ethereum before Spurious Dragon (EIP-161).
    keeps_empty: bool,
}

/// Slot of the history contract (EIP-2935) that holds the hash of block `height`.
pub(super) fn history_slot(height: u64) -> U256 {
    U256::from(height % u64::try_from(HISTORY_SERVE_WINDOW).expect("8,191 fits"))
}

impl<'a> BlockState<'a> {
    /// The state at the start of a block.
    pub fn new(view: &'a dyn StateView, spec: SpecId) -> Self {
        let (accounts, slots, code) = Default::default();
        let keeps_empty = !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON);
        Self { view, delta: StateDelta::default(), accounts, slots, code, keeps_empty }
    }

    /// Everything that changed until now.
    pub fn delta(&self) -> &StateDelta {
        &self.delta
    }

    /// Everything that changed.
    pub fn into_delta(self) -> StateDelta {
        self.delta
    }

    fn info(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        if let Some(known) = self.accounts.get(&address) {
            return Ok(*known);
        }
        let info = self.view.account(&address)?;
        self.accounts.insert(address, info);
        Ok(info)
    }

    /// Takes over one account as a transaction left it.
    fn absorb(&mut self, address: Address, account: Account) {
        if !account.is_touched() {
            return;
        }
        let before = self.accounts.get(&address).copied().flatten();
        if account.is_selfdestructed() || (account.info.is_empty() && !self.keeps_empty) {
            self.accounts.insert(address, None);
            if before.is_some() {
                let gone = AccountDelta { info: None, slots: BTreeMap::new(), wiped: true };
                self.delta.accounts.insert(address, gone);
            }
            return;
        }
        let EvmAccount { balance, nonce, code_hash, code, .. } = account.info;
        let after = AccountInfo { nonce, balance, code_hash };
        let mut changed = account.storage.into_iter().filter(|(_, slot)| slot.is_changed()).peekable();
        if before == Some(after) && changed.peek().is_none() {
            return;
        }
        let entry = self.delta.accounts.entry(address).or_default();
        entry.info = Some(after);
        entry.slots.extend(changed.map(|(slot, EvmStorageSlot { present_value, .. })| (slot, present_value)));
        self.accounts.insert(address, Some(after));
        let old_code = before.map_or(KECCAK256_EMPTY, |info| info.code_hash);
        if let Some(code) = code
            && code_hash != old_code
            && code_hash != KECCAK256_EMPTY
        {
            self.delta.code.insert(code_hash, code.original_bytes());
            self.code.insert(code_hash, code);
        }
    }
}

impl Database for BlockState<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<EvmAccount>, StateError> {
        Ok(self.info(address)?.map(|info| EvmAccount {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
            code: None,
            ..Default::default()
        }))
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, StateError> {
        if hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        if let Some(known) = self.code.get(&hash) {
            return Ok(known.clone());
        }
        let raw = self.view.code(&hash)?;
        let code = Bytecode::new_raw_checked(raw).map_err(|_| StateError::Code(hash))?;
        self.code.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        if let Some(change) = self.delta.accounts.get(&address) {
            if let Some(value) = change.slots.get(&slot) {
                return Ok(*value);
            }
            if change.wiped {
                return Ok(U256::ZERO);
            }
        }
        if let Some(known) = self.slots.get(&(address, slot)) {
            return Ok(*known);
        }
        let value = self.view.slot(&address, &slot)?;
        self.slots.insert((address, slot), value);
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, StateError> {
        match self.view.block_hash(number)? {
            Some(hash) => Ok(hash),
            None => self.storage(HISTORY_STORAGE_ADDRESS, history_slot(number)).map(B256::from),
        }
    }
}

impl DatabaseCommit for BlockState<'_> {
    fn commit(&mut self, changes: AddressMap<Account>) {
        // The map's order does not matter: every account lands in ordered maps of its own key.
        changes.into_iter().for_each(|(address, account)| self.absorb(address, account));
    }
}
