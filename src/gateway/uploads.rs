//! Upload handles: beginning, sending, committing. The dispersal itself is `storage`'s, and so is the journal on disk.
//!
//! Invariant: one request at a time works on an upload; an offset that was reported is one the journal knows.

use super::{reply::Refusal, server::Gateway};
use crate::{
    client::{
        ChainEvent,
        gateway::{CommitRequest, StoreCall, StoredFile, UploadRequest, UploadState},
    },
    crypto::hash,
    ledger::abi::FILES,
    runtime::Node,
    storage::{
        slicer::SliceError,
        upload::{JournalError, Upload, UploadError, UploadId, Uploader},
    },
    types::{Address, B256, U256, params::FILE_MAX_BYTES},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::JsonRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::io::AsyncRead;
use tokio_util::io::StreamReader;

/// Uploads a gateway keeps.
const UPLOADS_MAX: usize = 10_000;
/// How long after its beginning an upload can be continued. Its fragments are collected by the miners meanwhile.
const UPLOAD_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// Longest idempotency key.
const KEY_MAX_BYTES: usize = 200;
/// How long a store transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// The uploads of one gateway.
pub struct Uploads {
    node: Node,
    owner: Address,
    uploader: Uploader,
    busy: Mutex<BTreeMap<UploadId, Weak<tokio::sync::Mutex<()>>>>,
}

impl Uploads {
    /// Uploads dispersed by `uploader`, in the gateway's own name until somebody signs for them.
    pub fn new(node: Node, owner: Address, uploader: Uploader) -> Self {
        Self { node, owner, uploader, busy: Mutex::default() }
    }

    /// Number of uploads that can be continued. Those begun long ago are forgotten.
    pub fn count(&self) -> Result<usize, Refusal> {
        let (now, kept) = (self.node.clock.unix_ms(), u64::try_from(UPLOAD_KEPT.as_millis()).unwrap_or(u64::MAX));
        let mut left = 0;
        for id in self.uploader.journal().list()? {
            match self.uploader.journal().load(id)? {
                Some(upload) if now.saturating_sub(upload.head.started_ms) > kept => {
                    self.uploader.journal().remove(id)?;
                }
                _ => left += 1,
            }
        }
        Ok(left)
    }

    /// Begins an upload, or finds the one begun with the same key and size.
    pub fn begin(&self, request: &UploadRequest) -> Result<UploadState, Refusal> {
        check_size(request.size)?;
        let digest = match &request.idempotency_key {
            Some(key) if key.is_empty() || key.len() > KEY_MAX_BYTES => {
                let text = format!("the idempotency key is {} B long, expected 1 to {KEY_MAX_BYTES}", key.len());
                return Err(Refusal::bad_request(text));
            }
            Some(key) => hash::tagged("cess 2026 upload handle v1", &[key.as_bytes(), &request.size.to_le_bytes()]),
            None => {
                let mut random = [0u8; 32];
                self.node.rng.fill(&mut random);
                random
            }
        };
        let id = UploadId(*digest.first_chunk().expect("a digest is longer than an id"));
        if let Some(upload) = self.uploader.journal().load(id)? {
            return Ok(state(&upload));
        }
        if self.count()? >= UPLOADS_MAX {
            return Err(Refusal::unavailable(format!("this gateway has its limit of {UPLOADS_MAX} uploads")));
        }
        let upload = Upload::new(id, self.owner, String::new(), Some(request.size), self.node.clock.unix_ms());
        self.uploader.journal().save_head(&upload)?;
        Ok(state(&upload))
    }

    fn existing(&self, handle: &str) -> Result<Upload, Refusal> {
        let unknown = || Refusal::unknown_upload(handle);
        let id: UploadId = handle.parse().map_err(|_| unknown())?;
        self.uploader.journal().load(id)?.ok_or_else(unknown)
    }

    fn lock(&self, id: UploadId) -> Arc<tokio::sync::Mutex<()>> {
        let mut busy = self.busy.lock();
        busy.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = busy.get(&id).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        busy.insert(id, Arc::downgrade(&lock));
        lock
    }

    /// Disperses bytes from `offset` to the end of the file.
    async fn append(
        &self,
        handle: &str,
        offset: u64,
        body: impl AsyncRead + Unpin + Send,
    ) -> Result<UploadState, Refusal> {
        let lock = self.lock(self.existing(handle)?.id);
        let _alone = lock.try_lock().map_err(|_| {
            let text = format!("upload {handle} is being written by another request");
            Refusal::new(StatusCode::CONFLICT, "upload_busy", text)
        })?;
        let mut upload = self.existing(handle)?;
        if upload.offset() != offset {
            let text = format!("upload {handle} stands at byte {}, not {offset}", upload.offset());
            return Err(Refusal::new(StatusCode::CONFLICT, "wrong_offset", text));
        }
        self.uploader.upload(&mut upload, body, &|_| {}).await?;
        Ok(state(&upload))
    }

    /// Receipts of all holders, as a call to sign.
    async fn prepare(&self, handle: &str) -> Result<(StoreCall, u64), Refusal> {
        let lock = self.lock(self.existing(handle)?.id);
        let _alone = lock.lock().await;
        let mut upload = self.existing(handle)?;
        let size = upload.head.size.unwrap_or_default();
        if upload.offset() != size {
            let text = format!("upload {handle} has {} of {size} B", upload.offset());
            return Err(Refusal::new(StatusCode::CONFLICT, "incomplete", text));
        }
        let call = self.uploader.upload(&mut upload, tokio::io::empty(), &|_| {}).await?;
        let segments = u32::try_from(call.manifest.segments.len())
            .map_err(|_| Refusal::internal("more segments than a manifest may have"))?;
        let data = call.calldata();
        Ok((StoreCall { id: call.file, segments, to: FILES, data, holders: call.holders }, size))
    }
}

impl From<UploadError> for Refusal {
    fn from(error: UploadError) -> Self {
        let text = error.to_string();
        match error {
            UploadError::NoRoom { .. } | UploadError::TooFewMiners { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", text)
            }
            UploadError::Slice(SliceError::TooLarge) => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text),
            UploadError::Slice(_) | UploadError::Manifest(_) => Self::bad_request(text),
            UploadError::Journal(_) => Self::internal(text),
            _ => Self::unavailable(text),
        }
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::internal(error.to_string())
    }
}

fn check_size(size: u64) -> Result<(), Refusal> {
    if size == 0 {
        return Err(Refusal::bad_request("the file is empty; a stored file has at least 1 B"));
    }
    if size > FILE_MAX_BYTES {
        let text = format!("the file has {size} B, the limit is {FILE_MAX_BYTES} B");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text));
    }
    Ok(())
}

fn state(upload: &Upload) -> UploadState {
    let holders = upload.head.placement.as_ref().map(|placement| &placement.holders[..]).unwrap_or_default();
    UploadState {
        upload: upload.id.to_string(),
        size: upload.head.size.unwrap_or_default(),
        offset: upload.offset(),
        holders: holders.iter().map(Address::from).collect(),
    }
}

fn reader(body: Body) -> impl AsyncRead + Unpin + Send {
    StreamReader::new(body.into_data_stream().map_err(io::Error::other))
}

/// `GET /v1/uploads/{upload}`.
pub async fn show(
    State(gateway): State<Arc<Gateway>>,
    Path(handle): Path<String>,
) -> Result<Json<UploadState>, Refusal> {
    Ok(Json(state(&gateway.uploads.existing(&handle)?)))
}

/// `PATCH /v1/uploads/{upload}`.
pub async fn append(
    State(gateway): State<Arc<Gateway>>,
    Path(handle): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<UploadState>, Refusal> {
    let offset = headers
        .get("upload-offset")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::bad_request("the header Upload-Offset with a number of bytes is needed"))?;
    gateway.uploads.append(&handle, offset, reader(body)).await.map(Json)
}

/// `POST /v1/uploads/{upload}/commit`.
pub async fn commit(
    State(gateway): State<Arc<Gateway>>,
    Path(handle): Path<String>,
    body: Result<Json<CommitRequest>, JsonRejection>,
) -> Result<Response, Refusal> {
    let Json(request) = body.map_err(|e| Refusal::bad_request(e.body_text()))?;
    let (call, size) = gateway.uploads.prepare(&handle).await?;
    if !request.sign {
        return Ok(Json(call).into_response());
    }
    Ok(Json(sign(&gateway, call, size).await?).into_response())
}

/// `POST /v1/files`: begin, send and commit in one request.
pub async fn store_whole(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<StoredFile>, Refusal> {
    let size = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refusal::new(StatusCode::LENGTH_REQUIRED, "length_required", "Content-Length is needed"))?;
    let begun = gateway.uploads.begin(&UploadRequest { size, idempotency_key: None })?;
    gateway.uploads.append(&begun.upload, 0, reader(body)).await?;
    let (call, size) = gateway.uploads.prepare(&begun.upload).await?;
    sign(&gateway, call, size).await.map(Json)
}

/// Signs with the gateway's account; a file it owns already is answered as it is.
async fn sign(gateway: &Gateway, call: StoreCall, size: u64) -> Result<StoredFile, Refusal> {
    let own = gateway.wallet.address();
    let known = gateway.chain.file(call.id).await?;
    if let Some(record) = known.filter(|record| record.owners.contains(&own)) {
        let tx = owned_since(gateway, &call, own, record.stored_at).await?;
        let (id, segments) = (call.id, call.segments);
        return Ok(StoredFile { id, size, segments, tx, block: record.stored_at });
    }
    let outcome = gateway.wallet.send_and_wait(call.to, U256::ZERO, call.data.clone(), FINAL_DEADLINE).await?;
    Ok(StoredFile { id: call.id, size, segments: call.segments, tx: outcome.tx, block: outcome.height })
}

async fn owned_since(gateway: &Gateway, call: &StoreCall, own: Address, height: u64) -> Result<B256, Refusal> {
    let owned = |event: &ChainEvent| matches!(event, ChainEvent::FileStored { id, owner, .. } if *id == call.id && *owner == own);
    let batches = gateway.chain.events(height, height).await?;
    let found = batches.iter().flat_map(|batch| &batch.events).find(|(_, event)| owned(event));
    Ok(found.map(|(tx, _)| *tx).unwrap_or_default())
}
