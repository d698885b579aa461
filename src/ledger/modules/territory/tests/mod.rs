//! The territory module: one file a subject. Space and time are those of the dev profile with eras of four blocks: a day is 16 blocks.

mod deeds;
mod leases;
mod model;
mod orders;
mod rents;
mod spaces;

use super::*;
use crate::{
    crypto::{SecretKey, native_address},
    ledger::{
        abi::{
            IMiners, IRewards,
            ITerritory::{Territory, Totals, expandCall, getCall, mintCall, reactivateCall, renewCall, totalsCall},
            MINERS, REWARDS,
        },
        modules::testing::{TestHost, assert_reverts},
    },
    types::{Amount, FileId, Params},
};
use alloy_primitives::address;
use alloy_sol_types::SolCall;

const ALICE: Address = address!("a11ce00000000000000000000000000000000000");
const BOB: Address = address!("b0b0000000000000000000000000000000000000");
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Blocks of a day here.
const DAY: u64 = 16;
/// What the one miner lends.
const CAPACITY: u64 = 100 * GIB;
/// Tokens of each account.
const RICH: u64 = 1_000_000;

fn params() -> Params {
    Params { era_blocks: 4, seed_skip_blocks: 1, oversell_percent: 150, ..Params::dev() }
}

/// A chain at height 1 with one miner and two rich accounts.
struct World {
    host: TestHost,
}

impl World {
    fn new() -> Self {
        let mut host = TestHost::with_params(params(), &[]);
        let key = SecretKey::from_bytes(&[1; 32]);
        let account = native_address(&key.public());
        let call = IMiners::registerCall {
            operator: account,
            networkKey: B256::repeat_byte(1),
            accountKey: key.public().0.into(),
            prefix: 1,
            capacity: CAPACITY,
            name: "miner".into(),
        };
        host.fund(account, 1);
        host.call(account, MINERS, Amount::tokens(1).0, &call).unwrap();
        host.fund(ALICE, RICH);
        host.fund(BOB, RICH);
        host.advance_to(1);
        Self { host }
    }

    /// A call with so many whole tokens.
    fn pay<C: SolCall>(&mut self, from: Address, tokens: u64, call: &C) -> Result<C::Return, ModuleError> {
        self.host.call(from, TERRITORY, Amount::tokens(tokens).0, call)
    }

    fn call<C: SolCall>(&mut self, from: Address, call: &C) -> Result<C::Return, ModuleError> {
        self.pay(from, 0, call)
    }

    fn mint(&mut self, owner: Address, gib: u64, days: u32, name: &str) -> Result<u64, ModuleError> {
        let call = mintCall { size: gib * GIB, leaseDays: days, name: name.into() };
        self.pay(owner, gib * u64::from(days), &call)
    }

    fn get(&mut self, token: u64) -> Territory {
        self.host.view(TERRITORY, &getCall { token }).unwrap()
    }

    fn totals(&mut self) -> Totals {
        self.host.view(TERRITORY, &totalsCall {}).unwrap()
    }

    /// Runs empty blocks.
    fn pass(&mut self, blocks: u64) {
        let height = self.host.height + blocks;
        self.host.advance_to(height);
    }

    /// Rent that has left the pool.
    fn rent_out(&mut self) -> U256 {
        let burnt = self.host.view(REWARDS, &IRewards::poolsCall {}).unwrap().burnt;
        burnt + self.host.balance(REWARDS)
    }

    fn paid(&self, account: Address) -> U256 {
        Amount::tokens(RICH).0 - self.host.balance(account)
    }
}

fn tokens(n: u64) -> U256 {
    Amount::tokens(n).0
}
