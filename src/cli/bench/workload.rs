//! Signed transactions by the hundred thousand: many senders that pay each other, and what funds them.
//!
//! Must not know who takes them. Invariants: the same arguments give the same transactions; everything is signed before anything is measured; a sender's transactions are in
//! the order of its nonces, and all senders have their nth before any has its next.

use super::token;
use crate::{
    client::{DevAccount, dev_accounts},
    crypto::{EcdsaKey, SecretKey, native_address},
    ledger::{native::NativeTx, tx::sign_eip1559},
    types::{Address, ChainId, U256},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, TxKind, keccak256};
use clap::ValueEnum;
use rayon::prelude::*;

/// Fee cap of every transaction: far above what full blocks drive the base fee to in the time a bench takes.
const FEE_CAP: u64 = 20_000_000_000_000;
/// Gas of a transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas a transfer of tokens may use; it uses less.
const TOKEN_GAS: u64 = 40_000;
/// Gas of what prepares the senders.
const SETUP_GAS: u64 = 200_000;
/// Units of the bench's token a sender gets.
const GIFT_UNITS: u64 = 1_000_000_000;

/// What the transactions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Transfers of native accounts (ed25519)
    Native,
    /// Transfers of Ethereum accounts (secp256k1)
    Transfer,
    /// Transfers of an ERC-20 token by Ethereum accounts
    Erc20,
}

/// Who is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payees {
    /// The senders each other: the state stays as large as it is.
    Senders,
    /// An account of its own for each transaction, which comes into being by it.
    New,
}

/// One of many senders.
pub enum Sender {
    Native(SecretKey),
    Ethereum(EcdsaKey),
}

/// Transactions ready to be handed in.
pub struct Workload {
    /// What funds the senders, each of the well-known accounts' in order.
    pub setup: Vec<Setup>,
    /// The transactions of each part of the senders, in order. Parts share no sender.
    pub parts: Vec<Vec<Bytes>>,
}

/// Transactions of one well-known account on a fresh chain.
pub struct Setup {
    /// The account.
    pub from: Address,
    /// Its transactions from nonce 0 on.
    pub txs: Vec<Bytes>,
}

impl Sender {
    /// The same one for the same index.
    pub fn new(kind: Kind, index: usize) -> Self {
        let seed = keccak256(format!("cess bench sender {index}"));
        match kind {
            Kind::Native => Self::Native(SecretKey::from_bytes(&seed.0)),
            _ => Self::Ethereum(EcdsaKey::from_bytes(&seed.0).expect("a hash is a valid key but once in 2^127")),
        }
    }

    /// Its account.
    pub fn address(&self) -> Address {
        match self {
            Self::Native(key) => native_address(&key.public()),
            Self::Ethereum(key) => key.address(),
        }
    }

    /// A signed transaction.
    pub fn pay(&self, chain_id: ChainId, nonce: u64, payment: &Payment) -> Bytes {
        match self {
            Self::Native(key) => NativeTx {
                chain_id,
                nonce,
                max_priority_fee: 1,
                max_fee: FEE_CAP,
                gas_limit: payment.gas_limit,
                key: key.public(),
                to: payment.to,
                value: payment.value,
                data: payment.data.clone(),
            }
            .sign(key),
            Self::Ethereum(key) => ethereum(key, chain_id, nonce, payment),
        }
    }
}

/// What a transaction does.
pub struct Payment {
    to: Address,
    value: U256,
    data: Bytes,
    gas_limit: u64,
}

impl Payment {
    /// The smallest one of this kind to `to`; tokens are `coin`'s.
    pub fn smallest(kind: Kind, coin: Address, to: Address) -> Self {
        match kind {
            Kind::Erc20 => Self::units(coin, to, 1, TOKEN_GAS),
            Kind::Native | Kind::Transfer => Self::of(U256::from(1), to),
        }
    }

    fn of(value: U256, to: Address) -> Self {
        Self { to, value, data: Bytes::new(), gas_limit: TRANSFER_GAS }
    }

    fn units(coin: Address, to: Address, units: u64, gas_limit: u64) -> Self {
        Self { to: coin, value: U256::ZERO, data: token::transfer(to, U256::from(units)), gas_limit }
    }
}

impl Workload {
    /// `count` transactions of `accounts` senders, which fall into `parts`.
    pub fn sign(kind: Kind, chain_id: ChainId, accounts: usize, count: usize, parts: usize, payees: Payees) -> Self {
        let senders: Vec<Sender> = (0..accounts).into_par_iter().map(|index| Sender::new(kind, index)).collect();
        let addresses: Vec<Address> = senders.par_iter().map(Sender::address).collect();
        let devs = dev_accounts();
        let coin = devs[0].address.create(0);
        let one = |index: usize| {
            let (round, sender) = (index / accounts, index % accounts);
            let to = match payees {
                Payees::Senders => addresses[(sender + 1 + round) % accounts],
                Payees::New => Address::from_word(keccak256(format!("cess bench payee {index}"))),
            };
            senders[sender].pay(chain_id, nonce_of(round), &Payment::smallest(kind, coin, to))
        };
        let txs: Vec<Bytes> = (0..count).into_par_iter().map(one).collect();
        let mut split = vec![Vec::with_capacity(count / parts + 1); parts];
        for (index, raw) in txs.into_iter().enumerate() {
            split[index % accounts % parts].push(raw);
        }
        Self { setup: setup(kind, chain_id, &devs, coin, &addresses, gift(count.div_ceil(accounts))), parts: split }
    }
}

fn nonce_of(round: usize) -> u64 {
    u64::try_from(round).expect("a round is a small number")
}

/// Gifts to every sender, shared out among the well-known accounts. The first of them also creates the token and hands it out.
fn setup(
    kind: Kind,
    chain_id: ChainId,
    devs: &[DevAccount],
    coin: Address,
    senders: &[Address],
    gift: U256,
) -> Vec<Setup> {
    let gift = |to: &Address| Payment::of(gift, *to);
    let (first, others) = devs.split_first().expect("there are ten");
    let mut all = Vec::new();
    if kind == Kind::Erc20 {
        let creation =
            TxEip1559 { gas_limit: SETUP_GAS, input: token::init_code(), to: TxKind::Create, ..fees(chain_id, 0) };
        let units = |to: &Address| Payment::units(coin, *to, GIFT_UNITS, SETUP_GAS);
        let hand_out = (1u64..).zip(senders).map(|(nonce, to)| ethereum(&first.key, chain_id, nonce, &units(to)));
        let txs = std::iter::once(sign_eip1559(&creation, &first.key)).chain(hand_out).collect();
        all.push(Setup { from: first.address, txs });
    }
    for (index, dev) in others.iter().enumerate() {
        let mine = senders.iter().skip(index).step_by(others.len());
        let txs = (0u64..).zip(mine).map(|(nonce, to)| ethereum(&dev.key, chain_id, nonce, &gift(to))).collect();
        all.push(Setup { from: dev.address, txs });
    }
    all
}

/// What a sender of so many transactions may have to pay: full blocks without end drive the base fee up to the cap.
fn gift(txs: usize) -> U256 {
    U256::from(txs + 1) * U256::from(FEE_CAP) * U256::from(TOKEN_GAS)
}

fn fees(chain_id: ChainId, nonce: u64) -> TxEip1559 {
    let max_fee_per_gas = FEE_CAP.into();
    TxEip1559 { chain_id, nonce, max_fee_per_gas, max_priority_fee_per_gas: 1, ..TxEip1559::default() }
}

fn ethereum(key: &EcdsaKey, chain_id: ChainId, nonce: u64, payment: &Payment) -> Bytes {
    let tx = TxEip1559 {
        gas_limit: payment.gas_limit,
        to: payment.to.into(),
        value: payment.value,
        input: payment.data.clone(),
        ..fees(chain_id, nonce)
    };
    sign_eip1559(&tx, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tx::decode_and_recover;
    use std::collections::BTreeMap;

    #[test]
    fn every_sender_counts_up_and_keeps_to_its_part() {
        for kind in [Kind::Native, Kind::Transfer, Kind::Erc20] {
            let workload = Workload::sign(kind, 11_332, 6, 20, 4, Payees::Senders);
            let mut part_of = BTreeMap::new();
            let mut next: BTreeMap<Address, u64> = BTreeMap::new();
            for (part, raw) in
                workload.parts.iter().enumerate().flat_map(|(part, txs)| txs.iter().map(move |tx| (part, tx)))
            {
                let tx = decode_and_recover(raw, 11_332).unwrap();
                let nonce = next.entry(tx.sender).or_default();
                assert_eq!((tx.nonce, *part_of.entry(tx.sender).or_insert(part)), (*nonce, part));
                *nonce += 1;
            }
            assert_eq!((next.len(), next.values().sum::<u64>()), (6, 20));
        }
    }

    #[test]
    fn senders_can_pay_for_everything_at_the_cap() {
        for kind in [Kind::Native, Kind::Transfer, Kind::Erc20] {
            let workload = Workload::sign(kind, 11_332, 6, 50, 4, Payees::Senders);
            let read = |raw: &Bytes| decode_and_recover(raw, 11_332).unwrap();
            let mut cost: BTreeMap<Address, U256> = BTreeMap::new();
            for tx in workload.parts.iter().flatten().map(read) {
                *cost.entry(tx.sender).or_default() += tx.max_cost();
            }
            let gifts: BTreeMap<Address, U256> = workload
                .setup
                .iter()
                .flat_map(|setup| &setup.txs)
                .map(read)
                .filter_map(|tx| Some((tx.to()?, tx.value())))
                .collect();
            assert!(cost.iter().all(|(sender, cost)| gifts[sender] >= *cost));
        }
    }

    #[test]
    fn new_payees_are_all_different() {
        let workload = Workload::sign(Kind::Native, 11_332, 6, 20, 4, Payees::New);
        let payees = workload.parts.iter().flatten().map(|raw| decode_and_recover(raw, 11_332).unwrap().to());
        assert_eq!(payees.collect::<std::collections::BTreeSet<_>>().len(), 20);
    }
}
