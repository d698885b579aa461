//! Keeps one outgoing stream to every other member of the committee, and reads the streams they open.
//!
//! Owns dialling, back-off and pumping. Invariants: one link and one reader per member; a stream that breaks is opened
//! again and continues from the previous height, so that a member that was away hears what it needs to rejoin.

use super::{
    codec::Message,
    hub::{BFT_PROTOCOL, Hub, engine_peer},
};
use crate::{
    network::{Frames, NetError, PeerEvent},
    runtime::{Criticality, Phase},
};
use arc_malachitebft_app_channel::app::engine::network::NetworkEvent;
use libp2p::PeerId;
use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

/// Pause before the first new attempt to reach a member; doubled with each failure.
const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// Longest time one attempt to open a stream may take.
const OPEN_DEADLINE: Duration = Duration::from_secs(5);
/// How often a node outside the committee looks whether it is connected to it.
const NEAR_INTERVAL: Duration = Duration::from_secs(1);
/// Longest time one frame may wait for a member that does not read.
const SEND_DEADLINE: Duration = Duration::from_secs(10);

/// Starts the tasks of the hub.
pub(super) fn spawn(hub: &Arc<Hub>) {
    supervise(hub, "bft links", Criticality::Critical, keep_links(hub.clone()));
    supervise(hub, "bft accept", Criticality::Critical, accept(hub.clone()));
    supervise(hub, "bft peers", Criticality::Critical, report_peers(hub.clone()));
    supervise(hub, "bft follow", Criticality::Critical, stay_near(hub.clone()));
    let publisher = hub.clone();
    supervise(hub, "bft progress", Criticality::Critical, async move { publisher.publish_progress().await });
    let follower = hub.clone();
    supervise(hub, "bft gossip", Criticality::Optional, async move { follower.follow_gossip().await });
}

fn supervise(
    hub: &Arc<Hub>,
    name: impl Into<String>,
    criticality: Criticality,
    work: impl Future<Output = ()> + Send + 'static,
) {
    let stop = hub.tasks.stopping(Phase::Network);
    hub.tasks.spawn(Phase::Network, name, criticality, async move {
        stop.run_until_cancelled_owned(work).await;
        Ok(())
    });
}

/// Follows the committee: links to new members before they sit, none to those that left.
async fn keep_links(hub: Arc<Hub>) {
    let mut views = hub.views();
    let mut links: BTreeMap<PeerId, CancellationToken> = BTreeMap::new();
    loop {
        let view = views.borrow_and_update().clone();
        let partners = view.partners();
        links.retain(|peer, stop| {
            let keep = partners.contains(peer);
            if !keep {
                stop.cancel();
            }
            keep
        });
        for peer in partners {
            links.entry(peer).or_insert_with(|| {
                let stop = CancellationToken::new();
                let work = stop.clone().run_until_cancelled_owned(keep_link(hub.clone(), peer));
                let done = (hub.clone(), peer);
                supervise(&hub, format!("bft link {peer}"), Criticality::Optional, async move {
                    work.await;
                    done.0.set_connected(done.1, false);
                });
                stop
            });
        }
        if views.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps a node outside the committee connected to one of its members, from which it hears that there are new blocks.
async fn stay_near(hub: Arc<Hub>) {
    let mut clock = tokio::time::interval(NEAR_INTERVAL);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in 0usize.. {
        clock.tick().await;
        let view = hub.view();
        let near = hub.net.peers().iter().any(|peer| view.others.contains_key(&peer.peer));
        if view.member || near || view.others.is_empty() {
            continue;
        }
        let Some(peer) = view.others.keys().nth(turn % view.others.len()) else { continue };
        match tokio::time::timeout(OPEN_DEADLINE, hub.net.connect(*peer)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%peer, %error, "committee member not reached"),
            Err(_) => tracing::debug!(%peer, "committee member did not answer"),
        }
    }
}

async fn keep_link(hub: Arc<Hub>, peer: PeerId) {
    let mut backoff = BACKOFF_MIN;
    loop {
        match tokio::time::timeout(OPEN_DEADLINE, hub.net.open(peer, BFT_PROTOCOL)).await {
            Ok(Ok(stream)) => {
                hub.set_connected(peer, true);
                let opened = tokio::time::Instant::now();
                let why = pump(&hub, stream).await;
                hub.set_connected(peer, false);
                tracing::debug!(%peer, %why, "link to committee member ended");
                if opened.elapsed() > OPEN_DEADLINE {
                    backoff = BACKOFF_MIN;
                }
            }
            Ok(Err(error)) => tracing::debug!(%peer, %error, "committee member not reached"),
            Err(_) => tracing::debug!(%peer, "committee member did not answer"),
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Sends what the outbox holds and will hold. Returns why it ended.
async fn pump(hub: &Hub, stream: Box<dyn Frames>) -> String {
    let (mut sink, mut source) = stream.split();
    // The other side says nothing on this stream: whatever arrives is its end.
    let mut closed = std::pin::pin!(async move { source.recv().await.err().map(|e| e.to_string()) });
    let mut progress = hub.own_progress();
    progress.mark_changed();
    let mut position = hub.outbox.replay_start();
    loop {
        let mut frames = hub.outbox.take(&mut position);
        if frames.is_empty() {
            tokio::select! {
                why = &mut closed => return why.unwrap_or_else(|| "closed by the member".to_owned()),
                () = hub.outbox.wait(position) => continue,
                changed = progress.changed() => if changed.is_err() { return "the node stops".to_owned() },
            }
            let latest = progress.borrow_and_update().clone();
            frames.extend(latest.map(|progress| Message::Status(progress).encode()));
        }
        for frame in frames {
            match tokio::time::timeout(SEND_DEADLINE, sink.send(frame)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return "the member does not read".to_owned(),
            }
        }
    }
}

/// Reads the streams of members; a new one replaces an old one of the same member.
async fn accept(hub: Arc<Hub>) {
    let mut streams = hub.net.accept(BFT_PROTOCOL);
    let mut readers: BTreeMap<PeerId, CancellationToken> = BTreeMap::new();
    while let Some(stream) = streams.recv().await {
        let peer = stream.peer();
        let view = hub.view();
        readers.retain(|peer, _| view.admits(peer));
        if !view.admits(&peer) {
            tracing::debug!(%peer, "refused a consensus stream: not in the committee");
            continue;
        }
        let stop = CancellationToken::new();
        if let Some(old) = readers.insert(peer, stop.clone()) {
            old.cancel();
        }
        let reader = hub.clone();
        supervise(&hub, format!("bft reader {peer}"), Criticality::Optional, async move {
            if let Some(Err(why)) = stop.run_until_cancelled_owned(read(reader, stream)).await {
                tracing::debug!(%peer, %why, "consensus stream ended");
            }
        });
    }
}

async fn read(hub: Arc<Hub>, mut stream: Box<dyn Frames>) -> Result<(), String> {
    let peer = stream.peer();
    while let Some(frame) = stream.recv().await.map_err(|e: NetError| e.to_string())? {
        hub.hear(peer, &frame)?;
    }
    Ok(())
}

/// Tells the engine which peers come and go.
async fn report_peers(hub: Arc<Hub>) {
    let mut events = hub.net.peer_events();
    loop {
        let event = match events.recv().await {
            Ok(PeerEvent::Connected(peer)) => engine_peer(&peer).map(NetworkEvent::PeerConnected),
            Ok(PeerEvent::Disconnected(peer)) => engine_peer(&peer).map(NetworkEvent::PeerDisconnected),
            Err(RecvError::Lagged(_)) => None,
            Err(RecvError::Closed) => return,
        };
        if let Some(event) = event {
            hub.emit(event);
        }
    }
}
