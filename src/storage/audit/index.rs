//! Who holds what since when, as the chain's events tell it: what every miner had when a round opened.
//!
//! Owns the index and its reading. Must not know verdicts. Invariants: the cursor passes a height only after its events took effect, and
//! every effect may happen twice without harm; manifests and holdings stay on disk, memory holds one miner's at a time.

use super::records::{
    AppealEntry, BatchEntry, EpochEntry, FileEntry, Hold, OwnVote, RoundEntry, account_at, file_at, key, number_at,
    prefix, round_key,
};
use crate::{
    codec::{self, CodecError, Wire},
    kv::{Batch, Column, Durability, Kv, KvError},
    ledger::{
        audit::Rounds,
        manifest::{Manifest, ManifestError},
    },
    proofs::{Fragment, LengthError, podr2::GroupKey},
    storage::fragments::Cursor,
    types::{Address, B256, FileId, FragmentId, Height, Params},
};
use std::{collections::BTreeMap, sync::Arc};

/// Records read at a time.
pub(super) const PAGE_ENTRIES: usize = 256;

/// Why the index cannot say.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The database failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// A record is malformed.
    #[error(transparent)]
    Record(#[from] CodecError),
    /// A manifest the chain took cannot be read.
    #[error("the manifest of file {file}: {reason}")]
    Manifest { file: FileId, reason: ManifestError },
    /// A fragment of a manifest has a length no fragment has.
    #[error(transparent)]
    Length(#[from] LengthError),
    /// A file's manifest is not there.
    #[error("the manifest of file {0} is not in the index")]
    NoManifest(FileId),
    /// The index is of another chain.
    #[error("the index of holdings belongs to the chain with genesis {found}, this is {expected}")]
    OtherChain { found: B256, expected: B256 },
    /// The node stops.
    #[error("this node stops")]
    Stopping,
}

/// What a round is about for one miner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audited {
    /// The distinct fragments it holds, by id.
    pub fragments: Vec<Fragment>,
    /// Those with tags, by id, for each key epoch.
    pub tagged: BTreeMap<u64, Vec<Fragment>>,
}

/// A key epoch that takes new tags.
#[derive(Debug, Clone)]
pub struct OpenEpoch {
    /// Its number.
    pub number: u64,
    /// Its public key.
    pub key: GroupKey,
}

/// The key of an epoch as it was handed to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handed {
    /// The worker's key that it is sealed to.
    pub seal_key: [u8; 32],
    /// The epoch's secret, sealed.
    pub sealed: Vec<u8>,
}

/// The index. Calls block on the disk.
pub struct HoldingsIndex {
    pub(super) kv: Arc<dyn Kv>,
    pub(super) params: Params,
    genesis: B256,
}

impl HoldingsIndex {
    /// The index in `kv`, which belongs to the chain that began with `genesis`.
    pub fn open(kv: Arc<dyn Kv>, genesis: B256, params: Params) -> Result<Self, IndexError> {
        let index = Self { kv, params, genesis };
        match index.read::<Cursor>(&[prefix::CURSOR])? {
            Some(cursor) if cursor.genesis != genesis.0 => {
                Err(IndexError::OtherChain { found: cursor.genesis.into(), expected: genesis })
            }
            _ => Ok(index),
        }
    }

    /// When rounds are.
    pub fn rounds(&self) -> Rounds {
        Rounds::of(&self.params)
    }

    /// Numbers of the chain.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Height up to which every event took effect.
    pub fn height(&self) -> Result<Height, IndexError> {
        Ok(self.read::<Cursor>(&[prefix::CURSOR])?.map_or(0, |cursor| cursor.height))
    }

    pub(super) fn set_height(&self, height: Height) -> Result<(), IndexError> {
        self.write(&[prefix::CURSOR], &Cursor::new(self.genesis, height))
    }

    /// What `miner` held just before `round` opened. Tags are only due in some rounds; an epoch that is suspended before proofs end is not.
    pub fn audited(&self, miner: &Address, round: u64) -> Result<Audited, IndexError> {
        let rounds = self.rounds();
        let opened = rounds.opened_at(round);
        let (mut all, mut tagged): (Parts, BTreeMap<u64, Parts>) = Default::default();
        self.each(&key(prefix::HOLD, &[miner.as_slice()]), |key, value| {
            let hold: Hold = codec::decode(value)?;
            let (Some(file), Some(since)) = (file_at(key, 21), number_at(key, 53)) else { return Ok(()) };
            if !hold.counts(since, opened) {
                return Ok(());
            }
            let parts = self.column(&file, hold.column)?;
            if rounds.has_tags(round)
                && let Some(epoch) = hold.epoch_before(opened)
                && !self.is_suspended(epoch, round)?
            {
                tagged.entry(epoch).or_default().extend_from_slice(&parts);
            }
            all.extend(parts);
            Ok(())
        })?;
        let tagged = tagged.into_iter().map(|(epoch, parts)| Ok((epoch, distinct(parts)?)));
        Ok(Audited { fragments: distinct(all)?, tagged: tagged.collect::<Result<_, IndexError>>()? })
    }

    /// Miners that were registered before `round` opened, after `after`, at most a page of them.
    pub fn miners(&self, round: u64, after: Option<Address>) -> Result<Vec<Address>, IndexError> {
        let opened = self.rounds().opened_at(round);
        let mut from = key(prefix::MINER, &[after.unwrap_or_default().as_slice()]);
        if after.is_some() {
            from.push(0);
        }
        loop {
            let page = self.kv.scan(Column::Holdings, &[prefix::MINER], &from, PAGE_ENTRIES)?;
            let Some((last, _)) = page.last() else { return Ok(Vec::new()) };
            from = [last.as_slice(), &[0]].concat();
            let before = |value: &[u8]| number_at(value, 0).is_some_and(|since| since < opened);
            let found: Vec<Address> =
                page.iter().filter(|(_, value)| before(value)).filter_map(|(key, _)| account_at(key, 1)).collect();
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    /// Whether `miner` is registered and was not forced out.
    pub fn is_miner(&self, miner: &Address) -> Result<bool, IndexError> {
        Ok(self.kv.get(Column::Holdings, &key(prefix::MINER, &[miner.as_slice()]))?.is_some())
    }

    /// What the chain says of a miner's round.
    pub fn round(&self, round: u64, miner: &Address) -> Result<RoundEntry, IndexError> {
        Ok(self.read(&round_key(prefix::ROUND, round, miner))?.unwrap_or_default())
    }

    /// A key epoch.
    pub fn epoch(&self, epoch: u64) -> Result<Option<EpochEntry>, IndexError> {
        self.read(&key(prefix::EPOCH, &[&epoch.to_be_bytes()]))
    }

    /// Whether nothing is due under an epoch in a round: it is suspended before proofs end, or unknown.
    pub fn is_suspended(&self, epoch: u64, round: u64) -> Result<bool, IndexError> {
        let prove_until = self.rounds().prove_until(round);
        Ok(self.epoch(epoch)?.is_none_or(|entry| entry.suspended.is_some_and(|at| at <= prove_until)))
    }

    /// The key of an epoch as it was last sealed for a worker, if it was handed over.
    pub fn handed(&self, epoch: u64, worker: &Address) -> Result<Option<Handed>, IndexError> {
        let bytes = self.kv.get(Column::Holdings, &handed_key(epoch, worker))?;
        let parts = bytes.as_deref().and_then(|bytes| bytes.split_first_chunk());
        Ok(parts.map(|(seal_key, sealed)| Handed { seal_key: *seal_key, sealed: sealed.to_vec() }))
    }

    /// The epoch that takes new tags.
    pub fn open_epoch(&self) -> Result<Option<OpenEpoch>, IndexError> {
        let Some((key, value)) = self.kv.last(Column::Holdings, &[prefix::EPOCH])? else { return Ok(None) };
        let entry: EpochEntry = codec::decode(&value)?;
        let usable = entry.open && entry.suspended.is_none();
        let key = number_at(&key, 1).zip(group_key(&entry)).filter(|_| usable);
        Ok(key.map(|(number, key)| OpenEpoch { number, key }))
    }

    /// A file that is active.
    pub fn file(&self, file: &FileId) -> Result<Option<FileEntry>, IndexError> {
        self.read(&key(prefix::FILE, &[file.as_bytes()]))
    }

    /// A file's manifest.
    pub fn manifest(&self, file: &FileId) -> Result<Manifest, IndexError> {
        let bytes = self.manifest_bytes(file)?;
        Manifest::read(&bytes).map_err(|reason| IndexError::Manifest { file: *file, reason })
    }

    /// A file's manifest as the chain took it.
    pub fn manifest_bytes(&self, file: &FileId) -> Result<Vec<u8>, IndexError> {
        let bytes = self.kv.get(Column::Holdings, &key(prefix::MANIFEST, &[file.as_bytes()]))?;
        bytes.ok_or(IndexError::NoManifest(*file))
    }

    /// Files with columns that wait for tags, those that wait longest first, with the block they wait since; at most `limit` after `after`.
    pub fn untagged(&self, after: Option<(Height, FileId)>, limit: usize) -> Result<Vec<(Height, FileId)>, IndexError> {
        let from = match after {
            Some((since, file)) => [key(prefix::UNTAGGED, &[&since.to_be_bytes(), file.as_bytes()]), vec![0]].concat(),
            None => vec![prefix::UNTAGGED],
        };
        let page = self.kv.scan(Column::Holdings, &[prefix::UNTAGGED], &from, limit)?;
        Ok(page.iter().filter_map(|(key, _)| number_at(key, 1).zip(file_at(key, 9))).collect())
    }

    /// Commitments to idle space that wait, with their miner and number.
    pub fn batches(&self) -> Result<Vec<(Address, u64, BatchEntry)>, IndexError> {
        let mut found = Vec::new();
        self.each(&[prefix::BATCH], |key, value| {
            if let Some((miner, batch)) = account_at(key, 1).zip(number_at(key, 21)) {
                found.push((miner, batch, codec::decode(value)?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Notes that this node voted about a batch.
    pub fn batch_voted(&self, miner: &Address, batch: u64) -> Result<(), IndexError> {
        let key = key(prefix::BATCH, &[miner.as_slice(), &batch.to_be_bytes()]);
        match self.read::<BatchEntry>(&key)? {
            Some(entry) => self.write(&key, &BatchEntry { voted: true, ..entry }),
            None => Ok(()),
        }
    }

    /// Appeals that are open.
    pub fn appeals(&self) -> Result<Vec<(u64, AppealEntry)>, IndexError> {
        let mut found = Vec::new();
        self.each(&[prefix::APPEAL], |key, value| {
            if let Some(number) = number_at(key, 1) {
                found.push((number, codec::decode(value)?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Notes that this node ruled about an appeal.
    pub fn appeal_ruled(&self, appeal: u64) -> Result<(), IndexError> {
        let key = key(prefix::APPEAL, &[&appeal.to_be_bytes()]);
        match self.read::<AppealEntry>(&key)? {
            Some(entry) => self.write(&key, &AppealEntry { ruled: true, ..entry }),
            None => Ok(()),
        }
    }

    /// What this node voted about a miner's round.
    pub fn own_vote(&self, round: u64, miner: &Address) -> Result<Option<OwnVote>, IndexError> {
        self.read(&round_key(prefix::VOTE, round, miner))
    }

    /// Notes what this node voted.
    pub fn set_own_vote(&self, round: u64, miner: &Address, vote: &OwnVote) -> Result<(), IndexError> {
        self.write(&round_key(prefix::VOTE, round, miner), vote)
    }

    /// Everything this node voted in a round.
    pub fn own_votes(&self, round: u64) -> Result<Vec<(Address, OwnVote)>, IndexError> {
        let mut found = Vec::new();
        self.each(&key(prefix::VOTE, &[&round.to_be_bytes()]), |key, value| {
            if let Some(miner) = account_at(key, 9) {
                found.push((miner, codec::decode(value)?));
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Bytes of an answer this node based a verdict on.
    pub fn kept_bytes(&self, round: u64, miner: &Address, part: u8) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.kv.get(Column::Holdings, &bytes_key(round, miner, part))?)
    }

    /// Keeps bytes of an answer for seats that judge an appeal.
    pub fn keep_bytes(&self, round: u64, miner: &Address, part: u8, bytes: &[u8]) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.put(Column::Holdings, bytes_key(round, miner, part), bytes);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }

    /// A column's distinct fragments with their lengths.
    fn column(&self, file: &FileId, column: u8) -> Result<Parts, IndexError> {
        let manifest = self.manifest(file)?;
        let fragment = |segment: &crate::ledger::manifest::SegmentEntry| {
            segment.fragments.get(usize::from(column)).map(|id| (*id, segment.fragment_len()))
        };
        Ok(manifest.segments.iter().filter_map(fragment).collect())
    }

    /// Every record under `prefix`, in the order of keys.
    pub(super) fn each(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let mut from = prefix.to_vec();
        loop {
            let page = self.kv.scan(Column::Holdings, prefix, &from, PAGE_ENTRIES)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = [last.as_slice(), &[0]].concat();
            for (key, value) in &page {
                visit(key, value)?;
            }
        }
    }

    pub(super) fn read<T: Wire>(&self, key: &[u8]) -> Result<Option<T>, IndexError> {
        Ok(self.kv.get(Column::Holdings, key)?.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    pub(super) fn write<T: Wire>(&self, key: &[u8], value: &T) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.put(Column::Holdings, key, codec::encode(value));
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }
}

/// The public key of an epoch; the chain checked it.
pub fn group_key(entry: &EpochEntry) -> Option<GroupKey> {
    GroupKey::decode(entry.key.as_slice().try_into().ok()?).ok()
}

type Parts = Vec<(FragmentId, u64)>;

fn distinct(mut parts: Parts) -> Result<Vec<Fragment>, IndexError> {
    parts.sort_unstable();
    parts.dedup_by_key(|(id, _)| *id);
    Ok(parts.into_iter().map(|(id, len)| Fragment::new(id, len)).collect::<Result<_, _>>()?)
}

/// Key of a sealed key.
pub(super) fn handed_key(epoch: u64, worker: &Address) -> Vec<u8> {
    round_key(prefix::HANDED, epoch, worker)
}

fn bytes_key(round: u64, miner: &Address, part: u8) -> Vec<u8> {
    [round_key(prefix::BYTES, round, miner), vec![part]].concat()
}
