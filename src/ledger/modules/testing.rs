//! An in-memory host for the modules' unit tests: balances, storage, logs and gas, undone when a call fails.

use super::{
    BlockStart, ModuleError, ModuleHost, TeeRules, begin_block, dispatch, end_block, genesis_storage,
    staking::ValidatorSeat,
};
use crate::{
    ledger::abi::STAKING,
    types::{Address, Amount, B256, ChainId, Height, Params, U256},
};
use alloy_primitives::{Bytes, LogData};
use alloy_sol_types::{SolCall, SolError, SolEvent};
use std::collections::BTreeMap;

/// Chain id of the tests.
pub(super) const CHAIN: ChainId = 11_332;

/// Rounds of audits as the tests count them: 20 blocks, 3 of which take answers and 8 proofs.
pub(super) fn short_rounds(params: Params) -> Params {
    Params { audit_round_blocks: 20, audit_answer_blocks: 3, audit_prove_blocks: 8, audit_appeal_blocks: 20, ..params }
}

/// The world a module sees, in memory.
#[derive(Clone)]
pub(super) struct TestHost {
    pub(super) caller: Address,
    pub(super) value: U256,
    pub(super) is_static: bool,
    pub(super) height: Height,
    /// Time of the block, and what the next one adds to it.
    pub(super) time_ms: u64,
    pub(super) block_ms: u64,
    pub(super) params: Params,
    pub(super) gas_limit: u64,
    pub(super) gas_used: u64,
    pub(super) storage: BTreeMap<Address, BTreeMap<U256, U256>>,
    pub(super) balances: BTreeMap<Address, U256>,
    pub(super) logs: Vec<(Address, LogData)>,
}

impl TestHost {
    /// A dev-profile chain at height 0 without validators.
    pub(super) fn new() -> Self {
        Self::with_committee(&[])
    }

    /// A dev-profile chain at height 0.
    pub(super) fn with_committee(seats: &[ValidatorSeat]) -> Self {
        Self::with_params(short_rounds(Params::dev()), seats)
    }

    /// A chain with these numbers at height 0.
    pub(super) fn with_params(params: Params, seats: &[ValidatorSeat]) -> Self {
        let storage = genesis_storage(&params, seats, beacon_of(0), &[], &TeeRules::default()).unwrap();
        let staked = seats.iter().fold(U256::ZERO, |sum, seat| sum + seat.stake);
        Self {
            caller: Address::ZERO,
            value: U256::ZERO,
            is_static: false,
            height: 0,
            time_ms: 1_000,
            block_ms: 1_000,
            params,
            gas_limit: u64::MAX,
            gas_used: 0,
            storage,
            balances: BTreeMap::from([(STAKING, staked)]),
            logs: Vec::new(),
        }
    }

    /// Starts blocks up to and including `height`.
    pub(super) fn advance_to(&mut self, height: Height) {
        while self.height < height {
            self.next_block(Address::ZERO, 0);
        }
    }

    /// Ends the block and starts the next, built by `proposer` for `round`.
    pub(super) fn next_block(&mut self, proposer: Address, round: u32) {
        end_block(self).unwrap();
        self.height += 1;
        self.time_ms += self.block_ms;
        let beacon = beacon_of(self.height);
        begin_block(self, &BlockStart { beacon, proposer, round }).unwrap();
    }

    /// Sum of all balances.
    pub(super) fn supply(&self) -> U256 {
        self.balances.values().fold(U256::ZERO, |sum, balance| sum + balance)
    }

    /// Gives `account` whole tokens.
    pub(super) fn fund(&mut self, account: Address, tokens: u64) {
        *self.balances.entry(account).or_default() += Amount::tokens(tokens).0;
    }

    /// Raw call; everything is undone if it fails.
    pub(super) fn call_raw(
        &mut self,
        from: Address,
        module: Address,
        value: U256,
        input: &[u8],
    ) -> Result<Bytes, ModuleError> {
        let before = self.clone();
        (self.caller, self.value, self.gas_used) = (from, value, 0);
        let result = self.transfer_value(from, module, value).and_then(|()| dispatch(module, input, self));
        if result.is_err() {
            let used = self.gas_used;
            *self = before;
            self.gas_used = used;
        }
        result
    }

    /// Typed call.
    pub(super) fn call<C: SolCall>(
        &mut self,
        from: Address,
        module: Address,
        value: U256,
        call: &C,
    ) -> Result<C::Return, ModuleError> {
        let data = self.call_raw(from, module, value, &call.abi_encode())?;
        Ok(C::abi_decode_returns_validate(&data).unwrap())
    }

    /// Typed read in a static call.
    pub(super) fn view<C: SolCall>(&mut self, module: Address, call: &C) -> Result<C::Return, ModuleError> {
        self.is_static = true;
        let result = self.call(Address::ZERO, module, U256::ZERO, call);
        self.is_static = false;
        result
    }

    /// The last log, decoded.
    pub(super) fn last_event<E: SolEvent>(&self) -> E {
        E::decode_log_data(&self.logs.last().expect("a log was emitted").1).unwrap()
    }

    /// Balance of an account.
    pub(super) fn balance(&self, account: Address) -> U256 {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    fn transfer_value(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError> {
        let left = self.balance(from).checked_sub(amount).expect("the test funds its callers");
        self.balances.insert(from, left);
        *self.balances.entry(to).or_default() += amount;
        Ok(())
    }

    fn writable(&self) -> Result<(), ModuleError> {
        if self.is_static { Err(ModuleError::Static) } else { Ok(()) }
    }
}

impl ModuleHost for TestHost {
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
        self.gas_used += gas;
        if self.gas_used > self.gas_limit { Err(ModuleError::OutOfGas) } else { Ok(()) }
    }
    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError> {
        self.charge(100)?;
        Ok(self.storage.get(&module).and_then(|slots| slots.get(&slot)).copied().unwrap_or_default())
    }
    fn sstore(&mut self, module: Address, slot: U256, value: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.charge(5_000)?;
        let slots = self.storage.entry(module).or_default();
        if value.is_zero() {
            slots.remove(&slot);
        } else {
            slots.insert(slot, value);
        }
        Ok(())
    }
    fn emit(&mut self, module: Address, log: LogData) -> Result<(), ModuleError> {
        self.writable()?;
        self.logs.push((module, log));
        Ok(())
    }
    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.transfer_value(from, to, amount)
    }
    fn mint(&mut self, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        *self.balances.entry(to).or_default() += amount;
        Ok(())
    }
    fn burn(&mut self, from: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        let left = self.balance(from).checked_sub(amount).expect("a module burns what it has");
        self.balances.insert(from, left);
        Ok(())
    }
}

/// The beacon the tests give to `height`.
pub(super) fn beacon_of(height: Height) -> B256 {
    B256::from(crate::crypto::hash::tagged("cess 2026 test beacon", &[&height.to_le_bytes()]))
}

/// Asserts that a call was refused with exactly this custom error.
#[track_caller]
pub(super) fn assert_reverts<T, E: SolError>(result: Result<T, ModuleError>, expected: E) {
    match result.map(drop) {
        Err(ModuleError::Revert(data)) => assert_eq!(data, Bytes::from(expected.abi_encode()), "not {}", E::SIGNATURE),
        other => panic!("expected {}, got {other:?}", E::SIGNATURE),
    }
}

/// Asserts that a call was refused with a sentence containing `text`.
#[track_caller]
pub(super) fn assert_reason<T: std::fmt::Debug>(result: Result<T, ModuleError>, text: &str) {
    let Err(ModuleError::Revert(data)) = result else { panic!("expected a revert, got {result:?}") };
    let reason = alloy_sol_types::Revert::abi_decode(&data).expect("an Error(string)").reason;
    assert!(reason.contains(text), "`{reason}` does not contain `{text}`");
}
