//! The end of an upload: twelve receipts over the finished manifest, and the repair of columns that are not complete.
//!
//! Owns receipts and rebuilding. A holder says itself which fragments it lacks, whether it joined late, lost them, or the upload
//! was resumed elsewhere; each is rebuilt from any four of the others. Invariant: every receipt was verified.

use super::{
    OnProgress, StoreCall, UploadError, UploadPhase, UploadProgress, Uploader,
    columns::{Columns, Seat},
    journal::Upload,
    push::Patience,
};
use crate::{
    codec,
    crypto::{PublicKey, Signature},
    ledger::{manifest::Manifest, receipt::receipt_message},
    storage::{
        fetch::{FetchError, FileSource},
        link::DataError,
        slicer::ManifestBuilder,
        wire::Refusal,
    },
    types::{ChainId, FileId, SegmentId, params::FRAGMENTS},
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use std::sync::Arc;

/// Rebuilt fragments on their way to one holder at once.
const REBUILDING_MAX: usize = 2;
/// Times a holder may say that fragments are missing before it counts as failed.
const BACKFILLS_MAX: u32 = 3;
/// Times the miners are drawn again because the beacon grew old.
const REDRAWS_MAX: u32 = 3;

/// The finished file while its receipts are collected.
struct Sealed {
    manifest: Arc<Manifest>,
    bytes: Vec<u8>,
    file: FileId,
    chain_id: ChainId,
}

impl Uploader {
    /// Collects the receipts. Draws miners again if the upload took longer than a beacon lasts.
    pub(super) async fn confirm(
        &self,
        upload: &mut Upload,
        mut columns: Arc<Columns>,
        first: SegmentId,
        progress: OnProgress<'_>,
    ) -> Result<StoreCall, UploadError> {
        let manifest = ManifestBuilder::resume(upload.segments.clone()).finish()?;
        let bytes = codec::encode(&manifest);
        let status = self.chain.status().await?;
        let sealed = Sealed { file: manifest.id(), manifest: Arc::new(manifest), bytes, chain_id: status.chain_id };
        for _ in 0..REDRAWS_MAX {
            if !columns.is_fresh(&self.chain.status().await?) {
                columns = Arc::new(self.place(upload, first).await?);
            }
            let receipts = match self.receipts(upload, &columns, &sealed, progress).await {
                Err(UploadError::Rebuild(FetchError::TooFew { segment, .. })) => {
                    return Err(self.set_back(upload, segment)?);
                }
                receipts => receipts?,
            };
            self.note(upload, &columns)?;
            if columns.is_fresh(&self.chain.status().await?) {
                let holders = columns.holders().into_iter().map(|holder| holder.record.address).collect();
                return Ok(StoreCall {
                    file: sealed.file,
                    manifest: Arc::unwrap_or_clone(sealed.manifest),
                    manifest_bytes: sealed.bytes.into(),
                    beacon_height: columns.beacon_height(),
                    holders,
                    receipts,
                });
            }
        }
        Err(UploadError::MinersFailed { failures: columns.failures() })
    }

    /// Takes the upload back to before a segment that is lost.
    fn set_back(&self, upload: &mut Upload, segment: usize) -> Result<UploadError, UploadError> {
        self.journal.truncate(upload.id, segment)?;
        upload.segments.truncate(segment);
        Ok(UploadError::Lost { segment, offset: upload.offset() })
    }

    async fn receipts(
        &self,
        upload: &Upload,
        columns: &Columns,
        sealed: &Sealed,
        progress: OnProgress<'_>,
    ) -> Result<Vec<Signature>, UploadError> {
        let mut running: FuturesUnordered<_> = (0..FRAGMENTS)
            .map(|column| async move { (column, self.column_receipt(columns, column, sealed).await) })
            .collect();
        let mut receipts = vec![None; FRAGMENTS];
        let mut collected = 0;
        while let Some((column, receipt)) = running.next().await {
            receipts[column] = Some(receipt?);
            collected += 1;
            progress(UploadProgress {
                phase: UploadPhase::Confirming,
                stored: sealed.manifest.size,
                segments: upload.segments.len(),
                receipts: collected,
                replaced: columns.replaced(),
            });
        }
        drop(running);
        Ok(receipts.into_iter().flatten().collect())
    }

    /// The receipt of whoever holds the column in the end, after giving it what it lacks.
    async fn column_receipt(
        &self,
        columns: &Columns,
        column: usize,
        sealed: &Sealed,
    ) -> Result<Signature, UploadError> {
        let number = u8::try_from(column).expect("there are twelve columns");
        let (mut patience, mut backfills, mut term) = (Patience::default(), 0, 0);
        loop {
            let seat = columns.seat(column);
            if seat.term != term {
                (term, backfills) = (seat.term, 0);
            }
            let peer = seat.holder.peer;
            let answer = self.data.receipt(peer, number, &sealed.bytes, self.limits.receipt_deadline).await;
            let failure = match answer {
                Ok(signature) => match verify(&seat, number, sealed, Signature(signature)) {
                    Some(receipt) => return Ok(receipt),
                    None => DataError::Protocol { peer, reason: "its receipt is not signed by its account key".into() },
                },
                Err(DataError::Refused { refusal: Refusal::Missing(missing), .. }) if backfills < BACKFILLS_MAX => {
                    backfills += 1;
                    match self.backfill(columns, column, &seat, sealed, missing).await? {
                        Ok(()) => continue,
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            self.recover(columns, column, &seat, &failure, &mut patience).await?;
        }
    }

    /// Rebuilds the column's fragments of `missing` segments and pushes them. The inner error is the holder's, the outer one
    /// the file's: too few of the other fragments are left.
    async fn backfill(
        &self,
        columns: &Columns,
        column: usize,
        seat: &Seat,
        sealed: &Sealed,
        missing: Vec<u32>,
    ) -> Result<Result<(), DataError>, UploadError> {
        tracing::info!(column, miner = %seat.holder.record.address, segments = missing.len(), "column is completed");
        let source = self.sources(columns, sealed, column).await?;
        let work = stream::iter(missing).map(|segment| {
            let source = &source;
            async move {
                let index = usize::try_from(segment).unwrap_or(usize::MAX);
                let bytes = self.fetcher.fragment(source, index, column).await?;
                let id = sealed.manifest.segments[index].fragments[column];
                Ok::<_, UploadError>(self.data.put(seat.holder.peer, id, bytes, self.limits.put_deadline).await)
            }
        });
        let mut work = Box::pin(work.buffer_unordered(REBUILDING_MAX));
        while let Some(pushed) = work.try_next().await? {
            if let Err(failure) = pushed {
                return Ok(Err(failure));
            }
        }
        Ok(Ok(()))
    }

    /// Where the columns may be had, former holders included, but not the holder of the one that is `lacking`.
    async fn sources(&self, columns: &Columns, sealed: &Sealed, lacking: usize) -> Result<FileSource, UploadError> {
        let mut accounts = columns.sources();
        accounts[lacking].remove(0);
        Ok(FileSource::among(&self.directory, sealed.manifest.clone(), &accounts).await?)
    }
}

fn verify(seat: &Seat, column: u8, sealed: &Sealed, receipt: Signature) -> Option<Signature> {
    let record = &seat.holder.record;
    let message = receipt_message(sealed.chain_id, sealed.file, column, record.address);
    PublicKey(record.account_key).verify(&message, &receipt).ok().map(|()| receipt)
}
