//! A file into a bucket: whole when it is small, else in parts that are sent beside each other and survive an interruption.
//!
//! Invariants: parts of an interrupted upload are used again only for the same path, length, time of change and object; memory is
//! bounded by the parts under way.

use super::Location;
use crate::{
    cli::{
        download::{PATIENCE, RETRY_PAUSE},
        home_dir,
        output::Output,
    },
    client::s3::{Body, PartEntry, Progress, S3Client, S3Error},
    crypto::hash,
    types::ByteCount,
};
use anyhow::{Context, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{
    fs::{self, File},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

/// Parts under way.
const AT_A_TIME: usize = 4;

/// Where files are cut.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Largest file that is sent whole.
    pub whole_max: u64,
    /// Length of a part, unless the file would have too many.
    pub part: u64,
    /// Most parts, by the protocol.
    pub parts_max: u64,
}

impl Cut {
    /// What the command line uses.
    pub const USUAL: Self = Self { whole_max: 64 << 20, part: 16 << 20, parts_max: 10_000 };

    /// Length of a part of a file.
    fn part_of(&self, size: u64) -> u64 {
        self.part.max(size.div_ceil(self.parts_max).next_multiple_of(1 << 20))
    }
}

/// What was stored.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    bucket: String,
    key: String,
    size: u64,
    etag: String,
    parts: usize,
    /// Bytes that an earlier run of the command had sent.
    resumed: u64,
    millis: u64,
}

/// Stores a file and prints it.
pub async fn put(client: &S3Client, path: &Path, to: &Location, output: &Output) -> anyhow::Result<()> {
    let unreadable = || format!("cannot read `{}`", path.display());
    let meta = fs::metadata(path).with_context(unreadable)?;
    if !meta.is_file() {
        bail!("`{}` is not a regular file", path.display());
    }
    let file = Arc::new(File::open(path).with_context(unreadable)?);
    let upload = Upload { client, to, file, size: meta.len(), bar: output.bytes_bar("storing", meta.len()) };
    let note = resume_note(client.endpoint(), path, &meta, to);
    let stored = upload.run(Cut::USUAL, &note).await?;
    upload.bar.finish_and_clear();
    output.document(&stored, |stored| {
        let rate = ByteCount((u128::from(stored.size) * 1_000 / u128::from(stored.millis.max(1))) as u64);
        let parts = if stored.parts > 1 { format!(" in {} parts", stored.parts) } else { String::new() };
        let seconds = stored.millis as f64 / 1_000.0;
        let size = ByteCount(stored.size);
        format!("stored   {to}\nsize     {size}{parts}\netag     {}\ntook     {seconds:.2} s, {rate}/s", stored.etag)
    })
}

struct Upload<'a> {
    client: &'a S3Client,
    to: &'a Location,
    file: Arc<File>,
    size: u64,
    bar: ProgressBar,
}

impl Upload<'_> {
    async fn run(&self, cut: Cut, note: &Path) -> anyhow::Result<Stored> {
        let began = Instant::now();
        let (etag, parts, resumed) = if self.size <= cut.whole_max {
            let (bucket, key) = (&self.to.bucket, &self.to.key);
            let send = async |body| self.client.put(bucket, key, body).await;
            (self.patiently(0..self.size, send).await?, 1, 0)
        } else {
            let sent = self.in_parts(cut.part_of(self.size), note).await;
            sent.with_context(|| format!("{} is not complete; the same command continues it", self.to))?
        };
        let etag = etag.trim_matches('"').to_owned();
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (bucket, key) = (self.to.bucket.clone(), self.to.key.clone());
        Ok(Stored { bucket, key, size: self.size, etag, parts, resumed, millis })
    }

    /// Entity tag, number of parts, and bytes that were there already.
    async fn in_parts(&self, part: u64, note: &Path) -> anyhow::Result<(String, usize, u64)> {
        let (bucket, key) = (self.to.bucket.as_str(), self.to.key.as_str());
        let ranges = (0..self.size).step_by(usize::try_from(part)?).map(|at| at..self.size.min(at + part));
        let wanted: Vec<(u32, Range<u64>)> = (1..).zip(ranges).collect();
        let (id, mut parts) = self.begin(note).await?;
        // One of another length was cut by another version of this program.
        parts.retain(|there| {
            wanted.iter().any(|(n, range)| *n == there.number && range.end - range.start == there.size)
        });
        let resumed = parts.iter().map(|part| part.size).sum();
        self.bar.inc(resumed);
        let missing = wanted.iter().filter(|(n, _)| parts.iter().all(|part| part.number != *n));
        let at = (bucket, key, id.as_str());
        let sends = missing.cloned().map(|(number, range)| async move {
            let size = range.end - range.start;
            let send = async |body| self.client.put_part(at, number, body).await;
            let etag = self.patiently(range, send).await?;
            anyhow::Ok(PartEntry { number, size, etag })
        });
        let sent: Vec<PartEntry> = stream::iter(sends).buffer_unordered(AT_A_TIME).try_collect().await?;
        parts.extend(sent);
        parts.sort_unstable_by_key(|part| part.number);
        let etag = self.client.complete_upload(at, &parts).await?;
        // What stays is found to be no upload any more by the next run.
        let _ = fs::remove_file(note);
        Ok((etag, parts.len(), resumed))
    }

    /// The upload that an earlier run noted with its parts, or a new one.
    async fn begin(&self, note: &Path) -> anyhow::Result<(String, Vec<PartEntry>)> {
        let (bucket, key) = (self.to.bucket.as_str(), self.to.key.as_str());
        if let Ok(id) = fs::read_to_string(note) {
            match self.client.parts((bucket, key, id.trim())).await {
                Ok(parts) => return Ok((id.trim().to_owned(), parts)),
                Err(error) if error.code() == "NoSuchUpload" => {}
                Err(error) => return Err(error.into()),
            }
        }
        let id = self.client.begin_upload(bucket, key).await?;
        if let Some(dir) = note.parent() {
            fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        }
        fs::write(note, &id).with_context(|| format!("cannot write `{}`", note.display()))?;
        Ok((id, Vec::new()))
    }

    /// Sends a range of the file, again while the server is away.
    async fn patiently(
        &self,
        range: Range<u64>,
        send: impl AsyncFn(Body) -> Result<String, S3Error>,
    ) -> anyhow::Result<String> {
        let bytes = self.read(range).await?;
        let began = Instant::now();
        loop {
            let told = Arc::new(AtomicU64::new(0));
            let (counted, bar) = (told.clone(), self.bar.clone());
            let progress: Progress = Arc::new(move |sent| {
                counted.fetch_add(sent, Ordering::Relaxed);
                bar.inc(sent);
            });
            match send(Body::Told(bytes.clone(), progress)).await {
                Ok(etag) => return Ok(etag),
                Err(error) if error.is_transient() && began.elapsed() < PATIENCE => {
                    self.bar.dec(told.load(Ordering::Relaxed));
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&self, range: Range<u64>) -> anyhow::Result<Bytes> {
        let (file, len) = (self.file.clone(), usize::try_from(range.end - range.start)?);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0u8; len];
            file.read_exact_at(&mut bytes, range.start).map(|()| Bytes::from(bytes))
        });
        read.await?.context("the file changed while it was stored")
    }
}

/// Where an upload of this file to this place is noted while it is under way.
fn resume_note(endpoint: &str, path: &Path, meta: &fs::Metadata, to: &Location) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let modified = meta.modified().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    let digest = hash::tagged(
        "cess 2026 s3 upload note v1",
        &[
            endpoint.as_bytes(),
            absolute.as_os_str().as_encoded_bytes(),
            &meta.len().to_le_bytes(),
            &modified.map_or(0, |since| since.as_nanos()).to_le_bytes(),
            to.to_string().as_bytes(),
        ],
    );
    home_dir().join("s3-uploads").join(hex::encode(&digest[..16]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::s3::{Payload, REGION, twin::Twin};

    const SMALL: Cut = Cut { whole_max: 100, part: 1 << 20, parts_max: 4 };

    struct World {
        twin: Twin,
        client: S3Client,
        dir: tempfile::TempDir,
        to: Location,
    }

    impl World {
        async fn new() -> Self {
            let twin = Twin::start().await;
            let client = S3Client::new(&twin.endpoint, twin.key.clone(), REGION, Payload::Signed).unwrap();
            client.create_bucket("films").await.unwrap();
            let to = "cess://films/a b".parse().unwrap();
            Self { twin, client, dir: tempfile::tempdir().unwrap(), to }
        }

        fn upload(&self, bytes: &[u8]) -> Upload<'_> {
            let path = self.dir.path().join("file");
            fs::write(&path, bytes).unwrap();
            let file = Arc::new(File::open(&path).unwrap());
            Upload { client: &self.client, to: &self.to, file, size: bytes.len() as u64, bar: ProgressBar::hidden() }
        }

        fn note(&self) -> PathBuf {
            self.dir.path().join("notes/note")
        }

        async fn stored(&self) -> Vec<u8> {
            let stream = self.client.get("films", "a b", None, None).await.unwrap();
            stream.try_collect::<Vec<Bytes>>().await.unwrap().concat()
        }
    }

    #[tokio::test]
    async fn small_files_go_whole_and_large_ones_in_parts() {
        let world = World::new().await;
        for (len, parts) in [(0, 1), (100, 1), (2_500_000, 3), (9_000_000, 3)] {
            let bytes: Vec<u8> = (0..len).map(|at| (at / 1_000) as u8).collect();
            // A part is sent again; the start of an upload in parts is not, since it may have begun.
            world.twin.fail_next(u32::from(parts == 1));
            let stored = world.upload(&bytes).run(SMALL, &world.note()).await.unwrap();
            assert_eq!((stored.size, stored.parts, stored.resumed), (len, parts, 0));
            assert!(world.stored().await == bytes && !world.note().exists());
        }
    }

    #[tokio::test]
    async fn what_was_sent_is_not_sent_again() {
        let world = World::new().await;
        let bytes = vec![7u8; 2_500_000];
        let upload = world.upload(&bytes);
        let (id, none) = upload.begin(&world.note()).await.unwrap();
        assert_eq!(none, []);
        let at = ("films", "a b", id.as_str());
        let part = Bytes::from(bytes[..1 << 20].to_vec());
        world.client.put_part(at, 1, Body::Bytes(part)).await.unwrap();
        world.client.put_part(at, 3, Body::Bytes(Bytes::from_static(b"of another length"))).await.unwrap();
        let stored = upload.run(SMALL, &world.note()).await.unwrap();
        assert_eq!((stored.resumed, stored.parts, upload.bar.position()), (1 << 20, 3, 2_500_000));
        assert!(world.stored().await == bytes);
        let sent = |number: u32| {
            world.twin.seen().iter().filter(|line| line.contains(&format!("partNumber={number}&"))).count()
        };
        assert_eq!([sent(1), sent(2), sent(3)], [1, 1, 2]);

        // An upload that is gone is begun anew.
        fs::write(world.note(), &id).unwrap();
        let stored = upload.run(SMALL, &world.note()).await.unwrap();
        assert_eq!(stored.resumed, 0);
    }

    #[test]
    fn parts_grow_where_there_would_be_too_many() {
        assert_eq!(Cut::USUAL.part_of(1 << 30), 16 << 20);
        assert_eq!(Cut::USUAL.part_of(10_000 * (16 << 20)), 16 << 20);
        assert_eq!(Cut::USUAL.part_of(1 << 40), 105 << 20);
        assert!((5u64 << 40).div_ceil(Cut::USUAL.part_of(5 << 40)) <= 10_000);
    }
}
