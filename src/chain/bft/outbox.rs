//! What this validator has said at recent heights, kept so that every member hears all of it.
//!
//! Owns one bounded log of frames that all links read at their own pace. Invariants: a link that keeps its position misses
//! nothing that is still kept; a link that connects anew starts with the previous height; memory is bounded, the oldest goes.

use crate::types::Height;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::watch;

/// Heights kept for links that are connected but slow.
const KEPT_HEIGHTS: u64 = 16;
/// Frames kept.
const MAX_FRAMES: usize = 16_384;
/// Bytes kept: several blocks of the largest size.
const MAX_BYTES: usize = 64 << 20;
/// Frames a link takes at a time.
const BATCH_FRAMES: usize = 64;

/// The log.
pub(super) struct Outbox {
    log: Mutex<Log>,
    end: watch::Sender<u64>,
}

#[derive(Default)]
struct Log {
    start: u64,
    frames: VecDeque<(Height, Bytes)>,
    bytes: usize,
    height: Height,
}

impl Outbox {
    /// An empty log.
    pub fn new() -> Self {
        Self { log: Mutex::default(), end: watch::Sender::new(0) }
    }

    /// Adds a frame about `height`.
    pub fn push(&self, height: Height, frame: Bytes) {
        let mut log = self.log.lock();
        log.bytes += frame.len();
        log.frames.push_back((height, frame));
        while log.frames.len() > MAX_FRAMES || log.bytes > MAX_BYTES {
            log.drop_oldest();
        }
        let end = log.end();
        drop(log);
        self.end.send_replace(end);
    }

    /// Tells that `height` has begun.
    pub fn advance(&self, height: Height) {
        let mut log = self.log.lock();
        log.height = height;
        while log.frames.front().is_some_and(|(old, _)| old + KEPT_HEIGHTS < height) {
            log.drop_oldest();
        }
    }

    /// Where a new connection starts: with the previous height, which its peer may still be deciding.
    pub fn replay_start(&self) -> u64 {
        let log = self.log.lock();
        let skip = log.frames.iter().take_while(|(height, _)| height + 1 < log.height).count();
        log.start + u64::try_from(skip).expect("a usize fits 64 bits")
    }

    /// Frames from `position` on, which moves past them.
    pub fn take(&self, position: &mut u64) -> Vec<Bytes> {
        let log = self.log.lock();
        let from = (*position).max(log.start);
        let skip = usize::try_from(from - log.start).expect("a position lies within the log");
        let batch: Vec<Bytes> = log.frames.iter().skip(skip).take(BATCH_FRAMES).map(|(_, f)| f.clone()).collect();
        *position = from + u64::try_from(batch.len()).expect("a usize fits 64 bits");
        batch
    }

    /// Resolves when there is something at `position`.
    pub async fn wait(&self, position: u64) {
        let mut end = self.end.subscribe();
        // The log owns the sender, so that waiting fails only when nobody is left to wait.
        let _ = end.wait_for(|end| *end > position).await;
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.start + u64::try_from(self.frames.len()).expect("a usize fits 64 bits")
    }

    fn drop_oldest(&mut self) {
        if let Some((_, frame)) = self.frames.pop_front() {
            self.bytes -= frame.len();
            self.start += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn frame(byte: u8) -> Bytes {
        vec![byte].into()
    }

    #[test]
    fn links_read_everything_at_their_own_pace() {
        let outbox = Outbox::new();
        let (mut slow, mut fast) = (outbox.replay_start(), outbox.replay_start());
        assert!(outbox.wait(fast).now_or_never().is_none());
        for height in 1..=5 {
            outbox.advance(height);
            outbox.push(height, frame(u8::try_from(height).unwrap()));
            assert_eq!(outbox.take(&mut fast), [frame(u8::try_from(height).unwrap())]);
        }
        assert!(outbox.wait(slow).now_or_never().is_some());
        assert_eq!(outbox.take(&mut slow).len(), 5);
        assert_eq!(slow, fast);
        assert!(outbox.take(&mut slow).is_empty());
        let mut anew = outbox.replay_start();
        assert_eq!(outbox.take(&mut anew), [frame(4), frame(5)]);
    }

    #[test]
    fn memory_is_bounded() {
        let outbox = Outbox::new();
        for _ in 0..MAX_FRAMES + 10 {
            outbox.push(1, frame(1));
        }
        assert_eq!(outbox.log.lock().frames.len(), MAX_FRAMES);
        for _ in 0..3 {
            outbox.push(1, vec![0; MAX_BYTES / 2].into());
        }
        assert_eq!(outbox.log.lock().frames.len(), 2);
        assert_eq!(outbox.log.lock().bytes, MAX_BYTES);
        outbox.advance(1 + KEPT_HEIGHTS + 1);
        assert_eq!(outbox.log.lock().bytes, 0);
        let mut lost = 0;
        assert!(outbox.take(&mut lost).is_empty());
        assert_eq!(lost, outbox.log.lock().end());
    }
}
