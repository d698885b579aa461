//! Miners that hold fragments of real files and idle space with real trees, so that the chain can verify what they answer.

use super::world::{ROUND, World, miner};
use crate::{
    codec,
    crypto::{SecretKey, hash},
    ledger::{
        abi::{AUDITS, FILES, IAudits, IFiles, IMiners, IRewards, ITerritory, MINERS, REWARDS, TERRITORY},
        audit::SPOT_CONTEXT,
        manifest::{Manifest, SegmentEntry, fragment_len},
        modules::{
            ModuleError, miners,
            testing::{CHAIN, beacon_of},
        },
        placement,
        receipt::receipt_message,
    },
    proofs::{
        AuditRound, Fragment,
        pois::{AuditChallenge, CHUNK_LABELS, Commitment, Crown, Label, LiveSegment, PoisError, Shape, Transcript},
        spot::{self, Holdings},
    },
    types::{Address, Amount, B256, FileId, FragmentId, Params, SegmentId, U256, params::FRAGMENTS},
};
use alloy_primitives::Bytes;
use std::collections::BTreeMap;

pub const USER: Address = Address::repeat_byte(0xee);
/// Miners that may hold columns, beside those of the world below.
const TAGS: std::ops::RangeInclusive<u8> = 4..=15;

pub struct Stored {
    pub id: FileId,
    pub manifest: Bytes,
    pub holders: Vec<Address>,
    fragments: BTreeMap<FragmentId, Vec<u8>>,
}

pub struct Market {
    pub world: World,
    pub files: Vec<Stored>,
    labels: Vec<Label>,
}

fn params() -> Params {
    Params { idle_labels_log2: 13, idle_layers: 3, ..Params::dev() }
}

impl Market {
    /// Seven workers and no files, early in round 1.
    pub fn new() -> Self {
        let mut world = World::with(params(), 7);
        TAGS.for_each(|tag| world.register_empty(tag));
        world.host.fund(USER, 1_000);
        let lease = ITerritory::mintCall { size: 1 << 30, leaseDays: 30, name: "files".into() };
        world.host.call(USER, TERRITORY, Amount::tokens(100).0, &lease).unwrap();
        world.at(ROUND + 2);
        Self { world, files: Vec::new(), labels: Vec::new() }
    }

    /// Stores a file of one segment; gives its index.
    pub fn store(&mut self, number: u8, size: u32) -> usize {
        let len = usize::try_from(fragment_len(size.into())).unwrap();
        let mut data = BTreeMap::new();
        let fragments = std::array::from_fn(|column| {
            let mut bytes = vec![0; len];
            hash::stream("cess 2026 refutation tests", &[number, u8::try_from(column).unwrap()]).fill(&mut bytes);
            let id = FragmentId(hash::content(&bytes));
            data.insert(id, bytes);
            id
        });
        let segments = vec![SegmentEntry { id: SegmentId([number; 32]), len: size, fragments }];
        let manifest = Manifest { size: size.into(), segments };
        let host = &mut self.world.host;
        let height = host.height - 1;
        let candidates = miners::candidates(host).unwrap();
        let seed = placement::seed(&beacon_of(height), &manifest.segments[0].id);
        let mut holders = placement::rank(&seed, height, &candidates, &host.params);
        holders.truncate(FRAGMENTS);
        let sign = |(index, holder): (u8, &Address)| {
            let key = SecretKey::from_bytes(&[tag_of(*holder); 32]);
            key.sign(&receipt_message(CHAIN, manifest.id(), index, *holder)).0.to_vec().into()
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        let encoded: Bytes = codec::encode(&manifest).into();
        let call =
            IFiles::storeCall { manifest: encoded.clone(), beaconHeight: height, holders: holders.clone(), receipts };
        let id = FileId::from(host.call(USER, FILES, U256::ZERO, &call).unwrap());
        self.files.push(Stored { id, manifest: encoded, holders, fragments: data });
        self.files.len() - 1
    }

    pub fn remove(&mut self, file: usize) {
        let call = IFiles::removeCall { id: self.files[file].id.into() };
        self.world.host.call(USER, FILES, U256::ZERO, &call).unwrap();
    }

    /// A miner that holds a column of every file and nothing else.
    pub fn holder(&self) -> u8 {
        let holds_all = |tag: &u8| self.files.iter().all(|file| file.holders.contains(&miner(*tag)));
        TAGS.into_iter().find(holds_all).expect("files in so few miners meet")
    }

    /// Gives a miner certified segments of idle space.
    pub fn certify(&mut self, tag: u8, segments: usize) {
        let shape = Shape::of(&self.world.host.params);
        self.labels = (0..shape.labels()).map(|label| hash::content(&label.to_le_bytes())).collect();
        let commitment = codec::encode(&Commitment { layer_roots: vec![self.crown().root(); 3] });
        let call = IMiners::commitIdleCall { commitments: vec![commitment.into(); segments] };
        let batch = self.world.host.call(miner(tag), MINERS, U256::ZERO, &call).unwrap();
        miners::decide_idle(&mut self.world.host, miner(tag), batch, true).unwrap();
    }

    fn crown(&self) -> Crown {
        Crown::build(Shape::of(&self.world.host.params), &self.labels).unwrap()
    }

    /// What a miner answers to openings of the files it holds.
    pub fn openings(&self, tag: u8, round: u64) -> Vec<u8> {
        let mut held: BTreeMap<FragmentId, &Vec<u8>> = BTreeMap::new();
        for file in &self.files {
            let Some(column) = file.holders.iter().position(|holder| *holder == miner(tag)) else { continue };
            let manifest = Manifest::read(&file.manifest).unwrap();
            let id = manifest.segments[0].fragments[column];
            held.insert(id, &file.fragments[&id]);
        }
        let fragments = held.iter().map(|(id, data)| Fragment::new(*id, data.len() as u64).unwrap()).collect();
        let (beacon, miner) = (beacon_of(round * ROUND).0, miner(tag));
        let asked = AuditRound { beacon, chain: CHAIN, miner, round, context: SPOT_CONTEXT };
        spot::answer(&spot::ask(&asked, &Holdings::new(fragments)), |fragment| held.get(&fragment.id)).unwrap()
    }

    /// What a miner answers about `segments` segments of which data has taken `taken` steps.
    pub fn leaves(&self, tag: u8, round: u64, segments: u64, taken: u64) -> Vec<u8> {
        let root = self.crown().root();
        let live_from = |number: u64| u32::try_from(taken.saturating_sub(number * 128).min(128)).unwrap();
        let live: Vec<LiveSegment> =
            (0..segments).map(|number| LiveSegment { number, root, live_from: live_from(number) }).collect();
        let transcript = Transcript { beacon: beacon_of(round * ROUND).0, chain: CHAIN, miner: miner(tag), round };
        let challenge = AuditChallenge::draw(Shape::of(&self.world.host.params), &transcript, &live).unwrap();
        let read = |chunk: u32, buffer: &mut [Label]| {
            let first = usize::try_from(chunk).unwrap() * CHUNK_LABELS;
            buffer.copy_from_slice(&self.labels[first..first + CHUNK_LABELS]);
            Ok::<_, PoisError>(())
        };
        codec::encode(&challenge.prove(|_, leaves| self.crown().open(leaves, read)).unwrap())
    }

    /// Commits to answers in time; the first block that takes votes follows.
    pub fn answer(&mut self, tag: u8, round: u64, spot: &[u8], idle: &[u8]) {
        let call = IAudits::answerCall { round, spot: digest(spot), idle: digest(idle) };
        self.world.at(round * ROUND + 1).call(miner(tag), &call).unwrap();
        self.world.at(round * ROUND + 9);
    }

    /// Evidence about a part, with the manifests of `files`.
    pub fn evidence(&self, tag: u8, part: u8, spot: &[u8], idle: &[u8], files: &[usize]) -> IAudits::Evidence {
        let mut shown: Vec<&Stored> = files.iter().map(|file| &self.files[*file]).collect();
        shown.sort_by_key(|file| file.id);
        let column = |file: &&Stored| file.holders.iter().position(|holder| *holder == miner(tag)).unwrap_or(0);
        IAudits::Evidence {
            part,
            spot: digest(spot),
            idle: digest(idle),
            answer: if part == 0 { spot.to_vec() } else { idle.to_vec() }.into(),
            manifests: shown.iter().map(|file| file.manifest.clone()).collect(),
            columns: shown.iter().map(|file| u8::try_from(column(file)).unwrap()).collect(),
        }
    }

    pub fn refute(
        &mut self,
        from: Address,
        tag: u8,
        round: u64,
        evidence: IAudits::Evidence,
    ) -> Result<(), ModuleError> {
        self.world.call(from, &IAudits::refuteCall { miner: miner(tag), round, evidence }).map(drop)
    }

    /// Idle and service bytes of an era for which a miner has power.
    pub fn power(&mut self, tag: u8, era: u64) -> (u64, u64) {
        let share = self.world.host.view(REWARDS, &IRewards::shareCall { miner: miner(tag), era }).unwrap();
        (share.idle.to(), share.service.to())
    }

    /// Balance of the audits module and the sum of everything.
    pub fn sums(&self) -> (U256, U256) {
        (self.world.host.balance(AUDITS), self.world.host.supply())
    }
}

fn tag_of(account: Address) -> u8 {
    (1..=*TAGS.end()).find(|tag| miner(*tag) == account).unwrap()
}

fn digest(answer: &[u8]) -> B256 {
    if answer.is_empty() { B256::ZERO } else { hash::content(answer).into() }
}
