//! How a node without a chain joins one.

crate::types::keyword::keyword! {
    /// What a node without a chain of its own does about the blocks of the past.
    pub enum SyncMode {
        /// Takes over a state if the network is far ahead and offers one, else executes every block.
        #[default]
        Auto = "auto",
        /// Executes every block since genesis.
        Blocks = "blocks",
        /// Takes over a state, and does not start without one.
        State = "state",
    }
}
