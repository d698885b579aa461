//! The twin of what lies on data miners: segments of packs, and the files of the chain that keep them.
//!
//! Owns bytes. A segment is kept by every file that holds it, and without one as long as its pack may still become a file. Invariant: what
//! a file was removed from is gone for good; who reads it hears so.

use super::{sometimes::Sometimes, witness::Witness};
use crate::machine::{Dice, now, until};
use bytes::Bytes;
use cess::{
    access::blobs::{BlobError, PackId, Piece, Scope},
    crypto::hash,
    ledger::manifest::SegmentEntry,
    types::{Address, FileId, FragmentId, SegmentId},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot};

/// What a reader of removed bytes is told.
pub const GONE: &str = "is gone for good";

/// How long a file takes to become final, milliseconds.
const FINALITY_MS: (u64, u64) = (100, 900);
/// A segment on its way, milliseconds.
const SEGMENT_MS: (u64, u64) = (2, 60);
/// Patience of one who reaches nobody.
const DIAL: Duration = Duration::from_millis(700);

/// Data miners and the chain's files.
pub struct Depot {
    outside: Handle,
    witness: Arc<Witness>,
    dice: Mutex<Dice>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    packs: u64,
    tables: u64,
    segments: BTreeMap<(PackId, u32), Segment>,
    files: BTreeMap<FileId, File>,
    cut: BTreeSet<usize>,
}

struct Segment {
    bytes: Bytes,
    /// Whether a record names it, or named it before it was let go.
    recorded: bool,
}

/// A file of the chain.
enum File {
    Pack {
        scope: Scope,
        pack: PackId,
        segments: BTreeSet<u32>,
        /// Whether the bucket's records were told of it.
        told: bool,
    },
    Table {
        bytes: Bytes,
    },
}

/// What is left of a scope when nothing should be.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Files that records were told of, and whose every segment they named once.
    pub leaked: Vec<FileId>,
    /// Files that no record was told of, that hold something none ever named, or are a second file of their pack: for who looks
    /// through all files of an account.
    pub orphans: usize,
}

impl Depot {
    /// One that holds nothing.
    pub fn new(seed: u64, witness: Arc<Witness>) -> Arc<Self> {
        let (outside, dice) = (Handle::current(), Mutex::new(Dice::new(seed, "depot")));
        Arc::new(Self { outside, witness, dice, state: Mutex::default() })
    }

    /// Cuts a gateway off, or connects it again.
    pub fn cut(&self, gateway: usize, cut: bool) {
        let cuts = &mut self.state.lock().cut;
        if cut {
            cuts.insert(gateway)
        } else {
            cuts.remove(&gateway)
        };
    }

    /// The id of a new pack.
    pub fn open(&self) -> PackId {
        let mut state = self.state.lock();
        state.packs += 1;
        let digest = hash::tagged("cess 2026 simulated pack", &[&state.packs.to_le_bytes()]);
        PackId(*digest.first_chunk().expect("a digest is longer than an id"))
    }

    /// Waits as somebody who pushes or fetches one segment.
    pub async fn travel(&self, gateway: usize) -> Result<(), String> {
        let pause = self.dice.lock().millis(SEGMENT_MS.0, SEGMENT_MS.1);
        until(now() + pause).await;
        if self.state.lock().cut.contains(&gateway) {
            until(now() + DIAL).await;
            return Err("no miner answers".to_owned());
        }
        Ok(())
    }

    /// Puts a segment into a pack.
    pub fn put(&self, pack: PackId, index: u32, bytes: Bytes) -> SegmentEntry {
        let len = u32::try_from(bytes.len()).expect("segments are small here");
        let id = SegmentId(hash::content(&bytes));
        let fragments = std::array::from_fn(|column| {
            FragmentId(hash::tagged("cess 2026 simulated fragment", &[&id.0, &column.to_le_bytes()]))
        });
        self.state.lock().segments.insert((pack, index), Segment { bytes, recorded: false });
        SegmentEntry { id, len, fragments }
    }

    /// Bytes of a segment.
    pub fn segment(&self, pack: PackId, index: u32) -> Result<Bytes, BlobError> {
        let state = self.state.lock();
        let held = state.segments.get(&(pack, index)).map(|segment| segment.bytes.clone());
        held.ok_or_else(|| BlobError::Fetch(format!("segment {index} of pack {pack} {GONE}")))
    }

    /// A bucket's records name these pieces, or have let them go.
    pub fn recorded<'a>(&self, pieces: impl IntoIterator<Item = &'a Piece>) {
        let mut state = self.state.lock();
        for Piece { extent, .. } in pieces {
            if let Some(segment) = state.segments.get_mut(&(extent.pack, extent.index)) {
                segment.recorded = true;
            }
        }
    }

    /// A bucket's records know of a file.
    pub fn told(&self, file: FileId) {
        if let Some(File::Pack { told, .. }) = self.state.lock().files.get_mut(&file) {
            *told = true;
        }
    }

    /// Makes a file of segments of a pack. Done once sent, whether or not the sender lives to hear of it.
    pub async fn store(
        self: &Arc<Self>,
        gateway: usize,
        scope: Scope,
        pack: PackId,
        segments: BTreeSet<u32>,
    ) -> Result<FileId, BlobError> {
        let listed: Vec<u8> = segments.iter().flat_map(|index| index.to_le_bytes()).collect();
        let file = FileId(hash::tagged("cess 2026 simulated file", &[&pack.0, &listed]));
        let stored = self.execute(gateway, move |state| {
            if segments.is_empty() || !segments.iter().all(|index| state.segments.contains_key(&(pack, *index))) {
                return Err(BlobError::Store(format!("a segment of pack {pack} {GONE}")));
            }
            state.files.entry(file).or_insert(File::Pack { scope, pack, segments, told: false });
            Ok(file)
        });
        stored.await?
    }

    /// Whether there is a file.
    pub fn has(&self, file: FileId) -> bool {
        self.state.lock().files.contains_key(&file)
    }

    /// Makes a file of its own of some bytes.
    pub async fn store_table(self: &Arc<Self>, gateway: usize, bytes: Bytes) -> Result<FileId, BlobError> {
        let stored = self.execute(gateway, move |state| {
            state.tables += 1;
            let file = FileId(hash::tagged("cess 2026 simulated table", &[&state.tables.to_le_bytes()]));
            state.files.insert(file, File::Table { bytes });
            file
        });
        stored.await
    }

    /// Bytes of such a file.
    pub fn table(&self, file: FileId, range: Range<u64>) -> Result<Bytes, BlobError> {
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        match self.state.lock().files.get(&file) {
            Some(File::Table { bytes }) => Ok(bytes.slice(bound(range.start)..bound(range.end))),
            _ => Err(BlobError::Fetch(format!("file {file} {GONE}"))),
        }
    }

    /// Removes a file, and what no other file keeps.
    pub async fn remove(self: &Arc<Self>, gateway: usize, owner: Address, file: FileId) -> Result<(), BlobError> {
        let removed = self.execute(gateway, move |state| match state.files.get(&file) {
            Some(File::Pack { scope, .. }) if scope.owner() != owner => Err(BlobError::Ledger {
                what: format!("the removal of file {file}"),
                reason: "it belongs to another account".to_owned(),
            }),
            _ => {
                state.remove(file);
                Ok(())
            }
        });
        removed.await?
    }

    /// Files of packs there are.
    pub fn pack_files(&self) -> usize {
        self.state.lock().files.values().filter(|file| matches!(file, File::Pack { .. })).count()
    }

    /// What is there although every record has let everything go.
    pub fn leftovers(&self) -> Leftovers {
        let state = self.state.lock();
        let mut left = Leftovers::default();
        for (id, file) in &state.files {
            let File::Pack { pack, segments, told, .. } = file else { continue };
            let recorded = |index: &u32| state.segments.get(&(*pack, *index)).is_none_or(|segment| segment.recorded);
            let only = state.files.values().filter(|other| other.is_of(*pack)).count() == 1;
            if *told && only && segments.iter().all(recorded) {
                left.leaked.push(*id);
            } else {
                left.orphans += 1;
            }
        }
        left
    }

    /// Tables that none of `names` stands for.
    pub fn unnamed_tables(&self, names: &[Vec<u8>]) -> usize {
        let state = self.state.lock();
        let tables = state.files.iter().filter(|(_, file)| matches!(file, File::Table { .. })).map(|(id, _)| id);
        let named = |id: &&FileId| names.iter().any(|value| value.windows(id.0.len()).any(|window| *window == id.0));
        tables.filter(|id| !named(id)).count()
    }

    async fn execute<T: Send + 'static>(
        self: &Arc<Self>,
        gateway: usize,
        execute: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, BlobError> {
        let unreached = |reason: &str| BlobError::Ledger { what: "a file".to_owned(), reason: reason.to_owned() };
        self.travel(gateway).await.map_err(|reason| unreached(&reason))?;
        let [there, back] = {
            let mut dice = self.dice.lock();
            [(); 2].map(|()| dice.millis(FINALITY_MS.0, FINALITY_MS.1) / 2)
        };
        let (tell, told) = oneshot::channel();
        let depot = self.clone();
        self.outside.spawn(async move {
            until(now() + there).await;
            let outcome = execute(&mut depot.state.lock());
            until(now() + back).await;
            // Whoever sent it may be gone.
            let _ = tell.send(outcome);
        });
        told.await.map_err(|_| unreached("it is not final in time"))
    }

    /// Notes that something was counted.
    pub fn count(&self, what: Sometimes) {
        self.witness.count(what);
    }
}

impl State {
    fn remove(&mut self, file: FileId) {
        let Some(File::Pack { pack, segments, .. }) = self.files.remove(&file) else { return };
        let kept: BTreeSet<u32> = self.files.values().filter_map(|other| other.of(pack)).flatten().copied().collect();
        for index in segments.difference(&kept) {
            self.segments.remove(&(pack, *index));
        }
    }
}

impl File {
    fn of(&self, wanted: PackId) -> Option<&BTreeSet<u32>> {
        match self {
            Self::Pack { pack, segments, .. } if *pack == wanted => Some(segments),
            _ => None,
        }
    }

    fn is_of(&self, pack: PackId) -> bool {
        self.of(pack).is_some()
    }
}
