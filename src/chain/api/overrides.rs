//! "What if": accounts and blocks that are not as the chain has them.
//!
//! Owns the fields of both and how they change a session. Invariants: overrides apply before anything runs; a precompiled
//! contract that is overridden no longer answers at its address.

use super::{Answer, broken};
use crate::{
    ledger::{
        executor::{BlockEnv, Session},
        state::{AccountDelta, StateDelta, StateView},
    },
    rpc::{ErrorObjectOwned, error},
    types::{Address, B256, U256},
};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Bytes, U64, keccak256};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Code of a precompiled contract that is to be moved onto itself.
const MOVED_ONTO_ITSELF: i32 = -38022;
/// Smallest units in a gwei, in which withdrawals count.
const GWEI: u64 = 1_000_000_000;

/// What is different about an account.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AccountOverride {
    nonce: Option<U64>,
    code: Option<Bytes>,
    balance: Option<U256>,
    state: Option<BTreeMap<B256, B256>>,
    state_diff: Option<BTreeMap<B256, B256>>,
    #[serde(alias = "MovePrecompileToAddress")]
    move_precompile_to_address: Option<Address>,
}

/// What is different about accounts.
pub type StateOverrides = BTreeMap<Address, AccountOverride>;

/// What is different about a block.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct BlockOverrides {
    /// Its height.
    pub number: Option<U256>,
    /// Its difficulty, before the merge.
    pub difficulty: Option<U256>,
    /// Its time, Unix seconds.
    #[serde(alias = "timestamp")]
    pub time: Option<U64>,
    /// Gas it may use.
    pub gas_limit: Option<U64>,
    /// Who gets the tips.
    #[serde(alias = "coinbase")]
    pub fee_recipient: Option<Address>,
    /// What `PREVRANDAO` gives.
    #[serde(alias = "random")]
    pub prev_randao: Option<B256>,
    /// Its base fee.
    #[serde(alias = "baseFee")]
    pub base_fee_per_gas: Option<U256>,
    /// Price of blob gas in it.
    pub blob_base_fee: Option<U256>,
    /// Root of the beacon block before, for simulated blocks.
    pub beacon_root: Option<B256>,
    /// Withdrawals, for simulated blocks.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Hashes of other blocks, as `BLOCKHASH` gives them.
    pub block_hash: Option<BTreeMap<U64, B256>>,
}

impl BlockOverrides {
    /// Changes the block a call runs in.
    pub fn apply(&self, env: &mut BlockEnv) -> Answer<()> {
        if let Some(number) = self.number {
            env.height = narrow("number", number)?;
        }
        if let Some(time) = self.time {
            env.time_ms = time.to::<u64>().saturating_mul(1_000);
        }
        if let Some(gas_limit) = self.gas_limit {
            env.gas_limit = gas_limit.to();
        }
        if let Some(base_fee) = self.base_fee_per_gas {
            env.base_fee = narrow("baseFeePerGas", base_fee)?;
        }
        env.proposer = self.fee_recipient.unwrap_or(env.proposer);
        env.beacon = self.prev_randao.unwrap_or(env.beacon);
        env.rules.difficulty = self.difficulty.unwrap_or(env.rules.difficulty);
        Ok(())
    }

    /// Changes what a session knows beyond its environment.
    pub fn settle(&self, session: &mut Session<'_>) -> Answer<()> {
        session.blob_price = self.blob_base_fee.map(|price| narrow("blobBaseFee", price)).transpose()?.map(u128::from);
        for (height, hash) in self.block_hash.iter().flatten() {
            session.set_block_hash(height.to(), *hash);
        }
        Ok(())
    }

    /// Pays what the block withdraws from the beacon chain.
    pub fn withdraw(&self, session: &mut Session<'_>) -> Answer<()> {
        for withdrawal in self.withdrawals.iter().flatten() {
            let amount = U256::from(withdrawal.amount).saturating_mul(U256::from(GWEI));
            session.credit(withdrawal.address, amount).map_err(broken)?;
        }
        Ok(())
    }
}

/// A number of a block, which is never larger than 64 bits.
pub fn narrow(name: &str, number: U256) -> Answer<u64> {
    u64::try_from(number).map_err(|_| error::invalid_params(format_args!("block override `{name}` is over 64 bits")))
}

/// Changes the accounts of a session.
pub fn apply(overrides: &StateOverrides, session: &mut Session<'_>) -> Answer<()> {
    let mut taken = Vec::new();
    for (address, account) in overrides {
        if taken.contains(address) {
            return Err(refused(format_args!("account {address} has already been overridden by a precompile")));
        }
        let is_precompile = session.is_precompile(address);
        let is_module = session.is_module(address);
        if let Some(target) = account.move_precompile_to_address {
            check_move(overrides, address, &target, is_precompile || is_module)?;
            session.moved.insert(target, Some(*address));
            taken.push(target);
        }
        // A module keeps its state in its account, which may be changed without replacing its rules.
        let replaces_module = account.code.is_some() || account.move_precompile_to_address.is_some();
        if is_precompile || (is_module && replaces_module) {
            session.moved.insert(*address, None);
        }
        let changes = account.changes(address, session)?;
        session.keep(changes);
    }
    Ok(())
}

fn check_move(overrides: &StateOverrides, from: &Address, target: &Address, can_move: bool) -> Answer<()> {
    if !can_move {
        return Err(refused(format_args!("account {from} is not a precompile")));
    }
    if from == target {
        let message = format_args!("MovePrecompileToAddress of {from} references itself in replacement");
        return Err(error::error(MOVED_ONTO_ITSELF, message));
    }
    match overrides.contains_key(target) {
        true => Err(refused(format_args!("account {target} is already overridden"))),
        false => Ok(()),
    }
}

impl AccountOverride {
    fn changes(&self, address: &Address, session: &Session<'_>) -> Answer<StateDelta> {
        let mut changes = StateDelta::default();
        let Self { nonce, code, balance, state, state_diff, .. } = self;
        if state.is_some() && state_diff.is_some() {
            return Err(refused(format_args!("account {address} has both 'state' and 'stateDiff'")));
        }
        if nonce.is_none() && code.is_none() && balance.is_none() && state.is_none() && state_diff.is_none() {
            return Ok(changes);
        }
        let mut info = session.state().account(address).map_err(broken)?.unwrap_or_default();
        info.nonce = nonce.map_or(info.nonce, |nonce| nonce.to());
        info.balance = balance.unwrap_or(info.balance);
        if let Some(code) = code {
            info.code_hash = keccak256(code);
            changes.code.insert(info.code_hash, code.clone());
        }
        let slots = state.iter().chain(state_diff).flatten().map(|(slot, value)| ((*slot).into(), (*value).into()));
        let change = AccountDelta { info: Some(info), slots: slots.collect(), wiped: state.is_some() };
        changes.accounts.insert(*address, change);
        Ok(changes)
    }
}

fn refused(message: impl std::fmt::Display) -> ErrorObjectOwned {
    error::server_error(message)
}
