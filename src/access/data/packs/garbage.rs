//! Packs that nobody needs any more: files of the chain whose label says this scope and which no record names.
//!
//! Owns the search. Must not know records: their keeper says which files it names. Invariants: a file is garbage only if its own label says
//! that it is a pack of the scope; one younger than the grace is never garbage, since its record may be on its way.

use super::{
    Packs,
    read::{Known, unnamed},
};
use crate::{
    access::blobs::{BlobError, Blobs, PackId, Scope},
    storage::upload::{LABEL_BYTES, Label},
    types::{Address, FileId, Height, SegmentId},
};
use bytes::Bytes;
use futures::TryStreamExt;
use std::{collections::BTreeSet, time::Duration};

/// Files asked for at a time.
const PAGE: u64 = 500;
/// Files looked through in one search.
const FILES_MAX: u64 = 1_000_000;
/// Labels that are remembered.
const LABELS_MAX: usize = 65_536;
/// Segments of a file that begins with a label, at least.
const PACK_MIN_SEGMENTS: u32 = 2;

/// A pack among the files of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundPack {
    /// Its file.
    pub file: FileId,
    /// Which pack it says it is.
    pub pack: PackId,
    /// Whose it says it is.
    pub scope: Scope,
}

/// Packs of some of an account's files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PackPage {
    /// Those that were found.
    pub packs: Vec<FoundPack>,
    /// How many files to skip for the next page, if there is one.
    pub next: Option<u64>,
}

/// Labels by file, which never change; nothing for a file that has none.
pub(super) type Labels = Known<Option<Label>, LABELS_MAX>;

impl Packs {
    /// Packs among `limit` of an account's files after the first `skip`, as far as they were stored more than `grace` blocks ago and are
    /// `wanted`. Files that cannot be read now are left for the next time.
    pub async fn old_packs(
        &self,
        owner: Address,
        (skip, limit): (u64, u64),
        grace: Height,
        wanted: impl Fn(FileId) -> bool,
    ) -> Result<PackPage, BlobError> {
        let chain = &self.inner.chain;
        let height = chain.status().await.map_err(unnamed)?.height;
        let files = chain.files_of(owner, skip, limit).await.map_err(unnamed)?;
        let count = files.len() as u64;
        let mut page = PackPage { next: (count == limit).then_some(skip + count), ..PackPage::default() };
        for record in files {
            let old = record.stored_at.saturating_add(grace) < height;
            if old
                && record.segments >= PACK_MIN_SEGMENTS
                && wanted(record.id)
                && let Some(label) = self.label(record.id).await
            {
                let scope = Scope::new(owner, label.scope);
                page.packs.push(FoundPack { file: record.id, pack: PackId(label.id), scope });
            }
        }
        Ok(page)
    }

    /// Files of the scope that are not `named` and were stored more than `grace` blocks ago.
    pub async fn orphans(
        &self,
        scope: Scope,
        named: &BTreeSet<FileId>,
        grace: Height,
    ) -> Result<Vec<FileId>, BlobError> {
        let (mut orphans, mut next) = (Vec::new(), Some(0));
        while let Some(skip) = next.filter(|skip| *skip < FILES_MAX) {
            let unnamed = |file| !named.contains(&file);
            let page = self.old_packs(scope.owner(), (skip, PAGE), grace, unnamed).await?;
            orphans.extend(page.packs.iter().filter(|found| found.scope == scope).map(|found| found.file));
            next = page.next;
        }
        Ok(orphans)
    }

    /// Whether another file has every segment of this one.
    pub async fn is_covered(&self, file: FileId, by: FileId) -> Result<bool, BlobError> {
        let (part, whole) = (self.manifest(file).await?, self.manifest(by).await?);
        let held: BTreeSet<SegmentId> = whole.segments.iter().map(|segment| segment.id).collect();
        Ok(part.segments.iter().all(|segment| held.contains(&segment.id)))
    }

    /// Removes the orphans; gives those that are gone.
    pub async fn collect(
        &self,
        scope: Scope,
        named: &BTreeSet<FileId>,
        grace: Height,
    ) -> Result<Vec<FileId>, BlobError> {
        let orphans = self.orphans(scope, named, grace).await?;
        for file in &orphans {
            tracing::info!(%file, "a pack that no record names is removed");
            self.remove(scope.owner(), *file).await?;
        }
        Ok(orphans)
    }

    /// What a file's first segment says it is.
    async fn label(&self, file: FileId) -> Option<Label> {
        if let Some(known) = self.inner.labels.get(file, Duration::MAX) {
            return known;
        }
        match self.read_label(file).await {
            Ok(label) => {
                self.inner.labels.put(file, label);
                label
            }
            Err(error) => {
                tracing::debug!(%file, %error, "a file's first segment cannot be read");
                None
            }
        }
    }

    async fn read_label(&self, file: FileId) -> Result<Option<Label>, BlobError> {
        let manifest = self.manifest(file).await?;
        if manifest.segments.first().is_none_or(|first| u64::from(first.len) != LABEL_BYTES as u64) {
            return Ok(None);
        }
        let bytes = self.read_raw(file, &manifest, 0..LABEL_BYTES as u64).await?;
        Ok(Label::read(&bytes.try_collect::<Vec<Bytes>>().await?.concat()))
    }
}
