//! Storing, sharing and deleting files; every refusal.

mod charges;
mod operators;

use super::*;
use crate::{
    codec,
    crypto::{SecretKey, native_address},
    ledger::{
        abi::{
            IFiles::{countOfCall, getCall, listOfCall, removeCall, storeCall, totalsCall},
            IMiners, ITerritory, MINERS, TERRITORY,
        },
        manifest::SegmentEntry,
        modules::testing::{CHAIN, TestHost, assert_reverts},
    },
    types::{Amount, FragmentId, SegmentId},
};
use alloy_primitives::address;
use std::collections::BTreeMap;

const ALICE: Address = address!("a11ce00000000000000000000000000000000000");
const BOB: Address = address!("b0b0000000000000000000000000000000000000");
const MINER_BYTES: u64 = 1 << 20;
/// Bytes of ALICE's and of BOB's territory, numbers 1 and 2.
const LEASED: u64 = 64 << 20;
const HEIGHT: Height = 20;

/// A chain at [`HEIGHT`] with `miners` registered at height 0, and their keys.
struct World {
    host: TestHost,
    keys: BTreeMap<Address, SecretKey>,
}

impl World {
    fn new(miners: u8) -> Self {
        let mut world = Self { host: TestHost::new(), keys: BTreeMap::new() };
        (1..=miners).for_each(|tag| world.register(tag));
        world.lease(ALICE, "alice");
        world.lease(BOB, "bob");
        world.host.advance_to(HEIGHT);
        world
    }

    fn register(&mut self, tag: u8) {
        let key = SecretKey::from_bytes(&[tag; 32]);
        let account = native_address(&key.public());
        let call = IMiners::registerCall {
            operator: account,
            networkKey: B256::repeat_byte(tag),
            accountKey: key.public().0.into(),
            prefix: u32::from(tag),
            capacity: MINER_BYTES,
            name: format!("miner {tag}"),
        };
        self.host.fund(account, 1);
        self.host.call(account, MINERS, Amount::tokens(1).0, &call).unwrap();
        self.keys.insert(account, key);
    }

    /// A territory for a year of days.
    fn lease(&mut self, owner: Address, name: &str) -> u64 {
        self.host.fund(owner, 23);
        let call = ITerritory::mintCall { size: LEASED, leaseDays: 365, name: name.into() };
        self.host.call(owner, TERRITORY, Amount::tokens(23).0, &call).unwrap()
    }

    fn ranked(&mut self, manifest: &Manifest, height: Height) -> Vec<Address> {
        let beacon = staking::beacon(&mut self.host, height).unwrap();
        let candidates = miners::candidates(&mut self.host).unwrap();
        let seed = placement::seed(&beacon, &manifest.segments[0].id);
        placement::rank(&seed, height, &candidates, &self.host.params)
    }

    /// A call that passes every check.
    fn deposit(&mut self, manifest: &Manifest) -> storeCall {
        let holders = self.ranked(manifest, HEIGHT)[..FRAGMENTS].to_vec();
        self.signed(manifest, holders)
    }

    fn signed(&self, manifest: &Manifest, holders: Vec<Address>) -> storeCall {
        let sign = |(index, holder): (u8, &Address)| {
            let message = receipt_message(CHAIN, manifest.id(), index, *holder);
            self.keys.get(holder).map_or_else(Bytes::new, |key| key.sign(&message).0.to_vec().into())
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        storeCall { manifest: codec::encode(manifest).into(), beaconHeight: HEIGHT, holders, receipts }
    }

    fn store(&mut self, owner: Address, call: &storeCall) -> Result<FileId, ModuleError> {
        self.host.call(owner, FILES, U256::ZERO, call).map(FileId::from)
    }

    fn remove(&mut self, owner: Address, id: FileId) -> Result<(), ModuleError> {
        self.host.call(owner, FILES, U256::ZERO, &removeCall { id: id.into() }).map(|_| ())
    }

    fn file(&mut self, id: FileId) -> Result<IFiles::File, ModuleError> {
        self.host.view(FILES, &getCall { id: id.into() })
    }

    fn list(&mut self, owner: Address) -> Vec<FileId> {
        let call = listOfCall { owner, skip: 0, limit: u64::MAX };
        self.host.view(FILES, &call).unwrap().into_iter().map(FileId::from).collect()
    }

    fn held(&mut self, account: Address) -> Vec<FileId> {
        let call = IMiners::holdingsCall { account, skip: 0, limit: u64::MAX };
        self.host.view(MINERS, &call).unwrap().into_iter().map(FileId::from).collect()
    }

    fn used(&mut self, account: Address) -> u64 {
        self.host.view(MINERS, &IMiners::getCall { account }).unwrap().used
    }
}

fn manifest(tag: u8, size: u32) -> Manifest {
    let fragments = std::array::from_fn(|index| FragmentId([tag ^ u8::try_from(index).unwrap(); 32]));
    let segment = SegmentEntry { id: SegmentId([tag; 32]), len: size, fragments };
    Manifest { size: u64::from(size), segments: vec![segment] }
}

#[test]
fn a_stored_file_is_active_and_takes_space_from_its_holders() {
    let mut world = World::new(14);
    let manifest = manifest(1, 4_000);
    let call = world.deposit(&manifest);
    let id = world.store(ALICE, &call).unwrap();
    assert_eq!(id, manifest.id());
    let expected = IFiles::FileStored {
        id: id.into(),
        owner: ALICE,
        size: 4_000,
        holders: call.holders.clone(),
        manifest: call.manifest.clone(),
    };
    assert_eq!(world.host.last_event::<IFiles::FileStored>(), expected);
    let file = world.file(id).unwrap();
    assert_eq!((file.owners, file.holders), (vec![ALICE], call.holders.clone()));
    assert_eq!((file.size, file.segments, file.storedAt), (4_000, 1, HEIGHT));
    assert_eq!((world.used(call.holders[0]), world.held(call.holders[0])), (1_024, vec![id]));
    assert_eq!(world.list(ALICE), [id]);
    let totals = world.host.view(FILES, &totalsCall {}).unwrap();
    assert_eq!((totals.files, totals.bytes_), (1, U256::from(4_000)));
}

#[test]
fn a_second_owner_needs_no_receipts_and_the_last_one_deletes() {
    let mut world = World::new(12);
    let call = world.deposit(&manifest(1, 4_000));
    let id = world.store(ALICE, &call).unwrap();
    assert_reverts(world.store(ALICE, &call), IFiles::AlreadyOwner { id: id.into(), account: ALICE });
    let again = storeCall { holders: vec![], receipts: vec![], beaconHeight: u64::MAX, ..call.clone() };
    assert_eq!(world.store(BOB, &again), Ok(id));
    assert_eq!(world.host.last_event::<IFiles::OwnerAdded>(), IFiles::OwnerAdded { id: id.into(), owner: BOB });
    assert_eq!(world.used(call.holders[3]), 1_024);

    world.remove(ALICE, id).unwrap();
    assert_eq!(world.host.last_event::<IFiles::OwnerRemoved>(), IFiles::OwnerRemoved { id: id.into(), owner: ALICE });
    assert_eq!(world.file(id).unwrap().owners, [BOB]);
    assert_reverts(world.remove(ALICE, id), IFiles::NotOwner { id: id.into(), account: ALICE });
    world.remove(BOB, id).unwrap();
    let expected = IFiles::FileDeleted { id: id.into(), size: 4_000, holders: call.holders.clone() };
    assert_eq!(world.host.last_event::<IFiles::FileDeleted>(), expected);
    assert_reverts(world.file(id), IFiles::UnknownFile { id: id.into() });
    assert_reverts(world.remove(BOB, id), IFiles::UnknownFile { id: id.into() });
    for holder in &call.holders {
        assert_eq!((world.used(*holder), world.held(*holder)), (0, vec![]));
    }
    assert!(world.host.storage[&FILES].is_empty(), "a deleted file leaves slots behind");
    assert_eq!(world.store(ALICE, &call), Ok(id));
}

#[test]
fn owners_lists_survive_removal_in_any_order() {
    let mut world = World::new(12);
    let ids: Vec<FileId> = (1..=4)
        .map(|tag| {
            let call = world.deposit(&manifest(tag, 100));
            world.store(BOB, &call).unwrap();
            world.store(ALICE, &call).unwrap()
        })
        .collect();
    world.remove(ALICE, ids[0]).unwrap();
    assert_eq!(world.list(ALICE), [ids[3], ids[1], ids[2]]);
    world.remove(BOB, ids[3]).unwrap();
    world.remove(ALICE, ids[3]).unwrap();
    world.remove(ALICE, ids[1]).unwrap();
    assert_eq!(world.list(ALICE), [ids[2]]);
    assert_eq!(world.list(BOB), [ids[0], ids[1], ids[2]]);
    assert_eq!(world.host.view(FILES, &countOfCall { owner: BOB }), Ok(3));
    let page = world.host.view(FILES, &listOfCall { owner: BOB, skip: 1, limit: 1 }).unwrap();
    assert_eq!(page, [B256::from(ids[1])]);
}

#[test]
fn holdings_and_their_places_survive_removal_in_any_order() {
    let mut world = World::new(12);
    let ids: Vec<FileId> = (1..=4)
        .map(|tag| {
            let call = world.deposit(&manifest(tag, 100));
            world.store(ALICE, &call).unwrap()
        })
        .collect();
    let holder = world.file(ids[0]).unwrap().holders[0];
    world.remove(ALICE, ids[1]).unwrap();
    assert_eq!(world.held(holder), [ids[0], ids[3], ids[2]]);
    world.remove(ALICE, ids[3]).unwrap();
    assert_eq!(world.held(holder), [ids[0], ids[2]]);
    world.remove(ALICE, ids[2]).unwrap();
    world.remove(ALICE, ids[0]).unwrap();
    for account in world.keys.keys().copied().collect::<Vec<_>>() {
        assert_eq!((world.held(account), world.used(account)), (vec![], 0));
    }
}

#[test]
fn who_leaves_is_not_placed() {
    let mut world = World::new(13);
    let manifest = manifest(1, 4_000);
    let call = world.deposit(&manifest);
    let gone = call.holders[4];
    world.host.call(gone, MINERS, U256::ZERO, &IMiners::exitCall {}).unwrap();
    let refused = IFiles::HolderNotPlaced { index: U256::from(4), holder: gone };
    assert_reverts(world.store(ALICE, &call), refused);
    assert!(!world.ranked(&manifest, HEIGHT).contains(&gone));
}

#[test]
fn holders_must_be_placed() {
    let mut world = World::new(19);
    let manifest = manifest(1, 4_000);
    let ranked = world.ranked(&manifest, HEIGHT);
    assert_eq!(ranked.len(), placement::RANKED_MAX);
    let holders = ranked[6..].iter().rev().copied().collect();
    let call = world.signed(&manifest, holders);
    let mut skipped = world.host.clone();
    skipped.call(ALICE, FILES, U256::ZERO, &call).unwrap();

    let unranked = *world.keys.keys().find(|account| !ranked.contains(account)).unwrap();
    for (index, holder) in [(11, unranked), (5, BOB), (1, ranked[0])] {
        let mut holders = ranked[..FRAGMENTS].to_vec();
        holders[index] = holder;
        let call = world.signed(&manifest, holders);
        let expected = IFiles::HolderNotPlaced { index: U256::from(index), holder };
        assert_reverts(world.store(ALICE, &call), expected);
    }
    let call = world.signed(&manifest, ranked[..11].to_vec());
    let (given, required) = (U256::from(11), U256::from(12));
    assert_reverts(world.store(ALICE, &call), IFiles::HolderCount { given, required });
}

#[test]
fn a_miner_that_joined_after_the_beacon_is_not_placed() {
    let mut world = World::new(12);
    world.register(13);
    world.host.advance_to(HEIGHT + 1);
    let late = *world.keys.iter().find(|(_, key)| *key.to_bytes() == [13; 32]).unwrap().0;
    let manifest = manifest(1, 4_000);
    let at = |world: &mut World, height| world.ranked(&manifest, height).contains(&late);
    assert!(!at(&mut world, HEIGHT - 1));
    assert!(at(&mut world, HEIGHT));
}

#[test]
fn every_receipt_is_checked() {
    let mut world = World::new(12);
    let manifest = manifest(1, 4_000);
    let good = world.deposit(&manifest);
    let refused = |world: &mut World, index: usize, receipt: Bytes| {
        let mut call = good.clone();
        call.receipts[index] = receipt;
        let expected = IFiles::ReceiptInvalid { index: U256::from(index), holder: call.holders[index] };
        assert_reverts(world.store(ALICE, &call), expected);
    };
    refused(&mut world, 4, good.receipts[5].clone());
    refused(&mut world, 0, Bytes::new());
    refused(&mut world, 11, good.receipts[11].slice(..63));
    refused(&mut world, 7, Bytes::from(vec![0xff; 64]));
    let short = storeCall { receipts: good.receipts[..11].to_vec(), ..good.clone() };
    let missing = IFiles::ReceiptInvalid { index: U256::from(11), holder: good.holders[11] };
    assert_reverts(world.store(ALICE, &short), missing);
    let long = storeCall { receipts: [good.receipts.clone(), vec![Bytes::new()]].concat(), ..good };
    let surplus = IFiles::ReceiptInvalid { index: U256::from(12), holder: Address::ZERO };
    assert_reverts(world.store(ALICE, &long), surplus);
}

#[test]
fn a_full_holder_is_named_with_what_it_has_left() {
    let mut world = World::new(12);
    let big = manifest(1, 4 * 1_000_000);
    let call = world.deposit(&big);
    world.store(ALICE, &call).unwrap();
    let next = manifest(2, 4 * 100_000);
    let call = world.deposit(&next);
    let (free, needed) = (MINER_BYTES - big.column_bytes(), next.column_bytes());
    assert_reverts(world.store(ALICE, &call), IFiles::HolderFull { holder: call.holders[0], free, needed });
    assert_eq!(world.used(call.holders[0]), big.column_bytes());
}

#[test]
fn only_beacons_within_the_window_count() {
    let mut world = World::new(12);
    let manifest = manifest(1, 4_000);
    let good = world.deposit(&manifest);
    let refused = |world: &mut World, height, oldest, newest| {
        let call = storeCall { beaconHeight: height, ..good.clone() };
        assert_reverts(world.store(ALICE, &call), IFiles::BeaconTooOld { height, oldest, newest });
    };
    refused(&mut world, HEIGHT + 1, 0, HEIGHT);
    let newest = HEIGHT + world.host.params.placement_window_blocks + 1;
    world.host.advance_to(newest);
    refused(&mut world, HEIGHT, HEIGHT + 1, newest);
}

#[test]
fn bad_manifests_are_refused_with_the_reason() {
    let mut world = World::new(12);
    let good = world.deposit(&manifest(1, 4_000));
    let mut wrong_size = manifest(1, 4_000);
    wrong_size.size = 5;
    let mut trailing = good.manifest.to_vec();
    trailing.push(0);
    let cases: [(Bytes, &str); 4] = [
        (Bytes::new(), "manifest is malformed: it is empty"),
        (codec::encode(&manifest(1, 0)).into(), "the file is empty, at least 1 B is required"),
        (codec::encode(&wrong_size).into(), "segments add up to 4000 B, the file is 5 B"),
        (trailing.into(), "manifest is malformed: Not all bytes read"),
    ];
    for (bytes, reason) in cases {
        let call = storeCall { manifest: bytes, ..good.clone() };
        assert_reverts(world.store(ALICE, &call), IFiles::ManifestInvalid { reason: reason.into() });
    }
}

#[test]
fn gas_grows_with_the_work_and_runs_out() {
    let (mut few, mut many) = (World::new(12), World::new(40));
    let manifest = manifest(1, 4_000);
    let cost = |world: &mut World| {
        let call = world.deposit(&manifest);
        world.store(ALICE, &call).unwrap();
        world.host.gas_used
    };
    let (small, large) = (cost(&mut few), cost(&mut many));
    assert!(large >= small + 28 * CANDIDATE_GAS, "{small} then {large}");

    let mut poor = World::new(12);
    let call = poor.deposit(&manifest);
    poor.host.gas_limit = small - 1;
    let before = poor.host.storage.clone();
    assert_eq!(poor.store(ALICE, &call), Err(ModuleError::OutOfGas));
    assert_eq!(poor.host.storage, before);
}
