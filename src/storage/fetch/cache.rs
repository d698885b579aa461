//! Fragments that were read lately, in memory.
//!
//! Owns how many bytes stay. Which ones is the library's choice (S3-FIFO): a file that is read once does not drive out what is read again and
//! again. Must not know who reads. Invariants: what is in it was checked; it never has more than its bound.

use super::gather::Piece;
use crate::{
    ledger::manifest::SegmentEntry,
    types::{
        FragmentId,
        params::{DATA_FRAGMENTS, FRAGMENT_MAX_BYTES},
    },
};
use bytes::Bytes;
use quick_cache::{
    OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use std::sync::Arc;

/// What a fragment takes besides its bytes: its entry, and the rest of the pages it was received in.
const OVERHEAD_BYTES: u64 = 8 << 10;

/// How many keys of what is gone are remembered, as a multiple of the largest fragments there is room for. What comes back while it is
/// remembered may drive out what was read often once: with the library's half, files that are read in turns and are more than half of the
/// cache never got in beside older ones.
const REMEMBERED: u64 = 4;

/// Fragments kept in memory. Cheap to clone; clones share them.
#[derive(Clone, Default)]
pub(super) struct FragmentCache {
    kept: Option<Arc<Cache<FragmentId, Bytes, Weight>>>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<FragmentId, Bytes> for Weight {
    fn weight(&self, _: &FragmentId, bytes: &Bytes) -> u64 {
        bytes.len() as u64 + OVERHEAD_BYTES
    }
}

impl FragmentCache {
    /// A cache of up to `bytes` bytes; one that cannot hold a segment keeps nothing.
    pub fn new(bytes: u64) -> Self {
        let largest = FRAGMENT_MAX_BYTES + OVERHEAD_BYTES;
        if bytes < largest * DATA_FRAGMENTS as u64 {
            return Self::default();
        }
        let options = OptionsBuilder::new()
            .estimated_items_capacity(usize::try_from(bytes / largest * REMEMBERED).unwrap_or(usize::MAX))
            .ghost_allocation(1.0)
            .weight_capacity(bytes)
            // In several parts each would have its own bound, below what a large segment takes.
            .shards(1)
            .build()
            .expect("both capacities are given");
        let kept = Cache::with_options(options, Weight, Default::default(), DefaultLifecycle::default());
        Self { kept: Some(Arc::new(kept)) }
    }

    /// The fragments of these columns, if all of them are here.
    pub fn all(&self, entry: &SegmentEntry, columns: &[usize]) -> Option<Vec<Piece>> {
        let kept = self.kept.as_ref()?;
        columns.iter().map(|column| Some((*column, kept.get(&entry.fragments[*column])?))).collect()
    }

    /// Keeps fragments that were checked.
    pub fn keep(&self, entry: &SegmentEntry, pieces: &[Piece]) {
        let Some(kept) = &self.kept else { return };
        for (column, bytes) in pieces {
            kept.insert(entry.fragments[*column], bytes.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{SegmentId, params::FRAGMENTS};

    fn segment(n: u8) -> SegmentEntry {
        let fragments = std::array::from_fn(|column| FragmentId([n.wrapping_mul(16).wrapping_add(column as u8); 32]));
        SegmentEntry { id: SegmentId([n; 32]), len: 4 << 20, fragments }
    }

    fn pieces(n: u8) -> Vec<Piece> {
        (0..DATA_FRAGMENTS).map(|column| (column, Bytes::from(vec![n; 1 << 20]))).collect()
    }

    #[test]
    fn what_is_read_now_takes_the_place_of_what_was_read_once_often() {
        let cache = FragmentCache::new(8 * DATA_FRAGMENTS as u64 * (FRAGMENT_MAX_BYTES + OVERHEAD_BYTES));
        let columns: Vec<usize> = (0..DATA_FRAGMENTS).collect();
        let bytes = Bytes::from(vec![0; usize::try_from(FRAGMENT_MAX_BYTES).unwrap()]);
        let read = |n: u8| {
            let found = cache.all(&segment(n), &columns).is_some();
            if !found {
                cache.keep(&segment(n), &columns.iter().map(|column| (*column, bytes.clone())).collect::<Vec<_>>());
            }
            found
        };
        for n in (0..8).cycle().take(20 * 8) {
            read(n);
        }
        for n in (8..14).cycle().take(6 * 6) {
            read(n);
        }
        assert!((8..14).all(read), "six segments read in turns, where there is room for eight");
    }

    #[test]
    fn the_bound_is_kept_and_what_is_used_stays() {
        const MAX: u64 = 40 << 20;
        let cache = FragmentCache::new(MAX);
        let columns: Vec<usize> = (0..DATA_FRAGMENTS).collect();
        cache.keep(&segment(0), &pieces(0));
        for n in 1..16 {
            assert!(cache.all(&segment(0), &columns).is_some(), "it is read all the time, before segment {n}");
            cache.keep(&segment(n), &pieces(n));
            assert!(cache.kept.as_ref().unwrap().weight() <= MAX);
        }
        let here = (1..16).filter(|n| cache.all(&segment(*n), &columns).is_some()).count();
        assert!((1..10).contains(&here), "{here} of the others are here");
        assert_eq!(cache.all(&segment(0), &[2]), Some(vec![(2, pieces(0)[2].1.clone())]));
        assert_eq!(cache.all(&segment(0), &[2, FRAGMENTS - 1]), None, "all or nothing");
    }

    #[test]
    fn without_room_for_a_segment_nothing_is_kept() {
        let cache = FragmentCache::new(8 << 20);
        cache.keep(&segment(0), &pieces(0));
        assert_eq!(cache.all(&segment(0), &[0]), None);
    }
}
