//! Getting a worker onto the chain's list, and keeping its attestation alive.
//!
//! Owns bond, attestation and renewal. Must not know keys of the group. Invariant: a worker whose attestation is about to end renews it
//! while at least a sixteenth of its time is left.

use super::{Enclave, EnclaveError, attestation};
use crate::{
    client::{ChainClient, ChainError, Wallet},
    config::TeeKind,
    ledger::abi::{
        ITee::{self, Worker},
        TEE,
    },
    runtime::Worker as Report,
    storage::audit::ask,
    types::{Address, Amount, B256, Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// How long one wait for a block lasts.
const WAIT: Duration = Duration::from_secs(20);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// States of a worker, as the interface numbers them.
const ACTIVE: u8 = 0;
const EXPIRED: u8 = 1;

/// Why a worker could not be registered.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The chain failed or refused.
    #[error("the TEE worker cannot be registered: {0}")]
    Chain(#[from] ChainError),
    /// The enclave failed.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
    /// Not enough tokens.
    #[error(
        "account {account} has {} tokens, {} are needed as bond and a little for fees: send it tokens and start again",
        Amount(*balance), Amount(*needed)
    )]
    Funds { account: Address, balance: U256, needed: U256 },
    /// Another node registered this account.
    #[error("account {account} is registered with another network key: one account belongs to one node")]
    OtherNode { account: Address },
    /// Registered as something else.
    #[error("account {account} is registered as kind {found}, the settings say {expected}: leave first")]
    OtherKind { account: Address, found: u8, expected: TeeKind },
    /// It may not work any more.
    #[error("TEE worker {account} is leaving or revoked (state {state})")]
    Gone { account: Address, state: u8 },
}

/// What a worker says of itself on the chain.
#[derive(Clone)]
pub struct Registration {
    /// Its account.
    pub wallet: Wallet,
    /// Public key of its network host.
    pub network_key: [u8; 32],
    /// What vouches for it.
    pub enclave: Arc<dyn Enclave>,
    /// What it does.
    pub kind: TeeKind,
    /// Display name.
    pub name: String,
    /// What is due as bond.
    pub bond: U256,
    /// DCAP collateral to publish before each attestation.
    pub collateral: Option<Bytes>,
    /// Blocks of an era: an unattested worker says so once in each.
    pub era_blocks: u64,
}

impl Registration {
    /// The worker's record, after registering or attesting it if that is needed.
    pub async fn ensure(&self) -> Result<Worker, WorkerError> {
        let account = self.wallet.address();
        match self.find().await? {
            Some(worker) if worker.networkKey.0 != self.network_key => Err(WorkerError::OtherNode { account }),
            Some(worker) if worker.kind != self.kind.number() => {
                Err(WorkerError::OtherKind { account, found: worker.kind, expected: self.kind })
            }
            Some(worker) if worker.state == ACTIVE && worker.sealKey.0 == self.enclave.seal_key() => Ok(worker),
            Some(worker) if [ACTIVE, EXPIRED].contains(&worker.state) => {
                self.attest(&worker).await?;
                self.recorded().await
            }
            Some(worker) => Err(WorkerError::Gone { account, state: worker.state }),
            None => {
                let call = ITee::registerCall {
                    kind: self.kind.number(),
                    networkKey: self.network_key.into(),
                    sealKey: self.enclave.seal_key().into(),
                    name: self.name.clone(),
                    attestation: self.attestation().await?,
                };
                self.pay(self.bond, call.abi_encode()).await?;
                self.recorded().await
            }
        }
    }

    /// Renews the attestation before it ends, and says once an era if nothing vouches for the worker.
    pub async fn keep(self, mut worker: Worker, report: Report) {
        let (mut height, mut lease, mut warned) = (0, None, None);
        loop {
            match self.chain().wait_above(height, WAIT).await {
                Ok(status) => height = status.height,
                Err(error) => {
                    report.error(error);
                    sleep(PAUSE).await;
                    continue;
                }
            }
            let era = height / self.era_blocks.max(1);
            if worker.attestation == 0 && warned != Some(era) {
                warned = Some(era);
                tracing::warn!(id = worker.id, era, "nothing vouches for this TEE worker: it is unattested");
            }
            let left = worker.attestedUntil.saturating_sub(height);
            // A quarter of what there was when this attestation was first seen.
            if left < *lease.get_or_insert(left) / 4 || left == 0 {
                report.busy("renewing the attestation");
                match self.renew(&worker).await {
                    Ok(renewed) => (worker, lease) = (renewed, None),
                    Err(error) => {
                        report.error(&error);
                        tracing::warn!(%error, left, "the attestation cannot be renewed, trying again");
                        sleep(PAUSE).await;
                    }
                }
                report.idle();
            }
        }
    }

    async fn renew(&self, worker: &Worker) -> Result<Worker, WorkerError> {
        self.attest(worker).await?;
        let renewed = self.recorded().await?;
        tracing::info!(id = renewed.id, until = renewed.attestedUntil, "attestation renewed");
        Ok(renewed)
    }

    async fn attest(&self, worker: &Worker) -> Result<(), WorkerError> {
        let (seal_key, missing) = (self.enclave.seal_key(), self.bond.saturating_sub(worker.bond));
        let call = ITee::attestCall { sealKey: seal_key.into(), attestation: self.attestation().await? };
        self.pay(missing, call.abi_encode()).await
    }

    /// What the chain is shown.
    async fn attestation(&self) -> Result<Bytes, WorkerError> {
        let (chain, account) = (self.chain().as_ref(), self.wallet.address());
        let collateral = self.publish().await?;
        let height: Height = chain.status().await?.height;
        let (network_key, seal_key) = (self.network_key.into(), self.enclave.seal_key().into());
        let question = ITee::reportDataCall { account, networkKey: network_key, sealKey: seal_key, height };
        let report_data = match collateral {
            // Without hardware nothing is bound to it.
            None => B256::ZERO,
            Some(_) => ask(chain, TEE, question).await?,
        };
        Ok(attestation(self.enclave.as_ref(), &report_data, height, collateral.unwrap_or_default())?)
    }

    /// Puts the collateral on the chain; its digest.
    async fn publish(&self) -> Result<Option<B256>, WorkerError> {
        let Some(collateral) = self.collateral.clone() else { return Ok(None) };
        let call = ITee::publishCollateralCall { collateral };
        let digest = ask(self.chain().as_ref(), TEE, call.clone()).await?;
        self.pay(U256::ZERO, call.abi_encode()).await?;
        Ok(Some(digest))
    }

    async fn find(&self) -> Result<Option<Worker>, ChainError> {
        let account = self.wallet.address();
        match ask(self.chain().as_ref(), TEE, ITee::getCall { account }).await {
            Ok(worker) => Ok(Some(worker)),
            // The account is unknown.
            Err(ChainError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn recorded(&self) -> Result<Worker, WorkerError> {
        let account = self.wallet.address();
        let missing = || ChainError::Malformed(format!("worker {account} is not listed after its registration"));
        Ok(self.find().await?.ok_or_else(missing)?)
    }

    /// Sends a call with its value, or says what is missing before anything is paid.
    async fn pay(&self, value: U256, data: Vec<u8>) -> Result<(), WorkerError> {
        let account = self.wallet.address();
        let balance = self.chain().balance(account).await?;
        if balance <= value {
            return Err(WorkerError::Funds { account, balance, needed: value });
        }
        self.wallet.send_and_wait(TEE, value, data.into(), FINAL_DEADLINE).await?;
        Ok(())
    }

    fn chain(&self) -> &Arc<dyn ChainClient> {
        self.wallet.chain()
    }
}
