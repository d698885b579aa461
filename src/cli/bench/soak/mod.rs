//! `bench soak`: validators as OS processes under load, killed with SIGKILL again and again; nothing final may be lost.
//!
//! Checked: no two blocks at a height, executed hash and state root included; no node forgets a height it has shown; every
//! transaction whose outcome was seen is at every node in the end; no validator signs two messages for one round; blocks go on
//! while a quorum runs, and all nodes go on after the last start.

mod chaos;
pub(super) mod witness;

use super::{
    load::Load,
    net::{BenchNet, BenchNode, Shape, validators_arg, with_net},
};
use crate::{
    cli::output::Output,
    client::{ChainClient, ChainError, RemoteChain, TxOutcome},
    runtime::NodeRng,
    types::Height,
};
use anyhow::{Context, bail};
use chaos::{Chaos, Strikes};
use clap::Args;
use futures::{
    StreamExt, TryStreamExt,
    future::{join_all, try_join_all},
    stream,
};
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};
use witness::{Violation, Witness};

/// How long one question for the next block waits.
const WATCH_PATIENCE: Duration = Duration::from_secs(2);
/// Pause before a node that did not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// Pause between two looks at whether blocks go on.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Blocks that every node must add after the last start.
const SETTLED_BLOCKS: Height = 5;
/// How long that may take.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);
/// Questions to one node at a time in the last look.
const PARALLEL_QUESTIONS: usize = 8;
/// What a log must not hold: a panic, and the BFT driver's word for an equivocation.
const BAD_WORDS: [&str; 2] = ["panicked at", "validator signed two messages"];

/// Arguments of `cess bench soak`.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// How long nodes are killed, in minutes
    #[arg(long, default_value_t = 3.0, value_name = "M", value_parser = minutes)]
    minutes: f64,
    /// Number of validators
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = validators_arg())]
    validators: usize,
    /// Seed of what is done when [default: a new one, which is printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Transactions a second, at most
    #[arg(long, default_value_t = 50, value_name = "TPS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
}

fn minutes(text: &str) -> Result<f64, String> {
    let most = 7.0 * 24.0 * 60.0;
    match text.parse::<f64>() {
        Ok(minutes) if (0.05..=most).contains(&minutes) => Ok(minutes),
        _ => Err(format!("expected 0.05 to {most} minutes")),
    }
}

#[derive(Serialize)]
struct Summary {
    seed: u64,
    seconds: f64,
    validators: usize,
    #[serde(flatten)]
    strikes: Strikes,
    heights: Height,
    txs: usize,
    longest_gap_ms: u64,
    longest_stall_ms: u64,
    settled_ms: u64,
}

/// Runs it; an error is a violation, or a network that could not be run at all.
pub async fn run(args: SoakArgs, output: &Output) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or_else(|| NodeRng::from_os().below(u64::MAX));
    let shape = Shape { validators: args.validators, processes: true, ..Shape::default() };
    let soaked = with_net(&shape, output, async |net| soak(net, &args, seed).await).await;
    let summary = soaked.with_context(|| format!("seed {seed}"))?;
    output.document(&summary, |s| {
        format!(
            "no violation in {:.0} s with seed {}\nkilled       {} processes ({} strikes on two, {} on all, {} losses of the quorum), {} starts struck \
             down\nstarted      {} times\nchain        {} heights, {} transactions seen final\nlongest gap  {} ms between blocks, {} ms while a quorum \
             ran\nafter it     every node {SETTLED_BLOCKS} blocks further in {} ms",
            s.seconds,
            s.seed,
            s.strikes.kills,
            s.strikes.pairs,
            s.strikes.all_at_once,
            s.strikes.quorum_losses,
            s.strikes.killed_starts,
            s.strikes.restarts,
            s.heights,
            s.txs,
            s.longest_gap_ms,
            s.longest_stall_ms,
            s.settled_ms,
        )
    })
}

async fn soak(net: &BenchNet, args: &SoakArgs, seed: u64) -> anyhow::Result<Summary> {
    let (began, rng) = (Instant::now(), NodeRng::from_seed(seed));
    let names: Vec<String> = net.nodes.iter().map(|node| node.name.clone()).collect();
    let witness = Witness::new(names.clone(), std::time::Instant::now());
    // The load draws as often as nodes answer; a generator of its own leaves the strikes to the seed.
    let load_rng = NodeRng::from_seed(seed ^ 1);
    let load = Load { nodes: &net.nodes, rate: args.rate, rng: &load_rng };
    let watching = try_join_all(net.nodes.iter().enumerate().map(|(index, node)| watch(node, index, &witness)));
    let story = async {
        let chaos = Chaos { localnet: net.localnet(), names, witness: &witness, rng: &rng };
        let strikes = chaos.run(began + Duration::from_secs_f64(args.minutes * 60.0)).await?;
        anyhow::Ok((strikes, settle(&witness).await?))
    };
    let (strikes, settled) = tokio::select! {
        broken = watching => {
            let never = broken?;
            match never[0] {}
        }
        broken = go_on(&witness) => match broken? {},
        () = load.run(|outcome| witness.outcome(outcome)) => bail!("the load ended by itself"),
        told = story => told?,
    };
    check_logs(net)?;
    join_all(net.nodes.iter().enumerate().map(|(index, node)| audit(node, index, &witness)))
        .await
        .into_iter()
        .collect::<anyhow::Result<()>>()?;
    let tally = witness.tally();
    Ok(Summary {
        seed,
        seconds: began.elapsed().as_secs_f64(),
        validators: net.nodes.len(),
        strikes,
        heights: tally.height,
        txs: tally.txs,
        longest_gap_ms: millis(tally.longest_gap),
        longest_stall_ms: millis(tally.longest_stall),
        settled_ms: millis(settled),
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Follows one node through its lives. Ends only with a violation.
pub(super) async fn watch(node: &BenchNode, index: usize, witness: &Witness) -> Result<Infallible, Violation> {
    let chain = RemoteChain::new(node.rpc.clone());
    let (mut next, mut answers) = (1, false);
    loop {
        // After a silence it may have started anew: where it stands comes before any wait for more.
        let status = match answers {
            true => chain.wait_above(next - 1, WATCH_PATIENCE).await,
            false => chain.status().await,
        };
        let Ok(status) = status else {
            answers = false;
            sleep(RETRY_PAUSE).await;
            continue;
        };
        answers = true;
        witness.stands_at(index, status.height)?;
        while next <= status.height {
            let Ok(block) = node.block(next).await else { break };
            witness.has(index, status.height, next, block, std::time::Instant::now())?;
            next += 1;
        }
    }
}

/// Looks whether blocks go on.
async fn go_on(witness: &Witness) -> Result<Infallible, Violation> {
    loop {
        witness.is_live(std::time::Instant::now())?;
        sleep(LOOK_PAUSE).await;
    }
}

/// Waits until every node has added a few blocks to what anybody has shown; returns how long that took.
pub(super) async fn settle(witness: &Witness) -> anyhow::Result<Duration> {
    let (began, goal) = (Instant::now(), witness.tally().height + SETTLED_BLOCKS);
    loop {
        let tips = witness.tips();
        if tips.iter().all(|tip| *tip >= goal) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > SETTLE_DEADLINE {
            let seconds = SETTLE_DEADLINE.as_secs();
            bail!("{seconds} s after the last start the nodes stand at {tips:?}, not all at {goal}");
        }
        sleep(LOOK_PAUSE).await;
    }
}

/// The last look: every height and every outcome at one node.
pub(super) async fn audit(node: &BenchNode, index: usize, witness: &Witness) -> anyhow::Result<()> {
    let tip = witness.tips()[index];
    let blocks = stream::iter(1..=tip).map(|height| async move {
        let block = node.block(height).await?;
        anyhow::Ok(witness.has(index, tip, height, block, std::time::Instant::now())?)
    });
    blocks.buffer_unordered(PARALLEL_QUESTIONS).try_collect::<Vec<()>>().await?;
    let seen = witness.outcomes();
    // An outcome seen elsewhere a moment ago may lie above this node's tip.
    let newest = seen.iter().map(|outcome| outcome.height).max().unwrap_or(0);
    RemoteChain::new(node.rpc.clone()).wait_above(newest.saturating_sub(1), SETTLE_DEADLINE).await?;
    let outcomes = stream::iter(&seen).map(|outcome| async move {
        let found: Result<Option<TxOutcome>, ChainError> = node.ask("cess_outcome", json!([outcome.tx])).await;
        anyhow::Ok(witness.still_has(index, outcome, found?.as_ref())?)
    });
    outcomes.buffer_unordered(PARALLEL_QUESTIONS).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// Fails if a node logged what it must not.
pub(super) fn check_logs(net: &BenchNet) -> anyhow::Result<()> {
    for node in &net.nodes {
        let path = node.dir.join("log");
        let text = std::fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
        let text = String::from_utf8_lossy(&text);
        if let Some(line) = text.lines().find(|line| BAD_WORDS.iter().any(|bad| line.contains(bad))) {
            return Err(Violation::Logged { node: node.name.clone(), line: line.to_owned() }.into());
        }
    }
    Ok(())
}
