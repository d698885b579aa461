//! Trouble out of the seed: slow, uneven and lossy links, partitions, crashes, frozen processes, clocks that are set.

use crate::{
    cluster::{Cluster, Crash},
    machine::{Dice, now, until},
    sometimes::Sometimes,
    world,
};
use cess::network::LinkRule;
use std::time::Duration;

/// Frames lost of a thousand on the worst link. A lost frame breaks a stream, so that more would be an outage.
const LOSS_MAX_PER_MILLE: u64 = 25;
/// Gossip messages doubled of a thousand on the worst link.
const DOUBLED_MAX_PER_MILLE: u64 = 200;
/// Regions of the world.
const REGIONS: u64 = 3;

/// What is wrong now.
pub struct Faults {
    dice: Dice,
    /// What each node's messages to each other meet.
    weather: Vec<Vec<LinkRule>>,
    /// Side of the partition each node is on.
    sides: Vec<u64>,
    partition_ends: Option<Duration>,
    rises: Vec<Option<Duration>>,
    resumes: Vec<Option<Duration>>,
    was_quorate: bool,
}

impl Faults {
    /// Nothing yet; everything to come is decided by the seed of the cluster's world.
    pub fn new(cluster: &Cluster) -> Self {
        let nodes = cluster.len();
        Self {
            dice: Dice::new(cluster.world.seed, "faults"),
            weather: vec![vec![LinkRule::default(); nodes]; nodes],
            sides: vec![0; nodes],
            partition_ends: None,
            rises: vec![None; nodes],
            resumes: vec![None; nodes],
            was_quorate: true,
        }
    }

    /// Makes trouble until `end`.
    pub async fn rage(&mut self, cluster: &mut Cluster, end: Duration) -> anyhow::Result<()> {
        self.change_weather(cluster);
        while now() < end {
            until(now() + self.dice.millis(20, 300)).await;
            self.end_what_is_due(cluster, now()).await?;
            if self.dice.chance(cluster.world.trouble_percent) {
                self.begin_something(cluster).await?;
            }
            self.cut_at_the_end_of_an_era(cluster);
            self.note_quorum(cluster);
            self.check(cluster).await?;
        }
        Ok(())
    }

    /// Ends all trouble.
    pub async fn end(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        self.check(cluster).await?;
        self.end_what_is_due(cluster, Duration::MAX).await?;
        self.weather.iter_mut().flatten().for_each(|rule| *rule = LinkRule::default());
        self.apply(cluster);
        cluster.witness.mark_laggards();
        cluster.witness.calm();
        cluster.witness.note("all trouble ends");
        Ok(())
    }

    async fn begin_something(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        let node = self.dice.index(cluster.len());
        match self.dice.below(18) {
            0..=2 => self.change_weather(cluster),
            // Most cuts are short: they fall between the steps of a round.
            3..=7 if self.partition_ends.is_none() => self.cut(cluster, 20, 400),
            8 if self.partition_ends.is_none() => self.cut(cluster, 500, 12_000),
            9..=10 => self.crash(cluster, node)?,
            11 if self.dice.chance(25) => {
                for node in 0..cluster.len() {
                    self.crash(cluster, node)?;
                }
            }
            12 if cluster.is_up(node) && self.resumes[node].is_none() => {
                self.resumes[node] = Some(now() + self.dice.millis(200, 4_000));
                cluster.pause(node).await;
            }
            13 if cluster.world.is_borne(node) => cluster.set_clock(node, world::clock(&mut self.dice)),
            14..=15 => {
                for node in cluster.forgetful() {
                    self.end_life(cluster, node, Crash::Amnesia)?;
                }
            }
            16 => {
                for node in cluster.world.followers() {
                    self.end_life(cluster, node, Crash::DiskLost)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn change_weather(&mut self, cluster: &Cluster) {
        let fine = self.dice.chance(30);
        let slow = self.dice.below(150) + 1;
        let regions: Option<Vec<u64>> =
            self.dice.chance(40).then(|| (0..cluster.len()).map(|_| self.dice.below(REGIONS)).collect());
        // What the way between two regions takes depends on its direction.
        let ways: Vec<Duration> = (0..REGIONS * REGIONS).map(|_| self.dice.millis(20, 50 + slow)).collect();
        for from in 0..cluster.len() {
            for to in 0..cluster.len() {
                let latency = match &regions {
                    None => self.dice.millis(0, slow),
                    Some(regions) if regions[from] == regions[to] => self.dice.millis(0, 5),
                    Some(regions) => ways[place(regions[from] * REGIONS + regions[to])],
                };
                let jitter = if fine { Duration::ZERO } else { self.dice.millis(0, 20) };
                let share = |dice: &mut Dice, max| if fine { 0 } else { per_mille(dice.below(max)) };
                let loss_per_mille = share(&mut self.dice, LOSS_MAX_PER_MILLE);
                let doubled_per_mille = share(&mut self.dice, DOUBLED_MAX_PER_MILLE);
                self.weather[from][to] =
                    LinkRule { latency, jitter, loss_per_mille, doubled_per_mille, partitioned: false };
            }
        }
        self.apply(cluster);
    }

    /// Eras end and begin while the nodes cannot all speak to each other.
    fn cut_at_the_end_of_an_era(&mut self, cluster: &Cluster) {
        let ends = (cluster.witness.highest() + 2) % cluster.world.era_blocks < 2;
        if ends && self.partition_ends.is_none() && self.dice.chance(20) {
            self.cut(cluster, 500, 5_000);
        }
    }

    fn cut(&mut self, cluster: &Cluster, from_millis: u64, to_millis: u64) {
        self.sides = (0..cluster.len()).map(|_| self.dice.below(2)).collect();
        self.partition_ends = Some(now() + self.dice.millis(from_millis, to_millis));
        cluster.witness.note(&format!("partition {:?}", self.sides));
        cluster.witness.cut(self.is_cut());
        self.apply(cluster);
    }

    fn is_cut(&self) -> bool {
        self.sides.iter().any(|side| *side != self.sides[0])
    }

    fn crash(&mut self, cluster: &mut Cluster, node: usize) -> anyhow::Result<()> {
        let how = if self.dice.chance(50) { Crash::Kill } else { Crash::PowerLoss };
        self.end_life(cluster, node, how)
    }

    fn end_life(&mut self, cluster: &mut Cluster, node: usize, how: Crash) -> anyhow::Result<()> {
        if !cluster.is_up(node) {
            return Ok(());
        }
        self.resumes[node] = None;
        self.rises[node] = Some(now() + self.dice.millis(100, 5_000));
        cluster.crash(node, how)
    }

    async fn end_what_is_due(&mut self, cluster: &mut Cluster, time: Duration) -> anyhow::Result<()> {
        if self.partition_ends.take_if(|end| *end <= time).is_some() {
            let was_cut = self.is_cut();
            self.sides.iter_mut().for_each(|side| *side = 0);
            self.apply(cluster);
            cluster.witness.cut(false);
            cluster.witness.mark_laggards();
            cluster.witness.note("partition healed");
            if was_cut {
                cluster.witness.count(Sometimes::Healed);
            }
        }
        for node in 0..cluster.len() {
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
        for from in 0..cluster.len() {
            for to in (0..cluster.len()).filter(|to| *to != from) {
                let partitioned = self.sides[from] != self.sides[to];
                cluster.set_path(from, to, LinkRule { partitioned, ..self.weather[from][to] });
            }
        }
    }

    /// Fails the run at once if something happened that must not, or an honest node has given up. The engine of a liar gives up when
    /// what it finds in its log contradicts what has come back to it of its lies; its logs are emptied and it starts anew.
    async fn check(&mut self, cluster: &mut Cluster) -> anyhow::Result<()> {
        cluster.witness.assert_sound();
        for node in 0..cluster.len() {
            let Some(why) = cluster.failure(node).await else { continue };
            cluster.witness.note(&format!("node {node} failed: {why}"));
            anyhow::ensure!(
                !cluster.world.is_honest(node),
                "{}node {node} failed: {why}",
                cluster.witness.testimony().0
            );
            self.end_life(cluster, node, Crash::Amnesia)?;
        }
        Ok(())
    }

    /// Counts the times in which no side has more than two thirds.
    fn note_quorum(&mut self, cluster: &Cluster) {
        let alive = |node: &usize| cluster.is_up(*node) && self.resumes[*node].is_none();
        let on = |side| (0..cluster.len()).filter(alive).filter(|node| self.sides[*node] == side).count();
        let quorate = on(0).max(on(1)) * 3 > cluster.len() * 2;
        if self.was_quorate && !quorate {
            cluster.witness.count(Sometimes::NoQuorum);
        }
        self.was_quorate = quorate;
    }
}

fn place(index: u64) -> usize {
    usize::try_from(index).expect("a few regions")
}

fn per_mille(share: u64) -> u16 {
    u16::try_from(share).expect("below a thousand")
}
