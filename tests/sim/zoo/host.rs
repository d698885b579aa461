//! A liar's network host: what its node says to the committee passes through its mind.

use super::mind::Mind;
use async_trait::async_trait;
use bytes::Bytes;
use cess::{
    chain::bft::wire::{BFT_PROTOCOL, PROGRESS_TOPIC, SYNC_PROTOCOL},
    network::{
        FrameSink, FrameSource, Frames, Multiaddr, NetError, Network, PeerEvent, PeerId, PeerInfo, Protocol,
        RequestHandler, Topic,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};

/// Streams that wait to be accepted.
const ACCEPT_MAX_WAITING: usize = 16;

/// The host.
pub struct LyingHost {
    host: Arc<dyn Network>,
    mind: Arc<Mind>,
}

impl LyingHost {
    /// Over an honest host.
    pub fn new(host: Arc<dyn Network>, mind: Arc<Mind>) -> Self {
        Self { host, mind }
    }
}

#[async_trait]
impl Network for LyingHost {
    fn local_peer(&self) -> PeerId {
        self.host.local_peer()
    }

    fn listen_addrs(&self) -> Vec<Multiaddr> {
        self.host.listen_addrs()
    }

    fn peers(&self) -> Vec<PeerInfo> {
        self.host.peers()
    }

    fn add_address(&self, peer: PeerId, addr: Multiaddr) {
        self.host.add_address(peer, addr);
    }

    async fn dial(&self, addr: Multiaddr) -> Result<PeerId, NetError> {
        self.host.dial(addr).await
    }

    async fn connect(&self, peer: PeerId) -> Result<(), NetError> {
        self.host.connect(peer).await
    }

    fn disconnect(&self, peer: PeerId) {
        self.host.disconnect(peer);
    }

    fn peer_events(&self) -> broadcast::Receiver<PeerEvent> {
        self.host.peer_events()
    }

    async fn request(
        &self,
        peer: PeerId,
        protocol: Protocol,
        body: Bytes,
        deadline: Duration,
    ) -> Result<Bytes, NetError> {
        self.host.request(peer, protocol, body, deadline).await
    }

    fn serve(&self, protocol: Protocol, handler: Arc<dyn RequestHandler>) {
        self.host.serve(protocol, handler);
    }

    async fn open(&self, peer: PeerId, protocol: Protocol) -> Result<Box<dyn Frames>, NetError> {
        let stream = self.host.open(peer, protocol).await?;
        if protocol != BFT_PROTOCOL {
            return Ok(stream);
        }
        let (sink, source) = stream.split();
        let sink = LyingSink { peer, sink, mind: self.mind.clone(), held: Vec::new() };
        Ok(Box::new(Stream { peer, sink: Box::new(sink), source }))
    }

    fn accept(&self, protocol: Protocol) -> mpsc::Receiver<Box<dyn Frames>> {
        let mut streams = self.host.accept(protocol);
        if ![BFT_PROTOCOL, SYNC_PROTOCOL].contains(&protocol) {
            return streams;
        }
        let (sender, receiver) = mpsc::channel(ACCEPT_MAX_WAITING);
        let mind = self.mind.clone();
        tokio::spawn(async move {
            while let Some(stream) = streams.recv().await {
                if sender.send(heard_by(&mind, stream, protocol)).await.is_err() {
                    return;
                }
            }
        });
        receiver
    }

    async fn publish(&self, topic: Topic, data: Bytes) -> Result<(), NetError> {
        let data = if topic == PROGRESS_TOPIC { self.mind.gossip(self.local_peer(), data) } else { data };
        self.host.publish(topic, data).await
    }

    fn subscribe(&self, topic: Topic) -> broadcast::Receiver<(PeerId, Bytes)> {
        self.host.subscribe(topic)
    }

    async fn shutdown(&self) {
        self.host.shutdown().await;
    }
}

/// A stream that somebody else has opened: the mind hears what is said on the one protocol and answers on the other.
fn heard_by(mind: &Arc<Mind>, stream: Box<dyn Frames>, protocol: Protocol) -> Box<dyn Frames> {
    let (peer, mind) = (stream.peer(), mind.clone());
    let (sink, source) = stream.split();
    Box::new(match protocol == SYNC_PROTOCOL {
        true => Stream { peer, sink: Box::new(Answering { sink, mind }), source },
        false => Stream { peer, sink, source: Box::new(Listening { source, mind }) },
    })
}

/// Two halves put together again.
struct Stream {
    peer: PeerId,
    sink: Box<dyn FrameSink>,
    source: Box<dyn FrameSource>,
}

#[async_trait]
impl Frames for Stream {
    fn peer(&self) -> PeerId {
        self.peer
    }

    async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        self.sink.send(frame).await
    }

    async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        self.source.recv().await
    }

    fn split(self: Box<Self>) -> (Box<dyn FrameSink>, Box<dyn FrameSource>) {
        (self.sink, self.source)
    }
}

/// Says what the mind makes of it.
struct LyingSink {
    peer: PeerId,
    sink: Box<dyn FrameSink>,
    mind: Arc<Mind>,
    /// What is held back, and until when.
    held: Vec<(Instant, Bytes)>,
}

#[async_trait]
impl FrameSink for LyingSink {
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        let now = Instant::now();
        // Nodes repeat their progress twice a second, so that nothing is held back much longer than it was meant to be.
        let (due, held): (Vec<_>, Vec<_>) = self.held.drain(..).partition(|(until, _)| *until <= now);
        self.held = held;
        let mut frames: Vec<Bytes> = due.into_iter().map(|(_, frame)| frame).collect();
        for (delay, frame) in self.mind.instead_of(self.peer, &frame) {
            match delay {
                Duration::ZERO => frames.push(frame),
                delay => self.held.push((now + delay, frame)),
            }
        }
        for frame in frames {
            self.sink.send(frame).await?;
        }
        Ok(())
    }
}

/// Lets the mind hear what arrives.
struct Listening {
    source: Box<dyn FrameSource>,
    mind: Arc<Mind>,
}

#[async_trait]
impl FrameSource for Listening {
    async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        let frame = self.source.recv().await?;
        if let Some(frame) = &frame {
            self.mind.hear(frame);
        }
        Ok(frame)
    }
}

/// Answers what the mind makes of the truth.
struct Answering {
    sink: Box<dyn FrameSink>,
    mind: Arc<Mind>,
}

#[async_trait]
impl FrameSink for Answering {
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        match self.mind.answer(frame) {
            Some(answer) => self.sink.send(answer).await,
            None => Ok(()),
        }
    }
}
