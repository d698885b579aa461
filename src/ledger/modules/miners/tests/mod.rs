//! The miners module: one file a subject. A segment of idle space is 1 MiB in 128 steps of 8 KiB here, a round 20 blocks.

mod idle;
mod life;
mod registration;
mod standings;

use super::{registration::TIB_BYTES, standing::Standing, views::accounts, *};
use crate::{
    crypto::{SecretKey, native_address},
    ledger::{
        abi::IMiners::{
            addCollateralCall, commitIdleCall, countCall, exitCall, getCall, holdingsCall, idleBatchCall,
            idleCountsCall, idleSeedCall, leavingCall, listCall, registerCall, requiredCollateralCall, segmentsCall,
            setCapacityCall, standingCall, withdrawCall,
        },
        modules::testing::{TestHost, assert_reverts, beacon_of},
    },
    types::{Amount, FileId, Params},
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Bytes of a step of idle space.
const STEP: u64 = 8 * KIB;
/// Blocks between `exit` and `withdraw`: an era.
const LOCK: u64 = 60;

fn key(tag: u8) -> SecretKey {
    SecretKey::from_bytes(&[tag; 32])
}

fn account(tag: u8) -> Address {
    native_address(&key(tag).public())
}

fn registration(tag: u8) -> registerCall {
    registerCall {
        operator: Address::repeat_byte(tag),
        networkKey: B256::repeat_byte(tag),
        accountKey: key(tag).public().0.into(),
        prefix: 7,
        capacity: GIB,
        name: format!("miner {tag}"),
    }
}

fn register(host: &mut TestHost, tag: u8) {
    host.fund(account(tag), 10);
    host.call(account(tag), MINERS, Amount::tokens(1).0, &registration(tag)).unwrap();
}

fn call<C: alloy_sol_types::SolCall>(host: &mut TestHost, tag: u8, call: &C) -> Result<C::Return, ModuleError> {
    host.call(account(tag), MINERS, U256::ZERO, call)
}

fn get(host: &mut TestHost, tag: u8) -> IMiners::Miner {
    host.view(MINERS, &getCall { account: account(tag) }).unwrap()
}

fn pot(host: &mut TestHost, tag: u8) -> U256 {
    state().miners.at_key(&account(tag)).pot.get(host).unwrap()
}

/// What the module's account has to hold for miners 1 to `last`.
fn owed(host: &mut TestHost, last: u8) -> U256 {
    (1..=last).fold(U256::ZERO, |sum, tag| {
        let collateral = state().miners.at_key(&account(tag)).collateral.get(host).unwrap();
        sum + collateral + pot(host, tag)
    })
}
