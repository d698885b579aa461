//! Files read and written on threads of their own, so that neither the disk nor the network waits for the other.
//!
//! Must not know what the bytes are. Invariant: at most [`QUEUED_MAX_CHUNKS`] chunks wait between the two.

use bytes::Bytes;
use futures::{Stream, stream};
use std::io::{self, Read, Write};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

/// Bytes read from a file at a time.
const READ_CHUNK_BYTES: usize = 1 << 20;
/// Chunks between the thread and the network.
const QUEUED_MAX_CHUNKS: usize = 8;

/// The next `len` bytes of `source`, which should have them. Fewer, if it ends before.
pub fn read(source: impl Read + Send + 'static, len: u64) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let (chunks, queue) = mpsc::channel(QUEUED_MAX_CHUNKS);
    spawn_blocking(move || {
        let mut source = source.take(len);
        loop {
            let mut chunk = Vec::with_capacity(READ_CHUNK_BYTES);
            let read = source.by_ref().take(READ_CHUNK_BYTES as u64).read_to_end(&mut chunk);
            let next = match read {
                Ok(0) => return,
                Ok(_) => Ok(Bytes::from(chunk)),
                Err(error) => Err(error),
            };
            // Whoever wanted the bytes may have gone.
            if chunks.blocking_send(next).is_err() {
                return;
            }
        }
    });
    stream::unfold(queue, |mut queue| async { queue.recv().await.map(|chunk| (chunk, queue)) })
}

/// Writes what it is given, in order.
pub struct Writer {
    chunks: Option<mpsc::Sender<Bytes>>,
    written: JoinHandle<io::Result<()>>,
}

impl Writer {
    /// A writer to `sink`.
    pub fn new(mut sink: impl Write + Send + 'static) -> Self {
        let (chunks, mut queue) = mpsc::channel::<Bytes>(QUEUED_MAX_CHUNKS);
        let written = spawn_blocking(move || {
            while let Some(chunk) = queue.blocking_recv() {
                sink.write_all(&chunk)?;
            }
            sink.flush()
        });
        Self { chunks: Some(chunks), written }
    }

    /// Queues `chunk`. An error may be that of an earlier one.
    pub async fn write(&mut self, chunk: Bytes) -> io::Result<()> {
        match &self.chunks {
            Some(chunks) if chunks.send(chunk).await.is_ok() => Ok(()),
            _ => self.finish().await.and_then(|()| Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Waits until everything is written.
    pub async fn finish(&mut self) -> io::Result<()> {
        match self.chunks.take() {
            Some(chunks) => drop(chunks),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
        (&mut self.written).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{StreamExt, TryStreamExt};
    use std::io::Cursor;

    #[tokio::test]
    async fn a_source_is_read_to_the_given_length_or_its_end() {
        let bytes: Vec<u8> = (0..3 * READ_CHUNK_BYTES + 5).map(|n| (n % 251) as u8).collect();
        for len in [0, 1, READ_CHUNK_BYTES, 2 * READ_CHUNK_BYTES + 1, bytes.len(), bytes.len() + 9] {
            let chunks: Vec<Bytes> = read(Cursor::new(bytes.clone()), len as u64).try_collect().await.unwrap();
            assert_eq!(chunks.concat(), bytes[..len.min(bytes.len())]);
        }
    }

    /// Takes one write, then fails.
    struct Full(bool);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for Full {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::PermissionDenied.into())
        }
    }

    #[tokio::test]
    async fn failures_of_the_disk_are_told() {
        let mut writer = Writer::new(Full(false));
        let error = loop {
            if let Err(error) = writer.write(Bytes::from_static(b"x")).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(writer.finish().await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        let error = Box::pin(read(Full(false), 10)).next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
