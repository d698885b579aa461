//! What a libp2p host is started with, and its fixed bounds.

use crate::crypto::SecretKey;
use libp2p::Multiaddr;
use std::time::Duration;

/// Default limit of connections.
const DEFAULT_MAX_CONNECTIONS: u32 = 512;
/// Default limit of connections to one peer: two hosts may dial each other at once, over TCP and over QUIC.
const DEFAULT_MAX_CONNECTIONS_PER_PEER: u32 = 4;

/// Connections in either direction that are still being set up.
pub(super) const MAX_PENDING_CONNECTIONS: u32 = 256;
/// Addresses remembered of one peer.
pub(super) const MAX_ADDRESSES_PER_PEER: usize = 16;
/// Peers whose addresses are remembered.
pub(super) const MAX_KNOWN_PEERS: usize = 16_384;
/// Commands that wait for the swarm; callers wait for room.
pub(super) const MAX_WAITING_COMMANDS: usize = 1024;
/// Inbound requests that wait for a handler task; more are refused.
pub(super) const MAX_WAITING_REQUESTS: usize = 256;
/// Inbound requests being handled at once. Long polls count.
pub(super) const MAX_HANDLED_REQUESTS: usize = 2048;
/// Inbound requests of one peer being handled at once; more are refused.
pub(super) const MAX_HANDLED_PER_PEER: usize = 256;
/// Requests in both directions under way on one connection.
pub(super) const MAX_REQUESTS_PER_CONNECTION: usize = 512;
/// Bytes of inbound request bodies in memory at once.
pub(super) const MAX_INBOUND_BODY_BYTES: usize = 256 << 20;
/// Inbound streams whose opener has not yet said what it wants.
pub(super) const MAX_GREETINGS: usize = 512;
/// Streams whose sending direction is being closed in order.
pub(super) const MAX_CLOSING_STREAMS: usize = 4096;
/// Longest protocol name on the wire.
pub(super) const PROTOCOL_NAME_MAX_BYTES: usize = 64;
/// Longest reason of a refusal on the wire.
pub(super) const REASON_MAX_BYTES: usize = 1024;

/// Longest life of a request, whatever its own deadline.
pub(super) const REQUEST_MAX_LIFE: Duration = Duration::from_secs(300);
/// Longest time to receive an inbound request.
pub(super) const REQUEST_READ_DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for the opener of an inbound stream to say what it wants.
pub(super) const GREETING_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for a slow receiver when a stream closes in order.
pub(super) const CLOSING_DEADLINE: Duration = Duration::from_secs(60);
/// Longest wait for a connection to be secured.
pub(super) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for listeners to report their addresses.
pub(super) const LISTEN_DEADLINE: Duration = Duration::from_secs(10);
/// Longest wait for connections to close at shutdown.
pub(super) const SHUTDOWN_DEADLINE: Duration = Duration::from_millis(500);
/// Pause between attempts to reach absent bootstrap peers.
pub(super) const BOOTSTRAP_PERIOD: Duration = Duration::from_secs(5);
/// An idle connection stays: dead ones are found by pings.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(365 * 24 * 3600);

/// How to start a host.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// The ed25519 network key; its public half is the peer id.
    pub key: SecretKey,
    /// Name of the network, part of every protocol name that discovers peers or spreads messages.
    pub chain_tag: String,
    /// Addresses to listen on, `/ip4/…/tcp/…` and `/ip4/…/udp/…/quic-v1`. Port 0 takes a free one.
    pub listen: Vec<Multiaddr>,
    /// Addresses others reach this host at beside those it listens on, behind a port forwarding for instance.
    pub external: Vec<Multiaddr>,
    /// Agent string shown to peers, `cess/<version> <role>`.
    pub agent: String,
    /// Peers to stay connected to, each address ending in `/p2p/<peer>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Limit of connections.
    pub max_connections: u32,
    /// Limit of connections to one peer.
    pub max_connections_per_peer: u32,
    /// New connections are refused while the process uses more physical memory than this.
    pub memory_limit_bytes: Option<usize>,
    /// Whether to answer lookups of other peers. Off for hosts that cannot be dialled.
    pub serve_lookups: bool,
}

impl HostConfig {
    /// A configuration with every limit at its default and no bootstrap peers.
    pub fn new(key: SecretKey, chain_tag: impl Into<String>, listen: Vec<Multiaddr>) -> Self {
        Self {
            key,
            chain_tag: chain_tag.into(),
            listen,
            external: Vec::new(),
            agent: concat!("cess/", env!("CARGO_PKG_VERSION")).to_owned(),
            bootstrap: Vec::new(),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            max_connections_per_peer: DEFAULT_MAX_CONNECTIONS_PER_PEER,
            memory_limit_bytes: None,
            serve_lookups: true,
        }
    }
}
