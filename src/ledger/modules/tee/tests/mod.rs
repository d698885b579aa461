//! The module as its callers see it: workers, quotes, votes, epochs and tags.

mod epochs;
mod quotes;
mod tags;
mod votes;
mod workers;

use super::*;
use crate::{
    crypto::{NodeKeys, SecretKey, native_address},
    ledger::modules::{
        host::ModuleError,
        staking::ValidatorSeat,
        testing::{TestHost, assert_reverts},
    },
    types::{Amount, Params},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;

/// Blocks of an era of the tests.
const ERA: u64 = 60;

fn account(tag: u8) -> Address {
    Address::repeat_byte(tag)
}

fn unattested() -> Bytes {
    QuoteAttestation::none()
}

fn registration(tag: u8, kind: u8) -> ITee::registerCall {
    ITee::registerCall {
        kind,
        networkKey: B256::repeat_byte(tag),
        sealKey: B256::repeat_byte(tag ^ 0xff),
        name: format!("worker {tag}"),
        attestation: unattested(),
    }
}

/// A call of the module without value.
fn call<C: SolCall>(host: &mut TestHost, from: Address, call: &C) -> Result<C::Return, ModuleError> {
    host.call(from, TEE, U256::ZERO, call)
}

fn register(host: &mut TestHost, tag: u8, kind: u8) {
    host.fund(account(tag), 1);
    host.call(account(tag), TEE, Amount::tokens(1).0, &registration(tag, kind)).unwrap();
}

fn worker(host: &mut TestHost, tag: u8) -> ITee::Worker {
    host.view(TEE, &ITee::getCall { account: account(tag) }).unwrap()
}

/// A chain at height 1.
fn chain() -> TestHost {
    let mut host = TestHost::new();
    host.advance_to(1);
    host
}

/// A key of PoDR² as `openEpoch` takes it.
fn open_call(tag: u8) -> ITee::openEpochCall {
    let key = crate::proofs::podr2::TaggerKey::derive(&[tag; 32]);
    ITee::openEpochCall { key: key.public().encode().to_vec().into(), srs: key.srs().encode().into() }
}
