//! One stream of a connection, as its user holds it.

use super::state::{Chunk, Shared};
use futures::{AsyncRead, AsyncWrite, io::IoSlice};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A stream. Dropped before it was closed, it is reset.
#[derive(Debug)]
pub(in super::super) struct Stream {
    id: u32,
    shared: Arc<Shared>,
    /// What is being read.
    chunk: Option<Chunk>,
}

impl Stream {
    pub(super) fn new(id: u32, shared: Arc<Shared>) -> Self {
        Self { id, shared, chunk: None }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let mut read = 0;
        while read < into.len() {
            let taken = this.chunk.as_mut().map_or(0, |chunk| chunk.copy_to(&mut into[read..]));
            read += taken;
            if taken > 0 {
                continue;
            }
            let used = this.chunk.take();
            this.chunk = match this.shared.lock().next_chunk(this.id, used, (read == 0).then_some(&mut *cx)) {
                Poll::Ready(Ok(Some(chunk))) => Some(chunk),
                _ if read > 0 => break,
                other => {
                    ready!(other)?;
                    break;
                }
            };
        }
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.lock().write(self.id, parts, cx)
    }

    /// What was written is on its way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.lock().finish(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.lock().forget(self.id, self.chunk.take());
    }
}
