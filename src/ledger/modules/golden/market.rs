//! Samples of the audits and the rewards module.

use super::{SampleCall, account, answer, blob, error, event, word};
use crate::{
    ledger::abi::{AUDITS, IAudits, IRewards, REWARDS},
    types::U256,
};

pub(super) fn calls() -> Vec<SampleCall> {
    let (miner, miners) = (account(0x01), vec![account(0x01), account(0x02)]);
    let vote = IAudits::voteCall { round: 1, miners: miners.clone(), verdicts: vec![0x15, 0x02] };
    let idle = IAudits::voteIdleCall { miners, batches: vec![3, 4], accepted: vec![true, false] };
    vec![
        SampleCall::of(AUDITS, &IAudits::answerCall { round: 1, spot: word(0x02), idle: word(0x03) }),
        SampleCall::of(AUDITS, &IAudits::proveCall { round: 1, epochs: vec![2], proofs: vec![blob(0x03, 128)] }),
        SampleCall::of(AUDITS, &vote),
        SampleCall::of(AUDITS, &idle),
        SampleCall::of(AUDITS, &IAudits::appealCall { miner, round: 2, verdict: 3 }),
        SampleCall::of(AUDITS, &IAudits::ruleCall { number: 1, verdict: 2 }),
        SampleCall::of(AUDITS, &IAudits::reclaimCall { number: 1 }),
        SampleCall::of(AUDITS, &IAudits::refuteCall { miner, round: 1, evidence: sample_evidence() }),
        SampleCall::of(AUDITS, &IAudits::basisCall { round: 1, miner }),
        SampleCall::of(AUDITS, &IAudits::termsCall {}),
        SampleCall::of(AUDITS, &IAudits::roundCall {}),
        SampleCall::of(AUDITS, &IAudits::roundAtCall { number: 1 }),
        SampleCall::of(AUDITS, &IAudits::committeeCall { round: 1, miner }),
        SampleCall::of(AUDITS, &IAudits::idleCommitteeCall { miner, batch: 1 }),
        SampleCall::of(AUDITS, &IAudits::verifiersCall {}),
        SampleCall::of(AUDITS, &IAudits::verdictCall { round: 1, miner }),
        SampleCall::of(AUDITS, &IAudits::recordCall { miner }),
        SampleCall::of(AUDITS, &IAudits::appealsCall { skip: 1, limit: 2 }),
        SampleCall::of(REWARDS, &IRewards::claimCall { miner, eras: 2 }),
        SampleCall::of(REWARDS, &IRewards::eraCall { number: 1 }),
        SampleCall::of(REWARDS, &IRewards::shareCall { miner, era: 2 }),
        SampleCall::of(REWARDS, &IRewards::accountCall { miner }),
        SampleCall::of(REWARDS, &IRewards::poolsCall {}),
    ]
}

fn sample_evidence() -> IAudits::Evidence {
    IAudits::Evidence {
        part: 2,
        spot: word(0x02),
        idle: word(0x03),
        answer: blob(0x04, 33),
        manifests: vec![blob(0x05, 33)],
        columns: vec![6],
    }
}

pub(super) fn answers() -> Vec<String> {
    let terms = IAudits::Terms {
        roundBlocks: 1,
        tagRounds: 2,
        answerBlocks: 3,
        proveBlocks: 4,
        appealBlocks: 5,
        committee: 6,
        deposit: U256::from(7),
    };
    let round = IAudits::Round {
        number: 1,
        openedAt: 2,
        beacon: word(0x03),
        answerUntil: 4,
        proveUntil: 5,
        voteUntil: 6,
        tags: true,
        slow: false,
    };
    let verdict = IAudits::Verdict { value: 1, decidedAt: 2, votes: 3, decided: true, appealed: false };
    let mut answers = vec![
        answer::<IAudits::appealCall>(&1),
        answer::<IAudits::termsCall>(&terms),
        answer::<IAudits::roundCall>(&round),
        answer::<IAudits::roundAtCall>(&round),
        answer::<IAudits::committeeCall>(&vec![account(0x01), account(0x02)]),
        answer::<IAudits::idleCommitteeCall>(&vec![account(0x01)]),
        answer::<IAudits::verifiersCall>(&vec![account(0x01)]),
        answer::<IAudits::verdictCall>(&verdict),
        answer::<IAudits::recordCall>(&sample_record()),
        answer::<IAudits::basisCall>(&IAudits::Basis { idle: 1, service: 2, segments: 3, consumed: 4 }),
        answer::<IAudits::appealsCall>(&vec![sample_appeal()]),
    ];
    answers.extend(reward_answers());
    answers
}

fn sample_record() -> IAudits::Record {
    IAudits::Record {
        answered: 1,
        proven: 2,
        decided: 3,
        verdict: 4,
        strikes: 5,
        passed: 6,
        faults: 7,
        fined: U256::from(8),
    }
}

fn sample_appeal() -> IAudits::Appeal {
    IAudits::Appeal {
        number: 1,
        appellant: account(0x02),
        miner: account(0x03),
        round: 4,
        claimed: 5,
        decided: 6,
        deposit: U256::from(7),
        until: 8,
        state: 1,
        votes: 9,
    }
}

fn reward_answers() -> Vec<String> {
    let era = IRewards::Era {
        number: 1,
        idle: U256::from(2),
        service: U256::from(3),
        emission: U256::from(4),
        rent: U256::from(5),
        settled: true,
    };
    let share = IRewards::Share {
        era: 1,
        idle: U256::from(2),
        service: U256::from(3),
        rounds: 4,
        power: U256::from(5),
        totalPower: U256::from(6),
        fromEmission: U256::from(7),
        fromRent: U256::from(8),
        settled: true,
        claimed: false,
    };
    let account = IRewards::Account {
        nextEra: 1,
        claimable: U256::from(2),
        locked: U256::from(3),
        paid: U256::from(4),
        part: U256::from(5),
        nextPartAt: 6,
    };
    let pools = IRewards::poolsReturn {
        caches: U256::from(1),
        waiting: U256::from(2),
        minted: U256::from(3),
        burnt: U256::from(4),
    };
    vec![
        answer::<IRewards::claimCall>(&U256::from(1)),
        answer::<IRewards::eraCall>(&era),
        answer::<IRewards::shareCall>(&share),
        answer::<IRewards::accountCall>(&account),
        answer::<IRewards::poolsCall>(&pools),
    ]
}

pub(super) fn events() -> Vec<String> {
    let (miner, amount) = (account(0x01), U256::from(4));
    let opened = IAudits::AppealOpened { appeal: 1, miner, round: 2, appellant: account(0x03), claimed: 4 };
    vec![
        event(&IAudits::Answered { miner, round: 2, spot: word(0x03), idle: word(0x04) }),
        event(&IAudits::Proven { miner, round: 2, epochs: vec![3], proofs: vec![blob(0x04, 128)] }),
        event(&IAudits::AuditDecided { miner, round: 2, verdict: 3, strikes: 1, fined: amount }),
        event(&opened),
        event(&IAudits::AppealDecided { appeal: 1, miner, round: 2, verdict: 3, upheld: true }),
        event(&IAudits::VerifierFined { verifier: account(0x02), appeal: 1, amount }),
        event(&IAudits::AuditRefuted { miner, round: 2, by: account(0x03), part: 2, outcome: 1, verdict: 0x11 }),
        event(&IRewards::RewardClaimed { miner, to: account(0x02), amount, nextEra: 5 }),
    ]
}

pub(super) fn errors() -> Vec<(String, [u8; 4])> {
    let (miner, account, round, one, two) = (account(0x01), account(0x02), 3, U256::from(1), U256::from(2));
    vec![
        error(&IAudits::RoundClosed { round, height: 1, from: 2, until: 4 }),
        error(&IAudits::NotDue { miner, round }),
        error(&IAudits::AlreadyAnswered { miner, round }),
        error(&IAudits::AlreadyProven { miner, round }),
        error(&IAudits::EpochsUnordered { epoch: 1 }),
        error(&IAudits::NotInCommittee { account, miner, round }),
        error(&IAudits::AlreadyVoted { account, miner, round }),
        error(&IAudits::CountMismatch { left: one, right: two }),
        error(&IAudits::TooMany { given: two, maximum: one }),
        error(&IAudits::VerdictInvalid { verdict: 64 }),
        error(&IAudits::ProofLength { epoch: 1, given: one, required: two }),
        error(&IAudits::NotDecided { miner, round }),
        error(&IAudits::AppealLate { miner, round, until: 4 }),
        error(&IAudits::AlreadyAppealed { miner, round }),
        error(&IAudits::DepositTooLow { sent: one, required: two }),
        error(&IAudits::UnknownAppeal { number: 1 }),
        error(&IAudits::AppealClosed { number: 1 }),
        error(&IAudits::NotSeated { account }),
        error(&IAudits::PartInvalid { part: 1 }),
        error(&IAudits::AnswerUnknown { miner, round }),
        error(&IAudits::EvidenceTooLong { given: two, maximum: one }),
        error(&IAudits::EvidenceInvalid { index: one, reason: "why".into() }),
        error(&IAudits::ColumnNotHeld { file: word(0x01), column: 2 }),
        error(&IAudits::HoldingsIncomplete { shown: 1, held: 2 }),
        error(&IAudits::NothingRefuted { miner, round }),
        error(&IRewards::NothingDue { miner, nextEra: 1 }),
        error(&IRewards::EraUnknown { era: 1 }),
        error(&IRewards::TooMany { given: 2, maximum: 1 }),
    ]
}
