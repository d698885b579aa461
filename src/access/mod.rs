//! Objects over the storage layer: what buckets, keys, versions and uploads mean, and where their bytes lie.
//!
//! Owns namespaces, their metadata, encryption and the packing of bytes into files of the chain. Must not know wire protocols.
//! Invariants: what was acknowledged survives the loss of this gateway and of any one journal miner; one gateway at a time decides
//! about a bucket; memory is bounded whatever is sent.

pub mod blobs;
pub mod data;
pub mod engine;
pub mod group;
pub mod journal;
pub mod objects;
pub mod service;
pub mod store;
