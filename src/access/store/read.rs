//! Reading objects: from the cache, or from the network into it.
//!
//! Must not know conditions. Invariants: a file is fetched into the cache once, however many ask for it; encrypted bytes are checked
//! wherever they come from.

use super::{SegmentStore, Stored, failed, generic, value::Content};
use crate::{
    access::{
        blobs::{BlobError, BodyStream, body_of},
        data::{
            opened,
            seal::{cover, open_short, sealed_len},
        },
    },
    types::FileId,
};
use bytes::Bytes;
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{Result, path::Path};
use parking_lot::Mutex;
use std::{collections::BTreeMap, ops::Range, sync::Arc};

/// Files up to this length are fetched into the cache as a whole when a part is read.
const FILL_MAX_BYTES: u64 = 256 << 20;

/// Files that are being fetched into the cache.
pub(super) type Filling = Mutex<BTreeMap<FileId, Arc<tokio::sync::Mutex<()>>>>;

impl SegmentStore {
    /// Plain bytes `range` of an object.
    pub(super) async fn read(
        &self,
        location: &Path,
        stored: &Stored,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let plain = match (&stored.content, &self.inner.settings.key) {
            (Content::Empty, _) => return Ok(stream::empty().boxed()),
            (Content::Plain(bytes), _) => return Ok(piece(bytes, &range)),
            (Content::File(_, Some(_)) | Content::Sealed(_), None) => {
                return Err(generic(format!("object `{location}` is encrypted")));
            }
            (Content::Sealed(bytes), Some(key)) => {
                let opened = open_short(key, location.as_ref().as_bytes(), bytes);
                let opened = opened.ok_or_else(|| generic(format!("object `{location}` is not what was stored")))?;
                return Ok(piece(&opened, &range));
            }
            (Content::File(file, None), _) => self.stored_bytes(*file, stored.size, range).await.map_err(failed)?,
            (Content::File(file, Some(envelope)), Some(key)) => {
                let cipher = envelope.open(key, location.as_ref().as_bytes());
                let cipher = cipher.ok_or_else(|| generic(format!("the key of object `{location}` does not open")))?;
                let cover = cover(stored.size, &range).map_err(failed)?;
                let sealed = self.stored_bytes(*file, sealed_len(stored.size), cover.sealed.clone()).await;
                opened(cipher, &cover, sealed.map_err(failed)?)
            }
        };
        Ok(plain.map_err(failed).boxed())
    }

    /// Bytes of a file of `len` bytes, as they are stored.
    async fn stored_bytes(&self, file: FileId, len: u64, range: Range<u64>) -> Result<BodyStream, BlobError> {
        let inner = &self.inner;
        let Some(cache) = &inner.cache else { return inner.files.read(file, range).await };
        if let Some(bytes) = cache.get(file, range.clone()).await {
            return Ok(body_of(bytes));
        }
        if len > FILL_MAX_BYTES.min(cache.max_bytes()) {
            return inner.files.read(file, range).await;
        }
        let turn = inner.filling.lock().entry(file).or_default().clone();
        let _turn = turn.lock().await;
        let filled = async {
            // Whoever was first has filled it.
            if let Some(bytes) = cache.get(file, range.clone()).await {
                return Ok(bytes);
            }
            let whole: Bytes = inner.files.read(file, 0..len).await?.try_collect::<Vec<Bytes>>().await?.concat().into();
            cache.put(file, whole.clone()).await;
            let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
            Ok(whole.slice(bound(range.start)..bound(range.end)))
        };
        let filled = filled.await;
        inner.filling.lock().remove(&file);
        filled.map(body_of)
    }
}

/// The bytes `range` of an object that is at hand.
fn piece(bytes: &[u8], range: &Range<u64>) -> BoxStream<'static, Result<Bytes>> {
    let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let piece = Bytes::copy_from_slice(&bytes[bound(range.start)..bound(range.end)]);
    stream::iter((!piece.is_empty()).then_some(Ok(piece))).boxed()
}
