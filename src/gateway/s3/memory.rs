//! Memory of requests' bodies: a fixed number of bytes, of which each upload takes a window before it is read.
//!
//! Owns the bound and who has which part of it. Must not know where bytes go. Invariants: windows, and pieces beyond them, have no more bytes
//! than the budget; a body waits for its window while it holds nothing, and needs no more than that to be moved on, so that everybody comes to
//! an end; who waits is served in order, and before anybody gets more than a window; a piece counts until its last reader is gone.

use super::{chunked::CUT_BYTES, connection::READ_MAX_BYTES, digests::JOB_MIN_BYTES};
use crate::access::{
    blobs::{BlobError, BodyStream},
    data::{SEALING_MAX_BYTES, seal::CHUNK_BYTES},
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture, task::AtomicWaker};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long a body waits for memory before its sender is asked to slow down.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// What memory is counted in.
const UNIT_BYTES: u64 = 4 << 10;
/// Bytes of a body that are read and not yet sealed, hashed and gone, without asking for more. The steps after a read wait for more until
/// they have a chunk, one to seal, and enough to hash, and each may hold a read of which only the end is its own.
const ROOM_BYTES: u64 = 512 << 10;
const STEPS_BYTES: u64 = CUT_BYTES + CHUNK_BYTES + JOB_MIN_BYTES as u64 + 3 * READ_MAX_BYTES as u64;
const _: () = assert!(STEPS_BYTES + READ_MAX_BYTES as u64 <= ROOM_BYTES, "a body could wait for itself");
/// What a body beyond that size takes.
const WINDOW_BYTES: u64 = ROOM_BYTES + SEALING_MAX_BYTES;
/// Reads beyond its room a body may have in memory while nobody waits for it.
const EXTRA_READS_MAX: usize = 48;
/// A body that is kept whole is in memory so many times: as it came, in one piece, sealed, and in the operation that stores it.
const SMALL_COPIES: u64 = 4;
/// What a body says for which there was no memory in time.
pub const NO_MEMORY: &str = "SlowDown";

/// What a body needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is moved on as it comes. Its length, if that is known.
    Passing(Option<u64>),
    /// As that, in chunks of which each is kept until it is complete.
    Chunks(u64),
    /// It is kept whole.
    Whole(u64),
}

/// The memory of a listener's uploads. Cheap to clone.
#[derive(Clone)]
pub struct Budget {
    slots: Arc<Semaphore>,
    bytes: u64,
    books: Arc<Books>,
}

/// Bytes that were read from clients and are still somewhere on their way.
#[derive(Default)]
struct Books {
    now: AtomicU64,
    peak: AtomicU64,
}

/// The right to some memory, until it is dropped.
struct Lease {
    _slots: OwnedSemaphorePermit,
}

impl Need {
    /// Bytes to take before the first is read, and how many of the body may then be in memory; none if all may.
    fn window(self) -> (u64, Option<u64>) {
        let (window, room) = match self {
            Self::Whole(size) => return (size, None),
            Self::Passing(size) => match size.map(|size| size.saturating_mul(SMALL_COPIES)) {
                Some(copies) if copies <= WINDOW_BYTES => return (copies, None),
                _ => (WINDOW_BYTES, ROOM_BYTES),
            },
            Self::Chunks(chunk) => (WINDOW_BYTES + chunk, ROOM_BYTES + chunk),
        };
        (window, Some(room))
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn new(bytes: u64) -> Self {
        let all = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { slots: Arc::new(Semaphore::new(all)), bytes, books: Arc::default() }
    }

    /// Waits for `bytes`, or for all there are if they are more; none when that takes too long.
    async fn take(&self, bytes: u64) -> Option<Lease> {
        let all = u32::try_from(self.bytes / UNIT_BYTES).unwrap_or(u32::MAX);
        let slots = self.slots.clone().acquire_many_owned(units(bytes).min(all));
        Some(Lease { _slots: timeout(WAIT_MAX, slots).await.ok()?.ok()? })
    }

    /// The same body, read only as fast as there is memory for it.
    pub fn bounded(&self, body: BodyStream, need: Need) -> BodyStream {
        let (window, room) = need.window();
        let budget = self.clone();
        let take = async move { budget.take(window).await }.boxed();
        let credit = Arc::new(Credit::default());
        let reading = Reading {
            budget: self.clone(),
            body,
            room,
            entry: Some(take),
            lease: None,
            credit,
            rest: None,
            over: false,
        };
        reading.boxed()
    }

    /// Most bytes of bodies that were in memory at once.
    #[cfg(test)]
    pub fn peak(&self) -> u64 {
        self.books.peak.load(Ordering::SeqCst)
    }

    /// Bytes of bodies that are in memory.
    #[cfg(test)]
    pub fn held(&self) -> u64 {
        self.books.now.load(Ordering::SeqCst)
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

/// What one body has in memory.
#[derive(Default)]
struct Credit {
    used: AtomicU64,
    extra: AtomicUsize,
    reader: AtomicWaker,
}

/// A body on its way through its window.
struct Reading {
    budget: Budget,
    body: BodyStream,
    room: Option<u64>,
    entry: Option<BoxFuture<'static, Option<Lease>>>,
    lease: Option<Arc<Lease>>,
    credit: Arc<Credit>,
    /// What is left of a piece longer than a read.
    rest: Option<Bytes>,
    over: bool,
}

/// What a piece takes.
enum Share {
    Room,
    Extra(OwnedSemaphorePermit),
}

/// A piece of a body that is counted.
struct Piece {
    bytes: Bytes,
    credit: Arc<Credit>,
    books: Arc<Books>,
    share: Option<Share>,
    /// The window lives as long as anything that came through it.
    _lease: Option<Arc<Lease>>,
}

impl Drop for Piece {
    fn drop(&mut self) {
        let len = self.bytes.len() as u64;
        // The bytes go before their room is given to others, and that before the reader looks for it.
        self.bytes = Bytes::new();
        self.books.now.fetch_sub(len, Ordering::SeqCst);
        match self.share.take() {
            Some(Share::Extra(memory)) => {
                drop(memory);
                self.credit.extra.fetch_sub(1, Ordering::SeqCst);
            }
            Some(Share::Room) | None => {
                self.credit.used.fetch_sub(len, Ordering::SeqCst);
            }
        }
        self.credit.reader.wake();
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Reading {
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(entry) = &mut self.entry else { return Poll::Ready(true) };
        let lease = ready!(entry.poll_unpin(cx));
        self.entry = None;
        self.lease = lease.map(Arc::new);
        Poll::Ready(self.lease.is_some())
    }

    /// Where the next read is to lie; none without room.
    fn share(&self) -> Option<Share> {
        let Some(room) = self.room else { return Some(Share::Room) };
        if self.credit.used.load(Ordering::SeqCst) + READ_MAX_BYTES as u64 <= room {
            return Some(Share::Room);
        }
        if self.credit.extra.load(Ordering::SeqCst) >= EXTRA_READS_MAX {
            return None;
        }
        let more = self.budget.slots.clone().try_acquire_many_owned(units(READ_MAX_BYTES as u64));
        more.ok().map(Share::Extra)
    }

    fn counted(&self, bytes: Bytes, share: Share) -> Bytes {
        let len = bytes.len() as u64;
        let now = self.budget.books.now.fetch_add(len, Ordering::SeqCst) + len;
        self.budget.books.peak.fetch_max(now, Ordering::SeqCst);
        if let Share::Extra(_) = share {
            self.credit.extra.fetch_add(1, Ordering::SeqCst);
        } else {
            self.credit.used.fetch_add(len, Ordering::SeqCst);
        }
        let (credit, books, lease) = (self.credit.clone(), self.budget.books.clone(), self.lease.clone());
        Bytes::from_owner(Piece { bytes, credit, books, share: Some(share), _lease: lease })
    }
}

impl Stream for Reading {
    type Item = Result<Bytes, BlobError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.over {
            return Poll::Ready(None);
        }
        if !ready!(this.poll_window(cx)) {
            this.over = true;
            let reason = format!("{NO_MEMORY}: {} B for all uploads are in use", this.budget.bytes);
            return Poll::Ready(Some(Err(BlobError::Body { offset: 0, reason })));
        }
        // Before the look, so that room that is made meanwhile is not missed.
        this.credit.reader.register(cx.waker());
        let Some(share) = this.share() else { return Poll::Pending };
        let mut bytes = match this.rest.take() {
            Some(rest) => rest,
            None => match ready!(this.body.poll_next_unpin(cx)) {
                Some(Ok(bytes)) => bytes,
                end => {
                    this.over = true;
                    return Poll::Ready(end);
                }
            },
        };
        if this.room.is_some() && bytes.len() > READ_MAX_BYTES {
            this.rest = Some(bytes.split_off(READ_MAX_BYTES));
        }
        Poll::Ready(Some(Ok(this.counted(bytes, share))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{TryStreamExt, stream};

    const MIB: u64 = 1 << 20;

    /// A body that never ends by itself, of reads.
    fn endless() -> BodyStream {
        stream::repeat_with(|| Ok(Bytes::from(vec![7; READ_MAX_BYTES]))).boxed()
    }

    async fn read(body: &mut BodyStream, pieces: usize) -> Vec<Bytes> {
        body.take(pieces).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn one_body_has_its_room_and_what_nobody_wants() {
        let budget = Budget::new(4 * MIB);
        let mut body = budget.bounded(endless(), Need::Passing(None));
        let mut held = Vec::new();
        while let Some(piece) = body.next().now_or_never() {
            held.push(piece.unwrap().unwrap());
        }
        let bytes = budget.held();
        assert_eq!(bytes, (held.len() * READ_MAX_BYTES) as u64);
        assert!(bytes > ROOM_BYTES && bytes <= 4 * MIB, "{bytes} B");
        assert!(held.len() >= EXTRA_READS_MAX);
        // What is let go makes room, and wakes the reader.
        drop(held.pop());
        held.push(body.next().await.unwrap().unwrap());
        assert!(body.next().now_or_never().is_none());
        drop((held, body));
        assert_eq!(budget.held(), 0);
        assert!(budget.take(4 * MIB).now_or_never().unwrap().is_some());
    }

    #[tokio::test]
    async fn who_waits_comes_before_who_wants_more() {
        let budget = Budget::new(WINDOW_BYTES + 2 * READ_MAX_BYTES as u64);
        let mut first = budget.bounded(endless(), Need::Passing(None));
        let mut held = read(&mut first, 1).await;
        let mut second = budget.bounded(endless(), Need::Passing(None));
        assert!(second.next().now_or_never().is_none());
        while let Some(piece) = first.next().now_or_never() {
            held.push(piece.unwrap().unwrap());
        }
        assert!(budget.held() <= ROOM_BYTES, "the first has no more than its room");
        // Both come to their ends, one after the other.
        drop((first, held));
        for _ in 0..100 {
            assert_eq!(read(&mut second, 1).await.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_window_lives_as_long_as_its_pieces() {
        let budget = Budget::new(WINDOW_BYTES);
        let mut body = budget.bounded(endless(), Need::Passing(None));
        let piece = read(&mut body, 1).await;
        drop(body);
        assert!(budget.take(WINDOW_BYTES).now_or_never().is_none());
        drop(piece);
        assert!(budget.take(WINDOW_BYTES).now_or_never().unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn without_memory_the_sender_is_asked_to_slow_down() {
        let budget = Budget::new(MIB);
        let all = budget.take(5 * MIB).await.unwrap();
        let began = tokio::time::Instant::now();
        let refused = budget.bounded(endless(), Need::Whole(1)).try_next().await.unwrap_err();
        assert!(refused.to_string().contains(NO_MEMORY), "{refused}");
        assert_eq!(began.elapsed().as_secs(), WAIT_MAX.as_secs());
        drop(all);
        assert!(budget.bounded(endless(), Need::Whole(1)).try_next().await.unwrap().is_some());
    }

    #[test]
    fn small_bodies_take_little() {
        assert_eq!(Need::Passing(Some(1_000)).window(), (4_000, None));
        assert_eq!(Need::Passing(Some(MIB)).window(), (WINDOW_BYTES, Some(ROOM_BYTES)));
        assert_eq!(Need::Passing(None).window(), (WINDOW_BYTES, Some(ROOM_BYTES)));
        assert_eq!(Need::Chunks(7).window(), (WINDOW_BYTES + 7, Some(ROOM_BYTES + 7)));
        assert_eq!((units(0), units(1), units(4_096), units(4_097)), (0, 1, 1, 2));
    }

    #[tokio::test]
    async fn long_pieces_are_cut() {
        let budget = Budget::new(8 * MIB);
        let body = stream::iter([Ok(Bytes::from(vec![1; 3_000_000]))]).boxed();
        let mut body = budget.bounded(body, Need::Passing(None));
        let mut sizes = Vec::new();
        while let Some(piece) = body.try_next().await.unwrap() {
            sizes.push(piece.len());
        }
        assert_eq!(sizes.iter().sum::<usize>(), 3_000_000);
        assert!(sizes.iter().all(|size| *size <= READ_MAX_BYTES), "{sizes:?}");
    }
}
