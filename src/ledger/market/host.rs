//! Accounts, slots and gas in memory, with the undoing of a call that fails.
//!
//! Owns what the modules' port promises. Must not know a module. Invariant: the sum of all balances changes only by minting and burning.

use crate::{
    ledger::abi::STAKING,
    ledger::modules::{
        BlockStart, ModuleError, ModuleHost, TeeRules, ValidatorSeat, begin_block, dispatch, end_block, genesis_storage,
    },
    types::{Address, B256, ChainId, Height, Params, U256},
};
use alloy_primitives::{Bytes, LogData};
use alloy_sol_types::SolCall;
use std::collections::{BTreeMap, BTreeSet};

/// Chain id of a market in memory.
pub(super) const CHAIN: ChainId = crate::types::params::CHAIN_ID_LOCALNET;

/// Prices of the EVM, of what modules do most.
const COLD_SLOT_GAS: u64 = 2_100;
const WARM_SLOT_GAS: u64 = 100;
const NEW_SLOT_GAS: u64 = 20_000;
const CHANGED_SLOT_GAS: u64 = 2_900;
const TRANSFER_GAS: u64 = 9_000;
const LOG_GAS: u64 = 375;
const LOG_BYTE_GAS: u64 = 8;
const TX_GAS: u64 = 21_000;
const INPUT_BYTE_GAS: u64 = 16;

enum Undo {
    Slot((Address, U256), U256),
    Balance(Address, U256),
}

/// A chain without blocks' contents.
pub(super) struct MemoryHost {
    caller: Address,
    value: U256,
    is_static: bool,
    height: Height,
    time_ms: u64,
    params: Params,
    balances: BTreeMap<Address, U256>,
    slots: BTreeMap<(Address, U256), U256>,
    touched: BTreeSet<(Address, U256)>,
    undo: Vec<Undo>,
    gas: u64,
}

impl MemoryHost {
    /// Height 0 with these seats.
    pub(super) fn new(params: Params, seats: &[ValidatorSeat]) -> Result<Self, ModuleError> {
        let storage = genesis_storage(&params, seats, beacon_of(0), &[], &TeeRules::default())?;
        let slots = storage
            .into_iter()
            .flat_map(|(module, slots)| slots.into_iter().map(move |(slot, value)| ((module, slot), value)));
        let staked = seats.iter().fold(U256::ZERO, |sum, seat| sum + seat.stake);
        Ok(Self {
            caller: Address::ZERO,
            value: U256::ZERO,
            is_static: false,
            height: 0,
            time_ms: 0,
            params,
            balances: [(STAKING, staked)].into_iter().collect(),
            slots: slots.collect(),
            touched: BTreeSet::default(),
            undo: Vec::new(),
            gas: 0,
        })
    }

    /// Ends blocks and begins others up to `height`.
    pub(super) fn advance_to(&mut self, height: Height, proposer: Address) -> Result<(), ModuleError> {
        while self.height < height {
            end_block(self)?;
            self.height += 1;
            self.time_ms += self.params.block_interval_ms;
            let beacon = beacon_of(self.height);
            begin_block(self, &BlockStart { beacon, proposer, round: 0 })?;
        }
        Ok(())
    }

    /// Gives an account tokens of genesis.
    pub(super) fn fund(&mut self, account: Address, amount: U256) {
        *self.balances.entry(account).or_default() += amount;
    }

    /// A transaction; everything is undone if it fails. Gives the answer and the gas it took.
    pub(super) fn send<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        call: &C,
    ) -> Result<(C::Return, u64), ModuleError> {
        let input = call.abi_encode();
        let bytes = u64::try_from(input.len()).expect("a call fits memory");
        (self.caller, self.value, self.gas) = (from, value, TX_GAS + INPUT_BYTE_GAS * bytes);
        self.undo.clear();
        self.touched.clear();
        let outcome = self.shift(from, to, value).and_then(|()| dispatch(to, &input, self));
        if outcome.is_err() {
            self.roll_back();
        }
        Ok((read::<C>(&outcome?)?, self.gas))
    }

    /// A read.
    pub(super) fn view<C: SolCall>(&mut self, to: Address, call: &C) -> Result<C::Return, ModuleError> {
        (self.caller, self.value, self.is_static) = (Address::ZERO, U256::ZERO, true);
        let outcome = dispatch(to, &call.abi_encode(), self);
        self.is_static = false;
        read::<C>(&outcome?)
    }

    pub(super) fn balance(&self, account: Address) -> U256 {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// Everything there is.
    pub(super) fn supply(&self) -> U256 {
        self.balances.values().fold(U256::ZERO, |sum, balance| sum + balance)
    }

    fn roll_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Slot(place, value) => drop(self.slots.insert(place, value)),
                Undo::Balance(account, balance) => drop(self.balances.insert(account, balance)),
            }
        }
    }

    fn set_balance(&mut self, account: Address, balance: U256) {
        let before = self.balances.insert(account, balance).unwrap_or_default();
        self.undo.push(Undo::Balance(account, before));
    }

    fn take(&mut self, account: Address, amount: U256) -> Result<(), ModuleError> {
        let had = self.balance(account);
        let left = had
            .checked_sub(amount)
            .ok_or_else(|| ModuleError::reason(format!("account {account} has {had}, {amount} is to be taken")))?;
        self.set_balance(account, left);
        Ok(())
    }

    fn shift(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.take(from, amount)?;
        self.set_balance(to, self.balance(to) + amount);
        Ok(())
    }

    fn writable(&self) -> Result<(), ModuleError> {
        if self.is_static { Err(ModuleError::Static) } else { Ok(()) }
    }
}

fn read<C: SolCall>(answer: &Bytes) -> Result<C::Return, ModuleError> {
    C::abi_decode_returns_validate(answer)
        .map_err(|error| ModuleError::Fatal(format!("a module's answer does not decode: {error}")))
}

/// The beacon of a height.
pub(super) fn beacon_of(height: Height) -> B256 {
    B256::from(crate::crypto::hash::tagged("cess 2026 market beacon", &[&height.to_le_bytes()]))
}

impl ModuleHost for MemoryHost {
    fn caller(&self) -> Address {
        self.caller
    }
    fn value(&self) -> U256 {
        self.value
    }
    fn is_static(&self) -> bool {
        self.is_static
    }
    fn height(&self) -> Height {
        self.height
    }
    fn time_ms(&self) -> u64 {
        self.time_ms
    }
    fn chain_id(&self) -> ChainId {
        CHAIN
    }
    fn params(&self) -> &Params {
        &self.params
    }
    fn charge(&mut self, gas: u64) -> Result<(), ModuleError> {
        self.gas += gas;
        Ok(())
    }
    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError> {
        self.gas += if self.touched.insert((module, slot)) { COLD_SLOT_GAS } else { WARM_SLOT_GAS };
        Ok(self.slots.get(&(module, slot)).copied().unwrap_or_default())
    }
    fn sstore(&mut self, module: Address, slot: U256, value: U256) -> Result<(), ModuleError> {
        self.writable()?;
        let place = (module, slot);
        self.gas += if self.touched.insert(place) { COLD_SLOT_GAS } else { 0 };
        let before = self.slots.insert(place, value).unwrap_or_default();
        self.gas += match before {
            same if same == value => WARM_SLOT_GAS,
            zero if zero.is_zero() => NEW_SLOT_GAS,
            _ => CHANGED_SLOT_GAS,
        };
        self.undo.push(Undo::Slot(place, before));
        Ok(())
    }
    fn emit(&mut self, _module: Address, log: LogData) -> Result<(), ModuleError> {
        self.writable()?;
        let (topics, bytes) = (log.topics().len(), log.data.len());
        let sizes = u64::try_from(topics).ok().zip(u64::try_from(bytes).ok());
        let (topics, bytes) = sizes.expect("a log fits memory");
        self.gas += LOG_GAS * (1 + topics) + LOG_BYTE_GAS * bytes;
        Ok(())
    }
    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.gas += TRANSFER_GAS;
        self.shift(from, to, amount)
    }
    fn mint(&mut self, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.gas += TRANSFER_GAS;
        self.set_balance(to, self.balance(to) + amount);
        Ok(())
    }
    fn burn(&mut self, from: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.gas += TRANSFER_GAS;
        self.take(from, amount)
    }
}
