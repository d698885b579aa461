//! `run`: one node in this process.

use super::{Usage, guide::Guide, home_dir, output::Output};
use crate::{
    roles::{self, Setup, SetupRequest, Watcher},
    runtime::{CpuPool, Node, Signals, telemetry},
    types::{ByteCount, Role},
};
use anyhow::anyhow;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `cess run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// What the node does; needed the first time
    #[arg(long)]
    role: Option<Role>,
    /// Directory of the node [default: ~/.cess/<role>]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Name shown to others [default: the role and the start of the account]
    #[arg(long)]
    name: Option<String>,
    /// Address of a node of the network, ending in /p2p/<peer id>; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    join: Vec<String>,
    /// Space a storage node lends, such as 50GiB
    #[arg(long, value_name = "SIZE")]
    space: Option<ByteCount>,
    /// Address the node's network host listens on, such as /ip4/0.0.0.0/tcp/4001; may be repeated
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<String>,
    /// Verify the chain by certificates and proofs instead of believing the nodes joined through; needs the genesis file
    #[arg(long)]
    light: bool,
    /// Genesis file of the chain [default: genesis.json in the node's directory]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
    /// Log as JSON lines
    #[arg(long)]
    log_json: bool,
}

/// Runs a node until it is told to stop or a critical part of it fails.
pub fn run(args: RunArgs, output: &Output) -> anyhow::Result<()> {
    let format = if args.log_json { telemetry::Format::Json } else { telemetry::Format::Text };
    telemetry::init(format, telemetry::LOG_DEFAULT)?;
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(args, output, CpuPool::new("cpu", threads)));
    runtime.shutdown_background();
    result
}

async fn serve(args: RunArgs, output: &Output, pool: CpuPool) -> anyhow::Result<()> {
    let dir = match (&args.dir, args.role) {
        (Some(dir), _) => dir.clone(),
        (None, Some(role)) => home_dir().join(role.name()),
        (None, None) => return Err(Usage("--role or --dir is needed".into()).into()),
    };
    let mut signals = Signals::install()?;
    let request = SetupRequest {
        role: args.role,
        name: args.name,
        join: args.join,
        space: args.space,
        listen: args.listen,
        light: args.light,
        genesis: args.genesis,
    };
    let setup = Setup::load_or_create(&dir, request)?;
    let node = Node::new(&setup.config.node.name, pool);
    let roles: Vec<&str> = setup.config.node.roles.iter().map(|role| role.name()).collect();
    output.note(&format!("{} ({}) in {}", node.name, roles.join(", "), dir.display()));
    let guided = output.is_interactive() && setup.config.node.roles.contains(&Role::Storage);
    let guide = guided.then(|| Guide::new(&node, &setup, output));
    let watcher = guide.as_ref().map(|guide| guide as &dyn Watcher);
    tokio::select! {
        name = signals.next() => {
            output.note(&format!("{name}: stopping (again to force)"));
            signals.unless_forced(node.tasks.shutdown()).await;
            return Ok(());
        }
        started = roles::start_watched(&node, setup, watcher) => started?,
    }
    let failure = tokio::select! {
        name = signals.next() => {
            output.note(&format!("{name}: stopping (again to force)"));
            None
        }
        why = node.tasks.failure() => Some(why),
    };
    let aborted = signals.unless_forced(node.tasks.shutdown()).await;
    if !aborted.is_empty() {
        tracing::warn!(?aborted, "tasks had to be aborted");
    }
    match failure {
        Some(why) => Err(anyhow!("node {} went down: {why}", node.name)),
        None => Ok(()),
    }
}
