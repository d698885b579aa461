//! Who the miners are and where they are reached: the chain's list, kept for a while.
//!
//! Owns the cache. Must not know placement. Invariant: an address the cache does not know is looked up before it is unknown.

use super::journal::MinerList;
use crate::{
    client::{ChainClient, ChainError, MinerRecord},
    crypto::PublicKey,
    network::{PeerId, peer_id_of},
    types::Address,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long a miss is believed before the chain is asked again.
const MISS_TRUST: Duration = Duration::from_secs(2);

type Records = Arc<BTreeMap<Address, MinerRecord>>;

/// The registered miners. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct MinerDirectory {
    chain: Arc<dyn ChainClient>,
    cache: Arc<Mutex<Option<(Instant, Records)>>>,
}

impl MinerDirectory {
    /// A directory read from `chain`.
    pub fn new(chain: Arc<dyn ChainClient>) -> Self {
        Self { chain, cache: Arc::default() }
    }

    /// Every miner, as the chain says now.
    pub async fn refresh(&self) -> Result<Records, ChainError> {
        let miners = self.chain.miners().await?;
        let records: Records = Arc::new(miners.into_iter().map(|miner| (miner.address, miner)).collect());
        *self.cache.lock() = Some((Instant::now(), records.clone()));
        Ok(records)
    }

    /// The miners with these accounts, in their order; `None` for one that is not registered.
    pub async fn find(&self, accounts: &[Address]) -> Result<Vec<Option<MinerRecord>>, ChainError> {
        let cached = self.cache.lock().clone();
        let records = match cached {
            Some((at, records))
                if at.elapsed() < MISS_TRUST || accounts.iter().all(|account| records.contains_key(account)) =>
            {
                records
            }
            _ => self.refresh().await?,
        };
        Ok(accounts.iter().map(|account| records.get(account).cloned()).collect())
    }

    /// The peers of these accounts, in their order.
    pub async fn peers(&self, accounts: &[Address]) -> Result<Vec<Option<PeerId>>, ChainError> {
        let found = self.find(accounts).await?;
        Ok(found.into_iter().map(|miner| miner.as_ref().and_then(peer_of)).collect())
    }
}

#[async_trait]
impl MinerList for MinerDirectory {
    async fn takers(&self) -> Result<Vec<(Address, Address)>, ChainError> {
        let records = self.refresh().await?;
        let active = records.values().filter(|miner| miner.state == 0);
        Ok(active.map(|miner| (miner.address, miner.operator)).collect())
    }

    async fn peers_of(&self, accounts: &[Address]) -> Result<Vec<Option<PeerId>>, ChainError> {
        self.peers(accounts).await
    }
}

/// The network identity of a miner; `None` if its registered key is not a key.
pub fn peer_of(miner: &MinerRecord) -> Option<PeerId> {
    peer_id_of(&PublicKey(miner.network_key)).ok()
}
