//! One host of the in-memory network.

use super::{
    gossip::GossipIn,
    hub::{Fate, Host, MemoryHub},
};
use crate::{
    network::{
        pipe::{Gate, Passage, open_gate, pipe},
        port::{
            Frames, GOSSIP_MAX_BYTES, NetError, Network, PeerEvent, PeerInfo, Protocol, REQUEST_MAX_BYTES,
            RequestHandler, Topic,
        },
        registry::{CONNECT_DEADLINE, OPEN_DEADLINE, Place, gossip_id},
    },
    runtime::{Criticality, Phase},
};
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::{Multiaddr, PeerId};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// A host of a [`MemoryHub`].
pub struct MemoryNetwork {
    hub: Arc<MemoryHub>,
    host: Arc<Host>,
}

impl MemoryNetwork {
    pub(super) fn new(hub: Arc<MemoryHub>, host: Arc<Host>) -> Self {
        Self { hub, host }
    }

    /// The connection to `peer`, made if there is none.
    async fn link(&self, peer: PeerId) -> Result<CancellationToken, NetError> {
        self.check_up()?;
        if peer == self.host.peer {
            return Err(NetError::unreachable(&peer, "it is this host itself"));
        }
        if !self.hub.connected(self.host.peer).contains(&peer) {
            self.round_trip(peer, CONNECT_DEADLINE).await?;
        }
        self.hub.link(self.host.peer, peer)
    }

    fn check_up(&self) -> Result<(), NetError> {
        if self.host.down.is_cancelled() {
            return Err(NetError::Closed("the host is down".to_owned()));
        }
        Ok(())
    }

    /// Waits as a message from `from` to `to` would; forever when it is lost.
    async fn cross(&self, from: PeerId, to: PeerId) -> Result<(), NetError> {
        match self.hub.fate(from, to) {
            Fate::Arrives(Duration::ZERO) => Ok(()),
            Fate::Arrives(latency) => {
                sleep(latency).await;
                Ok(())
            }
            Fate::Lost => std::future::pending().await,
            Fate::Cut if from == self.host.peer => Err(NetError::unreachable(&to, "the link is cut")),
            Fate::Cut => Err(NetError::unreachable(&from, "the link is cut")),
        }
    }

    /// Waits as a message to `peer` and its answer would.
    async fn round_trip(&self, peer: PeerId, deadline: Duration) -> Result<(), NetError> {
        let trip = async {
            self.cross(self.host.peer, peer).await?;
            self.cross(peer, self.host.peer).await
        };
        timeout(deadline, trip).await.unwrap_or_else(|_| Err(NetError::timeout(&peer, deadline)))
    }

    /// A request, its way there, its handling and its way back.
    async fn exchange(&self, peer: PeerId, protocol: Protocol, body: Bytes) -> Result<Bytes, NetError> {
        let link = self.link(peer).await?;
        let travel = async {
            self.cross(self.host.peer, peer).await?;
            let answer = self.answer_of(peer, protocol, body).await?;
            self.cross(peer, self.host.peer).await?;
            answer.map_err(|reason| NetError::refused(&peer, reason))
        };
        tokio::select! { biased;
            () = self.host.down.cancelled() => Err(NetError::Closed("the host is down".to_owned())),
            () = link.cancelled() => Err(NetError::Closed(format!("the connection to {peer} ended"))),
            answer = travel => answer,
        }
    }

    /// Lets `peer` handle a request in a task of its own, which goes on when the requester does not wait.
    async fn answer_of(
        &self,
        peer: PeerId,
        protocol: Protocol,
        body: Bytes,
    ) -> Result<Result<Bytes, String>, NetError> {
        let target = self.hub.host(peer).ok_or_else(|| NetError::unreachable(&peer, "the host is down"))?;
        let from = self.host.peer;
        let (reply, answer) = oneshot::channel();
        let name = format!("request {} at {peer}", protocol.0);
        self.hub.tasks.spawn(Phase::Network, name, Criticality::Optional, async move {
            tokio::select! { biased;
                () = target.down.cancelled() => {}
                answer = target.registry.answer(from, protocol.0, body) => {
                    // Fails only when the requester does not wait any more.
                    let _ = reply.send(answer);
                }
            }
            Ok(())
        });
        answer.await.map_err(|_| NetError::Closed(format!("{peer} went down")))
    }

    /// What the link does to the frames that go from `from` to `to`.
    fn gate(&self, from: PeerId, to: PeerId) -> Gate {
        let hub = self.hub.clone();
        Arc::new(move || match hub.fate(from, to) {
            Fate::Arrives(latency) => Passage::After(latency),
            Fate::Lost | Fate::Cut => Passage::Broken,
        })
    }

    fn place(&self, peer: PeerId, protocol: Protocol) -> Result<Place, NetError> {
        let target = self.hub.host(peer).ok_or_else(|| NetError::unreachable(&peer, "the host is down"))?;
        target.registry.place(protocol.0).map_err(|refusal| NetError::refused(&peer, refusal.reason(protocol.0)))
    }
}

#[async_trait]
impl Network for MemoryNetwork {
    fn local_peer(&self) -> PeerId {
        self.host.peer
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        vec![self.host.addr.clone()]
    }

    fn peers(&self) -> Vec<PeerInfo> {
        let info = |peer| {
            let addr = self.hub.host(peer).map(|host| host.addr.clone());
            PeerInfo { peer, addr, agent: Some("cess/memory".to_owned()), rtt: None }
        };
        self.hub.connected(self.host.peer).into_iter().map(info).collect()
    }

    fn add_address(&self, _peer: PeerId, _addr: Multiaddr) {
        // Every host of a hub finds every other.
    }

    async fn dial(&self, addr: Multiaddr) -> Result<PeerId, NetError> {
        self.check_up()?;
        let Some(target) = self.hub.host_at(&addr) else {
            return Err(NetError::Unreachable { peer: addr.to_string(), reason: "no host listens there".to_owned() });
        };
        self.link(target.peer).await?;
        Ok(target.peer)
    }

    async fn connect(&self, peer: PeerId) -> Result<(), NetError> {
        self.link(peer).await.map(drop)
    }

    fn disconnect(&self, peer: PeerId) {
        self.hub.unlink(self.host.peer, peer);
    }

    fn peer_events(&self) -> broadcast::Receiver<PeerEvent> {
        self.host.events.subscribe()
    }

    async fn request(
        &self,
        peer: PeerId,
        protocol: Protocol,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, NetError> {
        NetError::check_size("request body", body.len(), REQUEST_MAX_BYTES)?;
        self.check_up()?;
        let answer = async {
            if peer == self.host.peer {
                let answer = self.host.registry.answer(peer, protocol.0, body).await;
                return answer.map_err(|reason| NetError::refused(&peer, reason));
            }
            self.exchange(peer, protocol, body).await
        };
        timeout(deadline, answer).await.unwrap_or_else(|_| Err(NetError::timeout(&peer, deadline)))
    }

    fn serve(&self, protocol: Protocol, handler: Arc<dyn RequestHandler>) {
        self.host.registry.serve(protocol, handler);
    }

    async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Box<dyn Frames>, NetError> {
        self.check_up()?;
        let local = self.host.peer;
        let (gates, cut) = if peer == local {
            ([open_gate(), open_gate()], self.host.down.child_token())
        } else {
            let link = self.link(peer).await?;
            self.round_trip(peer, OPEN_DEADLINE).await?;
            ([self.gate(local, peer), self.gate(peer, local)], link.child_token())
        };
        let place = self.place(peer, protocol)?;
        let [there, back] = gates;
        let (ours, theirs) = pipe(local, peer, there, back, cut);
        place.send(theirs);
        Ok(ours)
    }

    fn accept(&self, protocol: Protocol) -> mpsc::Receiver<Box<dyn Frames>> {
        self.host.registry.accept(protocol)
    }

    async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), NetError> {
        NetError::check_size("gossip message", data.len(), GOSSIP_MAX_BYTES)?;
        self.check_up()?;
        let id = gossip_id(topic.0, &data);
        if !self.host.seen.lock().insert(id, Instant::now()) {
            return Ok(());
        }
        for peer in self.hub.reachable(self.host.peer) {
            let Fate::Arrives(latency) = self.hub.fate(self.host.peer, peer) else { continue };
            let Some(target) = self.hub.host(peer) else { continue };
            let (due, from) = (Instant::now() + latency, self.host.peer);
            let message = GossipIn { due, topic, from, id, data: data.clone(), again: false };
            let again = self.hub.doubles(from, peer).then(|| GossipIn { again: true, ..message.clone() });
            for message in std::iter::once(message).chain(again) {
                // A full queue loses the message, as a slow mesh peer does.
                let _ = target.gossip.try_send(message);
            }
        }
        Ok(())
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<(PeerId, Bytes)> {
        self.host.registry.subscribe(topic).0
    }

    async fn shutdown(&self) {
        // A host that joined anew under the same identity is another one.
        let current = self.hub.host(self.host.peer);
        if current.is_some_and(|current| Arc::ptr_eq(&current, &self.host)) {
            self.hub.crash(self.host.peer);
        }
    }
}
