//! What a crash of the machine leaves of files: what was synced.
//!
//! Owns the contents of files as of their last `fsync` or `fdatasync`. A file that was never synced is empty after a loss of
//! power; that its name survives is the one kindness of this model.

use super::{
    random::Dice,
    scheduler::{sleep_ns, with},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Shortest and longest time a sync takes, microseconds.
const SYNC_MICROS: (u64, u64) = (50, 3_000);

/// Contents on the medium by path.
#[derive(Debug, Default)]
pub(super) struct Synced(BTreeMap<PathBuf, Vec<u8>>);

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
        Self::gather(dir, |path| Ok(with(|state| state.synced.0.get(path).cloned()).unwrap_or_default()))
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
            with(|state| state.synced.0.insert(path.clone(), contents.clone()));
        }
        Ok(())
    }
}

/// Takes the time of a sync and notes what it put on the medium.
pub(super) fn sync(fd: i32) {
    let micros = with(|state| pause(&mut state.disk));
    sleep_ns(micros * 1_000);
    let Ok(path) = fs::read_link(format!("/proc/self/fd/{fd}")) else { return };
    if let Ok(contents) = fs::read(&path) {
        with(|state| state.synced.0.insert(path, contents));
    }
}

fn pause(dice: &mut Dice) -> u64 {
    SYNC_MICROS.0 + dice.below(SYNC_MICROS.1 - SYNC_MICROS.0)
}
