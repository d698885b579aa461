//! MD5 of many bodies, side by side: it is the entity tag, and by far the slowest thing a put needs.
//!
//! One body's digest is a chain of steps that leaves most of a processor idle. Bodies under way at the same time go through it together
//! (`lanes`), eight for less than the price of two. Owns the queue of what waits and the state of each body. Must not know requests.
//! Invariants: a body's bytes are hashed in order; what waits is taken by a worker on the compute threads that is there already, or by
//! the one its own caller starts, so that nobody depends on another caller.

mod lanes;

use crate::runtime::CpuPool;
use bytes::{Buf, Bytes};
use lanes::{BLOCK_BYTES, LANES, Words};
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};
use tokio::sync::oneshot;

/// Blocks hashed before a worker looks for others to take along.
const TURN_BLOCKS: usize = 256;
const START: Words = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// Where in the last block the length stands.
const LENGTH_AT: usize = BLOCK_BYTES - 8;

/// The digest of one body as far as it has come.
#[derive(Debug, Clone)]
pub struct Md5 {
    words: Words,
    /// Bytes so far.
    len: u64,
    /// Bytes that are not a block yet.
    rest: [u8; BLOCK_BYTES],
    rest_len: usize,
}

/// Hashes bodies. Cheap to clone; clones share the workers.
#[derive(Clone)]
pub struct Md5s {
    pool: CpuPool,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Job>,
    workers: usize,
}

/// Bytes of one body.
struct Job {
    md5: Md5,
    chunks: VecDeque<Bytes>,
    reply: oneshot::Sender<Md5>,
}

impl Default for Md5 {
    fn default() -> Self {
        Self { words: START, len: 0, rest: [0; BLOCK_BYTES], rest_len: 0 }
    }
}

impl Md5 {
    /// Takes the next bytes, on this thread.
    pub fn update(&mut self, mut bytes: &[u8]) {
        if self.rest_len > 0 {
            self.fill(&mut bytes);
        }
        let (blocks, mut rest) = bytes.as_chunks::<BLOCK_BYTES>();
        self.len += (bytes.len() - rest.len()) as u64;
        md5::block_api::compress(&mut self.words, blocks);
        self.fill(&mut rest);
    }

    /// Takes bytes up to the end of the block.
    fn fill(&mut self, bytes: &mut &[u8]) {
        let (own, rest) = bytes.split_at((BLOCK_BYTES - self.rest_len).min(bytes.len()));
        *bytes = rest;
        self.rest[self.rest_len..self.rest_len + own.len()].copy_from_slice(own);
        self.rest_len += own.len();
        self.len += own.len() as u64;
        if self.rest_len == BLOCK_BYTES {
            md5::block_api::compress(&mut self.words, &[self.rest]);
            self.rest_len = 0;
        }
    }

    /// The digest.
    pub fn finish(mut self) -> [u8; 16] {
        let bits = self.len.wrapping_mul(8);
        let padding = if self.rest_len < LENGTH_AT { LENGTH_AT } else { LENGTH_AT + BLOCK_BYTES } - self.rest_len;
        let mut end = [0; 2 * BLOCK_BYTES];
        end[0] = 0x80;
        end[padding..padding + 8].copy_from_slice(&bits.to_le_bytes());
        self.update(&end[..padding + 8]);
        let mut digest = [0; 16];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(self.words) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

impl Md5s {
    /// On the threads of `pool`.
    pub fn new(pool: CpuPool) -> Self {
        Self { pool, queue: Arc::default() }
    }

    /// Takes the next bytes of a body.
    pub async fn update(&self, md5: Md5, chunks: Vec<Bytes>) -> Md5 {
        let (reply, answer) = oneshot::channel();
        self.queue.lock().waiting.push_back(Job { md5, chunks: chunks.into(), reply });
        let queue = self.queue.clone();
        self.pool.run(move || work(&queue)).await;
        answer.await.expect("what waits is hashed by a worker that does not end before")
    }
}

/// Hashes what waits, unless enough others do.
fn work(queue: &Mutex<Queue>) {
    {
        let mut queue = queue.lock();
        if queue.waiting.len() <= queue.workers * LANES && queue.workers > 0 {
            return;
        }
        queue.workers += 1;
    }
    let mut active: Vec<Job> = Vec::with_capacity(LANES);
    loop {
        {
            let mut queue = queue.lock();
            let room = (LANES - active.len()).min(queue.waiting.len());
            active.extend(queue.waiting.drain(..room));
            if active.is_empty() {
                queue.workers -= 1;
                return;
            }
        }
        turn(&mut active);
        for done in active.extract_if(.., |job| job.chunks.is_empty()) {
            // The body may have broken off.
            let _ = done.reply.send(done.md5);
        }
    }
}

/// Hashes some blocks of each.
fn turn(active: &mut [Job]) {
    let blocks = active.iter_mut().map(Job::align).filter(|blocks| *blocks > 0).min().unwrap_or(0).min(TURN_BLOCKS);
    if blocks == 0 {
        return;
    }
    let mut running: Vec<&mut Job> = active.iter_mut().filter(|job| !job.chunks.is_empty()).collect();
    let mut heads: Vec<Bytes> = Vec::with_capacity(LANES);
    for job in &mut running {
        heads.extend(job.chunks.front_mut().map(|chunk| chunk.split_to(blocks * BLOCK_BYTES)));
        job.md5.len += (blocks * BLOCK_BYTES) as u64;
    }
    let mut lanes: Vec<(&mut Words, &[u8])> =
        running.iter_mut().map(|job| &mut job.md5.words).zip(heads.iter().map(|head| &head[..])).collect();
    lanes::advance(&mut lanes);
}

impl Job {
    /// Hashes what is no whole block at the front; the whole blocks that then lie there in one piece.
    fn align(&mut self) -> usize {
        while let Some(chunk) = self.chunks.front_mut() {
            if self.md5.rest_len == 0 && chunk.len() >= BLOCK_BYTES {
                return chunk.len() / BLOCK_BYTES;
            }
            let mut bytes = &chunk[..];
            self.md5.fill(&mut bytes);
            let taken = chunk.len() - bytes.len();
            chunk.advance(taken);
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use md5::Digest;
    use proptest::prelude::*;

    fn sample(seed: usize, len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from((n * 31 + n / 251 + seed * 7) % 256).unwrap()).collect()
    }

    fn expected(bytes: &[u8]) -> [u8; 16] {
        md5::Md5::digest(bytes).into()
    }

    proptest! {
        #[test]
        fn it_is_md5_however_the_bytes_are_cut(len in 0usize..400, cuts in prop::collection::vec(0usize..200, 0..6)) {
            let bytes = sample(len, len);
            let (mut md5, mut rest) = (Md5::default(), &bytes[..]);
            for cut in cuts {
                let (own, next) = rest.split_at(cut.min(rest.len()));
                md5.update(own);
                rest = next;
            }
            md5.update(rest);
            prop_assert_eq!(md5.finish(), expected(&bytes));
        }
    }

    #[tokio::test]
    async fn bodies_side_by_side_have_their_own_digests() {
        let md5s = Md5s::new(CpuPool::new("md5", 2));
        let bodies: Vec<Vec<u8>> = (0..3 * LANES).map(|n| sample(n, n * 9_001 + n % 3)).collect();
        let hashed = bodies.iter().enumerate().map(|(n, body)| {
            let md5s = md5s.clone();
            async move {
                let mut md5 = Md5::default();
                for part in body.chunks(40_000) {
                    let chunks = part.chunks(1_000 + n * 333).map(Bytes::copy_from_slice).collect();
                    md5 = md5s.update(md5, chunks).await;
                }
                md5.finish()
            }
        });
        for (n, digest) in join_all(hashed).await.into_iter().enumerate() {
            assert_eq!(digest, expected(&bodies[n]), "body {n}");
        }
        let queue = md5s.queue.lock();
        assert_eq!((queue.workers, queue.waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_holds_up_nobody() {
        let md5s = Md5s::new(CpuPool::new("md5", 1));
        drop(md5s.update(Md5::default(), vec![sample(1, 100_000).into()]));
        let mut begun = Box::pin(md5s.update(Md5::default(), vec![sample(1, 100_000).into()]));
        assert!(futures::poll!(&mut begun).is_pending());
        drop(begun);
        let body = sample(2, 70_000);
        let md5 = md5s.update(Md5::default(), vec![Bytes::from(body.clone()), Bytes::new()]).await;
        assert_eq!(md5.finish(), expected(&body));
    }
}
