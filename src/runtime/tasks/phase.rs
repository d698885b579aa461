//! The order in which a node stops.

use std::time::Duration;

/// When in the shutdown a task stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Takes requests and connections from outside.
    Accept,
    /// Finishes requests already taken.
    Drain,
    /// Produces work by itself: consensus, audits, repair.
    Produce,
    /// Keeps the connections to peers.
    Network,
    /// Flushes and closes what is on disk.
    Store,
}

impl Phase {
    /// Every phase, in the order of the shutdown.
    pub const ORDER: [Phase; 5] = [Phase::Accept, Phase::Drain, Phase::Produce, Phase::Network, Phase::Store];

    /// Position in [`Phase::ORDER`].
    pub(super) const fn index(self) -> usize {
        match self {
            Phase::Accept => 0,
            Phase::Drain => 1,
            Phase::Produce => 2,
            Phase::Network => 3,
            Phase::Store => 4,
        }
    }

    /// How long shutdown waits for the tasks of this phase before it aborts them.
    pub const fn deadline(self) -> Duration {
        match self {
            Phase::Accept => Duration::from_secs(2),
            Phase::Drain => Duration::from_secs(10),
            Phase::Produce => Duration::from_secs(5),
            Phase::Network => Duration::from_secs(3),
            Phase::Store => Duration::from_secs(20),
        }
    }
}

/// What the end of a task means for its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Criticality {
    /// The node cannot go on without it.
    Critical,
    /// The node goes on.
    Optional,
}
