//! Answering inbound requests: each in a task of its own, so that a slow handler delays nobody else.

use super::{
    config::{MAX_HANDLED_REQUESTS, MAX_WAITING_REQUESTS},
    driver::Command,
    state::Shared,
    wire::{Answer, Request},
};
use libp2p::{PeerId, request_response::ResponseChannel};
use std::sync::Arc;
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
    loop {
        tokio::select! {
            () = halt.cancelled() => return,
            inbound = queue.recv(), if handlers.len() < MAX_HANDLED_REQUESTS => {
                let Some(inbound) = inbound else { return };
                handlers.spawn(handle(inbound, shared.clone(), commands.clone()));
            }
            Some(_) = handlers.join_next() => {}
        }
    }
}

async fn handle(inbound: Inbound, shared: Arc<Shared>, commands: mpsc::Sender<Command>) {
    let Inbound { from, request, channel } = inbound;
    let answer = shared.registry.answer(from, &request.protocol, request.body).await;
    // Fails only when the host has stopped.
    let _ = commands.send(Command::Answer { channel, answer }).await;
}
