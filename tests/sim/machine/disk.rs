//! What a crash of the machine leaves of files: what was synced.
//!
//! Owns the contents of files as of their last `fsync` or `fdatasync`, whatever they were called then: a file that was synced and
//! took another's place is there under that name. A file that was never synced is empty after a loss of power; that names survive
//! without a sync of their folder is the one kindness of this model.

use super::{
    random::Dice,
    scheduler::{sleep_ns, with},
};
use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Shortest and longest time a sync takes, microseconds.
const SYNC_MICROS: (u64, u64) = (50, 3_000);

/// Contents on the medium.
#[derive(Debug, Default)]
pub(super) struct Synced(BTreeMap<Identity, Vec<u8>>);

/// A file whatever it is called. Numbers of files are used again, so the time of its birth belongs to it.
type Identity = (u64, u64, Option<SystemTime>);

fn identity(path: &Path) -> io::Result<Identity> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino(), metadata.created().ok()))
}

/// Files of a folder at one moment.
#[derive(Debug, Clone, Default)]
pub struct Disk(BTreeMap<PathBuf, Vec<u8>>);

impl Disk {
    /// The files of `dir` as the operating system has them.
    pub fn written(dir: &Path) -> io::Result<Self> {
        Self::gather(dir, |path| fs::read(path))
    }

    /// The files of `dir` as they are on the medium.
    pub fn synced(dir: &Path) -> io::Result<Self> {
        Self::gather(dir, |path| {
            let identity = identity(path)?;
            Ok(with(|state| state.synced.0.get(&identity).cloned()).unwrap_or_default())
        })
    }

    /// The files of `dir`, each of them empty.
    pub fn emptied(dir: &Path) -> io::Result<Self> {
        Self::gather(dir, |_| Ok(Vec::new()))
    }

    fn gather(dir: &Path, contents: impl Fn(&Path) -> io::Result<Vec<u8>>) -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() {
                files.insert(path.clone(), contents(&path)?);
            }
        }
        Ok(Self(files))
    }

    /// The contents of the file called `name`.
    pub fn file(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(path, _)| path.ends_with(name)).map(|(_, contents)| contents.as_slice())
    }

    /// Puts the files back.
    pub fn restore(&self) -> io::Result<()> {
        for (path, contents) in &self.0 {
            fs::write(path, contents)?;
            let identity = identity(path)?;
            with(|state| state.synced.0.insert(identity, contents.clone()));
        }
        Ok(())
    }
}

/// Takes the time of a sync and notes what it put on the medium.
pub(super) fn sync(fd: i32) {
    let micros = with(|state| pause(&mut state.disk));
    sleep_ns(micros * 1_000);
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{fd}")) else { return };
    if let (Ok(identity), Ok(contents)) = (identity(&path), fs::read(&path)) {
        with(|state| state.synced.0.insert(identity, contents));
    }
}

fn pause(dice: &mut Dice) -> u64 {
    SYNC_MICROS.0 + dice.below(SYNC_MICROS.1 - SYNC_MICROS.0)
}
