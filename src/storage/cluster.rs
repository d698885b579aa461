//! Miners and a gateway in one process, over the in-memory network and a chain that only remembers. For the tests beside.
//!
//! Owns the pretence. The chain checks what the real one checks of a store call: placement, receipts, room.

mod market;

pub use market::{IDLE_SEED, Market};

use super::{
    BufferPool, DataClient, MinerDirectory,
    fetch::{FetchLimits, Fetcher, FileSource},
    fragments::{FragmentError, FragmentIndex, FragmentStore, MemoryStore},
    miner::{Declaration, IdleConfig, MinerConfig, MinerService},
    peer_of,
    upload::{
        StoreCall, UPLOAD_BUFFERS, Upload, UploadError, UploadId, UploadJournal, UploadLimits, Uploader, UploaderParts,
    },
};
use crate::{
    client::{ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome},
    crypto::{NodeKeys, PublicKey},
    kv::MemoryKv,
    ledger::{
        placement::{self, Candidate},
        receipt::receipt_message,
    },
    network::{MemoryHub, Network, PeerId, peer_id_of},
    runtime::{CpuPool, Node},
    types::{Address, B256, ByteCount, FileId, FragmentId, Height, Params, Profile, U256, params::FRAGMENTS},
};
use alloy_primitives::Bytes as EthBytes;
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::{io::AsyncRead, sync::watch, time::timeout};

const CHAIN_ID: u64 = 11_332;
const CAPACITY: u64 = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(20);

/// A chain that executes nothing but remembers everything.
pub struct FakeChain {
    height: watch::Sender<Height>,
    /// Whether events are withheld, so that followers lag.
    mute: watch::Sender<bool>,
    state: Mutex<ChainState>,
}

#[derive(Default)]
struct ChainState {
    miners: Vec<MinerRecord>,
    files: BTreeMap<FileId, (FileRecord, EthBytes)>,
    events: BTreeMap<Height, Vec<(B256, ChainEvent)>>,
    market: Market,
}

impl FakeChain {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { height: watch::Sender::new(10), mute: watch::Sender::new(false), state: Mutex::default() })
    }

    pub fn height(&self) -> Height {
        *self.height.borrow()
    }

    /// Makes `blocks` empty blocks.
    pub fn advance(&self, blocks: u64) {
        self.height.send_modify(|height| *height += blocks);
    }

    /// Withholds events, or gives them again.
    pub fn mute(&self, mute: bool) {
        self.mute.send_replace(mute);
    }

    pub fn add_miner(&self, record: MinerRecord) {
        self.state.lock().miners.push(record);
    }

    pub fn change_miner(&self, account: Address, change: impl FnOnce(&mut MinerRecord)) {
        let mut state = self.state.lock();
        change(state.miners.iter_mut().find(|miner| miner.address == account).unwrap());
    }

    /// Looks at what the modules keep, or changes it.
    pub fn market<T>(&self, look: impl FnOnce(&mut Market) -> T) -> T {
        look(&mut self.state.lock().market)
    }

    /// Puts `event` into the next block, which somebody else makes.
    fn note(&self, event: ChainEvent) {
        let height = self.height() + 1;
        self.state.lock().events.entry(height).or_default().push((B256::ZERO, event));
    }

    /// Includes `event` in the next block.
    pub fn emit(&self, event: ChainEvent) {
        self.note(event);
        self.advance(1);
    }

    /// What the files module does with a store call.
    pub fn store(&self, call: &StoreCall, owner: Address) -> Result<(), String> {
        call.manifest.check().map_err(|e| e.to_string())?;
        let status = self.status_now();
        let candidates: Vec<Candidate> = self.state.lock().miners.iter().map(candidate).collect();
        let seed = placement::seed(&beacon_of(call.beacon_height), &call.manifest.segments[0].id);
        let ranked = placement::rank(&seed, call.beacon_height, &candidates, &Params::of(status.profile));
        placement::check(&ranked, &call.holders).map_err(|e| e.to_string())?;
        for (index, (holder, receipt)) in call.holders.iter().zip(&call.receipts).enumerate() {
            let miner = self.state.lock().miners.iter().find(|miner| miner.address == *holder).cloned().unwrap();
            let message = receipt_message(CHAIN_ID, call.file, u8::try_from(index).unwrap(), *holder);
            PublicKey(miner.account_key).verify(&message, receipt).map_err(|e| format!("receipt {index}: {e}"))?;
            if miner.capacity - miner.used < call.manifest.column_bytes() {
                return Err(format!("holder {holder} is full"));
            }
        }
        let record = FileRecord {
            id: call.file,
            owners: vec![owner],
            size: call.manifest.size,
            segments: u32::try_from(call.manifest.segments.len()).unwrap(),
            holders: call.holders.clone(),
            stored_at: self.height() + 1,
        };
        self.state.lock().files.insert(call.file, (record, call.manifest_bytes.clone()));
        self.emit(ChainEvent::FileStored {
            id: call.file,
            owner,
            size: call.manifest.size,
            holders: call.holders.clone(),
            manifest: call.manifest_bytes.clone(),
        });
        Ok(())
    }

    pub fn delete(&self, id: FileId) {
        let (record, _) = self.state.lock().files.remove(&id).unwrap();
        self.emit(ChainEvent::FileDeleted { id, size: record.size, holders: record.holders });
    }

    fn status_now(&self) -> ChainStatus {
        let height = self.height();
        ChainStatus {
            chain_id: CHAIN_ID,
            genesis: B256::repeat_byte(1),
            height,
            hash: B256::ZERO,
            beacon: beacon_of(height),
            time_ms: 0,
            profile: Profile::Dev,
            peers: 1,
            syncing: false,
        }
    }
}

fn beacon_of(height: Height) -> B256 {
    crate::crypto::hash::tagged("cess 2026 test beacon", &[&height.to_le_bytes()]).into()
}

fn candidate(miner: &MinerRecord) -> Candidate {
    let MinerRecord { address, operator, prefix, weight, since, .. } = *miner;
    Candidate { account: address, operator, prefix, weight, since }
}

#[async_trait]
impl ChainClient for FakeChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Ok(self.status_now())
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let _ = timeout(deadline, self.height.subscribe().wait_for(|now| *now > height)).await;
        Ok(self.status_now())
    }

    async fn balance(&self, _account: Address) -> Result<U256, ChainError> {
        Ok(U256::from(3))
    }

    async fn nonce(&self, _account: Address) -> Result<u64, ChainError> {
        Ok(0)
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(1)
    }

    async fn call(&self, to: Address, data: EthBytes) -> Result<EthBytes, ChainError> {
        self.view(to, &data)
    }

    async fn estimate_gas(&self, _: Address, _: Address, _: U256, _: EthBytes) -> Result<u64, ChainError> {
        Ok(100_000)
    }

    async fn submit(&self, raw: EthBytes) -> Result<B256, ChainError> {
        self.execute(&raw)
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        Ok(self.market(|market| market.outcomes.get(&tx).cloned()))
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        self.mute.subscribe().wait_for(|mute| !mute).await.expect("the chain holds the sender");
        let state = self.state.lock();
        let batches = state.events.range(from..=to);
        Ok(batches.map(|(height, events)| EventBatch { height: *height, events: events.clone() }).collect())
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        Ok((height <= self.height()).then(|| beacon_of(height)))
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        Ok(self.state.lock().miners.clone())
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        Ok(self.state.lock().files.get(&id).map(|(record, _)| record.clone()))
    }

    async fn manifest(&self, id: FileId) -> Result<Option<EthBytes>, ChainError> {
        Ok(self.state.lock().files.get(&id).map(|(_, manifest)| manifest.clone()))
    }

    async fn files_of(&self, owner: Address, _skip: u64, _limit: u64) -> Result<Vec<FileRecord>, ChainError> {
        let state = self.state.lock();
        let own = state.files.values().filter(|(record, _)| record.owners.contains(&owner));
        Ok(own.map(|(record, _)| record.clone()).collect())
    }
}

/// What is wrong with a miner's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Gives other bytes than were asked for.
    Lies,
    /// Never finishes a put or a get.
    Hangs,
    /// Has a full disk.
    Full,
    /// Acknowledges and keeps nothing; nothing is hashed either.
    Forgets,
}

/// A memory store with a fault.
pub struct FaultyStore {
    pub memory: Arc<MemoryStore>,
    pub fault: Mutex<Fault>,
}

#[async_trait]
impl FragmentStore for FaultyStore {
    fn index(&self) -> &Arc<FragmentIndex> {
        self.memory.index()
    }

    async fn put(&self, id: FragmentId, bytes: Bytes, since: Height) -> Result<(), FragmentError> {
        let fault = *self.fault.lock();
        match fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Full => Err(FragmentError::DiskFull { path: "/lent".into(), needed: bytes.len() as u64 }),
            Fault::Forgets => self.index().insert(&[(id, u32::try_from(bytes.len()).unwrap())], since),
            Fault::None | Fault::Lies => self.memory.put(id, bytes, since).await,
        }
    }

    async fn get(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.told(self.memory.get(id).await?).await
    }

    async fn whole(&self, id: FragmentId) -> Result<Bytes, FragmentError> {
        self.told(self.memory.whole(id).await?).await
    }

    async fn collect(&self, ids: Vec<FragmentId>, until: Height) -> Result<u64, FragmentError> {
        self.memory.collect(ids, until).await
    }

    async fn discard(&self, id: FragmentId) -> Result<(), FragmentError> {
        self.memory.discard(id).await
    }
}

impl FaultyStore {
    async fn told(&self, bytes: Bytes) -> Result<Bytes, FragmentError> {
        let fault = *self.fault.lock();
        match fault {
            Fault::Hangs => std::future::pending().await,
            Fault::Lies => Ok(vec![0xee; bytes.len()].into()),
            _ => Ok(bytes),
        }
    }

    /// Ids of the fragments that are here.
    pub fn ids_held(&self) -> Vec<FragmentId> {
        self.memory.ids()
    }
}

pub struct TestMiner {
    pub node: Node,
    pub service: MinerService,
    pub store: Arc<FaultyStore>,
    pub peer: PeerId,
    /// Where its idle space is, if it makes any.
    pub idle: Option<tempfile::TempDir>,
    /// Its journals.
    _journals: tempfile::TempDir,
}

impl TestMiner {
    pub fn account(&self) -> Address {
        self.service.account()
    }

    pub fn set(&self, fault: Fault) {
        *self.store.fault.lock() = fault;
    }
}

/// Miners, a chain and a gateway.
pub struct Cluster {
    pub hub: Arc<MemoryHub>,
    pub chain: Arc<FakeChain>,
    pub miners: Vec<TestMiner>,
    pub node: Node,
    pub data: DataClient,
    pub fetcher: Fetcher,
    pub uploader: Uploader,
    pub directory: MinerDirectory,
    pub owner: Address,
    pool: CpuPool,
}

impl Cluster {
    /// `miners` miners of 1 GiB each.
    pub async fn new(miners: u8) -> Self {
        Self::with_limits(miners, quick_limits()).await
    }

    pub async fn with_limits(miners: u8, limits: UploadLimits) -> Self {
        let (hub, chain, pool) = (MemoryHub::new(1), FakeChain::new(), CpuPool::new("cluster", 2));
        let node = Node::new("gateway", pool.clone());
        let network = hub.join(peer_id_of(&NodeKeys::derive(&[255; 32]).network.public()).unwrap());
        let data = DataClient::new(&node, network);
        let directory = MinerDirectory::new(chain.clone());
        let hedged = FetchLimits { hedge_floor: Duration::from_millis(40), ..FetchLimits::default() };
        let fetcher = Fetcher::new(&node, data.clone(), hedged);
        let parts = UploaderParts {
            chain: chain.clone(),
            directory: directory.clone(),
            data: data.clone(),
            fetcher: fetcher.clone(),
            buffers: BufferPool::new(UPLOAD_BUFFERS),
            journal: UploadJournal::new(Arc::new(MemoryKv::new())),
        };
        let uploader = Uploader::new(&node, parts, limits);
        let owner = Address::repeat_byte(0x77);
        let mut cluster =
            Self { hub, chain, miners: Vec::new(), node, data, fetcher, uploader, directory, owner, pool };
        for seed in 0..miners {
            cluster.add_miner(seed).await;
        }
        cluster
    }

    pub async fn add_miner(&mut self, seed: u8) {
        self.add_miner_with(seed, 0).await;
    }

    /// A miner that makes up to `idle` bytes of idle space.
    pub async fn add_miner_with(&mut self, seed: u8, idle: u64) {
        let dir = (idle > 0).then(|| tempfile::tempdir().unwrap());
        let keys = NodeKeys::derive(&[seed; 32]);
        let record = MinerRecord {
            address: keys.address(),
            operator: keys.address(),
            network_key: keys.network.public().0,
            account_key: keys.account.public().0,
            prefix: 0,
            capacity: CAPACITY,
            used: 0,
            since: self.chain.height(),
            name: format!("miner {seed}"),
            weight: CAPACITY,
            ..MinerRecord::default()
        };
        let peer = peer_of(&record).unwrap();
        self.chain.add_miner(record.clone());
        let memory = MemoryStore::new(Arc::new(MemoryKv::new()), CAPACITY).unwrap();
        let store = Arc::new(FaultyStore { memory, fault: Mutex::new(Fault::None) });
        let node = Node::new(&record.name, self.pool.clone());
        let declaration = Declaration { name: record.name, operator: None, prefix: 0, capacity: CAPACITY };
        let network: Arc<dyn Network> = self.hub.join(peer);
        let idle = dir.as_ref().map(|dir| IdleConfig { dir: dir.path().join("idle"), limit: idle });
        let journals = tempfile::tempdir().unwrap();
        let config = MinerConfig { idle, journals: Some(journals.path().to_owned()), ..MinerConfig::new(declaration) };
        let service =
            MinerService::start(&node, network, self.chain.clone(), &keys, store.clone(), config).await.unwrap();
        self.miners.push(TestMiner { node, service, store, peer, idle: dir, _journals: journals });
    }

    pub fn miner(&self, account: Address) -> &TestMiner {
        self.miners.iter().find(|miner| miner.account() == account).unwrap()
    }

    /// An upload that was not begun.
    pub fn upload_of(&self, size: Option<u64>) -> Upload {
        let mut id = [0; 16];
        self.node.rng.fill(&mut id);
        Upload::new(UploadId(id), self.owner, "test".into(), size, 0)
    }

    /// Stores bytes and makes them a file on the chain.
    pub async fn put(&self, bytes: &[u8]) -> StoreCall {
        let mut upload = self.upload_of(Some(bytes.len() as u64));
        let call = self.try_put(&mut upload, bytes).await.unwrap();
        self.chain.store(&call, self.owner).unwrap();
        call
    }

    pub async fn try_put(
        &self,
        upload: &mut Upload,
        input: impl AsyncRead + Unpin + Send,
    ) -> Result<StoreCall, UploadError> {
        timeout(PATIENCE, self.uploader.upload(upload, input, &|_| {})).await.expect("uploads never hang")
    }

    pub async fn source(&self, call: &StoreCall) -> FileSource {
        FileSource::resolve(&self.directory, Arc::new(call.manifest.clone()), &call.holders).await.unwrap()
    }

    /// Reads a whole file.
    pub async fn get(&self, call: &StoreCall) -> Vec<u8> {
        self.get_range(call, 0..call.manifest.size).await
    }

    pub async fn get_range(&self, call: &StoreCall, range: std::ops::Range<u64>) -> Vec<u8> {
        let stream = self.fetcher.stream(self.source(call).await, range).unwrap();
        let chunks: Vec<Bytes> = timeout(PATIENCE, stream.try_collect()).await.expect("reads never hang").unwrap();
        chunks.concat()
    }

    /// Waits until every miner has followed the chain to its end.
    pub async fn settled(&self) {
        for miner in &self.miners {
            let mut followed = miner.service.followed();
            let target = self.chain.height();
            timeout(PATIENCE, followed.wait_for(|height| *height >= target)).await.expect("miners follow").unwrap();
        }
    }

    /// Bytes all miners keep.
    pub fn stored_bytes(&self) -> ByteCount {
        ByteCount(self.miners.iter().map(|miner| miner.store.index().space().used).sum())
    }
}

/// Limits for tests that provoke failures.
pub fn quick_limits() -> UploadLimits {
    UploadLimits {
        slow_floor: Duration::from_millis(300),
        stuck_floor: Duration::from_millis(1_200),
        patience: Duration::from_secs(1),
        ..UploadLimits::default()
    }
}

/// Bytes that differ from seed to seed.
pub fn sample(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    crate::crypto::hash::stream("cess 2026 cluster test", &seed.to_le_bytes()).fill(&mut bytes);
    bytes
}

/// Distinct holders of a call.
pub fn holders(call: &StoreCall) -> usize {
    let mut holders = call.holders.clone();
    holders.sort_unstable();
    holders.dedup();
    assert_eq!(call.holders.len(), FRAGMENTS);
    holders.len()
}
