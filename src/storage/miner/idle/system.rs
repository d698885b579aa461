//! What idle space asks of the operating system: large pages for layers, holes in files.
//!
//! Invariant: both only save time or room; where the system cannot do them nothing else changes.

use std::{fs::File, io};

/// Asks for huge pages behind `memory`, which nobody has written to yet.
#[cfg(target_os = "linux")]
pub(super) fn advise_huge(memory: &mut [u8]) {
    // SAFETY: the range is one live allocation that is borrowed exclusively; the advice changes how it is backed, not what it holds.
    let advised = unsafe { libc::madvise(memory.as_mut_ptr().cast(), memory.len(), libc::MADV_HUGEPAGE) };
    if advised != 0 {
        tracing::debug!(error = %io::Error::last_os_error(), "no huge pages for idle space");
    }
}

/// Asks for huge pages behind `memory`, which nobody has written to yet.
#[cfg(not(target_os = "linux"))]
pub(super) fn advise_huge(_: &mut [u8]) {}

/// Gives the first `bytes` of a file back to its file system. Its length stays.
#[cfg(target_os = "linux")]
pub(super) fn punch(file: &File, bytes: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let len = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open as long as `file` is borrowed; the call touches no memory of this process.
    if unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, len) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(()),
        error => Err(error),
    }
}

/// Gives the first `bytes` of a file back to its file system. Its length stays.
#[cfg(not(target_os = "linux"))]
pub(super) fn punch(_: &File, _: u64) -> io::Result<()> {
    Ok(())
}
