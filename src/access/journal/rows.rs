//! What slatedb's rows look like as records.
//!
//! Owns the encoding of a WAL file and how it is cut. Must not know logs. A record is two bytes (version, place in its file) and a
//! part of the file. Invariants: a file is read whole or not at all; a file that was cut short by a crash is followed by one that
//! begins anew, and is passed over.

use super::veil::VEIL_BYTES;
use crate::{
    codec::{self, CodecError, Wire},
    storage::journal::RECORD_MAX_BYTES,
};
use bytes::Bytes;
use slatedb::{RowEntry, ValueDeletable};

/// Largest WAL file: what one batch may hold, and its rows' frames.
pub const FILE_MAX_BYTES: usize = 32 << 20;
/// What a row may take beside key and value.
pub const ROW_OVERHEAD_BYTES: usize = 48;
const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 2;
/// A veiled record still fits.
const PART_MAX_BYTES: usize = RECORD_MAX_BYTES - PREFIX_BYTES - VEIL_BYTES;
const FIRST: u8 = 1;
const LAST: u8 = 2;

/// Why records are no rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowsError {
    /// Not written by this program.
    #[error("record {number} of the log is no part of a WAL file of version {VERSION}")]
    NoPart { number: u64 },
    /// The parts do not make a file.
    #[error("the WAL file that ends with record {number}: {error}")]
    File { number: u64, error: CodecError },
}

/// A row as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
struct Row {
    key: Vec<u8>,
    value: Value,
    seq: u64,
    create_ts: Option<i64>,
    expire_ts: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
enum Value {
    Plain(Vec<u8>),
    Merge(Vec<u8>),
    Tombstone,
}

#[derive(Debug, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
struct File {
    rows: Vec<Row>,
}

impl Wire for File {
    const NAME: &'static str = "wal file";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = FILE_MAX_BYTES;
}

impl From<&RowEntry> for Row {
    fn from(row: &RowEntry) -> Self {
        let value = match &row.value {
            ValueDeletable::Value(value) => Value::Plain(value.to_vec()),
            ValueDeletable::Merge(value) => Value::Merge(value.to_vec()),
            ValueDeletable::Tombstone => Value::Tombstone,
        };
        let RowEntry { key, seq, create_ts, expire_ts, .. } = row;
        Self { key: key.to_vec(), value, seq: *seq, create_ts: *create_ts, expire_ts: *expire_ts }
    }
}

impl From<Row> for RowEntry {
    fn from(row: Row) -> Self {
        let value = match row.value {
            Value::Plain(value) => ValueDeletable::Value(value.into()),
            Value::Merge(value) => ValueDeletable::Merge(value.into()),
            Value::Tombstone => ValueDeletable::Tombstone,
        };
        Self { key: row.key.into(), value, seq: row.seq, create_ts: row.create_ts, expire_ts: row.expire_ts }
    }
}

/// What a row takes in a file at most.
pub fn size(row: &RowEntry) -> usize {
    row.key.len() + row.value.len() + ROW_OVERHEAD_BYTES
}

/// The records of a file with these rows, of which there is at least one.
pub fn cut(rows: &[RowEntry]) -> Vec<Bytes> {
    let file = codec::encode(&File { rows: rows.iter().map(Row::from).collect() });
    let parts = file.chunks(PART_MAX_BYTES);
    let count = parts.len();
    let record = |(index, part): (usize, &[u8])| {
        let place = if index == 0 { FIRST } else { 0 } | if index + 1 == count { LAST } else { 0 };
        let mut record = Vec::with_capacity(PREFIX_BYTES + part.len());
        record.extend([VERSION, place]);
        record.extend(part);
        Bytes::from(record)
    };
    parts.enumerate().map(record).collect()
}

/// Puts records together again.
#[derive(Default)]
pub struct Joiner {
    parts: Option<Vec<u8>>,
}

impl Joiner {
    /// Takes the record with this number; gives the rows of the file it ends, if it ends one.
    pub fn take(&mut self, number: u64, record: &[u8]) -> Result<Option<Vec<RowEntry>>, RowsError> {
        let [VERSION, place, part @ ..] = record else { return Err(RowsError::NoPart { number }) };
        if place & FIRST != 0 {
            self.parts = Some(Vec::new());
        }
        let parts = self.parts.as_mut().ok_or(RowsError::NoPart { number })?;
        if parts.len() + part.len() > FILE_MAX_BYTES {
            return Err(RowsError::NoPart { number });
        }
        parts.extend(part);
        if place & LAST == 0 {
            return Ok(None);
        }
        let file = codec::decode::<File>(&self.parts.take().unwrap_or_default());
        let file = file.map_err(|error| RowsError::File { number, error })?;
        Ok(Some(file.rows.into_iter().map(RowEntry::from).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden::check;

    fn row(len: usize, seq: u64) -> RowEntry {
        let value = ValueDeletable::Value(vec![7; len].into());
        RowEntry { key: Bytes::from_static(b"key"), value, seq, create_ts: Some(5), expire_ts: None }
    }

    #[test]
    fn encodings_are_stable() {
        let tombstone = RowEntry { value: ValueDeletable::Tombstone, ..row(0, 9) };
        check(&File { rows: vec![Row::from(&row(2, 8)), Row::from(&tombstone)] });
    }

    #[test]
    fn a_file_survives_being_cut() {
        let merge = RowEntry { value: ValueDeletable::Merge(Bytes::from_static(b"m")), ..row(0, 2) };
        let rows = vec![row(3 << 20, 1), merge];
        let records = cut(&rows);
        assert_eq!(records.len(), 4);
        assert!(records.iter().all(|record| record.len() <= RECORD_MAX_BYTES));
        let mut joiner = Joiner::default();
        // A file that was never finished comes before it.
        assert_eq!(joiner.take(1, &records[0]).unwrap(), None);
        let read = (2..).zip(&records).filter_map(|(number, record)| joiner.take(number, record).unwrap());
        assert_eq!(read.collect::<Vec<_>>(), [rows]);
    }

    #[test]
    fn what_is_no_part_of_a_file_is_refused_by_number() {
        let records = cut(&[row(2 << 20, 1)]);
        assert_eq!(Joiner::default().take(5, &records[1]), Err(RowsError::NoPart { number: 5 }));
        assert_eq!(Joiner::default().take(6, b"x"), Err(RowsError::NoPart { number: 6 }));
        let error = Joiner::default().take(7, &[VERSION, FIRST | LAST, 9]).unwrap_err();
        assert!(
            error.to_string().starts_with("the WAL file that ends with record 7: wal file has version 9"),
            "{error}"
        );
    }

    #[test]
    fn the_size_of_a_row_is_not_underestimated() {
        let rows = vec![RowEntry { expire_ts: Some(1), ..row(100, 1) }; 50];
        let counted: usize = rows.iter().map(size).sum();
        assert!(cut(&rows)[0].len() <= counted);
    }
}
