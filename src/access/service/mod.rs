//! The layer put together: buckets named on the chain, owned by one gateway of a group, their records in engines, their bytes on miners.
//!
//! Owns composition alone. Must not know wire protocols.

mod directory;
mod endings;
mod journals;
mod keys;
mod left_open;
mod routing;
mod sessions;
#[cfg(test)]
mod tests;
mod upkeep;

pub use directory::Directory;
pub use journals::BucketJournals;
pub use keys::{OwnerKeyError, owner_bucket_key, register_owner_key};
pub use routing::Routing;
pub use sessions::{Opener, OpenerParts};

use super::{
    data::{ChainLedger, PackLimits, Packs, PacksParts, keys::SealPair},
    engine::EngineSettings,
    group::{ChainOwners, GatewayKey, Gateways, GroupPorts, Peers},
    objects::{BucketSettings, Objects},
    store::FileCache,
};
use crate::{
    client::{NamesWatch, Wallet},
    runtime::{Criticality, Node, Phase},
    storage::{MinerDirectory, fetch::Fetcher, journal::JournalClient, upload::Uploader},
    types::{Address, B256},
};
use endings::Endings;
use keys::GroupKeys;
use left_open::LeftOpen;
use parking_lot::Mutex;
use std::{path::PathBuf, sync::Arc, time::Duration};
use upkeep::Upkeep;
use zeroize::Zeroizing;

/// How packs, engines and buckets behave.
#[derive(Clone)]
pub struct Tuning {
    /// When packs are closed.
    pub packs: PackLimits,
    /// What engines share.
    pub engines: EngineSettings,
    /// How long things are kept in buckets.
    pub buckets: BucketSettings,
    /// How long a table's file stays for readers after its name is gone.
    pub table_grace: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            packs: PackLimits::default(),
            engines: EngineSettings::with_cache_bytes(ENGINE_CACHE_BYTES),
            buckets: BucketSettings::default(),
            table_grace: TABLE_GRACE,
        }
    }
}

/// How long a table's file stays after its name is gone.
const TABLE_GRACE: Duration = Duration::from_secs(60);
/// Memory for values and blocks of tables, for all buckets together.
const ENGINE_CACHE_BYTES: usize = 128 << 20;
/// Disk for tables, for all buckets together.
const TABLE_CACHE_BYTES: u64 = 1 << 30;

/// What the layer stands on.
pub struct AccessParts {
    /// This gateway's account.
    pub wallet: Wallet,
    /// The key of its network host.
    pub peer: [u8; 32],
    /// The chain's genesis.
    pub genesis: B256,
    /// Sends fragments.
    pub uploader: Uploader,
    /// Fetches them.
    pub fetcher: Fetcher,
    /// Who the miners are.
    pub miners: MinerDirectory,
    /// Their journals.
    pub journals: JournalClient,
    /// Other gateways.
    pub peers: Arc<dyn Peers>,
    /// Accounts of the group's other gateways.
    pub members: Vec<Address>,
    /// What the gateways of the group share.
    pub secret: Zeroizing<[u8; 32]>,
    /// Folder for what may be lost.
    pub cache: PathBuf,
    /// How it behaves.
    pub tuning: Tuning,
}

/// Objects on a network of miners.
pub struct Access {
    /// What gateways serve.
    pub objects: Objects,
    /// Names of the chain, kept up to date.
    pub names: Arc<NamesWatch>,
    /// The group's key pair.
    pub pair: Arc<SealPair>,
    #[cfg(test)]
    upkeep: Arc<Upkeep>,
}

impl Access {
    /// Starts it all.
    pub fn start(node: &Node, parts: AccessParts) -> std::io::Result<Self> {
        let AccessParts { wallet, peer, genesis, uploader, fetcher, miners, .. } = parts;
        let AccessParts { journals, peers, members, secret, cache, tuning, .. } = parts;
        let names = Arc::new(NamesWatch::new(wallet.chain().clone()));
        names.follow(&node.tasks);
        let ledger = Arc::new(ChainLedger::new(wallet.clone()));
        let packs = PacksParts {
            chain: wallet.chain().clone(),
            uploader,
            fetcher,
            directory: miners,
            ledger,
            gateway: wallet.address(),
        };
        let packs = Packs::new(node, packs, tuning.packs);
        let directory = Arc::new(Directory::new(wallet.clone(), names.clone()));
        let journals = BucketJournals::new(journals, genesis);
        let opener = Arc::new(Opener::new(
            node,
            OpenerParts {
                wallet: wallet.clone(),
                owners: ChainOwners::new(wallet.clone()),
                directory: directory.clone(),
                journals: journals.clone(),
                packs: packs.clone(),
                cache: FileCache::open(&cache, TABLE_CACHE_BYTES)?,
                engines: tuning.engines,
                buckets: tuning.buckets,
                table_grace: tuning.table_grace,
                secret: secret.clone(),
            },
        ));
        let owners = ChainOwners::new(wallet.clone());
        let ports = GroupPorts {
            owners: Arc::new(owners.clone()),
            journals: Arc::new(journals.clone()),
            peers,
            executor: opener.clone(),
        };
        let me = GatewayKey { account: wallet.address().into(), peer };
        let gateways = Gateways::start(node, me, &secret, ports);
        let endings = Endings::new(node, directory.clone(), gateways.clone(), journals, opener.clone(), packs.clone());
        let endings = Arc::new(endings);
        let pair = Arc::new(SealPair::of_group(&secret));
        let keys = Arc::new(GroupKeys::new(wallet.chain().clone(), node.rng.clone(), pair.clone()));
        let router = Routing::new(node, directory.clone(), gateways.clone(), endings.clone(), keys.clone());
        let router = Arc::new(router);
        let objects = Objects::new(node, router, Arc::new(packs.clone()), keys);
        let upkeep = Arc::new(Upkeep {
            objects: objects.clone(),
            opener,
            directory,
            endings,
            left: LeftOpen::new(wallet.address(), members, owners),
            packs,
            chain: wallet.chain().clone(),
            worker: node.workers.register("buckets"),
            looked: Mutex::default(),
        });
        upkeep.clone().start(node);
        close_at_the_end(node, gateways);
        Ok(Self {
            objects,
            names,
            pair,
            #[cfg(test)]
            upkeep,
        })
    }
}

/// Buckets are let go in order, so that the other gateways need not wait for a lease to run out.
fn close_at_the_end(node: &Node, gateways: Arc<Gateways>) {
    let stop = node.tasks.stopping(Phase::Drain);
    node.tasks.spawn(Phase::Produce, "buckets let go", Criticality::Optional, async move {
        stop.cancelled().await;
        gateways.close().await;
        Ok(())
    });
}
