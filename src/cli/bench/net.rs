//! A localnet for one bench, in a directory that goes away.
//!
//! Must not know what is measured. Invariants: it takes free ports and a directory of its own, so that it never meets another
//! network of this machine; nothing of it runs on when the bench ends, by a signal too.

use crate::{
    cli::output::Output,
    client::{ChainError, HttpTransport, RpcTransport},
    config::IdleSpace,
    localnet::{self, Localnet, LocalnetOptions, Running},
    runtime::{Signals, telemetry},
    types::{B256, ByteCount, Height, Role},
};
use anyhow::{Context, anyhow};
use clap::builder::RangedU64ValueParser;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc, time::Duration};

/// How long a node may take to answer a plain question; a killed one does not answer at all.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Space of each miner.
const SPACE: ByteCount = ByteCount::mib(512);
/// Idle space each of them makes.
const IDLE: ByteCount = ByteCount::mib(4);

/// Most validators of a bench.
const VALIDATORS_MAX: u64 = 64;

/// A number of validators a bench may start.
pub fn validators_arg() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=VALIDATORS_MAX)
}

/// What the network shall be like.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// Number of validators.
    pub validators: usize,
    /// Number of miners; if there are any, a gateway and a TEE worker are there, too.
    pub miners: usize,
    /// Each its own OS process.
    pub processes: bool,
    /// Shortest time between blocks, if not the profile's.
    pub block_interval_ms: Option<u64>,
    /// Signatures are checked once for all validators of one process.
    pub shared_memo: bool,
}

/// A running network.
pub struct BenchNet {
    running: Running,
    /// Its validators in the order of the plan.
    pub nodes: Vec<BenchNode>,
    /// URL of its gateway, if it has one.
    pub gateway: String,
}

/// One validator.
pub struct BenchNode {
    /// Its name.
    pub name: String,
    /// Its directory.
    pub dir: PathBuf,
    /// Its JSON-RPC.
    pub rpc: Arc<dyn RpcTransport>,
}

/// A decided block as `cess_block` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decided {
    /// Its height.
    pub height: Height,
    /// Digest of its header.
    pub id: B256,
    /// Hash of the executed Ethereum block.
    pub hash: B256,
    /// Root of the state after it.
    pub state_root: B256,
    /// Round it was first proposed in.
    pub round: u32,
    /// Bytes of its transactions.
    pub bytes: u64,
}

impl BenchNode {
    /// A question and its answer.
    pub async fn ask<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, ChainError> {
        let answer = self.rpc.call(method, params).await?;
        serde_json::from_value(answer).map_err(|e| ChainError::Malformed(format!("`{method}`: {e}")))
    }

    /// The block of `height`, if the node has executed it.
    pub async fn block(&self, height: Height) -> Result<Option<Decided>, ChainError> {
        self.ask("cess_block", json!([height])).await
    }
}

impl BenchNet {
    /// The localnet itself, to kill and start nodes of.
    pub fn localnet(&self) -> &Localnet {
        &self.running.localnet
    }

    async fn start(shape: &Shape, dir: PathBuf) -> anyhow::Result<Self> {
        let options = LocalnetOptions {
            dir,
            validators: shape.validators,
            storage: shape.miners,
            tees: shape.miners.min(1),
            gateways: shape.miners.min(1),
            processes: shape.processes,
            fresh: true,
            space: SPACE,
            idle: IdleSpace::UpTo(IDLE),
            era_blocks: None,
            block_interval_ms: shape.block_interval_ms,
            deployments: Vec::new(),
            shared_memo: shape.shared_memo,
            rpc_port: 0,
            gateway_port: 0,
            s3_port: 0,
            s3_key: false,
        };
        let running = localnet::start(&options, None).await?;
        let document = running.document().await;
        let gateway = document.gateway;
        let validators = document.nodes.into_iter().filter(|node| node.role == Role::Consensus);
        let open = |node: localnet::ReadyNode| -> anyhow::Result<BenchNode> {
            let rpc = Arc::new(HttpTransport::with_deadline(&node.url, ANSWER_DEADLINE)?);
            Ok(BenchNode { name: node.name, dir: node.dir, rpc })
        };
        let nodes = validators.map(open).collect::<anyhow::Result<_>>()?;
        Ok(Self { running, nodes, gateway })
    }
}

/// Runs `work` on a fresh network and stops it in order. When the work fails, the directory stays and the error names it.
pub async fn with_net<T>(
    shape: &Shape,
    output: &Output,
    work: impl AsyncFnOnce(&BenchNet) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    telemetry::init(telemetry::Format::Text, telemetry::LOG_MANY_NODES)?;
    let mut signals = Signals::install()?;
    let dir = std::env::temp_dir().join(format!("cess-bench-{}", std::process::id()));
    output.note(&format!("a localnet of {} validators starts in {}", shape.validators, dir.display()));
    let measured = tokio::select! {
        measured = measure(shape, dir.clone(), work) => measured,
        name = signals.next() => Err(anyhow!("{name}: the bench was interrupted")),
    };
    let measured = measured.with_context(|| format!("the nodes' directories are kept in `{}`", dir.display()))?;
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove `{}`", dir.display()))?;
    Ok(measured)
}

async fn measure<T>(
    shape: &Shape,
    dir: PathBuf,
    work: impl AsyncFnOnce(&BenchNet) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let net = BenchNet::start(shape, dir).await?;
    let measured = work(&net).await;
    net.running.stop().await?;
    measured
}
