//! One sentence for each event, and what filters let through.

use super::{super::names::Names, *};
use crate::{
    ledger::audit::{Outcome, Verdict},
    types::{Amount, B256, FileId, U256},
};

const ATTIC: Address = Address::repeat_byte(0x11);
const CELLAR: Address = Address::repeat_byte(0x22);
const TEE_0: Address = Address::repeat_byte(0x33);
const ALICE: Address = Address::repeat_byte(0x44);
const FILE: FileId = FileId([0xab; 32]);

fn names() -> Names {
    Names::from([(ATTIC, "attic"), (CELLAR, "cellar"), (TEE_0, "tee-0")].as_slice())
}

fn cents(n: u64) -> U256 {
    Amount::tokens(n).0 / U256::from(100)
}

fn verdict(spot: Outcome, tags: Outcome, idle: Outcome) -> u8 {
    Verdict { spot, tags, idle }.encode()
}

/// Every event, with its sentence.
fn samples() -> Vec<(ChainEvent, &'static str)> {
    [miners(), files(), territories(), orders(), audits(), workers(), epochs(), repair(), of_names()].concat()
}

fn miners() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let account = ATTIC;
    vec![
        (
            E::MinerRegistered { account, operator: ALICE, capacity: 200 << 30, name: "attic".into() },
            "miner attic (111111…1111) joined and lends 200 GiB, operated by 444444…4444",
        ),
        (E::MinerCapacityChanged { account, capacity: 1 << 40 }, "miner attic (111111…1111) now lends 1 TiB"),
        (
            E::MinerExited { account, collateral: cents(150) },
            "miner attic (111111…1111) left with its collateral of 1.5",
        ),
        (
            E::MinerLeaving { account, held: 3, withdrawable_from: 900 },
            "miner attic (111111…1111) began to leave, 3 columns are to be repaired; it can withdraw from block 900",
        ),
        (E::MinerLost { account, held: 4 }, "miner attic (111111…1111) is lost, 4 columns are to be repaired"),
        (
            E::MinerReinstated { account, state: 0, held: 4 },
            "miner attic (111111…1111) is back, it had been forced out wrongly; it holds 4 columns",
        ),
        (
            E::MinerFined { account, amount: cents(10), burnt: cents(5), bounty: cents(5) },
            "miner attic (111111…1111) was fined 0.1: 0.05 burnt, 0.05 for who repairs",
        ),
        (
            E::CollateralAdded { account, amount: cents(100), collateral: cents(300) },
            "miner attic (111111…1111) added 1 to its collateral, now 3",
        ),
        (
            E::IdleCommitted { account, batch: 2, first: 16, commitments: vec![Default::default(); 16] },
            "miner attic (111111…1111) committed to idle segments 16 to 31 (batch 2)",
        ),
        (
            E::IdleDecided { account, batch: 2, first: 16, count: 1, accepted: true },
            "idle segment 16 of miner attic (111111…1111) is certified (batch 2)",
        ),
    ]
}

fn files() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let (id, owner) = (FILE, ALICE);
    let holders = vec![ATTIC, CELLAR];
    vec![
        (
            E::FileStored { id, owner, size: 5 << 20, holders: holders.clone(), manifest: Default::default() },
            "444444…4444 stored file ababab…abab, 5 MiB on 2 miners",
        ),
        (E::OwnerAdded { id, owner }, "444444…4444 owns file ababab…abab, too"),
        (E::OwnerRemoved { id, owner }, "444444…4444 gave file ababab…abab up"),
        (E::FileReassigned { id, owner, territory: 7 }, "444444…4444 moved file ababab…abab to territory 7"),
        (E::FileDeleted { id, size: 5 << 20, holders }, "file ababab…abab was deleted, 5 MiB on 2 miners"),
    ]
}

fn of_names() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let (namespace, owner) = (B256::repeat_byte(0xcd), ALICE);
    let (name, value) = (|| b"owner".to_vec().into(), Default::default());
    vec![
        (
            E::NameSet { namespace, owner, name: name(), version: 3, value },
            "444444…4444 set name `owner` of namespace cdcdcd…cdcd, version 3",
        ),
        (
            E::NameRemoved { namespace: B256::ZERO, owner, name: b"bucket/a\n".to_vec().into(), version: 3 },
            "444444…4444 removed name `bucket/a `, version 3",
        ),
        (
            E::OperatorApproved { owner, operator: CELLAR, approved: true },
            "cellar (222222…2222) may act for 444444…4444",
        ),
    ]
}

fn territories() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let (token, price, deadline, owner) = (7, cents(250), 900, ALICE);
    let name = || "photos".to_owned();
    vec![
        (
            E::TerritoryMinted { token, owner, name: name(), size: 1 << 30, deadline, price },
            "444444…4444 leased territory 7 `photos`, 1 GiB until block 900, for 2.5",
        ),
        (E::TerritoryExpanded { token, size: 2 << 30, price }, "territory 7 grew to 2 GiB for 2.5"),
        (E::TerritoryRenewed { token, deadline, price }, "territory 7 lasts until block 900, for 2.5"),
        (E::TerritoryReactivated { token, deadline, price }, "territory 7 is active again until block 900, for 2.5"),
        (E::TerritoryRenamed { token, name: name() }, "territory 7 is called `photos`"),
        (
            E::TerritoryGranted { token, from: ALICE, to: CELLAR },
            "444444…4444 gave territory 7 to cellar (222222…2222)",
        ),
        (E::TerritoryConsigned { token, asked: price }, "territory 7 is on offer for 2.5"),
        (E::ConsignmentCancelled { token }, "territory 7 is not on offer any more"),
        (
            E::ConsignmentBought { token, seller: ALICE, buyer: CELLAR, name: name(), price },
            "cellar (222222…2222) bought territory 7 as `photos` from 444444…4444 for 2.5",
        ),
        (
            E::TerritoryPurged { token, owner, size: 1 << 30 },
            "territory 7 of 444444…4444 is gone, 1 GiB can be leased again",
        ),
    ]
}

fn orders() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let placed = E::OrderPlaced {
        order: 3,
        receiver: ALICE,
        placer: CELLAR,
        name: "photos".into(),
        size: 1 << 30,
        lease_days: 30,
        expires: 950,
    };
    vec![
        (placed, "order 3 is open until block 950: 1 GiB for 30 days for 444444…4444"),
        (E::OrderPaid { order: 3, token: 7, payer: ALICE }, "444444…4444 paid order 3, it is territory 7"),
        (
            E::SpaceCharged { token: 7, file: FILE, amount: 15 << 20, used: 15 << 20 },
            "territory 7 is charged 15 MiB for file ababab…abab",
        ),
        (
            E::SpaceFreed { token: 7, file: FILE, amount: 15 << 20, used: 0 },
            "territory 7 got 15 MiB of file ababab…abab back",
        ),
    ]
}

fn audits() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    use Outcome::{Failed, Missed, NotDue, Passed};
    let (miner, round, appeal) = (ATTIC, 40, 1);
    let missed = verdict(Missed, NotDue, Missed);
    vec![
        (
            E::Answered { miner, round, spot: B256::repeat_byte(1), idle: B256::ZERO },
            "miner attic (111111…1111) answered round 40: data",
        ),
        (
            E::Proven { miner, round, epochs: vec![0, 2], proofs: vec![] },
            "miner attic (111111…1111) proved its tagged data in round 40, key epochs 0, 2",
        ),
        (
            E::AuditDecided { miner, round, verdict: missed, strikes: 2, fined: cents(5) },
            "miner attic (111111…1111) missed round 40: data missed, idle missed; strike 2, fined 0.05",
        ),
        (
            E::AppealOpened { appeal, miner, round, appellant: ALICE, claimed: verdict(Failed, NotDue, Passed) },
            "444444…4444 appeals against round 40 of miner attic (111111…1111): data failed, idle passed (appeal 1)",
        ),
        (
            E::AppealDecided { appeal, miner, round, verdict: verdict(Passed, Passed, Passed), upheld: true },
            "appeal 1 was upheld: round 40 of miner attic (111111…1111) is data passed, tags passed, idle passed",
        ),
        (
            E::VerifierFined { verifier: TEE_0, appeal, amount: cents(10) },
            "verifier tee-0 (333333…3333) was fined 0.1 after appeal 1",
        ),
        (
            E::AuditRefuted { miner, round, by: ALICE, part: 2, outcome: 1, verdict: verdict(Passed, NotDue, Passed) },
            "444444…4444 showed that miner attic (111111…1111) passed round 40 with its idle space: data passed, idle passed",
        ),
    ]
}

fn workers() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let account = TEE_0;
    vec![
        (
            E::WorkerRegistered { account, id: "DEV-01".into(), name: "tee-0".into(), kind: 0, attested_until: 900 },
            "TEE worker tee-0 (333333…3333) joined (full, DEV-01), until block 900",
        ),
        (
            E::WorkerAttested { account, attested_until: 999 },
            "TEE worker tee-0 (333333…3333) renewed its attestation until block 999",
        ),
        (
            E::WorkerLeft { account, bond: cents(100) },
            "TEE worker tee-0 (333333…3333) left, its bond of 1 comes back when the lock is over",
        ),
        (E::BondReturned { account, bond: cents(90) }, "TEE worker tee-0 (333333…3333) got its bond of 0.9 back"),
        (
            E::MeasurementAllowed { measurement: B256::repeat_byte(0xcd), svn: 3 },
            "enclave cdcdcd…cdcd is trusted from security version 3 on",
        ),
        (E::WorkerFined { account, amount: cents(10) }, "TEE worker tee-0 (333333…3333) was fined 0.1"),
        (E::MeasurementRevoked { measurement: B256::repeat_byte(0xcd) }, "enclave cdcdcd…cdcd is trusted no more"),
        (
            E::CollateralPublished { digest: B256::repeat_byte(0xef), bytes: 12 },
            "DCAP collateral efefef…efef was published, 12 B",
        ),
    ]
}

fn epochs() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let epoch = 2;
    vec![
        (
            E::EpochOpened { epoch, opener: TEE_0, key: Default::default(), srs: Default::default() },
            "key epoch 2 was opened by tee-0 (333333…3333)",
        ),
        (E::EpochClosed { epoch }, "key epoch 2 is closed: no new tags, old ones count"),
        (E::EpochSuspended { epoch }, "key epoch 2 is suspended: its tags count no more"),
        (
            E::KeyHandedOver { epoch, from: TEE_0, to: ALICE, seal_key: B256::ZERO, sealed: Default::default() },
            "TEE worker tee-0 (333333…3333) handed the key of epoch 2 to 444444…4444",
        ),
        (
            E::FileTagged { file: FILE, epoch, worker: TEE_0, columns: 0xfff },
            "TEE worker tee-0 (333333…3333) tagged 12 columns of file ababab…abab (key epoch 2)",
        ),
    ]
}

fn repair() -> Vec<(ChainEvent, &'static str)> {
    use ChainEvent as E;
    let (file, column) = (FILE, 3);
    vec![
        (
            E::ColumnSurrendered { file, column, holder: ATTIC },
            "miner attic (111111…1111) gave column 3 of file ababab…abab up",
        ),
        (
            E::RepairClaimed { file, column, claimer: CELLAR, until: 900 },
            "miner cellar (222222…2222) will repair column 3 of file ababab…abab until block 900",
        ),
        (
            E::ClaimSettled { file, column, claimer: CELLAR, deposit: cents(1), burnt: true },
            "0.01 that cellar (222222…2222) deposited for column 3 of file ababab…abab was burnt, the claim lapsed",
        ),
        (
            E::RepairCompleted { file, column, to: CELLAR, from: ATTIC, bounty: cents(5) },
            "miner cellar (222222…2222) repaired column 3 of file ababab…abab, held by attic (111111…1111) before, for 0.05",
        ),
        (
            E::RewardClaimed { miner: ATTIC, to: ALICE, amount: cents(320), next_era: 12 },
            "miner attic (111111…1111) was paid 3.2 to 444444…4444, eras before 12 are settled",
        ),
    ]
}

#[test]
fn every_event_has_its_sentence() {
    let (samples, names) = (samples(), names());
    for (event, expected) in &samples {
        assert_eq!(words::sentence(event, &names), *expected);
    }
    let kinds: std::collections::BTreeSet<String> = samples.iter().map(|(event, _)| kind(event)).collect();
    let known: std::collections::BTreeSet<String> = KINDS.iter().map(|kind| (*kind).to_owned()).collect();
    assert_eq!((kinds, KINDS.len()), (known, samples.len()));
}

#[test]
fn an_approval_that_is_taken_back_is_told_as_such() {
    let event = ChainEvent::OperatorApproved { owner: ALICE, operator: CELLAR, approved: false };
    assert_eq!(words::sentence(&event, &names()), "cellar (222222…2222) may no longer act for 444444…4444");
}

#[test]
fn a_passed_round_has_no_strike_and_single_things_are_singular() {
    let passed = verdict(Outcome::Passed, Outcome::NotDue, Outcome::NotDue);
    let event = ChainEvent::AuditDecided { miner: ALICE, round: 4, verdict: passed, strikes: 0, fined: U256::ZERO };
    assert_eq!(words::sentence(&event, &names()), "miner 444444…4444 passed round 4: data passed");
    let event = ChainEvent::FileTagged { file: FILE, epoch: 0, worker: TEE_0, columns: 8 };
    assert!(words::sentence(&event, &names()).contains("tagged 1 column of"));
    let event = ChainEvent::VerifierFined { verifier: TEE_0, appeal: u64::MAX, amount: cents(10) };
    let words = words::sentence(&event, &names());
    assert_eq!(words, "verifier tee-0 (333333…3333) was fined 0.1 for what the chain itself refuted");
}

#[test]
fn filters_take_kinds_by_their_beginning_and_accounts_anywhere() {
    let filter = |kinds: &[&str], account| {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
        Filter::new(&kinds, account).unwrap()
    };
    let events: Vec<ChainEvent> = samples().into_iter().map(|(event, _)| event).collect();
    let passed = |filter: &Filter| events.iter().filter(|event| filter.passes(event)).map(kind).collect::<Vec<_>>();
    assert_eq!(passed(&filter(&[], None)).len(), KINDS.len());
    assert_eq!(passed(&filter(&["miner-l"], None)), ["minerLeaving", "minerLost"]);
    assert_eq!(passed(&filter(&["AuditDecided", "appeal"], None)), ["auditDecided", "appealOpened", "appealDecided"]);
    let cellar = passed(&filter(&[], Some(CELLAR)));
    assert!(cellar.contains(&"fileStored".to_owned()) && cellar.contains(&"repairClaimed".to_owned()), "{cellar:?}");
    assert!(!cellar.contains(&"minerLost".to_owned()), "{cellar:?}");
    let refused = Filter::new(&["nonsense".to_owned()], None).unwrap_err().to_string();
    assert!(refused.contains("`nonsense`") && refused.contains("minerLost"), "{refused}");
}

#[test]
fn a_row_is_one_line_or_one_object() {
    let row = Row::of(812, B256::repeat_byte(9), &samples()[4].0, &names());
    assert_eq!(row.line(), "block 812  miner attic (111111…1111) is lost, 4 columns are to be repaired");
    let json = serde_json::to_value(&row).unwrap();
    assert_eq!((&json["block"], &json["event"], &json["held"]), (&812.into(), &"minerLost".into(), &4.into()));
}
