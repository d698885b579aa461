//! Operations a bucket executed a moment ago, so that a repeated question is answered and not executed again.
//!
//! Must not know what operations mean. Invariant: bounded by number and by bytes.

use super::port::OpId;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::OnceCell;

/// Operations remembered.
const RECENT_MAX_OPS: usize = 1_024;
/// Bytes of answers remembered.
const RECENT_MAX_BYTES: usize = 16 << 20;

/// Where an operation's answer will be.
pub(super) type Cell = Arc<OnceCell<Bytes>>;

/// The newest operations.
#[derive(Default)]
pub(super) struct Recent {
    /// With the bytes of the answer, once it is there.
    cells: BTreeMap<OpId, (Cell, usize)>,
    order: VecDeque<OpId>,
    /// Of all answers: counted as they come, since every operation looks.
    bytes: usize,
}

impl Recent {
    /// The place of an operation's answer, new or remembered.
    pub(super) fn cell(&mut self, id: OpId) -> Cell {
        if let Some((cell, _)) = self.cells.get(&id) {
            return cell.clone();
        }
        self.forget_old();
        let cell = Cell::default();
        self.cells.insert(id, (cell.clone(), 0));
        self.order.push_back(id);
        cell
    }

    /// An operation was answered with so many bytes.
    pub(super) fn answered(&mut self, id: OpId, bytes: usize) {
        if let Some((_, counted)) = self.cells.get_mut(&id) {
            self.bytes = self.bytes - std::mem::replace(counted, bytes) + bytes;
        }
    }

    fn forget_old(&mut self) {
        while self.order.len() >= RECENT_MAX_OPS || self.bytes > RECENT_MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.cells.remove(&oldest).map_or(0, |(_, bytes)| bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> OpId {
        u128::try_from(number).unwrap().to_le_bytes()
    }

    #[test]
    fn an_operation_keeps_its_place_until_it_is_old() {
        let mut recent = Recent::default();
        let first = recent.cell(id(0));
        assert!(Arc::ptr_eq(&first, &recent.cell(id(0))));
        (1..RECENT_MAX_OPS).for_each(|number| drop(recent.cell(id(number))));
        assert!(Arc::ptr_eq(&first, &recent.cell(id(0))));
        recent.cell(id(RECENT_MAX_OPS));
        assert!(!Arc::ptr_eq(&first, &recent.cell(id(0))));
        assert_eq!((recent.cells.len(), recent.order.len()), (RECENT_MAX_OPS, RECENT_MAX_OPS));
    }

    #[test]
    fn large_answers_are_forgotten_sooner() {
        let mut recent = Recent::default();
        for number in 0..4 {
            recent.cell(id(number)).set(vec![0; RECENT_MAX_BYTES / 2].into()).unwrap();
            recent.answered(id(number), RECENT_MAX_BYTES / 2);
        }
        recent.answered(id(77), RECENT_MAX_BYTES);
        assert_eq!(recent.cells.len(), 3);
        recent.cell(id(9));
        assert_eq!(recent.cells.len(), 3);
        assert!(recent.cells.contains_key(&id(9)) && !recent.cells.contains_key(&id(1)));
    }
}
