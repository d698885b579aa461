//! The state machine: transactions, EVM, protocol modules, genesis. Pure and deterministic.
//!
//! Must not know block transport or the database engine.

pub mod abi;
pub mod audit;
pub mod commitment;
pub mod contents;
pub mod ethereum;
pub mod executor;
pub mod genesis;
#[cfg(test)]
mod golden;
pub mod header;
pub mod layers;
pub mod manifest;
pub mod market;
pub mod modules;
pub mod native;
pub mod placement;
pub mod predeploys;
pub mod receipt;
pub mod repair;
pub mod snapshot;
pub mod state;
mod trie;
pub mod tx;
pub mod unsigned;
mod wire;
pub mod witness;
