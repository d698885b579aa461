//! A chain with four seats, some TEE workers that verify, and miners that hold data.

use crate::{
    crypto::{NodeKeys, SecretKey, native_address},
    ledger::{
        abi::{AUDITS, IAudits, IMiners, ITee, MINERS, TEE},
        modules::{
            ModuleError, miners,
            staking::ValidatorSeat,
            testing::{TestHost, short_rounds},
        },
    },
    types::{Address, Amount, B256, Height, Params, U256},
};
use alloy_sol_types::SolCall;

pub const GIB: u64 = 1 << 30;
/// Blocks of a round and of an era.
pub const ROUND: u64 = 20;
pub const ERA: u64 = 60;

pub const PASS: u8 = 0b01_01;
pub const SPOT_FAILED: u8 = 0b01_10;
pub const MISSED: u8 = 0b11_11;

pub struct World {
    pub host: TestHost,
    pub seats: Vec<Address>,
    pub workers: Vec<Address>,
}

pub fn seat(tag: u8) -> ValidatorSeat {
    let keys = NodeKeys::derive(&[tag; 32]);
    ValidatorSeat {
        account: keys.address(),
        consensus_key: keys.consensus.public().0,
        vrf_key: keys.vrf.public().0,
        network_key: keys.network.public().0,
        stake: Amount::tokens(1_000).0,
    }
}

pub fn miner(tag: u8) -> Address {
    native_address(&SecretKey::from_bytes(&[tag; 32]).public())
}

impl World {
    /// A chain with seats 101 to 104, so many workers and miners 1 to 3, which hold a GiB each, in the first block of round 1.
    pub fn new(workers: u8) -> Self {
        Self::with(Params::dev(), workers)
    }

    /// As [`World::new`], with other numbers; rounds are as these tests count them.
    pub fn with(params: Params, workers: u8) -> Self {
        let seats: Vec<ValidatorSeat> = (101..105).map(seat).collect();
        let mut host = TestHost::with_params(short_rounds(params), &seats);
        let mut seats: Vec<Address> = seats.iter().map(|seat| seat.account).collect();
        seats.sort();
        host.advance_to(1);
        let mut world = Self { host, seats, workers: (1..=workers).map(Address::repeat_byte).collect() };
        (1..=workers).for_each(|tag| world.register_worker(tag));
        (1..=3).for_each(|tag| world.register_miner(tag));
        world.host.advance_to(ROUND);
        world
    }

    pub fn register_worker(&mut self, tag: u8) {
        self.register_as(tag, 1);
    }

    /// A worker that verifies and, of kind 0, tags.
    pub fn register_as(&mut self, tag: u8, kind: u8) {
        let account = Address::repeat_byte(tag);
        let call = ITee::registerCall {
            kind,
            networkKey: B256::repeat_byte(tag),
            sealKey: B256::repeat_byte(tag),
            name: format!("worker {tag}"),
            attestation: vec![0].into(),
        };
        self.host.fund(account, 1);
        self.host.call(account, TEE, Amount::tokens(1).0, &call).unwrap();
    }

    pub fn register_miner(&mut self, tag: u8) {
        self.register_empty(tag);
        miners::take_space(&mut self.host, miner(tag), GIB).unwrap().unwrap();
    }

    /// A miner that holds nothing.
    pub fn register_empty(&mut self, tag: u8) {
        let call = IMiners::registerCall {
            operator: Address::repeat_byte(200 + tag),
            networkKey: B256::repeat_byte(tag),
            accountKey: SecretKey::from_bytes(&[tag; 32]).public().0.into(),
            prefix: tag.into(),
            capacity: 100 * GIB,
            name: format!("miner {tag}"),
        };
        self.host.fund(miner(tag), 100);
        self.host.call(miner(tag), MINERS, Amount::tokens(1).0, &call).unwrap();
    }

    pub fn call<C: SolCall>(&mut self, from: Address, call: &C) -> Result<C::Return, ModuleError> {
        self.host.call(from, AUDITS, U256::ZERO, call)
    }

    pub fn view<C: SolCall>(&mut self, call: &C) -> C::Return {
        self.host.view(AUDITS, call).unwrap()
    }

    pub fn at(&mut self, height: Height) -> &mut Self {
        self.host.advance_to(height);
        self
    }

    pub fn answer(&mut self, tag: u8, round: u64) -> Result<(), ModuleError> {
        let call = IAudits::answerCall { round, spot: B256::repeat_byte(1), idle: B256::ZERO };
        self.call(miner(tag), &call).map(drop)
    }

    pub fn prove(&mut self, tag: u8, round: u64, epochs: &[u64]) -> Result<(), ModuleError> {
        let proofs = epochs.iter().map(|_| vec![7; 128].into()).collect();
        self.call(miner(tag), &IAudits::proveCall { round, epochs: epochs.to_vec(), proofs }).map(drop)
    }

    /// Everything a miner hands in in time, and the first block that takes votes.
    pub fn shown(&mut self, tag: u8, round: u64) {
        self.at(round * ROUND + 1).answer(tag, round).unwrap();
        self.prove(tag, round, &[0]).unwrap();
        self.at(round * ROUND + 9);
    }

    pub fn committee(&mut self, round: u64, tag: u8) -> Vec<Address> {
        self.view(&IAudits::committeeCall { round, miner: miner(tag) })
    }

    pub fn vote(&mut self, from: Address, round: u64, tag: u8, verdict: u8) -> Result<(), ModuleError> {
        let call = IAudits::voteCall { round, miners: vec![miner(tag)], verdicts: vec![verdict] };
        self.call(from, &call).map(drop)
    }

    /// The first members of the committee vote alike, as many as these.
    pub fn votes(&mut self, round: u64, tag: u8, verdicts: &[u8]) {
        let members = self.committee(round, tag);
        for (member, verdict) in members.into_iter().zip(verdicts) {
            self.vote(member, round, tag, *verdict).unwrap();
        }
    }

    pub fn verdict(&mut self, round: u64, tag: u8) -> IAudits::Verdict {
        self.view(&IAudits::verdictCall { round, miner: miner(tag) })
    }

    pub fn record(&mut self, tag: u8) -> IAudits::Record {
        self.view(&IAudits::recordCall { miner: miner(tag) })
    }

    pub fn miner(&mut self, tag: u8) -> IMiners::Miner {
        self.host.view(MINERS, &IMiners::getCall { account: miner(tag) }).unwrap()
    }

    pub fn appeal(&mut self, from: Address, tag: u8, round: u64, claimed: u8) -> Result<u64, ModuleError> {
        let call = IAudits::appealCall { miner: miner(tag), round, verdict: claimed };
        self.host.call(from, AUDITS, Amount::tokens(1).0, &call)
    }

    pub fn rule(&mut self, seat: usize, number: u64, verdict: u8) -> Result<(), ModuleError> {
        let from = self.seats[seat];
        self.call(from, &IAudits::ruleCall { number, verdict }).map(drop)
    }

    /// Opens the next key epoch, with a worker of its own. The one before was that of a worker that has left.
    pub fn open_epoch(&mut self, tag: u8) {
        if let Some(before) = tag.checked_sub(1) {
            self.host.call(Address::repeat_byte(60 + before), TEE, U256::ZERO, &ITee::leaveCall {}).unwrap();
        }
        let key = crate::proofs::podr2::TaggerKey::derive(&[tag + 1; 32]);
        self.register_as(60 + tag, 0);
        let (key, srs) = (key.public().encode().to_vec(), key.srs().encode());
        let call = ITee::openEpochCall { key: key.into(), srs: srs.into() };
        self.host.call(Address::repeat_byte(60 + tag), TEE, U256::ZERO, &call).unwrap();
    }
}
