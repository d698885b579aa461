//! Names of accounts: miners and TEE workers have one.
//!
//! Owns how an account is written in a sentence. Invariant: names are read once, and learnt from the events that bring new ones.

use super::output::short;
use crate::{
    client::{ChainClient, ChainEvent, tee_workers},
    types::Address,
};
use std::collections::BTreeMap;

/// Accounts that have a name.
#[derive(Debug, Clone, Default)]
pub struct Names(BTreeMap<Address, String>);

impl Names {
    /// Those of every miner and TEE worker.
    pub async fn read(chain: &dyn ChainClient) -> anyhow::Result<Self> {
        let mut names = Self::default();
        // A chain may have no TEE workers to ask for; names are an adornment then.
        for worker in tee_workers(chain).await.unwrap_or_default() {
            names.0.insert(worker.account, worker.name);
        }
        names.0.extend(chain.miners().await?.into_iter().map(|miner| (miner.address, miner.name)));
        Ok(names)
    }

    /// Keeps the name an event brings.
    pub fn learn(&mut self, event: &ChainEvent) {
        if let ChainEvent::MinerRegistered { account, name, .. } | ChainEvent::WorkerRegistered { account, name, .. } =
            event
        {
            self.0.insert(*account, name.clone());
        }
    }

    /// `attic-3 (12ab34…90ef)`, or the short address alone.
    pub fn who(&self, account: Address) -> String {
        let address = short(&account.to_string());
        match self.0.get(&account) {
            Some(name) => format!("{name} ({address})"),
            None => address,
        }
    }

    /// The name alone, if it has one, else the short address.
    pub fn name(&self, account: Address) -> String {
        self.0.get(&account).cloned().unwrap_or_else(|| short(&account.to_string()))
    }
}

#[cfg(test)]
impl From<&[(Address, &str)]> for Names {
    fn from(names: &[(Address, &str)]) -> Self {
        Self(names.iter().map(|(account, name)| (*account, (*name).to_owned())).collect())
    }
}
