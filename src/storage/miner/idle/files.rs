//! Segments of idle space as files: a directory for each, with its labels, its crown, and what its commitment needs.
//!
//! Owns names, durability and the room they take. Must not know the chain. Invariants: a directory under a segment's number is
//! whole, since it was filled under another name; what a crown says of labels is compared whenever they are read.

use super::IdleError;
use crate::{
    codec,
    proofs::pois::{Commitment, Crown, Digest, Label, Opening, Shape},
    runtime::Node,
    storage::fragments::FragmentError,
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Directory of a segment that is not whole yet.
const MAKING: &str = "making";
const COMMITMENT: &str = "commitment";
const PROOF: &str = "proof";
/// Bytes of the blocks a file system counts in.
const STAT_BLOCK_BYTES: u64 = 512;

/// The directory of all segments. Cheap to clone. Everything here blocks on the disk.
#[derive(Clone)]
pub(in crate::storage::miner) struct SegmentFiles {
    root: PathBuf,
    shape: Shape,
    closed: Arc<AtomicBool>,
}

impl SegmentFiles {
    /// Opens or creates the directory and throws away what was half made.
    pub fn open(node: &Node, root: PathBuf, shape: Shape) -> Result<Self, IdleError> {
        let files = Self { root, shape, closed: Arc::default() };
        let closed = files.closed.clone();
        node.kill.on_kill(move |_| closed.store(true, Ordering::SeqCst));
        fs::create_dir_all(&files.root).map_err(|e| failed("create", &files.root, &e))?;
        files.discard(MAKING)?;
        Ok(files)
    }

    /// Numbers of the segments that are here.
    pub fn numbers(&self) -> Result<BTreeSet<u64>, IdleError> {
        let mut numbers = BTreeSet::new();
        for entry in fs::read_dir(&self.root).map_err(|e| failed("list", &self.root, &e))? {
            let name = entry.map_err(|e| failed("list", &self.root, &e))?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
        }
        Ok(numbers)
    }

    /// Bytes all segments take on the disk.
    pub fn bytes(&self) -> Result<u64, IdleError> {
        let mut sum = 0u64;
        for segment in fs::read_dir(&self.root).map_err(|e| failed("list", &self.root, &e))? {
            let path = segment.map_err(|e| failed("list", &self.root, &e))?.path();
            // What disappears meanwhile takes no room.
            for file in fs::read_dir(&path).into_iter().flatten().flatten() {
                let blocks = file.metadata().map_or(0, |stat| stat.blocks());
                sum = sum.saturating_add(blocks.saturating_mul(STAT_BLOCK_BYTES));
            }
        }
        Ok(sum)
    }

    /// Begins a segment.
    pub fn begin(&self) -> Result<(), IdleError> {
        self.discard(MAKING)?;
        let path = self.root.join(MAKING);
        fs::create_dir(&path).map_err(|e| failed("create", &path, &e))
    }

    /// Writes a layer of the segment that was begun.
    pub fn put_layer(&self, layer: u32, labels: &[Label], crown: &Crown) -> Result<(), IdleError> {
        let dir = self.root.join(MAKING);
        self.write(&dir.join(self.labels_name(layer)), labels.as_flattened())?;
        self.write(&dir.join(self.crown_name(layer)), crown.row().as_flattened())
    }

    /// Gives the segment that was begun its number: from now on it is here.
    pub fn finish(&self, number: u64, commitment: &Commitment) -> Result<(), IdleError> {
        let (from, to) = (self.root.join(MAKING), self.dir(number));
        self.write(&from.join(COMMITMENT), &codec::encode(commitment))?;
        sync(&from)?;
        self.discard(&number.to_string())?;
        fs::rename(&from, &to).map_err(|e| failed("rename to", &to, &e))?;
        sync(&self.root)
    }

    /// What was or is to be committed to.
    pub fn commitment(&self, number: u64) -> Result<Commitment, IdleError> {
        let path = self.dir(number).join(COMMITMENT);
        let bytes = fs::read(&path).map_err(|e| failed("read", &path, &e))?;
        Ok(codec::decode(&bytes).map_err(FragmentError::from)?)
    }

    /// Whether every layer of a segment is here, not only the last.
    pub fn has_layers(&self, number: u64) -> bool {
        (0..self.shape.layers()).all(|layer| self.dir(number).join(self.labels_name(layer)).exists())
    }

    /// Opens leaves of a layer.
    pub fn open_layer(&self, number: u64, layer: u32, leaves: &BTreeSet<u32>) -> Result<Opening, IdleError> {
        let (crown, mut read) = self.layer(number, layer)?;
        crown.open(leaves, &mut read)
    }

    /// A layer's crown, and what reads chunks of its labels.
    #[allow(clippy::type_complexity, reason = "a reader is what openings ask for")]
    pub fn layer(
        &self,
        number: u64,
        layer: u32,
    ) -> Result<(Crown, impl FnMut(u32, &mut [Label]) -> Result<(), IdleError> + use<>), IdleError> {
        self.check_open()?;
        let path = self.dir(number).join(self.crown_name(layer));
        let row = fs::read(&path).map_err(|e| failed("read", &path, &e))?;
        let (row, _) = row.as_chunks::<{ size_of::<Digest>() }>();
        let crown = Crown::from_row(self.shape, row)?;
        let path = self.dir(number).join(self.labels_name(layer));
        let file = File::open(&path).map_err(|e| failed("open", &path, &e))?;
        let read = move |chunk: u32, labels: &mut [Label]| {
            let bytes = labels.as_flattened_mut();
            let offset = u64::from(chunk) * u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            file.read_exact_at(bytes, offset).map_err(|e| failed("read", &path, &e))
        };
        Ok((crown, read))
    }

    /// Opens leaves of the layer audits are about.
    pub fn open_last(&self, number: u64, leaves: &BTreeSet<u32>) -> Result<Opening, IdleError> {
        self.open_layer(number, self.shape.layers() - 1, leaves)
    }

    /// Keeps the proof of a segment's commitment.
    pub fn put_proof(&self, number: u64, proof: &[u8]) -> Result<(), IdleError> {
        let (path, temporary) = (self.dir(number).join(PROOF), self.dir(number).join("proof.new"));
        self.write(&temporary, proof)?;
        fs::rename(&temporary, &path).map_err(|e| failed("rename to", &path, &e))
    }

    /// Whether that proof is here.
    pub fn has_proof(&self, number: u64) -> bool {
        self.dir(number).join(PROOF).exists()
    }

    /// The proof of a segment's commitment.
    pub fn proof(&self, number: u64) -> Result<Vec<u8>, IdleError> {
        let path = self.dir(number).join(PROOF);
        fs::read(&path).map_err(|e| failed("read", &path, &e))
    }

    /// Drops what only the commitment needed.
    pub fn settle(&self, number: u64) -> Result<(), IdleError> {
        for layer in 0..self.shape.layers() - 1 {
            self.remove_file(&self.dir(number).join(self.labels_name(layer)))?;
            self.remove_file(&self.dir(number).join(self.crown_name(layer)))?;
        }
        self.remove_file(&self.dir(number).join(PROOF))
    }

    /// Drops a segment.
    pub fn remove(&self, number: u64) -> Result<(), IdleError> {
        self.discard(&number.to_string())
    }

    /// Gives the first `bytes` of a segment's labels back to the file system, where it can do that.
    pub fn give_back(&self, number: u64, bytes: u64) -> Result<(), IdleError> {
        if bytes == 0 {
            return Ok(());
        }
        self.check_open()?;
        let path = self.dir(number).join(self.labels_name(self.shape.layers() - 1));
        let file = File::options().write(true).open(&path).map_err(|e| failed("open", &path, &e))?;
        super::system::punch(&file, bytes).map_err(|e| failed("punch a hole into", &path, &e))
    }

    fn dir(&self, number: u64) -> PathBuf {
        self.root.join(number.to_string())
    }

    fn labels_name(&self, layer: u32) -> String {
        if layer + 1 == self.shape.layers() { "labels".to_owned() } else { format!("labels-{layer}") }
    }

    fn crown_name(&self, layer: u32) -> String {
        if layer + 1 == self.shape.layers() { "crown".to_owned() } else { format!("crown-{layer}") }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), IdleError> {
        self.check_open()?;
        let written = File::create(path).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_data()
        });
        written.map_err(|e| match e.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let needed = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                FragmentError::DiskFull { path: path.display().to_string(), needed }.into()
            }
            _ => failed("write", path, &e),
        })
    }

    fn discard(&self, name: &str) -> Result<(), IdleError> {
        self.check_open()?;
        let path = self.root.join(name);
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", &path, &e)),
            _ => Ok(()),
        }
    }

    fn remove_file(&self, path: &Path) -> Result<(), IdleError> {
        self.check_open()?;
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(failed("remove", path, &e)),
            _ => Ok(()),
        }
    }

    fn check_open(&self) -> Result<(), IdleError> {
        if self.closed.load(Ordering::SeqCst) { Err(IdleError::Stopped) } else { Ok(()) }
    }
}

fn sync(dir: &Path) -> Result<(), IdleError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| failed("sync", dir, &e))
}

fn failed(what: &'static str, path: &Path, reason: &io::Error) -> IdleError {
    FragmentError::Io { what, path: path.display().to_string(), reason: reason.to_string() }.into()
}
