//! A call somebody asks about, and what must hold before it runs.
//!
//! Owns the checks of Ethereum's transactions with the freedoms a simulation has, in the order and the words of go-ethereum,
//! which wallets and libraries look for. Must not know the EVM's insides or JSON.

use super::BlockEnv;
use crate::{
    ledger::{
        state::{StateError, StateView},
        tx::recover_authority,
    },
    types::{Address, B256, U256},
};
use alloy_eips::{
    eip2930::AccessList,
    eip4844::{DATA_GAS_PER_BLOB, VERSIONED_HASH_VERSION_KZG},
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, TxKind};
use revm::{
    context::{TransactionType, TxEnv},
    context_interface::{cfg::GasParams, either::Either, result::HaltReason},
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};

/// A call with everything a transaction may say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    /// Who calls.
    pub from: Address,
    /// Who is called; `None` runs `data` as init code.
    pub to: Option<Address>,
    /// Gas it may use.
    pub gas: u64,
    /// Most it pays for a unit of gas.
    pub max_fee: u128,
    /// Its tip; `None` makes `max_fee` the whole price.
    pub priority_fee: Option<u128>,
    /// Value sent along.
    pub value: U256,
    /// Call data or init code.
    pub data: Bytes,
    /// Its nonce, where nonces are checked.
    pub nonce: u64,
    /// EIP-2930.
    pub access_list: Option<AccessList>,
    /// EIP-4844: most it pays for a unit of blob gas.
    pub max_blob_fee: Option<u128>,
    /// EIP-4844: versioned hashes.
    pub blobs: Option<Vec<B256>>,
    /// EIP-7702.
    pub authorizations: Option<Vec<SignedAuthorization>>,
}

/// Which rules of a transaction a call must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// The nonce must be the account's next.
    pub nonce: bool,
    /// It must pay the base fee even when it offers nothing.
    pub base_fee: bool,
}

impl Checks {
    /// What `eth_call` checks.
    pub const LOOSE: Self = Self { nonce: false, base_fee: false };
    /// What a block would.
    pub const STRICT: Self = Self { nonce: true, base_fee: true };
}

/// Why a call cannot start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The fork that brings this kind of transaction is not in force.
    #[error("transaction type not supported: {0} (sender {1})")]
    NotSupported(&'static str, Address),
    /// An earlier transaction is missing.
    #[error("nonce too high: address {0}, tx: {1} state: {2}")]
    NonceTooHigh(Address, u64, u64),
    /// Already used.
    #[error("nonce too low: address {0}, tx: {1} state: {2}")]
    NonceTooLow(Address, u64, u64),
    /// There is no next nonce.
    #[error("nonce has max value: address {0}, nonce: {1}")]
    NonceMax(Address, u64),
    /// EIP-1559.
    #[error(
        "max priority fee per gas higher than max fee per gas: address {0}, maxPriorityFeePerGas: {1}, maxFeePerGas: {2}"
    )]
    TipAboveFee(Address, u128, u128),
    /// EIP-1559.
    #[error("max fee per gas less than block base fee: address {0}, maxFeePerGas: {1}, baseFee: {2}")]
    FeeTooLow(Address, u128, u64),
    /// EIP-4844.
    #[error("blob transaction of type create")]
    BlobCreate,
    /// EIP-4844.
    #[error("blob transaction missing blob hashes")]
    NoBlobs,
    /// EIP-4844.
    #[error("blob {0} has invalid hash version")]
    BlobVersion(usize),
    /// EIP-4844.
    #[error("max fee per blob gas less than block blob gas fee: address {0} blobGasFeeCap: {1}, blobBaseFee: {2}")]
    BlobFeeTooLow(Address, u128, u128),
    /// EIP-7702.
    #[error("EIP-7702 transaction cannot be used to create contract (sender {0})")]
    SetCodeCreate(Address),
    /// EIP-7702.
    #[error("EIP-7702 transaction with empty auth list (sender {0})")]
    NoAuthorizations(Address),
    /// The sender cannot pay.
    #[error("insufficient funds for gas * price + value: address {0} have {1} want {2}")]
    Funds(Address, U256, U256),
    /// Less gas than being a transaction costs.
    #[error("intrinsic gas too low: have {0}, want {1}")]
    IntrinsicGas(u64, u64),
    /// EIP-7623.
    #[error("insufficient gas for floor data gas cost: have {0}, want {1}")]
    FloorGas(u64, u64),
    /// EIP-3860.
    #[error("max initcode size exceeded: code size {0} limit {1}")]
    InitCode(usize, usize),
    /// The EVM refuses for a reason not named above.
    #[error("{0}")]
    Other(String),
}

impl Call {
    /// Refuses what cannot start on `view` in `env`, where a unit of blob gas costs `blob_price`.
    pub(super) fn check(
        &self,
        view: &dyn StateView,
        env: &BlockEnv,
        blob_price: u128,
        checks: Checks,
    ) -> Result<Option<Refusal>, StateError> {
        let account = view.account(&self.from)?.unwrap_or_default();
        let refusal = (|| {
            self.check_kind(env.rules.spec)?;
            if checks.nonce {
                self.check_nonce(account.nonce)?;
            }
            self.check_fees(env, blob_price, checks)?;
            let want = self.most_it_costs();
            if want > account.balance {
                return Err(Refusal::Funds(self.from, account.balance, want));
            }
            self.check_gas(env.rules.spec)
        })();
        Ok(refusal.err())
    }

    fn check_kind(&self, spec: SpecId) -> Result<(), Refusal> {
        let kinds = [
            (self.access_list.is_some(), SpecId::BERLIN, "access list tx"),
            (self.blobs.is_some() || self.max_blob_fee.is_some(), SpecId::CANCUN, "blob tx"),
            (self.authorizations.is_some(), SpecId::PRAGUE, "setcode tx"),
        ];
        match kinds.into_iter().find(|(is, since, _)| *is && !spec.is_enabled_in(*since)) {
            Some((.., name)) => Err(Refusal::NotSupported(name, self.from)),
            None => Ok(()),
        }
    }

    fn check_nonce(&self, next: u64) -> Result<(), Refusal> {
        match self.nonce {
            nonce if nonce > next => Err(Refusal::NonceTooHigh(self.from, nonce, next)),
            nonce if nonce < next => Err(Refusal::NonceTooLow(self.from, nonce, next)),
            u64::MAX => Err(Refusal::NonceMax(self.from, next)),
            _ => Ok(()),
        }
    }

    fn check_fees(&self, env: &BlockEnv, blob_price: u128, checks: Checks) -> Result<(), Refusal> {
        let tip = self.priority_fee.unwrap_or(self.max_fee);
        let offers_nothing = self.max_fee == 0 && tip == 0;
        if checks.base_fee || !offers_nothing {
            if tip > self.max_fee {
                return Err(Refusal::TipAboveFee(self.from, tip, self.max_fee));
            }
            if self.max_fee < u128::from(env.base_fee) {
                return Err(Refusal::FeeTooLow(self.from, self.max_fee, env.base_fee));
            }
        }
        if let Some(blobs) = &self.blobs {
            self.check_blobs(blobs, blob_price, checks)?;
        }
        match &self.authorizations {
            Some(_) if self.to.is_none() => Err(Refusal::SetCodeCreate(self.from)),
            Some(list) if list.is_empty() => Err(Refusal::NoAuthorizations(self.from)),
            _ => Ok(()),
        }
    }

    fn check_blobs(&self, blobs: &[B256], price: u128, checks: Checks) -> Result<(), Refusal> {
        if self.to.is_none() {
            return Err(Refusal::BlobCreate);
        }
        if blobs.is_empty() {
            return Err(Refusal::NoBlobs);
        }
        if let Some(index) = blobs.iter().position(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG) {
            return Err(Refusal::BlobVersion(index));
        }
        let offer = self.max_blob_fee.unwrap_or_default();
        let skip = !checks.base_fee && offer == 0;
        if !skip && offer < price {
            return Err(Refusal::BlobFeeTooLow(self.from, offer, price));
        }
        Ok(())
    }

    /// The most it takes from the sender.
    fn most_it_costs(&self) -> U256 {
        let gas = U256::from(self.gas).saturating_mul(U256::from(self.max_fee));
        let blob_gas =
            U256::from(self.blobs.as_ref().map_or(0, Vec::len)).saturating_mul(U256::from(DATA_GAS_PER_BLOB));
        let blobs = blob_gas.saturating_mul(U256::from(self.max_blob_fee.unwrap_or_default()));
        gas.saturating_add(blobs).saturating_add(self.value)
    }

    fn check_gas(&self, spec: SpecId) -> Result<(), Refusal> {
        let gas = GasParams::new_spec(spec).initial_tx_gas_for_tx(self.env(0), None);
        let (want, floor) = (gas.initial_total_gas(), gas.floor_gas());
        if self.gas < want {
            return Err(Refusal::IntrinsicGas(self.gas, want));
        }
        if spec.is_enabled_in(SpecId::PRAGUE) && self.gas < floor {
            return Err(Refusal::FloorGas(self.gas, floor));
        }
        match self.to.is_none() && spec.is_enabled_in(SpecId::SHANGHAI) && self.data.len() > MAX_INITCODE_SIZE {
            true => Err(Refusal::InitCode(self.data.len(), MAX_INITCODE_SIZE)),
            false => Ok(()),
        }
    }

    /// The call in revm's terms.
    pub(super) fn env(&self, chain_id: u64) -> TxEnv {
        let tx_type = match self {
            Self { authorizations: Some(_), .. } => TransactionType::Eip7702,
            Self { blobs: Some(_), .. } => TransactionType::Eip4844,
            Self { priority_fee: Some(_), .. } => TransactionType::Eip1559,
            Self { access_list: Some(_), .. } => TransactionType::Eip2930,
            _ => TransactionType::Legacy,
        };
        TxEnv {
            tx_type: tx_type as u8,
            caller: self.from,
            gas_limit: self.gas,
            gas_price: self.max_fee,
            kind: self.to.map_or(TxKind::Create, TxKind::Call),
            value: self.value,
            data: self.data.clone(),
            nonce: self.nonce,
            chain_id: Some(chain_id),
            access_list: self.access_list.clone().unwrap_or_default(),
            gas_priority_fee: self.priority_fee,
            blob_hashes: self.blobs.clone().unwrap_or_default(),
            max_fee_per_blob_gas: self.max_blob_fee.unwrap_or_default(),
            authorization_list: self
                .authorizations
                .iter()
                .flatten()
                .map(|a| Either::Right(recover_authority(a)))
                .collect(),
        }
    }

    /// Price it pays for a unit of gas.
    pub fn gas_price(&self, base_fee: u64) -> u128 {
        match self.priority_fee {
            Some(tip) => self.max_fee.min(tip.saturating_add(u128::from(base_fee))),
            None => self.max_fee,
        }
    }

    /// Whether it does nothing but move value to an account without code.
    pub fn is_plain_transfer(&self, view: &dyn StateView) -> Result<bool, StateError> {
        let Some(to) = self.to.filter(|_| self.data.is_empty()) else { return Ok(false) };
        Ok(view.account(&to)?.is_none_or(|info| info.code_hash == KECCAK256_EMPTY))
    }
}

/// Why an execution used up its gas, in go-ethereum's words.
pub fn halt_words(reason: &HaltReason) -> String {
    match reason {
        HaltReason::OutOfGas(_) => "out of gas",
        HaltReason::OpcodeNotFound | HaltReason::NotActivated => "invalid opcode",
        HaltReason::InvalidFEOpcode => "invalid opcode: INVALID",
        HaltReason::InvalidJump => "invalid jump destination",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack limit reached 1024 (1023)",
        HaltReason::OutOfOffset => "return data out of bounds",
        HaltReason::CreateCollision => "contract address collision",
        HaltReason::PrecompileError => "precompiled contract failed",
        HaltReason::PrecompileErrorWithContext(words) => words,
        HaltReason::NonceOverflow => "nonce uint64 overflow",
        HaltReason::CreateContractSizeLimit => "max code size exceeded",
        HaltReason::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        HaltReason::CreateInitCodeSizeLimit => "max initcode size exceeded",
        HaltReason::StateChangeDuringStaticCall | HaltReason::CallNotAllowedInsideStatic => "write protection",
        HaltReason::OutOfFunds => "insufficient balance for transfer",
        HaltReason::CallTooDeep => "max call depth exceeded",
        other => return other.to_string(),
    }
    .to_owned()
}
