//! The BFT driver: runs the consensus engine over the node's own network and hands decided blocks to an [`Application`].
//!
//! Owns votes, proposals in flight, the write-ahead log and value sync. Must not know what a transaction means.
//! Invariants: a block is handed to [`Application::commit`] once per height, in order, with a certificate that verifies;
//! a validator never signs two different votes for one height, round and step, restarts included.

mod announced;
mod app;
mod catch_up;
mod codec;
mod driver;
mod hub;
mod links;
mod network_actor;
mod offences;
mod outbox;
mod pace;
mod proposal_log;
mod proposals;
mod signing;
mod start;
mod sync;
#[cfg(test)]
mod tests;
pub mod wire;

pub use app::{Application, Tip};
pub use start::{BftConfig, BftHandle, Misbehaviour, start};
