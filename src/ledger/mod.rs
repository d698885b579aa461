//! The state machine: transactions, EVM, protocol modules, genesis. Pure and deterministic.
//!
//! Must not know block transport or the database engine.

pub mod abi;
pub mod manifest;
pub mod modules;
pub mod placement;
pub mod receipt;
