//! The client against a fake chain, over real sockets and over tunnels.

mod fake;
mod market;
mod remote;
mod tunnel;
mod wallet;
