//! Bringing index and disk in line after a start.
//!
//! Owns the scan. Invariants: what is half-written is removed; a whole file the index lost is adopted; a record whose file is
//! gone or has another length is marked missing, never served.

use super::{
    FragmentError, FragmentIndex,
    disk::{Layout, io_error, sync_dir},
};
use crate::types::{
    FragmentId,
    params::{FRAGMENT_ALIGN_BYTES, FRAGMENT_MAX_BYTES, FRAGMENT_MIN_BYTES},
};
use std::{collections::BTreeMap, fs, path::Path};

/// Creates the directories and removes what an earlier run left half-written.
pub(super) fn prepare(layout: &Layout) -> Result<(), FragmentError> {
    let incoming = layout.incoming();
    fs::create_dir_all(&incoming).map_err(|e| io_error("create", &incoming, &e))?;
    let mut removed = 0u64;
    for entry in fs::read_dir(&incoming).map_err(|e| io_error("list", &incoming, &e))? {
        let path = entry.map_err(|e| io_error("list", &incoming, &e))?.path();
        fs::remove_file(&path).map_err(|e| io_error("remove", &path, &e))?;
        removed += 1;
    }
    if removed > 0 {
        tracing::info!(removed, "half-written fragments of an earlier run removed");
    }
    sync_dir(layout.root())
}

/// Compares the files with the records.
pub(super) fn reconcile(layout: &Layout, index: &FragmentIndex) -> Result<(), FragmentError> {
    let mut files = BTreeMap::new();
    for first in 0..=u8::MAX {
        scan_shard(&layout.shard(first), first, &mut files)?;
    }
    let mut lost = Vec::new();
    index.each(|id, info| {
        if !info.present {
            return;
        }
        match files.get(&id) {
            Some(len) if *len == info.len => {
                files.remove(&id);
            }
            Some(len) => {
                tracing::warn!(fragment = %id, len, expected = info.len, "fragment on disk is damaged: it has another length");
                lost.push(id);
            }
            None => {
                tracing::warn!(fragment = %id, "fragment is recorded but its file is gone");
                lost.push(id);
            }
        }
    })?;
    index.mark_missing(&lost)?;
    for id in lost {
        if files.remove(&id).is_some() {
            let path = layout.file(id);
            fs::remove_file(&path).map_err(|e| io_error("remove", &path, &e))?;
        }
    }
    adopt(index, files.into_iter().collect())
}

/// Files without a record: written before a power loss that took the record. They wait for a claim like new ones.
fn adopt(index: &FragmentIndex, files: Vec<(FragmentId, u32)>) -> Result<(), FragmentError> {
    if files.is_empty() {
        return Ok(());
    }
    tracing::info!(adopted = files.len(), "fragments on disk without a record adopted");
    let since = index.cursor()?.map_or(0, |cursor| cursor.height);
    index.insert(&files, since)
}

fn scan_shard(shard: &Path, first: u8, files: &mut BTreeMap<FragmentId, u32>) -> Result<(), FragmentError> {
    if !shard.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(shard).map_err(|e| io_error("list", shard, &e))? {
        let entry = entry.map_err(|e| io_error("list", shard, &e))?;
        let path = entry.path();
        let len = entry.metadata().map_err(|e| io_error("stat", &path, &e))?.len();
        let id = entry.file_name().to_str().and_then(|name| name.parse::<FragmentId>().ok());
        let id = id.filter(|id| id.0[0] == first && (FRAGMENT_MIN_BYTES..=FRAGMENT_MAX_BYTES).contains(&len));
        match (id.filter(|_| len % FRAGMENT_ALIGN_BYTES == 0), u32::try_from(len)) {
            (Some(id), Ok(len)) => {
                files.insert(id, len);
            }
            _ => tracing::warn!(path = %path.display(), len, "not a fragment, left alone"),
        }
    }
    Ok(())
}
