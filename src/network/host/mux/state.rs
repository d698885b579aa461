//! What the streams of a connection share with its task.
//!
//! Owns windows, queues and their bounds; touches no socket. Invariants: a peer that sends more than its window loses the connection; what
//! a stream holds is at most its window and one block; what waits to be written is at most [`OUT_MAX_BYTES`] and what one frame adds;
//! streams are forgotten when their handle is dropped.

use super::{
    MuxError,
    header::{ACK, FIN, Header, Kind, RST, SYN},
};
use futures::io::IoSlice;
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    io,
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// Bytes that may be sent on a stream before the other end said anything; the specification's number.
pub(super) const FIRST_WINDOW: u32 = 256 << 10;
/// To which a stream's window grows while its reader keeps up and the line is long.
pub(super) const WINDOW_MAX: u32 = 16 << 20;
/// Bytes by which all windows of a connection together may exceed their first size.
const GROWTH_MAX_BYTES: u32 = 64 << 20;
/// Streams each end may have open.
pub(super) const STREAMS_MAX: usize = 512;
/// Own streams that the peer has not acknowledged; hosts of this protocol reset more.
pub(super) const UNACKNOWLEDGED_MAX: usize = 256;
/// Streams the peer opened that nobody has taken yet; more are reset.
pub(super) const ARRIVED_MAX: usize = 256;
/// Bytes gathered for one write.
pub(super) const OUT_BYTES: usize = 64 << 10;
/// Beyond this much waiting to be written nothing more is read, so that whoever asks has to take the answers.
pub(super) const OUT_MAX_BYTES: usize = 4 * OUT_BYTES;
/// A write of so little never waits behind large ones.
const SMALL_MAX_BYTES: usize = 4 << 10;
/// What arrives is kept in blocks of this size.
pub(super) const BLOCK_BYTES: usize = 16 << 10;
/// Smallest block, for streams on which little arrives.
const BLOCK_MIN_BYTES: usize = 512;
/// Blocks of a connection kept for use again.
const FREE_BLOCKS_MAX: usize = 16;
/// Age at which the time to the peer and back is taken again.
const ROUND_TRIP_MAX_AGE: Duration = Duration::from_secs(10);

/// Code of an orderly goodbye.
const GOODBYE: u32 = 0;

/// Which end of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Opened it; its streams have odd numbers.
    Dialer,
    /// Accepted it; its streams have even numbers.
    Listener,
}

/// How this end goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// With what is queued and a goodbye.
    InOrder,
    /// As a cut line does.
    AtOnce,
}

/// Bytes that arrived.
#[derive(Debug)]
pub(super) struct Chunk {
    block: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Chunk {
    fn of(block: Box<[u8]>) -> Self {
        Self { block, start: 0, end: 0 }
    }

    fn len(&self) -> usize {
        self.end - self.start
    }

    /// Moves as many bytes as fit.
    pub(super) fn copy_to(&mut self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.len());
        into[..len].copy_from_slice(&self.block[self.start..self.start + len]);
        self.start += len;
        len
    }

    /// Room for `most` more bytes or fewer.
    pub(super) fn room(&mut self, most: usize) -> &mut [u8] {
        let end = self.block.len().min(self.end.saturating_add(most));
        &mut self.block[self.end..end]
    }

    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }
}

/// Where the bytes that follow a header go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body {
    /// The stream, if there is one.
    pub(super) stream: Option<u32>,
    pub(super) left: u32,
    /// Whether the stream ends with them.
    pub(super) ends: bool,
}

#[derive(Debug)]
struct Slot {
    /// What the next frame has to say beside what it is for: that the stream is opened, or accepted.
    hello: u16,
    /// Whether the peer acknowledged a stream of this end.
    acknowledged: bool,
    finished: bool,
    ended: bool,
    reset: bool,
    may_send: u32,
    may_receive: u32,
    window: u32,
    granted: Instant,
    chunks: VecDeque<Chunk>,
    /// Bytes that arrived or are arriving and nobody has read.
    held: u32,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Slot {
    fn new(hello: u16) -> Self {
        Self {
            hello,
            acknowledged: false,
            finished: false,
            ended: false,
            reset: false,
            may_send: FIRST_WINDOW,
            may_receive: FIRST_WINDOW,
            window: FIRST_WINDOW,
            granted: Instant::now(),
            chunks: VecDeque::new(),
            held: 0,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

/// The time to the peer and back.
#[derive(Debug, Default)]
struct RoundTrip {
    number: u32,
    asked: Option<Instant>,
    known: Option<(Duration, Instant)>,
}

/// The state of a connection, shared by its task and its streams.
#[derive(Debug)]
pub(super) struct Shared(Mutex<State>);

impl Shared {
    pub(super) fn new(role: Role) -> Self {
        Self(Mutex::new(State::new(role)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

#[derive(Debug)]
pub(super) struct State {
    next: u32,
    slots: HashMap<u32, Slot>,
    arrived: VecDeque<u32>,
    /// Frames to be written.
    out: Vec<u8>,
    /// Those who wait for room there.
    crowd: Vec<Waker>,
    free: Vec<Box<[u8]>>,
    grown: u32,
    round_trip: RoundTrip,
    /// Why the connection ended.
    end: Option<MuxError>,
    leave: Option<Leave>,
    driver: Option<Waker>,
    opener: Option<Waker>,
    taker: Option<Waker>,
}

impl State {
    pub(super) fn new(role: Role) -> Self {
        Self {
            next: if role == Role::Dialer { 1 } else { 2 },
            slots: HashMap::new(),
            arrived: VecDeque::new(),
            out: Vec::new(),
            crowd: Vec::new(),
            free: Vec::new(),
            grown: 0,
            round_trip: RoundTrip::default(),
            end: None,
            leave: None,
            driver: None,
            opener: None,
            taker: None,
        }
    }

    fn is_own(&self, stream: u32) -> bool {
        stream % 2 == self.next % 2
    }

    /// Remembers the task that writes and reads; says whether it is to leave.
    pub(super) fn driven_by(&mut self, cx: &Context<'_>) -> Option<Leave> {
        note(&mut self.driver, cx);
        self.leave
    }

    /// Opens a stream. The peer learns of it by the first frame.
    pub(super) fn open(&mut self, cx: &Context<'_>) -> Poll<Result<u32, MuxError>> {
        if let Some(end) = &self.end {
            return Poll::Ready(Err(end.clone()));
        }
        let own = || self.slots.iter().filter(|(id, _)| self.is_own(**id)).map(|(_, slot)| slot);
        let unacknowledged = own().filter(|slot| !slot.acknowledged && !slot.reset);
        if own().count() >= STREAMS_MAX || unacknowledged.count() >= UNACKNOWLEDGED_MAX {
            note(&mut self.opener, cx);
            return Poll::Pending;
        }
        let id = self.next;
        let Some(next) = id.checked_add(2) else { return Poll::Ready(Err(MuxError::Exhausted)) };
        self.next = next;
        self.slots.insert(id, Slot::new(SYN));
        Poll::Ready(Ok(id))
    }

    /// The next stream that the peer opened.
    pub(super) fn take_arrived(&mut self, cx: &Context<'_>) -> Poll<u32> {
        match self.arrived.pop_front() {
            Some(id) => Poll::Ready(id),
            None => {
                note(&mut self.taker, cx);
                Poll::Pending
            }
        }
    }

    /// Queues a frame of bytes, or as much of it as fits.
    pub(super) fn write(&mut self, id: u32, parts: &[IoSlice<'_>], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let queued = self.out.len();
        let small = len <= SMALL_MAX_BYTES && queued < 2 * OUT_BYTES;
        let room = if small { SMALL_MAX_BYTES } else { OUT_BYTES.saturating_sub(queued) };
        let slot = match (self.slots.get_mut(&id), &self.end) {
            (Some(slot), None) if !slot.reset => slot,
            (_, end) => return Poll::Ready(Err(broken(end.as_ref()))),
        };
        if slot.finished {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::BrokenPipe, "the stream was closed for writing")));
        }
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        if slot.may_send == 0 {
            note(&mut slot.writer, cx);
            return Poll::Pending;
        }
        if room == 0 {
            if !self.crowd.iter().any(|waker| waker.will_wake(cx.waker())) {
                self.crowd.push(cx.waker().clone());
            }
            return Poll::Pending;
        }
        let allowed = usize::try_from(slot.may_send).unwrap_or(usize::MAX);
        let sent = u32::try_from(len.min(room).min(allowed)).expect("less than 64 KiB");
        slot.may_send -= sent;
        let flags = std::mem::take(&mut slot.hello);
        self.push(Header { kind: Kind::Data, flags, stream: id, value: sent });
        let sent = sent as usize;
        let mut left = sent;
        for part in parts {
            let now = left.min(part.len());
            self.out.extend_from_slice(&part[..now]);
            left -= now;
        }
        Poll::Ready(Ok(sent))
    }

    /// The bytes that come next, for who has used up `used`. `None` is the end. Without a context nobody is woken.
    pub(super) fn next_chunk(
        &mut self,
        id: u32,
        used: Option<Chunk>,
        cx: Option<&mut Context<'_>>,
    ) -> Poll<io::Result<Option<Chunk>>> {
        used.into_iter().for_each(|chunk| self.keep(chunk.block));
        let Some(slot) = self.slots.get_mut(&id) else { return Poll::Ready(Err(broken(self.end.as_ref()))) };
        if let Some(chunk) = slot.chunks.pop_front() {
            slot.held -= u32::try_from(chunk.len()).expect("a block is 16 KiB");
            self.grant(id);
            return Poll::Ready(Ok(Some(chunk)));
        }
        if slot.ended {
            return Poll::Ready(Ok(None));
        }
        if slot.reset || self.end.is_some() {
            return Poll::Ready(Err(broken(self.end.as_ref())));
        }
        cx.into_iter().for_each(|cx| note(&mut slot.reader, cx));
        Poll::Pending
    }

    /// Nothing more is written to a stream.
    pub(super) fn finish(&mut self, id: u32) {
        if let Some(slot) = self.slots.get_mut(&id)
            && !std::mem::replace(&mut slot.finished, true)
            && !slot.reset
        {
            let flags = FIN | std::mem::take(&mut slot.hello);
            self.push(Header { kind: Kind::Data, flags, stream: id, value: 0 });
        }
    }

    /// The user of a stream dropped it.
    pub(super) fn forget(&mut self, id: u32, used: Option<Chunk>) {
        let Some(mut slot) = self.slots.remove(&id) else { return };
        self.grown -= slot.window - FIRST_WINDOW;
        let chunks = slot.chunks.drain(..).chain(used);
        chunks.for_each(|chunk| self.keep(chunk.block));
        // A peer that never heard of the stream need not hear of its end; one that still writes is told when it does.
        if !slot.finished && !slot.reset && slot.hello != SYN {
            let flags = if slot.ended { FIN | slot.hello } else { RST };
            self.push(Header { kind: Kind::Data, flags, stream: id, value: 0 });
        }
        self.opener.take().into_iter().for_each(Waker::wake);
    }

    /// Understands a header that arrived. What follows it goes to the body.
    pub(super) fn arrive(&mut self, header: Header) -> Result<Body, MuxError> {
        if matches!(header.kind, Kind::Data | Kind::Window) {
            return self.arrive_on_stream(header);
        }
        match header.kind {
            Kind::Ping if header.has(ACK) => self.answered(header.value),
            Kind::Ping => self.push(Header { flags: ACK, ..header }),
            _ if header.value == 0 => return Err(MuxError::Ended),
            _ => return Err(MuxError::GoAway(header.value)),
        }
        Ok(Body { stream: None, left: 0, ends: false })
    }

    fn arrive_on_stream(&mut self, header: Header) -> Result<Body, MuxError> {
        let Header { kind, stream, value, .. } = header;
        let left = if kind == Kind::Data { value } else { 0 };
        let nowhere = Body { stream: None, left, ends: false };
        if header.has(SYN) && !self.admit(header)? {
            return Ok(nowhere);
        }
        let Some(slot) = self.slots.get_mut(&stream) else {
            // Its user is gone: a peer that still writes would wait for ever when the window is used up.
            if left > 0 && !header.has(RST) {
                self.push(Header { kind: Kind::Data, flags: RST, stream, value: 0 });
            }
            return Ok(nowhere);
        };
        // Whatever is said about a stream shows that the peer knows it.
        if !std::mem::replace(&mut slot.acknowledged, true) {
            self.opener.take().into_iter().for_each(Waker::wake);
        }
        if header.has(RST) {
            slot.reset = true;
            slot.wake();
            self.opener.take().into_iter().for_each(Waker::wake);
            return Ok(nowhere);
        }
        if kind == Kind::Window {
            let had = slot.may_send;
            let all = had.checked_add(value).ok_or(MuxError::Credit { stream, had, credit: value })?;
            slot.may_send = all;
            slot.writer.take().into_iter().for_each(Waker::wake);
        } else {
            let allowed = slot.may_receive;
            slot.may_receive = allowed.checked_sub(value).ok_or(MuxError::Window { stream, sent: value, allowed })?;
            slot.held += value;
        }
        let ends = header.has(FIN);
        if ends && left == 0 {
            slot.ended = true;
            slot.reader.take().into_iter().for_each(Waker::wake);
        }
        Ok(Body { stream: Some(stream), left, ends })
    }

    /// Whether there is a place for a stream that the peer opens; if not, it is reset.
    fn admit(&mut self, Header { stream, .. }: Header) -> Result<bool, MuxError> {
        if stream == 0 || self.is_own(stream) {
            return Err(MuxError::NotItsStream(stream));
        }
        if self.slots.contains_key(&stream) {
            return Err(MuxError::OpenedTwice(stream));
        }
        let opened = self.slots.keys().filter(|id| !self.is_own(**id)).count();
        if opened >= STREAMS_MAX || self.arrived.len() >= ARRIVED_MAX {
            self.push(Header { kind: Kind::Data, flags: RST, stream, value: 0 });
            return Ok(false);
        }
        self.slots.insert(stream, Slot { acknowledged: true, ..Slot::new(ACK) });
        self.arrived.push_back(stream);
        self.taker.take().into_iter().for_each(Waker::wake);
        Ok(true)
    }

    /// A chunk with room for bytes of a body: the stream's last one, or a new one.
    pub(super) fn room_for(&mut self, body: &Body) -> Chunk {
        let slot = body.stream.and_then(|id| self.slots.get_mut(&id));
        if let Some(last) = slot.and_then(|slot| slot.chunks.pop_back_if(|last| last.end < last.block.len())) {
            return last;
        }
        let left = usize::try_from(body.left).unwrap_or(usize::MAX);
        let len = left.clamp(BLOCK_MIN_BYTES, BLOCK_BYTES);
        let used = if len == BLOCK_BYTES { self.free.pop() } else { None };
        Chunk::of(used.unwrap_or_else(|| vec![0; len].into()))
    }

    /// Hands a chunk to its stream, and the stream's end if this was all.
    pub(super) fn deliver(&mut self, body: &Body, chunk: Chunk) {
        let slot = body.stream.and_then(|id| self.slots.get_mut(&id));
        let Some(slot) = slot.filter(|slot| !slot.reset) else { return self.keep(chunk.block) };
        slot.ended |= body.ends && body.left == 0;
        if chunk.len() > 0 || slot.ended {
            slot.reader.take().into_iter().for_each(Waker::wake);
        }
        if chunk.len() == 0 {
            return self.keep(chunk.block);
        }
        slot.chunks.push_back(chunk);
    }

    /// Swaps what is to be written for an empty `buffer`; whether there was anything.
    pub(super) fn take_out(&mut self, buffer: &mut Vec<u8>) -> bool {
        std::mem::swap(&mut self.out, buffer);
        self.crowd.drain(..).for_each(Waker::wake);
        !buffer.is_empty()
    }

    /// Whether the peer must first take what it was sent.
    pub(super) fn is_choked(&self) -> bool {
        self.out.len() > OUT_MAX_BYTES
    }

    /// The connection is over; the first reason counts. What arrived may still be read.
    pub(super) fn end(&mut self, reason: MuxError) -> MuxError {
        let reason = self.end.get_or_insert(reason).clone();
        self.slots.values_mut().for_each(Slot::wake);
        let waiting = self.crowd.drain(..).chain(self.opener.take()).chain(self.taker.take());
        waiting.for_each(Waker::wake);
        reason
    }

    /// Has the connection's task end it.
    pub(super) fn leave(&mut self, how: Leave) {
        if self.leave.is_none() {
            self.say_goodbye(GOODBYE);
            self.end(MuxError::Closed);
        }
        if self.leave != Some(Leave::AtOnce) && self.leave != Some(how) {
            self.leave = Some(how);
            self.driver.take().into_iter().for_each(Waker::wake);
        }
    }

    /// Says why this end goes away.
    pub(super) fn say_goodbye(&mut self, code: u32) {
        self.push(Header { kind: Kind::GoAway, flags: 0, stream: 0, value: code });
    }

    /// Allows the peer to send as much as was read, once that is worth a frame. A window that was used up within two round trips is
    /// doubled: the line is longer than it.
    fn grant(&mut self, id: u32) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let mut credit = slot.window - slot.may_receive - slot.held;
        if slot.ended || slot.reset || self.end.is_some() || credit < slot.window / 2 {
            return;
        }
        let now = Instant::now();
        let growth = slot.window;
        let is_long = self.round_trip.known.is_some_and(|(trip, _)| now - slot.granted < 2 * trip);
        if is_long && growth < WINDOW_MAX && self.grown + growth <= GROWTH_MAX_BYTES {
            self.grown += growth;
            slot.window += growth;
            credit += growth;
        }
        slot.granted = now;
        slot.may_receive += credit;
        let flags = std::mem::take(&mut slot.hello);
        self.push(Header { kind: Kind::Window, flags, stream: id, value: credit });
        self.measure(now);
    }

    /// Asks for the time to the peer and back, if it is not known or was taken long ago.
    fn measure(&mut self, now: Instant) {
        let trip = &mut self.round_trip;
        if trip.asked.is_none() && trip.known.is_none_or(|(_, taken)| now - taken > ROUND_TRIP_MAX_AGE) {
            trip.number = trip.number.wrapping_add(1);
            trip.asked = Some(now);
            let number = trip.number;
            self.push(Header { kind: Kind::Ping, flags: SYN, stream: 0, value: number });
        }
    }

    fn answered(&mut self, number: u32) {
        let trip = &mut self.round_trip;
        if number == trip.number
            && let Some(asked) = trip.asked.take()
        {
            let now = Instant::now();
            trip.known = Some((now - asked, now));
        }
    }

    #[cfg(test)]
    pub(super) fn blocks(&self, id: u32) -> usize {
        self.slots[&id].chunks.len()
    }

    fn push(&mut self, header: Header) {
        if self.end.is_some() {
            return;
        }
        // Once is enough: the connection's task takes all there is.
        if self.out.is_empty() {
            self.driver.take().into_iter().for_each(Waker::wake);
        }
        self.out.extend_from_slice(&header.encode());
    }

    fn keep(&mut self, block: Box<[u8]>) {
        if block.len() == BLOCK_BYTES && self.free.len() < FREE_BLOCKS_MAX {
            self.free.push(block);
        }
    }
}

/// Remembers whom to wake.
fn note(place: &mut Option<Waker>, cx: &Context<'_>) {
    match place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

/// Why a stream cannot be used.
fn broken(end: Option<&MuxError>) -> io::Error {
    match end {
        Some(end) => io::Error::new(io::ErrorKind::ConnectionAborted, end.clone()),
        None => io::Error::new(io::ErrorKind::ConnectionReset, "the peer reset the stream"),
    }
}
