//! How a journal's file is laid out: entries one after the other, then zeros.
//!
//! Owns framing, checksums and the scan at start. Must not know what entries do to a journal. An entry is a head of 32 B (magic,
//! length, how far the file was synced when it was written, checksum), a body and zeros up to a multiple of 16 B.
//! Invariants: a checksum covers the place in the file; what a crash tore off the end is told from damage, since entries written
//! later know how far the file was synced.

use crate::{
    codec::{self, CodecError, Wire},
    crypto::hash,
    storage::journal::wire::{JournalId, RECORD_MAX_BYTES},
};

const MAGIC: [u8; 4] = *b"cjE1";
const ALIGN: usize = 16;
/// Bytes before an entry's body.
const HEAD_BYTES: usize = 32;

/// A line of a journal's file.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Entry {
    /// The first: whose file this is, and what was known when it was begun.
    Head { journal: JournalId, lock: [u8; 32], sealed: u64, accepted: u64, base: u64 },
    /// Lower epochs are refused from here on.
    Seal { epoch: u64 },
    /// The log is now that of this epoch.
    Adopt { epoch: u64 },
    /// A record.
    Record { seq: u64, bytes: Vec<u8> },
    /// Records up to this number are forgotten.
    Trim { upto: u64 },
}

impl Wire for Entry {
    const NAME: &'static str = "journal entry";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = RECORD_MAX_BYTES + 128;
}

/// Why an entry cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No entry begins here, or it is cut short, or its checksum is wrong.
    #[error("there is no whole entry at {at} B")]
    Broken { at: u64 },
    /// An entry this program does not know.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// An entry as it lies in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Placed {
    /// Where it begins.
    pub at: u64,
    /// Bytes it takes, with head and padding.
    pub len: u32,
    /// What it says.
    pub entry: Entry,
}

/// What a file holds.
#[derive(Debug)]
pub struct Scan {
    /// Whole entries from the beginning.
    pub entries: Vec<Placed>,
    /// Where they end.
    pub end: u64,
    /// Whether synced entries behind the end are lost.
    pub damaged: bool,
}

/// Appends `entry`, which will lie at `at`, to `out`; `synced` bytes of the file are known to be on the medium. Returns its length.
pub fn write(out: &mut Vec<u8>, at: u64, synced: u64, entry: &Entry) -> u32 {
    let body = codec::encode(entry);
    let start = out.len();
    let len = u32::try_from(body.len()).expect("an entry is far below 4 GiB");
    out.extend(MAGIC);
    out.extend(len.to_le_bytes());
    out.extend(synced.to_le_bytes());
    out.extend(checksum(at, synced, &body));
    out.extend(&body);
    out.resize(start + framed(body.len()), 0);
    u32::try_from(out.len() - start).expect("an entry is far below 4 GiB")
}

/// Reads the entry at the beginning of `bytes`, which lie at `at` in the file, and how far the file was synced before it.
pub fn read(bytes: &[u8], at: u64) -> Result<(Placed, u64), EntryError> {
    let broken = EntryError::Broken { at };
    let (synced, body) = checked(bytes, at).ok_or(broken)?;
    let len = u32::try_from(framed(body.len())).expect("an entry is far below 4 GiB");
    Ok((Placed { at, len, entry: codec::decode(body)? }, synced))
}

/// Reads a whole file.
pub fn scan(bytes: &[u8]) -> Result<Scan, EntryError> {
    let mut scan = Scan { entries: Vec::new(), end: 0, damaged: false };
    let mut at = 0;
    while at < bytes.len() {
        match read(&bytes[at..], at as u64) {
            Ok((placed, _)) => {
                at += usize::try_from(placed.len).expect("an entry fits into memory");
                scan.entries.push(placed);
            }
            Err(EntryError::Broken { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    scan.end = at as u64;
    let behind = (at..bytes.len()).step_by(ALIGN).filter(|at| bytes[*at..].starts_with(&MAGIC));
    scan.damaged = behind.filter_map(|at| checked(&bytes[at..], at as u64)).any(|(synced, _)| synced > scan.end);
    Ok(scan)
}

fn framed(body: usize) -> usize {
    (HEAD_BYTES + body).next_multiple_of(ALIGN)
}

fn checked(bytes: &[u8], at: u64) -> Option<(u64, &[u8])> {
    let head = bytes.get(..HEAD_BYTES)?;
    let len = usize::try_from(u32::from_le_bytes(head[4..8].try_into().ok()?)).ok()?;
    let synced = u64::from_le_bytes(head[8..16].try_into().ok()?);
    if head[..4] != MAGIC || len > Entry::MAX_BYTES {
        return None;
    }
    let body = bytes.get(HEAD_BYTES..HEAD_BYTES + len)?;
    (head[16..] == checksum(at, synced, body)).then_some((synced, body))
}

fn checksum(at: u64, synced: u64, body: &[u8]) -> [u8; 16] {
    let digest = hash::tagged(hash::DOMAIN_JOURNAL_ENTRY, &[&at.to_le_bytes(), &synced.to_le_bytes(), body]);
    let (half, _) = digest.split_first_chunk().expect("a digest has 32 B");
    *half
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::golden::check;

    /// What a record of 100 B takes: head, version, kind, number, length, itself, padding.
    const RECORD_BYTES: u64 = 32 + 1 + 1 + 8 + 4 + 100 + 14;

    fn file(records: u64, synced: impl Fn(u64) -> u64) -> Vec<u8> {
        let mut out = Vec::new();
        for seq in 1..=records {
            let (at, entry) = (out.len() as u64, Entry::Record { seq, bytes: vec![7; 100] });
            assert_eq!(u64::from(write(&mut out, at, synced(at), &entry)), RECORD_BYTES);
        }
        out.resize(out.len() + 4_096, 0);
        out
    }

    #[test]
    fn encodings_are_stable() {
        check(&Entry::Record { seq: 9, bytes: vec![1, 2, 3] });
    }

    #[test]
    fn a_torn_tail_ends_the_file_and_damage_is_told_from_it() {
        let one = RECORD_BYTES;
        let whole = scan(&file(3, |_| 0)).unwrap();
        assert_eq!((whole.entries.len(), whole.end, whole.damaged), (3, 3 * one, false));
        // The second of three that were written together did not arrive.
        let mut torn = file(3, |_| 0);
        torn[usize::try_from(one).unwrap() + 40] ^= 1;
        let torn = scan(&torn).unwrap();
        assert_eq!((torn.entries.len(), torn.end, torn.damaged), (1, one, false));
        // The same byte, but the third was written after the second had been synced.
        let mut rotten = file(3, |at| at);
        rotten[usize::try_from(one).unwrap() + 40] ^= 1;
        assert!(scan(&rotten).unwrap().damaged);
    }

    #[test]
    fn an_entry_in_another_place_is_none() {
        let bytes = file(1, |_| 0);
        assert_eq!(read(&bytes, 16).unwrap_err(), EntryError::Broken { at: 16 });
        assert!(read(&bytes[..90], 0).is_err());
    }
}
