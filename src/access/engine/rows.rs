//! Small values that were read lately, without the way through tables and memory that leads to them.
//!
//! Owns which values may be kept: those of keys all of whose writes are durable. Must not know what keys mean. Invariant: what is found is what
//! the engine would answer to [`See::Durable`](super::See) now.

use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::{Equivalent, Weighter, sync::Cache};
use std::{
    collections::{HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

/// Bytes an entry costs besides key and value.
const ENTRY_OVERHEAD: u64 = 128;
/// Longest value that is kept: longer ones are worth a look into a block.
const VALUE_MAX_BYTES: usize = 8 << 10;

/// Values of all engines of a process.
pub struct RowCache {
    kept: Cache<Key, Bytes, Weight>,
}

impl RowCache {
    /// A cache of up to so many bytes.
    pub fn new(bytes: usize) -> Self {
        let estimate = bytes / (VALUE_MAX_BYTES / 8);
        Self { kept: Cache::with_weighter(estimate, bytes as u64, Weight) }
    }
}

/// A key of an engine.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    engine: u64,
    key: Bytes,
}

/// A [`Key`] without a copy of its bytes, with the same hash.
struct Asked<'a> {
    engine: u64,
    key: &'a [u8],
}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.engine.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, other: &Key) -> bool {
        self.engine == other.engine && self.key == other.key
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Bytes> for Weight {
    fn weight(&self, key: &Key, value: &Bytes) -> u64 {
        (key.key.len() + value.len()) as u64 + ENTRY_OVERHEAD
    }
}

/// Values of one engine.
pub(super) struct Rows {
    engine: u64,
    shared: Arc<RowCache>,
    marks: Mutex<Marks>,
}

/// What keeps values out.
#[derive(Default)]
struct Marks {
    /// Keys whose newest write may not be durable, with its batch.
    open: HashMap<Bytes, u64>,
    /// Batches that may not be durable, in order, with their keys and what the engine calls them once it has them.
    batches: VecDeque<Written>,
    /// Batches so far.
    count: u64,
}

struct Written {
    number: u64,
    seq: Option<u64>,
    /// Nobody waits for the engine's number any more since so many batches had entered.
    left_at: Option<u64>,
    keys: Vec<Bytes>,
}

/// What is known of a key.
pub(super) enum Known {
    /// Its value.
    Value(Bytes),
    /// The engine has to be asked.
    Nothing,
    /// The engine has to be asked, and the value may be kept.
    Ask(Turn),
}

/// The right to keep what the engine answers, unless something is written meanwhile.
pub(super) struct Turn(u64);

/// A batch on its way into the engine. Dropped before [`done`](Entering::done), it may have come there or not.
pub(super) struct Entering<'a> {
    rows: &'a Rows,
    number: u64,
}

impl Entering<'_> {
    /// The engine has it, under this number.
    pub fn done(self, seq: u64) {
        let mut marks = self.rows.marks.lock();
        for written in &mut marks.batches {
            // What was left before this batch entered reached the engine before it, or not at all.
            let is_before = written.seq.is_none() && written.left_at.is_some_and(|left_at| left_at < self.number);
            if written.number == self.number || is_before {
                written.seq = Some(seq);
            }
        }
    }
}

impl Drop for Entering<'_> {
    fn drop(&mut self) {
        let mut marks = self.rows.marks.lock();
        let count = marks.count;
        if let Some(written) = marks.batches.iter_mut().rev().find(|written| written.number == self.number)
            && written.seq.is_none()
        {
            written.left_at = Some(count);
        }
    }
}

impl Rows {
    /// Values of the engine of this number.
    pub fn new(engine: u64, shared: Arc<RowCache>) -> Self {
        Self { engine, shared, marks: Mutex::default() }
    }

    /// Looks for a key, when everything up to batch `durable` is durable.
    pub fn find(&self, key: &[u8], durable: u64) -> Known {
        let turn = {
            let mut marks = self.marks.lock();
            marks.settle(durable);
            if marks.open.contains_key(key) {
                return Known::Nothing;
            }
            Turn(marks.count)
        };
        match self.shared.kept.get(&Asked { engine: self.engine, key }) {
            Some(value) => Known::Value(value),
            None => Known::Ask(turn),
        }
    }

    /// Keeps what the engine answered in this turn.
    pub fn keep(&self, turn: &Turn, key: &[u8], value: &Bytes) {
        if value.len() > VALUE_MAX_BYTES {
            return;
        }
        // Copies: both may be parts of something larger.
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        let marks = self.marks.lock();
        if marks.count == turn.0 {
            self.shared.kept.insert(Key { engine: self.engine, key }, value);
        }
    }

    /// Lets go of what is durable: where nobody reads, marks would pile up.
    pub fn settle(&self, durable: u64) {
        self.marks.lock().settle(durable);
    }

    /// Forgets the keys of a batch, before it is written.
    pub fn enter(&self, keys: Vec<Bytes>) -> Entering<'_> {
        let mut marks = self.marks.lock();
        marks.count += 1;
        let number = marks.count;
        for key in &keys {
            self.shared.kept.remove(&Asked { engine: self.engine, key });
            marks.open.insert(key.clone(), number);
        }
        marks.batches.push_back(Written { number, seq: None, left_at: None, keys });
        Entering { rows: self, number }
    }
}

impl Marks {
    /// Lets go of the keys of batches that are durable.
    fn settle(&mut self, durable: u64) {
        while self.batches.front().and_then(|written| written.seq).is_some_and(|seq| seq <= durable) {
            let Some(written) = self.batches.pop_front() else { return };
            for key in &written.keys {
                if self.open.get(key) == Some(&written.number) {
                    self.open.remove(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        Rows::new(1, Arc::new(RowCache::new(1 << 20)))
    }

    fn key(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    /// What is found; `?` if it is not known, and nothing if it must not be.
    fn found(rows: &Rows, text: &str, durable: u64) -> Option<Bytes> {
        match rows.find(text.as_bytes(), durable) {
            Known::Value(value) => Some(value),
            Known::Ask(_) => Some(key("?")),
            Known::Nothing => None,
        }
    }

    fn keep(rows: &Rows, text: &str, value: &str, durable: u64) {
        let Known::Ask(turn) = rows.find(text.as_bytes(), durable) else { panic!("`{text}` may be kept") };
        rows.keep(&turn, text.as_bytes(), &key(value));
    }

    #[test]
    fn a_key_is_kept_while_nothing_of_it_is_on_its_way() {
        let rows = rows();
        keep(&rows, "a", "1", 5);
        assert_eq!(found(&rows, "a", 5), Some(key("1")));
        let first = rows.enter(vec![key("a")]);
        assert_eq!(found(&rows, "a", 5), None, "it is being written");
        first.done(6);
        let second = rows.enter(vec![key("a"), key("b")]);
        second.done(7);
        assert_eq!((found(&rows, "a", 6), found(&rows, "b", 6)), (None, None), "the second write is not durable");
        assert_eq!(found(&rows, "a", 7), Some(key("?")));
        keep(&rows, "a", "3", 7);
        assert_eq!(found(&rows, "a", 7), Some(key("3")));
        assert!(rows.marks.lock().open.is_empty() && rows.marks.lock().batches.is_empty());
    }

    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let rows = rows();
        let Known::Ask(turn) = rows.find(b"a", 5) else { panic!("nothing is known") };
        let batch = rows.enter(vec![key("a")]);
        batch.done(6);
        rows.keep(&turn, b"a", &key("old"));
        assert_eq!(found(&rows, "a", 6), Some(key("?")));
    }

    #[test]
    fn what_is_only_written_leaves_no_marks() {
        let rows = rows();
        for seq in 1..=1_000u64 {
            rows.settle(seq - 1);
            let batch = rows.enter(vec![key(&seq.to_string())]);
            batch.done(seq);
        }
        assert_eq!(rows.marks.lock().open.len(), 1);
    }

    #[test]
    fn a_batch_that_was_left_halfway_counts_as_written_with_the_next() {
        let rows = rows();
        let before = rows.enter(vec![key("b")]);
        drop(rows.enter(vec![key("a")]));
        // It entered before the other was left, and may have come to the engine before it.
        before.done(6);
        assert_eq!((found(&rows, "a", 6), found(&rows, "b", 6)), (None, Some(key("?"))));
        rows.enter(vec![key("c")]).done(7);
        assert_eq!(found(&rows, "a", 6), None);
        assert_eq!((found(&rows, "a", 7), found(&rows, "c", 7)), (Some(key("?")), Some(key("?"))));
        assert!(rows.marks.lock().open.is_empty() && rows.marks.lock().batches.is_empty());
    }

    #[test]
    fn engines_do_not_see_each_other() {
        let shared = Arc::new(RowCache::new(1 << 20));
        let (one, two) = (Rows::new(1, shared.clone()), Rows::new(2, shared));
        keep(&one, "a", "1", 0);
        assert_eq!(found(&two, "a", 0), Some(key("?")));
    }

    #[test]
    fn long_values_are_left_to_the_blocks() {
        let rows = rows();
        keep(&rows, "a", &"x".repeat(VALUE_MAX_BYTES + 1), 0);
        assert_eq!(found(&rows, "a", 0), Some(key("?")));
    }
}
