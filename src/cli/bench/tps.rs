//! `bench tps`: how many transactions a second a network of validators commits when more wait than it can take.
//!
//! Everything is signed beforehand. The count runs from the first block that holds some to the last, without those of the first.
//! What hands them in runs on the same machine, and its work is in the figure. anvil, if it is asked for, gets the same
//! transactions by the same calls from the same program.

use super::{
    anvil::{self, Anvil},
    idle::Spent,
    net::{BenchNet, Shape, validators_arg, with_net},
    sample::{Spread, secs_arg},
    tps_feed::{Door, Feed, Seen, fund},
    workload::{Kind, Payees, Workload},
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
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

/// Parts of the senders that are handed in side by side.
const PARTS: usize = 4;
/// Threads named in the figures.
const THREADS_SHOWN: usize = 8;
/// How long a node may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// Timers of a node whose sums tell where time went.
const TIMERS: [(&str, &str); 4] = [
    (SIGNATURES, "cess_signatures_seconds_sum"),
    (EXECUTION, "cess_block_execute_seconds_sum"),
    (ROOT, "cess_state_root_seconds_sum"),
    (DATABASE, "cess_block_commit_seconds_sum"),
];
const SIGNATURES: &str = "signatures";
const EXECUTION: &str = "execution";
const ROOT: &str = "root";
const DATABASE: &str = "database";

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
    /// Measure anvil as well, on the same machine under the same load, which goes in by --eth to a node in a process of its own
    #[arg(long, conflicts_with = "url")]
    anvil: bool,
    /// Measure this fresh development node (chain id 11332, well-known accounts) instead of a localnet; implies --eth
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Processor time of the nodes' processes, by thread name too.
#[derive(Serialize)]
struct Costs {
    /// Threads' worth of processor time.
    cores: f64,
    /// Processor time a transaction.
    cpu_us_per_tx: f64,
    /// The same by thread, the busiest first.
    threads_us_per_tx: Vec<(String, f64)>,
}

/// What one program did with the load.
#[derive(Serialize)]
struct Rates {
    txs: usize,
    seconds: f64,
    tps: f64,
    blocks: usize,
    txs_per_block: f64,
    /// Hand-in to the block that holds it.
    latency: Spread,
    /// Of the processes that make the blocks, what hands in included where it is in the same one; absent for a node of others.
    cpu: Option<Costs>,
    /// Wall time a transaction in parts of the work, over all nodes of ours.
    parts_us_per_tx: BTreeMap<&'static str, f64>,
}

#[derive(Serialize)]
struct TpsFigures {
    tx: Kind,
    validators: usize,
    processes: bool,
    shared_memo: bool,
    block_interval_ms: u64,
    #[serde(flatten)]
    rates: Rates,
    anvil: Option<AnvilFigures>,
}

/// The same load on anvil.
#[derive(Serialize)]
struct AnvilFigures {
    version: String,
    mining: &'static str,
    #[serde(flatten)]
    rates: Rates,
    /// Our transactions a second for each of its.
    ratio: f64,
}

/// What is measured.
struct Target {
    doors: Vec<Door>,
    /// The processes behind them, where they are ours to look at.
    pids: BTreeSet<u32>,
    /// Whether they keep our timers.
    timed: bool,
}

/// Measures and prints.
pub async fn run(mut args: TpsArgs, output: &Output) -> anyhow::Result<()> {
    let kind = args.tx;
    ensure!(
        (args.url.is_none() && !args.anvil) || kind != Kind::Native,
        "native transactions exist on a cess chain only: ask for --tx transfer or --tx erc20"
    );
    let anvil = if args.anvil { Some(anvil::find()?) } else { None };
    // The same door for both, and a process of its own for each.
    (args.eth, args.processes) = (args.eth || args.anvil, args.processes || args.anvil);
    let (accounts, count) = (usize::try_from(args.accounts)?, usize::try_from(args.txs)?);
    output.note(&format!("{count} transactions of {accounts} senders are signed"));
    let sign = move || Workload::sign(kind, CHAIN_ID_LOCALNET, accounts, count, PARTS, Payees::Senders);
    let workload = tokio::task::spawn_blocking(sign).await?;
    let rates = ours(&args, &workload, output).await?;
    let anvil = match anvil {
        Some(program) => Some(beside(&program, &args, &workload, rates.tps, output).await?),
        None => None,
    };
    let figures = TpsFigures {
        tx: args.tx,
        validators: if args.url.is_some() { 1 } else { args.validators },
        processes: args.processes,
        shared_memo: !args.no_shared_memo && !args.processes && args.validators > 1,
        block_interval_ms: args.interval,
        rates,
        anvil,
    };
    output.document(&figures, human)
}

/// A localnet, or the node at the address given.
async fn ours(args: &TpsArgs, workload: &Workload, output: &Output) -> anyhow::Result<Rates> {
    if let Some(url) = &args.url {
        let door = Door::ethereum(HttpTransport::with_deadline(url, ANSWER_DEADLINE)?);
        return measure(&Target { doors: vec![door], pids: BTreeSet::new(), timed: false }, workload, args).await;
    }
    let shape = Shape {
        validators: args.validators,
        miners: 0,
        processes: args.processes,
        block_interval_ms: Some(args.interval),
        shared_memo: !args.no_shared_memo,
    };
    with_net(&shape, output, async |net| measure(&nodes_of(net, args.eth).await?, workload, args).await).await
}

/// The same load on anvil.
async fn beside(
    program: &Path,
    args: &TpsArgs,
    workload: &Workload,
    ours: f64,
    output: &Output,
) -> anyhow::Result<AnvilFigures> {
    let version = anvil::version(program).await?;
    output.note(&format!("{version} takes the same load"));
    let anvil = Anvil::start(program).await?;
    let target = Target { pids: anvil.pid().into_iter().collect(), doors: vec![anvil.door.clone()], timed: false };
    let rates = measure(&target, workload, args).await;
    anvil.stop().await?;
    let rates = rates.context("anvil does not take the load")?;
    Ok(AnvilFigures { version, mining: anvil::MINING, ratio: ours / rates.tps, rates })
}

async fn nodes_of(net: &BenchNet, eth: bool) -> anyhow::Result<Target> {
    let document = net.localnet().document().await;
    let (mut doors, mut pids) = (Vec::new(), BTreeSet::new());
    for ready in document.nodes.iter().filter(|ready| net.nodes.iter().any(|node| node.name == ready.name)) {
        let transport = HttpTransport::with_deadline(&ready.url, ANSWER_DEADLINE)?;
        doors.push(if eth { Door::ethereum(transport) } else { Door::bulk(transport) });
        pids.insert(ready.pid);
    }
    Ok(Target { doors, pids, timed: true })
}

async fn measure(target: &Target, workload: &Workload, args: &TpsArgs) -> anyhow::Result<Rates> {
    let doors = &target.doors;
    fund(&doors[0], &workload.setup).await.context("the senders cannot be funded")?;
    let sums = async || if target.timed { timers(doors).await } else { Ok(BTreeMap::new()) };
    let (before, spent, began) = (sums().await?, Spent::of(target.pids.clone())?, Instant::now());
    let feed = Feed { doors, window: usize::try_from(args.window)?, limit: Duration::from_secs(args.seconds.into()) };
    let seen = feed.run(&workload.parts).await?;
    let (used, took, after) = (Spent::of(target.pids.clone())?, began.elapsed().as_secs_f64(), sums().await?);
    let cpu = (!target.pids.is_empty()).then(|| costs(&spent, &used, took, &seen));
    let since = |(name, sum): (&'static str, f64)| (name, sum - before.get(name).copied().unwrap_or(0.0));
    Ok(rates(&seen, cpu, parts(after.into_iter().map(since).collect(), seen.total())))
}

/// What each part took a transaction, in microseconds.
fn parts(sums: BTreeMap<&'static str, f64>, txs: usize) -> BTreeMap<&'static str, f64> {
    sums.into_iter().map(|(name, seconds)| (name, per_tx(seconds, txs))).collect()
}

fn per_tx(seconds: f64, txs: usize) -> f64 {
    seconds * 1e6 / txs.max(1) as f64
}

fn costs(before: &Spent, after: &Spent, took: f64, seen: &Seen) -> Costs {
    let seconds = after.seconds() - before.seconds();
    let threads = after.threads_since(before).into_iter();
    let mut threads: Vec<_> = threads.map(|(name, seconds)| (name, per_tx(seconds, seen.total()))).collect();
    threads.sort_by(|a, b| b.1.total_cmp(&a.1));
    threads.truncate(THREADS_SHOWN);
    Costs { cores: seconds / took, cpu_us_per_tx: per_tx(seconds, seen.total()), threads_us_per_tx: threads }
}

fn rates(seen: &Seen, cpu: Option<Costs>, parts_us_per_tx: BTreeMap<&'static str, f64>) -> Rates {
    let (counted, seconds) = (seen.counted(), seen.span().as_secs_f64());
    Rates {
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
            *sums.entry(name).or_insert(0.0) += sum_of(&text, metric);
        }
    }
    Ok(sums)
}

/// The values of a metric under all its labels together.
fn sum_of(text: &str, metric: &str) -> f64 {
    let lines = text.lines().filter(|line| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with('{')));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

fn human(f: &TpsFigures) -> String {
    let head = format!(
        "{:?}, {} validators{}{}: {}",
        f.tx,
        f.validators,
        if f.processes { " as processes" } else { "" },
        if f.shared_memo { ", signatures checked once for all of them" } else { "" },
        speed(&f.rates)
    );
    let mut rows: Vec<Vec<String>> =
        f.rates.parts_us_per_tx.iter().map(|(name, us)| vec![(*name).to_owned(), format!("{us:.1}")]).collect();
    if let Some(cpu) = &f.rates.cpu {
        let parts: f64 = f.rates.parts_us_per_tx.values().sum();
        rows.push(vec![format!("processor time, {:.2} cores", cpu.cores), format!("{:.1}", cpu.cpu_us_per_tx)]);
        let rest = (cpu.cpu_us_per_tx - parts).max(0.0);
        rows.push(vec!["  beside the parts: consensus, network, RPC".to_owned(), format!("{rest:.1}")]);
        rows.extend(
            cpu.threads_us_per_tx.iter().map(|(name, us)| vec![format!("  thread {name}"), format!("{us:.1}")]),
        );
    }
    let ours = format!("{head}\n{}", table(&["part", "µs a transaction"], &rows));
    match &f.anvil {
        Some(anvil) => format!("{ours}\n{}", anvil_words(anvil)),
        None => ours,
    }
}

fn anvil_words(anvil: &AnvilFigures) -> String {
    let cpu = anvil.rates.cpu.as_ref();
    let cpu = cpu.map(|cpu| format!(", {:.2} cores, {:.1} µs a transaction", cpu.cores, cpu.cpu_us_per_tx));
    format!(
        "{} ({}): {}{}\nours are {:.1} times as many",
        anvil.version,
        anvil.mining,
        speed(&anvil.rates),
        cpu.unwrap_or_default(),
        anvil.ratio
    )
}

fn speed(rates: &Rates) -> String {
    format!(
        "{:.0} transactions/s, {} in {} blocks of {:.0} over {:.2} s\nhand-in to block: {}",
        rates.tps, rates.txs, rates.blocks, rates.txs_per_block, rates.seconds, rates.latency
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_microseconds_a_transaction() {
        let sums = BTreeMap::from([(SIGNATURES, 2.0), (ROOT, 1.0), (DATABASE, 3.0)]);
        let parts = parts(sums, 2_000_000);
        assert_eq!(parts, BTreeMap::from([(SIGNATURES, 1.0), (ROOT, 0.5), (DATABASE, 1.5)]));
        assert!(super::parts(BTreeMap::new(), 0).is_empty());
    }

    #[test]
    fn a_metric_is_summed_over_its_labels() {
        let text = "# TYPE a_sum\na_sum{node=\"x\"} 1.5\na_sum{node=\"y\"} 2\na_sum_of_others{node=\"x\"} 7\n";
        assert_eq!(sum_of(text, "a_sum"), 3.5);
    }
}
