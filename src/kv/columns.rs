//! The column table: every kind of record of every service has its row here, and nowhere else.

/// A separate key space. The discriminant is part of the on-disk format: never reuse one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Format version, chain identity, small singletons.
    Meta,
    /// height → block.
    Blocks,
    /// height → commit certificate.
    Certificates,
    /// height → executed Ethereum header and receipts.
    Executed,
    /// transaction hash → (height, index).
    TxIndex,
    /// Ethereum block hash → height.
    BlockIndex,
    /// address → account.
    Accounts,
    /// address ‖ slot → word.
    Slots,
    /// code hash → bytecode.
    Code,
    /// Undecided proposals by (height, round, id).
    Proposals,
    /// fragment id → state of a fragment on a miner.
    Fragments,
    /// A gateway's unfinished uploads.
    Uploads,
    /// A gateway's known files.
    Files,
    /// Parts of a state that is being taken over which are still missing.
    StateSync,
    /// height → what leads from the state after this block back to the one before.
    Undo,
    /// height ‖ number → a chunk of the state's newest checkpoint.
    Checkpoints,
    /// hash of an address or topic ‖ height → nothing: the block has a log with it.
    LogIndex,
    /// A miner's tags of fragments, and the keys they were made with.
    Tags,
    /// round ‖ part → a miner's answer to an audit, while it may be asked for.
    Answers,
    /// A verifier's or tagger's index of who holds what, and what it voted.
    Holdings,
}

impl Column {
    /// Every column.
    pub const ALL: [Column; 20] = [
        Column::Meta,
        Column::Blocks,
        Column::Certificates,
        Column::Executed,
        Column::TxIndex,
        Column::BlockIndex,
        Column::Accounts,
        Column::Slots,
        Column::Code,
        Column::Proposals,
        Column::Fragments,
        Column::Uploads,
        Column::Files,
        Column::StateSync,
        Column::Undo,
        Column::Checkpoints,
        Column::LogIndex,
        Column::Tags,
        Column::Answers,
        Column::Holdings,
    ];

    /// Name of the column family on disk.
    pub const fn name(self) -> &'static str {
        match self {
            Column::Meta => "meta",
            Column::Blocks => "blocks",
            Column::Certificates => "certificates",
            Column::Executed => "executed",
            Column::TxIndex => "tx-index",
            Column::BlockIndex => "block-index",
            Column::Accounts => "accounts",
            Column::Slots => "slots",
            Column::Code => "code",
            Column::Proposals => "proposals",
            Column::Fragments => "fragments",
            Column::Uploads => "uploads",
            Column::Files => "files",
            Column::StateSync => "state-sync",
            Column::Undo => "undo",
            Column::Checkpoints => "checkpoints",
            Column::LogIndex => "log-index",
            Column::Tags => "tags",
            Column::Answers => "answers",
            Column::Holdings => "holdings",
        }
    }

    /// Memory a column gathers writes in before they become a table file. One process holds many databases, so it is small;
    /// the columns of every block get more.
    pub const fn memtable_bytes(self) -> usize {
        match self {
            Column::Blocks
            | Column::Executed
            | Column::Accounts
            | Column::Slots
            | Column::TxIndex
            | Column::Undo
            | Column::LogIndex => 16 << 20,
            _ => 4 << 20,
        }
    }
}
