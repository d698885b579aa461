//! Appeals: what they put right, and who pays.

use super::world::{GIB, MISSED, PASS, ROUND, SPOT_FAILED, World, miner};
use crate::{
    ledger::{
        abi::{AUDITS, IAudits, IRewards, ITee, REWARDS, TEE},
        modules::{ModuleError, testing::assert_reverts},
    },
    types::{Address, Amount, U256},
};

const APPELLANT: Address = Address::repeat_byte(0xab);

fn service(world: &mut World, tag: u8) -> U256 {
    world.host.view(REWARDS, &IRewards::shareCall { miner: miner(tag), era: 0 }).unwrap().service
}

fn bond(world: &mut World, worker: Address) -> U256 {
    world.host.view(TEE, &ITee::getCall { account: worker }).unwrap().bond
}

fn tokens(n: u64) -> U256 {
    Amount::tokens(n).0
}

/// A round in which the first five members say `lie` and the other two nothing; somebody has tokens for an appeal.
fn decided(lie: u8) -> World {
    let mut world = World::new(9);
    world.host.fund(APPELLANT, 10);
    world.shown(1, 1);
    world.votes(1, 1, &[lie; 5]);
    world
}

/// All four seats' quorum.
fn ruled(world: &mut World, number: u64, verdict: u8) {
    (0..3).for_each(|seat| world.rule(seat, number, verdict).unwrap());
}

#[test]
fn attack_committee_collusion_one_honest_appeal_reverts_the_credit() {
    let mut world = decided(PASS);
    let supply = world.host.supply();
    assert_eq!(service(&mut world, 1), U256::from(GIB));
    let members = world.committee(1, 1);
    let number = world.appeal(APPELLANT, 1, 1, SPOT_FAILED).unwrap();
    assert_eq!(world.host.balance(AUDITS), tokens(1));
    ruled(&mut world, number, SPOT_FAILED);

    let expected = IAudits::AppealDecided { appeal: 0, miner: miner(1), round: 1, verdict: SPOT_FAILED, upheld: true };
    assert_eq!(world.host.last_event::<IAudits::AppealDecided>(), expected);
    assert_eq!((service(&mut world, 1), world.verdict(1, 1).value), (U256::ZERO, SPOT_FAILED));
    assert_eq!((world.record(1).strikes, world.record(1).passed, world.record(1).faults), (1, 0, 1));
    // Five fines of a tenth of a token: half to who appealed, half burnt.
    let fine = tokens(1) / U256::from(10);
    for (place, member) in members.into_iter().enumerate() {
        let paid = if place < 5 { fine } else { U256::ZERO };
        assert_eq!(bond(&mut world, member), tokens(1) - paid);
    }
    let award = fine * U256::from(5) / U256::from(2);
    assert_eq!(world.host.balance(APPELLANT), tokens(10) + award);
    assert_eq!((world.host.balance(AUDITS), world.host.supply()), (U256::ZERO, supply - award));
    let appeal = &world.view(&IAudits::appealsCall { skip: 0, limit: 9 })[0];
    assert_eq!((appeal.state, appeal.votes, appeal.claimed, appeal.decided), (1, 3, SPOT_FAILED, PASS));
}

#[test]
fn attack_lying_verifier_framing_a_miner_is_fined_and_the_miner_made_whole() {
    let mut world = World::new(9);
    let other = 2;
    // A first fault that is true, a second one that is not.
    world.at(ROUND + 9).votes(1, other, &[MISSED; 5]);
    world.shown(other, 2);
    world.votes(2, other, &[SPOT_FAILED; 5]);
    let fined = world.record(other).fined;
    assert_eq!((fined, world.record(other).strikes), (tokens(1) * U256::from(5) / U256::from(100), 2));
    let before = world.host.balance(miner(other));
    let number = world.appeal(miner(other), other, 2, PASS).unwrap();
    ruled(&mut world, number, PASS);
    let fines = tokens(1) / U256::from(2);
    let award = (fines - fined) / U256::from(2);
    assert_eq!(world.host.balance(miner(other)), before + fined + award);
    assert_eq!((world.record(other).fined, world.record(other).strikes), (U256::ZERO, 0));
    assert_eq!((world.miner(other).strikes, service(&mut world, other)), (0, U256::from(GIB)));
    assert_eq!(world.host.balance(AUDITS), U256::ZERO);
}

/// A miner may keep bytes from its committee and show them to the seats: who missed them then has not lied.
#[test]
fn attack_framing_verifiers_by_withheld_bytes_costs_them_nothing() {
    let mut world = decided(0b01_11);
    let members = world.committee(1, 1);
    let number = world.appeal(miner(1), 1, 1, PASS).unwrap();
    ruled(&mut world, number, PASS);
    assert_eq!(service(&mut world, 1), U256::from(GIB));
    assert!(members.into_iter().all(|member| bond(&mut world, member) == tokens(1)));
    // But a proof of tags is on the chain: who does not see it lies.
    let mut world = decided(MISSED);
    let members = world.committee(1, 1);
    let number = world.appeal(miner(1), 1, 1, PASS).unwrap();
    ruled(&mut world, number, PASS);
    assert!(bond(&mut world, members[0]) < tokens(1));
}

#[test]
fn a_dismissed_appeal_burns_its_deposit() {
    let mut world = decided(PASS);
    let supply = world.host.supply();
    let number = world.appeal(APPELLANT, 1, 1, SPOT_FAILED).unwrap();
    ruled(&mut world, number, PASS);
    let expected = IAudits::AppealDecided { appeal: 0, miner: miner(1), round: 1, verdict: PASS, upheld: false };
    assert_eq!(world.host.last_event::<IAudits::AppealDecided>(), expected);
    assert_eq!((world.host.balance(APPELLANT), world.host.supply()), (tokens(9), supply - tokens(1)));
    assert_reverts(world.rule(3, number, PASS), IAudits::AppealClosed { number });
    let again = IAudits::AlreadyAppealed { miner: miner(1), round: 1 };
    assert_reverts(world.appeal(APPELLANT, 1, 1, SPOT_FAILED), again);
}

#[test]
fn an_appeal_nobody_decides_gives_its_deposit_back() {
    let mut world = decided(PASS);
    let number = world.appeal(APPELLANT, 1, 1, SPOT_FAILED).unwrap();
    world.rule(0, number, SPOT_FAILED).unwrap();
    world.rule(1, number, SPOT_FAILED).unwrap();
    world.rule(2, number, PASS).unwrap();
    let reclaim = |world: &mut World| -> Result<(), ModuleError> {
        world.call(Address::ZERO, &IAudits::reclaimCall { number }).map(drop)
    };
    assert_reverts(reclaim(&mut world), IAudits::AppealClosed { number });
    world.at(ROUND + 9 + 20);
    world.rule(3, number, PASS).unwrap();
    world.at(ROUND + 9 + 21);
    assert_reverts(world.rule(3, number, PASS), IAudits::AppealClosed { number });
    reclaim(&mut world).unwrap();
    assert_eq!((world.host.balance(APPELLANT), world.host.balance(AUDITS)), (tokens(10), U256::ZERO));
    assert_reverts(reclaim(&mut world), IAudits::AppealClosed { number });
    assert_eq!(world.verdict(1, 1).value, PASS);
}

#[test]
fn bad_appeals_and_rulings_are_refused() {
    let mut world = decided(PASS);
    let open = |world: &mut World, tag, round, claimed| world.appeal(APPELLANT, tag, round, claimed);
    assert_reverts(open(&mut world, 2, 1, MISSED), IAudits::NotDecided { miner: miner(2), round: 1 });
    for verdict in [PASS, 64] {
        assert_reverts(open(&mut world, 1, 1, verdict), IAudits::VerdictInvalid { verdict });
    }
    assert_eq!(open(&mut world, 1, 1, SPOT_FAILED), Ok(0));
    let call = IAudits::appealCall { miner: miner(1), round: 1, verdict: SPOT_FAILED };
    let free = world.host.call(APPELLANT, AUDITS, U256::ONE, &call);
    assert_reverts(free, IAudits::DepositTooLow { sent: U256::ONE, required: tokens(1) });
    assert_reverts(world.rule(0, 7, PASS), IAudits::UnknownAppeal { number: 7 });
    let stranger = world.call(APPELLANT, &IAudits::ruleCall { number: 0, verdict: PASS });
    assert_reverts(stranger, IAudits::NotSeated { account: APPELLANT });
    world.rule(0, 0, PASS).unwrap();
    let (account, miner) = (world.seats[0], miner(1));
    assert_reverts(world.rule(0, 0, PASS), IAudits::AlreadyVoted { account, miner, round: 1 });

    let mut world = decided(PASS);
    world.at(ROUND + 9 + 21);
    let late = IAudits::AppealLate { miner, round: 1, until: ROUND + 9 + 20 };
    assert_reverts(world.appeal(APPELLANT, 1, 1, SPOT_FAILED), late);
}
