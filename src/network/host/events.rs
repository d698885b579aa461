//! What the driver does about each event of the swarm.

use super::{
    behaviour::{BehaviourEvent, network_version},
    config::MAX_ADDRESSES_PER_PEER,
    driver::Driver,
    requests::Inbound,
    state::is_loopback,
    wire::{Answer, Request},
};
use crate::{
    network::port::{NetError, PeerEvent, PeerInfo},
    runtime::{Counter, Gauge},
};
use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId, gossipsub, identify, kad, ping,
    request_response::{self, InboundFailure, Message, OutboundFailure},
    swarm::{ConnectionId, DialError, SwarmEvent},
};
use std::time::Duration;
use tokio::{sync::mpsc::error::TrySendError, time::Instant};

/// A connection with so many failed pings in a row is closed.
const MAX_FAILED_PINGS: u32 = 2;

impl Driver {
    pub(super) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(event)) => self.on_ping(event),
            SwarmEvent::Behaviour(BehaviourEvent::Kad(event)) => self.on_kad(event),
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Requests(event)) => self.on_request(event),
            SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => {
                self.on_connected(peer_id, endpoint.get_remote_address().clone());
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                if let Some(cause) = cause {
                    tracing::debug!(peer = %peer_id, %cause, "connection closed");
                }
                self.on_closed(peer_id, connection_id, num_established);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. }
                if !matches!(error, DialError::DialPeerConditionFalse(_)) =>
            {
                tracing::debug!(%peer, %error, "cannot dial");
                self.dial_failed(peer, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(from = %send_back_addr, %error, "inbound connection failed");
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.shared.listen.lock().retain(|addr| *addr != address);
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(?addresses, ?reason, "stopped listening");
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "cannot accept a connection"),
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        self.swarm.add_external_address(address.clone());
        let mut listen = self.shared.listen.lock();
        if !listen.contains(&address) {
            listen.push(address);
        }
    }

    fn on_connected(&mut self, peer: PeerId, addr: Multiaddr) {
        let (first, count) = {
            let mut peers = self.shared.peers.lock();
            let first = !peers.contains_key(&peer);
            let entry = peers.entry(peer).or_insert(PeerInfo { peer, addr: None, agent: None, rtt: None });
            entry.addr.get_or_insert(addr);
            (first, peers.len())
        };
        self.count_peers(count);
        self.dials.end(&peer, &Ok(()));
        if first {
            // Fails only when nobody listens.
            let _ = self.shared.events.send(PeerEvent::Connected(peer));
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, left: u32) {
        self.failed_pings.remove(&connection);
        if left > 0 {
            return;
        }
        let (known, count) = {
            let mut peers = self.shared.peers.lock();
            (peers.remove(&peer).is_some(), peers.len())
        };
        self.count_peers(count);
        if known {
            // Fails only when nobody listens.
            let _ = self.shared.events.send(PeerEvent::Disconnected(peer));
        }
    }

    fn count_peers(&self, count: usize) {
        self.shared.metrics.set(Gauge::Peers, i64::try_from(count).unwrap_or(i64::MAX));
    }

    fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received { peer_id, info, .. } = event else { return };
        let ours = network_version(&self.chain_tag);
        if info.protocol_version != ours {
            tracing::warn!(peer = %peer_id, theirs = %info.protocol_version, %ours, "peer of another network");
            // Fails only when the peer has just left.
            let _ = self.swarm.disconnect_peer_id(peer_id);
            return;
        }
        let near = {
            let mut peers = self.shared.peers.lock();
            let Some(entry) = peers.get_mut(&peer_id) else { return };
            entry.agent = Some(info.agent_version);
            entry.addr.as_ref().is_some_and(is_loopback)
        };
        // Loopback addresses mean something only to hosts on the same machine.
        let usable = info.listen_addrs.into_iter().filter(|addr| near || !is_loopback(addr));
        let usable: Vec<_> = usable.take(MAX_ADDRESSES_PER_PEER).collect();
        let lookups = self.swarm.behaviour().kad.protocol_names();
        let answers_lookups = info.protocols.iter().any(|protocol| lookups.contains(protocol));
        // The book has the latest first: keep the peer's own order.
        for addr in usable.into_iter().rev() {
            match answers_lookups {
                true => self.shared.learn(peer_id, addr),
                false => self.shared.note(peer_id, addr),
            }
        }
    }

    fn on_ping(&mut self, event: ping::Event) {
        match event.result {
            Ok(rtt) => self.on_rtt(&event.peer, event.connection, rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                let failed = self.failed_pings.entry(event.connection).or_default();
                *failed += 1;
                tracing::debug!(peer = %event.peer, %error, failed, "ping failed");
                if *failed >= MAX_FAILED_PINGS {
                    self.swarm.close_connection(event.connection);
                }
            }
        }
    }

    fn on_rtt(&mut self, peer: &PeerId, connection: ConnectionId, rtt: Duration) {
        self.failed_pings.remove(&connection);
        if let Some(entry) = self.shared.peers.lock().get_mut(peer) {
            entry.rtt = Some(rtt);
        }
    }

    fn on_kad(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed { id, result, step, .. } = event else { return };
        let Some(wanted) = self.dials.search_of(&id) else { return };
        if let kad::QueryResult::GetClosestPeers(result) = result {
            let found = match result {
                Ok(found) => found.peers,
                Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
            };
            for addr in found.into_iter().filter(|info| info.peer_id == wanted).flat_map(|info| info.addrs) {
                self.shared.learn(wanted, addr);
            }
        }
        if step.last {
            self.dials.search_ended(&id);
            self.dial_failed(wanted, &DialError::NoAddresses);
        }
    }

    fn on_gossip(&mut self, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message { propagation_source, message_id, message } => {
                let heard = (message_id, propagation_source);
                if let Some(heard) = self.forwards.heard(heard, message.data.len(), Instant::now()) {
                    self.forward(&heard);
                }
                let Some(topic) = self.topics.get(&message.topic) else { return };
                let Some(author) = message.source else { return };
                self.shared.registry.deliver(topic.0, author, Bytes::from(message.data));
            }
            gossipsub::Event::SlowPeer { peer_id, .. } => {
                tracing::debug!(peer = %peer_id, "gossip to a slow peer was dropped");
            }
            _ => {}
        }
    }

    fn on_request(&mut self, event: request_response::Event<Request, Answer>) {
        match event {
            request_response::Event::Message { peer, message, .. } => match message {
                Message::Request { request, channel, .. } => self.on_inbound(Inbound { from: peer, request, channel }),
                Message::Response { request_id, response } => {
                    if let Some(reply) = self.replies.remove(&request_id) {
                        // Fails only when the caller has gone.
                        let _ = reply.send(response.map_err(|reason| NetError::refused(&peer, reason)));
                    }
                }
            },
            request_response::Event::OutboundFailure { peer, request_id, error, .. } => {
                if let Some(reply) = self.replies.remove(&request_id) {
                    let _ = reply.send(Err(failed(&peer, error)));
                }
            }
            request_response::Event::InboundFailure { peer, error, .. } => {
                if matches!(&error, InboundFailure::Io(error) if error.kind() == std::io::ErrorKind::InvalidData) {
                    self.shared.metrics.add(Counter::BadFrames, 1);
                }
                tracing::debug!(%peer, %error, "inbound request failed");
            }
            request_response::Event::ResponseSent { .. } => {}
        }
    }

    fn on_inbound(&mut self, inbound: Inbound) {
        match self.inbound.try_send(inbound) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(inbound)) => {
                self.answer(inbound.channel, Err("the host has too many requests to handle".to_owned()));
            }
        }
    }
}

/// What a failed request means to its caller.
fn failed(peer: &PeerId, error: OutboundFailure) -> NetError {
    match error {
        OutboundFailure::DialFailure => NetError::unreachable(peer, "dialling failed"),
        OutboundFailure::UnsupportedProtocols => NetError::refused(peer, "it answers no requests"),
        OutboundFailure::Timeout => NetError::timeout(peer, super::config::REQUEST_MAX_LIFE),
        OutboundFailure::ConnectionClosed => NetError::Closed(format!("the connection to {peer} ended")),
        OutboundFailure::Io(error) => NetError::Closed(format!("request to {peer}: {error}")),
    }
}
