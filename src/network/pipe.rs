//! A stream of frames between two ends in one process: of the in-memory network, and of a host that talks to itself.
//!
//! Invariants: at most [`PIPE_MAX_BYTES`] are under way in one direction, the sender waits for room; a cut pipe fails on
//! both ends at once; a sender that is dropped ends the stream in order.

use super::port::{FRAME_MAX_BYTES, FrameSink, FrameSource, Frames, NetError};
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::PeerId;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// Bytes under way in one direction of a pipe.
pub(super) const PIPE_MAX_BYTES: usize = 2 * FRAME_MAX_BYTES;
/// Frames under way in one direction of a pipe.
const PIPE_MAX_FRAMES: usize = 1024;

/// What the link does to a frame.
pub(super) enum Passage {
    /// It arrives after this time.
    After(Duration),
    /// The link is broken and the pipe with it.
    Broken,
}

/// Asked for each frame.
pub(super) type Gate = Arc<dyn Fn() -> Passage + Send + Sync>;

/// A gate that lets everything pass at once.
pub(super) fn open_gate() -> Gate {
    Arc::new(|| Passage::After(Duration::ZERO))
}

/// Both ends of a pipe between `a` and `b`: the first is held by `a`. `cut` breaks it.
pub(super) fn pipe(
    a: PeerId,
    b: PeerId,
    a_to_b: Gate,
    b_to_a: Gate,
    cut: CancellationToken,
) -> (Box<dyn Frames>, Box<dyn Frames>) {
    let (a_sink, b_source) = direction(b, a_to_b, cut.clone());
    let (b_sink, a_source) = direction(a, b_to_a, cut);
    (
        Box::new(PipeFrames { peer: b, sink: a_sink, source: a_source }),
        Box::new(PipeFrames { peer: a, sink: b_sink, source: b_source }),
    )
}

fn direction(to: PeerId, gate: Gate, cut: CancellationToken) -> (PipeSink, PipeSource) {
    let (tx, rx) = mpsc::channel(PIPE_MAX_FRAMES);
    let room = Arc::new(Semaphore::new(PIPE_MAX_BYTES));
    (PipeSink { to, tx, room, gate, cut: cut.clone() }, PipeSource { rx, cut, next: None })
}

struct Parcel {
    frame: Bytes,
    due: Instant,
    _room: OwnedSemaphorePermit,
}

struct PipeFrames {
    peer: PeerId,
    sink: PipeSink,
    source: PipeSource,
}

struct PipeSink {
    to: PeerId,
    tx: mpsc::Sender<Parcel>,
    room: Arc<Semaphore>,
    gate: Gate,
    cut: CancellationToken,
}

struct PipeSource {
    rx: mpsc::Receiver<Parcel>,
    cut: CancellationToken,
    /// Taken from the channel, not yet due: survives a dropped `recv`.
    next: Option<Parcel>,
}

#[async_trait]
impl Frames for PipeFrames {
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
        (Box::new(self.sink), Box::new(self.source))
    }
}

#[async_trait]
impl FrameSink for PipeSink {
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        let len = frame.len();
        let closed = || NetError::Closed(format!("the stream to {} was cut", self.to));
        NetError::check_size("frame", len, FRAME_MAX_BYTES)?;
        let delay = match (self.gate)() {
            Passage::After(delay) => delay,
            Passage::Broken => {
                self.cut.cancel();
                return Err(closed());
            }
        };
        let bytes = u32::try_from(len).expect("a frame is far below 4 GiB");
        let room = tokio::select! { biased;
            () = self.cut.cancelled() => return Err(closed()),
            () = self.tx.closed() => return Err(NetError::Closed(format!("{} dropped the stream", self.to))),
            room = self.room.clone().acquire_many_owned(bytes) => room.map_err(|_| closed())?,
        };
        let parcel = Parcel { frame, due: Instant::now() + delay, _room: room };
        tokio::select! { biased;
            () = self.cut.cancelled() => Err(closed()),
            sent = self.tx.send(parcel) => sent.map_err(|_| NetError::Closed(format!("{} dropped the stream", self.to))),
        }
    }
}

#[async_trait]
impl FrameSource for PipeSource {
    async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        let cut = || NetError::Closed("the stream was cut".to_owned());
        let due = match &self.next {
            Some(parcel) => parcel.due,
            None => {
                let parcel = tokio::select! { biased;
                    () = self.cut.cancelled() => return Err(cut()),
                    parcel = self.rx.recv() => parcel,
                };
                let Some(parcel) = parcel else { return Ok(None) };
                self.next.insert(parcel).due
            }
        };
        if due > Instant::now() {
            tokio::select! { biased;
                () = self.cut.cancelled() => return Err(cut()),
                () = sleep_until(due) => {}
            }
        }
        Ok(self.next.take().map(|parcel| parcel.frame))
    }
}
