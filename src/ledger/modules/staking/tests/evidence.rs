//! Evidence: taken once, in time, and only what convicts.

use super::world::{ERA, World, account, keys, tokens};
use crate::{
    codec,
    consensus::{Evidence, double_vote},
    ledger::{
        abi::{
            IStaking::{self, jailedCall, reportEvidenceCall, unjailCall},
            STAKING,
        },
        modules::{
            ModuleError,
            testing::{CHAIN, assert_reverts},
        },
    },
    types::U256,
};

/// A foreign observer, with neither stake nor seat.
const OBSERVER: u8 = 99;

fn report(world: &mut World, evidence: &Evidence) -> Result<(), ModuleError> {
    let call = reportEvidenceCall { evidence: codec::encode(evidence).into() };
    world.host.call(account(OBSERVER), STAKING, U256::ZERO, &call).map(drop)
}

/// By hand, for 4 seats of 1,000 tokens: one offender pays (3/4)² · 5 % = 2.8125 %, 28.125 tokens. A second one makes it
/// (6/4)² > 1, 5 %, 50 tokens each: the first pays 21.875 more.
#[test]
fn equivocators_pay_by_their_number() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(6);
    report(&mut world, &double_vote(&keys(2), CHAIN, 5, 1)).unwrap();
    let event = world.host.last_event::<IStaking::Equivocated>();
    assert_eq!((event.account, event.height, event.reporter), (account(2), 5, account(OBSERVER)));
    assert_eq!(event.slashed * U256::from(1_000), tokens(28_125));
    report(&mut world, &double_vote(&keys(3), CHAIN, 4, 0)).unwrap();
    assert_eq!(world.host.last_event::<IStaking::Equivocated>().slashed, tokens(50));
    assert_eq!((world.candidate(2).bonded, world.candidate(3).bonded), (tokens(950), tokens(950)));
    assert_eq!(world.supply().1, tokens(100));
    assert_eq!(world.host.balance(STAKING), tokens(3_900));
    assert_eq!(world.host.view(STAKING, &jailedCall {}).unwrap().len(), 2);
    // A second offence of one of them is noted and costs no more: the era's worst is paid already.
    report(&mut world, &double_vote(&keys(3), CHAIN, 3, 0)).unwrap();
    assert_eq!((world.activity(3, 0).punishments, world.supply().1), (2, tokens(100)));
    world.end_era(0);
    assert_eq!(world.activity(2, 0).reward, U256::ZERO, "an equivocator earns nothing in its era");
    assert!(world.activity(1, 0).reward > U256::ZERO);
}

#[test]
fn evidence_is_taken_once() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(6);
    let evidence = double_vote(&keys(2), CHAIN, 5, 1);
    report(&mut world, &evidence).unwrap();
    let known = IStaking::EvidenceKnown { account: account(2), height: 5 };
    assert_reverts(report(&mut world, &evidence), known.clone());
    assert_reverts(report(&mut world, &double_vote(&keys(2), CHAIN, 5, 2)), known);
    assert_eq!(world.activity(2, 0).punishments, 1);
}

#[test]
fn wrong_stale_early_and_foreign_evidence_is_refused_by_name() {
    let mut world = World::new(&[1_000; 4]);
    world.run_to(6);
    let garbage = reportEvidenceCall { evidence: vec![1, 2, 3].into() };
    let refused = world.host.call(account(OBSERVER), STAKING, U256::ZERO, &garbage).map(drop);
    let reason = codec::decode::<Evidence>(&[1, 2, 3]).unwrap_err().to_string();
    assert_reverts(refused, IStaking::EvidenceMalformed { reason });
    let foreign = double_vote(&keys(2), CHAIN + 1, 5, 1);
    assert_reverts(report(&mut world, &foreign), IStaking::EvidenceForeign { found: CHAIN + 1, expected: CHAIN });
    let relabelled = Evidence { chain_id: CHAIN, ..foreign };
    let reason = format!("the first message is not signed by {}", account(2));
    assert_reverts(report(&mut world, &relabelled), IStaking::EvidenceInvalid { reason });
    let stranger = double_vote(&keys(OBSERVER), CHAIN, 5, 1);
    assert_reverts(report(&mut world, &stranger), IStaking::NotSeated { account: account(OBSERVER), height: 5 });
    let ahead = double_vote(&keys(2), CHAIN, 7, 1);
    assert_reverts(report(&mut world, &ahead), IStaking::EvidenceAhead { height: 7, newest: 6 });
    world.end_era(1);
    let old = double_vote(&keys(2), CHAIN, ERA - 1, 1);
    assert_reverts(report(&mut world, &old), IStaking::EvidenceTooOld { height: ERA - 1, oldest: ERA });
    report(&mut world, &double_vote(&keys(2), CHAIN, ERA, 1)).unwrap();
}

#[test]
fn an_equivocator_is_elected_again_only_after_it_asked_out() {
    let mut world = World::new(&[9_000, 1_000, 1_000, 1_000, 1_000, 1_000]);
    world.run_to(6);
    let who = account(1);
    let unjail = |world: &mut World| world.host.call(who, STAKING, U256::ZERO, &unjailCall {}).map(drop);
    assert_reverts(unjail(&mut world), IStaking::NotJailed { account: who });
    report(&mut world, &double_vote(&keys(1), CHAIN, 5, 1)).unwrap();
    assert_reverts(unjail(&mut world), IStaking::StillJailed { account: who, untilEra: 0, currentEra: 0 });
    world.end_era(1);
    assert!(!world.seated(2).contains(&who) && !world.seated(3).contains(&who), "the richest, yet jailed");
    assert_eq!(world.candidate(1).jailReason, 2);
    unjail(&mut world).unwrap();
    world.end_era(2);
    assert!(world.seated(4).contains(&who));
}
