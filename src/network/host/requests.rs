//! Answering inbound requests: each in a task of its own, so that a slow handler delays nobody else.
//!
//! Invariant: no peer takes more than its share of the tasks.

use super::{
    config::{MAX_HANDLED_PER_PEER, MAX_HANDLED_REQUESTS, MAX_WAITING_REQUESTS},
    driver::Command,
    state::Shared,
    wire::{Answer, Request},
};
use libp2p::{PeerId, request_response::ResponseChannel};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// A request that waits to be handled.
pub(super) struct Inbound {
    pub(super) from: PeerId,
    pub(super) request: Request,
    pub(super) channel: ResponseChannel<Answer>,
}

/// The queue of inbound requests.
pub(super) fn queue() -> (mpsc::Sender<Inbound>, mpsc::Receiver<Inbound>) {
    mpsc::channel(MAX_WAITING_REQUESTS)
}

/// Handles requests until the host stops. Handlers still running then are dropped.
pub(super) async fn run_handlers(
    mut queue: mpsc::Receiver<Inbound>,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    halt: CancellationToken,
) {
    let mut handlers = JoinSet::new();
    let mut shares: BTreeMap<PeerId, usize> = BTreeMap::new();
    loop {
        tokio::select! {
            () = halt.cancelled() => return,
            inbound = queue.recv(), if handlers.len() < MAX_HANDLED_REQUESTS => {
                let Some(inbound) = inbound else { return };
                let share = shares.entry(inbound.from).or_default();
                *share += 1;
                let within = *share <= MAX_HANDLED_PER_PEER;
                handlers.spawn(handle(inbound, within, shared.clone(), commands.clone()));
            }
            Some(Ok(peer)) = handlers.join_next() => give_back(&mut shares, peer),
        }
    }
}

fn give_back(shares: &mut BTreeMap<PeerId, usize>, peer: PeerId) {
    if let Some(share) = shares.get_mut(&peer) {
        *share -= 1;
        if *share == 0 {
            shares.remove(&peer);
        }
    }
}

/// Answers one request and returns whose it was.
async fn handle(inbound: Inbound, within_share: bool, shared: Arc<Shared>, commands: mpsc::Sender<Command>) -> PeerId {
    let Inbound { from, request, channel } = inbound;
    let answer = match within_share {
        true => shared.registry.answer(from, &request.protocol, request.body).await,
        false => Err(format!("{MAX_HANDLED_PER_PEER} requests of this peer are being handled already")),
    };
    // Fails only when the host has stopped.
    let _ = commands.send(Command::Answer { channel, answer }).await;
    from
}
