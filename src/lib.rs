//! `cess`: a decentralised storage cloud as one library. The binary is a thin face of it.
//!
//! Folders are layers; `tests/tidy` enforces which may import which (see ARCHITECTURE.md).

pub mod access;
pub mod chain;
pub mod cli;
pub mod client;
pub mod codec;
pub mod config;
pub mod consensus;
pub mod crypto;
pub mod gateway;
pub mod kv;
pub mod ledger;
pub mod localnet;
pub mod network;
pub mod proofs;
pub mod roles;
pub mod rpc;
pub mod runtime;
pub mod storage;
pub mod tee;
pub mod types;
