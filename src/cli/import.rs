//! `import-chain`: a published Ethereum chain, checked block by block and served.

use super::{home_dir, output::Output};
use crate::{
    roles::{ImportRequest, import_chain},
    runtime::{CpuPool, Node, Signals, telemetry},
    types::{B256, Height},
};
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use std::{net::SocketAddr, path::PathBuf, time::Instant};

/// Arguments of `cess import-chain`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Genesis document as geth reads it
    genesis: PathBuf,
    /// Blocks as geth exports them: RLP, one after the other
    blocks: PathBuf,
    /// Directory of the database [default: ~/.cess/import]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address the JSON-RPC server listens on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8545")]
    rpc: SocketAddr,
    /// Import and end
    #[arg(long)]
    no_serve: bool,
}

#[derive(Serialize)]
struct ImportDocument {
    chain_id: u64,
    height: Height,
    hash: B256,
    blocks_imported: Height,
    blocks_known: Height,
    seconds: f64,
    rpc: Option<String>,
}

/// Imports a chain and serves it until it is told to stop.
pub fn import(args: ImportArgs, output: &Output) -> anyhow::Result<()> {
    telemetry::init(telemetry::Format::Text, telemetry::LOG_DEFAULT)?;
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(serve(args, output, CpuPool::new("cpu", threads)));
    runtime.shutdown_background();
    result
}

async fn serve(args: ImportArgs, output: &Output, pool: CpuPool) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let node = Node::new("import", pool);
    let dir = args.dir.unwrap_or_else(|| home_dir().join("import"));
    let since = Instant::now();
    let request = ImportRequest { genesis: args.genesis, blocks: args.blocks, dir };
    let imported = import_chain(&node, request).await?;
    let seconds = since.elapsed().as_secs_f64();
    let rpc = if args.no_serve { None } else { Some(imported.serve(args.rpc)?) };
    let document = ImportDocument {
        chain_id: imported.chain_id,
        height: imported.height,
        hash: imported.hash,
        blocks_imported: imported.height - imported.known,
        blocks_known: imported.known,
        seconds,
        rpc: rpc.map(|addr| format!("http://{addr}")),
    };
    output.document(&document, describe)?;
    if rpc.is_none() {
        node.tasks.shutdown().await;
        return Ok(());
    }
    let failure = tokio::select! {
        name = signals.next() => {
            output.note(&format!("{name}: stopping (again to force)"));
            None
        }
        why = node.tasks.failure() => Some(why),
    };
    signals.unless_forced(node.tasks.shutdown()).await;
    failure.map_or(Ok(()), |why| Err(anyhow!("the server went down: {why}")))
}

fn describe(d: &ImportDocument) -> String {
    let mut text = format!(
        "chain {} at block {} ({})\n{} blocks imported in {:.1} s, {} were here already\n",
        d.chain_id, d.height, d.hash, d.blocks_imported, d.seconds, d.blocks_known
    );
    if let Some(rpc) = &d.rpc {
        text.push_str(&format!("JSON-RPC at {rpc}, Ctrl-C ends it\n"));
    }
    text
}
