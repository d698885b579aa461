//! Files of their own: one body, one pack, final when it is stored. For what is named on the chain instead of in a bucket's records.
//!
//! Must not know names. Invariants: a file that was stored is the chain's; its manifest is checked against its id before it is used.

use super::{Door, Doors, Packs, read::Known};
use crate::{
    access::blobs::{BlobError, BodyStream, Scope},
    ledger::manifest::Manifest,
    storage::fetch::{FileSource, SegmentPart},
    types::FileId,
};
use futures::{StreamExt, TryStreamExt};
use std::{ops::Range, sync::Arc, time::Duration};

/// Manifests that are remembered.
const MANIFESTS_MAX: usize = 256;

/// Checked manifests by their ids, which never change.
pub(super) type Manifests = Known<Arc<Manifest>, MANIFESTS_MAX>;

impl Packs {
    /// Stores a body as one file and waits until that is final. It is read with [`Packs::read_file`].
    pub async fn store_file(&self, scope: Scope, size: Option<u64>, body: BodyStream) -> Result<FileId, BlobError> {
        let door = Door::default();
        let placed = self.place_all(scope, size, body, Doors { shared: &door, own: &door, own_above: 0 }).await?;
        let Some(first) = placed.first().map(|placed| placed.lease.pack.clone()) else {
            return Err(BlobError::Store("an empty file is no file of the chain".into()));
        };
        if placed.iter().any(|placed| !Arc::ptr_eq(&placed.lease.pack, &first)) {
            return Err(BlobError::TooLarge);
        }
        placed.into_iter().for_each(|placed| placed.lease.keep());
        drop(door);
        self.outcome_of(&first).await
    }

    /// The bytes `range` of a file that [`Packs::store_file`] stored.
    pub async fn read_file(&self, file: FileId, range: Range<u64>) -> Result<BodyStream, BlobError> {
        let manifest = self.manifest(file).await?;
        let (label, size) = (label_len(&manifest), manifest.size - label_len(&manifest));
        if range.start > range.end || range.end > size {
            return Err(BlobError::Range { start: range.start, end: range.end, size });
        }
        self.read_raw(file, &manifest, label + range.start..label + range.end).await
    }

    /// The bytes `range` of a file, its label included.
    pub(super) async fn read_raw(
        &self,
        file: FileId,
        manifest: &Arc<Manifest>,
        range: Range<u64>,
    ) -> Result<BodyStream, BlobError> {
        let mut accounts = std::array::from_fn(|_| Vec::new());
        let holders = self.holders(file).await.map_err(super::read::unnamed)?;
        accounts.iter_mut().zip(holders.iter()).for_each(|(column, holder)| column.push(*holder));
        let source = FileSource::among(&self.inner.directory, manifest.clone(), &accounts).await;
        let source = Arc::new(source.map_err(super::read::unnamed)?);
        let (mut parts, mut base) = (Vec::new(), 0);
        for (segment, entry) in manifest.segments.iter().enumerate() {
            let next = base + u64::from(entry.len);
            let (start, end) = (range.start.max(base), range.end.min(next));
            if start < end {
                parts.push(SegmentPart { source: source.clone(), segment, bytes: start - base..end - base });
            }
            base = next;
        }
        Ok(self.inner.fetcher.parts(parts).map_err(super::read::unreadable).boxed())
    }

    /// Length of a file that [`Packs::store_file`] stored.
    pub async fn file_len(&self, file: FileId) -> Result<u64, BlobError> {
        let manifest = self.manifest(file).await?;
        Ok(manifest.size - label_len(&manifest))
    }

    pub(super) async fn manifest(&self, file: FileId) -> Result<Arc<Manifest>, BlobError> {
        if let Some(known) = self.inner.manifests.get(file, Duration::MAX) {
            return Ok(known);
        }
        let bytes = self.inner.chain.manifest(file).await.map_err(super::read::unnamed)?;
        let bytes = bytes.ok_or_else(|| BlobError::Fetch(format!("the chain has no file {file}")))?;
        let manifest = Manifest::read(&bytes).map_err(|error| BlobError::Fetch(format!("file {file}: {error}")))?;
        if manifest.id() != file {
            return Err(BlobError::Fetch(format!("the chain's manifest of file {file} is another one")));
        }
        let manifest = Arc::new(manifest);
        self.inner.manifests.put(file, manifest.clone());
        Ok(manifest)
    }
}

/// The label's bytes: the first segment of every pack.
fn label_len(manifest: &Manifest) -> u64 {
    manifest.segments.first().map_or(0, |label| label.len.into())
}
