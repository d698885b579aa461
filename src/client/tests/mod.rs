//! The client against a fake chain, over real sockets and over tunnels.

mod fake;
pub(crate) mod fake_names;
mod keys;
mod market;
mod names;
mod remote;
mod tunnel;
mod wallet;
