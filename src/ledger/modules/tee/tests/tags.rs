//! Which columns have tags.

use super::*;
use crate::{
    codec,
    ledger::{
        abi::{FILES, IFiles, IMiners, ITerritory, MINERS, TERRITORY},
        audit::tag_message,
        manifest::{Manifest, SegmentEntry},
        modules::{
            miners, staking,
            tee::{forget_column, suspend},
            testing::CHAIN,
        },
        placement,
        receipt::receipt_message,
    },
    types::{FileId, FragmentId, SegmentId, params::FRAGMENTS},
};
use std::collections::BTreeMap;

const OWNER: Address = Address::repeat_byte(0xaa);
const HEIGHT: Height = 20;
const ALL: u16 = 0xfff;

/// A chain with twelve miners, a tagger (account 1) and an open epoch.
struct World {
    host: TestHost,
    keys: BTreeMap<Address, SecretKey>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { host: TestHost::new(), keys: BTreeMap::new() };
        (101..=112).for_each(|tag| world.join(tag));
        world.host.fund(OWNER, 23);
        let lease = ITerritory::mintCall { size: 64 << 20, leaseDays: 365, name: "attic".into() };
        world.host.call(OWNER, TERRITORY, Amount::tokens(23).0, &lease).unwrap();
        world.host.advance_to(HEIGHT);
        register(&mut world.host, 1, 0);
        call(&mut world.host, account(1), &open_call(1)).unwrap();
        world
    }

    fn join(&mut self, tag: u8) {
        let key = SecretKey::from_bytes(&[tag; 32]);
        let miner = native_address(&key.public());
        let registration = IMiners::registerCall {
            operator: miner,
            networkKey: B256::repeat_byte(tag),
            accountKey: key.public().0.into(),
            prefix: u32::from(tag),
            capacity: 1 << 20,
            name: "miner".into(),
        };
        self.host.fund(miner, 1);
        self.host.call(miner, MINERS, Amount::tokens(1).0, &registration).unwrap();
        self.keys.insert(miner, key);
    }

    fn store(&mut self, tag: u8) -> FileId {
        let fragments = std::array::from_fn(|index| FragmentId([tag ^ u8::try_from(index).unwrap(); 32]));
        let segment = SegmentEntry { id: SegmentId([tag; 32]), len: 4_000, fragments };
        let manifest = Manifest { size: 4_000, segments: vec![segment] };
        let beacon = staking::beacon(&mut self.host, HEIGHT).unwrap();
        let candidates = miners::candidates(&mut self.host).unwrap();
        let seed = placement::seed(&beacon, &manifest.segments[0].id);
        let holders = placement::rank(&seed, HEIGHT, &candidates, &self.host.params)[..FRAGMENTS].to_vec();
        let sign = |(index, holder): (u8, &Address)| {
            self.keys[holder].sign(&receipt_message(CHAIN, manifest.id(), index, *holder)).0.to_vec().into()
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        let deposit =
            IFiles::storeCall { manifest: codec::encode(&manifest).into(), beaconHeight: HEIGHT, holders, receipts };
        call_files(&mut self.host, &deposit).unwrap().into()
    }

    fn receipts(&mut self, file: FileId, epoch: u64, columns: u16) -> Bytes {
        let holders = self.host.view(FILES, &IFiles::getCall { id: file.into() }).unwrap().holders;
        let key = self.host.view(TEE, &ITee::epochCall { number: epoch }).unwrap().key;
        let digest = crate::proofs::podr2::GroupKey::decode(&key[..].try_into().unwrap()).unwrap().digest();
        let of = |(column, holder): (u8, Address)| {
            self.keys[&holder].sign(&tag_message(CHAIN, file, column, holder, &digest)).0
        };
        let set = (0u8..).zip(holders).filter(|(column, _)| columns >> column & 1 == 1);
        set.flat_map(of).collect::<Vec<u8>>().into()
    }

    fn certificate(&mut self, epoch: u64, files: &[(FileId, u16)]) -> ITee::certifyCall {
        ITee::certifyCall {
            epoch,
            files: files.iter().map(|(file, _)| (*file).into()).collect(),
            columns: files.iter().map(|(_, columns)| *columns).collect(),
            receipts: files.iter().map(|(file, columns)| self.receipts(*file, epoch, *columns)).collect(),
        }
    }

    fn certify(&mut self, epoch: u64, files: &[(FileId, u16)]) {
        let certificate = self.certificate(epoch, files);
        call(&mut self.host, account(1), &certificate).unwrap();
    }

    /// Opens the next epoch when the open one is old.
    fn rotate(&mut self) {
        self.host.height += 20 * ERA;
        call(&mut self.host, account(1), &open_call(2)).unwrap();
    }

    fn refused(&mut self, certificate: &ITee::certifyCall) -> Result<(), ModuleError> {
        call(&mut self.host, account(1), certificate).map(drop)
    }

    fn columns(&mut self, epoch: u64) -> u64 {
        self.host.view(TEE, &ITee::epochCall { number: epoch }).unwrap().columns
    }

    fn tags_of(&mut self, file: FileId) -> [u64; 12] {
        self.host.view(TEE, &ITee::tagsOfCall { file: file.into() }).unwrap()
    }
}

fn call_files<C: SolCall>(host: &mut TestHost, given: &C) -> Result<C::Return, ModuleError> {
    host.call(OWNER, FILES, U256::ZERO, given)
}

#[test]
fn columns_are_tagged_in_parts_and_anew() {
    let mut world = World::new();
    let (one, two) = (world.store(1), world.store(33));
    world.certify(0, &[(one, 0b101), (two, ALL)]);
    let expected = ITee::FileTagged { file: two.into(), epoch: 0, worker: account(1), columns: ALL };
    assert_eq!(world.host.last_event::<ITee::FileTagged>(), expected);
    assert_eq!(world.tags_of(one), [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((world.tags_of(two), world.columns(0)), ([1; 12], 14));
    world.certify(0, &[(one, 0b111)]);
    assert_eq!(world.columns(0), 15, "two of them were counted already");

    world.rotate();
    let used = |world: &mut World, number| world.host.view(TEE, &ITee::epochCall { number }).unwrap().usedAt;
    assert_eq!(used(&mut world, 1), HEIGHT + 20 * ERA);
    world.host.height += 7;
    world.certify(1, &[(one, 0b11)]);
    assert_eq!(world.tags_of(one), [2, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((world.columns(0), world.columns(1)), (13, 2));
    assert_eq!((used(&mut world, 0), used(&mut world, 1)), (HEIGHT, HEIGHT + 20 * ERA + 7));
    suspend(&mut world.host, 0).unwrap();
    assert_eq!(world.tags_of(one), [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn what_is_deleted_or_repaired_has_no_tags() {
    let mut world = World::new();
    let (one, two) = (world.store(1), world.store(33));
    world.certify(0, &[(one, ALL), (two, ALL)]);
    forget_column(&mut world.host, one, 3).unwrap();
    forget_column(&mut world.host, one, 3).unwrap();
    assert_eq!((world.tags_of(one)[3], world.columns(0)), (0, 23));
    call_files(&mut world.host, &IFiles::removeCall { id: one.into() }).unwrap();
    assert_eq!((world.tags_of(one), world.columns(0)), ([0; 12], 12));
}

#[test]
fn attack_a_receipt_of_somebody_else() {
    let mut world = World::new();
    let file = world.store(1);
    let good = world.certificate(0, &[(file, ALL)]);
    for column in [0u8, 11] {
        let mut bad = good.clone();
        let mut bytes = bad.receipts[0].to_vec();
        bytes[usize::from(column) * 64] ^= 1;
        bad.receipts[0] = bytes.into();
        let holder = world.host.view(FILES, &IFiles::getCall { id: file.into() }).unwrap().holders[usize::from(column)];
        assert_reverts(world.refused(&bad), ITee::ReceiptInvalid { file: file.into(), column, holder });
    }
    world.rotate();
    let replayed = ITee::certifyCall { epoch: 1, ..good.clone() };
    assert!(world.refused(&replayed).is_err(), "receipts are for one key");
    assert_reverts(world.refused(&good), ITee::EpochNotOpen { number: 0, state: 1 });
}

#[test]
fn certificates_are_bounded_and_whole() {
    let mut world = World::new();
    let file = world.store(1);
    let good = world.certificate(0, &[(file, 0b11)]);
    for columns in [0, 1 << 12] {
        let bad = ITee::certifyCall { columns: vec![columns], ..good.clone() };
        assert_reverts(world.refused(&bad), ITee::ColumnsInvalid { file: file.into(), columns });
    }
    let short = ITee::certifyCall { receipts: vec![good.receipts[0].slice(..127)], ..good.clone() };
    let [left, right] = [127, 128].map(U256::from);
    assert_reverts(world.refused(&short), ITee::CountMismatch { left, right });
    let few = ITee::certifyCall { receipts: vec![], ..good.clone() };
    let [left, right] = [1, 0].map(U256::from);
    assert_reverts(world.refused(&few), ITee::CountMismatch { left, right });
    let many = ITee::certifyCall { epoch: 0, files: vec![B256::ZERO; 65], columns: vec![], receipts: vec![] };
    let [given, maximum] = [65, 64].map(U256::from);
    assert_reverts(world.refused(&many), ITee::TooMany { given, maximum });
    let unknown = ITee::certifyCall { files: vec![B256::repeat_byte(9)], ..good.clone() };
    assert_reverts(world.refused(&unknown), IFiles::UnknownFile { id: B256::repeat_byte(9) });
    register(&mut world.host, 2, 1);
    let verifier = call(&mut world.host, account(2), &good);
    assert_reverts(verifier, ITee::NotTagger { account: account(2) });
}
