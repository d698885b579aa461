//! Answers the data protocol.
//!
//! Owns streams and their bounds. Invariants: at most [`STREAMS_MAX`] streams, [`STREAM_MAX_REQUESTS`] requests of each and
//! [`PAYLOADS_MAX`] fragments are in memory at once; a request that panics is answered and counted, the stream goes on.

use super::{Inner, follow::run};
use crate::{
    codec,
    ledger::{manifest::Manifest, receipt::receipt_message},
    network::{FrameSink, FrameSource, Frames, NetError, Network, PeerId},
    runtime::{Counter, Criticality, Phase},
    storage::{
        fragments::FragmentError,
        guests::Guests,
        wire::{Answer, Ask, AuditPart, DATA, HAS_MAX_FRAGMENTS, Refusal, Request, Response},
    },
    types::{FragmentId, params::FRAGMENTS},
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

/// Streams served at once.
const STREAMS_MAX: usize = 128;
/// Streams of one peer served at once.
const STREAMS_PER_PEER_MAX: usize = 4;
/// Requests of one stream worked on at once.
const STREAM_MAX_REQUESTS: usize = 4;
/// Requests with or for a payload worked on at once, over all streams: 256 MiB of fragments.
const PAYLOADS_MAX: usize = 32;
/// A peer that does not take an answer for so long loses its stream, and with it the room it holds.
const SEND_DEADLINE: Duration = Duration::from_secs(30);

type Work = BoxFuture<'static, Done>;

/// What a request holds until its answer is sent.
type Held = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// An answer to send.
struct Done {
    response: Response,
    payload: Bytes,
    _held: Held,
}

struct Server {
    inner: Arc<Inner>,
    payloads: Arc<Semaphore>,
    guests: Guests,
}

pub(super) fn start(inner: &Arc<Inner>, network: Arc<dyn Network>) {
    let mut arriving = network.accept(DATA);
    let server = Arc::new(Server {
        inner: inner.clone(),
        payloads: Arc::new(Semaphore::new(PAYLOADS_MAX)),
        guests: Guests::new(STREAMS_MAX, STREAMS_PER_PEER_MAX),
    });
    inner.spawn(Phase::Accept, "miner-accept", async move {
        // Held so that the host outlives the service that serves on it.
        let _network = network;
        while let Some(stream) = arriving.recv().await {
            server.clone().admit(stream);
        }
        Ok(())
    });
}

impl Server {
    fn admit(self: Arc<Self>, stream: Box<dyn Frames>) {
        let peer = stream.peer();
        let Some(guest) = self.guests.admit(peer) else {
            tracing::warn!(%peer, "too many data streams, one was refused");
            return;
        };
        let tasks = self.inner.node.tasks.clone();
        let stopping = tasks.stopping(Phase::Drain);
        tasks.spawn(Phase::Drain, format!("data stream of {peer}"), Criticality::Optional, async move {
            let _guest = guest;
            tokio::select! {
                () = self.serve(peer, stream) => {}
                () = stopping.cancelled() => {}
            }
            Ok(())
        });
    }

    async fn serve(&self, peer: PeerId, stream: Box<dyn Frames>) {
        let (sink, source) = stream.split();
        let (work, queue) = mpsc::channel(STREAM_MAX_REQUESTS);
        let reason = tokio::select! {
            reason = self.listen(source, work) => reason,
            reason = speak(sink, queue) => reason,
        };
        if let Some(reason) = reason {
            self.inner.node.metrics.add(Counter::BadFrames, 1);
            tracing::debug!(%peer, reason, "data stream ended");
        }
    }

    /// Reads requests and queues the work. Ends with the reason if the peer broke the protocol.
    async fn listen(&self, mut source: Box<dyn FrameSource>, work: mpsc::Sender<Work>) -> Option<String> {
        let slots = Arc::new(Semaphore::new(STREAM_MAX_REQUESTS));
        loop {
            let frame = match source.recv().await {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => return Some(error.to_string()),
            };
            let Request { tag, ask } = match codec::decode(&frame) {
                Ok(request) => request,
                Err(error) => return Some(error.to_string()),
            };
            let slot = slots.clone().acquire_owned().await.ok()?;
            let room = self.room_for(&ask).await;
            let payload = match ask {
                Ask::Put { len, .. } | Ask::Tags { len, .. } => match source.recv().await {
                    Ok(Some(bytes)) if u32::try_from(bytes.len()) == Ok(len) => bytes,
                    Ok(_) => return Some(format!("a fragment of {len} B was announced but did not follow")),
                    Err(error) => return Some(error.to_string()),
                },
                _ => Bytes::new(),
            };
            let job = answer(self.inner.clone(), tag, ask, payload, (slot, room)).boxed();
            if work.send(job).await.is_err() {
                return None;
            }
        }
        // The peer will ask nothing more; what it asked is still answered, then the sending half ends the stream.
        drop(work);
        std::future::pending().await
    }

    async fn room_for(&self, ask: &Ask) -> Option<OwnedSemaphorePermit> {
        match ask {
            Ask::Put { .. }
            | Ask::Get { .. }
            | Ask::Receipt { .. }
            | Ask::Tags { .. }
            | Ask::TagReceipt { .. }
            | Ask::Audit { .. }
            | Ask::IdleProof { .. }
            | Ask::Check { .. } => self.payloads.clone().acquire_owned().await.ok(),
            Ask::Has { .. } => None,
        }
    }
}

/// Works on what is queued and sends answers as they come. Ends when the queue has ended and all is sent.
async fn speak(mut sink: Box<dyn FrameSink>, mut queue: mpsc::Receiver<Work>) -> Option<String> {
    let mut running = FuturesUnordered::new();
    let mut open = true;
    while open || !running.is_empty() {
        tokio::select! {
            work = queue.recv(), if open => match work {
                Some(work) => running.push(work),
                None => open = false,
            },
            Some(done) = running.next() => match timeout(SEND_DEADLINE, send(sink.as_mut(), done)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(format!("an answer was not taken within {} s", SEND_DEADLINE.as_secs())),
            }
        }
    }
    None
}

async fn send(sink: &mut dyn FrameSink, done: Done) -> Result<(), NetError> {
    sink.send(codec::encode(&done.response).into()).await?;
    match done.response.answer {
        Answer::Fragment { .. } | Answer::Proof { .. } => sink.send(done.payload).await,
        _ => Ok(()),
    }
}

/// Answers one request.
async fn answer(inner: Arc<Inner>, tag: u32, ask: Ask, payload: Bytes, held: Held) -> Done {
    let done = AssertUnwindSafe(inner.handle(ask, payload)).catch_unwind().await;
    let done = done.unwrap_or_else(|_| {
        inner.node.metrics.add(Counter::Panics, 1);
        Err(Refusal::failed("it panicked"))
    });
    let (answer, payload) = done.unwrap_or_else(|refusal| (Answer::Refused(refusal), Bytes::new()));
    Done { response: Response { tag, answer }, payload, _held: held }
}

fn proof(bytes: Vec<u8>) -> Result<(Answer, Bytes), Refusal> {
    let len = u32::try_from(bytes.len()).map_err(Refusal::failed)?;
    Ok((Answer::Proof { len }, bytes.into()))
}

impl Inner {
    async fn handle(&self, ask: Ask, payload: Bytes) -> Result<(Answer, Bytes), Refusal> {
        match ask {
            Ask::Put { id, .. } => self.put(id, payload).await.map(|()| (Answer::Stored, Bytes::new())),
            Ask::Get { id } => {
                let bytes = self.get(id).await?;
                let len = u32::try_from(bytes.len()).map_err(Refusal::failed)?;
                Ok((Answer::Fragment { len }, bytes))
            }
            Ask::Check { id } => {
                self.unless_damaged(id, self.store.get(id).await).await?;
                Ok((Answer::Stored, Bytes::new()))
            }
            Ask::Tags { id, epoch, .. } => {
                self.take_tags(id, epoch, payload).await.map(|()| (Answer::Stored, Bytes::new()))
            }
            Ask::TagReceipt { column, epoch, manifest } => {
                Ok((Answer::Signed(self.tag_receipt(column, epoch, manifest).await?), Bytes::new()))
            }
            Ask::Audit { round, part } => proof(self.audit_answer(round, part).await?),
            Ask::IdleProof { segment, .. } => proof(self.idle_proof(segment).await?),
            Ask::Has { ids } => Ok((Answer::Held(self.has(ids).await?), Bytes::new())),
            Ask::Receipt { column, manifest } => {
                Ok((Answer::Signed(self.receipt(column, manifest).await?), Bytes::new()))
            }
        }
    }

    /// An answer this miner committed to.
    async fn audit_answer(&self, round: u64, part: AuditPart) -> Result<Vec<u8>, Refusal> {
        let answers = self.answers.clone();
        let answer = run(move || Ok(answers.get(round, part)?)).await?;
        answer.ok_or_else(|| Refusal::invalid(format!("there is no such answer to round {round}")))
    }

    /// The proof of a segment's commitment.
    async fn idle_proof(&self, segment: u64) -> Result<Vec<u8>, Refusal> {
        let none = || Refusal::invalid(format!("there is no proof of segment {segment}"));
        let files = self.idle.as_ref().ok_or_else(none)?.files.clone();
        let read = run(move || Ok(files.has_proof(segment).then(|| files.proof(segment)))).await?;
        read.ok_or_else(none)?.map_err(Refusal::failed)
    }

    async fn put(&self, id: FragmentId, bytes: Bytes) -> Result<(), Refusal> {
        self.node.metrics.add(Counter::BytesIn, bytes.len() as u64);
        let since = self.now();
        if let Err(error) = self.store.put(id, bytes, since).await {
            if matches!(error, FragmentError::DiskFull { .. }) {
                tracing::error!(%error, "fragment refused: less space is left than is lent");
            }
            return Err(error.into());
        }
        self.show_space();
        Ok(())
    }

    /// A fragment as it lies on the disk: who reads it checks it, and asks for a [`Ask::Check`] if it is not what it should be.
    async fn get(&self, id: FragmentId) -> Result<Bytes, Refusal> {
        let bytes = self.unless_damaged(id, self.store.whole(id).await).await?;
        self.node.metrics.add(Counter::FragmentsServed, 1);
        self.node.metrics.add(Counter::BytesOut, bytes.len() as u64);
        Ok(bytes)
    }

    /// What was read of a fragment. A damaged one is dropped.
    async fn unless_damaged(&self, id: FragmentId, read: Result<Bytes, FragmentError>) -> Result<Bytes, Refusal> {
        if let Err(error) = &read
            && error.is_damage()
        {
            tracing::error!(%error, "bad fragment found while serving it");
            self.drop_damaged(id).await?;
        }
        Ok(read?)
    }

    async fn has(&self, ids: Vec<FragmentId>) -> Result<Vec<bool>, Refusal> {
        if ids.len() > HAS_MAX_FRAGMENTS {
            return Err(Refusal::invalid(format!(
                "{} fragments are asked for, at most {HAS_MAX_FRAGMENTS}",
                ids.len()
            )));
        }
        let store = self.store.clone();
        let held = run(move || ids.into_iter().map(|id| store.index().holds(id)).collect()).await?;
        Ok(held)
    }

    /// Signs for a column if every fragment of it is on disk; renews their waiting time.
    ///
    /// The waiting time counts from the chain's own height, not from the height followed so far, which may lag: the receipt is
    /// used with a beacon at or below that height, so a transaction with it is final, and followed, before the wait is over.
    async fn receipt(&self, column: u8, manifest: Vec<u8>) -> Result<[u8; 64], Refusal> {
        if usize::from(column) >= FRAGMENTS {
            return Err(Refusal::invalid(format!("column {column} is out of range, there are {FRAGMENTS}")));
        }
        let since = self.chain.status().await.map_err(Refusal::failed)?.height;
        let store = self.store.clone();
        let file = run(move || {
            let manifest = match Manifest::read(&manifest) {
                Ok(manifest) => manifest,
                Err(error) => return Ok(Err(Refusal::invalid(error))),
            };
            let ids: Vec<_> = manifest.segments.iter().map(|s| s.fragments[usize::from(column)]).collect();
            let missing = store.index().acknowledge(&ids, since)?;
            if missing.is_empty() {
                return Ok(Ok(manifest.id()));
            }
            let missing = missing.into_iter().filter_map(|position| u32::try_from(position).ok()).collect();
            Ok(Err(Refusal::Missing(missing)))
        })
        .await??;
        Ok(self.key.sign(&receipt_message(self.chain_id, file, column, self.account)).0)
    }
}
