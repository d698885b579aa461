//! Which gateway decides about a bucket, and how the others reach it.
//!
//! Owns the record of a bucket's owner in the chain's names, leases, take-overs and the forwarding of operations. Must not know what an
//! operation means, how bytes travel between gateways or what a journal keeps: these are the ports [`Peers`], [`Journals`] and [`Executor`].
//! Invariants: at no time do two gateways answer for a bucket (the next owner waits out the lease of the one before, counted from the
//! moment no miner majority can renew it); a gateway without a lease answers nothing, reads included; an operation goes to a bounded number of
//! owners and ends by its deadline; who is not of the group is not answered.

mod answer;
mod forward;
mod gateways;
mod lease;
mod life;
mod link;
mod names;
mod ownership;
mod place;
mod port;
mod recent;
mod serving;
mod takeover;
mod wire;

#[cfg(test)]
mod tests;

pub use gateways::{Gateways, GroupPorts};
pub use lease::{HEARTBEAT, LEASE, LEASE_MARGIN, SILENCE};
pub use names::ChainOwners;
pub use ownership::{BucketKey, GatewayKey, Held, JOURNAL_MEMBERS, Members, OWNER_NAME, Ownership};
pub use port::{
    Executor, Grant, GroupError, Holding, JournalFault, Journals, OpId, Owners, OwnersFault, PeerFault, PeerHandler,
    Peers, Session, SessionFault, SwapFault,
};
pub use wire::OP_MAX_BYTES;
