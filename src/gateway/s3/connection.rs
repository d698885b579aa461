//! Connections of the listener: bounded in number, and cut off when the other end neither sends a request nor takes an answer.
//!
//! Invariants: a connection without a request in progress lives at most [`IDLE_MAX`] until the head of its next one is complete;
//! a write that makes no progress for [`STALL_MAX`] ends it; the server above reserves room for what one read gives, [`READ_MAX_BYTES`].

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

/// How long a connection may wait for its next request.
pub const IDLE_MAX: Duration = Duration::from_secs(75);
/// How long a write may make no progress.
pub const STALL_MAX: Duration = Duration::from_secs(60);
/// Bytes a read takes at most: enough for a system call to be cheap, little enough for hundreds of connections.
pub const READ_MAX_BYTES: usize = 64 << 10;
/// How long to wait after the system had no connection to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Requests in progress on a connection.
#[derive(Debug, Clone, Default)]
pub struct Activity(Arc<AtomicUsize>);

/// One of them.
pub struct InProgress(Activity);

impl Activity {
    /// A request begins.
    pub fn begin(&self) -> InProgress {
        self.0.fetch_add(1, Ordering::SeqCst);
        InProgress(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Accepts connections, so many at a time.
pub struct Door {
    listener: TcpListener,
    slots: Arc<Semaphore>,
    idle: Duration,
}

impl Door {
    /// Over a bound listener.
    pub fn new(listener: TcpListener, connections: u32, idle: Duration) -> Self {
        let slots = usize::try_from(connections).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self { listener, slots: Arc::new(Semaphore::new(slots)), idle }
    }
}

impl axum::serve::Listener for Door {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        // The next one waits in the system's queue until one ends.
        let permit = self.slots.clone().acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    // Without it small answers wait for the client's delayed acknowledgement.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "cannot disable Nagle's algorithm");
                    }
                    return (Connection::new(stream, permit, self.idle), peer);
                }
                Err(error) => {
                    tracing::debug!(%error, "no connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its deadlines.
pub struct Connection {
    stream: Take<TcpStream>,
    activity: Activity,
    idle_max: Duration,
    idle: Option<Pin<Box<Sleep>>>,
    stall: Option<Pin<Box<Sleep>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>, idle_max: Duration) -> Self {
        let stream = stream.take(READ_MAX_BYTES as u64);
        Self { stream, activity: Activity::default(), idle_max, idle: None, stall: None, _permit: permit }
    }

    /// Where requests tell that they are in progress.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }
}

/// Whether `deadline`, set on the first call, has passed.
fn passed(deadline: &mut Option<Pin<Box<Sleep>>>, after: Duration, cx: &mut Context<'_>) -> bool {
    let sleep = deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + after)));
    sleep.as_mut().poll(cx).is_ready()
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.is_busy() {
            this.idle = None;
            return read_some(&mut this.stream, cx, buf);
        }
        // Bytes of a head do not move the deadline: it must be complete by then.
        if passed(&mut this.idle, this.idle_max, cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read_some(&mut this.stream, cx, buf)
    }
}

/// Reads up to [`READ_MAX_BYTES`].
fn read_some(stream: &mut Take<TcpStream>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    stream.set_limit(READ_MAX_BYTES as u64);
    Pin::new(stream).poll_read(cx, buf)
}

impl Connection {
    fn watched<T>(&mut self, result: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(done) => {
                self.stall = None;
                Poll::Ready(done)
            }
            Poll::Pending if passed(&mut self.stall, STALL_MAX, cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(this.stream.get_mut()).poll_write(cx, buf);
        this.watched(result, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let result = Pin::new(this.stream.get_mut()).poll_write_vectored(cx, bufs);
        this.watched(result, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let result = Pin::new(this.stream.get_mut()).poll_flush(cx);
        this.watched(result, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(self.get_mut().stream.get_mut()).poll_shutdown(cx)
    }
}
