//! The two halves of a connection: what the swarm holds, and the task that writes what streams queued and hands them what arrives.
//!
//! The swarm's own task asks all its protocols each time it wakes; bytes do not have to wait for that, nor wake it. Invariants: a connection
//! that is busy lets others run; nothing that arrived is held back for a frame to be complete; the task ends with its connection.

use super::{
    MuxError,
    header::{HEADER_BYTES, Header},
    state::{Body, Chunk, Leave, Role, Shared},
    stream::Stream,
};
use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::task::JoinHandle;

/// Blocks read before others get their turn.
const TURN_BLOCKS: usize = 64;
/// Writes before reading gets its turn.
const TURN_WRITES: usize = 16;
/// Code of the goodbye to a peer that broke the protocol.
const PROTOCOL_ERROR: u32 = 1;

/// A connection of many streams.
#[derive(Debug)]
pub(in super::super) struct Muxer {
    shared: Arc<Shared>,
    /// Until it ended.
    driver: Option<JoinHandle<()>>,
}

impl Muxer {
    /// Starts the task of a connection over `io`.
    pub(super) fn start(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, role: Role) -> Self {
        let driver = Driver::new(io, role);
        Self { shared: driver.shared.clone(), driver: Some(tokio::spawn(driver)) }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<MuxError> {
        if let Some(driver) = &mut self.driver {
            // One that panicked leaves it to this call to end the connection.
            let _ = ready!(Pin::new(driver).poll(cx));
            self.driver = None;
        }
        Poll::Ready(self.shared.lock().end(MuxError::Closed))
    }
}

impl StreamMuxer for Muxer {
    type Substream = Stream;
    type Error = MuxError;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, MuxError>> {
        let id = ready!(self.shared.lock().take_arrived(cx));
        Poll::Ready(Ok(Stream::new(id, self.shared.clone())))
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Stream, MuxError>> {
        let id = ready!(self.shared.lock().open(cx))?;
        Poll::Ready(Ok(Stream::new(id, self.shared.clone())))
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, MuxError>> {
        self.poll_end(cx).map(Err)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), MuxError>> {
        self.shared.lock().leave(Leave::InOrder);
        match ready!(self.poll_end(cx)) {
            MuxError::Closed => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Muxer {
    fn drop(&mut self) {
        self.shared.lock().leave(Leave::AtOnce);
    }
}

/// What a connection's task does.
#[derive(Debug)]
pub(super) struct Driver<C> {
    io: C,
    pub(super) shared: Arc<Shared>,
    /// What is being written, and how much of it was.
    sending: Vec<u8>,
    sent: usize,
    unflushed: bool,
    reading: Reading,
}

/// What is being read.
#[derive(Debug)]
enum Reading {
    Header([u8; HEADER_BYTES], usize),
    Body(Body),
}

impl Reading {
    const NEXT: Self = Self::Header([0; HEADER_BYTES], 0);
}

impl<C: AsyncRead + AsyncWrite + Unpin> Future for Driver<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let leave = this.shared.lock().driven_by(cx);
        let done = match leave {
            None => this.drive(cx),
            Some(Leave::AtOnce) => return Poll::Ready(()),
            Some(Leave::InOrder) => this.close(cx),
        };
        let Err(error) = ready!(done) else { return Poll::Ready(()) };
        if error.is_violation() {
            tracing::debug!(%error, "a peer broke the protocol of its connection");
            this.shared.lock().say_goodbye(PROTOCOL_ERROR);
            // Whatever comes of it, the connection ends.
            let _ = this.write(cx);
        }
        this.shared.lock().end(error);
        Poll::Ready(())
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Driver<C> {
    pub(super) fn new(io: C, role: Role) -> Self {
        Self {
            io,
            shared: Arc::new(Shared::new(role)),
            sending: Vec::new(),
            sent: 0,
            unflushed: false,
            reading: Reading::NEXT,
        }
    }

    /// Writes and reads until nothing more can be done.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MuxError>> {
        let all_out = self.write(cx)?;
        for _ in 0..TURN_BLOCKS {
            // With everything written, what is queued now is little; otherwise the socket wakes this task.
            if !all_out && self.shared.lock().is_choked() {
                return Poll::Pending;
            }
            ready!(self.read(cx))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is left and closes the socket.
    fn close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MuxError>> {
        if !self.write(cx)? {
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_close(cx).map_err(MuxError::from)
    }

    /// Writes what is queued; whether all of it is on its way.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, MuxError> {
        for turn in 0.. {
            if self.sent == self.sending.len() {
                self.sending.clear();
                self.sent = 0;
                if !self.shared.lock().take_out(&mut self.sending) {
                    break;
                }
            }
            if turn == TURN_WRITES {
                cx.waker().wake_by_ref();
                return Ok(false);
            }
            match Pin::new(&mut self.io).poll_write(cx, &self.sending[self.sent..])? {
                Poll::Ready(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(written) => {
                    self.sent += written;
                    self.unflushed = true;
                }
                Poll::Pending => return Ok(false),
            }
        }
        if self.unflushed && Pin::new(&mut self.io).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(!self.unflushed)
    }

    /// Reads what is left of a header, or up to a block.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MuxError>> {
        match &mut self.reading {
            Reading::Header(bytes, have) => {
                let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut bytes[*have..]))?;
                *have += some(read)?;
                if *have == HEADER_BYTES {
                    let body = self.shared.lock().arrive(Header::decode(*bytes)?)?;
                    self.reading = if body.left == 0 { Reading::NEXT } else { Reading::Body(body) };
                }
            }
            Reading::Body(body) => {
                let mut chunk = self.shared.lock().room_for(body);
                let read = fill(&mut self.io, cx, body, &mut chunk);
                self.shared.lock().deliver(body, chunk);
                ready!(read)?;
                if body.left == 0 {
                    self.reading = Reading::NEXT;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads bytes of a body until a chunk is full.
fn fill<C: AsyncRead + Unpin>(
    io: &mut C,
    cx: &mut Context<'_>,
    body: &mut Body,
    chunk: &mut Chunk,
) -> Poll<Result<(), MuxError>> {
    loop {
        let room = chunk.room(usize::try_from(body.left).unwrap_or(usize::MAX));
        if room.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let read = some(ready!(Pin::new(&mut *io).poll_read(cx, room))?)?;
        chunk.filled(read);
        body.left -= u32::try_from(read).expect("a block is 16 KiB");
    }
}

fn some(read: usize) -> Result<usize, MuxError> {
    if read == 0 { Err(MuxError::Ended) } else { Ok(read) }
}
