//! Miners that can crash, come back, and lose their disks.

use super::super::{JournalClient, JournalId, JournalStore, MinerList, serve};
use crate::{
    client::ChainError,
    crypto::SecretKey,
    network::{LinkRule, MemoryHub, Network, PeerId, peer_id_of},
    runtime::{CpuPool, Node},
    types::Address,
};
use async_trait::async_trait;
use parking_lot::Mutex;
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::time::{interval, timeout};

const SOON: Duration = Duration::from_secs(60);
const LIMIT: u64 = 1 << 30;

/// A network of miners.
pub struct Rig {
    pub id: JournalId,
    hub: Arc<MemoryHub>,
    dir: TempDir,
    miners: Arc<Miners>,
    running: Mutex<BTreeMap<Address, Node>>,
    gateways: Mutex<u8>,
    pool: CpuPool,
}

struct Miners {
    operators: Mutex<BTreeMap<Address, Address>>,
}

fn peer(account: Address) -> PeerId {
    peer_id_of(&SecretKey::from_bytes(&[account.0[0]; 32]).public()).unwrap()
}

#[async_trait]
impl MinerList for Miners {
    async fn takers(&self) -> Result<Vec<(Address, Address)>, ChainError> {
        Ok(self.operators.lock().iter().map(|(account, operator)| (*account, *operator)).collect())
    }

    async fn peers_of(&self, accounts: &[Address]) -> Result<Vec<Option<PeerId>>, ChainError> {
        let known = self.operators.lock();
        Ok(accounts.iter().map(|account| known.contains_key(account).then(|| peer(*account))).collect())
    }
}

impl Rig {
    pub async fn start(miners: u8) -> Self {
        let accounts: Vec<_> = (1..=miners).map(Address::repeat_byte).collect();
        let operators = accounts.iter().map(|account| (*account, *account)).collect();
        let rig = Self {
            id: JournalId([1; 32]),
            hub: MemoryHub::new(7),
            dir: TempDir::new().unwrap(),
            miners: Arc::new(Miners { operators: Mutex::new(operators) }),
            running: Mutex::default(),
            gateways: Mutex::new(0),
            pool: CpuPool::new("test", 1),
        };
        for account in accounts {
            rig.restart(account).await;
        }
        rig
    }

    /// Every message takes up to so long.
    pub fn jitter(&self, jitter: Duration) {
        self.hub.set_default(LinkRule { jitter, ..LinkRule::default() });
    }

    pub fn account(&self, index: u8) -> Address {
        Address::repeat_byte(index + 1)
    }

    pub fn same_operator(&self, one: u8, other: u8) {
        let (one, other) = (self.account(one), self.account(other));
        self.miners.operators.lock().insert(other, one);
    }

    /// A gateway that knows the secret.
    pub fn client(&self) -> JournalClient {
        self.client_with([8; 32])
    }

    pub fn client_with(&self, secret: [u8; 32]) -> JournalClient {
        let node = Node::new("gateway", self.pool.clone());
        let mut gateways = self.gateways.lock();
        *gateways += 1;
        let peer = peer_id_of(&SecretKey::from_bytes(&[100 + *gateways; 32]).public()).unwrap();
        JournalClient::new(&node, self.hub.join(peer), self.miners.clone(), secret)
    }

    fn root(&self, account: Address) -> PathBuf {
        self.dir.path().join(account.to_string())
    }

    /// Files of journals at a miner.
    pub fn journals(&self, account: Address) -> usize {
        fs::read_dir(self.root(account)).unwrap().count()
    }

    pub async fn restart(&self, account: Address) {
        let node = Node::new("miner", self.pool.clone());
        let store = JournalStore::open(&node, &self.root(account), LIMIT, Box::new(|_| {})).unwrap();
        let network: Arc<dyn Network> = self.hub.join(peer(account));
        serve(&node, network, store);
        self.running.lock().insert(account, node);
    }

    /// Ends a miner at once. Whatever it was writing is torn.
    pub async fn crash(&self, account: Address) {
        let Some(node) = self.running.lock().remove(&account) else { return };
        self.hub.crash(peer(account));
        node.kill.pull("test");
        node.tasks.shutdown().await;
        for file in fs::read_dir(self.root(account)).unwrap() {
            let path = file.unwrap().path();
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last + 1).next_multiple_of(16));
            bytes.resize(bytes.len().max(end + 48), 0);
            // Begins like an entry, then ends.
            bytes[end..end + 20].copy_from_slice(b"cjE1\x40\0\0\0\0\0\0\0\0\0\0\0torn");
            fs::write(&path, bytes).unwrap();
        }
    }

    /// A miner comes back without its disk.
    pub async fn wipe(&self, account: Address) {
        self.crash(account).await;
        fs::remove_dir_all(self.root(account)).unwrap();
        self.restart(account).await;
    }

    pub async fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let mut tick = interval(Duration::from_millis(5));
        let wait = async {
            while !condition() {
                tick.tick().await;
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
    }
}
