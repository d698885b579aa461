//! Frames over one libp2p stream.
//!
//! A frame is `len: u32 little-endian, bytes`; the length [`END`] says that the sender closed in order, so that a cut
//! connection is never taken for an end. Invariants: a length is checked before memory is reserved; a dropped `recv` loses
//! nothing; a dropped `send` is completed by the next one; after an error the stream is of no more use.

use super::config::{CLOSING_DEADLINE, MAX_CLOSING_STREAMS};
use crate::{
    network::port::{FRAME_ALIGN_BYTES, FRAME_MAX_BYTES, FrameSink, FrameSource, Frames, NetError},
    runtime::{Counter, Metrics},
};
use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    io::{IoSlice, ReadHalf, WriteHalf},
    stream::FuturesUnordered,
};
use libp2p::{PeerId, Stream};
use std::io;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

/// Instead of a length: the sender closed in order.
const END: u32 = u32::MAX;
/// A large frame is zeroed and read in steps of this size.
const READ_STEP_BYTES: usize = 64 << 10;
const PREFIX_BYTES: usize = 4;

/// A sending half that has to be closed in order.
pub(super) struct Closing {
    io: WriteHalf<Stream>,
    out: Outgoing,
}

/// Where dropped sending halves go to be closed.
pub(super) type Closer = mpsc::Sender<Closing>;

/// The queue of dropped sending halves.
pub(super) fn closer() -> (Closer, mpsc::Receiver<Closing>) {
    mpsc::channel(MAX_CLOSING_STREAMS)
}

/// Closes dropped sending halves until the host stops.
pub(super) async fn run_closer(mut queue: mpsc::Receiver<Closing>, halt: CancellationToken) {
    let mut closing = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = halt.cancelled() => return,
            next = queue.recv(), if closing.len() < MAX_CLOSING_STREAMS => {
                let Some(next) = next else { return };
                closing.push(timeout(CLOSING_DEADLINE, finish(next)));
            }
            Some(_) = closing.next() => {}
        }
    }
}

async fn finish(Closing { mut io, mut out }: Closing) -> io::Result<()> {
    out.drain(&mut io).await?;
    io.write_all(&END.to_le_bytes()).await?;
    io.close().await
}

/// What is left of the frame being sent.
#[derive(Default)]
struct Outgoing {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the prefix that are left.
    ahead: usize,
    body: Bytes,
}

impl Outgoing {
    /// Writes what is left of an earlier frame, then `frame`.
    async fn send(&mut self, frame: Bytes, io: &mut WriteHalf<Stream>) -> io::Result<()> {
        self.drain(io).await?;
        let len = u32::try_from(frame.len()).expect("a frame is far below 4 GiB");
        *self = Self { prefix: len.to_le_bytes(), ahead: PREFIX_BYTES, body: frame };
        self.drain(io).await
    }

    /// Writes what is left. Dropped in between, it knows how far it came.
    async fn drain(&mut self, io: &mut WriteHalf<Stream>) -> io::Result<()> {
        while self.ahead > 0 || self.body.has_remaining() {
            let prefix = &self.prefix[PREFIX_BYTES - self.ahead..];
            let written = io.write_vectored(&[IoSlice::new(prefix), IoSlice::new(&self.body)]).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let of_prefix = written.min(prefix.len());
            self.ahead -= of_prefix;
            self.body.advance(written - of_prefix);
        }
        io.flush().await
    }
}

/// Both directions of a stream.
pub(super) struct StreamFrames {
    sink: StreamSink,
    source: StreamSource,
}

struct StreamSink {
    peer: PeerId,
    io: Option<WriteHalf<Stream>>,
    out: Outgoing,
    closer: Closer,
    metrics: Metrics,
}

struct StreamSource {
    peer: PeerId,
    io: Option<ReadHalf<Stream>>,
    prefix: [u8; PREFIX_BYTES],
    /// Bytes read of the prefix, then of the frame.
    read: usize,
    /// The frame being read, once its length is known.
    frame: Option<(usize, BytesMut)>,
    ended: bool,
    metrics: Metrics,
}

impl StreamFrames {
    /// Frames over `stream`, whose greeting is over.
    pub(super) fn new(peer: PeerId, stream: Stream, closer: Closer, metrics: Metrics) -> Self {
        let (read, write) = stream.split();
        let sink = StreamSink { peer, io: Some(write), out: Outgoing::default(), closer, metrics: metrics.clone() };
        let source = StreamSource {
            peer,
            io: Some(read),
            prefix: [0; PREFIX_BYTES],
            read: 0,
            frame: None,
            ended: false,
            metrics,
        };
        Self { sink, source }
    }
}

#[async_trait]
impl Frames for StreamFrames {
    fn peer(&self) -> PeerId {
        self.sink.peer
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
impl FrameSink for StreamSink {
    async fn send(&mut self, frame: Bytes) -> Result<(), NetError> {
        NetError::check_size("frame", frame.len(), FRAME_MAX_BYTES)?;
        let Some(io) = &mut self.io else { return Err(closed(&self.peer, "it failed before")) };
        let len = u64::try_from(frame.len()).expect("a length fits into u64");
        if let Err(error) = self.out.send(frame, io).await {
            self.io = None;
            return Err(closed(&self.peer, error));
        }
        self.metrics.add(Counter::BytesOut, len);
        Ok(())
    }
}

impl Drop for StreamSink {
    fn drop(&mut self) {
        if let Some(io) = self.io.take() {
            // With a full queue, or a host that stopped, the other end sees a cut stream instead of an end.
            let _ = self.closer.try_send(Closing { io, out: std::mem::take(&mut self.out) });
        }
    }
}

#[async_trait]
impl FrameSource for StreamSource {
    async fn recv(&mut self) -> Result<Option<Bytes>, NetError> {
        if self.ended {
            return Ok(None);
        }
        let next = self.next().await;
        match &next {
            Ok(Some(frame)) => {
                self.metrics.add(Counter::BytesIn, u64::try_from(frame.len()).expect("a length fits into u64"));
            }
            Ok(None) => self.ended = true,
            Err(_) => self.io = None,
        }
        next
    }
}

impl StreamSource {
    async fn next(&mut self) -> Result<Option<Bytes>, NetError> {
        let Some(io) = &mut self.io else { return Err(closed(&self.peer, "it failed before")) };
        while self.frame.is_none() {
            self.read += read_some(io, &self.peer, &mut self.prefix[self.read..]).await?;
            if self.read < PREFIX_BYTES {
                continue;
            }
            self.read = 0;
            let prefix = u32::from_le_bytes(self.prefix);
            if prefix == END {
                return Ok(None);
            }
            let len = usize::try_from(prefix).unwrap_or(usize::MAX);
            if len > FRAME_MAX_BYTES {
                self.metrics.add(Counter::BadFrames, 1);
                return Err(NetError::TooLarge { what: "incoming frame", len, max: FRAME_MAX_BYTES });
            }
            self.frame = Some((len, room_for(len)));
        }
        while let Some((len, frame)) = &mut self.frame
            && self.read < *len
        {
            if frame.len() == self.read {
                frame.resize((self.read + READ_STEP_BYTES).min(*len), 0);
            }
            self.read += read_some(io, &self.peer, &mut frame[self.read..]).await?;
        }
        self.read = 0;
        Ok(self.frame.take().map(|(_, frame)| frame.freeze()))
    }
}

/// Memory for a frame.
fn room_for(len: usize) -> BytesMut {
    if len < FRAME_ALIGN_BYTES {
        return BytesMut::with_capacity(len);
    }
    let mut room = BytesMut::with_capacity(len + FRAME_ALIGN_BYTES);
    let before = room.as_ptr().align_offset(FRAME_ALIGN_BYTES);
    room.resize(before, 0);
    room.split_off(before)
}

async fn read_some(io: &mut ReadHalf<Stream>, peer: &PeerId, into: &mut [u8]) -> Result<usize, NetError> {
    match io.read(into).await {
        Ok(0) => Err(closed(peer, "it was cut")),
        Ok(read) => Ok(read),
        Err(error) => Err(closed(peer, error)),
    }
}

fn closed(peer: &PeerId, reason: impl std::fmt::Display) -> NetError {
    NetError::Closed(format!("stream with {peer}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_frames_begin_at_a_page() {
        for len in [FRAME_ALIGN_BYTES, FRAME_ALIGN_BYTES + 1, 8 << 20] {
            let mut room = room_for(len);
            let start = room.as_ptr();
            room.resize(len, 7);
            assert_eq!(
                (room.as_ptr(), start.align_offset(FRAME_ALIGN_BYTES)),
                (start, 0),
                "{len} B moved or lie across pages"
            );
        }
        assert_eq!(room_for(9).capacity(), 9);
    }
}
