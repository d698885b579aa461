//! Reading: from segments of packs to the bytes of a range.
//!
//! Owns who holds a pack now: the chain's holders once its file is final, those of its head before and besides. Must not know
//! encryption. Invariants: a failed read is tried once more with what the chain says then, from where it stopped; the memory is
//! the fetcher's.

use super::Packs;
use crate::{
    access::blobs::{BlobError, BodyStream, PackHead, PackId, StoredBody, parts_of},
    client::ChainError,
    ledger::manifest::Manifest,
    storage::fetch::{FetchError, FileSource, SegmentPart},
    types::{Address, FileId, params::FRAGMENTS},
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long the chain's holders of a file are believed.
const TRUST: Duration = Duration::from_secs(30);
/// Files whose holders are remembered.
const HOLDERS_MAX: usize = 4_096;

pub(super) type Holders = Arc<Vec<Address>>;

/// What is known of up to `MAX` files. What is old makes room first.
pub(super) struct Known<T, const MAX: usize> {
    known: Mutex<BTreeMap<FileId, (Instant, T)>>,
}

/// Holders of files as the chain named them last.
pub(super) type HolderCache = Known<Holders, HOLDERS_MAX>;

impl<T, const MAX: usize> Default for Known<T, MAX> {
    fn default() -> Self {
        Self { known: Mutex::default() }
    }
}

impl<T: Clone, const MAX: usize> Known<T, MAX> {
    /// What was learnt of a file no longer than `trust` ago.
    pub fn get(&self, file: FileId, trust: Duration) -> Option<T> {
        let known = self.known.lock();
        known.get(&file).filter(|(at, _)| at.elapsed() < trust).map(|(_, value)| value.clone())
    }

    pub fn put(&self, file: FileId, value: T) {
        let mut known = self.known.lock();
        if known.len() >= MAX {
            known.retain(|_, (at, _)| at.elapsed() < TRUST);
            if known.len() >= MAX {
                known.pop_first();
            }
        }
        known.insert(file, (Instant::now(), value));
    }

    pub fn forget(&self, file: FileId) {
        self.known.lock().remove(&file);
    }
}

/// A range being read.
struct Reading {
    packs: Packs,
    body: Arc<StoredBody>,
    range: Range<u64>,
    stream: Option<BodyStream>,
    again: bool,
}

impl Packs {
    /// The bytes of `range`, in order.
    pub(super) async fn read(&self, body: StoredBody, range: Range<u64>) -> Result<BodyStream, BlobError> {
        parts_of(&body, &range)?;
        let reading = Reading { packs: self.clone(), body: Arc::new(body), range, stream: None, again: true };
        let bytes = stream::try_unfold(reading, |mut reading| async move {
            loop {
                if reading.range.is_empty() {
                    return Ok(None);
                }
                let next = match reading.stream.as_mut() {
                    Some(stream) => stream.try_next().await,
                    None => {
                        reading.stream = Some(reading.packs.fetch(&reading.body, &reading.range).await?);
                        continue;
                    }
                };
                match next {
                    Ok(Some(bytes)) => {
                        reading.range.start += bytes.len() as u64;
                        return Ok(Some((bytes, reading)));
                    }
                    Ok(None) => return Err(BlobError::Fetch("the segments ended early".into())),
                    Err(error) if reading.again => {
                        tracing::debug!(%error, "the chain is asked again who holds the pack");
                        reading.again = false;
                        reading.packs.forget(&reading.body);
                        reading.stream = None;
                    }
                    Err(error) => return Err(error),
                }
            }
        });
        Ok(bytes.boxed())
    }

    async fn fetch(&self, body: &StoredBody, range: &Range<u64>) -> Result<BodyStream, BlobError> {
        let parts = parts_of(body, range)?;
        let mut manifests: BTreeMap<PackId, Manifest> = BTreeMap::new();
        let mut places = Vec::with_capacity(parts.len());
        for (number, bytes) in parts {
            let piece = &body.pieces[number];
            let manifest = manifests.entry(piece.extent.pack).or_insert(Manifest { size: 0, segments: Vec::new() });
            places.push((piece.extent.pack, manifest.segments.len(), bytes));
            manifest.size += u64::from(piece.entry.len);
            manifest.segments.push(piece.entry.clone());
        }
        let mut sources = BTreeMap::new();
        for (pack, manifest) in manifests {
            let head = body.head(pack).ok_or_else(|| BlobError::Fetch(format!("pack {pack} has no head")))?;
            let accounts = self.accounts(head).await.map_err(unnamed)?;
            let source = FileSource::among(&self.inner.directory, Arc::new(manifest), &accounts).await;
            sources.insert(pack, Arc::new(source.map_err(unnamed)?));
        }
        let parts = places.into_iter().filter_map(|(pack, segment, bytes)| {
            sources.get(&pack).map(|source| SegmentPart { source: source.clone(), segment, bytes })
        });
        Ok(self.inner.fetcher.parts(parts.collect()).map_err(unreadable).boxed())
    }

    /// Accounts that may have each column of a pack, the best first.
    async fn accounts(&self, head: &PackHead) -> Result<[Vec<Address>; FRAGMENTS], ChainError> {
        let mut columns: [Vec<Address>; FRAGMENTS] = std::array::from_fn(|_| Vec::new());
        let mut add = |column: usize, account: Address| {
            if let Some(column) = columns.get_mut(column).filter(|column| !column.contains(&account)) {
                column.push(account);
            }
        };
        if let Some(file) = head.file {
            self.holders(file).await?.iter().enumerate().for_each(|(column, account)| add(column, *account));
        }
        head.holders.iter().enumerate().for_each(|(column, account)| add(column, account.into()));
        head.former.iter().rev().for_each(|(column, account)| add(usize::from(*column), account.into()));
        Ok(columns)
    }

    /// Holders of a file as the chain has them; none if it has no such file.
    pub(super) async fn holders(&self, file: FileId) -> Result<Holders, ChainError> {
        if let Some(holders) = self.inner.holders.get(file, TRUST) {
            return Ok(holders);
        }
        let record = self.inner.chain.file(file).await?;
        let holders: Holders = Arc::new(record.map(|record| record.holders).unwrap_or_default());
        self.inner.holders.put(file, holders.clone());
        Ok(holders)
    }

    fn forget(&self, body: &StoredBody) {
        body.heads.iter().filter_map(|(_, head)| head.file).for_each(|file| self.inner.holders.forget(file));
    }
}

pub(super) fn unnamed(error: ChainError) -> BlobError {
    BlobError::Fetch(format!("the chain does not say who holds it: {error}"))
}

pub(super) fn unreadable(error: FetchError) -> BlobError {
    match error {
        FetchError::Stopping => BlobError::Stopping,
        other => BlobError::Fetch(other.to_string()),
    }
}
