//! Wire protocols through which users reach their files: HTTP is the only one here.
//!
//! Owns requests, answers, ranges and upload handles. Must not know how files are dispersed (that is `storage`) or how the
//! chain works (that is behind the chain client). Invariants: memory is bounded by a few segments per request; an offset that
//! was reported survives a restart of the gateway; a refusal names the object and the bound.

pub mod deoss;
mod files;
mod range;
mod reply;
mod rpc;
pub mod s3;
mod server;
mod uploads;

pub use server::{Gateway, GatewayConfig, GatewayHandle};
