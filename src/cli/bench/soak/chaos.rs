//! Kills validators' processes at random moments and starts them again.
//!
//! Owns when, whom and for how long. Must not know what the nodes have to keep. Invariants: every choice is
//! drawn from the seed; when it ends, every node runs.

use super::witness::Witness;
use crate::{
    localnet::{Action, Localnet, LocalnetError},
    runtime::NodeRng,
};
use futures::{StreamExt, future::try_join_all, stream::FuturesUnordered};
use serde::Serialize;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// Pause between two strikes.
const PAUSE_MAX_MS: u64 = 4_000;
/// Pause before a strike that follows hard upon the last one.
const HARD_UPON_MAX_MS: u64 = 60;
/// How long a killed node stays down.
const DOWN_MAX_MS: u64 = 1_500;
/// How far a start comes that is struck down itself.
const START_MAX_MS: u64 = 600;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Strikes {
    /// Processes killed while they worked.
    pub kills: u64,
    /// Processes killed while they started.
    pub killed_starts: u64,
    /// Starts that came through.
    pub restarts: u64,
    /// Strikes that took two at once.
    pub pairs: u64,
    /// Strikes that took all that ran.
    pub all_at_once: u64,
    /// Times fewer than a quorum were left.
    pub quorum_losses: u64,
}

/// The one who kills.
pub struct Chaos<'a> {
    /// Whose nodes.
    pub localnet: &'a Localnet,
    /// Names of the validators.
    pub names: Vec<String>,
    /// Learns how many run.
    pub witness: &'a Witness,
    /// Decides.
    pub rng: &'a NodeRng,
}

struct Down {
    node: usize,
    pause: Duration,
    /// When a first start is struck down, before the one that comes through.
    failed_start: Option<Duration>,
}

impl Chaos<'_> {
    /// Kills and starts until `end`, then waits until every node runs.
    pub async fn run(&self, end: Instant) -> Result<Strikes, LocalnetError> {
        let (mut strikes, mut returning) = (Strikes::default(), FuturesUnordered::new());
        let mut running: BTreeSet<usize> = (0..self.names.len()).collect();
        let mut next = Instant::now() + self.pause();
        loop {
            let striking = next < end && !running.is_empty();
            tokio::select! {
                Some(returned) = returning.next(), if !returning.is_empty() => {
                    running.insert(returned?);
                    strikes.restarts += 1;
                    self.witness.runs(running.len(), std::time::Instant::now());
                }
                () = sleep_until(next), if striking => {
                    let victims = self.victims(&running);
                    self.strike(&victims).await?;
                    let before = running.len();
                    running.retain(|node| !victims.contains(node));
                    self.witness.runs(running.len(), std::time::Instant::now());
                    strikes.count(victims.len(), before, running.len(), self.quorum());
                    for node in victims {
                        let down = self.down(node);
                        strikes.killed_starts += u64::from(down.failed_start.is_some());
                        returning.push(self.bring_back(down));
                    }
                    next = Instant::now() + self.pause();
                }
                else => return Ok(strikes),
            }
        }
    }

    fn quorum(&self) -> usize {
        self.names.len() * 2 / 3 + 1
    }

    fn millis(&self, max: u64) -> Duration {
        Duration::from_millis(self.rng.below(max + 1))
    }

    fn one_in(&self, n: u64) -> bool {
        self.rng.below(n) == 0
    }

    fn pause(&self) -> Duration {
        self.millis(if self.one_in(4) { HARD_UPON_MAX_MS } else { PAUSE_MAX_MS })
    }

    /// Mostly one, sometimes two, sometimes all that run.
    fn victims(&self, running: &BTreeSet<usize>) -> Vec<usize> {
        let count = match self.rng.below(16) {
            0 => running.len(),
            1..=3 => 2,
            _ => 1,
        };
        let mut left: Vec<usize> = running.iter().copied().collect();
        let mut victims = Vec::new();
        while victims.len() < count && !left.is_empty() {
            let at = self.rng.below(u64::try_from(left.len()).expect("a few nodes"));
            victims.push(left.swap_remove(usize::try_from(at).expect("below a length")));
        }
        victims
    }

    async fn strike(&self, victims: &[usize]) -> Result<(), LocalnetError> {
        let kills = victims.iter().map(|node| self.localnet.act(Action::Kill, &self.names[*node]));
        try_join_all(kills).await.map(drop)
    }

    fn down(&self, node: usize) -> Down {
        let failed_start = self.one_in(4).then(|| self.millis(START_MAX_MS));
        Down { node, pause: self.millis(DOWN_MAX_MS), failed_start }
    }

    async fn bring_back(&self, down: Down) -> Result<usize, LocalnetError> {
        let name = &self.names[down.node];
        sleep(down.pause).await;
        if let Some(after) = down.failed_start {
            self.localnet.start_and_kill(name, after).await?;
        }
        self.localnet.act(Action::Start, name).await?;
        Ok(down.node)
    }
}

impl Strikes {
    fn count(&mut self, victims: usize, before: usize, after: usize, quorum: usize) {
        self.kills += u64::try_from(victims).unwrap_or(u64::MAX);
        self.pairs += u64::from(victims == 2);
        self.all_at_once += u64::from(victims == before && victims > 2);
        self.quorum_losses += u64::from(before >= quorum && after < quorum);
    }
}
