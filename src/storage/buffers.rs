//! The memory an upload may use: a fixed number of fragment-sized buffers that are lent out and come back.
//!
//! Owns the bound and the recycling. Must not know what is in a buffer. Invariants: at most the pool's number of buffers is
//! alive at once, frozen ones included; a buffer returns when the last reader of its bytes is gone.

use crate::types::params::FRAGMENT_MAX_BYTES;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Buffers smaller than this are given back to the allocator instead of the pool.
const RECYCLE_MIN_BYTES: usize = 1 << 20;

/// A pool of buffers of up to one fragment each. Cheap to clone.
#[derive(Clone)]
pub struct BufferPool {
    inner: Arc<Inner>,
}

struct Inner {
    slots: Arc<Semaphore>,
    free: Mutex<Vec<Vec<u8>>>,
    lent: AtomicUsize,
    peak: AtomicUsize,
}

impl BufferPool {
    /// A pool that lends at most `buffers` at once, 8 MiB each.
    pub fn new(buffers: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                slots: Arc::new(Semaphore::new(buffers)),
                free: Mutex::default(),
                lent: AtomicUsize::new(0),
                peak: AtomicUsize::new(0),
            }),
        }
    }

    /// Waits until `count` buffers may be taken and keeps the right to them. Callers are served in order.
    pub async fn reserve(&self, count: u32) -> Reservation {
        let slots = self.inner.slots.clone().acquire_many_owned(count).await.expect("the semaphore is never closed");
        Reservation { slots, inner: self.inner.clone() }
    }

    /// Buffers that are lent out.
    pub fn lent(&self) -> usize {
        self.inner.lent.load(Ordering::Relaxed)
    }

    /// Most buffers that were ever lent out at once.
    pub fn peak(&self) -> usize {
        self.inner.peak.load(Ordering::Relaxed)
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
        assert!(u64::try_from(len).is_ok_and(|len| len <= FRAGMENT_MAX_BYTES), "a buffer of {len} B is too large");
        let slot = self.slots.split(1).expect("no more buffers are taken than were reserved");
        let lent = self.inner.lent.fetch_add(1, Ordering::Relaxed) + 1;
        self.inner.peak.fetch_max(lent, Ordering::Relaxed);
        Buffer { bytes: self.inner.recycled(len), inner: self.inner.clone(), _slot: slot }
    }
}

impl Inner {
    fn recycled(&self, len: usize) -> Vec<u8> {
        let reused = if len < RECYCLE_MIN_BYTES { None } else { self.free.lock().pop() };
        match reused {
            Some(mut bytes) if bytes.capacity() >= len => {
                bytes.resize(len, 0);
                bytes
            }
            _ => vec![0; len],
        }
    }
}

/// One buffer, writable while it has one owner.
pub struct Buffer {
    bytes: Vec<u8>,
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
        let mut free = self.inner.free.lock();
        if bytes.capacity() >= RECYCLE_MIN_BYTES {
            free.push(bytes);
        }
        if self.inner.lent.fetch_sub(1, Ordering::Relaxed) == 1 {
            free.clear();
            free.shrink_to_fit();
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
        let mut first = pool.reserve(2).await;
        let (a, b) = (first.take(10), first.take(20));
        assert!(pool.reserve(2).now_or_never().is_none());
        let shared = a.freeze();
        let reader = shared.slice(2..4);
        drop(shared);
        assert_eq!((pool.lent(), reader.len()), (2, 2));
        drop(reader);
        drop(b);
        assert_eq!((pool.lent(), pool.peak()), (0, 2));
        assert!(pool.reserve(3).now_or_never().is_some());
    }

    #[tokio::test]
    async fn large_buffers_are_used_again() {
        let pool = BufferPool::new(4);
        let mut lease = pool.reserve(3).await;
        let keep = lease.take(RECYCLE_MIN_BYTES);
        let mut old = lease.take(RECYCLE_MIN_BYTES * 2);
        old[0] = 7;
        drop(old);
        assert_eq!(lease.take(RECYCLE_MIN_BYTES)[0], 7);
        drop(keep);
        assert!(pool.inner.free.lock().is_empty(), "an idle pool keeps no memory");
    }
}
