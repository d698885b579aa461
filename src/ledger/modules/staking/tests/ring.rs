//! The committee at genesis and the ring of beacons.

use super::super::{BEACON_RING, COMMITTEE_MAX_SEATS, ValidatorSeat, install};
use crate::{
    ledger::{
        abi::{
            IStaking::{self, beaconCall, committeeCall},
            STAKING,
        },
        modules::{
            BlockStart, ModuleError, begin_block,
            testing::{TestHost, assert_reverts, beacon_of},
        },
    },
    types::{Address, Amount, B256, U256},
};

fn seat(tag: u8, tokens: u64) -> ValidatorSeat {
    ValidatorSeat {
        account: Address::repeat_byte(tag),
        consensus_key: [tag; 32],
        vrf_key: [tag + 1; 32],
        network_key: [tag + 2; 32],
        stake: Amount::tokens(tokens).0,
    }
}

fn start(height: u64) -> BlockStart {
    BlockStart { beacon: beacon_of(height), proposer: Address::ZERO, round: 0 }
}

#[test]
fn genesis_committee_is_readable_with_its_power() {
    let mut host = TestHost::with_committee(&[seat(1, 1_000), seat(9, 2_500)]);
    let committee = host.view(STAKING, &committeeCall {}).unwrap();
    assert_eq!(committee.len(), 2);
    assert_eq!((committee[1].account, committee[1].power), (Address::repeat_byte(9), 2_500));
    assert_eq!((committee[0].consensusKey, committee[0].vrfKey), (B256::repeat_byte(1), B256::repeat_byte(2)));
    assert_eq!((committee[0].networkKey, committee[0].stake), (B256::repeat_byte(3), Amount::tokens(1_000).0));
}

#[test]
fn an_oversized_committee_is_refused() {
    let seats = vec![seat(1, 1); COMMITTEE_MAX_SEATS + 1];
    let mut host = TestHost::new();
    assert!(matches!(install(&mut host, &seats, B256::ZERO), Err(ModuleError::Fatal(_))));
}

#[test]
fn beacons_are_kept_for_the_ring_and_then_forgotten() {
    let mut host = TestHost::new();
    let read = |host: &mut TestHost, height| host.view(STAKING, &beaconCall { height });
    assert_eq!(read(&mut host, 0), Ok(beacon_of(0)));
    host.advance_to(BEACON_RING - 1);
    assert_eq!(read(&mut host, 0), Ok(beacon_of(0)));
    host.advance_to(BEACON_RING + 4);
    assert_eq!(read(&mut host, 5), Ok(beacon_of(5)));
    assert_eq!(read(&mut host, BEACON_RING + 4), Ok(beacon_of(BEACON_RING + 4)));
    let (oldest, newest) = (5, BEACON_RING + 4);
    for height in [0, 4, newest + 1, u64::MAX] {
        assert_reverts(read(&mut host, height), IStaking::BeaconUnknown { height, oldest, newest });
    }
}

#[test]
fn a_skipped_or_repeated_height_is_reported() {
    let mut host = TestHost::new();
    host.height = 2;
    assert!(matches!(begin_block(&mut host, &start(2)), Err(ModuleError::Fatal(_))));
    host.height = 1;
    begin_block(&mut host, &start(1)).unwrap();
    assert!(matches!(begin_block(&mut host, &start(1)), Err(ModuleError::Fatal(_))));
}

#[test]
fn the_ring_follows_the_newest_height() {
    let mut host = TestHost::with_committee(&[seat(1, 1_000)]);
    host.advance_to(3);
    let slots = &host.storage[&STAKING];
    assert_eq!(slots[&U256::ZERO], U256::from(3));
    assert_eq!(slots[&U256::from(1 + 3)], U256::from_be_bytes(beacon_of(3).0));
}
