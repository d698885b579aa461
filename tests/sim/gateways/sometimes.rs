//! Things that must happen sometimes among gateways, or the runs were too tame.

/// Declares the list once: its variants and all of them in a row.
macro_rules! sometimes {
    ($($(#[doc = $what:literal])+ $name:ident,)+) => {
        /// Something that must happen in some of the seeds that every run of the tests goes through.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sometimes {
            $($(#[doc = $what])+ $name,)+
        }

        impl Sometimes {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];
        }
    };
}

sometimes! {
    /// A bucket came to another gateway than the one before.
    TakenOver,
    /// The gateway before was alive.
    TakenFromTheLiving,
    /// A gateway opened its own bucket once more.
    OpenedAgain,
    /// An operation was executed by another gateway than it was asked of.
    Forwarded,
    /// A gateway was killed.
    Killed,
    /// It lost its disk, too.
    CacheLost,
    /// A gateway was stopped in order.
    Stopped,
    /// A gateway was frozen and went on.
    Paused,
    /// A gateway did not reach the chain for a while.
    CutFromChain,
    /// A gateway did not reach any journal miner for a while.
    CutFromMiners,
    /// A gateway did not reach one of them.
    CutFromOneMiner,
    /// Two gateways did not reach each other.
    CutFromEachOther,
    /// A gateway did not reach those who hold its bodies.
    CutFromDepot,
    /// A journal miner was killed.
    MinerKilled,
    /// A journal miner lost power and with it what was not synced.
    MinerPowerLost,
    /// A journal miner lost its disk.
    MinerDiskLost,
    /// Two of a bucket's three journal miners were away at the same time.
    TwoMinersAway,
    /// A journal miner was slow.
    MinerSlow,
    /// A journal moved to another miner.
    MinerReplaced,
    /// The chain was slow.
    ChainSlow,
    /// What became of a change on the chain was not heard.
    ChainMute,
    /// A gateway's clock was set.
    ClockSet,
    /// Tables were written in the middle of it all.
    Flushed,
    /// A client never learnt what became of a write.
    Unknown,
    /// What a client never learnt had been done.
    UnknownDone,
    /// A put on condition that there is nothing succeeded.
    ConditionHeld,
    /// It was refused because there was something.
    ConditionRefused,
    /// An upload was completed.
    Completed,
    /// It was completed twice at the same time.
    CompletedTwice,
    /// It was completed and aborted at the same time.
    CompletedAndAborted,
    /// An object was copied by reference.
    Copied,
    /// Garbage was collected while clients waited for answers of the bucket.
    CollectedInRace,
    /// A pack of another gateway, or of a life that ended, was finished.
    PackAdopted,
    /// Contents were written to another pack.
    PackRewritten,
    /// A file was removed while clients waited for answers of the bucket.
    RemovedInRace,
    /// An object expired.
    Expired,
    /// A file was left that no record names.
    Orphan,
}
