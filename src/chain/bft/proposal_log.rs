//! Blocks this node has proposed or prevoted for at the current height, on disk.
//!
//! Owns one file next to the engine's write-ahead log. Validators may be bound to a block by their signatures; were its bytes in
//! memory only, a crash of all of them at once could leave the chain locked on a block nobody has.
//! Invariants: a block is on the medium before the engine learns of it; records of decided heights are overwritten, so that the
//! file stays as large as the largest height needed; a torn or stale record is recognised by its digest and ends the replay.

use crate::{
    codec::{self, Wire},
    consensus::{Block, context::Account, messages::Proposal},
    crypto::hash::content,
    types::Height,
};
use borsh::{BorshDeserialize, BorshSerialize};
use parking_lot::Mutex;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

/// Bytes before a record: its length and its digest.
const RECORD_HEADER_BYTES: usize = 4 + 32;
/// Largest file: what one height may leave behind; proposals of more rounds are not kept.
const LOG_MAX_BYTES: u64 = 256 << 20;

/// A block in flight.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Stored {
    /// Round it was proposed in.
    pub round: u32,
    /// Earlier round in which two thirds prevoted for it.
    pub pol_round: Option<u32>,
    /// Who proposed it in that round.
    pub proposer: Account,
    /// The block.
    pub block: Block,
}

impl Wire for Stored {
    const NAME: &'static str = "stored proposal";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = Block::MAX_BYTES + 64;
}

impl Stored {
    /// Its height.
    pub fn height(&self) -> Height {
        self.block.header.height
    }

    /// How it was proposed.
    pub fn proposal(&self) -> Proposal {
        let (height, block) = (self.height(), self.block.id());
        Proposal { height, round: self.round, pol_round: self.pol_round, block, proposer: self.proposer }
    }
}

/// The file. Cheap to clone.
#[derive(Clone)]
pub(super) struct ProposalLog {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    file: Option<File>,
    height: Height,
    end: u64,
}

impl ProposalLog {
    /// Opens the file and returns what it holds for heights from `next` on.
    pub fn open(path: &Path, next: Height) -> io::Result<(Self, Vec<Stored>)> {
        let mut file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        (&mut file).take(LOG_MAX_BYTES).read_to_end(&mut bytes)?;
        let (stored, end) = replay(&bytes, next);
        let height = stored.first().map_or(0, Stored::height);
        let end = if stored.is_empty() { 0 } else { end };
        Ok((Self { inner: Arc::new(Mutex::new(Inner { file: Some(file), height, end })) }, stored))
    }

    /// Writes a record and waits for the medium.
    pub async fn append(&self, stored: &Stored) -> io::Result<()> {
        let (height, record) = (stored.height(), record_of(stored));
        let inner = self.inner.clone();
        let written = tokio::task::spawn_blocking(move || inner.lock().append(height, &record)).await;
        written.map_err(io::Error::other)?
    }

    /// Refuses every later write: the node was killed and its successor may own the file.
    pub fn close(&self) {
        self.inner.lock().file = None;
    }
}

impl Inner {
    fn append(&mut self, height: Height, record: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or_else(|| io::Error::other("proposal log is closed"))?;
        if height != self.height {
            (self.height, self.end) = (height, 0);
        }
        let len = u64::try_from(record.len()).map_err(io::Error::other)?;
        if self.end + len > LOG_MAX_BYTES {
            return Err(io::Error::other(format!("proposal log of height {height} is over {LOG_MAX_BYTES} B")));
        }
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(record)?;
        file.sync_data()?;
        self.end += len;
        Ok(())
    }
}

fn record_of(stored: &Stored) -> Vec<u8> {
    let payload = codec::encode(stored);
    let len = u32::try_from(payload.len()).expect("a record is capped far below 4 GiB");
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + payload.len());
    record.extend_from_slice(&len.to_le_bytes());
    record.extend_from_slice(&content(&payload));
    record.extend_from_slice(&payload);
    record
}

/// The records of the newest height at the start of the file, and where they end.
fn replay(bytes: &[u8], next: Height) -> (Vec<Stored>, u64) {
    let (mut stored, mut at) = (Vec::<Stored>::new(), 0usize);
    while let Some((record, len)) = read_record(&bytes[at..]) {
        let stale = record.height() < next || stored.first().is_some_and(|first| first.height() != record.height());
        if stale {
            break;
        }
        stored.push(record);
        at += len;
    }
    (stored, u64::try_from(at).expect("a usize fits 64 bits"))
}

fn read_record(bytes: &[u8]) -> Option<(Stored, usize)> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (digest, rest) = rest.split_first_chunk::<32>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let payload = rest.get(..len)?;
    if content(payload) != *digest {
        return None;
    }
    Some((codec::decode(payload).ok()?, RECORD_HEADER_BYTES + len))
}

#[cfg(test)]
impl Stored {
    /// A proposal of chain 1 by nobody, for the tests here and of the proposals in flight.
    pub fn sample(height: Height, round: u32, txs: Vec<Vec<u8>>) -> Self {
        use crate::{
            consensus::{Executed, Header},
            crypto::VrfProof,
            types::{Address, B256, BlockId},
        };
        let header = Header {
            chain_id: 1,
            height,
            parent: BlockId::default(),
            time_ms: 0,
            proposer: Address::ZERO,
            round,
            vrf: VrfProof([0; 80]),
            body: Block::body_hash(&txs),
            executed: Executed { height: height.saturating_sub(1), hash: B256::ZERO },
            committee: [0; 32],
            next_committee: [0; 32],
        };
        Self { round, pol_round: None, proposer: Account(Address::ZERO), block: Block { header, txs } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(height: Height, round: u32, size: usize) -> Stored {
        Stored::sample(height, round, vec![vec![7; size]])
    }

    #[test]
    fn bytes_are_golden() {
        codec::golden::check(&stored(2, 1, 3));
    }

    #[tokio::test]
    async fn keeps_the_newest_height_and_survives_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proposals.log");
        let (log, found) = ProposalLog::open(&path, 1).unwrap();
        assert!(found.is_empty());
        for record in [stored(1, 0, 900), stored(1, 1, 10), stored(2, 0, 100), stored(2, 3, 5)] {
            log.append(&record).await.unwrap();
        }
        log.close();
        assert!(log.append(&stored(3, 0, 1)).await.is_err());

        let (log, found) = ProposalLog::open(&path, 2).unwrap();
        assert_eq!(found, [stored(2, 0, 100), stored(2, 3, 5)]);
        log.append(&stored(2, 4, 50)).await.unwrap();
        assert_eq!(ProposalLog::open(&path, 2).unwrap().1.len(), 3);
        assert!(ProposalLog::open(&path, 3).unwrap().1.is_empty());

        let mut bytes = std::fs::read(&path).unwrap();
        let second = record_of(&stored(2, 0, 100)).len() + 40;
        bytes[second] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(ProposalLog::open(&path, 2).unwrap().1, [stored(2, 0, 100)]);
    }
}
