//! Refutations: what the chain verifies itself, and who pays for having said otherwise.

use super::{
    market::{Market, USER},
    world::{ROUND, miner},
};
use crate::{
    ledger::{
        abi::{IAudits, ITee, TEE},
        modules::{ModuleError, testing::assert_reverts},
    },
    types::{Address, Amount, U256},
};

const FRIEND: Address = Address::repeat_byte(0xaf);
/// Verdicts about openings and idle space without tags.
const PASSED: u8 = 0b01;
const FAILED: u8 = 0b10;
const MISSED: u8 = 0b11;

fn tokens(hundredths: u64) -> U256 {
    Amount::tokens(hundredths).0 / U256::from(100)
}

fn bonds(market: &mut Market, members: &[Address]) -> Vec<U256> {
    let bond = |account: &Address| market.world.host.view(TEE, &ITee::getCall { account: *account }).unwrap().bond;
    members.iter().map(bond).collect()
}

/// Two files, and a miner that holds a column of each.
fn two_files() -> (Market, u8) {
    let mut market = Market::new();
    market.store(1, 9_000);
    market.store(2, 40_000);
    let tag = market.holder();
    (market, tag)
}

#[test]
fn attack_five_missed_votes_are_reverted_by_the_chain_without_seats() {
    let (mut market, tag) = two_files();
    let mut supply = U256::ZERO;
    for round in [2, 3] {
        let openings = market.openings(tag, round);
        market.answer(tag, round, &openings, &[]);
        supply = market.sums().1;
        market.world.votes(round, tag, &[MISSED; 5]);
    }
    let used = market.world.miner(tag).used;
    assert_eq!((market.world.record(tag).strikes, market.world.record(tag).fined), (2, tokens(5)));
    assert_eq!((market.power(tag, 1), market.sums().1), ((0, 0), supply - tokens(5) / U256::from(2)));

    let openings = market.openings(tag, 3);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    market.refute(FRIEND, tag, 3, evidence.clone()).unwrap();
    let (by, part, outcome) = (FRIEND, 0, 1);
    let event = IAudits::AuditRefuted { miner: miner(tag), round: 3, by, part, outcome, verdict: PASSED };
    assert_eq!(market.world.host.last_event::<IAudits::AuditRefuted>(), event);
    let record = market.world.record(tag);
    assert_eq!((record.strikes, record.passed, record.faults, record.fined), (0, 1, 1, U256::ZERO));
    // The miner has its fine back though nobody is fined: the bytes might have been kept from those who missed them.
    assert_eq!((market.world.miner(tag).collateral, market.world.miner(tag).strikes), (tokens(100), 0));
    assert_eq!((market.power(tag, 1), market.sums()), ((0, used), (U256::ZERO, supply)));
    let members = market.world.committee(3, tag);
    assert_eq!(bonds(&mut market, &members), [tokens(100); 7]);
    let again = IAudits::NothingRefuted { miner: miner(tag), round: 3 };
    assert_reverts(market.refute(FRIEND, tag, 3, evidence), again);
}

#[test]
fn attack_verifiers_that_say_failed_are_fined_by_the_chain() {
    let (mut market, tag) = two_files();
    let openings = market.openings(tag, 2);
    market.answer(tag, 2, &openings, &[]);
    market.world.votes(2, tag, &[FAILED, FAILED, FAILED, MISSED, FAILED]);
    let supply = market.sums().1;
    let members = market.world.committee(2, tag);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    market.refute(FRIEND, tag, 2, evidence).unwrap();
    let (lied, rest) = (tokens(90), tokens(100));
    assert_eq!(bonds(&mut market, &members), [lied, lied, lied, rest, lied, rest, rest]);
    assert_eq!((market.world.host.balance(FRIEND), market.sums()), (tokens(20), (U256::ZERO, supply - tokens(20))));
    assert_eq!((market.world.verdict(2, tag).value, market.world.record(tag).strikes), (PASSED, 0));
}

#[test]
fn attack_credit_for_a_wrong_answer_is_taken_back_by_whoever_has_its_bytes() {
    let (mut market, tag) = two_files();
    // It opens what the round before asked for.
    let stale = market.openings(tag, 1);
    market.answer(tag, 2, &stale, &[]);
    market.world.votes(2, tag, &[PASSED; 5]);
    assert_ne!(market.power(tag, 0), (0, 0));
    let members = market.world.committee(2, tag);
    let evidence = market.evidence(tag, 0, &stale, &[], &[0, 1]);
    market.refute(FRIEND, tag, 2, evidence).unwrap();
    assert_eq!((market.world.verdict(2, tag).value, market.power(tag, 0)), (FAILED, (0, 0)));
    assert_eq!((market.world.record(tag).strikes, bonds(&mut market, &members)[0]), (1, tokens(90)));
    assert_eq!(market.world.host.balance(FRIEND), tokens(25));
    // The chain has seen it: no seat can say otherwise, so that nobody can appeal for it.
    let call = IAudits::appealCall { miner: miner(tag), round: 2, verdict: PASSED };
    market.world.host.fund(USER, 1);
    let appeal = market.world.host.call(USER, crate::ledger::abi::AUDITS, tokens(100), &call);
    assert_reverts(appeal, IAudits::VerdictInvalid { verdict: PASSED });
}

#[test]
fn an_answer_that_was_shown_before_the_votes_cannot_be_voted_away() {
    let (mut market, tag) = two_files();
    let openings = market.openings(tag, 2);
    market.answer(tag, 2, &openings, &[]);
    market.world.votes(2, tag, &[MISSED, FAILED]);
    let members = market.world.committee(2, tag);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    market.refute(miner(tag), tag, 2, evidence).unwrap();
    assert!(!market.world.verdict(2, tag).decided);
    // Who said failed lied about bytes he must have had; who said missed may not have had them.
    assert_eq!(bonds(&mut market, &members)[..3], [tokens(100), tokens(90), tokens(100)]);
    for member in &members[2..5] {
        market.world.vote(*member, 2, tag, MISSED).unwrap();
    }
    assert_eq!(market.world.verdict(2, tag).value, PASSED);
    assert_eq!(bonds(&mut market, &members)[2..5], [tokens(100); 3]);
}

#[test]
fn attack_holdings_that_are_not_all_are_refused() {
    let (mut market, tag) = two_files();
    let openings = market.openings(tag, 2);
    market.answer(tag, 2, &openings, &[]);
    // Stored in the round: not what it is about.
    let late = market.store(3, 5_000);
    market.world.votes(2, tag, &[MISSED; 5]);
    let round = 2;
    let evidence = |market: &Market, files: &[usize]| market.evidence(tag, 0, &openings, &[], files);
    let bytes = |size| crate::ledger::manifest::fragment_len(size);
    let (shown, held) = (bytes(9_000), bytes(9_000) + bytes(40_000));
    let one = evidence(&market, &[0]);
    assert_reverts(market.refute(FRIEND, tag, round, one), IAudits::HoldingsIncomplete { shown, held });
    let more = evidence(&market, &[0, 1, late]);
    let Err(ModuleError::Revert(data)) = market.refute(FRIEND, tag, round, more) else { panic!("too much") };
    <IAudits::ColumnNotHeld as alloy_sol_types::SolError>::abi_decode(&data).unwrap();

    let refused = |market: &mut Market, evidence, index: u64| {
        let Err(ModuleError::Revert(data)) = market.refute(FRIEND, tag, round, evidence) else {
            panic!("bad evidence")
        };
        let error = <IAudits::EvidenceInvalid as alloy_sol_types::SolError>::abi_decode(&data).unwrap();
        assert_eq!(error.index, U256::from(index));
    };
    let mut twice = evidence(&market, &[0, 1]);
    twice.manifests.reverse();
    twice.columns.reverse();
    refused(&mut market, twice, 1);
    let mut uneven = evidence(&market, &[0, 1]);
    uneven.columns.pop();
    let (left, right) = (U256::from(2), U256::ONE);
    assert_reverts(market.refute(FRIEND, tag, round, uneven), IAudits::CountMismatch { left, right });
    let mut column = evidence(&market, &[0, 1]);
    column.columns[1] = (column.columns[1] + 1) % 12;
    let file = crate::crypto::hash::content(&column.manifests[1]).into();
    let not_held = IAudits::ColumnNotHeld { file, column: column.columns[1] };
    assert_reverts(market.refute(FRIEND, tag, round, column), not_held);
    let mut long = evidence(&market, &[0, 1]);
    long.manifests[1] = vec![0; 1 << 20].into();
    let Err(ModuleError::Revert(data)) = market.refute(FRIEND, tag, round, long) else { panic!("too long") };
    <IAudits::EvidenceTooLong as alloy_sol_types::SolError>::abi_decode(&data).unwrap();

    // Other bytes, other digests, nothing committed to.
    let unknown = |round| IAudits::AnswerUnknown { miner: miner(tag), round };
    let mut other = evidence(&market, &[0, 1]);
    other.answer = [&other.answer[..], &[0]].concat().into();
    assert_reverts(market.refute(FRIEND, tag, round, other), unknown(2));
    let foreign = market.evidence(tag, 0, b"made later", &[], &[0, 1]);
    assert_reverts(market.refute(FRIEND, tag, round, foreign), unknown(2));
    let good = evidence(&market, &[0, 1]);
    assert_reverts(market.refute(FRIEND, tag, 1, good.clone()), unknown(1));
    let tags = IAudits::Evidence { part: 1, ..good.clone() };
    assert_reverts(market.refute(FRIEND, tag, round, tags), IAudits::PartInvalid { part: 1 });
    let idle = IAudits::Evidence { part: 2, ..good };
    assert_reverts(market.refute(FRIEND, tag, round, idle), IAudits::NotDue { miner: miner(tag), round });
}

/// What was deleted since cannot be shown to have been there: the seats have to judge.
#[test]
fn a_file_that_went_leaves_openings_to_the_seats() {
    let (mut market, tag) = two_files();
    let openings = market.openings(tag, 2);
    market.answer(tag, 2, &openings, &[]);
    market.world.votes(2, tag, &[MISSED; 5]);
    market.remove(1);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0]);
    let Err(ModuleError::Revert(data)) = market.refute(FRIEND, tag, 2, evidence) else { panic!("incomplete") };
    <IAudits::HoldingsIncomplete as alloy_sol_types::SolError>::abi_decode(&data).unwrap();
    let gone = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    let Err(ModuleError::Revert(data)) = market.refute(FRIEND, tag, 2, gone) else { panic!("gone") };
    <IAudits::ColumnNotHeld as alloy_sol_types::SolError>::abi_decode(&data).unwrap();
}

#[test]
fn idle_space_is_verified_from_the_state_alone() {
    let mut market = Market::new();
    let tag = 9;
    market.certify(tag, 3);
    let segment = 1 << 18;
    // Data takes the first segment and a bit.
    let taken = segment + 5_000;
    crate::ledger::modules::miners::take_space(&mut market.world.host, miner(tag), taken).unwrap().unwrap();
    let steps = taken.div_ceil(segment / 128);
    let basis = |market: &mut Market| market.world.view(&IAudits::basisCall { round: 2, miner: miner(tag) });
    market.world.at(2 * ROUND);
    let expected =
        IAudits::Basis { idle: 3 * segment - steps * (segment / 128), service: taken, segments: 3, consumed: steps };
    assert_eq!(basis(&mut market), expected);
    let leaves = market.leaves(tag, 2, 3, steps);
    market.answer(tag, 2, &[], &leaves);
    market.world.votes(2, tag, &[0b11_00_11; 5]);
    // More is taken, and certified: the round is about what was there before.
    market.certify(tag, 2);
    crate::ledger::modules::miners::take_space(&mut market.world.host, miner(tag), segment).unwrap().unwrap();
    market.world.at(4 * ROUND + 3);
    assert_eq!(basis(&mut market), expected);
    let evidence = market.evidence(tag, 2, &[], &leaves, &[]);
    market.refute(FRIEND, tag, 2, evidence).unwrap();
    assert_eq!((market.world.verdict(2, tag).value, market.power(tag, 0)), (0b01_00_11, (expected.idle, 0)));

    // And a proof that does not hold.
    let stale = market.leaves(tag, 4, 5, steps);
    market.answer(tag, 5, &[], &stale);
    market.world.votes(5, tag, &[0b01_00_11; 5]);
    let evidence = market.evidence(tag, 2, &[], &stale, &[]);
    market.refute(FRIEND, tag, 5, evidence).unwrap();
    let gas = market.world.host.gas_used;
    assert_eq!(market.world.verdict(5, tag).value, 0b10_00_11);
    assert!(gas > 2 * stale.len() as u64, "{gas} gas");
}

#[test]
fn refutations_have_their_time() {
    let (mut market, tag) = two_files();
    let openings = market.openings(tag, 2);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    let call = IAudits::answerCall { round: 2, spot: evidence.spot, idle: evidence.idle };
    market.world.at(2 * ROUND + 1).call(miner(tag), &call).unwrap();
    let (round, from) = (2, 2 * ROUND + 4);
    let early = IAudits::RoundClosed { round, height: 2 * ROUND + 1, from, until: 4 * ROUND - 1 };
    assert_reverts(market.refute(FRIEND, tag, round, evidence.clone()), early);
    market.world.at(2 * ROUND + 9);
    market.world.votes(round, tag, &[MISSED; 5]);
    let until = 2 * ROUND + 9 + 2 * 20;
    market.world.at(until + 1);
    let late = IAudits::RoundClosed { round, height: until + 1, from, until };
    assert_reverts(market.refute(FRIEND, tag, round, evidence.clone()), late);
    market.world.host.height = until;
    market.refute(FRIEND, tag, round, evidence).unwrap();
}

/// Five rounds of lies force a miner out; the last of them is refuted, or one before it.
fn forced_out(refuted: u64) -> (Market, u8) {
    let (mut market, tag) = two_files();
    for round in 2..=6 {
        let openings = market.openings(tag, round);
        market.answer(tag, round, &openings, &[]);
        market.world.votes(round, tag, &[MISSED; 5]);
    }
    let lost = market.world.miner(tag);
    assert_eq!((lost.state, lost.weight, lost.held, lost.collateral), (2, 0, 2, tokens(50)));
    market.world.at(7 * ROUND + 3);
    let openings = market.openings(tag, refuted);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    market.refute(miner(tag), tag, refuted, evidence).unwrap();
    (market, tag)
}

#[test]
fn a_miner_that_was_forced_out_wrongly_is_back_at_once() {
    let (mut market, tag) = forced_out(6);
    let back = market.world.miner(tag);
    // The fine of the round is undone; those of the rounds before are not, until they are refuted, too.
    assert_eq!((back.state, back.leftAt, back.held, back.strikes), (0, 0, 2, 0));
    assert_eq!(back.collateral, tokens(65));
    assert_eq!(back.weight, 0, "until its collateral is what is required");
    // Nothing was due in the rounds it could not take part in.
    let round = 7;
    market.world.at(round * ROUND + 9);
    let member = market.world.committee(round, tag)[0];
    market.world.vote(member, round, tag, MISSED).unwrap();
    assert_eq!(market.world.verdict(round, tag).votes, 0);
    assert_eq!(market.world.record(tag).strikes, 0);
    market.world.at(9 * ROUND + 9);
    market.world.votes(9, tag, &[MISSED; 5]);
    assert_eq!(market.world.record(tag).strikes, 1, "and it owes again");
}

#[test]
fn a_fault_cleared_in_the_middle_of_a_row_undoes_the_exit_at_its_end() {
    let (mut market, tag) = forced_out(5);
    // Rounds 2 to 5 go with the pass, round 6 stays.
    let back = market.world.miner(tag);
    assert_eq!((back.state, back.strikes, market.world.record(tag).strikes), (0, 1, 1));
    // The fifth fault is refuted as well: nothing is left to be undone but its fine.
    let openings = market.openings(tag, 6);
    let evidence = market.evidence(tag, 0, &openings, &[], &[0, 1]);
    market.refute(miner(tag), tag, 6, evidence).unwrap();
    let back = market.world.miner(tag);
    assert_eq!((back.state, back.strikes, back.collateral), (0, 0, tokens(80)));
    assert_eq!(market.world.record(tag).strikes, 0);
}
