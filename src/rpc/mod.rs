//! JSON-RPC over HTTP and WebSocket on one port, and the same calls over tunnels.
//!
//! Owns the server, its limits, error codes and the raw call entry. Must not know any method's meaning: folders that have
//! methods register them in an [`RpcModule`]. Invariant: no request, batch, answer or connection count is unbounded.

pub mod error;
mod front;
mod guard;
pub mod limits;
mod module;
mod server;

pub use error::RpcError;
pub use jsonrpsee::RpcModule;
pub use jsonrpsee::types::{ErrorObjectOwned, Params};
pub use module::call_raw;
pub use server::{Server, ServerHandle};

#[cfg(test)]
mod tests;
