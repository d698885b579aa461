//! The libp2p swarm: transports and protocols with their bounds.

use super::{
    config::{
        HANDSHAKE_DEADLINE, HostConfig, IDLE_TIMEOUT, MAX_PENDING_CONNECTIONS, MAX_REQUESTS_PER_CONNECTION,
        REQUEST_MAX_LIFE,
    },
    mux::Mux,
    secure::Tls,
    wire::{REQUEST_PROTOCOL, RequestCodec},
};
use crate::network::{
    port::{GOSSIP_MAX_BYTES, NetError},
    registry::{GOSSIP_MEMORY, gossip_id},
};
use libp2p::{
    StreamProtocol, Swarm, SwarmBuilder,
    connection_limits::{self, ConnectionLimits},
    gossipsub, identify,
    identity::Keypair,
    kad, memory_connection_limits, noise, ping, request_response,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
    tcp,
};
use std::{num::NonZeroUsize, time::Duration};

/// Room for the signature, key and topic of a gossip message.
const GOSSIP_ENVELOPE_BYTES: usize = 4096;
/// Gossip messages that wait for one connection; they expire within seconds.
const GOSSIP_MAX_QUEUED: usize = 512;
/// Commands that wait for one connection.
const CONNECTION_MAX_COMMANDS: NonZeroUsize = NonZeroUsize::new(128).expect("not zero");
/// Events of one connection that wait for the swarm.
const CONNECTION_MAX_EVENTS: usize = 128;
/// Streams of one connection over QUIC; the multiplexer over TCP has the same limit.
const CONNECTION_MAX_STREAMS: u32 = 512;
/// Inbound streams of one connection whose protocol is still being negotiated.
const CONNECTION_MAX_NEGOTIATING: usize = 512;
/// Records of other peers kept for the lookup service; this network stores none in it.
const LOOKUP_MAX_RECORDS: usize = 16;

/// The protocols of a host. Limits come first: they refuse a connection before anything else learns of it.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    limits: connection_limits::Behaviour,
    memory: Toggle<memory_connection_limits::Behaviour>,
    pub(super) identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(super) kad: kad::Behaviour<kad::store::MemoryStore>,
    pub(super) gossip: gossipsub::Behaviour,
    pub(super) requests: request_response::Behaviour<RequestCodec>,
    pub(super) streams: libp2p_stream::Behaviour,
}

/// Identify's protocol version: hosts of another network are told apart by it.
pub(super) fn network_version(chain_tag: &str) -> String {
    format!("/cess/{chain_tag}/1")
}

/// The swarm of a host, not yet listening.
pub(super) fn build(config: &HostConfig) -> Result<Swarm<Behaviour>, NetError> {
    let failed = |reason: String| NetError::Listen { addr: "the host".to_owned(), reason };
    let mut secret = config.key.to_bytes();
    let keypair = Keypair::ed25519_from_bytes(&mut secret[..]).map_err(|e| failed(e.to_string()))?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::new().nodelay(true), (Tls::new, noise::Config::new), Mux::default)
        .map_err(|e| failed(e.to_string()))?
        .with_quic_config(|mut quic| {
            quic.max_concurrent_stream_limit = CONNECTION_MAX_STREAMS;
            quic
        })
        .with_dns()
        .map_err(|e| failed(format!("cannot read the resolver's configuration: {e}")))?
        .with_behaviour(|keypair| Behaviour::new(config, keypair))
        .map_err(|e| failed(e.to_string()))?
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_notify_handler_buffer_size(CONNECTION_MAX_COMMANDS)
                .with_per_connection_event_buffer_size(CONNECTION_MAX_EVENTS)
                .with_max_negotiating_inbound_streams(CONNECTION_MAX_NEGOTIATING)
        })
        .with_connection_timeout(HANDSHAKE_DEADLINE)
        .build();
    Ok(swarm)
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

impl Behaviour {
    fn new(config: &HostConfig, keypair: &Keypair) -> Result<Self, BoxedError> {
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING_CONNECTIONS))
            .with_max_pending_outgoing(Some(MAX_PENDING_CONNECTIONS))
            .with_max_established(Some(config.max_connections))
            .with_max_established_per_peer(Some(config.max_connections_per_peer));
        let identify = identify::Config::new(network_version(&config.chain_tag), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true);
        let requests = request_response::Config::default()
            .with_request_timeout(REQUEST_MAX_LIFE)
            .with_max_concurrent_streams(MAX_REQUESTS_PER_CONNECTION);
        let protocols = [(REQUEST_PROTOCOL, request_response::ProtocolSupport::Full)];
        Ok(Self {
            limits: connection_limits::Behaviour::new(limits),
            memory: config.memory_limit_bytes.map(memory_connection_limits::Behaviour::with_max_bytes).into(),
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::default(),
            kad: lookup(config, keypair)?,
            gossip: gossip(keypair)?,
            requests: request_response::Behaviour::with_codec(RequestCodec::new(), protocols, requests),
            streams: libp2p_stream::Behaviour::new(),
        })
    }
}

fn lookup(config: &HostConfig, keypair: &Keypair) -> Result<kad::Behaviour<kad::store::MemoryStore>, BoxedError> {
    let peer = keypair.public().to_peer_id();
    let store = kad::store::MemoryStoreConfig {
        max_records: LOOKUP_MAX_RECORDS,
        max_provided_keys: LOOKUP_MAX_RECORDS,
        ..Default::default()
    };
    let protocol = StreamProtocol::try_from_owned(format!("/cess/{}/kad/1", config.chain_tag))?;
    let mut kad_config = kad::Config::new(protocol);
    kad_config.set_query_timeout(Duration::from_secs(10));
    let mut kad = kad::Behaviour::with_config(peer, kad::store::MemoryStore::with_config(peer, store), kad_config);
    kad.set_mode(Some(if config.serve_lookups { kad::Mode::Server } else { kad::Mode::Client }));
    Ok(kad)
}

/// Gossip for networks of four nodes as well as of thousands: own messages go to every peer of the topic, others' through
/// a mesh of six.
fn gossip(keypair: &Keypair) -> Result<gossipsub::Behaviour, BoxedError> {
    let config = gossipsub::ConfigBuilder::default()
        .heartbeat_initial_delay(Duration::from_millis(300))
        .heartbeat_interval(Duration::from_millis(700))
        .mesh_n(6)
        .mesh_n_low(4)
        .mesh_n_high(12)
        .mesh_outbound_min(2)
        .gossip_lazy(6)
        .history_length(6)
        .history_gossip(3)
        .flood_publish(true)
        // Not to judge messages, but to choose when they are passed on: see `forwards`.
        .validate_messages()
        .max_transmit_size(GOSSIP_MAX_BYTES + GOSSIP_ENVELOPE_BYTES)
        .connection_handler_queue_len(GOSSIP_MAX_QUEUED)
        .duplicate_cache_time(GOSSIP_MEMORY)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .message_id_fn(|message| gossipsub::MessageId::new(&gossip_id(message.topic.as_str(), &message.data)))
        .build()?;
    let author = gossipsub::MessageAuthenticity::Signed(keypair.clone());
    Ok(gossipsub::Behaviour::new(author, config)?)
}
