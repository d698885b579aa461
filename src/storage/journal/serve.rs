//! Answers the journal protocol.
//!
//! Owns streams and their bounds. Must not know journals. Invariants: requests of a stream are handed to the store in the order
//! sent and answered in it; at most [`STREAMS_MAX`] streams are served and [`WAITING_MAX_BYTES`] wait over all of them.

use super::{
    store::JournalStore,
    wire::{Answer, Ask, BATCH_MAX_BYTES, JOURNAL, Refusal, Request, Response},
};
use crate::{
    codec,
    network::{FrameSink, FrameSource, Frames, Network, PeerId},
    runtime::{Counter, Criticality, Node, Phase},
    storage::guests::Guests,
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

/// Streams served at once.
const STREAMS_MAX: usize = 128;
/// Streams of one peer served at once.
const STREAMS_PER_PEER_MAX: usize = 4;
/// Requests of one stream that wait for their answers.
const STREAM_MAX_REQUESTS: usize = 256;
/// Bytes of requests and answers under way, over all streams.
const WAITING_MAX_BYTES: usize = 128 << 20;
/// A peer that does not take an answer for so long loses its stream, and with it the room it holds.
const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// A request that was handed to the store.
struct Waiting {
    tag: u32,
    answer: oneshot::Receiver<Answer>,
    _room: OwnedSemaphorePermit,
}

struct Server {
    node: Node,
    store: JournalStore,
    room: Arc<Semaphore>,
}

/// Serves `store` to the network for as long as the node runs.
pub fn serve(node: &Node, network: Arc<dyn Network>, store: JournalStore) {
    let mut arriving = network.accept(JOURNAL);
    let room = Arc::new(Semaphore::new(WAITING_MAX_BYTES));
    let server = Arc::new(Server { node: node.clone(), store, room });
    let guests = Guests::new(STREAMS_MAX, STREAMS_PER_PEER_MAX);
    let stopping = node.tasks.stopping(Phase::Accept);
    node.tasks.spawn(Phase::Accept, "journal-accept", Criticality::Critical, async move {
        // Held so that the host outlives the service that serves on it.
        let _network = network;
        loop {
            let stream = tokio::select! {
                stream = arriving.recv() => stream,
                () = stopping.cancelled() => None,
            };
            let Some(stream) = stream else { return Ok(()) };
            server.clone().admit(&guests, stream);
        }
    });
}

impl Server {
    fn admit(self: Arc<Self>, guests: &Guests, stream: Box<dyn Frames>) {
        let peer = stream.peer();
        let Some(guest) = guests.admit(peer) else {
            tracing::warn!(%peer, "too many journal streams, one was refused");
            return;
        };
        let tasks = self.node.tasks.clone();
        let stopping = tasks.stopping(Phase::Drain);
        tasks.spawn(Phase::Drain, format!("journal stream of {peer}"), Criticality::Optional, async move {
            let _guest = guest;
            tokio::select! {
                () = self.converse(peer, stream) => {}
                () = stopping.cancelled() => {}
            }
            Ok(())
        });
    }

    async fn converse(&self, peer: PeerId, stream: Box<dyn Frames>) {
        let (sink, source) = stream.split();
        let (waiting, queue) = mpsc::channel(STREAM_MAX_REQUESTS);
        let (listened, spoken) = tokio::join!(self.listen(source, waiting), speak(sink, queue));
        if let Err(reason) = listened.and(spoken) {
            self.node.metrics.add(Counter::BadFrames, 1);
            tracing::debug!(%peer, reason, "journal stream ended");
        }
    }

    /// Reads requests and hands them over. Ends with the reason if the peer broke the protocol.
    async fn listen(&self, mut source: Box<dyn FrameSource>, waiting: mpsc::Sender<Waiting>) -> Result<(), String> {
        loop {
            let frame = tokio::select! {
                frame = source.recv() => frame.map_err(|e| e.to_string())?,
                // Answers cannot be sent any more.
                () = waiting.closed() => return Ok(()),
            };
            let Some(frame) = frame else { return Ok(()) };
            let request: Request = codec::decode(&frame).map_err(|e| e.to_string())?;
            let bytes = match request.ask {
                Ask::Read { .. } => BATCH_MAX_BYTES,
                _ => frame.len(),
            };
            drop(frame);
            let permits = u32::try_from(bytes).map_err(|e| e.to_string())?;
            let room = self.room.clone().acquire_many_owned(permits).await.map_err(|e| e.to_string())?;
            let tag = request.tag;
            let answer = self.store.submit(request).await;
            if waiting.send(Waiting { tag, answer, _room: room }).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Sends answers as they come, in the order asked.
async fn speak(mut sink: Box<dyn FrameSink>, mut queue: mpsc::Receiver<Waiting>) -> Result<(), String> {
    while let Some(Waiting { tag, answer, _room }) = queue.recv().await {
        let answer = answer.await.unwrap_or_else(|_| Answer::Refused(Refusal::failed("it stops")));
        let response = codec::encode(&Response { tag, answer });
        match timeout(SEND_DEADLINE, sink.send(response.into())).await {
            Ok(sent) => sent.map_err(|e| e.to_string())?,
            Err(_) => return Err(format!("an answer was not taken within {} s", SEND_DEADLINE.as_secs())),
        }
    }
    Ok(())
}
