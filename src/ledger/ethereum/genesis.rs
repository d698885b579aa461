//! Block zero of a chain that geth's genesis format describes.

use super::forks::Forks;
use crate::{
    ledger::{
        commitment::{StateCommitment, StateTrie},
        header::ExecutedHeader,
        state::{AccountDelta, AccountInfo, StateDelta},
    },
    types::{B256, U256},
};
use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_genesis::Genesis;
use alloy_primitives::{B64, KECCAK256_EMPTY, keccak256};
use revm::primitives::hardfork::SpecId;

/// Base fee of a chain that starts with London and does not say otherwise.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Why a genesis document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisFault {
    /// Not geth's format.
    #[error("genesis is not a geth genesis document: {0}")]
    Format(String),
    /// A fork nobody here knows.
    #[error("genesis schedules {0}, which is newer than Osaka, the newest fork this program knows")]
    NewerFork(&'static str),
    /// A first block that is not block zero.
    #[error("genesis has number {0}, a chain begins with block 0")]
    NotZero(u64),
    /// A number that does not fit.
    #[error("genesis sets {what} to {found}, which does not fit {bits} bits")]
    OutOfRange { what: &'static str, found: u128, bits: u32 },
}

/// A chain's first block and what it begins with.
#[derive(Debug, Clone)]
pub struct EthereumGenesis {
    /// When which rules are in force.
    pub forks: Forks,
    /// The header of block zero.
    pub header: ExecutedHeader,
    /// The accounts it allots.
    pub delta: StateDelta,
}

impl EthereumGenesis {
    /// From a geth genesis document.
    pub fn parse(json: &str) -> Result<Self, GenesisFault> {
        let format = |e: serde_json::Error| GenesisFault::Format(e.to_string());
        let document: serde_json::Value = serde_json::from_str(json).map_err(format)?;
        // The parser takes what is missing for mainnet's.
        for needed in ["/config/chainId", "/gasLimit", "/difficulty", "/alloc"] {
            if document.pointer(needed).is_none() {
                return Err(GenesisFault::Format(format!("it has no {}", needed[1..].replace('/', "."))));
            }
        }
        let genesis: Genesis = serde_json::from_value(document).map_err(format)?;
        if genesis.config.amsterdam_time.is_some() {
            return Err(GenesisFault::NewerFork("Amsterdam"));
        }
        if genesis.config.bogota_time.is_some() {
            return Err(GenesisFault::NewerFork("Bogota"));
        }
        if let Some(number) = genesis.number.filter(|number| *number != 0) {
            return Err(GenesisFault::NotZero(number));
        }
        let delta = allotted(&genesis);
        let mut trie = StateTrie::default();
        let root = trie.apply(&delta);
        let forks = Forks::new(genesis.config.clone());
        let header = header(&genesis, &forks, root)?;
        Ok(Self { forks, header, delta })
    }
}

fn allotted(genesis: &Genesis) -> StateDelta {
    let mut delta = StateDelta::default();
    for (address, account) in &genesis.alloc {
        let code = account.code.clone().filter(|code| !code.is_empty());
        let code_hash = code.as_ref().map_or(KECCAK256_EMPTY, keccak256);
        if let Some(code) = code {
            delta.code.insert(code_hash, code);
        }
        let info = AccountInfo { nonce: account.nonce.unwrap_or_default(), balance: account.balance, code_hash };
        let words = account.storage.iter().flatten().map(|(slot, value)| (U256::from_be_bytes(slot.0), value));
        let slots =
            words.map(|(slot, value)| (slot, U256::from_be_bytes(value.0))).filter(|(_, value)| !value.is_zero());
        let slots = slots.collect();
        delta.accounts.insert(*address, AccountDelta { info: Some(info), slots, wiped: false });
    }
    delta
}

fn header(genesis: &Genesis, forks: &Forks, state_root: B256) -> Result<ExecutedHeader, GenesisFault> {
    // The fork that its time says, else the one its number says: block zero is never mined, so that no merge matters.
    let by_time = forks.spec(0, genesis.timestamp, true);
    let spec = if by_time == SpecId::MERGE { forks.spec(0, genesis.timestamp, false) } else { by_time };
    let london = spec.is_enabled_in(SpecId::LONDON);
    let base_fee = match genesis.base_fee_per_gas {
        Some(fee) => u64::try_from(fee).map_err(|_| GenesisFault::OutOfRange {
            what: "the base fee",
            found: fee,
            bits: u64::BITS,
        })?,
        None => INITIAL_BASE_FEE,
    };
    let cancun = spec.is_enabled_in(SpecId::CANCUN);
    Ok(ExecutedHeader {
        parent_hash: genesis.parent_hash.unwrap_or_default(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: genesis.coinbase,
        state_root,
        transactions_root: EMPTY_ROOT_HASH,
        receipts_root: EMPTY_ROOT_HASH,
        difficulty: genesis.difficulty,
        gas_limit: genesis.gas_limit,
        timestamp: genesis.timestamp,
        extra_data: genesis.extra_data.clone(),
        mix_hash: genesis.mix_hash,
        nonce: B64::from(genesis.nonce),
        base_fee_per_gas: london.then_some(base_fee),
        withdrawals_root: spec.is_enabled_in(SpecId::SHANGHAI).then_some(EMPTY_WITHDRAWALS),
        blob_gas_used: cancun.then(|| genesis.blob_gas_used.unwrap_or_default()),
        excess_blob_gas: cancun.then(|| genesis.excess_blob_gas.unwrap_or_default()),
        parent_beacon_block_root: cancun.then_some(B256::ZERO),
        requests_hash: spec.is_enabled_in(SpecId::PRAGUE).then_some(EMPTY_REQUESTS_HASH),
        ..Default::default()
    })
}
