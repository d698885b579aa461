//! An object that comes in parts.
//!
//! Owns the way of the parts into one stream. Must not know files. Invariants: parts go in the order in which they were given; whoever waits
//! for a part waits until it was taken, so that no more than a few are in memory; an upload that is not completed leaves no name.

use super::{SegmentStore, Stored, generic};
use crate::{
    access::blobs::{BlobError, BodyStream},
    runtime::{Criticality, Phase},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use object_store::{MultipartUpload, PutMode, PutPayload, PutResult, Result, UploadPart, path::Path};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{mpsc, oneshot};

/// Bytes that went through.
#[derive(Debug, Default)]
pub(super) struct Counted(AtomicU64);

impl Counted {
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A part, and who waits for it to be taken.
type Part = (PutPayload, oneshot::Sender<()>);

/// An upload under way.
pub(super) struct Upload {
    store: SegmentStore,
    location: Path,
    notes: Vec<(String, String)>,
    /// None after the last part. Its length is bounded by those who wait for their parts.
    parts: Option<mpsc::UnboundedSender<Part>>,
    stored: Option<oneshot::Receiver<Result<Stored>>>,
    aborted: Arc<std::sync::atomic::AtomicBool>,
}

impl Upload {
    pub fn start(store: SegmentStore, location: Path, notes: Vec<(String, String)>) -> Self {
        let (parts, queue) = mpsc::unbounded_channel();
        let (done, stored) = oneshot::channel();
        let (size, aborted) = (Arc::new(Counted::default()), Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let body = body(queue, size.clone(), aborted.clone());
        let (this, to) = (store.clone(), location.clone());
        let name = format!("upload of object {location}");
        store.inner.node.tasks.spawn(Phase::Drain, name, Criticality::Optional, async move {
            // Whoever began it may be gone.
            let _ = done.send(this.store_stream(&to, body, size).await);
            Ok(())
        });
        Self { store, location, notes, parts: Some(parts), stored: Some(stored), aborted }
    }

    async fn stored(&mut self) -> Result<Stored> {
        self.parts = None;
        let stored =
            self.stored.take().ok_or_else(|| generic("the upload was completed or aborted before".to_owned()))?;
        stored.await.map_err(|_| generic("this node stops".to_owned()))?
    }
}

/// The parts as one stream. It fails where an upload is given up, so that what was stored of it is left out.
fn body(
    queue: mpsc::UnboundedReceiver<Part>,
    size: Arc<Counted>,
    aborted: Arc<std::sync::atomic::AtomicBool>,
) -> BodyStream {
    let parts = stream::unfold((queue, size), |(mut queue, size)| async {
        let (payload, taken) = queue.recv().await?;
        size.0.fetch_add(payload.content_length() as u64, Ordering::SeqCst);
        // Nobody has to wait for it.
        let _ = taken.send(());
        let pieces: Vec<Result<Bytes, BlobError>> = payload.into_iter().map(Ok).collect();
        Some((stream::iter(pieces), (queue, size)))
    });
    let end = stream::once(async move {
        let gone = BlobError::Body { offset: 0, reason: "the upload was aborted".into() };
        if aborted.load(Ordering::SeqCst) { Err(gone) } else { Ok(Bytes::new()) }
    });
    parts.flatten().chain(end).filter(|part| std::future::ready(!matches!(part, Ok(bytes) if bytes.is_empty()))).boxed()
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upload({})", self.location)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let (taken, wait) = oneshot::channel();
        let sent = self.parts.as_ref().is_some_and(|parts| parts.send((payload, taken)).is_ok());
        async move {
            match sent {
                true => wait.await.map_err(|_| generic("the parts before this one were not stored".to_owned())),
                false => Err(generic("the upload takes no more parts".to_owned())),
            }
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let stored = Stored { notes: std::mem::take(&mut self.notes), ..self.stored().await? };
        self.store.name(&self.location, stored, PutMode::Overwrite).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.aborted.store(true, Ordering::SeqCst);
        if let Ok(stored) = self.stored().await {
            self.store.retire(stored.file(), std::time::Duration::ZERO);
        }
        Ok(())
    }
}

impl Drop for Upload {
    /// An upload that is neither completed nor aborted is aborted.
    fn drop(&mut self) {
        if self.stored.is_some() {
            self.aborted.store(true, Ordering::SeqCst);
        }
    }
}
