//! What DeOSS calls ask of the chain and change there, in the name of accounts that let this gateway act for them.
//!
//! Owns names of files: in the namespace (owner, `deoss`) a file's id names its name. Invariant: a file and its name are recorded in one
//! transaction, and what is reported is final.

use super::{super::reply::Refusal, auth::denied};
use crate::{
    client::{
        ChainClient, ChainError, Namespace, TerritoryRecord, TerritoryState, TxOutcome, Wallet, is_operator,
        name_record, territory_for, territory_named,
    },
    ledger::{
        abi::{FILES, IFiles, INames, NAMES},
        manifest::stored_bytes,
        native::Call,
    },
    storage::upload::StoreCall,
    types::{Address, ByteCount, FileId, U256},
};
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};

/// Label of the namespaces of files' names.
const LABEL: &[u8] = b"deoss";
/// Longest wait for a transaction to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// How often a transaction is made anew because somebody else changed what it was made for.
const ATTEMPTS: u32 = 3;

/// The chain as this gateway's account may change it.
pub struct Records {
    wallet: Wallet,
}

impl Records {
    /// Records by `wallet`'s transactions.
    pub fn new(wallet: Wallet) -> Self {
        Self { wallet }
    }

    /// The chain.
    pub fn chain(&self) -> &Arc<dyn ChainClient> {
        self.wallet.chain()
    }

    /// Whether `owner` lets this gateway store and remove files for it.
    pub async fn check_operator(&self, owner: Address) -> Result<(), Refusal> {
        let own = self.wallet.address();
        match is_operator(self.chain().as_ref(), owner, own).await? {
            true => Ok(()),
            false => Err(denied(format!(
                "Please authorize this gateway account: {own} (`cess keys s3 create`, or approve({own}, true) at {NAMES} from {owner})"
            ))),
        }
    }

    /// The territory that a file of `size` bytes is charged to: 0 for the one the chain will choose.
    pub async fn room(&self, owner: Address, name: Option<&str>, size: u64) -> Result<u64, Refusal> {
        let needed = stored_bytes(size.max(1));
        let chain = self.chain().as_ref();
        let refused = |error: ChainError| match error {
            ChainError::Refused { .. } => Refusal::bad_request(error.to_string()),
            other => other.into(),
        };
        let Some(name) = name else {
            return territory_for(chain, owner, needed).await.map(|_| 0).map_err(refused);
        };
        let found = territory_named(chain, owner, name).await.map_err(refused)?;
        has_room(&found, needed)?;
        Ok(found.token)
    }

    /// Makes a dispersed file `owner`'s under a name. One it owns already keeps its territory and takes the name.
    pub async fn store(&self, owner: Address, territory: u64, call: &StoreCall, name: &str) -> Result<(), Refusal> {
        let mut attempt = 1;
        loop {
            let mut calls = Vec::new();
            let known = self.chain().file(call.file).await?;
            if !known.is_some_and(|record| record.owners.contains(&owner)) {
                let data = IFiles::storeForCall {
                    owner,
                    territory,
                    manifest: call.manifest_bytes.clone(),
                    beaconHeight: call.beacon_height,
                    holders: call.holders.clone(),
                    receipts: call.receipts.iter().map(|receipt| receipt.0.to_vec().into()).collect(),
                };
                calls.push(to(FILES, &data));
            }
            let present = self.name_of(owner, call.file).await?;
            let (version, present) = present.unwrap_or_default();
            if present != name && !name.is_empty() {
                let data = INames::setCall {
                    owner,
                    label: LABEL.into(),
                    name: call.file.as_bytes().to_vec().into(),
                    expectedVersion: version,
                    value: name.as_bytes().to_vec().into(),
                };
                calls.push(to(NAMES, &data));
            }
            if calls.is_empty() {
                return Ok(());
            }
            match self.send(calls).await {
                Err(ChainError::Refused { .. } | ChainError::Reverted { .. }) if attempt < ATTEMPTS => attempt += 1,
                other => return other.map(drop).map_err(Into::into),
            }
        }
    }

    /// Gives `owner`'s ownership of a file up, and its name for it.
    pub async fn remove(&self, owner: Address, file: FileId) -> Result<TxOutcome, Refusal> {
        let mut calls = vec![to(FILES, &IFiles::removeForCall { owner, id: file.into() })];
        if let Some((version, _)) = self.name_of(owner, file).await? {
            let data = INames::removeCall {
                owner,
                label: LABEL.into(),
                name: file.as_bytes().to_vec().into(),
                expectedVersion: version,
            };
            calls.push(to(NAMES, &data));
        }
        Ok(self.send(calls).await?)
    }

    /// What an owner calls a file, with the version of that.
    pub async fn name_of(&self, owner: Address, file: FileId) -> Result<Option<(u64, String)>, ChainError> {
        let namespace = Namespace::of(owner, LABEL).id();
        let found = name_record(self.chain().as_ref(), namespace, file.as_bytes()).await?;
        Ok(found.map(|record| (record.version, String::from_utf8_lossy(&record.value).into_owned())))
    }

    async fn send(&self, calls: Vec<Call>) -> Result<TxOutcome, ChainError> {
        self.wallet.send_batch_and_wait(calls, None, FINAL_DEADLINE).await
    }
}

fn to(to: Address, call: &impl SolCall) -> Call {
    Call { to, value: U256::ZERO, data: call.abi_encode().into() }
}

fn has_room(territory: &TerritoryRecord, needed: u64) -> Result<(), Refusal> {
    let name = &territory.name;
    if territory.state != TerritoryState::Active {
        let (state, deadline) = (territory.state.name(), territory.deadline);
        return Err(Refusal::bad_request(format!("territory `{name}` is {state} since block {deadline}")));
    }
    if territory.free() < needed {
        let (needed, free) = (ByteCount(needed), ByteCount(territory.free()));
        return Err(Refusal::bad_request(format!("the file takes {needed}, territory `{name}` has {free} free")));
    }
    Ok(())
}
