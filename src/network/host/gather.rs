//! Writing in large steps: a flush waits until nobody has more to write right away.
//!
//! The multiplexer flushes after each of its frames of 16 KiB, which would make a system call, a packet and a wake-up of each. Must not
//! know what is written. Invariants: a flush is put off once at most, and whoever asked for it is woken to ask again; little is flushed
//! at once, so that questions and votes do not wait.

use futures::{
    AsyncRead, AsyncWrite,
    io::{BufWriter, IoSlice, IoSliceMut},
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 64 << 10;
/// Less than this is flushed at once.
const PUT_OFF_MIN_BYTES: usize = 8 << 10;

/// A stream that is written to in large steps.
pub(super) struct Gather<S> {
    io: BufWriter<S>,
    /// Whether something was written since the last time a flush was asked for.
    written: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gather<S> {
    pub(super) fn new(io: S) -> Self {
        Self { io: BufWriter::with_capacity(BUFFER_BYTES, io), written: false }
    }

    #[cfg(test)]
    pub(super) fn get_ref(&self) -> &S {
        self.io.get_ref()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gather<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read(cx, into)
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_read_vectored(cx, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written = true;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.written = true;
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::take(&mut self.written) && self.io.buffer().len() >= PUT_OFF_MIN_BYTES {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{AsyncWriteExt, FutureExt, task::noop_waker};
    use parking_lot::Mutex;
    use std::{future::poll_fn, sync::Arc};

    const FRAME: usize = 16 << 10;

    /// The lengths of what was written.
    #[derive(Clone, Default)]
    struct Steps(Arc<Mutex<Vec<usize>>>);

    impl AsyncRead for Steps {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(0))
        }
    }

    impl AsyncWrite for Steps {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.0.lock().push(bytes.len());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn frames_that_are_there_together_are_written_together() {
        let steps = Steps::default();
        let mut io = Gather::new(steps.clone());
        let waker = noop_waker();
        let cx = &mut Context::from_waker(&waker);
        for _ in 0..3 {
            io.write_all(&[7; FRAME]).now_or_never().unwrap().unwrap();
            assert!(Pin::new(&mut io).poll_flush(cx).is_pending());
        }
        assert_eq!(*steps.0.lock(), [0; 0]);
        assert!(Pin::new(&mut io).poll_flush(cx).is_ready(), "nothing came since");
        assert_eq!(*steps.0.lock(), [3 * FRAME]);
    }

    #[tokio::test]
    async fn a_flush_that_was_put_off_comes_by_itself() {
        let steps = Steps::default();
        let mut io = Gather::new(steps.clone());
        io.write_all(&[7; FRAME]).await.unwrap();
        poll_fn(|cx| Pin::new(&mut io).poll_flush(cx)).await.unwrap();
        assert_eq!(*steps.0.lock(), [FRAME]);
        io.write_all(&[7; 100]).await.unwrap();
        io.flush().now_or_never().expect("little is not put off").unwrap();
        assert_eq!(*steps.0.lock(), [FRAME, 100]);
    }
}
