//! The latch every call of an engine passes: once poisoned, a handle never works again.

use super::KvError;
use parking_lot::RwLock;

/// Whether one handle still works, and the path its errors name.
pub(super) struct Latch {
    path: String,
    poisoned: RwLock<Option<String>>,
}

impl Latch {
    /// A working handle of the database at `path`.
    pub(super) fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), poisoned: RwLock::new(None) }
    }

    /// Runs a read of the engine; its failure is returned and the handle stays usable.
    pub(super) fn read<T>(&self, read: impl FnOnce() -> Result<T, String>) -> Result<T, KvError> {
        self.check(self.poisoned.read().as_ref())?;
        read().map_err(|reason| self.engine(reason))
    }

    /// Runs a write of the engine; its failure poisons the handle, since nobody knows how much of it is on disk.
    /// A concurrent [`Latch::poison`] waits for the write, so that no write ends after it.
    pub(super) fn write(&self, write: impl FnOnce() -> Result<(), String>) -> Result<(), KvError> {
        let held = self.poisoned.read();
        self.check(held.as_ref())?;
        let Err(reason) = write() else { return Ok(()) };
        drop(held);
        self.poison(&format!("an earlier write failed: {reason}"));
        Err(self.engine(reason))
    }

    /// Closes the handle for good; the first reason is kept. Returns whether it was open.
    pub(super) fn poison(&self, reason: &str) -> bool {
        let mut poisoned = self.poisoned.write();
        let was_open = poisoned.is_none();
        poisoned.get_or_insert_with(|| reason.to_owned());
        was_open
    }

    /// An engine's failure on this database.
    pub(super) fn engine(&self, reason: impl ToString) -> KvError {
        KvError::Engine { path: self.path.clone(), reason: reason.to_string() }
    }

    fn check(&self, poisoned: Option<&String>) -> Result<(), KvError> {
        match poisoned {
            None => Ok(()),
            Some(reason) => Err(KvError::Poisoned { path: self.path.clone(), reason: reason.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_read_leaves_the_handle_a_failed_write_does_not() {
        let latch = Latch::new("db");
        let failed: Result<(), KvError> = latch.read(|| Err("bad block".into()));
        assert_eq!(failed.expect_err("fails").to_string(), "database `db`: bad block");
        assert!(latch.write(|| Ok(())).is_ok());
        let full = latch.write(|| Err("no space left".into()));
        assert_eq!(full.expect_err("fails").to_string(), "database `db`: no space left");
        let after = latch.read(|| Ok(())).expect_err("poisoned").to_string();
        assert_eq!(after, "database `db` is closed: an earlier write failed: no space left");
        assert!(latch.write(|| panic!("must not reach the engine")).is_err());
    }

    #[test]
    fn the_first_reason_is_kept() {
        let latch = Latch::new("db");
        assert!(latch.poison("killed"));
        assert!(!latch.poison("again"));
        assert_eq!(latch.read(|| Ok(())).expect_err("poisoned").to_string(), "database `db` is closed: killed");
    }
}
