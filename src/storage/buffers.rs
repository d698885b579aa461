//! The memory an upload may use: a fixed number of bytes, lent out as buffers of up to one fragment that come back.
//!
//! Owns the bound, the recycling, and everybody's fair share. Must not know what is in a buffer. Invariants: buffers alive at once,
//! frozen and idle ones included, have no more bytes than the pool; a buffer returns when the last reader of its bytes is gone; whoever
//! waits is served in order, so that nobody waits for ever.

use crate::types::params::{DATA_FRAGMENTS, FRAGMENT_MAX_BYTES, FRAGMENTS, SEGMENT_MAX_BYTES};
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers smaller than this are given back to the allocator instead of the pool.
const RECYCLE_MIN_BYTES: usize = 1 << 20;
/// What memory is counted in.
const UNIT_BYTES: usize = 4 << 10;
const BUFFER_BYTES: usize = FRAGMENT_MAX_BYTES as usize;
const _: () = assert!(BUFFER_BYTES as u64 == FRAGMENT_MAX_BYTES && BUFFER_BYTES.is_multiple_of(UNIT_BYTES));
/// Segments are never cut shorter than this because many share the pool; they wait for each other instead.
pub const SHARE_MIN_BYTES: u64 = 256 << 10;

/// A pool of buffers of up to one fragment each. Cheap to clone.
#[derive(Clone)]
pub struct BufferPool {
    inner: Arc<Inner>,
}

struct Inner {
    slots: Arc<Semaphore>,
    capacity: usize,
    books: Mutex<Books>,
}

#[derive(Default)]
struct Books {
    free: Vec<Vec<u8>>,
    free_bytes: usize,
    lent: usize,
    lent_bytes: usize,
    peak_bytes: usize,
    sharers: usize,
}

impl BufferPool {
    /// A pool that lends at most as much as `buffers` of 8 MiB at once.
    pub fn new(buffers: usize) -> Self {
        let capacity = buffers * BUFFER_BYTES;
        let slots = Arc::new(Semaphore::new(capacity / UNIT_BYTES));
        Self { inner: Arc::new(Inner { slots, capacity, books: Mutex::default() }) }
    }

    /// Waits until `count` buffers of up to `len` bytes may be taken and keeps the right to them. Callers are served in order.
    pub async fn reserve(&self, count: u32, len: usize) -> Reservation {
        let units = count * units(len);
        let slots = self.inner.slots.clone().acquire_many_owned(units).await.expect("the semaphore is never closed");
        Reservation { slots, inner: self.inner.clone() }
    }

    /// Counts one more who shares the pool with the others until the returned guard is dropped.
    pub fn join(&self) -> Sharer {
        self.inner.books.lock().sharers += 1;
        Sharer { inner: self.inner.clone() }
    }

    /// Buffers that are lent out.
    pub fn lent(&self) -> usize {
        self.inner.books.lock().lent
    }

    /// Most memory that was ever lent out at once, in full-sized buffers.
    pub fn peak(&self) -> usize {
        self.inner.books.lock().peak_bytes.div_ceil(BUFFER_BYTES)
    }
}

/// One of those who share a pool.
pub struct Sharer {
    inner: Arc<Inner>,
}

impl Sharer {
    /// Longest segment to fill now: with its parity it takes a fair part of the pool, so that everybody can have one and a part is free
    /// for who comes next. A power of two.
    pub fn segment_bytes(&self) -> u64 {
        let parts = self.inner.books.lock().sharers + 1;
        let data = self.inner.capacity / parts / FRAGMENTS * DATA_FRAGMENTS;
        let data = u64::try_from(data).unwrap_or(u64::MAX).clamp(SHARE_MIN_BYTES, SEGMENT_MAX_BYTES);
        1 << data.ilog2()
    }
}

impl Drop for Sharer {
    fn drop(&mut self) {
        self.inner.books.lock().sharers -= 1;
    }
}

/// The right to a number of buffers.
pub struct Reservation {
    slots: OwnedSemaphorePermit,
    inner: Arc<Inner>,
}

impl Reservation {
    /// Takes one buffer of `len` bytes with arbitrary content. Panics when the reservation is used up.
    pub fn take(&mut self, len: usize) -> Buffer {
        assert!(len <= BUFFER_BYTES, "a buffer of {len} B is too large");
        let units = usize::try_from(units(len)).expect("8 MiB are 2,048 units");
        let slot = self.slots.split(units).expect("no more buffers are taken than were reserved");
        Buffer { bytes: self.inner.lend(len), len, inner: self.inner.clone(), _slot: slot }
    }
}

impl Inner {
    fn lend(&self, len: usize) -> Vec<u8> {
        let mut books = self.books.lock();
        books.lent += 1;
        books.lent_bytes += len;
        books.peak_bytes = books.peak_bytes.max(books.lent_bytes);
        let reused = if len < RECYCLE_MIN_BYTES { None } else { books.pop() };
        // Idle buffers make room, so that they and the lent ones stay within the bound.
        while books.lent_bytes + books.free_bytes > self.capacity && books.pop().is_some() {}
        drop(books);
        match reused {
            Some(mut bytes) if (len..=2 * len).contains(&bytes.capacity()) => {
                bytes.resize(len, 0);
                bytes
            }
            _ => vec![0; len],
        }
    }
}

impl Books {
    fn pop(&mut self) -> Option<Vec<u8>> {
        let bytes = self.free.pop()?;
        self.free_bytes -= bytes.capacity();
        Some(bytes)
    }
}

fn units(len: usize) -> u32 {
    u32::try_from(len.div_ceil(UNIT_BYTES).max(1)).expect("a buffer is at most 8 MiB")
}

/// One buffer, writable while it has one owner.
pub struct Buffer {
    bytes: Vec<u8>,
    /// Bytes it was lent for.
    len: usize,
    inner: Arc<Inner>,
    _slot: OwnedSemaphorePermit,
}

impl Buffer {
    /// Makes the content shareable. The buffer returns to its pool with the last clone.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Exchanges the content.
    pub fn replace(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        std::mem::replace(&mut self.bytes, bytes)
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut books = self.inner.books.lock();
        books.lent -= 1;
        books.lent_bytes -= self.len;
        if bytes.capacity() >= RECYCLE_MIN_BYTES {
            books.free_bytes += bytes.capacity();
            books.free.push(bytes);
        }
        if books.lent == 0 {
            books.free = Vec::new();
            books.free_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn lends_no_more_than_it_has() {
        let pool = BufferPool::new(3);
        let mut first = pool.reserve(2, BUFFER_BYTES).await;
        let (a, b) = (first.take(BUFFER_BYTES), first.take(BUFFER_BYTES));
        assert!(pool.reserve(2, BUFFER_BYTES).now_or_never().is_none());
        let shared = a.freeze();
        let reader = shared.slice(2..4);
        drop(shared);
        assert_eq!((pool.lent(), reader.len()), (2, 2));
        drop(reader);
        drop(b);
        assert_eq!((pool.lent(), pool.peak()), (0, 2));
        assert!(pool.reserve(3, BUFFER_BYTES).now_or_never().is_some());
    }

    #[tokio::test]
    async fn small_buffers_take_little() {
        let pool = BufferPool::new(1);
        let many = BUFFER_BYTES / UNIT_BYTES;
        let mut lease = pool.reserve(u32::try_from(many).unwrap(), 256).await;
        let small: Vec<Buffer> = (0..many).map(|_| lease.take(256)).collect();
        assert_eq!((pool.lent(), pool.peak()), (many, 1));
        assert!(pool.reserve(1, 1).now_or_never().is_none());
        drop(small);
        assert!(pool.reserve(1, BUFFER_BYTES).now_or_never().is_some());
    }

    #[tokio::test]
    async fn large_buffers_are_used_again_within_the_bound() {
        let pool = BufferPool::new(1);
        let mut lease = pool.reserve(2, 4 << 20).await;
        let keep = lease.take(RECYCLE_MIN_BYTES);
        let mut old = lease.take(RECYCLE_MIN_BYTES * 3 / 2);
        old[0] = 7;
        drop(old);
        assert_eq!(lease.take(RECYCLE_MIN_BYTES)[0], 7);
        assert_eq!(pool.inner.books.lock().free.len(), 1);
        drop(lease);
        let rest = pool.reserve(1, 7 << 20).await.take(7 << 20);
        assert_eq!(pool.inner.books.lock().free.len(), 0, "idle memory makes room");
        drop((keep, rest));
        assert_eq!(pool.lent(), 0);
        assert_eq!(pool.inner.books.lock().free.len(), 0, "an idle pool keeps no memory");
    }

    #[test]
    fn those_who_share_get_equal_parts() {
        let pool = BufferPool::new(24);
        let first = pool.join();
        assert_eq!(first.segment_bytes(), SEGMENT_MAX_BYTES);
        let others: Vec<Sharer> = (0..7).map(|_| pool.join()).collect();
        assert_eq!(first.segment_bytes(), 4 << 20);
        let crowd: Vec<Sharer> = (0..1_000).map(|_| pool.join()).collect();
        assert_eq!(first.segment_bytes(), SHARE_MIN_BYTES);
        drop((others, crowd));
        assert_eq!(first.segment_bytes(), SEGMENT_MAX_BYTES);
    }
}
