//! Rounds: who passes, who fails, who missed, and what is done about wrong verdicts.

use super::*;
use crate::{
    crypto::hash::content,
    ledger::audit::SPOT_CONTEXT,
    proofs::{
        AuditRound, Fragment,
        podr2::{Challenge, Held, Tag, TaggerKey, prove},
        spot,
    },
    storage::wire::AuditPart,
};

/// The key of epoch 0.
fn tagger() -> TaggerKey {
    TaggerKey::derive(&[9; 32])
}

/// What a miner holds: the one fragment of its column.
struct Kept {
    fragment: Fragment,
    data: bytes::Bytes,
    tags: Vec<Tag>,
}

/// Twelve miners with a file and its tags, and the round that follows.
async fn audited() -> (Rig, Vec<Kept>, u64) {
    let rig = Rig::new(12);
    let key = tagger();
    let (epoch, opener, srs) = (0, Address::ZERO, Default::default());
    rig.chain.emit(ChainEvent::EpochOpened { epoch, opener, key: key.public().encode().to_vec().into(), srs });
    let (file, manifest) = store(&rig.chain, &rig.miners, 1, 5_000);
    rig.chain.emit(ChainEvent::FileTagged { file, epoch, worker: Address::ZERO, columns: 0xfff });
    let kept = rig.miners.iter().zip(manifest.segments[0].fragments).map(|(miner, id)| {
        let data = miner.shelf.lock().fragments[&id].clone();
        let fragment = Fragment::new(id, data.len() as u64).unwrap();
        let tags = key.tag(fragment, &data).unwrap();
        Kept { fragment, data, tags }
    });
    let kept = kept.collect();
    let round = rig.open_round().await;
    (rig, kept, round)
}

fn audit(miner: Address, round: u64) -> AuditRound {
    let beacon = beacon_of(round * params().audit_round_blocks).0;
    AuditRound { beacon, chain: CHAIN_ID, miner, round, context: SPOT_CONTEXT }
}

impl Kept {
    fn openings(&self, miner: Address, round: u64) -> Vec<u8> {
        let spots = spot::ask(&audit(miner, round), &spot::Holdings::new(vec![self.fragment]));
        spot::answer(&spots, |_| Some(&self.data)).unwrap()
    }

    fn proof(&self, miner: Address, round: u64) -> Vec<u8> {
        let key = tagger();
        let challenge = Challenge::of(&AuditRound { context: key.public().digest(), ..audit(miner, round) });
        let block = |index: u32| (&self.data[self.fragment.length.block(index)], self.tags[index as usize]);
        let answers = challenge.asks(&self.fragment).iter().map(|asked| block(asked.block)).collect();
        prove(&challenge, &key.srs(), &[Held { fragment: self.fragment, answers }]).unwrap().encode().to_vec()
    }
}

/// Commits to openings and hands a proof in.
fn commit(rig: &Rig, miner: Address, round: u64, openings: &[u8], proof: Option<Vec<u8>>) {
    rig.chain.emit(ChainEvent::Answered { miner, round, spot: content(openings).into(), idle: B256::ZERO });
    if let Some(proof) = proof {
        rig.chain.emit(ChainEvent::Proven { miner, round, epochs: vec![0], proofs: vec![proof.into()] });
    }
}

#[tokio::test]
async fn each_miner_gets_the_verdict_it_deserves() {
    let (rig, kept, round) = audited().await;
    let accounts: Vec<Address> = rig.miners.iter().map(TwinMiner::account).collect();
    for (at, (miner, kept)) in rig.miners.iter().zip(&kept).enumerate() {
        let account = miner.account();
        let (mut openings, mut proof) = (kept.openings(account, round), Some(kept.proof(account, round)));
        match at {
            // Committed to a damaged answer.
            1 => openings[40] ^= 1,
            // Replays: of the round before, and of another miner.
            2 => openings = kept.openings(account, round - 1),
            3 => proof = Some(kept.proof(account, round - 1)),
            4 => proof = Some(kept.proof(accounts[0], round)),
            5 => proof = None,
            6 => proof = Some(vec![0; 128]),
            _ => {}
        }
        match at {
            // Says nothing at all.
            7 => continue,
            // Commits, and gives nobody the bytes.
            8 => {}
            // Gives others than it committed to.
            9 => miner.answer(round, AuditPart::Spot, b"others".to_vec()),
            _ => miner.answer(round, AuditPart::Spot, openings.clone()),
        }
        commit(&rig, account, round, &openings, proof);
    }
    rig.verify(round).await;
    use Outcome::{Failed, Missed, NotDue, Passed};
    let expected = [
        (Passed, Passed),
        (Failed, Passed),
        (Failed, Passed),
        (Passed, Failed),
        (Passed, Failed),
        (Passed, Missed),
        (Passed, Failed),
        (Missed, Missed),
        (Missed, Passed),
        (Missed, Passed),
        (Passed, Passed),
        (Passed, Passed),
    ];
    for ((account, (spot, tags)), at) in accounts.iter().zip(expected).zip(0..) {
        assert_eq!(rig.voted(round, *account), Some(Verdict { spot, tags, idle: NotDue }), "miner {at}");
    }
    // What others could have seen otherwise is no ground for an appeal.
    let certain = |at: usize| rig.holdings.index().own_vote(round, &accounts[at]).unwrap().unwrap().certain & 1;
    assert_eq!([0, 1, 7, 8, 9].map(certain), [1, 1, 1, 0, 0]);
    let votes = rig.chain.state.lock().votes.len();
    let worker = rig.node.workers.register("again");
    rig.verifier.verify_round(round, &worker).await.unwrap();
    assert_eq!(rig.chain.state.lock().votes.len(), votes, "nobody is voted about twice");
}

#[tokio::test]
async fn one_vote_that_is_refused_keeps_no_other_back() {
    let (rig, kept, round) = audited().await;
    for (miner, kept) in rig.miners.iter().zip(&kept) {
        let openings = kept.openings(miner.account(), round);
        miner.answer(round, AuditPart::Spot, openings.clone());
        commit(&rig, miner.account(), round, &openings, Some(kept.proof(miner.account(), round)));
    }
    rig.chain.state.lock().refused.push(rig.miners[4].account());
    rig.verify(round).await;
    assert_eq!(rig.voted(round, rig.miners[4].account()), None);
    assert_eq!(rig.chain.state.lock().votes.len(), 11);
}

#[tokio::test]
async fn only_those_who_are_drawn_verify() {
    let (rig, _, round) = audited().await;
    rig.chain.state.lock().verifiers = vec![Address::repeat_byte(1); 3];
    rig.verify(round).await;
    assert_eq!(rig.chain.state.lock().votes.len(), 0);
}

#[tokio::test]
async fn wrong_verdicts_are_appealed_against_once() {
    let (rig, kept, round) = audited().await;
    let worker = rig.node.workers.register("test");
    for (miner, kept) in rig.miners.iter().zip(&kept).take(3) {
        let openings = kept.openings(miner.account(), round);
        miner.answer(round, AuditPart::Spot, openings.clone());
        commit(&rig, miner.account(), round, &openings, Some(kept.proof(miner.account(), round)));
    }
    rig.verify(round).await;
    let decide = |at: usize, verdict: Verdict| {
        let (miner, verdict, fined) = (rig.miners[at].account(), verdict.encode(), Default::default());
        rig.chain.emit(ChainEvent::AuditDecided { miner, round, verdict, strikes: 0, fined });
    };
    let passed = Verdict { spot: Outcome::Passed, tags: Outcome::Passed, idle: Outcome::NotDue };
    decide(0, passed);
    decide(1, Verdict { spot: Outcome::Missed, ..passed });
    // It never answered, yet it passed.
    decide(5, passed);
    rig.settled().await;
    rig.verifier.object(&worker).await.unwrap();
    rig.verifier.object(&worker).await.unwrap();
    let missed = Verdict { spot: Outcome::Missed, tags: Outcome::Missed, idle: Outcome::NotDue };
    let mut appeals = rig.chain.state.lock().appeals.clone();
    appeals.sort_unstable();
    let mut expected =
        [(rig.miners[1].account(), round, passed.encode()), (rig.miners[5].account(), round, missed.encode())];
    expected.sort_unstable();
    assert_eq!(appeals, expected);
}

#[tokio::test]
async fn a_verifier_that_has_the_bytes_shows_them_to_the_chain_instead() {
    let (rig, kept, round) = audited().await;
    let (worker, miner) = (rig.node.workers.register("test"), &rig.miners[1]);
    let openings = kept[1].openings(miner.account(), round);
    miner.answer(round, AuditPart::Spot, openings.clone());
    commit(&rig, miner.account(), round, &openings, Some(kept[1].proof(miner.account(), round)));
    rig.verify(round).await;
    rig.chain.state.lock().judges = true;
    let verdict = Verdict { spot: Outcome::Failed, tags: Outcome::Passed, idle: Outcome::NotDue }.encode();
    let (account, fined) = (miner.account(), Default::default());
    rig.chain.emit(ChainEvent::AuditDecided { miner: account, round, verdict, strikes: 1, fined });
    rig.settled().await;
    rig.verifier.object(&worker).await.unwrap();
    rig.verifier.object(&worker).await.unwrap();
    let state = rig.chain.state.lock();
    assert_eq!((state.refuted.as_slice(), state.appeals.len()), ([(account, round, 0, 1)].as_slice(), 0));
}

#[tokio::test]
async fn seats_judge_anew_with_what_other_verifiers_kept() {
    let (rig, kept, round) = audited().await;
    let miner = &rig.miners[0];
    let openings = kept[0].openings(miner.account(), round);
    miner.answer(round, AuditPart::Spot, openings.clone());
    commit(&rig, miner.account(), round, &openings, Some(kept[0].proof(miner.account(), round)));
    rig.verify(round).await;
    // A seat that has verified nothing, and a miner that is gone: the verifier of the round has the bytes.
    let seat = Rig::beside(&rig, 201);
    let worker = seat.1.workers.register("seat");
    rig.hub.crash(miner.peer);
    rig.chain.state.lock().workers.push(worker_of(200));
    let (appeal, appellant, claimed) = (3, Address::ZERO, 2);
    rig.chain.emit(ChainEvent::AppealOpened { appeal, miner: miner.account(), round, appellant, claimed });
    rig.settled().await;
    seat.0.holdings().in_step(rig.chain.height()).await;
    seat.0.rule_all(&worker).await.unwrap();
    assert_eq!(rig.chain.state.lock().rulings, [], "it has no seat");
    rig.chain.state.lock().seats.push(NodeKeys::derive(&[201; 32]).address());
    timeout(PATIENCE, seat.0.rule_all(&worker)).await.unwrap().unwrap();
    seat.0.rule_all(&worker).await.unwrap();
    let passed = Verdict { spot: Outcome::Passed, tags: Outcome::Passed, idle: Outcome::NotDue };
    assert_eq!(rig.chain.state.lock().rulings, [(3, passed.encode())]);
}

/// Whoever says that an answer failed is fined if it did not: a miner must not be able to make its committee say so.
#[tokio::test]
async fn attack_wrong_bytes_for_the_committee_and_right_ones_for_the_seats_frame_nobody() {
    let (rig, kept, round) = audited().await;
    let miner = &rig.miners[0];
    let openings = kept[0].openings(miner.account(), round);
    let mut wrong = openings.clone();
    wrong[40] ^= 1;
    miner.answer(round, AuditPart::Spot, wrong);
    commit(&rig, miner.account(), round, &openings, Some(kept[0].proof(miner.account(), round)));
    rig.verify(round).await;
    let missed = Verdict { spot: Outcome::Missed, tags: Outcome::Passed, idle: Outcome::NotDue };
    assert_eq!(rig.voted(round, miner.account()), Some(missed));
    miner.answer(round, AuditPart::Spot, openings);
    let seat = Rig::beside(&rig, 201);
    let worker = seat.1.workers.register("seat");
    rig.chain.state.lock().seats.push(NodeKeys::derive(&[201; 32]).address());
    let (appeal, appellant, claimed) = (4, miner.account(), 5);
    rig.chain.emit(ChainEvent::AppealOpened { appeal, miner: miner.account(), round, appellant, claimed });
    rig.settled().await;
    timeout(PATIENCE, seat.0.holdings().in_step(rig.chain.height())).await.unwrap();
    timeout(PATIENCE, seat.0.rule_all(&worker)).await.unwrap().unwrap();
    let passed = Verdict { spot: Outcome::Passed, ..missed };
    assert_eq!(rig.chain.state.lock().rulings, [(4, passed.encode())]);
}

#[tokio::test]
async fn a_verifier_without_old_events_takes_holdings_over_from_the_state() {
    let (rig, kept, round) = audited().await;
    rig.chain.state.lock().workers.push(worker_of(200));
    let file = *rig.chain.state.lock().files.keys().next().unwrap();
    rig.chain.state.lock().tags.insert(file, [1; 12]);
    // This chain has no events any more of what the other verifier has followed.
    let height = rig.chain.height();
    rig.chain.state.lock().pruned = height;
    let (late, node) = Rig::beside(&rig, 202);
    timeout(PATIENCE, late.holdings().in_step(height)).await.unwrap();
    assert_eq!(late.holdings().index().first_round().unwrap(), round + 1);
    let worker = node.workers.register("late");
    late.verify_round(round, &worker).await.unwrap();
    let told = node.workers.list().into_iter().find(|worker| worker.name == "late").unwrap().detail;
    assert!(told.starts_with(&format!("waits for round {}", round + 1)), "{told}");
    // The next round is about the same for both.
    let next = rig.open_round().await;
    let miner = &rig.miners[0];
    let openings = kept[0].openings(miner.account(), next);
    miner.answer(next, AuditPart::Spot, openings.clone());
    commit(&rig, miner.account(), next, &openings, Some(kept[0].proof(miner.account(), next)));
    rig.settled().await;
    timeout(PATIENCE, late.holdings().in_step(rig.chain.height())).await.unwrap();
    for miner in &rig.miners {
        let of = |verifier: &Verifier| verifier.holdings().index().audited(&miner.account(), next).unwrap();
        assert_eq!(of(&late), of(&rig.verifier));
        assert_eq!(of(&late).tagged[&0].len(), 1);
    }
    rig.chain.state.lock().verifiers = vec![NodeKeys::derive(&[202; 32]).address()];
    rig.advance(late.holdings().index().rounds().opened_at(next + 1)).await;
    timeout(PATIENCE, late.verify_round(next, &worker)).await.unwrap().unwrap();
    let passed = Verdict { spot: Outcome::Passed, tags: Outcome::Passed, idle: Outcome::NotDue };
    assert_eq!(rig.voted(next, rig.miners[0].account()), Some(passed));
}

#[tokio::test]
async fn without_a_manifest_a_verifier_says_that_it_does_not_verify() {
    let (rig, _, _) = audited().await;
    rig.chain.state.lock().pruned = rig.chain.height();
    // Nobody else is known to verify.
    let (late, node) = Rig::beside(&rig, 202);
    let error = || {
        let workers = node.workers.list();
        workers.into_iter().find(|worker| worker.name == "index holdings").unwrap().last_error.unwrap_or_default()
    };
    timeout(PATIENCE, async {
        while error().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(error().contains("this node verifies nothing until it is"), "{}", error());
    assert_eq!(*late.holdings().followed().borrow(), 0);
}

/// A proof for an epoch of which nothing is due must not speak for it: epochs are judged by what was proven with them.
#[tokio::test]
async fn a_proof_for_an_epoch_that_is_not_due_fails_unless_the_epoch_is_suspended() {
    let (rig, kept, round) = audited().await;
    let (opener, srs) = (Address::ZERO, Default::default());
    let key = TaggerKey::derive(&[8; 32]).public().encode().to_vec();
    rig.chain.emit(ChainEvent::EpochOpened { epoch: 1, opener, key: key.clone().into(), srs });
    rig.chain.emit(ChainEvent::EpochOpened { epoch: 2, opener, key: key.into(), srs: Default::default() });
    rig.chain.emit(ChainEvent::EpochSuspended { epoch: 2 });
    for (at, extra) in [(0usize, None), (1, Some(1u64)), (2, Some(2)), (3, Some(7))] {
        let miner = rig.miners[at].account();
        let openings = kept[at].openings(miner, round);
        rig.miners[at].answer(round, AuditPart::Spot, openings.clone());
        commit(&rig, miner, round, &openings, None);
        let proof: alloy_primitives::Bytes = kept[at].proof(miner, round).into();
        let epochs: Vec<u64> = std::iter::once(0).chain(extra).collect();
        let proofs = vec![proof; epochs.len()];
        rig.chain.emit(ChainEvent::Proven { miner, round, epochs, proofs });
    }
    rig.verify(round).await;
    let tags = |at: usize| rig.voted(round, rig.miners[at].account()).unwrap().tags;
    // Of an epoch that is suspended, or that nobody opened, nothing is judged.
    assert_eq!([0, 1, 2, 3].map(tags), [Outcome::Passed, Outcome::Failed, Outcome::Passed, Outcome::Passed]);
}

fn worker_of(seed: u8) -> crate::ledger::abi::ITee::Worker {
    worker(&NodeKeys::derive(&[seed; 32]), 0, [0; 32])
}
