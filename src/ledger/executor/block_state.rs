//! The state inside a block: the view below, what earlier transactions of the block changed, and a cache of what was read.
//!
//! Owns the translation between revm's accounts and ours. Must not know transactions. Invariants: after each transaction the
//! delta lists exactly what differs from the view (a value that was changed back may stay listed); the hash maps are looked up,
//! and where one is gone through, what comes of it is sorted.

use super::{access_list::Recorder, code_cache::CodeCache};
use crate::{
    ledger::state::{AccountDelta, AccountInfo, StateDelta, StateError, StateView},
    types::{Address, B256, U256},
};
use alloy_eips::eip2935::{HISTORY_SERVE_WINDOW, HISTORY_STORAGE_ADDRESS};
use alloy_primitives::{
    Bytes, KECCAK256_EMPTY,
    map::{AddressMap, B256Map, U256Map, hash_map::Entry},
};
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
    accounts: AddressMap<Known>,
    code: B256Map<Bytecode>,
    /// What was analysed before, if somebody keeps that.
    codes: Option<&'a CodeCache>,
    /// Code that the block brought.
    new_code: BTreeMap<B256, Bytes>,
    /// Who writes down what is accessed, if somebody does.
    recorder: Option<Recorder>,
    /// Whether accounts without anything stay: on Ethereum before Spurious Dragon (EIP-161).
    keeps_empty: bool,
}

/// An account that was read or changed.
#[derive(Default)]
struct Known {
    now: Option<AccountInfo>,
    /// Whether the delta lists it.
    changed: bool,
    /// Whether its storage in the view is gone.
    wiped: bool,
    written: U256Map<U256>,
    read: U256Map<U256>,
}

impl Known {
    fn delta(self) -> AccountDelta {
        AccountDelta { info: self.now, slots: self.written.into_iter().collect(), wiped: self.wiped }
    }
}

/// Slot of the history contract (EIP-2935) that holds the hash of block `height`.
pub(super) fn history_slot(height: u64) -> U256 {
    U256::from(height % u64::try_from(HISTORY_SERVE_WINDOW).expect("8,191 fits"))
}

/// Whether accounts without anything stay: on Ethereum before Spurious Dragon (EIP-161).
pub(super) fn keeps_empty(spec: SpecId) -> bool {
    !spec.is_enabled_in(SpecId::SPURIOUS_DRAGON)
}

/// The account a transaction found.
pub(super) fn found(account: &Account) -> Option<AccountInfo> {
    (!account.is_loaded_as_not_existing()).then(|| info(&account.original_info()))
}

/// The account a transaction leaves, `None` inside if that is none; nothing at all if it left it alone.
pub(super) fn left(account: &Account, keeps_empty: bool) -> Option<Option<AccountInfo>> {
    let gone = account.is_selfdestructed() || (account.info.is_empty() && !keeps_empty);
    account.is_touched().then(|| (!gone).then(|| info(&account.info)))
}

fn info(of: &EvmAccount) -> AccountInfo {
    AccountInfo { nonce: of.nonce, balance: of.balance, code_hash: of.code_hash }
}

impl<'a> BlockState<'a> {
    /// The state at the start of a block.
    pub fn new(view: &'a dyn StateView, spec: SpecId) -> Self {
        let (accounts, code, new_code) = Default::default();
        let keeps_empty = keeps_empty(spec);
        Self { view, accounts, code, new_code, codes: None, recorder: None, keeps_empty }
    }

    /// Looks for analysed code in `codes` before it is analysed again.
    pub fn share_code(&mut self, codes: &'a CodeCache) {
        self.codes = Some(codes);
    }

    /// Forgets what was read of the view. Nothing may have been committed.
    pub fn forget_reads(&mut self) {
        self.accounts.clear();
    }

    /// From now on, writes down what is accessed.
    pub fn record(&mut self) {
        self.recorder = Some(Recorder::default());
    }

    /// Who writes down what is accessed.
    pub fn recorder(&mut self) -> Option<&mut Recorder> {
        self.recorder.as_mut()
    }

    /// Everything that changed until now.
    pub fn delta(&self) -> StateDelta {
        let delta = |known: &Known| AccountDelta {
            info: known.now,
            slots: known.written.iter().map(|(slot, value)| (*slot, *value)).collect(),
            wiped: known.wiped,
        };
        let changed = self.accounts.iter().filter(|(_, known)| known.changed);
        StateDelta {
            accounts: changed.map(|(address, known)| (*address, delta(known))).collect(),
            code: self.new_code.clone(),
        }
    }

    /// Everything that changed.
    pub fn into_delta(self) -> StateDelta {
        let changed = self.accounts.into_iter().filter(|(_, known)| known.changed);
        StateDelta { accounts: changed.map(|(address, known)| (address, known.delta())).collect(), code: self.new_code }
    }

    /// The account as it is now.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        Ok(self.known(address)?.now)
    }

    fn known(&mut self, address: Address) -> Result<&mut Known, StateError> {
        match self.accounts.entry(address) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let now = self.view.account(&address)?;
                Ok(entry.insert(Known { now, ..Known::default() }))
            }
        }
    }

    fn analysed(&self, hash: B256) -> Result<Bytecode, StateError> {
        let code = Bytecode::new_raw_checked(self.view.code(&hash)?).map_err(|_| StateError::Code(hash))?;
        if let Some(codes) = self.codes {
            codes.add(hash, code.clone());
        }
        Ok(code)
    }

    /// Takes over one account as a transaction left it.
    fn absorb(&mut self, address: Address, account: Account) {
        let Some(after) = left(&account, self.keeps_empty) else { return };
        // Who was not asked for it before takes over what another state, on which the transaction ran, found.
        let known = self.accounts.entry(address).or_insert_with(|| Known { now: found(&account), ..Known::default() });
        let Some(after) = after else {
            if known.now.take().is_some() {
                (known.changed, known.wiped) = (true, true);
                known.written.clear();
            }
            return;
        };
        let EvmAccount { code_hash, code, .. } = account.info;
        let mut changed = account.storage.into_iter().filter(|(_, slot)| slot.is_changed()).peekable();
        if known.now == Some(after) && changed.peek().is_none() {
            return;
        }
        let old_code = known.now.replace(after).map_or(KECCAK256_EMPTY, |info| info.code_hash);
        known.changed = true;
        known.written.extend(changed.map(|(slot, EvmStorageSlot { present_value, .. })| (slot, present_value)));
        if let Some(code) = code
            && code_hash != old_code
            && code_hash != KECCAK256_EMPTY
        {
            self.new_code.insert(code_hash, code.original_bytes());
            self.code.insert(code_hash, code);
        }
    }
}

impl Database for BlockState<'_> {
    type Error = StateError;

    fn basic(&mut self, address: Address) -> Result<Option<EvmAccount>, StateError> {
        Ok(self.account(address)?.map(|info| EvmAccount {
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
        let code = match self.codes.and_then(|codes| codes.get(&hash)) {
            Some(code) => code,
            None => self.analysed(hash)?,
        };
        self.code.insert(hash, code.clone());
        Ok(code)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, StateError> {
        let view = self.view;
        let known = self.known(address)?;
        if let Some(value) = known.written.get(&slot) {
            return Ok(*value);
        }
        if known.wiped {
            return Ok(U256::ZERO);
        }
        match known.read.entry(slot) {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(entry) => Ok(*entry.insert(view.slot(&address, &slot)?)),
        }
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
        // The map's order does not matter: what is made of these accounts is sorted by address in the end.
        for (address, account) in changes {
            if let Some(recorder) = &mut self.recorder {
                recorder.note(address, &account);
            }
            self.absorb(address, account);
        }
    }
}
