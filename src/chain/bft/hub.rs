//! The switchboard between the engine's actors and the node's network.
//!
//! Owns who the members of the committee are, what was said to them, and who listens to what they say. Must not know
//! how a connection is kept (`links`), nor what a block means (`driver`).
//! Invariants: consensus messages are taken only from members of the current committee, over a connection that proves who
//! they are; what is handed to the engine is decoded and about a height near the current one.

use super::{
    announced::Announced,
    app::Application,
    codec::{Message, Progress},
    outbox::Outbox,
    pace::Pace,
    proposals::HEIGHTS_AHEAD,
};
use crate::{
    consensus::{
        Committee, HeadedProposal,
        context::{BftContext, BlockHeight, Seats},
        messages::{Proposal, ProposalPart},
    },
    network::{Network, Protocol, Topic, peer_id_of},
    runtime::Tasks,
    types::{BlockId, Height},
};
use arc_malachitebft_app_channel::app::{
    engine::network::{NetworkEvent, Status, Subscriber},
    streaming::{StreamContent, StreamId, StreamMessage},
    types::core::SignedMessage,
};
use arc_malachitebft_sync::PeerId as EnginePeer;
use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::watch;

/// Streams between committee members.
pub const BFT_PROTOCOL: Protocol = Protocol("/cess/bft/1");
/// How far nodes have come, for those outside the committee.
pub const PROGRESS_TOPIC: Topic = Topic("bft-progress");
/// How often progress is repeated.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

type Event = NetworkEvent<BftContext>;
type Listener = Box<dyn Subscriber<Event>>;

/// State shared by the network actor, the links and the driver.
pub(super) struct Hub {
    /// The node's host.
    pub net: Arc<dyn Network>,
    /// Supervisor of the links.
    pub tasks: Tasks,
    /// What this node has said.
    pub outbox: Outbox,
    /// Who has begun which height.
    pub pace: Pace,
    /// Proposals the engine has verified.
    pub announced: Announced,
    app: Arc<dyn Application>,
    listeners: Mutex<Vec<Listener>>,
    view: watch::Sender<View>,
    connected: watch::Sender<BTreeSet<PeerId>>,
    tip: watch::Sender<Option<(Height, Height)>>,
    progress: watch::Sender<Option<Progress>>,
}

/// The committee as this host sees it.
#[derive(Clone, Default)]
pub(super) struct View {
    /// Height it decides.
    pub height: Height,
    /// Whether this host is a member.
    pub member: bool,
    /// Power of the other members by their hosts.
    pub others: Arc<BTreeMap<PeerId, u64>>,
    /// Power of all.
    pub total: u64,
    /// Hosts of the committee after this one, without this host.
    pub coming: Arc<BTreeSet<PeerId>>,
    /// Whether this host is one of them.
    pub joins: bool,
}

impl View {
    /// Whether `peer` may speak: a member now or soon.
    pub fn admits(&self, peer: &PeerId) -> bool {
        self.others.contains_key(peer) || self.coming.contains(peer)
    }

    /// Hosts this one keeps links to: the members, and ahead of time those that follow them.
    pub fn partners(&self) -> BTreeSet<PeerId> {
        match self.member || self.joins {
            true => self.others.keys().chain(self.coming.iter()).copied().collect(),
            false => BTreeSet::new(),
        }
    }
}

impl Hub {
    /// A hub over `net` for the chain of `app` that begins with the committee of `seats`.
    pub fn new(net: Arc<dyn Network>, tasks: Tasks, app: Arc<dyn Application>, seats: &Seats) -> Arc<Self> {
        let hub = Arc::new(Self {
            net,
            tasks,
            outbox: Outbox::new(),
            pace: Pace::new(),
            announced: Announced::default(),
            app,
            listeners: Mutex::default(),
            view: watch::Sender::new(View::default()),
            connected: watch::Sender::default(),
            tip: watch::Sender::new(None),
            progress: watch::Sender::new(None),
        });
        hub.enter(seats);
        hub
    }

    /// Takes note of the height that begins and of its committee.
    pub fn enter(&self, seats: &Seats) {
        let local = self.net.local_peer();
        let hosts = seats.seats().iter().filter_map(|seat| {
            let info = seat.info();
            peer_id_of(&info.network_key).ok().map(|peer| (peer, info.power))
        });
        let mut others: BTreeMap<PeerId, u64> = hosts.collect();
        let member = others.remove(&local).is_some();
        self.outbox.advance(seats.height());
        self.pace.retain(&others);
        self.view.send_modify(|view| {
            (view.height, view.total, view.member) = (seats.height(), seats.total_power(), member);
            view.others = Arc::new(others);
        });
    }

    /// Takes note of the committee that follows.
    pub fn expect(&self, committee: &Committee) {
        let local = self.net.local_peer();
        let hosts = committee.members.iter().filter_map(|member| peer_id_of(&member.network_key).ok());
        let mut coming: BTreeSet<PeerId> = hosts.collect();
        let joins = coming.remove(&local);
        self.view.send_if_modified(|view| {
            let changed = view.joins != joins || *view.coming != coming;
            (view.coming, view.joins) = (Arc::new(coming), joins);
            changed
        });
    }

    /// The committee now.
    pub fn view(&self) -> View {
        self.view.borrow().clone()
    }

    /// Follows the committee.
    pub fn views(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Notes that a link to `peer` stands, or no longer does.
    pub fn set_connected(&self, peer: PeerId, up: bool) {
        self.connected.send_modify(|connected| {
            if up {
                connected.insert(peer)
            } else {
                connected.remove(&peer)
            };
        });
    }

    /// Members this host can speak to now.
    pub fn connected(&self) -> usize {
        self.connected.borrow().len()
    }

    /// Resolves when links to a quorum stand, this host included. Hosts outside the committee need none.
    pub async fn quorum_connected(&self) {
        let view = self.view();
        let own = view.total.saturating_sub(view.others.values().sum());
        let quorum = |connected: &BTreeSet<PeerId>| {
            let power = view.others.iter().filter(|(peer, _)| connected.contains(peer)).map(|(_, p)| p).sum::<u64>();
            !view.member || u128::from(power + own) * 3 > u128::from(view.total) * 2
        };
        let mut connected = self.connected.subscribe();
        // The hub owns the sender, so that waiting fails only when nobody is left to wait.
        let _ = connected.wait_for(quorum).await;
    }

    /// Adds a listener, which first learns what already is.
    pub fn listen(&self, listener: Listener) {
        if let Some(addr) = self.net.listen_addrs().into_iter().next().or_else(|| "/memory/1".parse().ok()) {
            listener.send(NetworkEvent::Listening(addr));
        }
        for peer in self.net.peers() {
            if let Some(peer) = engine_peer(&peer.peer) {
                listener.send(NetworkEvent::PeerConnected(peer));
            }
        }
        self.listeners.lock().push(listener);
    }

    /// Tells every listener. Listeners have their own queues: nothing is lost and nothing blocks.
    pub fn emit(&self, event: Event) {
        for listener in self.listeners.lock().iter() {
            listener.send(event.clone());
        }
    }

    /// Forgets the listeners: the engine is gone.
    pub fn close(&self) {
        self.listeners.lock().clear();
    }

    /// Says something to the committee.
    pub fn say(&self, message: &Message) {
        if self.view.borrow().member {
            self.outbox.push(message.height(), message.encode());
        }
    }

    /// Takes a frame of a link. An error ends the link.
    pub fn hear(&self, from: PeerId, frame: &Bytes) -> Result<(), String> {
        let message: Message = crate::codec::decode(frame).map_err(|e| e.to_string())?;
        let view = self.view();
        if !view.admits(&from) {
            return Err("the sender is not in the committee".to_owned());
        }
        self.pace.note(from, message.height());
        if let Message::Status(progress) = message {
            self.hear_progress(from, &progress);
            return Ok(());
        }
        let near = view.height..=view.height.saturating_add(HEIGHTS_AHEAD);
        if near.contains(&message.height())
            && self.is_timely(&from, &message)
            && let Some(event) = engine_peer(&from).and_then(|peer| event_of(peer, message))
        {
            self.emit(event);
        }
        Ok(())
    }

    /// Whether the clock allows to look at a proposal. Asked here, on its way in, because the engine replays its log without
    /// clocks; only for a block nobody has voted for yet, because two thirds of the committee outvote one clock.
    fn is_timely(&self, from: &PeerId, message: &Message) -> bool {
        let Message::Proposal(headed, _) = message else { return true };
        let HeadedProposal { proposal, header } = headed.as_ref();
        if proposal.pol_round.is_some() {
            return true;
        }
        let verdict = self.app.check_clock(header);
        if let Err(reason) = &verdict {
            let (height, round) = (proposal.height, proposal.round);
            tracing::warn!(height, round, %from, %reason, "proposal refused");
        }
        verdict.is_ok()
    }

    /// Takes note of a proposal of another member that the engine has verified, and has the engine ask the driver for its block.
    pub fn announce(&self, proposal: &Proposal) {
        if self.announced.note(proposal)
            && let Some(local) = engine_peer(&self.net.local_peer())
        {
            self.emit(NetworkEvent::ProposalPart(local, Some(local), announcement(proposal)));
        }
    }

    /// Takes a node's progress. A member one block behind is usually about to decide that block itself; it asks others
    /// for blocks only when it is further behind, or when the others have moved on for good.
    pub fn hear_progress(&self, from: PeerId, progress: &Progress) {
        let view = self.view();
        let behind = if progress.settled { progress.tip >= view.height } else { progress.tip > view.height };
        if (behind || !view.member)
            && let Some(peer) = engine_peer(&from)
        {
            let status = Status::new(BlockHeight(progress.tip), BlockHeight(progress.first));
            self.emit(NetworkEvent::Status(peer, status));
        }
    }

    /// Publishes this node's tip and the first height it can serve.
    pub fn set_tip(&self, tip: Height, first: Height) {
        self.tip.send_replace(Some((tip, first)));
    }

    /// Follows what this node says about its progress.
    pub fn own_progress(&self) -> watch::Receiver<Option<Progress>> {
        self.progress.subscribe()
    }

    /// Repeats this node's progress, to members over their links and to everybody by gossip.
    pub async fn publish_progress(&self) {
        let mut tips = self.tip.subscribe();
        let mut clock = tokio::time::interval(PROGRESS_INTERVAL);
        clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut nonce, mut last_tick) = (0u64, None);
        loop {
            let tick = tokio::select! {
                _ = clock.tick() => true,
                changed = tips.changed() => { if changed.is_err() { return } false }
            };
            let Some((tip, first)) = *tips.borrow_and_update() else { continue };
            let settled = tick && last_tick == Some(tip);
            if tick {
                last_tick = Some(tip);
            }
            nonce = nonce.wrapping_add(1);
            let progress = Progress { tip, first, settled, nonce };
            self.progress.send_replace(Some(progress.clone()));
            // Hosts without peers cannot gossip; the next repetition may find some.
            let data = [self.net.local_peer().to_bytes(), crate::codec::encode(&progress)].concat();
            if let Err(error) = self.net.publish(PROGRESS_TOPIC, data.into()).await {
                tracing::trace!(%error, "progress was not gossiped");
            }
        }
    }

    /// Takes the progress other nodes gossip.
    pub async fn follow_gossip(&self) {
        let mut gossip = self.net.subscribe(PROGRESS_TOPIC);
        loop {
            match gossip.recv().await {
                Ok((from, data)) => self.hear_gossip(from, &data),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    }

    fn hear_gossip(&self, from: PeerId, data: &[u8]) {
        // The content names its author so that equal statements of two nodes are not one message.
        let Some(body) = data.strip_prefix(from.to_bytes().as_slice()) else { return };
        if from == self.net.local_peer() {
            return;
        }
        match crate::codec::decode::<Progress>(body) {
            Ok(progress) => self.hear_progress(from, &progress),
            Err(error) => tracing::debug!(%from, %error, "bad progress message"),
        }
    }
}

fn event_of(from: EnginePeer, message: Message) -> Option<Event> {
    Some(match message {
        Message::Vote(vote, signature) => NetworkEvent::Vote(from, SignedMessage::new(vote, signature)),
        Message::Proposal(proposal, signature) => {
            NetworkEvent::Proposal(from, SignedMessage::new(*proposal, signature))
        }
        Message::Part(part) => NetworkEvent::ProposalPart(from, Some(from), streamed(part)),
        Message::Polka(polka) => NetworkEvent::PolkaCertificate(from, polka.into()),
        Message::Round(proof) => NetworkEvent::RoundCertificate(from, proof.into()),
        Message::Status(_) => return None,
    })
}

/// The engine's envelope of a part. The driver looks at the part alone.
fn streamed(part: ProposalPart) -> StreamMessage<ProposalPart> {
    StreamMessage::new(stream_of(&part.block), u64::from(part.index), StreamContent::Data(part))
}

/// The engine's envelope of nothing, which makes it ask the driver for what it has. No peer can send one.
fn announcement(proposal: &Proposal) -> StreamMessage<ProposalPart> {
    StreamMessage::new(stream_of(&proposal.block), u64::MAX, StreamContent::Fin)
}

fn stream_of(block: &BlockId) -> StreamId {
    StreamId::new(Bytes::copy_from_slice(block.as_bytes()))
}

/// A peer id in the engine's type.
pub(super) fn engine_peer(peer: &PeerId) -> Option<EnginePeer> {
    EnginePeer::from_bytes(&peer.to_bytes()).ok()
}

/// A peer id in the network's type.
pub(super) fn network_peer(peer: EnginePeer) -> Option<PeerId> {
    PeerId::from_bytes(&peer.to_bytes()).ok()
}
