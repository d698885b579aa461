//! The end of a file that comes in parts: bytes that do not fill a segment yet, on this gateway's disk.
//!
//! Owns the files' form. Invariants: a tail is replaced whole, so that after a crash it is that of the last part that was taken; what it
//! says was taken is what was signed.

use crate::{storage::upload::UploadId, types::params::SEGMENT_MAX_BYTES};
use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};
use tokio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
};

/// What a tail begins with; the digit is its version.
const MAGIC: &[u8; 12] = b"cess tail 1\n";
/// Bytes before the tail's own.
const HEAD_BYTES: usize = 12 + 20 + 4 * 8 + 32;
/// Ending of a tail that is being written.
const UNFINISHED: &str = "part";

/// What is known of the parts that were taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whose file it is.
    pub owner: [u8; 20],
    /// When its first part was taken, Unix milliseconds.
    pub started_ms: u64,
    /// Full segments that are on their miners.
    pub segments: u64,
    /// First byte of the last part.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// SHA-256 of the last part.
    pub hash: [u8; 32],
}

impl Taken {
    /// Bytes that were taken and fill no segment.
    pub fn tail_len(&self) -> u64 {
        self.end - self.segments * SEGMENT_MAX_BYTES
    }

    fn to_bytes(&self) -> [u8; HEAD_BYTES] {
        let numbers = [self.started_ms, self.segments, self.start, self.end].map(u64::to_le_bytes).concat();
        let bytes = [&MAGIC[..], &self.owner, &numbers, &self.hash].concat();
        bytes.try_into().expect("its fields have these lengths")
    }

    /// Reads a head; none if these bytes are none, or say what cannot be.
    fn read(bytes: &[u8; HEAD_BYTES]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (owner, rest) = rest.split_first_chunk::<20>()?;
        let (numbers, hash) = rest.split_first_chunk::<32>()?;
        let number = |at: usize| u64::from_le_bytes(numbers[8 * at..8 * at + 8].try_into().expect("eight bytes"));
        let taken = Self {
            owner: *owner,
            started_ms: number(0),
            segments: number(1),
            start: number(2),
            end: number(3),
            hash: hash.try_into().ok()?,
        };
        let full = taken.segments.checked_mul(SEGMENT_MAX_BYTES)?;
        let tail = taken.end.checked_sub(full)?;
        (tail < SEGMENT_MAX_BYTES && taken.start < taken.end).then_some(taken)
    }
}

/// The folder of the tails.
pub struct Tails {
    dir: PathBuf,
}

impl Tails {
    /// Tails in `dir`, which is made when it is needed.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn path(&self, id: UploadId) -> PathBuf {
        self.dir.join(id.to_string())
    }

    /// What was taken of an upload, and its tail to read; none if there is none, or a disk has cut it short.
    pub async fn open(&self, id: UploadId) -> io::Result<Option<(Taken, File)>> {
        let Some((taken, file)) = open(&self.path(id)).await? else { return Ok(None) };
        let is_whole = file.metadata().await?.len() == HEAD_BYTES as u64 + taken.tail_len();
        Ok(is_whole.then_some((taken, file)))
    }

    /// Writes what `input` still has as the tail of an upload, to replace the present one when it is kept.
    pub async fn write(&self, id: UploadId, mut input: impl AsyncRead + Unpin) -> io::Result<Unfinished> {
        fs::create_dir_all(&self.dir).await?;
        let part = self.path(id).with_extension(UNFINISHED);
        let mut file = File::create(&part).await?;
        file.write_all(&[0; HEAD_BYTES]).await?;
        tokio::io::copy(&mut (&mut input).take(SEGMENT_MAX_BYTES), &mut file).await?;
        Ok(Unfinished { file, part, path: self.path(id) })
    }

    /// Forgets an upload.
    pub async fn remove(&self, id: UploadId) -> io::Result<()> {
        for path in [self.path(id), self.path(id).with_extension(UNFINISHED)] {
            missing_is_fine(fs::remove_file(path).await)?;
        }
        Ok(())
    }

    /// Every upload with a tail.
    pub async fn list(&self) -> io::Result<Vec<(UploadId, Taken)>> {
        let mut found = Vec::new();
        let mut entries = match fs::read_dir(&self.dir).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(found),
            Err(e) => return Err(e),
        };
        while let Some(entry) = entries.next_entry().await? {
            let id = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if let (Some(id), Some((taken, _))) = (id, open(&entry.path()).await?) {
                found.push((id, taken));
            }
        }
        Ok(found)
    }
}

/// A tail that is written and not in force.
pub struct Unfinished {
    file: File,
    part: PathBuf,
    path: PathBuf,
}

impl Unfinished {
    /// Puts it into force.
    pub async fn keep(mut self, taken: &Taken) -> io::Result<()> {
        use tokio::io::AsyncSeekExt;
        self.file.seek(io::SeekFrom::Start(0)).await?;
        self.file.write_all(&taken.to_bytes()).await?;
        self.file.sync_all().await?;
        fs::rename(&self.part, &self.path).await
    }
}

async fn open(path: &Path) -> io::Result<Option<(Taken, File)>> {
    let mut file = match File::open(path).await {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let mut head = [0; HEAD_BYTES];
    match file.read_exact(&mut head).await {
        Ok(_) => Ok(Taken::read(&head).map(|taken| (taken, file))),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Taken {
        Taken { owner: [1; 20], started_ms: 2, segments: 1, start: 10, end: SEGMENT_MAX_BYTES + 5, hash: [3; 32] }
    }

    #[test]
    fn a_head_has_known_bytes() {
        let bytes = taken().to_bytes();
        let numbers = "020000000000000001000000000000000a000000000000000500000200000000";
        let golden = format!("63657373207461696c20310a{}{numbers}{}", "01".repeat(20), "03".repeat(32));
        assert_eq!(hex::encode(bytes), golden);
        assert_eq!(Taken::read(&bytes), Some(taken()));
        assert_eq!(Taken::read(&[0; HEAD_BYTES]), None);
        for impossible in [
            Taken { end: SEGMENT_MAX_BYTES - 1, ..taken() },
            Taken { end: 2 * SEGMENT_MAX_BYTES, ..taken() },
            Taken { segments: u64::MAX, ..taken() },
            Taken { start: SEGMENT_MAX_BYTES + 5, ..taken() },
        ] {
            assert_eq!(Taken::read(&impossible.to_bytes()), None, "{impossible:?}");
        }
    }

    #[tokio::test]
    async fn a_tail_is_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (tails, id) = (Tails::new(dir.path().join("tails")), UploadId([7; 16]));
        assert!(tails.open(id).await.unwrap().is_none());
        assert!(tails.list().await.unwrap().is_empty());
        let first = Taken { segments: 0, start: 0, end: 5, ..taken() };
        tails.write(id, &b"first"[..]).await.unwrap().keep(&first).await.unwrap();
        // Written, and not kept: the gateway fell, or the part was not what was signed.
        drop(tails.write(id, &b"second one"[..]).await.unwrap());
        let (known, mut file) = tails.open(id).await.unwrap().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).await.unwrap();
        assert_eq!((known, text.as_str()), (first.clone(), "first"));
        assert_eq!(tails.list().await.unwrap(), [(id, first)]);
        std::fs::write(tails.path(id), b"cut short").unwrap();
        assert!(tails.open(id).await.unwrap().is_none());
        tails.remove(id).await.unwrap();
        tails.remove(id).await.unwrap();
    }
}
