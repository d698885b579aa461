//! One run from its seed to its digest.

use crate::{
    cluster::Cluster,
    faults::Faults,
    machine::{now, simulate},
    sometimes::Sometimes,
    users::Users,
    witness::Witness,
    world::World,
};
use anyhow::{Context, ensure};
use std::{path::Path, time::Duration};

/// Blocks that must follow once all trouble has ended.
const BLOCKS_AFTER: u64 = 8;
/// Virtual time they may take: sync of what was missed, a few rounds with their timeouts grown by trouble, then idle blocks.
const LIVE_WITHIN: Duration = Duration::from_secs(60);
/// Blocks within which a report of an equivocation must be in the chain: the evidence would be too old soon after.
const PUNISHED_WITHIN_BLOCKS: u64 = 8;

/// Runs the simulation of `world` and describes it: every event with its time, what happened how often, the digest of it all.
/// Panics on anything that must not happen.
pub fn run(world: World) -> String {
    let dir = tempfile::tempdir().expect("a place for the nodes' files");
    let report = simulate(world.seed, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an async runtime");
        runtime.block_on(story(world, dir.path()))
    });
    report.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn story(world: World, dir: &Path) -> anyhow::Result<String> {
    let (seed, trouble, nodes) = (world.seed, world.trouble, world.nodes.len());
    let users = Users::new(seed);
    let mut cluster = Cluster::new(world, dir, &users.accounts())?;
    describe(&cluster);
    for node in 0..nodes {
        cluster.start(node).await?;
    }
    users.spend(seed, &cluster.doors);
    let mut faults = Faults::new(&cluster);
    faults.rage(&mut cluster, now() + trouble).await?;
    faults.end(&mut cluster).await?;
    let witness = cluster.witness.clone();
    live_on(&cluster, &witness).await?;
    witness.assert_sound();
    let aborted = cluster.stop().await;
    ensure!(aborted.is_empty(), "these tasks did not stop: {aborted:?}");
    witness.note("the end");
    let (trace, counters) = witness.testimony();
    let digest = hex::encode(cess::crypto::hash::content(trace.as_bytes()));
    let count = |what: Sometimes| format!("{what:?}={}", counters.get(&what).copied().unwrap_or_default());
    let counts: Vec<String> = Sometimes::all().map(count).collect();
    Ok(format!("{trace}{}\n{digest}", counts.join(" ")))
}

/// The world's peculiarities, for the reader of the trace.
fn describe(cluster: &Cluster) {
    let (world, witness) = (&cluster.world, &cluster.witness);
    for (node, character) in world.nodes.iter().enumerate() {
        if let Some(temper) = &character.temper {
            witness.note(&format!("node {node} lies {} times of 100: {:?}", temper.percent, temper.vices));
        }
        if character.ahead_ms != 0 {
            witness.note(&format!("node {node} is {} ms ahead", character.ahead_ms));
        }
        if !world.is_borne(node) {
            witness.count(Sometimes::ClockBeyondBounds);
        }
    }
}

/// After all trouble the honest nodes decide block after block, each in few rounds, and punish whom they see equivocate.
async fn live_on(cluster: &Cluster, witness: &Witness) -> anyhow::Result<()> {
    let target = witness.highest() + BLOCKS_AFTER;
    reach(witness, target).await?;
    if !witness.unpunished(target).is_empty() {
        reach(witness, target + PUNISHED_WITHIN_BLOCKS).await?;
        let open = witness.unpunished(target);
        ensure!(
            open.is_empty(),
            "{}not punished after {PUNISHED_WITHIN_BLOCKS} blocks: {open:?}",
            witness.testimony().0
        );
    }
    // Every node may waste its turns once, and once again for those that are still catching up.
    let (rounds, latest) = (2 * cluster.len(), witness.calm_round());
    witness.note(&format!("every block by round {latest}"));
    ensure!(usize::try_from(latest)? <= rounds, "{}a block took until round {latest}", witness.testimony().0);
    Ok(())
}

async fn reach(witness: &Witness, height: u64) -> anyhow::Result<()> {
    let live = tokio::time::timeout(LIVE_WITHIN, witness.all_reach(height)).await;
    ensure!(live.is_ok(), "{}not all are at {height} in time: {:?}", witness.testimony().0, witness.standing());
    Ok(())
}

/// What a report says in its last two lines.
pub struct Summary {
    /// Digest of the trace.
    pub digest: String,
    /// How often each thing happened.
    pub counts: Vec<(String, u64)>,
    /// Virtual seconds.
    pub seconds: f64,
    /// Blocks that nodes have finalised.
    pub commits: usize,
}

/// Reads the end of a report.
pub fn summary(report: &str) -> anyhow::Result<Summary> {
    let mut lines = report.lines().rev();
    let digest = lines.next().context("an empty report")?.to_owned();
    let counts = lines.next().context("a report without counts")?;
    let count =
        |pair: &str| pair.split_once('=').and_then(|(what, count)| Some((what.to_owned(), count.parse().ok()?)));
    let counts = counts.split(' ').filter_map(count).collect();
    let end = lines.next().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    let commits = report.lines().filter(|line| line.contains(" block ")).count();
    Ok(Summary { digest, counts, seconds: end.parse().context("the time of the last event")?, commits })
}
