//! The one task that owns the swarm: it carries out commands and wishes, and drives the network.
//!
//! Invariant: it never waits for a caller; replies are one-shot, queues towards callers are tried and not awaited.

use super::{
    behaviour::Behaviour,
    config::{BOOTSTRAP_PERIOD, MAX_WAITING_COMMANDS, SHUTDOWN_DEADLINE},
    dials::{Dials, Step, Waiter},
    forwards::{Forwards, Heard},
    requests::Inbound,
    state::{Shared, peer_of},
    wire::{Answer, Request},
};
use crate::network::port::{NetError, Topic};
use bytes::Bytes;
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, gossipsub,
    request_response::{OutboundRequestId, ResponseChannel},
    swarm::{
        ConnectionId, DialError,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// What callers ask of the swarm task.
pub(super) enum Command {
    /// Connect to a peer by the addresses in the book.
    Connect { peer: PeerId, waiter: Waiter },
    /// Send a request.
    Request { peer: PeerId, request: Request, reply: oneshot::Sender<Result<Bytes, NetError>> },
    /// Answer an inbound request.
    Answer { channel: ResponseChannel<Answer>, answer: Answer },
    /// Publish a gossip message.
    Publish { topic: Topic, data: Bytes, reply: oneshot::Sender<Result<(), NetError>> },
}

/// The queue of commands.
pub(super) fn commands() -> (mpsc::Sender<Command>, mpsc::Receiver<Command>) {
    mpsc::channel(MAX_WAITING_COMMANDS)
}

/// The swarm and what is under way in it.
pub(super) struct Driver {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) shared: Arc<Shared>,
    pub(super) dials: Dials,
    /// Replies to requests under way.
    pub(super) replies: HashMap<OutboundRequestId, oneshot::Sender<Result<Bytes, NetError>>>,
    pub(super) inbound: mpsc::Sender<Inbound>,
    pub(super) topics: HashMap<gossipsub::TopicHash, Topic>,
    pub(super) forwards: Forwards,
    /// Pings that failed in a row.
    pub(super) failed_pings: BTreeMap<ConnectionId, u32>,
    pub(super) chain_tag: String,
    bootstrap: BTreeMap<PeerId, Multiaddr>,
}

impl Driver {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        shared: Arc<Shared>,
        inbound: mpsc::Sender<Inbound>,
        chain_tag: String,
        bootstrap: &[Multiaddr],
    ) -> Self {
        let bootstrap = bootstrap.iter().filter_map(|addr| Some((peer_of(addr)?, addr.clone()))).collect();
        Self {
            swarm,
            shared,
            dials: Dials::default(),
            replies: HashMap::new(),
            inbound,
            topics: HashMap::new(),
            forwards: Forwards::default(),
            failed_pings: BTreeMap::new(),
            chain_tag,
            bootstrap,
        }
    }

    /// Runs until `halt`, then closes every connection.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, halt: CancellationToken) {
        let shared = self.shared.clone();
        let mut bootstrap = interval(BOOTSTRAP_PERIOD);
        bootstrap.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = halt.cancelled() => break,
                Some(command) = commands.recv() => self.on_command(command),
                () = shared.wished.notified() => self.on_wishes(),
                event = self.swarm.select_next_some() => self.on_event(event),
                () = self.forwards.due() => self.forward_waiting(),
                _ = bootstrap.tick() => self.reach_bootstrap(),
            }
        }
        commands.close();
        self.close().await;
    }

    /// Closes every connection and waits a little for the other ends to hear of it.
    async fn close(mut self) {
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Fails only when the peer has just left.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closing = async {
            while self.swarm.network_info().num_peers() > 0 {
                let event = self.swarm.select_next_some().await;
                self.on_event(event);
            }
        };
        if timeout(SHUTDOWN_DEADLINE, closing).await.is_err() {
            tracing::debug!("connections left open at shutdown are dropped");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Connect { peer, waiter } => self.connect(peer, Some(waiter)),
            Command::Request { peer, request, reply } => {
                let id = self.swarm.behaviour_mut().requests.send_request(&peer, request);
                self.replies.insert(id, reply);
            }
            Command::Answer { channel, answer } => self.answer(channel, answer),
            Command::Publish { topic, data, reply } => {
                // Fails only when the caller has gone.
                let _ = reply.send(self.publish(topic, data));
            }
        }
    }

    /// Sends an answer; one whose requester has gone is dropped.
    pub(super) fn answer(&mut self, channel: ResponseChannel<Answer>, answer: Answer) {
        if self.swarm.behaviour_mut().requests.send_response(channel, answer).is_err() {
            tracing::debug!("the requester left before its answer");
        }
    }

    fn on_wishes(&mut self) {
        let wishes = self.shared.take_wishes();
        for peer in wishes.disconnect {
            // Fails only when there is no connection, which is what was wished.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        for topic in wishes.subscribe {
            let hash = self.topic(topic);
            if let Err(error) = self.swarm.behaviour_mut().gossip.subscribe(&hash) {
                tracing::warn!(topic = topic.0, %error, "cannot subscribe");
            }
        }
        for peer in wishes.addresses {
            let known = self.known(&peer);
            for addr in known {
                self.swarm.behaviour_mut().kad.add_address(&peer, addr);
            }
        }
    }

    /// The gossip topic of this network.
    fn topic(&mut self, topic: Topic) -> gossipsub::IdentTopic {
        let name = gossipsub::IdentTopic::new(format!("/cess/{}/{}", self.chain_tag, topic.0));
        self.topics.insert(name.hash(), topic);
        name
    }

    fn publish(&mut self, topic: Topic, data: Bytes) -> Result<(), NetError> {
        let topic = self.topic(topic);
        match self.swarm.behaviour_mut().gossip.publish(topic.hash(), data) {
            // Known content is spread already; without a subscribed peer there is nobody to spread it to.
            Ok(_) | Err(gossipsub::PublishError::Duplicate | gossipsub::PublishError::NoPeersSubscribedToTopic) => {
                Ok(())
            }
            Err(error) => {
                Err(NetError::Unreachable { peer: format!("subscribers of {topic}"), reason: error.to_string() })
            }
        }
    }

    fn forward_waiting(&mut self) {
        while let Some(heard) = self.forwards.take(Instant::now()) {
            self.forward(&heard);
        }
    }

    /// Passes a message of others on.
    pub(super) fn forward(&mut self, (id, from): &Heard) {
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        if !gossip.report_message_validation_result(id, from, gossipsub::MessageAcceptance::Accept) {
            tracing::debug!(%from, "a gossip message was no longer held when its turn to be passed on came");
        }
    }

    fn known(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.shared.book.lock().get(peer)
    }

    fn reach_bootstrap(&mut self) {
        let absent: Vec<_> = self.bootstrap.iter().filter(|(peer, _)| !self.swarm.is_connected(peer)).collect();
        let absent: Vec<_> = absent.into_iter().map(|(peer, addr)| (*peer, addr.clone())).collect();
        for (peer, addr) in absent {
            self.shared.learn(peer, addr);
            self.connect(peer, None);
        }
    }

    fn connect(&mut self, peer: PeerId, waiter: Option<Waiter>) {
        if self.swarm.is_connected(&peer) {
            if let Some(waiter) = waiter {
                // Fails only when the caller has gone.
                let _ = waiter.send(Ok(()));
            }
            return;
        }
        let known = self.known(&peer);
        let step = self.dials.begin(peer, waiter, known);
        self.take_step(peer, step, &DialError::NoAddresses);
    }

    /// A dial of `peer` failed: goes on with other addresses, or tells everyone who waits.
    pub(super) fn dial_failed(&mut self, peer: PeerId, error: &DialError) {
        if self.swarm.is_connected(&peer) {
            return self.dials.end(&peer, &Ok(()));
        }
        let known = self.known(&peer);
        let step = self.dials.failed(&peer, known);
        self.take_step(peer, step, error);
    }

    fn take_step(&mut self, peer: PeerId, step: Step, error: &DialError) {
        match step {
            Step::Wait => {}
            Step::Dial(addrs) => self.dial(peer, addrs),
            Step::Search => self.search(peer),
            Step::GiveUp { search } => {
                let reason = match error {
                    DialError::NoAddresses => "no address is known".to_owned(),
                    DialError::Denied { cause } => format!("the connection was denied: {cause}"),
                    other => other.to_string(),
                };
                self.dials.end(&peer, &Err(NetError::unreachable(&peer, reason)));
                if search {
                    self.search(peer);
                }
            }
        }
    }

    fn search(&mut self, peer: PeerId) {
        let query = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
        self.dials.searching(query, peer);
    }

    /// Dials from a new port: with a shared one two hosts that dial each other at once would meet half-way, both as
    /// initiators.
    fn dial(&mut self, peer: PeerId, addrs: Vec<Multiaddr>) {
        let opts = DialOpts::peer_id(peer)
            .addresses(addrs)
            .extend_addresses_through_behaviour()
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .allocate_new_port()
            .build();
        match self.swarm.dial(opts) {
            // Another protocol dials the peer already; its outcome is ours.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(error) => self.dial_failed(peer, &error),
        }
    }
}
