//! Two ends over a pipe: what is sent arrives, whatever is asked of it stays within its bounds, and other implementations are understood.

use super::{
    Mux, MuxError, Muxer, PROTOCOL,
    header::{ACK, FIN, HEADER_BYTES, Header, Kind, RST, SYN},
    muxer::Driver,
    state::{ARRIVED_MAX, BLOCK_BYTES, FIRST_WINDOW, OUT_BYTES, OUT_MAX_BYTES, Role, STREAMS_MAX, UNACKNOWLEDGED_MAX},
    stream::Stream,
};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, future::poll_fn};
use libp2p::{
    core::{
        muxing::{StreamMuxer, StreamMuxerExt},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    yamux,
};
use parking_lot::Mutex;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

type Pipe = Compat<DuplexStream>;

/// Kind, flags, stream and value.
type Frame = (Kind, u16, u32, u32);

const PIPE_BYTES: usize = 100_000;

fn pipe() -> (Pipe, Pipe) {
    let (near, far) = duplex(PIPE_BYTES);
    (near.compat(), far.compat())
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("{what} takes too long"))
}

/// A connection that is driven by a task of its own.
struct Driven<S> {
    opens: mpsc::UnboundedSender<oneshot::Sender<S>>,
    arrived: mpsc::UnboundedReceiver<S>,
    end: oneshot::Receiver<String>,
}

impl<S: Send + 'static> Driven<S> {
    fn spawn<M: StreamMuxer<Substream = S> + Unpin + Send + 'static>(mut muxer: M) -> Self {
        let (opens, mut wanted) = mpsc::unbounded_channel::<oneshot::Sender<S>>();
        let (arriving, arrived) = mpsc::unbounded_channel();
        let (ended, end) = oneshot::channel();
        tokio::spawn(async move {
            let mut waiting: Option<oneshot::Sender<S>> = None;
            let error = poll_fn(|cx| {
                if let Poll::Ready(Err(error)) = muxer.poll_unpin(cx) {
                    return Poll::Ready(error.to_string());
                }
                while let Poll::Ready(Ok(stream)) = muxer.poll_inbound_unpin(cx) {
                    let _ = arriving.send(stream);
                }
                loop {
                    if waiting.is_none() {
                        match wanted.poll_recv(cx) {
                            Poll::Ready(Some(next)) => waiting = Some(next),
                            Poll::Ready(None) => return muxer.poll_close_unpin(cx).map(|_| "closed".to_owned()),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                    match muxer.poll_outbound_unpin(cx) {
                        Poll::Ready(stream) => {
                            let _ = waiting.take().unwrap().send(stream.ok().unwrap());
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
            });
            let _ = ended.send(error.await);
        });
        Self { opens, arrived, end }
    }

    async fn open(&self) -> S {
        let (sender, stream) = oneshot::channel();
        self.opens.send(sender).ok().unwrap();
        soon("a stream", stream).await.unwrap()
    }

    async fn accept(&mut self) -> S {
        soon("a stream of the peer", self.arrived.recv()).await.unwrap()
    }
}

fn ends() -> (Driven<Stream>, Driven<Stream>) {
    let (near, far) = pipe();
    (Driven::spawn(Muxer::start(near, Role::Dialer)), Driven::spawn(Muxer::start(far, Role::Listener)))
}

fn sample(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|n| (n % 251) as u8 ^ (n >> 12) as u8 ^ seed).collect()
}

/// Sends `bytes` one way, their copy comes back the other, both in odd steps.
async fn there_and_back(
    bytes: Vec<u8>,
    step: usize,
    near: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    far: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) {
    let (mut reader, mut writer) = near.split();
    let expected = bytes.clone();
    let sending = async move {
        for part in bytes.chunks(step) {
            writer.write_all(part).await.unwrap();
        }
        writer.close().await.unwrap();
    };
    let echo = async move {
        let (mut reader, mut writer) = far.split();
        futures::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.close().await.unwrap();
    };
    let receiving = async move {
        let mut back = Vec::new();
        reader.read_to_end(&mut back).await.unwrap();
        assert!(back == expected, "{} B came back of {}", back.len(), expected.len());
    };
    soon("an echo", async { futures::join!(sending, echo, receiving) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_streams_of_all_sizes_echo() {
    let (near, mut far) = ends();
    let mut echoes = Vec::new();
    for (n, len) in [1, 100, 4_096, BLOCK_BYTES, 65_536, 300_000, 3_000_000, 1, 20_000, 700_001].into_iter().enumerate()
    {
        let mut stream = near.open().await;
        // The peer learns of a stream by its first bytes.
        stream.write_all(&[n as u8]).await.unwrap();
        let mut other = far.accept().await;
        let mut first = [0];
        other.read_exact(&mut first).await.unwrap();
        assert_eq!(first, [n as u8]);
        echoes.push(tokio::spawn(there_and_back(sample(len, n as u8), 10_007, stream, other)));
    }
    for echo in echoes {
        echo.await.unwrap();
    }
}

/// Streams that this end opens and that the other opens, to a peer of the crate.
async fn with_the_crate<S>(ours: &mut Driven<Stream>, theirs: &mut Driven<S>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    for len in [10, 70_000, 2_000_000] {
        let mut stream = ours.open().await;
        stream.write_all(b"x").await.unwrap();
        let mut other = theirs.accept().await;
        other.read_exact(&mut [0]).await.unwrap();
        there_and_back(sample(len, 1), 33_333, stream, other).await;
        let mut stream = theirs.open().await;
        stream.write_all(b"x").await.unwrap();
        let mut other = ours.accept().await;
        other.read_exact(&mut [0]).await.unwrap();
        there_and_back(sample(len, 2), 33_333, stream, other).await;
    }
    let mut stream = ours.open().await;
    stream.write_all(b"x").await.unwrap();
    drop(theirs.accept().await);
    let mut rest = Vec::new();
    assert!(soon("a reset", stream.read_to_end(&mut rest)).await.is_err() && rest.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crate_is_understood_when_it_listens() {
    let (near, far) = pipe();
    let ours = Mux.upgrade_outbound(near, PROTOCOL).await.unwrap();
    let theirs = yamux::Config::default().upgrade_inbound(far, PROTOCOL).await.unwrap();
    with_the_crate(&mut Driven::spawn(ours), &mut Driven::spawn(theirs)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_crate_is_understood_when_it_dials() {
    let (near, far) = pipe();
    let theirs = yamux::Config::default().upgrade_outbound(near, PROTOCOL).await.unwrap();
    let ours = Mux.upgrade_inbound(far, PROTOCOL).await.unwrap();
    with_the_crate(&mut Driven::spawn(ours), &mut Driven::spawn(theirs)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_holds_up_its_own_stream_only() {
    let (near, mut far) = ends();
    let mut slow = near.open().await;
    let len = 2 * FIRST_WINDOW as usize;
    let writing = tokio::spawn(async move {
        slow.write_all(&sample(len, 0)).await.unwrap();
        slow
    });
    let mut unread = far.accept().await;
    for n in 0..20 {
        let mut stream = near.open().await;
        stream.write_all(b"x").await.unwrap();
        let mut other = far.accept().await;
        other.read_exact(&mut [0]).await.unwrap();
        there_and_back(sample(100_000, n), 50_000, stream, other).await;
    }
    assert!(!writing.is_finished(), "more than a window was taken of a stream that nobody reads");
    let mut bytes = vec![0; len];
    soon("the rest", unread.read_exact(&mut bytes)).await.unwrap();
    assert!(bytes == sample(len, 0));
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_arrived_before_the_end_is_read() {
    let (near, mut far) = ends();
    let mut stream = near.open().await;
    stream.write_all(b"all of it").await.unwrap();
    stream.close().await.unwrap();
    let mut whole = far.accept().await;
    let mut cut = near.open().await;
    cut.write_all(b"half of").await.unwrap();
    let mut half = far.accept().await;
    drop((near, stream));
    assert_eq!(soon("the end", far.end).await.unwrap(), "the peer ended the connection");
    let mut bytes = Vec::new();
    assert_eq!(whole.read_to_end(&mut bytes).await.unwrap(), 9);
    bytes.clear();
    let error = half.read_to_end(&mut bytes).await.unwrap_err();
    assert_eq!((bytes.as_slice(), error.kind()), (&b"half of"[..], io::ErrorKind::ConnectionAborted));
    assert!(half.write_all(b"x").await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_to_nobody_is_told() {
    let (near, mut far) = ends();
    let mut stream = near.open().await;
    stream.write_all(b"question").await.unwrap();
    let mut other = far.accept().await;
    stream.close().await.unwrap();
    drop(stream);
    let endless = async {
        loop {
            if let Err(error) = other.write_all(&[7; 10_000]).await {
                return error;
            }
        }
    };
    assert_eq!(soon("an error", endless).await.kind(), io::ErrorKind::ConnectionReset);
    let mut question = Vec::new();
    other.read_to_end(&mut question).await.unwrap();
    assert_eq!(question, b"question", "the stream ended in order before it was reset");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_opened_as_far_as_they_are_taken() {
    let (near, far) = ends();
    let mut opened = Vec::new();
    for _ in 0..UNACKNOWLEDGED_MAX {
        opened.push(near.open().await);
    }
    let (sender, mut next) = oneshot::channel();
    near.opens.send(sender).unwrap();
    opened[0].write_all(b"x").await.unwrap();
    let mut far = far;
    let mut other = far.accept().await;
    assert!(next.try_recv().is_err(), "too many streams wait for the peer");
    other.write_all(b"x").await.unwrap();
    soon("one more", next).await.unwrap();
}

/// A connection whose other end writes and reads frames by hand.
struct Raw {
    driver: Driver<Pipe>,
    peer: Pipe,
}

impl Raw {
    fn new() -> Self {
        let (near, peer) = pipe();
        Self { driver: Driver::new(near, Role::Listener), peer }
    }

    /// Lets the connection work; how it ended, if it did.
    fn poll(&mut self) -> Option<MuxError> {
        let ended = Pin::new(&mut self.driver).poll(&mut Context::from_waker(Waker::noop())).is_ready();
        ended.then(|| self.driver.shared.lock().end(MuxError::Closed))
    }

    /// Sends a frame and lets the connection work.
    fn send(&mut self, kind: Kind, flags: u16, stream: u32, value: u32, body: &[u8]) -> Option<MuxError> {
        let header = Header { kind, flags, stream, value }.encode();
        self.peer.write_all(&[&header[..], body].concat()).now_or_never().expect("the pipe has room").unwrap();
        self.poll()
    }

    fn accepted(&mut self) -> Option<Stream> {
        match self.driver.shared.lock().take_arrived(&Context::from_waker(Waker::noop())) {
            Poll::Ready(id) => Some(Stream::new(id, self.driver.shared.clone())),
            Poll::Pending => None,
        }
    }

    /// Sends `len` bytes on stream 1, which `reader` takes.
    fn pass(&mut self, len: u32, reader: &mut Stream) {
        let mut bytes = vec![0; 50_000];
        let mut left = len as usize;
        while left > 0 {
            let now = left.min(bytes.len());
            assert!(self.send(Kind::Data, 0, 1, now as u32, &vec![1; now]).is_none());
            reader.read_exact(&mut bytes[..now]).now_or_never().expect("it arrived").unwrap();
            left -= now;
        }
        assert!(self.poll().is_none());
    }

    /// The next frame's header; frames with bodies are not expected.
    fn frame(&mut self) -> Option<Header> {
        let mut bytes = [0; HEADER_BYTES];
        self.peer.read_exact(&mut bytes).now_or_never()?.ok()?;
        Some(Header::decode(bytes).unwrap())
    }
}

#[test]
fn peers_that_break_the_protocol_are_told_and_lose_the_connection() {
    let window = FIRST_WINDOW;
    let cases: [(&str, &[Frame]); 7] = [
        ("the peer opened stream 2, which is not one of its own", &[(Kind::Data, SYN, 2, 0)]),
        ("the peer opened stream 0, which is not one of its own", &[(Kind::Window, SYN, 0, 0)]),
        ("the peer opened stream 1 twice", &[(Kind::Data, SYN, 1, 0), (Kind::Window, SYN, 1, 0)]),
        ("262145 B were sent on stream 1, at most 262144 B were allowed", &[(Kind::Data, SYN, 1, window + 1)]),
        (
            "stream 3 was given credit of 4294967295 B on top of 262144 B, at most 4 GiB are allowed",
            &[(Kind::Window, SYN, 3, u32::MAX)],
        ),
        ("the peer ended the connection with code 2", &[(Kind::GoAway, 0, 0, 2)]),
        ("the peer ended the connection", &[(Kind::GoAway, 0, 0, 0)]),
    ];
    for (expected, frames) in cases {
        let mut raw = Raw::new();
        let errors =
            frames.iter().filter_map(|(kind, flags, stream, value)| raw.send(*kind, *flags, *stream, *value, &[]));
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert_eq!(errors, [expected]);
        let told =
            raw.frame().is_some_and(|frame| frame == Header { kind: Kind::GoAway, flags: 0, stream: 0, value: 1 });
        assert_eq!(told, !expected.contains("ended"), "{expected}");
    }
}

#[test]
fn garbage_and_a_cut_end_the_connection() {
    let mut raw = Raw::new();
    raw.peer.write_all(&[9; HEADER_BYTES]).now_or_never().unwrap().unwrap();
    assert!(matches!(raw.poll(), Some(MuxError::Version(9))));
    let mut raw = Raw::new();
    assert!(raw.send(Kind::Data, SYN, 1, 100, b"so far").is_none());
    let mut stream = raw.accepted().unwrap();
    let mut bytes = [0; 100];
    assert_eq!(stream.read(&mut bytes).now_or_never().expect("half a frame is not held back").unwrap(), 6);
    raw.peer.close().now_or_never().unwrap().unwrap();
    assert!(matches!(raw.poll(), Some(MuxError::Ended)));
    assert!(stream.read(&mut bytes).now_or_never().unwrap().is_err(), "a cut is not an end");
}

#[test]
fn more_streams_than_are_taken_are_reset() {
    let mut raw = Raw::new();
    let mut taken = Vec::new();
    for n in 0..STREAMS_MAX as u32 {
        assert!(raw.send(Kind::Data, SYN, 2 * n + 1, 0, &[]).is_none());
        taken.extend(raw.accepted());
    }
    assert_eq!(taken.len(), STREAMS_MAX);
    let reset = |stream| Some(Header { kind: Kind::Data, flags: RST, stream, value: 0 });
    assert!(raw.send(Kind::Data, SYN, 9_001, 3, b"abc").is_none() && raw.poll().is_none());
    assert_eq!(raw.frame(), reset(9_001));
    drop(taken);
    assert!(raw.poll().is_none());
    for n in 0..STREAMS_MAX as u32 {
        assert_eq!(raw.frame(), reset(2 * n + 1));
    }
    for n in 0..=ARRIVED_MAX as u32 {
        assert!(raw.send(Kind::Data, SYN, 10_001 + 2 * n, 0, &[]).is_none());
    }
    assert!(raw.poll().is_none());
    assert_eq!(raw.frame(), reset(10_001 + 2 * ARRIVED_MAX as u32));
}

#[test]
fn tiny_frames_share_blocks_and_credit_follows_reading() {
    let mut raw = Raw::new();
    assert!(raw.send(Kind::Data, SYN, 1, 0, &[]).is_none());
    let mut stream = raw.accepted().unwrap();
    for n in 0..=255 {
        assert!(raw.send(Kind::Data, 0, 1, 1, &[n]).is_none());
    }
    assert!(raw.poll().is_none() && raw.poll().is_none() && raw.poll().is_none() && raw.poll().is_none());
    assert_eq!(raw.driver.shared.lock().blocks(1), 1, "each byte lies in a block of its own");
    let half = FIRST_WINDOW / 2;
    let mut left = half as usize - 256;
    while left > 0 {
        let len = left.min(50_000);
        assert!(raw.send(Kind::Data, 0, 1, len as u32, &vec![1; len]).is_none() && raw.poll().is_none());
        left -= len;
    }
    assert_eq!(raw.frame(), None, "nothing was read yet");
    let mut bytes = vec![0; half as usize];
    stream.read_exact(&mut bytes).now_or_never().unwrap().unwrap();
    assert!(raw.poll().is_none());
    assert_eq!(raw.frame(), Some(Header { kind: Kind::Window, flags: ACK, stream: 1, value: half }));
    assert_eq!(raw.frame().map(|ping| (ping.kind, ping.flags)), Some((Kind::Ping, SYN)));
    assert!(bytes[..256].iter().copied().eq(0..=255));
}

#[tokio::test(start_paused = true)]
async fn windows_grow_on_long_lines_only() {
    let half = FIRST_WINDOW / 2;
    for (trip, growth) in [(100, FIRST_WINDOW), (20, 0)] {
        let mut raw = Raw::new();
        assert!(raw.send(Kind::Data, SYN, 1, 0, &[]).is_none());
        let mut stream = raw.accepted().unwrap();
        raw.pass(half, &mut stream);
        let window = |flags, value| Some(Header { kind: Kind::Window, flags, stream: 1, value });
        assert_eq!(raw.frame(), window(ACK, half));
        let ping = raw.frame().unwrap();
        assert_eq!((ping.kind, ping.flags), (Kind::Ping, SYN));
        tokio::time::advance(Duration::from_millis(trip)).await;
        assert!(raw.send(Kind::Ping, ACK, 0, ping.value, &[]).is_none());
        tokio::time::advance(Duration::from_millis(50)).await;
        raw.pass(half, &mut stream);
        assert_eq!(raw.frame(), window(0, half + growth), "{trip} ms there and back");
        assert_eq!(raw.frame(), None, "the time there and back is known");
    }
}

#[test]
fn a_flood_of_pings_waits_until_the_answers_are_taken() {
    let mut raw = Raw::new();
    let pings = Header { kind: Kind::Ping, flags: SYN, stream: 0, value: 7 }.encode().repeat(500);
    let mut taken = 0;
    // Each turn of the connection takes what it can; the peer never reads.
    for _ in 0..400 {
        let sent = raw.peer.write(&pings[taken % pings.len()..]).now_or_never();
        taken += sent.map_or(0, |sent| sent.unwrap());
        assert!(raw.poll().is_none());
    }
    let most = 2 * PIPE_BYTES + OUT_MAX_BYTES + 2 * OUT_BYTES;
    assert!(taken < most, "{taken} B of pings were taken of a peer that takes no answers");
    for _ in 0..taken / HEADER_BYTES / 2 {
        while raw.frame().is_none() {
            assert!(raw.poll().is_none());
        }
    }
}

#[test]
fn a_small_write_does_not_wait_behind_large_ones() {
    let mut raw = Raw::new();
    for id in [1, 3] {
        assert!(raw.send(Kind::Window, SYN, id, 1 << 20, &[]).is_none());
    }
    let (mut bulk, mut vote) = (raw.accepted().unwrap(), raw.accepted().unwrap());
    let large = vec![1; 1 << 20];
    let mut queued = 0;
    while let Some(written) = bulk.write(&large).now_or_never() {
        queued += written.unwrap();
    }
    assert_eq!(queued, OUT_BYTES);
    assert_eq!(vote.write(b"yes").now_or_never().unwrap().unwrap(), 3);
    assert!(bulk.write(&large).now_or_never().is_none());
    bulk.close().now_or_never().unwrap().unwrap();
    assert!(bulk.write(b"x").now_or_never().unwrap().is_err(), "closed");
    assert!(raw.poll().is_none());
    let head = raw.frame().unwrap();
    assert_eq!(head, Header { kind: Kind::Data, flags: ACK, stream: 1, value: OUT_BYTES as u32 });
    let mut body = vec![0; OUT_BYTES];
    raw.peer.read_exact(&mut body).now_or_never().unwrap().unwrap();
    assert_eq!(raw.frame(), Some(Header { kind: Kind::Data, flags: ACK, stream: 3, value: 3 }));
    raw.peer.read_exact(&mut [0; 3]).now_or_never().unwrap().unwrap();
    assert_eq!(raw.frame(), Some(Header { kind: Kind::Data, flags: FIN, stream: 1, value: 0 }));
}

/// A socket whose peer takes all there is, while a stream writes on as fast as it does, and who says something at last.
struct Eager {
    says: Vec<u8>,
    stream: Arc<OnceLock<Mutex<Stream>>>,
    taken: Arc<AtomicUsize>,
}

impl AsyncRead for Eager {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let len = into.len().min(self.says.len());
        if len == 0 {
            return Poll::Pending;
        }
        into[..len].copy_from_slice(&self.says[..len]);
        self.says.drain(..len);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for Eager {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.taken.fetch_add(1, Ordering::Relaxed);
        if let Some(stream) = self.stream.get() {
            let wrote = Pin::new(&mut *stream.lock()).poll_write(cx, &[0; 100]);
            assert!(matches!(wrote, Poll::Ready(Ok(100))), "{wrote:?}");
        }
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
fn a_connection_that_always_has_something_to_write_reads_too() {
    let (stream, taken) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
    let goodbye = Header { kind: Kind::GoAway, flags: 0, stream: 0, value: 0 }.encode();
    let socket = Eager { says: goodbye.to_vec(), stream: stream.clone(), taken: taken.clone() };
    let mut driver = Driver::new(socket, Role::Dialer);
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(id)) = driver.shared.lock().open(&cx) else { panic!("a stream can be opened") };
    let mut first = Stream::new(id, driver.shared.clone());
    assert!(Pin::new(&mut first).poll_write(&mut cx, b"and so on").is_ready());
    stream.set(Mutex::new(first)).unwrap();
    assert!(Pin::new(&mut driver).poll(&mut cx).is_ready(), "the goodbye was not read");
    assert!(taken.load(Ordering::Relaxed) > 1, "the stream wrote only once");
}
