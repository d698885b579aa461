//! A localnet for one test: in-process nodes, free ports, a directory that goes away.

use bytes::Bytes;
use cess::{
    client::{
        ChainClient, HttpTransport, RemoteChain, RpcTransport, Signer, Wallet, dev_accounts,
        gateway::{FileStat, GatewayClient, GatewayError, StoreCall, StoredFile, UploadRequest, UploadState},
    },
    localnet::{self, Action, LocalnetOptions, Running},
    runtime::NodeRng,
    types::{ByteCount, FileId, Role, U256, params::CHAIN_ID_LOCALNET},
};
use futures::{Stream, TryStreamExt, stream};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long anything in a story may take. Far above what it takes: shared machines are at times several times slower.
pub const PATIENCE: Duration = Duration::from_secs(240);
const POLL: Duration = Duration::from_millis(20);

/// A running localnet.
pub struct Cluster {
    pub running: Running,
    pub chain: Arc<dyn ChainClient>,
    pub gateway: GatewayClient,
    pub options: LocalnetOptions,
    dir: Option<tempfile::TempDir>,
}

/// Describes a localnet before it starts.
pub struct Builder {
    options: LocalnetOptions,
    dir: tempfile::TempDir,
}

impl Cluster {
    /// One validator, twelve miners and a gateway, unless changed.
    pub fn builder() -> Builder {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let options = LocalnetOptions {
            dir: dir.path().to_owned(),
            validators: 1,
            storage: 12,
            tees: 0,
            gateways: 1,
            processes: false,
            fresh: false,
            space: ByteCount::mib(512),
            idle: cess::config::IdleSpace::UpTo(ByteCount::mib(4)),
            era_blocks: None,
            block_interval_ms: None,
            deployments: Vec::new(),
            shared_memo: false,
            rpc_port: 0,
            gateway_port: 0,
            s3_port: 0,
            s3_key: false,
        };
        Builder { options, dir }
    }

    async fn open(options: LocalnetOptions, dir: Option<tempfile::TempDir>) -> Self {
        let running = localnet::start(&options, None).await.expect("the localnet starts");
        let document = running.document().await;
        let chain = chain_at(&document.rpc);
        let gateway = GatewayClient::new(&document.gateway);
        Self { running, chain, gateway, options, dir }
    }

    /// Stops every node in order and starts them again from their directories.
    pub async fn restart(mut self) -> Self {
        let dir = self.dir.take();
        self.running.stop().await.expect("stops in order");
        Self::open(self.options, dir).await
    }

    /// Directory of a node.
    pub fn node_dir(&self, name: &str) -> PathBuf {
        self.options.dir.join(name)
    }

    pub async fn act(&self, action: Action, node: &str) {
        self.running.localnet.act(action, node).await.expect("the node is in the right state");
    }

    /// The chain as one validator sees it.
    pub fn chain_of(&self, validator: usize) -> Arc<dyn ChainClient> {
        let plan = self.running.localnet.plan();
        chain_at(&plan.of(Role::Consensus).nth(validator).expect("such a validator").url())
    }

    /// Names of the background workers of one validator.
    pub async fn workers_of(&self, validator: usize) -> Vec<String> {
        let plan = self.running.localnet.plan();
        let url = plan.of(Role::Consensus).nth(validator).expect("such a validator").url();
        let workers = HttpTransport::new(&url).unwrap().call("cess_workers", serde_json::json!([])).await.unwrap();
        let name = |worker: &serde_json::Value| worker["name"].as_str().unwrap_or_default().to_owned();
        workers.as_array().into_iter().flatten().map(name).collect()
    }

    /// Wallet of a funded account.
    pub fn wallet(&self, index: usize) -> Wallet {
        let key = dev_accounts().swap_remove(index).key;
        Wallet::new(self.chain.clone(), Signer::Ecdsa(key), CHAIN_ID_LOCALNET)
    }

    /// Disperses bytes and returns the call that would make them active.
    pub async fn disperse(&self, bytes: &Bytes) -> Result<StoreCall, GatewayError> {
        let request = UploadRequest { size: bytes.len() as u64, idempotency_key: None };
        let state = self.gateway.begin(&request).await?;
        self.send_rest(&state, bytes).await?;
        self.gateway.prepare(&state.upload).await
    }

    /// Sends what the gateway does not have yet.
    pub async fn send_rest(&self, state: &UploadState, bytes: &Bytes) -> Result<UploadState, GatewayError> {
        let rest = bytes.slice(usize::try_from(state.offset).expect("fits")..);
        let pieces: Vec<Result<Bytes, std::io::Error>> =
            (0..rest.len()).step_by(1 << 20).map(|at| Ok(rest.slice(at..rest.len().min(at + (1 << 20))))).collect();
        self.gateway.send(&state.upload, state.offset, stream::iter(pieces)).await
    }

    /// Stores bytes for funded account 0.
    pub async fn put(&self, bytes: &Bytes) -> StoredFile {
        let call = self.disperse(bytes).await.expect("dispersed");
        let wallet = self.wallet(0);
        let outcome = wallet.send_and_wait(call.to, U256::ZERO, call.data.clone(), PATIENCE).await.expect("active");
        StoredFile {
            id: call.id,
            size: bytes.len() as u64,
            segments: call.segments,
            tx: outcome.tx,
            block: outcome.height,
        }
    }

    /// Fetches a whole file.
    pub async fn get(&self, id: FileId) -> Result<Vec<u8>, GatewayError> {
        self.get_range(id, None).await
    }

    pub async fn get_range(&self, id: FileId, range: Option<std::ops::Range<u64>>) -> Result<Vec<u8>, GatewayError> {
        collect(self.gateway.get(id, range).await?).await
    }

    /// A file as its miners have it, whatever the gateway keeps.
    pub async fn get_past_cache(&self, id: FileId) -> Result<Vec<u8>, GatewayError> {
        collect(self.gateway.clone().past_cache(true).get(id, None).await?).await
    }

    /// Names of the nodes that hold fragment 0..12 of the first segment.
    pub async fn holders(&self, id: FileId) -> (FileStat, Vec<String>) {
        let stat = self.gateway.stat(id).await.expect("stat");
        let names = stat.segments[0].fragments.iter().map(|f| f.node.clone()).collect();
        (stat, names)
    }

    pub async fn stop(self) {
        self.running.stop().await.expect("stops in order");
    }
}

async fn collect(stream: impl Stream<Item = Result<Bytes, GatewayError>>) -> Result<Vec<u8>, GatewayError> {
    let chunks: Vec<Bytes> = stream.try_collect().await?;
    Ok(chunks.concat())
}

impl Builder {
    pub fn validators(mut self, n: usize) -> Self {
        self.options.validators = n;
        self
    }

    pub fn storage(mut self, n: usize) -> Self {
        self.options.storage = n;
        self
    }

    pub fn tees(mut self, n: usize) -> Self {
        self.options.tees = n;
        self
    }

    pub fn gateways(mut self, n: usize) -> Self {
        self.options.gateways = n;
        self
    }

    /// With an access key of the first account for S3.
    pub fn s3_key(mut self) -> Self {
        self.options.s3_key = true;
        self
    }

    pub fn era_blocks(mut self, blocks: u64) -> Self {
        self.options.era_blocks = Some(blocks);
        self
    }

    pub fn space(mut self, space: ByteCount) -> Self {
        self.options.space = space;
        self
    }

    pub fn idle(mut self, space: ByteCount) -> Self {
        self.options.idle = cess::config::IdleSpace::UpTo(space);
        self
    }

    pub async fn start(self) -> Cluster {
        Cluster::open(self.options, Some(self.dir)).await
    }
}

/// JSON-RPC of a node as a chain.
pub fn chain_at(url: &str) -> Arc<dyn ChainClient> {
    Arc::new(RemoteChain::new(Arc::new(HttpTransport::new(url).expect("a URL of this test"))))
}

/// `len` bytes that do not repeat, the same for the same seed.
pub fn noise(len: usize, seed: u64) -> Bytes {
    let mut out = vec![0u8; len];
    NodeRng::from_seed(seed).fill(&mut out);
    Bytes::from(out)
}

/// Waits until `condition` gives a value, and fails with `what` at the deadline.
pub async fn wait_for<T, F>(what: &str, mut condition: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(started.elapsed() < PATIENCE, "waited {} s for {what}", PATIENCE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}

/// Every file below `dir` with its length.
pub fn files_below(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut out = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return out };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            out.extend(files_below(&path));
        } else if let Ok(meta) = entry.metadata() {
            out.push((path, meta.len()));
        }
    }
    out
}
