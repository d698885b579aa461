//! Signed transactions for benches that need no network: many accounts, each of which sends in turn, and the state they start from.
//!
//! Must not know who executes them. Invariant: the same arguments give the same transactions and the same state.

use crate::{
    crypto::{EcdsaKey, SecretKey, native_address},
    ledger::{
        native::NativeTx,
        state::{AccountDelta, AccountInfo, MemoryState, StateDelta},
        tx::{VerifiedTx, decode_and_recover, sign_eip1559},
    },
    types::{Address, B256, ChainId, U256, params::CHAIN_ID_LOCALNET},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, KECCAK256_EMPTY, hex, keccak256};
use anyhow::Context;
use clap::ValueEnum;
use rayon::prelude::*;
use serde::Serialize;

/// Chain the transactions are for.
pub const CHAIN: ChainId = CHAIN_ID_LOCALNET;
/// Gas limit of a transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Gas limit of a token transfer, above what the first one to an account takes.
const TOKEN_GAS: u64 = 100_000;
/// Fee cap, smallest units a unit of gas.
const FEE_CAP: u128 = 100_000_000_000;
/// Tip, smallest units a unit of gas.
const TIP: u128 = 1_000_000_000;
/// Where the token is.
const TOKEN: Address = Address::repeat_byte(0x70);
/// `transfer(address,uint256)` of a token that keeps balances at `keccak256(owner, 0)`, as Solidity's first mapping, and logs
/// `Transfer`.
const TOKEN_CODE: [u8; 93] = hex!(
    "335f5260405f20805460243580821060595780910382556004355f5260405f208054820190555f5260043533"
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    "60205fa360015f5260205ff35b5f5ffd"
);
/// Selector of `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = hex!("a9059cbb");

/// What the transactions do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Transfers of native accounts (type 0x6c)
    Native,
    /// Transfers of Ethereum accounts (type 2)
    Transfer,
    /// Calls of a token's `transfer`
    Erc20,
}

/// Transactions and the state below them.
pub struct Workload {
    /// Every account rich in everything.
    pub state: MemoryState,
    /// In an order in which all can run.
    pub txs: Vec<VerifiedTx>,
}

/// `count` transactions of `accounts` accounts, round robin, each to the account half the ring away.
pub fn build(kind: Kind, accounts: usize, count: usize) -> anyhow::Result<Workload> {
    let senders = (0..accounts).into_par_iter().map(|n| Sender::new(kind, n)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut delta = StateDelta::default();
    let rich = U256::from(10).pow(U256::from(24));
    let mut token = AccountDelta {
        info: Some(AccountInfo { nonce: 1, balance: U256::ZERO, code_hash: keccak256(TOKEN_CODE) }),
        ..Default::default()
    };
    for sender in &senders {
        let info = AccountInfo { nonce: 0, balance: rich, code_hash: KECCAK256_EMPTY };
        delta.accounts.insert(sender.address(), AccountDelta { info: Some(info), ..Default::default() });
        token.slots.insert(token_slot(sender.address()), rich);
    }
    delta.accounts.insert(TOKEN, token);
    delta.code.insert(keccak256(TOKEN_CODE), TOKEN_CODE.to_vec().into());
    let signed = |n: usize| {
        let to = senders[(n + accounts / 2) % accounts].address();
        senders[n % accounts].send(kind, (n / accounts) as u64, to)
    };
    let txs = (0..count).into_par_iter().map(signed).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(Workload { state: MemoryState::from_delta(&delta), txs })
}

/// The token's balance of `owner`.
fn token_slot(owner: Address) -> U256 {
    let mut key = [0; 64];
    key[12..32].copy_from_slice(owner.as_slice());
    keccak256(key).into()
}

enum Sender {
    Native(SecretKey),
    Ethereum(EcdsaKey),
}

impl Sender {
    fn new(kind: Kind, n: usize) -> anyhow::Result<Self> {
        let seed: B256 = keccak256((n as u64).to_be_bytes());
        Ok(match kind {
            Kind::Native => Self::Native(SecretKey::from_bytes(&seed.0)),
            Kind::Transfer | Kind::Erc20 => Self::Ethereum(EcdsaKey::from_bytes(&seed.0).context("not a key")?),
        })
    }

    fn address(&self) -> Address {
        match self {
            Self::Native(key) => native_address(&key.public()),
            Self::Ethereum(key) => key.address(),
        }
    }

    fn send(&self, kind: Kind, nonce: u64, to: Address) -> anyhow::Result<VerifiedTx> {
        let raw = match self {
            Self::Native(key) => NativeTx {
                chain_id: CHAIN,
                nonce,
                max_priority_fee: TIP as u64,
                max_fee: FEE_CAP as u64,
                gas_limit: TRANSFER_GAS,
                key: key.public(),
                to,
                value: U256::from(1),
                data: Bytes::new(),
            }
            .sign(key),
            Self::Ethereum(key) => {
                let (to, value, input, gas_limit) = match kind {
                    Kind::Erc20 => (TOKEN, U256::ZERO, token_transfer(to), TOKEN_GAS),
                    Kind::Native | Kind::Transfer => (to, U256::from(1), Bytes::new(), TRANSFER_GAS),
                };
                let tx = TxEip1559 {
                    chain_id: CHAIN,
                    nonce,
                    gas_limit,
                    max_fee_per_gas: FEE_CAP,
                    max_priority_fee_per_gas: TIP,
                    to: to.into(),
                    value,
                    input,
                    ..TxEip1559::default()
                };
                sign_eip1559(&tx, key)
            }
        };
        Ok(decode_and_recover(&raw, CHAIN)?)
    }
}

fn token_transfer(to: Address) -> Bytes {
    let amount = U256::from(1).to_be_bytes::<32>();
    [&TRANSFER[..], to.into_word().as_slice(), &amount].concat().into()
}
