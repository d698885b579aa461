//! Trouble out of the seed: slow and lossy links, partitions, crashes, frozen processes.

use crate::{
    cluster::{Cluster, Crash, NODES},
    machine::{Dice, now, until},
    witness::Sometimes,
};
use cess::network::LinkRule;
use std::time::Duration;

/// Frames lost of a thousand on the worst link. A lost frame breaks a stream, so that more would be an outage.
const LOSS_MAX_PER_MILLE: u64 = 25;

/// What is wrong now.
pub struct Faults {
    dice: Dice,
    /// Latency and loss of each link.
    weather: [[LinkRule; NODES]; NODES],
    /// Side of the partition each node is on.
    sides: [u64; NODES],
    partition_ends: Option<Duration>,
    rises: [Option<Duration>; NODES],
    resumes: [Option<Duration>; NODES],
    was_quorate: bool,
}

impl Faults {
    /// Nothing yet; everything to come is decided by `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            dice: Dice::new(seed, "faults"),
            weather: Default::default(),
            sides: [0; NODES],
            partition_ends: None,
            rises: [None; NODES],
            resumes: [None; NODES],
            was_quorate: true,
        }
    }

    /// Makes trouble until `end`.
    pub async fn rage(&mut self, cluster: &mut Cluster, end: Duration) -> anyhow::Result<()> {
        self.change_weather(cluster);
        while now() < end {
            until(now() + self.dice.millis(20, 300)).await;
            self.end_what_is_due(cluster, now()).await?;
            if self.dice.chance(35) {
                self.begin_something(cluster).await?;
            }
            self.note_quorum(cluster);
            check(cluster).await?;
        }
        Ok(())
    }

    /// Ends all trouble.
    pub async fn end(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        self.end_what_is_due(cluster, Duration::MAX).await?;
        self.weather = Default::default();
        self.apply(cluster);
        cluster.witness.mark_laggards();
        cluster.witness.note("all trouble ends");
        check(cluster).await
    }

    async fn begin_something(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let node = self.dice.index(NODES);
        match self.dice.below(16) {
            0..=2 => self.change_weather(cluster),
            // Most cuts are short: they fall between the steps of a round.
            3..=7 if self.partition_ends.is_none() => self.cut(cluster, 20, 400),
            8 if self.partition_ends.is_none() => self.cut(cluster, 500, 12_000),
            9..=10 => self.crash(cluster, node)?,
            11 if self.dice.chance(25) => {
                for node in 0..NODES {
                    self.crash(cluster, node)?;
                }
            }
            12 if cluster.is_up(node) && self.resumes[node].is_none() => {
                self.resumes[node] = Some(now() + self.dice.millis(200, 4_000));
                cluster.pause(node).await;
            }
            _ => {}
        }
        Ok(())
    }

    fn change_weather(&mut self, cluster: &Cluster) {
        let fine = self.dice.chance(30);
        let slow = self.dice.below(150) + 1;
        for a in 0..NODES {
            for b in a + 1..NODES {
                let latency = self.dice.millis(0, slow);
                let loss = if fine { 0 } else { self.dice.below(LOSS_MAX_PER_MILLE) };
                let loss_per_mille = u16::try_from(loss).expect("below a thousand");
                self.weather[a][b] = LinkRule { latency, loss_per_mille, partitioned: false };
            }
        }
        self.apply(cluster);
    }

    fn cut(&mut self, cluster: &Cluster, from_millis: u64, to_millis: u64) {
        self.sides = std::array::from_fn(|_| self.dice.below(2));
        self.partition_ends = Some(now() + self.dice.millis(from_millis, to_millis));
        cluster.witness.note(&format!("partition {:?}", self.sides));
        self.apply(cluster);
    }

    fn crash(&mut self, cluster: &mut Cluster, node: usize) -> anyhow::Result<()> {
        if !cluster.is_up(node) {
            return Ok(());
        }
        let how = if self.dice.chance(50) { Crash::Kill } else { Crash::PowerLoss };
        self.resumes[node] = None;
        self.rises[node] = Some(now() + self.dice.millis(100, 5_000));
        cluster.crash(node, how)
    }

    async fn end_what_is_due(&mut self, cluster: &mut Cluster, time: Duration) -> anyhow::Result<()> {
        if self.partition_ends.take_if(|end| *end <= time).is_some() {
            let was_cut = self.sides.iter().any(|side| *side != self.sides[0]);
            self.sides = [0; NODES];
            self.apply(cluster);
            cluster.witness.mark_laggards();
            cluster.witness.note("partition healed");
            if was_cut {
                cluster.witness.count(Sometimes::Healed);
            }
        }
        for node in 0..NODES {
            if self.resumes[node].take_if(|end| *end <= time).is_some() {
                cluster.resume(node);
                cluster.witness.mark_laggards();
            }
            if self.rises[node].take_if(|end| *end <= time).is_some() {
                cluster.start(node).await?;
            }
        }
        Ok(())
    }

    fn apply(&self, cluster: &Cluster) {
        for a in 0..NODES {
            for b in a + 1..NODES {
                let partitioned = self.sides[a] != self.sides[b];
                cluster.set_link(a, b, LinkRule { partitioned, ..self.weather[a][b] });
            }
        }
    }

    /// Counts the times in which no side has more than two thirds.
    fn note_quorum(&mut self, cluster: &Cluster) {
        let alive = |node: &usize| cluster.is_up(*node) && self.resumes[*node].is_none();
        let on = |side| (0..NODES).filter(alive).filter(|node| self.sides[*node] == side).count();
        let quorate = on(0).max(on(1)) * 3 > NODES * 2;
        if self.was_quorate && !quorate {
            cluster.witness.count(Sometimes::NoQuorum);
        }
        self.was_quorate = quorate;
    }
}

/// Fails the run at once if something happened that must not, or a node has given up.
async fn check(cluster: &Cluster) -> anyhow::Result<()> {
    cluster.witness.assert_sound();
    for node in 0..NODES {
        if let Some(why) = cluster.failure(node).await {
            let (trace, _) = cluster.witness.testimony();
            anyhow::bail!("{trace}node {node} failed: {why}");
        }
    }
    Ok(())
}
