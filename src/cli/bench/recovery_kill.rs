//! `bench recovery --kill`: how long a node whose process is killed under load takes until it answers with the chain it had.
//!
//! The state grows by transactions, so that database, write-ahead logs and checkpoints are what a chain of that size has. Checked
//! by the same witness as `bench soak`: no block and no outcome that was seen is missing or another afterwards.

use super::{
    net::{BenchNet, BenchNode, Shape, with_net},
    soak::{audit, check_logs, settle, watch, witness::Witness},
    tps_feed::{Door, Feed, fund},
    workload::{Kind, Payees, Workload},
};
use crate::{
    cli::output::Output,
    client::{ChainError, ChainStatus, HttpTransport, TxOutcome},
    localnet::Action,
    runtime::NodeRng,
    types::{B256, Height, params::CHAIN_ID_LOCALNET},
};
use alloy_primitives::{Bytes, keccak256};
use anyhow::{Context, bail, ensure};
use futures::future::join_all;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Senders of the transactions.
const SENDERS: usize = 500;
/// Parts of the senders that are handed in side by side.
const PARTS: usize = 4;
/// Transactions that wait at a time while the state grows.
const WINDOW: usize = 24_000;
/// How long that may take.
const FILL_LIMIT: Duration = Duration::from_secs(3_600);
/// Transactions kept back for each kill.
const TRAFFIC_TXS: usize = 20_000;
/// Transactions of the traffic handed in at once.
const TRAFFIC_AT_ONCE: usize = 250;
/// A node runs at least so long before it is killed, and at most twice.
const LIFE_MIN_MS: u64 = 1_000;
/// Pause between two questions to a node that starts: how exact the time is.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// How long a start may take.
const START_DEADLINE: Duration = Duration::from_secs(300);
/// How long transactions wait before they are handed in again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// Pause between two looks for an outcome.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How long a node may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Kills {
    /// Times the process is killed.
    pub times: u32,
    /// Accounts of the state.
    pub accounts: u64,
    /// Decides when.
    pub seed: Option<u64>,
}

#[derive(Serialize)]
struct KillFigures {
    seed: u64,
    /// Accounts that came into being, each by a transaction.
    accounts: usize,
    fill_seconds: f64,
    runs: Vec<Recovery>,
    /// The middle and the largest of the runs.
    median_seconds: f64,
    max_seconds: f64,
    /// Blocks and outcomes that were seen, all of them held against the node afterwards.
    blocks: Height,
    outcomes: usize,
}

/// One kill.
#[derive(Debug, Clone, Copy, Serialize)]
struct Recovery {
    /// What the node had shown.
    height: Height,
    /// From the start of the new process to the first answer with that height or a higher one.
    seconds: f64,
}

/// Measures and prints; an error is a violation, or a network that could not be run at all.
pub async fn run(kills: Kills, output: &Output) -> anyhow::Result<()> {
    let accounts = usize::try_from(kills.accounts)?;
    let traffic = TRAFFIC_TXS * usize::try_from(kills.times)?;
    let seed = kills.seed.unwrap_or_else(|| NodeRng::from_os().below(u64::MAX));
    output
        .note(&format!("{} transactions are signed, one for each account and some to go on with", accounts + traffic));
    let sign = move || Workload::sign(Kind::Native, CHAIN_ID_LOCALNET, SENDERS, accounts + traffic, PARTS, Payees::New);
    let mut workload = tokio::task::spawn_blocking(sign).await?;
    let kept_back = keep_back(&mut workload.parts, traffic);
    let shape = Shape { validators: 1, processes: true, ..Shape::default() };
    let work = async |net: &BenchNet| measure(net, kills.times, seed, &workload, &kept_back, output).await;
    let figures = with_net(&shape, output, work).await.with_context(|| format!("seed {seed}"))?;
    output.document(&figures, human)
}

/// Takes the last transactions of each part away, an equal share of each.
fn keep_back(parts: &mut [Vec<Bytes>], count: usize) -> Vec<Vec<Bytes>> {
    let share = count / parts.len().max(1);
    parts.iter_mut().map(|part| part.split_off(part.len().saturating_sub(share))).collect()
}

async fn measure(
    net: &BenchNet,
    times: u32,
    seed: u64,
    workload: &Workload,
    kept_back: &[Vec<Bytes>],
    output: &Output,
) -> anyhow::Result<KillFigures> {
    let node = net.nodes.first().context("the localnet has no validator")?;
    let (accounts, fill) = fill(net, workload).await?;
    output.note(&format!("{accounts} accounts came into being in {:.0} s; the kills begin", fill.as_secs_f64()));
    let (witness, rng) = (Witness::new(vec![node.name.clone()], std::time::Instant::now()), NodeRng::from_seed(seed));
    let story = async {
        let mut runs = Vec::new();
        for _ in 0..times {
            sleep(Duration::from_millis(LIFE_MIN_MS + rng.below(LIFE_MIN_MS + 1))).await;
            let recovery = strike(net, node, &witness).await?;
            output.note(&format!("block {} is back after {:.2} s", recovery.height, recovery.seconds));
            runs.push(recovery);
        }
        settle(&witness).await?;
        anyhow::Ok(runs)
    };
    let runs = tokio::select! {
        broken = watch(node, 0, &witness) => match broken? {},
        () = traffic(node, kept_back, &witness) => bail!("the traffic ended before the last kill"),
        told = story => told?,
    };
    check_logs(net)?;
    audit(node, 0, &witness).await?;
    let (mut sorted, tally): (Vec<f64>, _) = (runs.iter().map(|run| run.seconds).collect(), witness.tally());
    sorted.sort_by(f64::total_cmp);
    Ok(KillFigures {
        seed,
        accounts,
        fill_seconds: fill.as_secs_f64(),
        median_seconds: sorted[sorted.len() / 2],
        max_seconds: sorted[sorted.len() - 1],
        runs,
        blocks: tally.height,
        outcomes: tally.txs,
    })
}

/// Makes the accounts; returns how many, and how long it took.
async fn fill(net: &BenchNet, workload: &Workload) -> anyhow::Result<(usize, Duration)> {
    let document = net.localnet().document().await;
    let url = &document.nodes.first().context("the localnet has no node")?.url;
    let doors = [Door::bulk(HttpTransport::with_deadline(url, ANSWER_DEADLINE)?)];
    fund(&doors[0], &workload.setup).await.context("the senders cannot be funded")?;
    let (began, count) = (Instant::now(), workload.parts.iter().map(Vec::len).sum::<usize>());
    let seen = Feed { doors: &doors, window: WINDOW, limit: FILL_LIMIT }.run(&workload.parts).await?;
    ensure!(seen.total() == count, "{} of {count} accounts came into being", seen.total());
    Ok((count, began.elapsed()))
}

/// Kills the node, starts it again and waits until it has what it had shown.
async fn strike(net: &BenchNet, node: &BenchNode, witness: &Witness) -> anyhow::Result<Recovery> {
    net.localnet().act(Action::Kill, &node.name).await?;
    let (height, began) = (witness.tips()[0], Instant::now());
    let back = async {
        loop {
            let status: Result<ChainStatus, ChainError> = node.ask("cess_status", json!([])).await;
            match status {
                Ok(status) if status.height >= height => return anyhow::Ok(began.elapsed()),
                _ => ensure!(began.elapsed() < START_DEADLINE, "block {height} is not back after {START_DEADLINE:?}"),
            }
            sleep(LOOK_PAUSE).await;
        }
    };
    let start = async { Ok(net.localnet().act(Action::Start, &node.name).await?) };
    let ((), took) = futures::try_join!(start, back)?;
    Ok(Recovery { height, seconds: took.as_secs_f64() })
}

/// Hands in the parts side by side, again and again while the node is down; ends when all of it is final.
async fn traffic(node: &BenchNode, parts: &[Vec<Bytes>], witness: &Witness) {
    let parts = parts.iter().map(|txs| async move {
        for some in txs.chunks(TRAFFIC_AT_ONCE) {
            until_final(node, some, witness).await;
        }
    });
    join_all(parts).await;
}

/// Hands in `txs` until all ran. Each sender's come in order, so that the last ones' outcomes stand for those before them.
async fn until_final(node: &BenchNode, txs: &[Bytes], witness: &Witness) {
    let hashes: Vec<B256> = txs.iter().map(keccak256).collect();
    let mut next = 0;
    while next < txs.len() {
        // A refusal says that it is known or used already, which its outcome will show.
        let _: Result<Value, _> = node.ask("cess_submitAll", json!([&txs[next..]])).await;
        let handed_in = Instant::now();
        while next < txs.len() && handed_in.elapsed() < AGAIN_AFTER {
            match node.ask::<Option<TxOutcome>>("cess_outcome", json!([hashes[next]])).await {
                Ok(Some(outcome)) => {
                    witness.outcome(outcome);
                    next += 1;
                }
                Ok(None) | Err(_) => sleep(RETRY_PAUSE).await,
            }
        }
    }
}

fn human(f: &KillFigures) -> String {
    let runs: Vec<String> = f.runs.iter().map(|run| format!("{:.2}", run.seconds)).collect();
    format!(
        "{} kills of a node with {} accounts under load, seed {}: it answered with its chain after {:.2} s in the middle, {:.2} s at \
         most\nsingle times  {} s\nafter them    {} blocks and {} outcomes, all as they were seen",
        f.runs.len(),
        f.accounts,
        f.seed,
        f.median_seconds,
        f.max_seconds,
        runs.join(", "),
        f.blocks,
        f.outcomes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_part_are_kept_back() {
        let numbered = |from: u8| (from..from + 5).map(|n| Bytes::from(vec![n])).collect::<Vec<_>>();
        let mut parts = vec![numbered(0), numbered(10)];
        let kept = keep_back(&mut parts, 4);
        assert_eq!(kept, [numbered(0)[3..].to_vec(), numbered(10)[3..].to_vec()]);
        assert_eq!(parts, [numbered(0)[..3].to_vec(), numbered(10)[..3].to_vec()]);
    }
}
