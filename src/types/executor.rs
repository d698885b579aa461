//! How a chain node runs its blocks.

super::keyword::keyword! {
    /// Which executor runs blocks. The outcome is the same.
    pub enum ExecutorChoice {
        /// The one that seems fastest for the machine and the block.
        #[default]
        Auto = "auto",
        /// One transaction after the other.
        Serial = "serial",
        /// Several threads, each transaction ahead of its turn.
        BlockStm = "block-stm",
    }
}
