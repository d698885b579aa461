//! The index: a history of files, repairs and tags, read after a restart, and what it forgets.

use super::*;
use crate::{
    client::{EventBatch, EventStep},
    codec,
    kv::Column,
    ledger::manifest::{Manifest, SegmentEntry},
    types::{FileId, FragmentId, SegmentId, U256},
};
use std::collections::BTreeMap;

/// Rounds as these histories count them: 20 blocks, 8 of which take proofs.
fn params() -> Params {
    let (audit_round_blocks, audit_answer_blocks, audit_prove_blocks, audit_appeal_blocks) = (20, 3, 8, 20);
    Params { audit_round_blocks, audit_answer_blocks, audit_prove_blocks, audit_appeal_blocks, ..Params::dev() }
}

/// An index with its database.
struct World {
    kv: Arc<MemoryKv>,
    index: HoldingsIndex,
}

impl World {
    fn new() -> Self {
        let kv = Arc::new(MemoryKv::new());
        let index = HoldingsIndex::open(kv.clone(), B256::repeat_byte(1), params()).unwrap();
        Self { kv, index }
    }

    fn reopened(self) -> Self {
        let index = HoldingsIndex::open(self.kv.clone(), B256::repeat_byte(1), params()).unwrap();
        Self { index, ..self }
    }

    /// One block with these events.
    fn block(&self, height: Height, events: Vec<ChainEvent>) {
        let events = events.into_iter().map(|event| (B256::ZERO, event)).collect();
        let from = self.index.height().unwrap() + 1;
        self.index.apply(&EventStep { from, to: height, batches: vec![EventBatch { height, events }] }).unwrap();
    }

    /// Bytes of fragments `miner` is audited about, and tagged ones of each epoch.
    fn audited(&self, miner: Address, round: u64) -> (usize, BTreeMap<u64, usize>) {
        let audited = self.index.audited(&miner, round).unwrap();
        assert!(audited.fragments.is_sorted_by(|a, b| a.id < b.id));
        (audited.fragments.len(), audited.tagged.iter().map(|(epoch, held)| (*epoch, held.len())).collect())
    }
}

fn miner(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn stored(seed: u8) -> (FileId, ChainEvent) {
    let manifest = small_file(seed, 5_000).0;
    let (id, bytes) = (manifest.id(), codec::encode(&manifest).into());
    let holders = (0..12).map(miner).collect();
    (id, ChainEvent::FileStored { id, owner: miner(99), size: 5_000, holders, manifest: bytes })
}

fn tagged(file: FileId, epoch: u64, columns: u16) -> ChainEvent {
    ChainEvent::FileTagged { file, epoch, worker: miner(98), columns }
}

fn opened(epoch: u64) -> ChainEvent {
    let key = crate::proofs::podr2::TaggerKey::derive(&[7; 32]).public().encode();
    ChainEvent::EpochOpened { epoch, opener: miner(98), key: key.to_vec().into(), srs: Default::default() }
}

fn repaired(file: FileId, column: u8, from: u8, to: u8) -> ChainEvent {
    ChainEvent::RepairCompleted { file, column, to: miner(to), from: miner(from), bounty: U256::ZERO }
}

fn deleted(id: FileId) -> ChainEvent {
    ChainEvent::FileDeleted { id, size: 5_000, holders: (0..12).map(miner).collect() }
}

#[test]
fn a_round_is_about_what_was_there_before_it_opened() {
    let world = World::new();
    let ((one, store_one), (two, store_two)) = (stored(1), stored(2));
    world.block(39, vec![store_one, opened(0)]);
    world.block(40, vec![store_two]);
    // Round 2 opens with block 40: what happens in it belongs to the next.
    assert_eq!(world.audited(miner(3), 2), (1, BTreeMap::new()));
    world.block(41, vec![tagged(one, 0, 0b1000), deleted(two)]);
    assert_eq!(world.audited(miner(3), 2), (1, BTreeMap::new()), "the past does not change");
    assert_eq!(world.audited(miner(3), 3), (1, BTreeMap::from([(0, 1)])));
    assert_eq!(world.audited(miner(4), 3), (1, BTreeMap::new()), "only column 3 has tags");
    // What is given up while a round runs is still due in it.
    world.block(60, vec![deleted(one)]);
    assert_eq!(world.audited(miner(3), 3), (1, BTreeMap::from([(0, 1)])));
    assert_eq!(world.audited(miner(3), 4), (0, BTreeMap::new()));
}

#[test]
fn equal_fragments_of_two_files_are_one() {
    let world = World::new();
    let whole = SegmentEntry {
        id: SegmentId([1; 32]),
        len: 32 << 20,
        fragments: std::array::from_fn(|column| FragmentId([column as u8; 32])),
    };
    let rest = small_file(1, 5_000).0.segments.remove(0);
    let one = Manifest { size: 32 << 20, segments: vec![whole.clone()] };
    let two = Manifest { size: (32 << 20) + 5_000, segments: vec![whole, rest] };
    for manifest in [&one, &two] {
        let (id, bytes) = (manifest.id(), codec::encode(manifest).into());
        let (owner, size, holders) = (miner(99), manifest.size, (0..12).map(miner).collect());
        let height = world.index.height().unwrap() + 1;
        world.block(height, vec![ChainEvent::FileStored { id, owner, size, holders, manifest: bytes }]);
    }
    assert_eq!(world.audited(miner(0), 1), (2, BTreeMap::new()));
    world.block(5, vec![deleted(two.id())]);
    assert_eq!(world.audited(miner(0), 1), (1, BTreeMap::new()));
}

#[test]
fn repairs_move_columns_and_lose_tags() {
    let world = World::new();
    let (file, store) = stored(1);
    world.block(10, vec![store, opened(0)]);
    world.block(15, vec![tagged(file, 0, 0xfff)]);
    assert_eq!(world.index.untagged(None, 10).unwrap(), []);
    world.block(30, vec![repaired(file, 5, 5, 50)]);
    assert_eq!(world.audited(miner(5), 1), (1, BTreeMap::from([(0, 1)])));
    assert_eq!(world.audited(miner(5), 2), (0, BTreeMap::new()));
    assert_eq!(world.audited(miner(50), 2), (1, BTreeMap::new()), "the new holder's column has no tags");
    assert_eq!(world.index.untagged(None, 10).unwrap(), [(30, file)]);
    let entry = world.index.file(&file).unwrap().unwrap();
    assert_eq!((entry.untagged(), entry.holders()[5]), (vec![5], miner(50)));
    world.block(45, vec![tagged(file, 0, 1 << 5)]);
    assert_eq!(world.index.untagged(None, 10).unwrap(), []);
    assert_eq!(world.audited(miner(50), 3), (1, BTreeMap::from([(0, 1)])));
}

#[test]
fn a_suspended_epoch_is_not_due_and_its_columns_wait() {
    let world = World::new();
    let (file, store) = stored(1);
    world.block(10, vec![store, opened(0)]);
    world.block(15, vec![tagged(file, 0, 0xfff)]);
    assert_eq!(world.index.open_epoch().unwrap().map(|epoch| epoch.number), Some(0));
    // Round 1 opens with block 20 and takes proofs until 28; round 2 until 48.
    world.block(48, vec![ChainEvent::EpochSuspended { epoch: 0 }]);
    assert_eq!(world.audited(miner(0), 1).1, BTreeMap::from([(0, 1)]));
    assert_eq!(world.audited(miner(0), 2).1, BTreeMap::new());
    assert_eq!(world.index.untagged(None, 10).unwrap(), [(48, file)]);
    assert!(world.index.open_epoch().unwrap().is_none());
    world.block(50, vec![opened(1), tagged(file, 1, 0xfff)]);
    assert_eq!(world.audited(miner(0), 3).1, BTreeMap::from([(1, 1)]));
    world.block(52, vec![ChainEvent::EpochClosed { epoch: 1 }]);
    assert!(world.index.open_epoch().unwrap().is_none());
    assert_eq!(world.audited(miner(0), 3).1, BTreeMap::from([(1, 1)]), "tags of a closed epoch count");
}

#[test]
fn tags_of_an_epoch_long_past_are_made_anew_and_count_until_then() {
    let world = World::new();
    let ((one, store_one), (two, store_two)) = (stored(1), stored(2));
    world.block(10, vec![store_one, store_two, opened(0)]);
    world.block(15, vec![tagged(one, 0, 0xfff), tagged(two, 0, 0xff0)]);
    world.block(16, vec![opened(1), tagged(two, 1, 0x00f)]);
    (2..48).for_each(|epoch| world.block(15 + epoch, vec![opened(epoch)]));
    assert_eq!(world.index.untagged(None, 10).unwrap(), []);
    world.block(70, vec![opened(48)]);
    let mut both = vec![(70, one), (70, two)];
    both.sort_unstable_by_key(|(_, file)| file.0);
    assert_eq!(world.index.untagged(None, 10).unwrap(), both);
    let waits = |file: &FileId| world.index.file(file).unwrap().unwrap().untagged();
    assert_eq!((waits(&one).len(), waits(&two)), (12, (4..12).collect()));
    // Round 4 opens with block 80: the old tags are still what it is about.
    assert_eq!(world.audited(miner(5), 4).1, BTreeMap::from([(0, 2)]));
    world.block(75, vec![tagged(one, 48, 0xfff)]);
    assert_eq!(world.audited(miner(5), 4).1, BTreeMap::from([(0, 1), (48, 1)]));
    assert_eq!(world.index.untagged(None, 10).unwrap(), [(70, two)]);
}

#[test]
fn a_restart_and_a_repeated_step_change_nothing() {
    let world = World::new();
    let (file, store) = stored(1);
    let history = [
        (
            10,
            vec![
                store,
                opened(0),
                ChainEvent::MinerRegistered { account: miner(3), operator: miner(3), capacity: 1, name: "m".into() },
            ],
        ),
        (15, vec![tagged(file, 0, 0xfff)]),
        (30, vec![repaired(file, 5, 5, 50), deleted(file)]),
    ];
    history.iter().for_each(|(height, events)| world.block(*height, events.clone()));
    let contents = |world: &World| world.kv.scan(Column::Holdings, &[], &[], 10_000).unwrap();
    let before = contents(&world);
    let world = world.reopened();
    assert_eq!((world.index.height().unwrap(), contents(&world) == before), (30, true));
    // A step whose cursor was lost is seen again, from its beginning.
    world.index.set_height(9).unwrap();
    history.iter().for_each(|(height, events)| world.block(*height, events.clone()));
    assert!(contents(&world) == before);
    assert_eq!(world.index.miners(1, None).unwrap(), [miner(3)]);
    assert!(world.index.miners(1, Some(miner(3))).unwrap().is_empty());
    assert!(world.index.miners(0, None).unwrap().is_empty());
    let other = HoldingsIndex::open(world.kv.clone(), B256::repeat_byte(2), params()).err().unwrap();
    assert!(other.to_string().starts_with("the index of holdings belongs to the chain with genesis 0x0101"));
}

#[test]
fn what_no_round_needs_is_forgotten() {
    let world = World::new();
    let (file, store) = stored(1);
    let answered = ChainEvent::Answered { miner: miner(3), round: 1, spot: B256::repeat_byte(1), idle: B256::ZERO };
    world.block(10, vec![store.clone()]);
    world.block(21, vec![answered]);
    world.index.keep_bytes(1, &miner(3), 0, b"openings").unwrap();
    world.block(30, vec![deleted(file)]);
    let records = || world.kv.scan(Column::Holdings, &[], &[], 10_000).unwrap().len();
    assert_eq!(world.audited(miner(3), 1), (1, BTreeMap::new()));
    assert!(world.index.round(1, &miner(3)).unwrap().answered.is_some());
    // Three appeal periods and two rounds later.
    world.block(200, vec![]);
    assert_eq!(world.index.round(1, &miner(3)).unwrap(), RoundEntry::default());
    assert_eq!(world.index.kept_bytes(1, &miner(3), 0).unwrap(), None);
    assert_eq!(records(), 1, "only the cursor is left");
    // A file that is stored again keeps its manifest.
    world.block(201, vec![store.clone()]);
    world.block(202, vec![deleted(file), store]);
    world.block(400, vec![]);
    assert_eq!(world.audited(miner(3), 20), (1, BTreeMap::new()));
}

#[test]
fn encodings_are_stable() {
    use super::super::records::*;
    use crate::codec::golden::check;
    check(&FileEntry { holders: [[1; 20]; 12], since: [2; 12], tagged: [Some(3); 12], untagged_since: Some(4) });
    check(&Hold { column: 1, until: Some(2), tags: vec![(3, 4)] });
    check(&EpochEntry { key: vec![1; 192], open: true, suspended: Some(2) });
    check(&RoundEntry { answered: Some(([1; 32], [2; 32])), proven: Some(vec![(3, vec![4; 2])]), decided: Some(5) });
    check(&BatchEntry { height: 1, first: 2, commitments: vec![vec![3]], voted: true });
    check(&Restored { height: 1 });
    check(&AppealEntry { miner: [1; 20], round: 2, height: 3, ruled: true });
    check(&OwnVote { verdict: 1, certain: 7, appealed: true });
}
