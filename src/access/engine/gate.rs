//! The way from an engine to its store, which can be shut.
//!
//! An engine's own tasks try again without end what a store fails to do, and closing it waits for them. Must not know what is stored.
//! Invariant: once it is shut nothing passes any more, and what was on its way fails for good.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart, path::Path,
};
use std::{fmt, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A store that answers until it is shut.
#[derive(Clone)]
pub struct Gate {
    store: Arc<dyn ObjectStore>,
    way: Way,
}

#[derive(Debug, Clone, Default)]
struct Way(CancellationToken);

impl Gate {
    /// A store that is open.
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, way: Way::default() }
    }

    /// Lets nothing pass any more.
    pub fn shut(&self) {
        self.way.0.cancel();
    }
}

impl Way {
    async fn pass<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        self.0.run_until_cancelled(work).await.unwrap_or_else(|| Err(shut()))
    }

    fn pass_all<T: Send + 'static>(&self, items: BoxStream<'static, Result<T>>) -> BoxStream<'static, Result<T>> {
        let (way, end) = (self.0.clone(), self.0.clone());
        let cut = stream::once(async move { end.is_cancelled().then(|| Err(shut())) });
        items.take_until(way.cancelled_owned()).chain(cut.filter_map(std::future::ready)).boxed()
    }
}

/// An error that nobody answers by trying again.
fn shut() -> Error {
    Error::NotSupported { source: "the engine of this store is closed".into() }
}

#[async_trait]
impl ObjectStore for Gate {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.way.pass(self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.way.pass(self.store.put_multipart_opts(location, options)).await?;
        Ok(Box::new(GatedUpload { upload, way: self.way.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.way.pass(self.store.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.way.pass_all(self.store.delete_stream(locations))
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.way.pass_all(self.store.list(prefix))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.way.pass(self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.way.pass(self.store.copy_opts(from, to, options)).await
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.store, f)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.store, f)
    }
}

#[derive(Debug)]
struct GatedUpload {
    upload: Box<dyn MultipartUpload>,
    way: Way,
}

#[async_trait]
impl MultipartUpload for GatedUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (part, way) = (self.upload.put_part(data), self.way.clone());
        async move { way.pass(part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.way.pass(self.upload.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.way.pass(self.upload.abort()).await
    }
}
