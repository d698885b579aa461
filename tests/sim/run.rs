//! One run from its seed to its digest.

use crate::{
    cluster::{Cluster, NODES},
    faults::Faults,
    machine::{now, simulate},
    users::{Users, genesis_supply, supply},
    witness::Sometimes,
};
use anyhow::{Context, ensure};
use std::{path::Path, time::Duration};

/// Virtual time of trouble.
const TROUBLE: Duration = Duration::from_secs(40);
/// Blocks that must follow once all trouble has ended.
const BLOCKS_AFTER: u64 = 8;
/// Virtual time they may take: sync of what was missed, a few rounds with their timeouts grown by trouble, then idle blocks.
const LIVE_WITHIN: Duration = Duration::from_secs(60);

/// Runs the simulation of `seed` and describes it: every event with its time, what happened how often, the digest of it all.
/// Panics on anything that must not happen.
pub fn run(seed: u64) -> String {
    let dir = tempfile::tempdir().expect("a place for the nodes' files");
    let report = simulate(seed, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an async runtime");
        runtime.block_on(story(seed, dir.path()))
    });
    report.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn story(seed: u64, dir: &Path) -> anyhow::Result<String> {
    let users = Users::new(seed);
    let mut cluster = Cluster::new(seed, dir, &users.accounts())?;
    for node in 0..NODES {
        cluster.start(node).await?;
    }
    users.spend(seed, &cluster.doors);
    let mut faults = Faults::new(seed);
    faults.rage(&mut cluster, now() + TROUBLE).await?;
    faults.end(&mut cluster).await?;

    let target = cluster.witness.highest() + BLOCKS_AFTER;
    let live = tokio::time::timeout(LIVE_WITHIN, cluster.witness.all_reach(target)).await;
    let (trace, _) = cluster.witness.testimony();
    ensure!(live.is_ok(), "{trace}not all are at {target} in time: {:?}", cluster.witness.standing());
    cluster.witness.assert_sound();
    for node in 0..NODES {
        let (exists, burnt) = supply(&cluster, node, &users.accounts())?;
        let made = genesis_supply(&cluster);
        ensure!(exists + burnt == made, "node {node} has {exists} and burnt {burnt} of {made}");
    }
    let witness = cluster.witness.clone();
    let aborted = cluster.stop().await;
    ensure!(aborted.is_empty(), "these tasks did not stop: {aborted:?}");
    witness.note("the end");
    let (trace, counters) = witness.testimony();
    let digest = hex::encode(cess::crypto::hash::content(trace.as_bytes()));
    let count = |what: Sometimes| format!("{what:?}={}", counters.get(&what).copied().unwrap_or_default());
    let counts: Vec<String> = Sometimes::ALL.into_iter().map(count).collect();
    Ok(format!("{trace}{}\n{digest}", counts.join(" ")))
}

/// What a report says in its last two lines.
pub struct Summary {
    /// Digest of the trace.
    pub digest: String,
    /// How often each thing happened.
    pub counts: Vec<u64>,
    /// Virtual seconds and blocks.
    pub extent: String,
}

/// Reads the end of a report.
pub fn summary(report: &str) -> anyhow::Result<Summary> {
    let mut lines = report.lines().rev();
    let digest = lines.next().context("an empty report")?.to_owned();
    let counts = lines.next().context("a report without counts")?;
    let counts = counts.split(' ').filter_map(|pair| pair.split_once('=')?.1.parse().ok()).collect();
    let end = lines.next().and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned();
    let blocks = report.lines().filter(|line| line.contains(" block ")).count();
    Ok(Summary { digest, counts, extent: format!("{end} virtual seconds, {blocks} commits") })
}
