//! Verified transactions for benches that need no network, and the state they start from.
//!
//! Must not know who executes them. Invariant: the same arguments give the same transactions and the same state.

pub use super::workload::Kind;

use super::{
    token,
    workload::{Payment, Sender},
};
use crate::{
    ledger::{
        state::{AccountDelta, AccountInfo, MemoryState, StateDelta},
        tx::{VerifiedTx, decode_and_recover},
    },
    types::{Address, ChainId, U256, params::CHAIN_ID_LOCALNET},
};
use alloy_primitives::{KECCAK256_EMPTY, keccak256};
use rayon::prelude::*;

/// Chain the transactions are for.
pub const CHAIN: ChainId = CHAIN_ID_LOCALNET;
/// Where the token is.
const TOKEN: Address = Address::repeat_byte(0x70);

/// Transactions and the state below them.
pub struct Workload {
    /// Every account rich in everything.
    pub state: MemoryState,
    /// In an order in which all can run.
    pub txs: Vec<VerifiedTx>,
}

/// `count` transactions of `accounts` accounts, round robin, each to the account half the ring away.
pub fn build(kind: Kind, accounts: usize, count: usize) -> anyhow::Result<Workload> {
    let senders: Vec<Sender> = (0..accounts).into_par_iter().map(|n| Sender::new(kind, n)).collect();
    let addresses: Vec<Address> = senders.iter().map(Sender::address).collect();
    let signed = |n: usize| {
        let payment = Payment::smallest(kind, TOKEN, addresses[(n + accounts / 2) % accounts]);
        let raw = senders[n % accounts].pay(CHAIN, (n / accounts) as u64, &payment);
        Ok(decode_and_recover(&raw, CHAIN)?)
    };
    let txs = (0..count).into_par_iter().map(signed).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Workload { state: rich(&addresses), txs })
}

/// All of them with more tokens and units than they can spend.
fn rich(accounts: &[Address]) -> MemoryState {
    let (mut delta, much) = (StateDelta::default(), U256::from(10).pow(U256::from(24)));
    let code = token::runtime();
    let info = AccountInfo { nonce: 1, balance: U256::ZERO, code_hash: keccak256(&code) };
    let mut coin = AccountDelta { info: Some(info), ..Default::default() };
    for account in accounts {
        let info = AccountInfo { nonce: 0, balance: much, code_hash: KECCAK256_EMPTY };
        delta.accounts.insert(*account, AccountDelta { info: Some(info), ..Default::default() });
        coin.slots.insert(token::slot(account), much);
    }
    delta.accounts.insert(TOKEN, coin);
    delta.code.insert(keccak256(&code), code);
    MemoryState::from_delta(&delta)
}
