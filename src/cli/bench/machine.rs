//! What the machine itself does: the yardstick beside every figure.

use anyhow::Context;
use std::{
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

/// Bytes written at a time.
const CHUNK_BYTES: usize = 8 << 20;

/// Writes `bytes` of incompressible data to a file in `dir`, as `dd` with a final fsync does, and returns how long it took.
pub fn write_and_sync(dir: &Path, bytes: u64, seed: u64) -> anyhow::Result<Duration> {
    let path = dir.join("plain-write");
    let mut file = std::fs::File::create(&path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let chunk = noise(CHUNK_BYTES, seed);
    let started = Instant::now();
    let mut left = bytes;
    while left > 0 {
        let n = usize::try_from(left.min(CHUNK_BYTES as u64)).context("a chunk fits memory")?;
        file.write_all(&chunk[..n])?;
        left -= n as u64;
    }
    file.sync_all()?;
    let took = started.elapsed();
    drop(file);
    std::fs::remove_file(&path)?;
    Ok(took)
}

/// Writes a file of incompressible, never repeating data.
pub fn random_file(path: &Path, bytes: u64, seed: u64) -> anyhow::Result<()> {
    let mut file = std::fs::File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut left = bytes;
    let mut part = seed;
    while left > 0 {
        let n = usize::try_from(left.min(CHUNK_BYTES as u64)).context("a chunk fits memory")?;
        part = part.wrapping_add(1);
        file.write_all(&noise(n, part))?;
        left -= n as u64;
    }
    file.sync_all()?;
    Ok(())
}

/// Memory of this process that is resident now, as Linux counts it.
pub fn resident_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read `/proc/self/status`")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|digits| digits.trim().parse::<u64>().ok());
    Ok(kib.context("`/proc/self/status` has no VmRSS in kB")? * 1024)
}

fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut out = vec![0u8; bytes];
    crate::crypto::hash::stream("cess 2026 bench noise v1", &seed.to_le_bytes()).fill(&mut out);
    out
}
