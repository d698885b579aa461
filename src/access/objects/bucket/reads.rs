//! Reading a bucket's records, with the changes of the operation that reads.
//!
//! Owns decoding. Must not know what records mean. Invariant: an operation sees its own changes.

use crate::{
    access::{
        engine::{Engine, EngineError, See, successor},
        objects::error::ObjectsError,
    },
    codec::{self, Wire},
};
use bytes::Bytes;
use std::{collections::BTreeMap, ops::Bound};

/// Changes that are not applied yet: new values, or `None` for what is removed.
pub(super) type Overlay = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A view of a bucket's records.
#[derive(Clone, Copy)]
pub(super) struct Reads<'a> {
    pub engine: &'a Engine,
    pub see: See,
    pub changes: Option<&'a Overlay>,
}

impl<'a> Reads<'a> {
    /// What is durable: for answers.
    pub fn durable(engine: &'a Engine) -> Self {
        Self { engine, see: See::Durable, changes: None }
    }

    /// A record.
    pub async fn get<T: Wire>(&self, key: &[u8]) -> Result<Option<T>, ObjectsError> {
        match self.raw(key).await? {
            Some(bytes) => decoded(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// A value.
    pub async fn raw(&self, key: &[u8]) -> Result<Option<Bytes>, ObjectsError> {
        if let Some(change) = self.changes.and_then(|changes| changes.get(key)) {
            return Ok(change.as_ref().map(|value| Bytes::copy_from_slice(value)));
        }
        Ok(self.engine.get(key, self.see).await?)
    }

    /// Up to `max` entries that begin with `prefix`, from `start` on.
    pub async fn entries(&self, prefix: &[u8], start: &[u8], max: usize) -> Result<Vec<(Bytes, Bytes)>, ObjectsError> {
        let mut scan = self.engine.scan(prefix, start, self.see).await?;
        let mut found: BTreeMap<Bytes, Bytes> = self.added(prefix, start).collect();
        // Changes may hide entries, never more than there are changes: those that are left are complete up to the last one read.
        let mut left = max;
        while left > 0 {
            let Some((key, value)) = scan.next().await? else {
                return Ok(found.into_iter().take(max).collect());
            };
            if self.changes.is_none_or(|changes| !changes.contains_key(key.as_ref())) {
                found.insert(key, value);
                left -= 1;
            }
        }
        Ok(found.into_iter().take(max).collect())
    }

    /// The first entry that begins with `prefix`.
    pub async fn first(&self, prefix: &[u8]) -> Result<Option<(Bytes, Bytes)>, ObjectsError> {
        Ok(self.entries(prefix, prefix, 1).await?.pop())
    }

    fn added(&self, prefix: &[u8], start: &[u8]) -> impl Iterator<Item = (Bytes, Bytes)> {
        let first = if start > prefix { start.to_vec() } else { prefix.to_vec() };
        let end = successor(prefix).map_or(Bound::Unbounded, Bound::Excluded);
        let range = (Bound::Included(first), end);
        self.changes
            .into_iter()
            .flat_map(move |changes| changes.range(range.clone()))
            .filter_map(|(key, value)| Some((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value.as_ref()?))))
    }
}

/// A record of these bytes.
pub(super) fn decoded<T: Wire>(bytes: &[u8]) -> Result<T, ObjectsError> {
    codec::decode(bytes).map_err(|error| ObjectsError::Damaged { reason: error.to_string() })
}

/// A key that is none of ours.
pub(super) fn foreign(key: &[u8]) -> ObjectsError {
    let shown = hex::encode(key.get(..32).unwrap_or(key));
    ObjectsError::Damaged { reason: format!("the bucket has a key `{shown}…` of unknown form") }
}

impl From<EngineError> for ObjectsError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Damaged(_) | EngineError::Invalid(_) => Self::Damaged { reason: error.to_string() },
            EngineError::Fenced | EngineError::Closed | EngineError::Unavailable(_) => {
                Self::Unavailable { reason: error.to_string() }
            }
        }
    }
}
