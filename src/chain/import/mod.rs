//! Imported Ethereum chains: a genesis document and a file of blocks become a database that is only read.
//!
//! Owns the importer, its database and the chain it serves. Must not know consensus or peers. Invariants: a block is stored with
//! what came of it in one batch, after its header was found true; an import that was interrupted goes on where it was.

mod chain;
mod error;
mod file;
mod run;
mod store;
#[cfg(test)]
mod tests;

pub use chain::ImportedChain;
pub use error::ImportError;
pub use run::{Imported, import};
