//! A whole network on one machine: validators, miners and gateways in one process, or each in its own.
//!
//! Owns the plan on disk, genesis, the nodes' lives and the control port. Must not know what a role does inside.
//! Invariants: a stopped localnet continues from its directory with everything it acknowledged; two localnets never share
//! a directory; no file outside the directory is touched.

mod control;
mod error;
mod host;
mod materialise;
mod net;
mod plan;
mod ready;
mod start;

pub use control::{Action, act, status, stop};
pub use error::LocalnetError;
pub use materialise::DEV_BALANCE_TOKENS;
pub use net::Localnet;
pub use plan::{GATEWAY_PORT, IDLE_SPACE, LocalnetOptions, NodePlan, Plan, PlannedKey, RPC_PORT, S3_PORT};
pub use ready::{NodeState, READY_FILE, ReadyAccount, ReadyDocument, ReadyNode, ReadyS3};
pub use start::{Running, start};
