//! The access keys made on this machine, in one file that only its owner may read.
//!
//! Invariants: the file is replaced whole; one that others may read is not used.

use crate::{
    cli::home_dir,
    client::s3::AccessKey,
    types::{Address, B256},
};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Name of the file in the command line's directory.
const FILE: &str = "s3-keys.json";
/// Its owner reads and writes it, nobody else.
const MODE: u32 = 0o600;
const VERSION: u32 = 1;

/// Keys of a machine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyring {
    version: u32,
    /// In the order they were made.
    keys: Vec<KeptKey>,
    #[serde(skip)]
    path: PathBuf,
}

/// One key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptKey {
    /// Its id.
    pub id: String,
    /// What signs with it.
    pub secret: String,
    /// Account it acts for.
    pub account: Address,
    /// Genesis of the chain that knows it.
    pub chain: B256,
    /// Endpoint it was made for.
    pub endpoint: String,
}

impl std::fmt::Debug for KeptKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptKey({} of {})", self.id, self.account)
    }
}

impl KeptKey {
    /// The key alone.
    pub fn access_key(&self) -> AccessKey {
        AccessKey::new(&self.id, &self.secret)
    }
}

impl Keyring {
    /// The file in the command line's directory, or an empty one.
    pub fn open() -> anyhow::Result<Self> {
        Self::at(&home_dir().join(FILE))
    }

    fn at(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, keys: Vec::new(), path: path.to_owned() });
            }
            Err(error) => return Err(error).with_context(|| format!("cannot read `{shown}`")),
        };
        let mode = fs::metadata(path)?.permissions().mode() & 0o777;
        if mode & !MODE != 0 {
            bail!("`{shown}` may be read by others (mode {mode:03o}); run `chmod 600 {shown}` first");
        }
        let ring: Self = serde_json::from_str(&text).with_context(|| format!("`{shown}` is not a file of keys"))?;
        if ring.version != VERSION {
            bail!("`{shown}` has format {}, this program reads format {VERSION}", ring.version);
        }
        Ok(Self { path: path.to_owned(), ..ring })
    }

    /// The newest key that `is_wanted`.
    pub fn newest(&self, is_wanted: impl Fn(&KeptKey) -> bool) -> Option<&KeptKey> {
        self.keys.iter().rev().find(|key| is_wanted(key))
    }

    /// Keeps a key.
    pub fn keep(&mut self, key: KeptKey) -> anyhow::Result<()> {
        self.keys.retain(|kept| kept.id != key.id);
        self.keys.push(key);
        self.save()
    }

    /// Forgets a key; whether it was there.
    pub fn forget(&mut self, id: &str) -> anyhow::Result<bool> {
        let before = self.keys.len();
        self.keys.retain(|kept| kept.id != id);
        if self.keys.len() == before {
            return Ok(false);
        }
        self.save().map(|()| true)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn save(&self) -> anyhow::Result<()> {
        let part = self.path.with_extension("part");
        let text = serde_json::to_string_pretty(self)? + "\n";
        let written = || -> std::io::Result<()> {
            if let Some(dir) = self.path.parent() {
                fs::create_dir_all(dir)?;
            }
            // What an earlier run left there may have another mode.
            fs::remove_file(&part).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(MODE).open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&part, &self.path)
        };
        written().with_context(|| format!("cannot write `{}`", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> KeptKey {
        let endpoint = "http://127.0.0.1:1".to_owned();
        KeptKey { id: id.to_owned(), secret: "hush".to_owned(), account: Address::ZERO, chain: B256::ZERO, endpoint }
    }

    #[test]
    fn keys_are_kept_where_nobody_else_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/keys.json");
        let mut ring = Keyring::at(&path).unwrap();
        ring.keep(key("a")).unwrap();
        ring.keep(key("b")).unwrap();
        ring.keep(key("a")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        let mut ring = Keyring::at(&path).unwrap();
        assert_eq!(ring.newest(|_| true).unwrap().id, "a");
        assert_eq!(ring.newest(|kept| kept.id == "b").unwrap().access_key(), AccessKey::new("b", "hush"));
        assert!(!format!("{ring:?}").contains("hush"));
        assert!(ring.forget("a").unwrap() && !ring.forget("a").unwrap());
        assert_eq!(Keyring::at(&path).unwrap().newest(|_| true).unwrap().id, "b");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let words = Keyring::at(&path).unwrap_err().to_string();
        assert!(words.contains("chmod 600") && !words.contains("hush"), "{words}");
        fs::set_permissions(&path, fs::Permissions::from_mode(MODE)).unwrap();
        fs::write(&path, "{}").unwrap();
        assert!(Keyring::at(&path).is_err());
    }
}
