//! The format record: which version of this program's tables a database holds.
//!
//! Owns the record in [`Column::Meta`] that every database carries from its first moment. Invariant: data of another
//! format is refused before anything reads it.

use super::{Batch, Column, Durability, Kv, KvError};

/// Key of the record.
pub(super) const KEY: &[u8] = b"format";
/// The format this program reads and writes. Raise it when a column's meaning changes.
pub(super) const VERSION: u32 = 1;

/// Checks the record of the database at `path`; an empty database gets one.
pub(super) fn check(kv: &dyn Kv, path: &str) -> Result<(), KvError> {
    let engine = |reason: String| KvError::Engine { path: path.to_owned(), reason };
    match kv.get(Column::Meta, KEY)? {
        Some(record) => {
            let bytes: [u8; 4] = record
                .as_slice()
                .try_into()
                .map_err(|_| engine(format!("format record is {} B, expected 4 B", record.len())))?;
            match u32::from_be_bytes(bytes) {
                VERSION => Ok(()),
                found => Err(KvError::Format { path: path.to_owned(), found, expected: VERSION }),
            }
        }
        None if is_empty(kv)? => {
            let mut batch = Batch::new();
            batch.put(Column::Meta, KEY, VERSION.to_be_bytes());
            kv.write(batch, Durability::Synced)
        }
        None => Err(engine("has data but no format record".to_owned())),
    }
}

fn is_empty(kv: &dyn Kv) -> Result<bool, KvError> {
    for column in Column::ALL {
        if !kv.scan(column, b"", b"", 1)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}
