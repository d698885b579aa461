//! Which blocks have logs of an address, or with a topic at a position: one row for each of them and each block.
//!
//! Owns the rows and their search. Must not know whole filters, nor read logs back. Invariants: the rows of a block are written in the
//! batch that holds its receipts; a block with a log has a row for each of the log's kinds of value, be it the row of the value or
//! the one for "any"; a block costs at most [`KIND_MAX_ROWS`] rows of each kind, however many logs it has.

use super::error::StoreError;
use crate::{
    crypto::hash::content,
    kv::{Batch, Column, Kv},
    ledger::executor::Receipt,
    types::{Address, B256, Height},
};
use std::collections::BTreeSet;

/// Rows of one kind a block may have. A block whose logs have more different values of a kind gets one row for all of them, and
/// is then a candidate for every search by this kind. A row costs some microseconds, for rows of a block lie all over the column.
const KIND_MAX_ROWS: usize = 512;
/// Topics a log can have.
const TOPICS: usize = 4;
/// Bytes of a hash that tell rows apart. Values that share them cost a look into a block too many.
const ROW_BYTES: usize = 16;
/// Bytes of a row's key: the row and a height.
const KEY_BYTES: usize = ROW_BYTES + size_of::<Height>();
/// Heights read at once.
const READ_HEIGHTS: usize = 64;

/// What a log can be searched by: its address, or the topic at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The contract that logged.
    Address,
    /// The topic at a position below four.
    Topic(usize),
}

impl Kind {
    const ALL: [Self; 1 + TOPICS] = [Self::Address, Self::Topic(0), Self::Topic(1), Self::Topic(2), Self::Topic(3)];

    fn tag(self) -> u8 {
        match self {
            Self::Address => 0,
            Self::Topic(position) => 1 + u8::try_from(position).expect("a log has at most four topics"),
        }
    }

    /// Different values of this kind among the logs of a block, unless there are more than `most`.
    fn values<'a>(self, receipts: &'a [Receipt], most: usize) -> Option<BTreeSet<&'a [u8]>> {
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        let value = |log: &'a alloy_primitives::Log| match self {
            Self::Address => Some(log.address.as_slice()),
            Self::Topic(position) => log.topics().get(position).map(|topic| topic.as_slice()),
        };
        let mut values = BTreeSet::new();
        for value in logs.filter_map(value) {
            values.insert(value);
            if values.len() > most {
                return None;
            }
        }
        Some(values)
    }
}

/// Name of a row: a value of a kind, or any value of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogRow([u8; ROW_BYTES]);

impl LogRow {
    /// The row of an address.
    pub fn address(address: &Address) -> Self {
        Self::of(Kind::Address, address.as_slice())
    }

    /// The row of a topic at a position.
    pub fn topic(position: usize, topic: &B256) -> Self {
        Self::of(Kind::Topic(position), topic.as_slice())
    }

    /// The row of blocks with too many values of a kind.
    pub fn any(kind: Kind) -> Self {
        Self::of(kind, &[])
    }

    fn of(kind: Kind, value: &[u8]) -> Self {
        let hash = content(&[&[kind.tag()], value].concat());
        Self(*hash.first_chunk().expect("a hash is longer"))
    }

    fn key(&self, height: Height) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[..ROW_BYTES].copy_from_slice(&self.0);
        key[ROW_BYTES..].copy_from_slice(&height.to_be_bytes());
        key
    }
}

/// Adds the rows of a block to `batch`.
pub fn stage(batch: &mut Batch, height: Height, receipts: &[Receipt]) {
    for row in rows(receipts, KIND_MAX_ROWS) {
        batch.put(Column::LogIndex, row.key(height), Vec::new());
    }
}

fn rows(receipts: &[Receipt], most: usize) -> Vec<LogRow> {
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        match kind.values(receipts, most) {
            Some(values) => rows.extend(values.iter().map(|value| LogRow::of(kind, value))),
            None => rows.push(LogRow::any(kind)),
        }
    }
    rows
}

/// The lowest `limit` heights from `from` on of blocks with a row.
pub fn heights(kv: &dyn Kv, row: &LogRow, from: Height, limit: usize) -> Result<Vec<Height>, StoreError> {
    let found = kv.scan(Column::LogIndex, &row.0, &row.key(from), limit)?;
    let height = |(key, _): (Vec<u8>, Vec<u8>)| match key.last_chunk() {
        Some(height) if key.len() == KEY_BYTES => Ok(Height::from_be_bytes(*height)),
        _ => Err(StoreError::Key { column: Column::LogIndex.name(), len: key.len(), expected: KEY_BYTES }),
    };
    found.into_iter().map(height).collect()
}

/// Blocks that may hold a log with one of the values of each kind that is asked for, in order.
pub struct Candidates<R> {
    /// Heights of a row, as [`heights`] gives them.
    read: R,
    /// For each kind its rows, of which a block needs one.
    kinds: Vec<Vec<Cursor>>,
}

impl<R: Fn(&LogRow, Height, usize) -> Result<Vec<Height>, StoreError>> Candidates<R> {
    /// All blocks with `addresses`, if any are given, and with `topics` at the positions that name some.
    pub fn new<'a>(
        read: R,
        addresses: impl Iterator<Item = &'a Address>,
        topics: impl Iterator<Item = impl Iterator<Item = &'a B256>>,
    ) -> Self {
        let addresses = (Kind::Address, addresses.map(LogRow::address).collect::<Vec<_>>());
        let topics = (0..TOPICS).zip(topics).map(|(position, topics)| {
            (Kind::Topic(position), topics.map(|topic| LogRow::topic(position, topic)).collect())
        });
        let asked = std::iter::once(addresses).chain(topics).filter(|(_, rows)| !rows.is_empty());
        let cursors =
            |(kind, rows): (Kind, Vec<LogRow>)| rows.into_iter().chain([LogRow::any(kind)]).map(Cursor::new).collect();
        Self { read, kinds: asked.map(cursors).collect() }
    }

    /// Whether nothing is asked for, so that every block is a candidate.
    pub fn is_unbounded(&self) -> bool {
        self.kinds.is_empty()
    }

    /// The lowest candidate from `from` on.
    pub fn next_from(&mut self, from: Height) -> Result<Option<Height>, StoreError> {
        let mut at = from;
        loop {
            let before = at;
            for rows in &mut self.kinds {
                let mut lowest: Option<Height> = None;
                for row in rows {
                    let next = row.seek(&self.read, at)?;
                    lowest = lowest.into_iter().chain(next).min();
                }
                let Some(lowest) = lowest else { return Ok(None) };
                at = lowest;
            }
            if at == before {
                return Ok(Some(at));
            }
        }
    }
}

/// A place in a row.
struct Cursor {
    row: LogRow,
    /// Heights that were read and not passed yet, the next one last.
    ahead: Vec<Height>,
    /// Nothing comes after them.
    ended: bool,
}

impl Cursor {
    fn new(row: LogRow) -> Self {
        Self { row, ahead: Vec::new(), ended: false }
    }

    fn seek(
        &mut self,
        read: &impl Fn(&LogRow, Height, usize) -> Result<Vec<Height>, StoreError>,
        from: Height,
    ) -> Result<Option<Height>, StoreError> {
        while self.ahead.last().is_some_and(|next| *next < from) {
            self.ahead.pop();
        }
        if self.ahead.is_empty() && !self.ended {
            self.ahead = read(&self.row, from, READ_HEIGHTS)?;
            self.ended = self.ahead.len() < READ_HEIGHTS;
            self.ahead.reverse();
        }
        Ok(self.ahead.last().copied())
    }
}

#[cfg(test)]
mod tests;
