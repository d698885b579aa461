//! `localnet` and its subcommands.

use super::{
    home_dir,
    output::{Output, table},
};
use crate::{
    config::IdleSpace,
    localnet::{self, Action, GATEWAY_PORT, IDLE_SPACE, LocalnetOptions, RPC_PORT, ReadyDocument, S3_PORT},
    runtime::{EXIT_FORCED, Signals, telemetry},
    types::{Amount, ByteCount, format_tokens},
};
use alloy_primitives::Bytes;
use anyhow::Context;
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Arguments of `cess localnet`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LocalnetArgs {
    #[command(subcommand)]
    command: Option<LocalnetCommand>,
    #[command(flatten)]
    start: StartArgs,
}

#[derive(Debug, Args)]
struct StartArgs {
    /// Directory of the localnet [default: ~/.cess/localnet]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Number of validators
    #[arg(long, default_value_t = 4, value_name = "N")]
    validators: usize,
    /// Number of storage miners
    #[arg(long, default_value_t = 12, value_name = "N")]
    storage: usize,
    /// Number of TEE workers
    #[arg(long, default_value_t = 1, value_name = "N")]
    tee: usize,
    /// Number of gateways
    #[arg(long, default_value_t = 1, value_name = "N")]
    gateway: usize,
    /// Run each node as its own OS process
    #[arg(long)]
    processes: bool,
    /// Write a JSON document here when everything is up
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Remove the localnet that is in the directory first
    #[arg(long)]
    fresh: bool,
    /// Space each miner lends
    #[arg(long, default_value = "16GiB", value_name = "SIZE")]
    space: ByteCount,
    /// Idle space each miner makes: a size, or auto for all it lends
    #[arg(long, default_value = IDLE_SPACE, value_name = "SIZE")]
    idle: IdleSpace,
    /// Blocks of an era [default: the dev profile's 60]
    #[arg(long, value_name = "N")]
    era_blocks: Option<u64>,
    /// Shortest time between blocks [default: the dev profile's 250]
    #[arg(long, value_name = "MILLIS")]
    block_interval: Option<u64>,
    /// Check each signature once for all nodes of this process, which nodes of their own cannot do
    #[arg(long, conflicts_with = "processes")]
    shared_memo: bool,
    /// Contract to deploy in the genesis: a file with its salt and init code in hexadecimal. May be given again
    #[arg(long, value_name = "FILE")]
    deploy: Vec<PathBuf>,
    /// Port of the first validator's JSON-RPC; 0 takes a free one
    #[arg(long, default_value_t = RPC_PORT, value_name = "PORT")]
    rpc_port: u16,
    /// Port of the first gateway; 0 takes a free one
    #[arg(long, default_value_t = GATEWAY_PORT, value_name = "PORT")]
    gateway_port: u16,
    /// Port of the first gateway's S3 endpoint; 0 takes a free one
    #[arg(long, default_value_t = S3_PORT, value_name = "PORT")]
    s3_port: u16,
}

#[derive(Debug, Subcommand)]
enum LocalnetCommand {
    /// Show the nodes of the running localnet
    Status(Where),
    /// End nodes abruptly, as kill -9 would
    Kill(Nodes),
    /// Start nodes again
    Start(Nodes),
    /// Freeze nodes
    Pause(Nodes),
    /// Let frozen nodes go on
    Resume(Nodes),
    /// Stop the localnet in order
    Stop(Where),
}

#[derive(Debug, Args)]
struct Where {
    /// Directory of the localnet [default: ~/.cess/localnet]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Nodes {
    /// Names such as storage-3
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    #[command(flatten)]
    at: Where,
}

impl Where {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(default_dir)
    }
}

fn default_dir() -> PathBuf {
    home_dir().join("localnet")
}

/// Runs a localnet until it is told to stop, or acts on a running one.
pub fn run(args: LocalnetArgs, output: &Output) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let result = match args.command {
        None => runtime.block_on(start(args.start, output)),
        Some(LocalnetCommand::Status(at)) => {
            runtime.block_on(async { show(output, &localnet::status(&at.dir()).await?) })
        }
        Some(LocalnetCommand::Stop(at)) => runtime.block_on(async {
            localnet::stop(&at.dir()).await?;
            output.document(&serde_json::json!({ "stopped": true }), |_| "stopped".to_owned())
        }),
        Some(LocalnetCommand::Kill(nodes)) => runtime.block_on(act(Action::Kill, nodes, output)),
        Some(LocalnetCommand::Start(nodes)) => runtime.block_on(act(Action::Start, nodes, output)),
        Some(LocalnetCommand::Pause(nodes)) => runtime.block_on(act(Action::Pause, nodes, output)),
        Some(LocalnetCommand::Resume(nodes)) => runtime.block_on(act(Action::Resume, nodes, output)),
    };
    runtime.shutdown_background();
    result
}

async fn act(action: Action, nodes: Nodes, output: &Output) -> anyhow::Result<()> {
    let document = localnet::act(&nodes.at.dir(), action, &nodes.nodes).await?;
    show(output, &document)
}

fn show(output: &Output, document: &ReadyDocument) -> anyhow::Result<()> {
    output.document(document, |document| {
        let row = |n: &localnet::ReadyNode| {
            let state = format!("{:?}", n.state).to_lowercase();
            vec![n.name.clone(), n.role.to_string(), state, n.pid.to_string(), n.url.clone(), n.listen.clone()]
        };
        let rows: Vec<_> = document.nodes.iter().map(row).collect();
        table(&["node", "role", "state", "pid", "url", "listens on"], &rows)
    })
}

async fn start(args: StartArgs, output: &Output) -> anyhow::Result<()> {
    telemetry::init(telemetry::Format::Text, telemetry::LOG_MANY_NODES)?;
    let mut signals = Signals::install()?;
    let options = LocalnetOptions {
        dir: args.dir.unwrap_or_else(default_dir),
        validators: args.validators,
        storage: args.storage,
        tees: args.tee,
        gateways: args.gateway,
        processes: args.processes,
        fresh: args.fresh,
        space: args.space,
        idle: args.idle,
        era_blocks: args.era_blocks,
        block_interval_ms: args.block_interval,
        deployments: args.deploy.iter().map(|path| deployment(path)).collect::<anyhow::Result<_>>()?,
        shared_memo: args.shared_memo,
        rpc_port: args.rpc_port,
        gateway_port: args.gateway_port,
        s3_port: args.s3_port,
        s3_key: true,
    };
    let starting = localnet::start(&options, args.ready_file.as_deref());
    let running = tokio::select! {
        started = starting => started?,
        name = signals.next() => {
            output.note(&format!("{name}: stopped before it was ready"));
            std::process::exit(EXIT_FORCED);
        }
    };
    let document = running.document().await;
    output.document(&document, describe)?;
    tokio::select! {
        name = signals.next() => output.note(&format!("{name}: stopping (again to force)")),
        () = running.stop_requested() => output.note("stopping, as asked through the control port"),
    }
    signals.unless_forced(running.stop()).await?;
    Ok(())
}

/// Reads a salt and init code, the call data of the CREATE2 deployer.
pub(super) fn deployment(path: &Path) -> anyhow::Result<Bytes> {
    let text = std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    let text = text.trim();
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text));
    let named =
        bytes.with_context(|| format!("`{}` does not hold a salt and init code in hexadecimal", path.display()));
    named.map(Bytes::from)
}

fn describe(document: &ReadyDocument) -> String {
    let mut out = format!(
        "localnet ready in {:.1} s: {} nodes in {}\n\nJSON-RPC  {}\ngateway   {}\nchain id  {}\n\naccounts ({} CESS each)\n",
        document.ready_millis as f64 / 1_000.0,
        document.nodes.len(),
        document.dir.display(),
        document.rpc,
        document.gateway,
        crate::types::params::CHAIN_ID_LOCALNET,
        format_tokens(Amount::tokens(localnet::DEV_BALANCE_TOKENS).0),
    );
    for account in document.accounts.iter().take(3) {
        out.push_str(&format!("  {}  {}\n", account.address, account.key));
    }
    out.push_str(&format!("  … {} more: cess accounts\n", document.accounts.len().saturating_sub(3)));
    if let Some(s3) = &document.s3 {
        out.push_str(&format!(
            "\nS3, for the first account\n  endpoint    {}\n  access key  {}\n  secret key  {}\n",
            s3.endpoint, s3.access_key, s3.secret_key
        ));
    }
    let join = document.nodes.first().map(|n| n.listen.as_str()).unwrap_or_default();
    out.push_str(&format!(
        "\nnext steps, in another terminal\n  cess put FILE\n  cess bucket create films && cess put FILE cess://films/\n  cess status\n  cess localnet kill storage-0 && cess localnet status\n  cess run \
         --role storage --space 50GiB --join {join}\n\nCtrl-C stops it; what it acknowledged is kept in its directory."
    ));
    out
}
