//! Hosts to test with, and how to wait.

use crate::{
    crypto::SecretKey,
    network::{
        Frames, HostConfig, Libp2pNetwork, MemoryHub, Network, PeerEvent, PeerId, Protocol, RequestHandler, peer_id_of,
    },
    runtime::{CpuPool, Node},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc},
    time::timeout,
};

/// Longest wait of a test for anything that is to happen.
pub const SOON: Duration = Duration::from_secs(30);
/// A protocol of the tests.
pub const ECHO: Protocol = Protocol("/cess/echo/1");
/// Another one.
pub const BULK: Protocol = Protocol("/cess/bulk-test/1");

/// Starts hosts of one implementation.
#[async_trait]
pub trait Rig: Send {
    /// A host that keeps at most `max_connections`.
    async fn limited(&mut self, seed: u8, max_connections: u32) -> Arc<dyn Network>;

    /// A host.
    async fn host(&mut self, seed: u8) -> Arc<dyn Network> {
        self.limited(seed, 100).await
    }

    /// Two connected hosts.
    async fn pair(&mut self) -> (Arc<dyn Network>, Arc<dyn Network>) {
        let (a, b) = (self.host(1).await, self.host(2).await);
        connect(&a, &b).await;
        (a, b)
    }
}

/// libp2p hosts on loopback.
pub struct HostRig {
    listen: &'static str,
    nodes: Vec<Node>,
}

impl HostRig {
    pub fn tcp() -> Self {
        Self { listen: "/ip4/127.0.0.1/tcp/0", nodes: Vec::new() }
    }

    pub fn quic() -> Self {
        Self { listen: "/ip4/127.0.0.1/udp/0/quic-v1", nodes: Vec::new() }
    }

    pub fn config(&self, seed: u8) -> HostConfig {
        HostConfig::new(SecretKey::from_bytes(&[seed; 32]), "test", vec![self.listen.parse().unwrap()])
    }

    pub async fn start(&mut self, config: HostConfig) -> Arc<Libp2pNetwork> {
        let node = Node::new("test", CpuPool::new("test", 1));
        let host = Libp2pNetwork::start(config, &node).await.unwrap();
        self.nodes.push(node);
        host
    }
}

#[async_trait]
impl Rig for HostRig {
    async fn limited(&mut self, seed: u8, max_connections: u32) -> Arc<dyn Network> {
        let mut config = self.config(seed);
        config.max_connections = max_connections;
        self.start(config).await
    }
}

/// Hosts of an in-memory hub.
pub struct MemoryRig {
    hub: Arc<MemoryHub>,
}

impl MemoryRig {
    pub fn new() -> Self {
        Self { hub: MemoryHub::new(7) }
    }
}

#[async_trait]
impl Rig for MemoryRig {
    async fn limited(&mut self, seed: u8, max_connections: u32) -> Arc<dyn Network> {
        self.hub.join_limited(peer(seed), usize::try_from(max_connections).unwrap())
    }
}

/// The peer id of a test key.
pub fn peer(seed: u8) -> PeerId {
    peer_id_of(&SecretKey::from_bytes(&[seed; 32]).public()).unwrap()
}

pub async fn connect(a: &Arc<dyn Network>, b: &Arc<dyn Network>) {
    let dialled = a.dial(b.listen_addrs()[0].clone()).await.unwrap();
    assert_eq!(dialled, b.local_peer());
    until("the other side knows", || b.peers().iter().any(|info| info.peer == a.local_peer())).await;
}

/// Waits for a condition.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(2));
    let wait = async {
        while !condition() {
            tick.tick().await;
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

/// Waits for `future`.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits for one peer event.
pub async fn event(events: &mut broadcast::Receiver<PeerEvent>, wanted: PeerEvent) {
    while soon("a peer event", events.recv()).await.unwrap() != wanted {}
}

/// A stream between two hosts: the opener's end and the acceptor's.
pub async fn stream(a: &Arc<dyn Network>, b: &Arc<dyn Network>) -> (Box<dyn Frames>, Box<dyn Frames>) {
    let mut accepted = b.accept(BULK);
    let ours = a.open(b.local_peer(), BULK).await.unwrap();
    (ours, next(&mut accepted).await)
}

pub async fn next(accepted: &mut mpsc::Receiver<Box<dyn Frames>>) -> Box<dyn Frames> {
    soon("a stream", accepted.recv()).await.unwrap()
}

/// Answers what it is asked; "refuse", "panic", "hang" and "flood" do so.
pub struct Echo;

#[async_trait]
impl RequestHandler for Echo {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        match &body[..] {
            b"refuse" => Err("not today".to_owned()),
            b"panic" => panic!("asked to"),
            b"hang" => std::future::pending().await,
            b"flood" => Ok(Bytes::from(vec![0; crate::network::REQUEST_MAX_BYTES + 1])),
            _ => Ok(body),
        }
    }
}

/// Asks the echo service something and expects it back.
pub async fn assert_echo(a: &Arc<dyn Network>, b: PeerId) {
    let answer = a.request(b, ECHO, Bytes::from_static(b"ping"), SOON).await.unwrap();
    assert_eq!(&answer[..], b"ping");
}
