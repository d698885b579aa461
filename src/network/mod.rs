//! The network port: one host per node, behind which stands libp2p or an in-memory twin.
//!
//! Owns connections, identities, framing, limits and back-pressure. Must not know what a message means.
//! Invariants: a peer id is proven by the transport; every frame has a cap that is checked before memory is reserved;
//! a slow receiver slows its sender, it never grows a queue without bound.

mod host;
mod memory;
mod pipe;
mod port;
mod registry;

#[cfg(test)]
mod tests;

pub use host::{HostConfig, Libp2pNetwork};
pub use libp2p::{Multiaddr, PeerId};
pub use memory::{LinkRule, MemoryHub, MemoryNetwork};
pub use port::{
    FRAME_ALIGN_BYTES, FRAME_MAX_BYTES, FrameSink, FrameSource, Frames, GOSSIP_MAX_BYTES, NetError, Network, PeerEvent,
    PeerInfo, Protocol, REQUEST_MAX_BYTES, RequestHandler, Topic, peer_id_of,
};
