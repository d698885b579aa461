//! Elections end to end: a table computed by hand, exclusions, and the committee that goes on when too few qualify.

use super::world::{ERA, World, account, tokens};
use crate::{
    ledger::{
        abi::{
            IStaking::{self, jailedCall, unbondCall},
            STAKING,
        },
        modules::staking::{Work, forget_points, record_points},
    },
    types::U256,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// By hand. Stakes are 1,000 to 4,000 tokens for validators 1 to 4 and 4,000 for 5, which registers in era 0. Work of era 0:
///
/// | who | work                         | points                | share → credit of era 0 | 50 % of it |
/// |-----|------------------------------|-----------------------|-------------------------|------------|
/// | 2   | replaced 400 MiB             | 400/64 → 6            | 6/24 → 250              | 125        |
/// | 3   | verified 1 GiB of files      | 12                    | 12/24 → 500             | 250        |
/// | 5   | replaced 384 MiB             | 6                     | 250                     | 125        |
///
/// | who | 50·credit + 30·stake, ÷ 100        | seat |
/// |-----|------------------------------------|------|
/// | 5   | 50·125 + 30·1,000 = 36,250 → 362   | yes  |
/// | 3   | 50·250 + 30·750 = 35,000 → 350     | yes  |
/// | 4   | 30·1,000 = 30,000 → 300            | yes  |
/// | 2   | 50·125 + 30·500 = 21,250 → 212     | yes  |
/// | 1   | 30·250 = 7,500 → 75                | no   |
#[test]
fn the_election_computed_by_hand() {
    let mut world = World::new(&[1_000, 2_000, 3_000, 4_000]);
    world.run_to(5);
    world.bond(5, 4_000);
    world.register(5).unwrap();
    for (tag, kind, bytes) in
        [(2, Work::Replaced, 400 * MIB), (3, Work::ServiceVerified, GIB), (5, Work::Replaced, 384 * MIB)]
    {
        record_points(&mut world.host, account(tag), kind, bytes).unwrap();
    }
    world.end_era(0);
    let mut expected = vec![
        (account(5), 362, 125, 1_000, 5),
        (account(3), 350, 250, 750, 0),
        (account(4), 300, 0, 1_000, 0),
        (account(2), 212, 125, 500, 0),
    ];
    expected.sort_unstable();
    let row = |s: &IStaking::Seat| (s.account, s.score, s.credit, s.stakeScore, s.registeredAt);
    assert_eq!(world.seats(2).iter().map(row).collect::<Vec<_>>(), expected);
    let era = world.era(2);
    assert_eq!((era.electedAt, era.qualified, era.kept), (ERA - 1, 5, false));
    assert_eq!((era.runnerUp, era.runnerUpScore), (account(1), 75));
    let past = world.era(0);
    assert_eq!(past.workPoints, 24);
    let work = world.activity(2, 0);
    assert_eq!((work.work, work.workPoints, work.credit), ([0, 0, 0, 0, 400 * MIB], 6, 250));

    // Era 1 without work: the credit of era 0 counts 20 %, so that 3 has 100 and 2 and 5 have 50. By hand: 5: 50·50 + 30·1,000 =
    // 32,500 → 325; 4: 300; 3: 50·100 + 22,500 = 27,500 → 275; 2: 2,500 + 15,000 = 17,500 → 175.
    world.end_era(1);
    let mut scores: Vec<_> = world.seats(3).iter().map(|s| (s.score, s.account)).collect();
    scores.sort_unstable();
    assert_eq!(scores, [(175, account(2)), (275, account(3)), (300, account(4)), (325, account(5))]);

    // What explains a seat stays readable.
    world.end_era(6);
    assert_eq!(world.seats(2).iter().map(row).collect::<Vec<_>>(), expected);
    let later = world.era(2);
    assert_eq!((later.electedAt, later.qualified, later.kept), (era.electedAt, era.qualified, era.kept));
    assert_eq!((later.runnerUp, later.runnerUpScore), (era.runnerUp, era.runnerUpScore));
}

#[test]
fn work_of_strangers_is_not_kept_and_useless_work_is_taken_back() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(3);
    let host = &mut world.host;
    let before = host.storage.clone();
    record_points(host, account(9), Work::Tagged, GIB).unwrap();
    assert_eq!(host.storage, before);
    record_points(host, account(1), Work::ServiceVerified, 5 * GIB).unwrap();
    forget_points(host, account(1), Work::ServiceVerified, 2 * GIB, 3).unwrap();
    assert_eq!(world.activity(1, 0).workPoints, 36);
    world.end_era(0);
    forget_points(&mut world.host, account(1), Work::ServiceVerified, GIB, 3).unwrap();
    assert_eq!((world.activity(1, 0).workPoints, world.activity(1, 1).workPoints), (36, 0));
}

#[test]
fn every_kind_of_work_has_its_weight() {
    let table = [
        (Work::Tagged, 16 * MIB, 180),
        (Work::IdleCertified, 16 * GIB, 4),
        (Work::ServiceVerified, GIB, 12),
        (Work::IdleVerified, 16 * GIB, 1),
        (Work::Replaced, 64 * MIB, 1),
    ];
    for (kind, bytes, points) in table {
        assert_eq!((kind.points(bytes), kind.points(bytes - 1)), (points, points - 1), "{kind:?}");
        assert_eq!(kind.points(10 * bytes), 10 * points, "{kind:?}");
    }
    assert_eq!(Work::Tagged.points(u64::MAX), 197_912_092_999_679);
}

/// Six members, four seats. Validator 6 misses turns and is jailed: the election passes over it, for an era.
#[test]
fn the_absent_are_jailed_for_an_era() {
    let mut world = World::new(&[1_000, 1_000, 1_000, 1_000, 1_000, 9_000]);
    while world.host.height < ERA - 1 {
        let absent = world.turn_without(6);
        assert!(absent.iter().all(|who| *who == account(6)));
    }
    let activity = world.activity(6, 0);
    assert!(activity.missed > 0 && activity.proposed == 0, "{activity:?}");
    world.end_era(0);
    assert_eq!(world.activity(6, 0).punishments, 1);
    assert!(!world.seated(2).contains(&account(6)), "jailed, whatever its stake");
    assert_eq!(world.era(2).qualified, 5);
    assert!(world.host.view(STAKING, &jailedCall {}).unwrap().is_empty(), "the term is over");
    // It sits in era 1 still, which was fixed before, and is present now.
    world.end_era(1);
    assert!(world.seated(3).contains(&account(6)));
    // One of six is free of charge: 6/10 + 1 = 1.
    assert_eq!(world.candidate(6).bonded, tokens(9_000));
}

/// By hand: two of four absent pay 3·(2 − 1)/4 · 7 % = 5.25 %, of 1,000 tokens 52.5. With two left, the committee goes on.
#[test]
fn too_few_candidates_leave_the_committee_as_it_is() {
    let mut world = World::new(&[1_000; 4]);
    while world.host.height < ERA - 1 {
        world.turn_without_all(&[3, 4]);
    }
    world.end_era(0);
    assert_eq!(world.seated(2), world.seated(1));
    let era = world.era(2);
    assert_eq!((era.qualified, era.kept), (2, true));
    for tag in [3, 4] {
        assert_eq!(world.candidate(tag).bonded * U256::from(10), tokens(9_475));
        assert_eq!(world.activity(tag, 0).slashed * U256::from(10), tokens(525));
    }
    assert_eq!(world.supply().1, tokens(105));
    assert_eq!(world.era(0).slashed, tokens(105));
    // Below the minimum stake they stay out, however well they behave, and the committee still goes on.
    world.end_era(1);
    assert_eq!((world.era(3).qualified, world.era(3).kept), (2, true));
}

#[test]
fn who_unbonds_is_not_elected_and_the_last_ones_never_vanish() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(4);
    for tag in 1..=4 {
        let call = unbondCall { amount: tokens(1_000) };
        world.host.call(account(tag), STAKING, U256::ZERO, &call).unwrap();
    }
    world.end_era(3);
    assert_eq!(world.seated(5), world.seated(0), "nobody qualifies: the committee goes on");
    assert_eq!((world.era(5).qualified, world.era(5).kept), (0, true));
}
