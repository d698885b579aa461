//! Bringing a localnet up and taking it down.

use super::{
    Localnet, LocalnetError, LocalnetOptions, NodePlan, Plan, ReadyDocument, control, host::HostKind,
    materialise::materialise, ready::READY_FILE,
};
use crate::{
    client::{
        ChainClient, EpochState, HttpTransport, RemoteChain, Signer, Wallet, dev_accounts,
        gateway::{GatewayClient, GatewayError},
        key_epochs,
        s3::{Payload, REGION, S3Client, is_active, register_key},
        tee_workers,
    },
    roles::SignatureMemo,
    rpc::{Server, ServerHandle},
    runtime::{Clock, CpuPool, Node, SystemClock},
    types::Role,
};
use std::{
    fs::{File, TryLockError},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the whole network may take until a file can be stored.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Pause between looks at a starting network.
const READY_POLL: Duration = Duration::from_millis(20);
/// How long a localnet may take to stop in order.
const STOP_DEADLINE: Duration = Duration::from_secs(90);
/// Pause between looks at a stopping network.
const STOP_POLL: Duration = Duration::from_millis(20);
/// Held while a localnet runs in a directory.
pub(super) const LOCK_FILE: &str = "lock";

/// A localnet that is up. Dropping it kills its nodes.
pub struct Running {
    /// Its nodes.
    pub localnet: Arc<Localnet>,
    control: ServerHandle,
    control_node: Node,
    _lock: File,
    _ports: Option<TcpListener>,
}

/// Starts every node and returns when a file can be stored.
pub async fn start(options: &LocalnetOptions, ready_file: Option<&Path>) -> Result<Running, LocalnetError> {
    let began = Instant::now();
    std::fs::create_dir_all(&options.dir).map_err(|e| LocalnetError::file(&options.dir, &e))?;
    let dir = options.dir.canonicalize().map_err(|e| LocalnetError::file(&options.dir, &e))?;
    let lock = lock(&dir)?;
    let options = LocalnetOptions { dir: dir.clone(), ..options.clone() };

    let pool = CpuPool::new("cpu", std::thread::available_parallelism().map_or(2, std::num::NonZero::get));
    let control_node = Node::new("localnet", pool.clone());
    let plan = Plan::load_or_create(&options, SystemClock.unix_ms(), &control_node.rng)?;
    let ports = plan.hold_ports();
    materialise(&plan, &dir)?;
    let kind = if options.processes {
        let executable = std::env::current_exe().map_err(|e| LocalnetError::file(&dir, &e))?;
        HostKind::Processes(executable)
    } else {
        let memo = options.shared_memo.then(|| Arc::new(SignatureMemo::of_chain(plan.chain_id)));
        HostKind::InProcess(pool, memo)
    };
    let localnet = Arc::new(Localnet::new(dir.clone(), plan, kind));

    let mut token = [0u8; 16];
    control_node.rng.fill(&mut token);
    let token = hex::encode(token);
    let module = control::module(localnet.clone(), token.clone())?;
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let control = Server::start(any, module, control_node.metrics.clone(), &control_node)
        .map_err(|e| LocalnetError::Control { url: any.to_string(), reason: e.to_string() })?;
    let url = format!("http://{}", control.local_addr);

    let mut is_up = bring_up(&localnet).await;
    if is_up.is_ok() && options.s3_key {
        is_up = register_s3_key(&localnet).await;
    }
    if let Err(error) = is_up {
        localnet.stop_all().await;
        return Err(error);
    }
    localnet.set_endpoint(url, token, began.elapsed());
    let document = localnet.document().await;
    document.write(&dir.join(READY_FILE))?;
    if let Some(path) = ready_file {
        document.write(path)?;
    }
    Ok(Running { localnet, control, control_node, _lock: lock, _ports: ports })
}

async fn bring_up(localnet: &Localnet) -> Result<(), LocalnetError> {
    localnet.start_role(Role::Consensus).await?;
    let others = [Role::Storage, Role::Tee, Role::Gateway].map(|role| localnet.start_role(role));
    futures::future::try_join_all(others).await?;
    let began = Instant::now();
    loop {
        match readiness(localnet).await {
            Ok(()) => return Ok(()),
            Err(reason) if began.elapsed() > READY_DEADLINE => {
                return Err(LocalnetError::NotReady { millis: READY_DEADLINE.as_millis() as u64, reason });
            }
            Err(_) => tokio::time::sleep(READY_POLL).await,
        }
    }
}

/// `Ok` when blocks are final, every miner and TEE worker is registered, what is stored can be tagged, and every gateway answers; else what is
/// missing.
async fn readiness(localnet: &Localnet) -> Result<(), String> {
    let validator = localnet.plan().of(Role::Consensus).next().ok_or("there is no validator")?;
    let transport = HttpTransport::new(&validator.url()).map_err(|e| e.to_string())?;
    let chain = RemoteChain::new(Arc::new(transport));
    if chain.status().await.map_err(|e| e.to_string())?.height == 0 {
        return Err("no block is decided yet".into());
    }
    let miners = chain.miners().await.map_err(|e| e.to_string())?;
    for plan in localnet.plan().of(Role::Storage) {
        let account = plan.keys().address();
        if !miners.iter().any(|m| m.address == account) {
            return Err(format!("{} is not registered on chain yet", plan.name));
        }
    }
    for plan in localnet.plan().of(Role::Gateway) {
        GatewayClient::new(&plan.url()).status().await.map_err(|e| e.to_string())?;
    }
    let workers: Vec<&NodePlan> = localnet.plan().of(Role::Tee).collect();
    tagging_ready(&chain, &workers).await
}

/// Whether all workers are registered and a key epoch is open. The first of them opens it while miners and gateways start, so that hardly
/// anything is left to wait for.
async fn tagging_ready(chain: &dyn ChainClient, plans: &[&NodePlan]) -> Result<(), String> {
    if plans.is_empty() {
        return Ok(());
    }
    let workers = tee_workers(chain).await.map_err(|e| e.to_string())?;
    for plan in plans {
        let account = plan.keys().address();
        if !workers.iter().any(|worker| worker.account == account) {
            return Err(format!("{} is not registered on chain yet", plan.name));
        }
    }
    match key_epochs(chain, 1).await.map_err(|e| e.to_string())?.first().map(|epoch| epoch.state) {
        Some(EpochState::Open) => Ok(()),
        _ => Err("no TEE worker has opened a key epoch yet".to_owned()),
    }
}

/// Makes the access key of the plan work, if it does not yet. A gateway without a group has no S3 endpoint.
async fn register_s3_key(localnet: &Localnet) -> Result<(), LocalnetError> {
    let plan = localnet.plan();
    let (validator, gateway) = (plan.of(Role::Consensus).next(), plan.of(Role::Gateway).next());
    let (Some(key), Some(validator), Some(gateway)) = (&plan.s3_key, validator, gateway) else { return Ok(()) };
    let (Some(endpoint), Some(account)) = (gateway.s3_url(), dev_accounts().into_iter().next()) else { return Ok(()) };
    let failed = |reason: &dyn std::fmt::Display| LocalnetError::S3Key(reason.to_string());
    let group = match GatewayClient::new(&gateway.url()).group().await {
        Err(GatewayError::Refused { status: 404, .. }) => return Ok(()),
        other => other.map_err(|e| failed(&e))?,
    };
    let transport = HttpTransport::new(&validator.url()).map_err(|e| failed(&e))?;
    let chain: Arc<dyn ChainClient> = Arc::new(RemoteChain::new(Arc::new(transport)));
    if !is_active(chain.as_ref(), account.address, &key.id).await.map_err(|e| failed(&e))? {
        let wallet = Wallet::new(chain, Signer::Ecdsa(account.key), plan.chain_id);
        register_key(&wallet, plan.chain_id, &group, &key.access_key()).await.map_err(|e| failed(&e))?;
    }
    let client = S3Client::new(&endpoint, key.access_key(), REGION, Payload::Signed).map_err(|e| failed(&e))?;
    client.until_known(READY_DEADLINE).await.map_err(|e| failed(&e))?;
    localnet.set_s3(endpoint, key);
    Ok(())
}

impl Running {
    /// Resolves when a command asked the localnet to stop.
    pub async fn stop_requested(&self) {
        self.localnet.stop_requested().await;
    }

    /// The document other commands find it by.
    pub async fn document(&self) -> ReadyDocument {
        self.localnet.document().await
    }

    /// Stops every node in order.
    pub async fn stop(self) -> Result<(), LocalnetError> {
        let dir = self.localnet.document().await.dir;
        let ready = dir.join(READY_FILE);
        std::fs::remove_file(&ready).map_err(|e| LocalnetError::file(&ready, &e))?;
        self.localnet.stop_all().await;
        self.control.stop();
        self.control_node.tasks.shutdown().await;
        Ok(())
    }
}

/// Waits until the localnet in `dir` has let go of its directory.
pub(super) async fn until_stopped(dir: &Path) -> Result<(), LocalnetError> {
    let began = Instant::now();
    loop {
        match lock(dir) {
            Err(LocalnetError::Running { .. }) if began.elapsed() < STOP_DEADLINE => {
                tokio::time::sleep(STOP_POLL).await
            }
            Err(LocalnetError::Running { dir, pid }) => {
                return Err(LocalnetError::NotStopped { dir, pid, millis: STOP_DEADLINE.as_millis() });
            }
            other => return other.map(drop),
        }
    }
}

fn lock(dir: &Path) -> Result<File, LocalnetError> {
    let path = dir.join(LOCK_FILE);
    let mut options = File::options();
    let file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|e| LocalnetError::file(&path, &e))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).map_err(|e| LocalnetError::file(&path, &e))?;
            std::io::Write::write_all(&mut &file, std::process::id().to_string().as_bytes())
                .map_err(|e| LocalnetError::file(&path, &e))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            Err(LocalnetError::Running { dir: dir.to_owned(), pid })
        }
        Err(TryLockError::Error(e)) => Err(LocalnetError::file(&path, &e)),
    }
}
