//! Things that must happen sometimes, or the runs were too tame.

use crate::zoo::Vice;

/// Something that must happen in some of the seeds that every run of the tests goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sometimes {
    /// A block was decided after round 0.
    LaterRound,
    /// A block was decided in a later round than it was proposed for.
    Reproposed,
    /// A node restarted in the middle of a height it had spoken in.
    WalReplay,
    /// A node that was three blocks or more behind reached the others.
    CatchUp,
    /// A partition was healed.
    Healed,
    /// A process was killed.
    Killed,
    /// A machine lost power and with it what was not synced.
    PowerLost,
    /// A node lost everything it had stored.
    DiskLost,
    /// A node began with a state it had not executed.
    StateSync,
    /// A process was stopped and continued.
    Paused,
    /// More than a third was down or cut off at a time.
    NoQuorum,
    /// A transaction became final.
    Transaction,
    /// An era began.
    EraChange,
    /// An era began while the network was cut in two.
    EraChangeInPartition,
    /// An era began with another committee than the one before.
    NewCommittee,
    /// A block bore a time that had not come yet.
    FutureBlock,
    /// A block could only be a millisecond younger than its parent, which a clock ahead of the proposer's had dated.
    PushedBlock,
    /// A block was built while its parent was being executed.
    BuiltAhead,
    /// A clock was set in the middle of a run.
    ClockSet,
    /// Some node of a run had a clock that nobody else can accept.
    ClockBeyondBounds,
    /// An honest node held two messages in its hands that one member must not both sign.
    EquivocationSeen,
    /// An equivocation was punished on chain.
    EquivocationPunished,
    /// A member lied, in this way.
    Lied(Vice),
}

impl Sometimes {
    /// What happens to honest nodes, too.
    const EVENTS: [Self; 22] = [
        Self::LaterRound,
        Self::Reproposed,
        Self::WalReplay,
        Self::CatchUp,
        Self::Healed,
        Self::Killed,
        Self::PowerLost,
        Self::DiskLost,
        Self::StateSync,
        Self::Paused,
        Self::NoQuorum,
        Self::Transaction,
        Self::EraChange,
        Self::EraChangeInPartition,
        Self::NewCommittee,
        Self::FutureBlock,
        Self::PushedBlock,
        Self::BuiltAhead,
        Self::ClockSet,
        Self::ClockBeyondBounds,
        Self::EquivocationSeen,
        Self::EquivocationPunished,
    ];

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::EVENTS.into_iter().chain(Vice::ALL.map(Self::Lied))
    }
}
