//! Reading files: whole, in part, and what is known of them.

use super::{range, range::Wanted, reply::Refusal, server::Gateway};
use crate::{
    client::{
        ChainClient, ChainEvent, FileRecord,
        gateway::{FileStat, FragmentStat, SegmentStat},
    },
    codec,
    ledger::manifest::{Manifest, fragment_len},
    storage::{
        MinerDirectory,
        fetch::{FetchError, Fetcher, FileSource},
    },
    types::{Address, B256, FileId},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use std::{collections::BTreeMap, sync::Arc};

/// A file's record with its manifest.
pub struct KnownFile {
    pub(super) record: FileRecord,
    manifest: Arc<Manifest>,
}

/// `GET` and `HEAD` of a file.
pub async fn get(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let file = find(gateway.chain.as_ref(), &id).await?;
    send(&file, (&gateway.miners, &gateway.fetcher), &method, &headers).await
}

/// A file, or the part of it that the headers ask for.
pub(super) async fn send(
    file: &KnownFile,
    (miners, fetcher): (&MinerDirectory, &Fetcher),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let size = file.record.size;
    let wanted = headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let (status, part) = match range::parse(wanted, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Wanted::Unsatisfiable => return Ok(unsatisfiable(&file.record)),
    };
    let mut reply = HeaderMap::new();
    reply.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    reply.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    reply.insert(header::CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
    reply.insert(header::ETAG, ascii(format!("\"{}\"", file.record.id)));
    if status == StatusCode::PARTIAL_CONTENT {
        reply.insert(header::CONTENT_RANGE, ascii(format!("bytes {}-{}/{size}", part.start, part.end - 1)));
    }
    if *method == Method::HEAD {
        return Ok((status, reply).into_response());
    }
    let id = file.record.id;
    let source = file.source(miners).await?;
    let stream =
        if refuses_caches(headers) { fetcher.past_cache().stream(source, part) } else { fetcher.stream(source, part) }?;
    let stream = stream.inspect_err(move |error| tracing::warn!(file = %id, %error, "download broke off"));
    Ok((status, reply, Body::from_stream(stream)).into_response())
}

/// Whether what a cache keeps will not do (RFC 9111 §5.2.1.4).
fn refuses_caches(headers: &HeaderMap) -> bool {
    let mut directives = headers.get_all(header::CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    directives.any(|value| value.split(',').any(|directive| directive.trim().eq_ignore_ascii_case("no-cache")))
}

/// Segments, fragments, holders and their health.
pub async fn stat(State(gateway): State<Arc<Gateway>>, Path(id): Path<String>) -> Result<Json<FileStat>, Refusal> {
    let file = find(gateway.chain.as_ref(), &id).await?;
    let health = gateway.fetcher.health(&file.source(&gateway.miners).await?).await;
    let names: BTreeMap<Address, String> =
        gateway.chain.miners().await?.into_iter().map(|miner| (miner.address, miner.name)).collect();
    let mut segments = Vec::with_capacity(file.manifest.segments.len());
    for (index, entry) in file.manifest.segments.iter().enumerate() {
        let len = fragment_len(u64::from(entry.len));
        let fragment = |(i, holder): (usize, &Address)| FragmentStat {
            index: u8::try_from(i).expect("a segment has twelve fragments"),
            id: entry.fragments[i],
            len,
            holder: *holder,
            node: names.get(holder).cloned().unwrap_or_default(),
            healthy: health.is_healthy(index, i),
        };
        segments.push(SegmentStat {
            id: entry.id,
            index: u32::try_from(index).map_err(|_| Refusal::internal("more segments than a manifest may have"))?,
            len: u64::from(entry.len),
            fragments: file.record.holders.iter().enumerate().map(fragment).collect(),
        });
    }
    let tx = stored_by(&gateway, &file.record).await?;
    let FileRecord { id, size, owners, stored_at: block, .. } = file.record;
    Ok(Json(FileStat { id, size, owners, tx, block, segments }))
}

async fn stored_by(gateway: &Gateway, record: &FileRecord) -> Result<Option<B256>, Refusal> {
    let batches = gateway.chain.events(record.stored_at, record.stored_at).await?;
    let stored = |event: &ChainEvent| matches!(event, ChainEvent::FileStored { id, .. } if *id == record.id);
    Ok(batches.iter().flat_map(|batch| &batch.events).find(|(_, event)| stored(event)).map(|(tx, _)| *tx))
}

impl KnownFile {
    async fn source(&self, miners: &MinerDirectory) -> Result<FileSource, FetchError> {
        FileSource::resolve(miners, self.manifest.clone(), &self.record.holders).await
    }
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        Self::unavailable(error.to_string())
    }
}

/// The file of an id.
pub(super) async fn find(chain: &dyn ChainClient, id: &str) -> Result<KnownFile, Refusal> {
    let id: FileId = id.parse().map_err(|e: crate::types::IdError| Refusal::bad_request(e.to_string()))?;
    let record = chain.file(id).await?.ok_or_else(|| Refusal::unknown_file(id))?;
    let encoded = chain.manifest(id).await?.ok_or_else(|| Refusal::unknown_file(id))?;
    let manifest: Manifest = codec::decode(&encoded).map_err(|e| Refusal::internal(format!("file {id}: {e}")))?;
    if manifest.id() != id {
        return Err(Refusal::internal(format!("the chain node gave another file's manifest for {id}")));
    }
    Ok(KnownFile { record, manifest: Arc::new(manifest) })
}

fn unsatisfiable(record: &FileRecord) -> Response {
    let refusal = Refusal::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "range_outside_file",
        format!("the range lies outside file {} of {} B", record.id, record.size),
    );
    let headers = [(header::CONTENT_RANGE, ascii(format!("bytes */{}", record.size)))];
    (headers, refusal).into_response()
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and hexadecimal are valid in a header")
}
