//! Journal miners as they run in production, each with its files on a disk that keeps what was synced.
//!
//! Owns who is up.

use super::{sometimes::Sometimes, witness::Witness};
use crate::machine::Disk;
use async_trait::async_trait;
use cess::{
    client::ChainError,
    crypto::SecretKey,
    network::{MemoryHub, PeerId, peer_id_of},
    runtime::{CpuPool, NodeRuntime},
    storage::journal::{JournalStore, MinerList, serve},
    types::Address,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How many there are: three for each journal, and two to put in the place of others.
pub const MINERS: usize = 5;
/// Bytes a miner keeps of journals.
const LIMIT_BYTES: u64 = 1 << 30;

/// How a miner goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fall {
    /// The process ends; what it has written stays written.
    Killed,
    /// The machine loses power; what was not synced is lost.
    PowerLost,
    /// The machine comes back with an empty disk.
    DiskLost,
}

/// All of them.
pub struct Miners {
    hub: Arc<MemoryHub>,
    witness: Arc<Witness>,
    miners: Vec<Miner>,
}

struct Miner {
    dir: PathBuf,
    state: State,
}

enum State {
    Up(NodeRuntime),
    Down(Disk),
}

/// What everybody knows of miners.
pub struct Registered;

/// The account of a miner.
pub fn account(miner: usize) -> Address {
    Address::repeat_byte(byte(miner))
}

/// The host of a miner.
pub fn peer(miner: usize) -> PeerId {
    let key = SecretKey::from_bytes(&[byte(miner); 32]).public();
    peer_id_of(&key).expect("a key of ours is a host's")
}

fn byte(miner: usize) -> u8 {
    1 + u8::try_from(miner).expect("a few miners")
}

#[async_trait]
impl MinerList for Registered {
    async fn takers(&self) -> Result<Vec<(Address, Address)>, ChainError> {
        Ok((0..MINERS).map(|miner| (account(miner), account(miner))).collect())
    }

    async fn peers_of(&self, accounts: &[Address]) -> Result<Vec<Option<PeerId>>, ChainError> {
        let find = |wanted: &Address| (0..MINERS).find(|miner| account(*miner) == *wanted).map(peer);
        Ok(accounts.iter().map(find).collect())
    }
}

impl Miners {
    /// All miners, up, with their files below `dir`.
    pub async fn start(hub: Arc<MemoryHub>, dir: &Path, witness: Arc<Witness>) -> anyhow::Result<Self> {
        let mut miners = Self { hub, witness, miners: Vec::new() };
        for miner in 0..MINERS {
            let dir = dir.join(format!("m{miner}"));
            fs::create_dir_all(&dir)?;
            miners.miners.push(Miner { dir, state: State::Down(Disk::default()) });
            miners.rise(miner).await?;
        }
        Ok(miners)
    }

    /// Starts one that is down with what is left of its disk.
    pub async fn rise(&mut self, miner: usize) -> anyhow::Result<()> {
        let State::Down(disk) = &self.miners[miner].state else { return Ok(()) };
        disk.restore()?;
        let (hub, dir, name) = (self.hub.clone(), self.miners[miner].dir.clone(), format!("m{miner}"));
        let builder = async move |node: cess::runtime::Node| {
            let store = JournalStore::open(&node, &dir, LIMIT_BYTES, Box::new(|_| {}))?;
            serve(&node, hub.join(peer(miner)), store);
            anyhow::Ok(())
        };
        let (runtime, ()) = NodeRuntime::start(&name, CpuPool::new(&name, 1), builder).await?;
        self.miners[miner].state = State::Up(runtime);
        self.witness.note(&format!("m{miner} is up"));
        Ok(())
    }

    /// Ends one that is up, at once.
    pub fn fall(&mut self, miner: usize, how: Fall) -> anyhow::Result<()> {
        let Miner { dir, state } = &mut self.miners[miner];
        if matches!(state, State::Down(_)) {
            return Ok(());
        }
        self.hub.crash(peer(miner));
        let disk = match how {
            Fall::Killed => Disk::written(dir)?,
            Fall::PowerLost => Disk::synced(dir)?,
            Fall::DiskLost => {
                for file in fs::read_dir(&*dir)? {
                    fs::remove_file(file?.path())?;
                }
                Disk::default()
            }
        };
        if let State::Up(runtime) = std::mem::replace(state, State::Down(disk)) {
            runtime.kill();
        }
        self.witness.note(&format!("m{miner} {how:?}"));
        self.witness.count(match how {
            Fall::Killed => Sometimes::MinerKilled,
            Fall::PowerLost => Sometimes::MinerPowerLost,
            Fall::DiskLost => Sometimes::MinerDiskLost,
        });
        Ok(())
    }

    /// Stops all. Returns the tasks that did not end by themselves.
    pub async fn stop(self) -> Vec<String> {
        let mut aborted = Vec::new();
        for Miner { state, .. } in self.miners {
            if let State::Up(runtime) = state {
                aborted.extend(runtime.stop().await);
            }
        }
        aborted
    }
}
