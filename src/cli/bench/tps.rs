//! `bench tps`: how many transactions a second a network of validators commits when more wait than it can take.
//!
//! Everything is signed beforehand. The count runs from the first block that holds some to the last, without those of the first.
//! What hands them in runs on the same machine, and its work is in the figure.

use super::{
    idle::Spent,
    net::{BenchNet, Shape, validators_arg, with_net},
    sample::{Spread, secs_arg},
    tps_feed::{Door, Feed, Seen, fund},
    workload::{Kind, Workload},
};
use crate::{
    cli::output::{Output, table},
    client::HttpTransport,
    types::params::CHAIN_ID_LOCALNET,
};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, time::Duration};

/// Parts of the senders that are handed in side by side.
const PARTS: usize = 4;
/// Threads named in the figures.
const THREADS_SHOWN: usize = 8;
/// How long a node may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Timers of a node whose sums tell where time went.
const TIMERS: [(&str, &str); 4] = [
    ("signatures", "cess_signatures_seconds_sum"),
    ("execution", "cess_block_execute_seconds_sum"),
    ("root", "cess_state_root_seconds_sum"),
    ("root and database", "cess_block_commit_seconds_sum"),
];

/// Arguments of `cess bench tps`.
#[derive(Debug, Args)]
pub struct TpsArgs {
    /// Number of validators
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = validators_arg())]
    validators: usize,
    /// Each validator its own OS process
    #[arg(long)]
    processes: bool,
    /// What the transactions do
    #[arg(long, value_enum, default_value = "native")]
    tx: Kind,
    /// Number of senders
    #[arg(long, default_value_t = 500, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    accounts: u32,
    /// Number of transactions
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    txs: u32,
    /// Stop after so long, whatever is left
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = secs_arg())]
    seconds: u32,
    /// Transactions that wait at a time
    #[arg(long, default_value_t = 24_000, value_name = "N", value_parser = clap::value_parser!(u32).range(100..=60_000))]
    window: u32,
    /// Shortest time between blocks; the localnet's own is 250
    #[arg(long, default_value_t = 100, value_name = "MILLIS")]
    interval: u64,
    /// Validators of one process each check every signature, as they would on machines of their own
    #[arg(long)]
    no_shared_memo: bool,
    /// Hand in by batches of eth_sendRawTransaction, as any Ethereum node takes them
    #[arg(long)]
    eth: bool,
    /// Measure this fresh development node (chain id 11332, well-known accounts) instead of a localnet; implies --eth
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Processor time of the process by thread name, and the nodes' timers.
#[derive(Serialize)]
struct Costs {
    /// Threads' worth of processor time.
    cores: f64,
    /// Processor time a transaction.
    cpu_us_per_tx: f64,
    /// The same by thread, the busiest first.
    threads_us_per_tx: Vec<(String, f64)>,
}

#[derive(Serialize)]
struct TpsFigures {
    tx: Kind,
    validators: usize,
    processes: bool,
    shared_memo: bool,
    block_interval_ms: u64,
    txs: usize,
    seconds: f64,
    tps: f64,
    blocks: usize,
    txs_per_block: f64,
    /// Hand-in to the block that holds it.
    latency: Spread,
    /// Of everything in this process, what hands in included; absent when the nodes are processes of their own.
    cpu: Option<Costs>,
    /// Wall time a transaction in parts of the work, over all nodes.
    parts_us_per_tx: BTreeMap<&'static str, f64>,
}

/// Measures and prints.
pub async fn run(args: TpsArgs, output: &Output) -> anyhow::Result<()> {
    let (accounts, count) = (usize::try_from(args.accounts)?, usize::try_from(args.txs)?);
    let kind = args.tx;
    ensure!(args.url.is_none() || kind != Kind::Native, "native transactions exist on a cess chain only");
    output.note(&format!("{count} transactions of {accounts} senders are signed"));
    let workload =
        tokio::task::spawn_blocking(move || Workload::sign(kind, CHAIN_ID_LOCALNET, accounts, count, PARTS)).await?;
    let figures = if let Some(url) = &args.url {
        let door = Door::ethereum(HttpTransport::with_deadline(url, ANSWER_DEADLINE)?);
        measure(&[door], workload, &args).await?
    } else {
        let shape = Shape {
            validators: args.validators,
            processes: args.processes,
            block_interval_ms: Some(args.interval),
            shared_memo: !args.no_shared_memo,
        };
        with_net(&shape, output, async |net| {
            let doors = doors(net, args.eth).await?;
            measure(&doors, workload, &args).await
        })
        .await?
    };
    output.document(&figures, human)
}

async fn doors(net: &BenchNet, eth: bool) -> anyhow::Result<Vec<Door>> {
    let document = net.localnet().document().await;
    let urls = net.nodes.iter().filter_map(|node| document.nodes.iter().find(|ready| ready.name == node.name));
    urls.map(|ready| {
        let transport = HttpTransport::with_deadline(&ready.url, ANSWER_DEADLINE)?;
        Ok(if eth { Door::ethereum(transport) } else { Door::bulk(transport) })
    })
    .collect()
}

async fn measure(doors: &[Door], workload: Workload, args: &TpsArgs) -> anyhow::Result<TpsFigures> {
    fund(&doors[0], &workload.setup).await.context("the senders cannot be funded")?;
    let own = args.url.is_none();
    let before = if own { timers(doors).await? } else { BTreeMap::new() };
    let spent = Spent::read()?;
    let began = std::time::Instant::now();
    let feed = Feed { doors, window: usize::try_from(args.window)?, limit: Duration::from_secs(args.seconds.into()) };
    let seen = feed.run(workload.parts).await?;
    let (used, took) = (Spent::read()?, began.elapsed().as_secs_f64());
    let after = if own { timers(doors).await? } else { BTreeMap::new() };
    let per_tx = |seconds: f64| seconds * 1e6 / seen.total().max(1) as f64;
    let parts = after.into_iter().map(|(name, sum)| (name, per_tx(sum - before.get(name).copied().unwrap_or(0.0))));
    let cpu = (own && !args.processes).then(|| costs(&spent, &used, took, &seen));
    Ok(figures(args, &seen, cpu, parts.collect()))
}

fn costs(before: &Spent, after: &Spent, took: f64, seen: &Seen) -> Costs {
    let per_tx = |seconds: f64| seconds * 1e6 / seen.total().max(1) as f64;
    let seconds = after.seconds() - before.seconds();
    let mut threads: Vec<(String, f64)> =
        after.threads_since(before).into_iter().map(|(name, seconds)| (name, per_tx(seconds))).collect();
    threads.sort_by(|a, b| b.1.total_cmp(&a.1));
    threads.truncate(THREADS_SHOWN);
    Costs { cores: seconds / took, cpu_us_per_tx: per_tx(seconds), threads_us_per_tx: threads }
}

fn figures(
    args: &TpsArgs,
    seen: &Seen,
    cpu: Option<Costs>,
    parts_us_per_tx: BTreeMap<&'static str, f64>,
) -> TpsFigures {
    let (counted, seconds) = (seen.counted(), seen.span().as_secs_f64());
    TpsFigures {
        tx: args.tx,
        validators: if args.url.is_some() { 1 } else { args.validators },
        processes: args.processes,
        shared_memo: !args.no_shared_memo && !args.processes && args.validators > 1,
        block_interval_ms: args.interval,
        txs: seen.total(),
        seconds,
        tps: if seconds > 0.0 { counted as f64 / seconds } else { 0.0 },
        blocks: seen.blocks.len(),
        txs_per_block: seen.total() as f64 / seen.blocks.len().max(1) as f64,
        latency: Spread::of(seen.latencies.clone()),
        cpu,
        parts_us_per_tx,
    }
}

/// Sums of the nodes' timers, in seconds.
async fn timers(doors: &[Door]) -> anyhow::Result<BTreeMap<&'static str, f64>> {
    let mut sums = BTreeMap::new();
    for door in doors {
        let text: String = door.ask("cess_metrics", json!([])).await?;
        for (name, metric) in TIMERS {
            let lines = text.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{')));
            let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
            *sums.entry(name).or_insert(0.0) += values.sum::<f64>();
        }
    }
    Ok(sums)
}

fn human(f: &TpsFigures) -> String {
    let head = format!(
        "{:.0} transactions/s ({:?}, {} validators{}{}), {} in {} blocks of {:.0} over {:.2} s\nhand-in to block: {}",
        f.tps,
        f.tx,
        f.validators,
        if f.processes { " as processes" } else { "" },
        if f.shared_memo { ", signatures checked once for all of them" } else { "" },
        f.txs,
        f.blocks,
        f.txs_per_block,
        f.seconds,
        f.latency
    );
    let mut rows: Vec<Vec<String>> =
        f.parts_us_per_tx.iter().map(|(name, us)| vec![(*name).to_owned(), format!("{us:.1}")]).collect();
    if let Some(cpu) = &f.cpu {
        rows.push(vec![format!("processor time, {:.2} cores", cpu.cores), format!("{:.1}", cpu.cpu_us_per_tx)]);
        rows.extend(
            cpu.threads_us_per_tx.iter().map(|(name, us)| vec![format!("  thread {name}"), format!("{us:.1}")]),
        );
    }
    format!("{head}\n{}", table(&["part", "µs a transaction"], &rows))
}
