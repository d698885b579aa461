//! The beginning of a market: seats, workers, miners with certified idle space, leases and files.

use super::{
    Actor, Market, MarketSettings, MinerReport,
    host::{CHAIN, MemoryHost, beacon_of},
    tokens,
};
use crate::{
    codec,
    crypto::{NodeKeys, SecretKey, native_address},
    ledger::{
        abi::{AUDITS, FILES, IAudits, IFiles, IMiners, IRewards, ITee, ITerritory, MINERS, REWARDS, TEE, TERRITORY},
        manifest::{Manifest, SegmentEntry},
        modules::{ModuleError, ValidatorSeat},
        placement::{self, Candidate},
        receipt::receipt_message,
    },
    proofs::pois::{Commitment, Shape},
    types::{
        Address, B256, FragmentId, Params, SegmentId, U256,
        params::{ERAS_PER_DAY, FRAGMENTS, IDLE_COMMITMENTS_MAX, SEGMENT_MAX_BYTES},
    },
};
use std::collections::BTreeMap;

/// TEE workers that verify.
const WORKERS: u32 = 12;
const SEATS: u32 = 4;
const TIB: u64 = 1 << 40;
/// Miners have 1 to so many TiB, and as many segments of idle space a TiB as a batch takes.
const SIZES: u32 = 8;
/// Full segments of a file, at most.
const FILE_MAX_SEGMENTS: u32 = 32;
/// The block in which files are stored: miners are settled by then.
const STORED_AT: u64 = 12;
/// What is leased for each file: 12 fragments of 8 MiB of each segment.
const LEASE_GIB_A_FILE: u64 = 3;

fn key(kind: &str, number: u32) -> SecretKey {
    SecretKey::from_bytes(&crate::crypto::hash::tagged(
        "cess 2026 market key",
        &[kind.as_bytes(), &number.to_le_bytes()],
    ))
}

fn account(kind: &str, number: u32) -> Address {
    native_address(&key(kind, number).public())
}

impl Market {
    /// A market whose first round with anything to verify is the next one.
    pub fn new(settings: MarketSettings) -> Result<Self, ModuleError> {
        let params = Params::dev();
        let seats: Vec<ValidatorSeat> = (0..SEATS).map(seat).collect();
        let proposer = seats[0].account;
        let mut host = MemoryHost::new(params, &seats)?;
        host.advance_to(1, proposer)?;
        let miners = (0..settings.miners).map(|number| actor(number, settings.cheaters)).collect();
        let lost = vec![None; usize::try_from(settings.miners).expect("miners fit memory")];
        let mut market = Self {
            host,
            miners,
            workers: (0..WORKERS).map(|number| account("worker", number)).collect(),
            proposer,
            genesis: U256::ZERO,
            rent_paid: U256::ZERO,
            round: 0,
            gas: 0,
            verified: 0,
            lost,
            kept: BTreeMap::new(),
            settings,
        };
        market.fund();
        market.register()?;
        market.host.advance_to(STORED_AT, proposer)?;
        market.store()?;
        Ok(market)
    }

    fn fund(&mut self) {
        for account in self.workers.clone() {
            self.host.fund(account, tokens(1));
        }
        for index in 0..self.miners.len() {
            let account = self.miners[index].account;
            self.host.fund(account, tokens(u64::from(SIZES)));
        }
        let (gib, days) = self.lease();
        self.host.fund(account("user", 0), tokens(gib * u64::from(days)));
        self.genesis = self.host.supply();
    }

    /// GiB and days of the lease that all files are charged to.
    fn lease(&self) -> (u64, u32) {
        let days = u32::try_from(self.settings.eras / ERAS_PER_DAY + 1).expect("few days");
        (u64::from(self.settings.files) * LEASE_GIB_A_FILE, days)
    }

    fn register(&mut self) -> Result<(), ModuleError> {
        for (number, worker) in self.workers.clone().into_iter().enumerate() {
            let key = B256::left_padding_from(worker.as_slice());
            let name = format!("worker {number}");
            let call = ITee::registerCall { kind: 1, networkKey: key, sealKey: key, name, attestation: vec![0].into() };
            self.host.send(worker, TEE, tokens(1), &call)?;
        }
        for index in 0..self.miners.len() {
            self.register_miner(index)?;
        }
        Ok(())
    }

    fn register_miner(&mut self, index: usize) -> Result<(), ModuleError> {
        let Actor { account, capacity, segments, ref key, .. } = self.miners[index];
        let prefix = u32::try_from(index).expect("miners are counted in 32 bits");
        let call = IMiners::registerCall {
            operator: account,
            networkKey: B256::left_padding_from(account.as_slice()),
            accountKey: key.public().0.into(),
            prefix,
            capacity,
            name: format!("miner {index}"),
        };
        self.host.send(account, MINERS, tokens(capacity / TIB), &call)?;
        let layers = usize::try_from(Shape::of(&Params::dev()).layers()).expect("few layers");
        let commitments =
            (0..segments).map(|_| codec::encode(&Commitment { layer_roots: vec![[7; 32]; layers] }).into());
        let call = IMiners::commitIdleCall { commitments: commitments.collect() };
        self.host.send(account, MINERS, U256::ZERO, &call).map(drop)
    }

    /// Idle space is certified, a lease bought, and files placed as any gateway would place them.
    fn store(&mut self) -> Result<(), ModuleError> {
        for index in 0..self.miners.len() {
            let miner = self.miners[index].account;
            for member in self.host.view(AUDITS, &IAudits::idleCommitteeCall { miner, batch: 0 })? {
                let call = IAudits::voteIdleCall { miners: vec![miner], batches: vec![0], accepted: vec![true] };
                self.host.send(member, AUDITS, U256::ZERO, &call)?;
            }
        }
        let user = account("user", 0);
        let (gib, days) = self.lease();
        let lease = ITerritory::mintCall { size: gib << 30, leaseDays: days, name: "market".into() };
        let before = self.host.balance(user);
        self.host.send(user, TERRITORY, before, &lease)?;
        self.rent_paid = before - self.host.balance(user);
        let keys: BTreeMap<Address, SecretKey> =
            self.miners.iter().map(|actor| (actor.account, actor.key.clone())).collect();
        let candidates = self.candidates()?;
        (0..self.settings.files).try_for_each(|number| self.store_file(number, &candidates, &keys))
    }

    fn store_file(
        &mut self,
        number: u32,
        candidates: &[Candidate],
        keys: &BTreeMap<Address, SecretKey>,
    ) -> Result<(), ModuleError> {
        let manifest = manifest(number);
        let seed = placement::seed(&beacon_of(STORED_AT), &manifest.segments[0].id);
        let mut holders = placement::rank(&seed, STORED_AT, candidates, &Params::dev());
        holders.truncate(FRAGMENTS);
        let sign = |(index, holder): (u8, &Address)| {
            keys[holder].sign(&receipt_message(CHAIN, manifest.id(), index, *holder)).0.to_vec().into()
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        let manifest = codec::encode(&manifest).into();
        let call = IFiles::storeCall { manifest, beaconHeight: STORED_AT, holders, receipts };
        self.host.send(account("user", 0), FILES, U256::ZERO, &call).map(drop)
    }

    fn candidates(&mut self) -> Result<Vec<Candidate>, ModuleError> {
        let mut candidates = Vec::new();
        loop {
            let skip = u64::try_from(candidates.len()).expect("miners are counted in 64 bits");
            let page = self.host.view(MINERS, &IMiners::listCall { skip, limit: 1_000 })?;
            if page.is_empty() {
                return Ok(candidates);
            }
            candidates.extend(page.into_iter().map(|miner| Candidate {
                account: miner.account,
                operator: miner.operator,
                prefix: miner.prefix,
                weight: miner.weight,
                since: miner.since,
            }));
        }
    }
}

fn seat(number: u32) -> ValidatorSeat {
    let keys = NodeKeys::derive(&crate::crypto::hash::tagged("cess 2026 market seat", &[&number.to_le_bytes()]));
    ValidatorSeat {
        account: keys.address(),
        consensus_key: keys.consensus.public().0,
        vrf_key: keys.vrf.public().0,
        network_key: keys.network.public().0,
        stake: tokens(1_000),
    }
}

fn actor(number: u32, cheaters: u32) -> Actor {
    let key = key("miner", number);
    let size = u64::from(1 + number % SIZES);
    let most = u64::try_from(IDLE_COMMITMENTS_MAX).expect("few");
    Actor {
        account: native_address(&key.public()),
        key,
        capacity: size * TIB,
        segments: (2 * size).min(most),
        cheats: number < cheaters,
        expected: U256::ZERO,
        idle: U256::ZERO,
        service: U256::ZERO,
    }
}

/// A file of 1 to [`FILE_MAX_SEGMENTS`] full segments whose contents nobody has.
fn manifest(number: u32) -> Manifest {
    let segments = 1 + number % FILE_MAX_SEGMENTS;
    let id = |segment: u32, part: u32| {
        let parts = [number.to_le_bytes(), segment.to_le_bytes(), part.to_le_bytes()];
        crate::crypto::hash::tagged("cess 2026 market content", &[&parts[0], &parts[1], &parts[2]])
    };
    let entry = |segment: u32| SegmentEntry {
        id: SegmentId(id(segment, u32::MAX)),
        len: u32::try_from(SEGMENT_MAX_BYTES).expect("32 MiB"),
        fragments: std::array::from_fn(|part| FragmentId(id(segment, u32::try_from(part).expect("below twelve")))),
    };
    Manifest { size: u64::from(segments) * SEGMENT_MAX_BYTES, segments: (0..segments).map(entry).collect() }
}

/// The books of one miner.
pub(super) fn report(market: &mut Market, index: usize) -> Result<MinerReport, ModuleError> {
    let actor = &market.miners[index];
    let (account, cheats, idle, service) = (actor.account, actor.cheats, actor.idle, actor.service);
    let expected = actor.expected;
    let books = market.host.view(REWARDS, &IRewards::accountCall { miner: account })?;
    let record = market.host.view(AUDITS, &IAudits::recordCall { miner: account })?;
    let state = market.host.view(MINERS, &IMiners::getCall { account })?.state;
    let pay = books.paid + books.claimable + books.locked;
    let (fined, lost_in_era) = (record.fined, market.lost[index]);
    Ok(MinerReport { account, cheats, state, idle, service, pay, expected, fined, lost_in_era })
}
