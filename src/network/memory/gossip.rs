//! Gossip of the in-memory network: delivery in its time, and each content once unless its link doubles it.

use super::hub::Host;
use crate::network::{port::Topic, registry::GOSSIP_MEMORY};
use bytes::Bytes;
use libp2p::PeerId;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// Messages remembered by one host.
const SEEN_MAX_MESSAGES: usize = 8192;

/// A message on its way to one host.
#[derive(Clone)]
pub(super) struct GossipIn {
    pub(super) due: Instant,
    pub(super) topic: Topic,
    pub(super) from: PeerId,
    pub(super) id: [u8; 32],
    pub(super) data: Bytes,
    /// Whether it is heard although it was heard before.
    pub(super) again: bool,
}

/// The messages a host has seen lately.
#[derive(Default)]
pub(super) struct Seen {
    order: VecDeque<(Instant, [u8; 32])>,
    ids: BTreeSet<[u8; 32]>,
}

impl Seen {
    /// Whether `id` is new; remembers it.
    pub(super) fn insert(&mut self, id: [u8; 32], now: Instant) -> bool {
        while let Some((since, oldest)) = self.order.front() {
            if self.order.len() < SEEN_MAX_MESSAGES && now - *since < GOSSIP_MEMORY {
                break;
            }
            self.ids.remove(oldest);
            self.order.pop_front();
        }
        let new = self.ids.insert(id);
        if new {
            self.order.push_back((now, id));
        }
        new
    }
}

/// Hands arriving messages to a host's subscribers until it is down.
pub(super) async fn run_gossip(host: Arc<Host>, mut incoming: mpsc::Receiver<GossipIn>) -> anyhow::Result<()> {
    loop {
        let message = tokio::select! { biased;
            () = host.down.cancelled() => return Ok(()),
            message = incoming.recv() => message,
        };
        let Some(message) = message else { return Ok(()) };
        if message.due > Instant::now() {
            tokio::select! { biased;
                () = host.down.cancelled() => return Ok(()),
                () = sleep_until(message.due) => {}
            }
        }
        if host.seen.lock().insert(message.id, Instant::now()) || message.again {
            host.registry.deliver(message.topic.0, message.from, message.data);
        }
    }
}
