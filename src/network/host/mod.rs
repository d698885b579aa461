//! The libp2p host: TCP with TLS (or noise) and yamux, and QUIC, behind the network port.
//!
//! Owns the swarm and everything that travels through it. Must not know what a message means. One task owns the swarm
//! (`driver`); callers talk to it through a bounded channel; bulk streams bypass it and touch only their connection.

mod behaviour;
mod config;
mod dials;
mod driver;
mod events;
mod forwards;
mod frames;
mod listen;
mod mux;
mod requests;
mod secure;
mod state;
mod streams;
mod wire;

#[cfg(test)]
mod tests;

pub use config::HostConfig;

use self::{
    driver::{Command, Driver},
    frames::Closer,
    state::{EndOnDrop, Shared, peer_of},
    wire::Request,
};
use super::{
    pipe::{open_gate, pipe},
    port::{
        Frames, GOSSIP_MAX_BYTES, NetError, Network, PeerEvent, PeerInfo, Protocol, REQUEST_MAX_BYTES, RequestHandler,
        Topic,
    },
    registry::CONNECT_DEADLINE,
};
use crate::runtime::{Criticality, Node, Phase};
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId, multiaddr};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A libp2p host.
pub struct Libp2pNetwork {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    streams: libp2p_stream::Control,
    closer: Closer,
    /// Cancelled when the host is to stop.
    halt: CancellationToken,
    /// Cancelled when the swarm is gone.
    stopped: CancellationToken,
}

impl Libp2pNetwork {
    /// Starts a host. It listens on all its addresses when this returns.
    pub async fn start(config: HostConfig, node: &Node) -> Result<Arc<Self>, NetError> {
        for addr in &config.bootstrap {
            peer_of(addr).ok_or_else(|| no_peer(addr))?;
        }
        let mut swarm = behaviour::build(&config)?;
        let listen = listen::bind(&mut swarm, &config.listen).await?;
        for addr in listen.iter().chain(&config.external) {
            swarm.add_external_address(addr.clone());
        }
        let streams = swarm.behaviour().streams.new_control();
        let incoming = streams.clone().accept(streams::BULK_PROTOCOL).expect("nothing accepts it before");

        let shared = Arc::new(Shared::new(*swarm.local_peer_id(), node.metrics.clone()));
        *shared.listen.lock() = listen.into_iter().chain(config.external.iter().cloned()).collect();
        let (commands, command_queue) = driver::commands();
        let (inbound, inbound_queue) = requests::queue();
        let (closer, closing) = frames::closer();
        let halt = node.tasks.stopping(Phase::Network);
        let stopped = CancellationToken::new();
        let host = Arc::new(Self { shared, commands, streams, closer, halt, stopped });

        let driver = Driver::new(swarm, host.shared.clone(), inbound, config.chain_tag, &config.bootstrap);
        let (halt, stopped, end) = (host.halt.clone(), host.stopped.clone(), EndOnDrop(host.shared.clone()));
        host.spawn(node, "network", async move {
            let (_stopped, _end) = (stopped.drop_guard(), end);
            driver.run(command_queue, halt).await;
        });
        let handlers =
            requests::run_handlers(inbound_queue, host.shared.clone(), host.commands.clone(), host.halt.clone());
        host.spawn(node, "network requests", handlers);
        let acceptor = streams::run_acceptor(incoming, host.shared.clone(), host.closer.clone(), host.halt.clone());
        host.spawn(node, "network streams", acceptor);
        host.spawn(node, "network closer", frames::run_closer(closing, host.halt.clone()));
        Ok(host)
    }

    /// Runs a part of the host. After a shutdown of the host alone it stays listed until the node stops too.
    fn spawn(&self, node: &Node, name: &str, part: impl Future<Output = ()> + Send + 'static) {
        let (halt, stopping) = (self.halt.clone(), node.tasks.stopping(Phase::Network));
        node.tasks.spawn(Phase::Network, name, Criticality::Critical, async move {
            part.await;
            anyhow::ensure!(halt.is_cancelled(), "ended by itself");
            stopping.cancelled().await;
            Ok(())
        });
    }

    async fn command(&self, command: Command) -> Result<(), NetError> {
        self.commands.send(command).await.map_err(|_| stopped())
    }

    /// Connects unless connected.
    async fn reach(&self, peer: PeerId) -> Result<(), NetError> {
        if peer == self.shared.local {
            return Err(NetError::unreachable(&peer, "it is this host itself"));
        }
        if self.shared.is_connected(&peer) && !self.halt.is_cancelled() {
            return Ok(());
        }
        let (waiter, connected) = oneshot::channel();
        self.command(Command::Connect { peer, waiter }).await?;
        let result = timeout(CONNECT_DEADLINE, connected).await;
        result.map_err(|_| NetError::timeout(&peer, CONNECT_DEADLINE))?.map_err(|_| stopped())?
    }

    async fn exchange(&self, peer: PeerId, protocol: Protocol, body: Bytes) -> Result<Bytes, NetError> {
        if peer == self.shared.local {
            let answer = self.shared.registry.answer(peer, protocol.0, body).await;
            return answer.map_err(|reason| NetError::refused(&peer, reason));
        }
        self.reach(peer).await?;
        let abandoned = CancellationToken::new();
        let _abandon = abandoned.clone().drop_guard();
        let request = Request { protocol: protocol.0.to_owned(), body, _room: None, abandoned };
        let (reply, answer) = oneshot::channel();
        self.command(Command::Request { peer, request, reply }).await?;
        answer.await.map_err(|_| stopped())?
    }

    /// A stream of this host to itself.
    fn open_to_self(&self, protocol: Protocol) -> Result<Box<dyn Frames>, NetError> {
        let local = self.shared.local;
        let place = self.shared.registry.place(protocol.0);
        let place = place.map_err(|refusal| NetError::refused(&local, refusal.reason(protocol.0)))?;
        let (ours, theirs) = pipe(local, local, open_gate(), open_gate(), self.halt.child_token());
        place.send(theirs);
        Ok(ours)
    }
}

fn stopped() -> NetError {
    NetError::Closed("the network host has stopped".to_owned())
}

fn no_peer(addr: &Multiaddr) -> NetError {
    NetError::Unreachable { peer: addr.to_string(), reason: "the address does not end in /p2p/<peer>".to_owned() }
}

#[async_trait]
impl Network for Libp2pNetwork {
    fn local_peer(&self) -> PeerId {
        self.shared.local
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        let peer = multiaddr::Protocol::P2p(self.shared.local);
        self.shared.listen.lock().iter().map(|addr| state::without_peer(addr.clone()).with(peer.clone())).collect()
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.shared.peers.lock().values().cloned().collect()
    }

    fn add_address(&self, peer: PeerId, addr: Multiaddr) {
        self.shared.learn(peer, addr);
    }

    async fn dial(&self, addr: Multiaddr) -> Result<PeerId, NetError> {
        let peer = peer_of(&addr).ok_or_else(|| no_peer(&addr))?;
        self.shared.learn(peer, addr);
        self.reach(peer).await?;
        Ok(peer)
    }

    async fn connect(&self, peer: PeerId) -> Result<(), NetError> {
        self.reach(peer).await
    }

    fn disconnect(&self, peer: PeerId) {
        self.shared.wish(|wishes| {
            wishes.disconnect.insert(peer);
        });
    }

    fn peer_events(&self) -> broadcast::Receiver<PeerEvent> {
        self.shared.events.subscribe()
    }

    async fn request(
        &self,
        peer: PeerId,
        protocol: Protocol,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, NetError> {
        NetError::check_size("request body", body.len(), REQUEST_MAX_BYTES)?;
        let answer = timeout(deadline, self.exchange(peer, protocol, body)).await;
        answer.unwrap_or_else(|_| Err(NetError::timeout(&peer, deadline)))
    }

    fn serve(&self, protocol: Protocol, handler: Arc<dyn RequestHandler>) {
        self.shared.registry.serve(protocol, handler);
    }

    async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Box<dyn Frames>, NetError> {
        if self.halt.is_cancelled() {
            return Err(stopped());
        }
        if peer == self.shared.local {
            return self.open_to_self(protocol);
        }
        self.reach(peer).await?;
        streams::open(&self.streams, peer, protocol, &self.closer, &self.shared).await
    }

    fn accept(&self, protocol: Protocol) -> mpsc::Receiver<Box<dyn Frames>> {
        self.shared.registry.accept(protocol)
    }

    async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), NetError> {
        NetError::check_size("gossip message", data.len(), GOSSIP_MAX_BYTES)?;
        let (reply, published) = oneshot::channel();
        self.command(Command::Publish { topic, data, reply }).await?;
        published.await.map_err(|_| stopped())?
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<(PeerId, Bytes)> {
        let (messages, first) = self.shared.registry.subscribe(topic);
        if first {
            self.shared.wish(|wishes| {
                wishes.subscribe.insert(topic);
            });
        }
        messages
    }

    async fn shutdown(&self) {
        self.halt.cancel();
        self.stopped.cancelled().await;
    }
}
