//! The validators' votes about measurements.

use super::*;

fn seat(tag: u8) -> ValidatorSeat {
    let keys = NodeKeys::derive(&[tag; 32]);
    ValidatorSeat {
        account: account(tag),
        consensus_key: keys.consensus.public().0,
        vrf_key: keys.vrf.public().0,
        network_key: keys.network.public().0,
        stake: Amount::tokens(1_000).0,
    }
}

fn chain_of(seats: u8) -> TestHost {
    let seats: Vec<ValidatorSeat> = (1..=seats).map(seat).collect();
    let mut host = TestHost::with_committee(&seats);
    host.height = 1;
    host
}

fn entry(host: &mut TestHost, digest: B256) -> (u8, u16) {
    let entry = host.view(TEE, &ITee::measurementCall { digest }).unwrap();
    (entry.state, entry.svn)
}

#[test]
fn more_than_two_thirds_of_the_seats_decide() {
    let mut host = chain_of(4);
    let measurement = B256::repeat_byte(7);
    let allow = ITee::allowCall { measurement, svn: 3 };
    for tag in 1..=2 {
        call(&mut host, account(tag), &allow).unwrap();
    }
    let again = call(&mut host, account(2), &allow);
    assert_reverts(again, ITee::AlreadyVoted { account: account(2), measurement });
    let stranger = call(&mut host, account(9), &allow);
    assert_reverts(stranger, ITee::NotSeated { account: account(9) });
    call(&mut host, account(3), &ITee::allowCall { measurement, svn: 4 }).unwrap();
    assert_eq!(entry(&mut host, measurement), (0, 0), "that was another proposal");
    call(&mut host, account(3), &allow).unwrap();
    assert_eq!(entry(&mut host, measurement), (1, 3));
    assert_eq!(host.last_event::<ITee::MeasurementAllowed>(), ITee::MeasurementAllowed { measurement, svn: 3 });

    let events = host.logs.len();
    call(&mut host, account(4), &allow).unwrap();
    assert_eq!(host.logs.len(), events, "it was decided already");
    for tag in 1..=3 {
        call(&mut host, account(tag), &ITee::revokeCall { measurement }).unwrap();
    }
    assert_eq!(entry(&mut host, measurement), (2, 0));
    assert_eq!(host.last_event::<ITee::MeasurementRevoked>(), ITee::MeasurementRevoked { measurement });
}

#[test]
fn votes_of_an_era_end_with_it() {
    let mut host = chain_of(4);
    let measurement = B256::repeat_byte(7);
    let revoke = ITee::revokeCall { measurement };
    for tag in 1..=2 {
        call(&mut host, account(tag), &revoke).unwrap();
    }
    host.height = 0;
    host.advance_to(ERA);
    for tag in 3..=4 {
        call(&mut host, account(tag), &revoke).unwrap();
    }
    assert_eq!(entry(&mut host, measurement), (0, 0));
    call(&mut host, account(1), &revoke).unwrap();
    assert_eq!(entry(&mut host, measurement), (2, 0));
}

#[test]
fn genesis_lists_enclaves() {
    use alloy_primitives::FixedBytes;
    let text = r#"{"enclaves":["0x0101010101010101010101010101010101010101010101010101010101010101"],
        "signers":[{"signer":"0x0202020202020202020202020202020202020202020202020202020202020202","product":1,"svn":2}],
        "statuses":["sw-hardening-needed"],"smt":true}"#;
    let mut rules: TeeRules = serde_json::from_str(text).unwrap();
    let registers = [FixedBytes::repeat_byte(4); 4];
    rules.machines.push(VirtualMachine { mr_td: FixedBytes::repeat_byte(3), registers });
    let again: TeeRules = serde_json::from_str(&serde_json::to_string(&rules).unwrap()).unwrap();
    assert_eq!((&again, rules.len(), rules.is_empty()), (&rules, 3, false));
    assert!(TeeRules::default().is_empty() && serde_json::from_str::<TeeRules>(r#"{"enclave":[]}"#).is_err());

    let mut host = TestHost::new();
    super::super::install(&mut host, &rules, B256::repeat_byte(9)).unwrap();
    let signer = super::super::quote::signer_rule(&B256::repeat_byte(2), 1);
    let machine = super::super::quote::machine_measurement(&[3; 48], &[[4; 48]; 4]);
    assert_eq!(entry(&mut host, B256::repeat_byte(1)), (1, 0));
    assert_eq!((entry(&mut host, signer), entry(&mut host, machine)), ((1, 2), (1, 0)));
    let many = TeeRules { enclaves: vec![B256::ZERO; 257], ..TeeRules::default() };
    assert!(super::super::install(&mut host, &many, B256::ZERO).is_err());
}
