//! Members that lie: whole nodes of the product whose words are changed on their way out, by somebody who has their keys.
//!
//! Owns what a liar says. A liar hears everything as it was said, and its own engine believes that it said what it meant. Every lie
//! is a function of the seed and of what it is about, so that it stays the same when it is repeated and differs between peers only
//! where that is the point.

mod forge;
mod host;
mod mind;

pub use host::LyingHost;
pub use mind::{Mind, Plot};

/// A way to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vice {
    /// Proposes two blocks in one turn, one to some and one to others, or both to all.
    TwoProposals,
    /// Votes twice in one step.
    TwoVotes,
    /// Says nothing, to some or to all.
    Silence,
    /// Forgets what it has signed: its logs are emptied, or it votes as if no vote before had bound it.
    Amnesia,
    /// Holds frames back for seconds, so that later ones overtake them.
    Delay,
    /// Proposes a block that breaks a rule.
    BadBlock,
    /// Proposes a block whose beacon proof is not valid.
    BadVrf,
    /// Proposes old blocks again, out of turn, under false rounds.
    Stale,
    /// Says things twice, and old things again.
    Echo,
    /// Claims to be where it is not.
    Boast,
    /// Sends proofs of votes that nobody cast.
    FalseProof,
    /// Answers those that are behind with what is not the chain, or not at all.
    FalseSync,
}

impl Vice {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::TwoProposals,
        Self::TwoVotes,
        Self::Silence,
        Self::Amnesia,
        Self::Delay,
        Self::BadBlock,
        Self::BadVrf,
        Self::Stale,
        Self::Echo,
        Self::Boast,
        Self::FalseProof,
        Self::FalseSync,
    ];
}
