//! `status` and `worker`.

use super::{
    Global,
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::{ChainStatus, MinerRecord, gateway::GatewayStatus},
    runtime::WorkerStatus,
    types::ByteCount,
};
use anyhow::Context;
use clap::Subcommand;
use serde::Serialize;
use serde_json::json;

/// Subcommands of `cess worker`.
#[derive(Debug, Subcommand)]
pub enum WorkerCommand {
    /// List background workers of the node
    List,
}

#[derive(Serialize)]
struct StatusDocument {
    chain: ChainStatus,
    miners: Vec<MinerRecord>,
    gateway: Option<GatewayStatus>,
}

/// Shows chain, miners and gateway.
pub async fn status(global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let chain = target.chain.status().await?;
    let miners = target.chain.miners().await?;
    let gateway = match target.gateway().await {
        Ok(gateway) => gateway.status().await.ok(),
        Err(_) => None,
    };
    output.document(&StatusDocument { chain, miners, gateway }, describe)
}

fn describe(document: &StatusDocument) -> String {
    let chain = &document.chain;
    let mut out = format!(
        "chain    {} ({:?} profile)\nheight   {}{}\nhash     {}\nbeacon   {}\npeers    {}\n",
        chain.chain_id,
        chain.profile,
        chain.height,
        if chain.syncing { ", catching up" } else { "" },
        chain.hash,
        chain.beacon,
        chain.peers
    );
    match &document.gateway {
        Some(gateway) => out.push_str(&format!("gateway  {}, {} uploads kept\n", gateway.node, gateway.uploads)),
        None => out.push_str("gateway  not reached\n"),
    }
    let rows: Vec<Vec<String>> = document
        .miners
        .iter()
        .map(|m| {
            vec![
                m.name.clone(),
                short(&m.address.to_string()),
                ByteCount(m.used).to_string(),
                ByteCount(m.capacity).to_string(),
                m.since.to_string(),
            ]
        })
        .collect();
    out.push('\n');
    out.push_str(&table(&["miner", "account", "used", "lends", "since"], &rows));
    out
}

#[derive(Serialize)]
struct WorkerRow {
    node: String,
    #[serde(flatten)]
    worker: WorkerStatus,
}

/// Lists workers: of every node of the default localnet, or of the one node behind the URL.
pub async fn worker(command: WorkerCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    let WorkerCommand::List = command;
    let target = Target::find(global)?;
    let mut rows: Vec<WorkerRow> = Vec::new();
    for (node, rpc) in target.nodes()? {
        // A node that is down has no workers to show.
        let Ok(value) = rpc.call("cess_workers", json!([])).await else { continue };
        let workers: Vec<WorkerStatus> = serde_json::from_value(value).context("cess_workers answered nonsense")?;
        rows.extend(workers.into_iter().map(|worker| WorkerRow { node: node.clone(), worker }));
    }
    output.document(&rows, |rows| {
        let row = |r: &WorkerRow| {
            let w = &r.worker;
            let progress = if w.total > 0 { format!("{}/{}", w.done, w.total) } else { String::new() };
            vec![
                r.node.clone(),
                w.name.clone(),
                format!("{:?}", w.state).to_lowercase(),
                w.detail.clone(),
                progress,
                w.errors.to_string(),
                w.last_error.clone().unwrap_or_default(),
            ]
        };
        table(
            &["node", "worker", "state", "doing", "progress", "errors", "last error"],
            &rows.iter().map(row).collect::<Vec<_>>(),
        )
    })
}
