//! What packs ask of the chain, as a port: files stored and removed for the accounts that own them.
//!
//! Must not know packs. Invariant: what is reported stored or removed is final.

use crate::{
    client::{ChainError, Wallet},
    ledger::abi::{FILES, IFiles},
    storage::upload::StoreCall,
    types::{Address, FileId, U256},
};
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use std::time::Duration;

/// Longest wait for a transaction to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// Why the chain did not do it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// It said no: the same call again is of no use.
    #[error("{0}")]
    Refused(String),
    /// It was not reached, or did not come to an end in time. It may have been done.
    #[error("{0}")]
    Unavailable(String),
}

/// Files of accounts that let this gateway act for them.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Makes a dispersed file `owner`'s; returns when that is final.
    async fn store_for(&self, owner: Address, call: &StoreCall) -> Result<(), LedgerError>;

    /// Gives `owner`'s ownership of a file up; returns when that is final.
    async fn remove_for(&self, owner: Address, file: FileId) -> Result<(), LedgerError>;
}

/// The chain itself, through the gateway's account, which its owners have approved as operator.
pub struct ChainLedger {
    wallet: Wallet,
}

impl ChainLedger {
    /// The ledger as `wallet`'s account may change it.
    pub fn new(wallet: Wallet) -> Self {
        Self { wallet }
    }

    async fn send(&self, data: Vec<u8>) -> Result<(), LedgerError> {
        self.wallet.send_and_wait(FILES, U256::ZERO, data.into(), FINAL_DEADLINE).await.map(drop).map_err(Into::into)
    }
}

#[async_trait]
impl Ledger for ChainLedger {
    async fn store_for(&self, owner: Address, call: &StoreCall) -> Result<(), LedgerError> {
        let data = IFiles::storeForCall {
            owner,
            territory: 0,
            manifest: call.manifest_bytes.clone(),
            beaconHeight: call.beacon_height,
            holders: call.holders.clone(),
            receipts: call.receipts.iter().map(|receipt| receipt.0.to_vec().into()).collect(),
        };
        self.send(data.abi_encode()).await
    }

    async fn remove_for(&self, owner: Address, file: FileId) -> Result<(), LedgerError> {
        self.send(IFiles::removeForCall { owner, id: file.into() }.abi_encode()).await
    }
}

impl From<ChainError> for LedgerError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::Refused { .. } | ChainError::Reverted { .. } => Self::Refused(error.to_string()),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
