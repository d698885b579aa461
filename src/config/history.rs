//! How much of the past a chain node can read.

crate::types::keyword::keyword! {
    /// Whose states a chain node keeps readable.
    pub enum History {
        /// Those of the newest blocks.
        #[default]
        Pruned = "pruned",
        /// That of every block since the node has the chain.
        Archive = "archive",
    }
}
