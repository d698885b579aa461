//! A chain of a few validators with short eras, driven block by block.

use crate::{
    consensus::{beacon::era_input, rotation},
    crypto::{NodeKeys, VrfProof},
    ledger::{
        abi::{IStaking, STAKING},
        modules::{
            ModuleError,
            staking::{ValidatorSeat, committee_of_era},
            staking_calls,
            testing::{CHAIN, TestHost, beacon_of},
        },
    },
    types::{Address, Amount, Height, Params, U256},
};

/// Blocks of an era here.
pub const ERA: u64 = 20;
/// Last blocks of an era its successor's seed ignores.
pub const SKIP: u64 = 4;

pub struct World {
    pub host: TestHost,
}

pub fn keys(tag: u8) -> NodeKeys {
    NodeKeys::derive(&[tag; 32])
}

pub fn account(tag: u8) -> Address {
    keys(tag).address()
}

pub fn tokens(n: u64) -> U256 {
    Amount::tokens(n).0
}

fn seat(tag: u8, stake: u64) -> ValidatorSeat {
    let keys = keys(tag);
    ValidatorSeat {
        account: keys.address(),
        consensus_key: keys.consensus.public().0,
        vrf_key: keys.vrf.public().0,
        network_key: keys.network.public().0,
        stake: tokens(stake),
    }
}

/// The registration of `tag`'s keys in the name of `owner`.
pub fn registration(tag: u8, owner: Address) -> IStaking::registerCall {
    staking_calls::registration(&keys(tag), CHAIN, &owner)
}

impl World {
    /// Validators 1, 2, … with these stakes in tokens.
    pub fn new(stakes: &[u64]) -> Self {
        let params = Params { era_blocks: ERA, seed_skip_blocks: SKIP, ..Params::dev() };
        let seats: Vec<ValidatorSeat> = (1u8..).zip(stakes).map(|(tag, stake)| seat(tag, *stake)).collect();
        Self { host: TestHost::with_params(params, &seats) }
    }

    /// Blocks up to `height`, each by the member whose turn it is.
    pub fn run_to(&mut self, height: Height) {
        while self.host.height < height {
            self.turn(0);
        }
    }

    /// The next block, by the member whose turn comes in `round`. Gives those whose turns came before.
    pub fn turn(&mut self, round: u32) -> Vec<Address> {
        let next = self.host.height + 1;
        let committee = committee_of_era(&mut self.host, next / ERA).unwrap();
        let seed = beacon_of(next - 1);
        let turns = |r| rotation::proposer(&committee, &seed, next, r);
        self.host.next_block(turns(round), round);
        (0..round).map(turns).collect()
    }

    /// Goes to the last block of `era`, and ends it by beginning the next.
    pub fn end_era(&mut self, era: u64) {
        self.run_to((era + 1) * ERA);
    }

    pub fn bond(&mut self, tag: u8, stake: u64) {
        self.host.fund(account(tag), stake);
        self.host.call(account(tag), STAKING, tokens(stake), &IStaking::bondCall {}).unwrap();
    }

    pub fn register(&mut self, tag: u8) -> Result<(), ModuleError> {
        self.host.call(account(tag), STAKING, U256::ZERO, &registration(tag, account(tag))).map(drop)
    }

    pub fn proof(&mut self, tag: u8, era: u64) -> VrfProof {
        let seed = self.era(era).seed;
        keys(tag).vrf.prove(&era_input(CHAIN, era, &seed))
    }

    pub fn reveal(&mut self, tag: u8) -> Result<(), ModuleError> {
        let era = self.host.height / ERA;
        let proof = self.proof(tag, era).0.to_vec().into();
        self.host.call(account(tag), STAKING, U256::ZERO, &IStaking::revealCall { era, proof }).map(drop)
    }

    pub fn era(&mut self, era: u64) -> IStaking::Era {
        self.host.view(STAKING, &IStaking::eraCall { era }).unwrap()
    }

    pub fn seats(&mut self, era: u64) -> Vec<IStaking::Seat> {
        self.host.view(STAKING, &IStaking::seatsCall { era }).unwrap()
    }

    pub fn seated(&mut self, era: u64) -> Vec<Address> {
        self.seats(era).into_iter().map(|seat| seat.account).collect()
    }

    pub fn activity(&mut self, tag: u8, era: u64) -> IStaking::Activity {
        self.host.view(STAKING, &IStaking::activityCall { account: account(tag), era }).unwrap()
    }

    pub fn candidate(&mut self, tag: u8) -> IStaking::Candidate {
        self.host.view(STAKING, &IStaking::candidateCall { account: account(tag) }).unwrap()
    }

    /// Minted and burnt since genesis.
    pub fn supply(&mut self) -> (U256, U256) {
        let supply = self.host.view(STAKING, &IStaking::supplyCall {}).unwrap();
        (supply.minted, supply.burnt)
    }
}

impl World {
    /// The next block, by the first member whose turn comes and who is none of `absent`.
    pub fn turn_without_all(&mut self, absent: &[u8]) -> Vec<Address> {
        let next = self.host.height + 1;
        let committee = committee_of_era(&mut self.host, next / ERA).unwrap();
        let absent: Vec<Address> = absent.iter().map(|tag| account(*tag)).collect();
        let seed = beacon_of(next - 1);
        let round = (0u32..).find(|r| !absent.contains(&rotation::proposer(&committee, &seed, next, *r))).unwrap();
        self.turn(round)
    }

    /// The next block without `absent`.
    pub fn turn_without(&mut self, absent: u8) -> Vec<Address> {
        self.turn_without_all(&[absent])
    }
}
