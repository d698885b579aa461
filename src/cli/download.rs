//! A stream of bytes into a file that appears when it is complete, continued where a broken answer stopped.
//!
//! Must not know where the bytes come from.

use super::{Usage, chunks, output::Output};
use crate::{
    client::{gateway::GatewayError, s3::S3Error},
    types::ByteCount,
};
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use indicatif::ProgressBar;
use std::{
    fs::File,
    ops::Range,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a transfer keeps trying while the other side is away.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between tries.
pub const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// An error that may go away.
pub trait Transient: std::error::Error + Send + Sync + 'static {
    /// Whether the same request may succeed later.
    fn is_transient(&self) -> bool;
}

impl Transient for GatewayError {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }
}

impl Transient for S3Error {
    fn is_transient(&self) -> bool {
        self.is_transient()
    }
}

/// What is fetched, and where it goes.
pub struct Download<'a> {
    /// Its name in errors.
    pub what: String,
    /// Where it goes; `-` is stdout.
    pub to: &'a Path,
    /// Bytes of it.
    pub range: Range<u64>,
}

impl Download<'_> {
    /// Fetches with what `open` gives for a range. `None` if it went to stdout, else how long it took.
    pub async fn run<S, E>(
        &self,
        open: impl AsyncFn(Range<u64>) -> Result<S, E>,
        output: &Output,
    ) -> anyhow::Result<Option<Duration>>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Transient,
    {
        let started = Instant::now();
        let bar = output.bytes_bar("fetching", self.range.end - self.range.start);
        if self.to.as_os_str() == "-" {
            self.receive(open, chunks::Writer::new(std::io::stdout()), &bar).await?;
            bar.finish_and_clear();
            return Ok(None);
        }
        let part = part_path(self.to);
        let file = File::create(&part).with_context(|| format!("cannot write `{}`", part.display()))?;
        if let Err(error) = self.receive(open, chunks::Writer::new(file), &bar).await {
            // Best effort: the error that matters is the one above.
            let _ = std::fs::remove_file(&part);
            return Err(error);
        }
        // Not synced, as with any other download: the network still has the file.
        std::fs::rename(&part, self.to).with_context(|| format!("cannot write `{}`", self.to.display()))?;
        bar.finish_and_clear();
        Ok(Some(started.elapsed()))
    }

    async fn receive<S, E>(
        &self,
        open: impl AsyncFn(Range<u64>) -> Result<S, E>,
        mut sink: chunks::Writer,
        bar: &ProgressBar,
    ) -> anyhow::Result<()>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Transient,
    {
        let Range { start, end } = self.range;
        let mut at = start;
        let mut last_progress = Instant::now();
        while at < end {
            let before = at;
            let broken = match open(at..end).await {
                Err(error) => Some(error),
                Ok(stream) => {
                    let mut stream = std::pin::pin!(stream);
                    loop {
                        match stream.next().await {
                            None => break None,
                            Some(Err(error)) => break Some(error),
                            Some(Ok(chunk)) => {
                                at += chunk.len() as u64;
                                sink.write(chunk).await.context("cannot write the output")?;
                                bar.set_position(at - start);
                            }
                        }
                    }
                }
            };
            if at > before {
                last_progress = Instant::now();
            }
            match broken {
                Some(error) if !error.is_transient() || last_progress.elapsed() > PATIENCE => {
                    return Err(error).with_context(|| format!("fetching {} failed at byte {at}", self.what));
                }
                None if at < end && last_progress.elapsed() > PATIENCE => {
                    bail!("fetching {} stopped at byte {at} of {end}", self.what);
                }
                _ if at < end => tokio::time::sleep(RETRY_PAUSE).await,
                _ => {}
            }
        }
        sink.finish().await.context("cannot write the output")
    }
}

/// `fetched 3 MiB into x in 0.10 s, 30 MiB/s`.
pub fn describe(bytes: u64, to: &Path, took: Duration) -> String {
    let rate = ByteCount((u128::from(bytes) * 1_000 / took.as_millis().max(1)) as u64);
    format!("fetched {} into {} in {:.2} s, {rate}/s", ByteCount(bytes), to.display(), took.as_secs_f64())
}

/// Reads `START-END`, both included, of something that has `size` bytes.
pub fn parse_range(text: &str, size: u64) -> anyhow::Result<Range<u64>> {
    let bad = || Usage(format!("range `{text}` is not START-END within the file's {size} B"));
    let (start, end) = text.split_once('-').ok_or_else(bad)?;
    let start: u64 = start.parse().map_err(|_| bad())?;
    let last: u64 = if end.is_empty() { size.saturating_sub(1) } else { end.parse().map_err(|_| bad())? };
    if start > last || last >= size {
        return Err(bad().into());
    }
    Ok(start..last + 1)
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".cess-part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use parking_lot::Mutex;

    #[test]
    fn ranges_are_inclusive_and_bounded() {
        assert_eq!(parse_range("0-9", 10).unwrap(), 0..10);
        assert_eq!(parse_range("5-", 10).unwrap(), 5..10);
        for bad in ["", "5", "9-3", "0-10", "a-b"] {
            assert!(parse_range(bad, 10).is_err(), "{bad}");
        }
    }

    fn gone() -> S3Error {
        S3Error::Unreachable { url: "x".into(), reason: "gone".into(), was_sent: true }
    }

    #[tokio::test]
    async fn a_broken_answer_is_continued_and_a_refusal_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("file");
        let download = Download { what: "it".into(), to: &to, range: 2..8 };
        let asked = Mutex::new(Vec::new());
        let took = download
            .run(
                async |range: Range<u64>| {
                    asked.lock().push(range.clone());
                    let byte = |at: u64| Ok(Bytes::from(vec![b'0' + at as u8]));
                    // Two bytes a time, and then the connection breaks.
                    let end = range.end.min(range.start + 2);
                    let all: Vec<Result<Bytes, S3Error>> = (range.start..end).map(byte).chain([Err(gone())]).collect();
                    Ok(stream::iter(all))
                },
                &Output::silent(),
            )
            .await;
        assert!(took.unwrap().is_some());
        assert_eq!(*asked.lock(), [2..8, 4..8, 6..8]);
        assert_eq!(std::fs::read(&to).unwrap(), b"234567");

        let refused =
            async |_| -> Result<stream::Empty<Result<Bytes, S3Error>>, S3Error> { Err(S3Error::Key("k".into())) };
        let other = dir.path().join("other");
        let download = Download { what: "it".into(), to: &other, range: 0..1 };
        let words = download.run(refused, &Output::silent()).await.unwrap_err().to_string();
        assert!(words.contains("fetching it failed at byte 0"), "{words}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no part is left");
    }
}
