//! `bench dead-proposer`: how much longer a height takes whose first proposer is dead.

use super::{
    load::Load,
    net::{BenchNet, BenchNode, Shape, validators_arg, with_net},
    sample::{Spread, secs_arg},
};
use crate::{
    cli::output::Output,
    client::{ChainClient, RemoteChain},
    localnet::Action,
    runtime::NodeRng,
    types::Height,
};
use anyhow::{bail, ensure};
use clap::Args;
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// How long a height may take.
const HEIGHT_DEADLINE: Duration = Duration::from_secs(60);
/// Heights after the kill that are not counted: links break, and a proposal of the dead may be under way.
const SKIPPED_HEIGHTS: Height = 2;

/// Arguments of `cess bench dead-proposer`.
#[derive(Debug, Args)]
pub struct DeadProposerArgs {
    /// How long blocks are timed, before the kill and after it
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = secs_arg())]
    seconds: u32,
    /// Number of validators
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = validators_arg())]
    validators: usize,
    /// Each validator its own OS process
    #[arg(long)]
    processes: bool,
}

#[derive(Serialize)]
struct DeadProposerFigures {
    /// All heights while all validators lived.
    alive: Spread,
    /// Heights with one dead, decided in the first round.
    first_round: Spread,
    /// Heights whose first proposer was dead.
    later_round: Spread,
    /// What the dead proposer cost, in the middle.
    cost_ms: f64,
}

/// Measures and prints.
pub async fn run(args: DeadProposerArgs, output: &Output) -> anyhow::Result<()> {
    ensure!(args.validators >= 4, "one of {} validators cannot be spared, at least 4 are needed", args.validators);
    let shape = Shape { validators: args.validators, processes: args.processes, ..Shape::default() };
    let figures =
        with_net(&shape, output, async |net| measure(net, Duration::from_secs(args.seconds.into())).await).await?;
    output.document(&figures, |f| {
        format!(
            "time between blocks under load\nall alive                  {}\none dead, its turn not     {}\none dead, its turn         {}\na dead \
             proposer costs {:.0} ms",
            f.alive, f.first_round, f.later_round, f.cost_ms
        )
    })
}

async fn measure(net: &BenchNet, seconds: Duration) -> anyhow::Result<DeadProposerFigures> {
    let rng = NodeRng::from_os();
    let (observer, others) = net.nodes.split_first().expect("there are validators");
    let victim = &others[0];
    let load = Load { nodes: &net.nodes, rate: 40, rng: &rng };
    let story = async {
        let alive = time_heights(observer, seconds).await?;
        net.localnet().act(Action::Kill, &victim.name).await?;
        anyhow::Ok((alive, time_heights(observer, seconds).await?))
    };
    let (alive, after) = tokio::select! {
        told = story => told?,
        () = load.run(|_| ()) => bail!("the load ended by itself"),
    };
    let of = |heights: &[(u32, Duration)], wanted: fn(u32) -> bool| {
        Spread::of(heights.iter().filter(|(round, _)| wanted(*round)).map(|(_, took)| *took).collect())
    };
    let (alive, first_round, later_round) = (of(&alive, |_| true), of(&after, |r| r == 0), of(&after, |r| r > 0));
    ensure!(later_round.count > 0, "the dead validator had no turn in {} heights", after.len());
    let cost_ms = later_round.p50_ms - first_round.p50_ms;
    Ok(DeadProposerFigures { alive, first_round, later_round, cost_ms })
}

/// The round each height was first proposed in, and how long after the one before it was final at `node`.
async fn time_heights(node: &BenchNode, seconds: Duration) -> anyhow::Result<Vec<(u32, Duration)>> {
    let chain = RemoteChain::new(node.rpc.clone());
    let end = Instant::now() + seconds;
    let skipped = chain.status().await?.height + SKIPPED_HEIGHTS;
    let mut height = chain.wait_above(skipped - 1, HEIGHT_DEADLINE).await?.height;
    let (mut heights, mut last) = (Vec::new(), Instant::now());
    while Instant::now() < end {
        let status = chain.wait_above(height, HEIGHT_DEADLINE).await?;
        ensure!(status.height > height, "no block after height {height} for {} s", HEIGHT_DEADLINE.as_secs());
        let (now, seen) = (Instant::now(), status.height == height + 1);
        height = status.height;
        let Some(block) = node.block(height).await? else { bail!("block {height} is gone") };
        // Two blocks within one answer cannot be told apart in time.
        if seen {
            heights.push((block.round, now - last));
        }
        last = now;
    }
    Ok(heights)
}
