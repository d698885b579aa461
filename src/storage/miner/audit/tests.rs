//! Rounds against a chain that remembers: answers verify, are kept and served, and name what is missing.

use super::*;
use crate::client::ChainClient;
use crate::{
    client::ChainEvent,
    crypto::PublicKey,
    ledger::audit::{SPOT_CONTEXT, tag_message},
    proofs::{
        AuditRound, Fragment,
        podr2::{self, Challenge, Proof, TaggerKey},
        pois::{ANSWER_WINDOW_MAX_MS, Machine},
        spot::{self, Holdings},
    },
    storage::{
        DataError,
        cluster::{Cluster, TestMiner, sample},
        fragments::{FragmentStore, FragmentTags},
        miner::tests::{DEADLINE, until},
        upload::StoreCall,
        wire::{AuditPart, Refusal},
    },
    types::{
        Address, FragmentId, Params,
        params::{IDLE_AUDIT_LEAVES, SPOT_OPENINGS},
    },
};

const CHAIN: u64 = 11_332;

fn blocks() -> Height {
    Params::dev().audit_round_blocks
}

/// Makes blocks up to the first of a round.
fn open_round(cluster: &Cluster, round: u64) {
    cluster.chain.advance(round * blocks() - cluster.chain.height());
}

async fn transcript(cluster: &Cluster, miner: &TestMiner, round: u64, context: [u8; 32]) -> AuditRound {
    let beacon = cluster.chain.beacon(round * blocks()).await.unwrap().unwrap().0;
    AuditRound { beacon, chain: CHAIN, miner: miner.account(), round, context }
}

/// The column of a file as audits see it.
fn column(call: &StoreCall, index: usize) -> Vec<Fragment> {
    let mut ids: Vec<(FragmentId, u64)> =
        call.manifest.segments.iter().map(|segment| (segment.fragments[index], segment.fragment_len())).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.into_iter().map(|(id, len)| Fragment::new(id, len).unwrap()).collect()
}

async fn answered(cluster: &Cluster, miner: &TestMiner, round: u64) -> (B256, B256) {
    let find = || cluster.chain.market(|market| market.answers.get(&(miner.account(), round)).copied());
    until("the round is answered", || find().is_some()).await;
    find().unwrap()
}

/// Fetches the openings of a round as a verifier does, and checks them.
async fn check_spot(cluster: &Cluster, miner: &TestMiner, round: u64, fragments: Vec<Fragment>) {
    let (digest, _) = answered(cluster, miner, round).await;
    let bytes = cluster.data.audit(miner.peer, round, AuditPart::Spot, DEADLINE).await.unwrap();
    assert_eq!(digest, B256::from(hash::content(&bytes)));
    let round = transcript(cluster, miner, round, SPOT_CONTEXT).await;
    spot::verify(&spot::ask(&round, &Holdings::new(fragments)), &bytes).unwrap();
}

#[tokio::test]
async fn rounds_are_answered_with_openings_of_what_was_held_before() {
    let cluster = Cluster::new(12).await;
    let (one, bytes) = (cluster.put(&sample(1, 9_000)).await, sample(2, 50_000));
    cluster.settled().await;
    let miner = cluster.miner(one.holders[3]);
    open_round(&cluster, 1);
    check_spot(&cluster, miner, 1, column(&one, 3)).await;
    // Stored within the round, and due from the next on.
    let two = cluster.put(&bytes).await;
    open_round(&cluster, 2);
    let at = two.holders.iter().position(|holder| *holder == miner.account()).unwrap();
    let mut both = [column(&one, 3), column(&two, at)].concat();
    both.sort_by_key(|fragment| fragment.id);
    check_spot(&cluster, miner, 2, both).await;
    let none = cluster.data.audit(miner.peer, 2, AuditPart::Idle, DEADLINE).await.unwrap_err();
    assert!(matches!(none, DataError::Refused { refusal: Refusal::Invalid(_), .. }), "{none}");
    // Answers are served as long as votes are taken and appeals judged, and forgotten then.
    open_round(&cluster, 4);
    answered(&cluster, miner, 4).await;
    cluster.data.audit(miner.peer, 1, AuditPart::Spot, DEADLINE).await.unwrap();
    open_round(&cluster, 5);
    answered(&cluster, miner, 5).await;
    cluster.data.audit(miner.peer, 2, AuditPart::Spot, DEADLINE).await.unwrap();
    assert!(cluster.data.audit(miner.peer, 1, AuditPart::Spot, DEADLINE).await.is_err());
}

#[tokio::test]
async fn a_file_deleted_by_the_first_block_of_a_round_is_still_due() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 9_000)).await;
    cluster.settled().await;
    let miner = cluster.miner(call.holders[0]);
    cluster.chain.advance(2 * blocks() - 1 - cluster.chain.height());
    cluster.chain.delete(call.file);
    assert_eq!(cluster.chain.height(), 2 * blocks());
    check_spot(&cluster, miner, 2, column(&call, 0)).await;
    open_round(&cluster, 3);
    cluster.settled().await;
    let id = call.manifest.segments[0].fragments[0];
    assert!(miner.store.index().holds(id).unwrap(), "votes about round 2 are taken until round 4 opens");
    open_round(&cluster, 4);
    until("then it is dropped", || !miner.store.index().holds(id).unwrap()).await;
    assert!(!cluster.chain.market(|market| market.answers.contains_key(&(miner.account(), 3))), "nothing was due");
}

#[tokio::test]
async fn a_missing_fragment_is_named_and_comes_back_without_the_chain() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 9_000)).await;
    cluster.settled().await;
    let (miner, id) = (cluster.miner(call.holders[6]), call.manifest.segments[0].fragments[6]);
    miner.store.memory.damage(id);
    open_round(&cluster, 1);
    let count = |counter| miner.node.metrics.counter(counter);
    until("the round is missed", || count(Counter::AuditsMissed) == 1).await;
    until("the fragment is rebuilt", || count(Counter::FragmentsHealed) == 1).await;
    let workers = miner.node.workers.list();
    let error = workers.iter().find(|worker| worker.name == "audits").unwrap().last_error.clone();
    assert_eq!(error, Some(format!("1 fragments that were asked for are not here, the first is {id}")));
    assert!(!cluster.chain.market(|market| market.answers.contains_key(&(miner.account(), 1))));
    open_round(&cluster, 2);
    check_spot(&cluster, miner, 2, column(&call, 6)).await;
}

/// A file of two segments whose column `at` is tagged in an epoch.
async fn tagged(cluster: &Cluster, at: usize) -> (StoreCall, u64) {
    let call = cluster.put(&sample(5, 40_000)).await;
    cluster.settled().await;
    let key = TaggerKey::derive(&[1; 32]);
    let epoch = cluster.chain.open_epoch(TaggerKey::derive(&[1; 32]));
    let miner = cluster.miner(call.holders[at]);
    for fragment in column(&call, at) {
        let data = miner.store.get(fragment.id).await.unwrap();
        let tags: Vec<u8> = key.tag(fragment, &data).unwrap().iter().flat_map(|tag| tag.0).collect();
        cluster.data.tags(miner.peer, fragment.id, epoch, tags.into(), DEADLINE).await.unwrap();
    }
    (call, epoch)
}

#[tokio::test]
async fn good_tags_are_kept_signed_for_and_proven() {
    let cluster = Cluster::new(12).await;
    let (call, epoch) = tagged(&cluster, 2).await;
    let (miner, key) = (cluster.miner(call.holders[2]), TaggerKey::derive(&[1; 32]).public());
    let receipt = cluster.data.tag_receipt(miner.peer, 2, epoch, &call.manifest_bytes, DEADLINE).await.unwrap();
    let record = cluster.directory.find(&[miner.account()]).await.unwrap()[0].clone().unwrap();
    let message = tag_message(CHAIN, call.file, 2, miner.account(), &key.digest());
    PublicKey(record.account_key).verify(&message, &crate::crypto::Signature(receipt)).unwrap();
    let none = cluster.data.tag_receipt(miner.peer, 3, epoch, &call.manifest_bytes, DEADLINE).await.unwrap_err();
    assert!(matches!(none, DataError::Refused { refusal: Refusal::Missing(_), .. }), "{none}");

    let event = ChainEvent::FileTagged { file: call.file, epoch, worker: Address::ZERO, columns: 1 << 2 };
    cluster.chain.emit(event);
    cluster.settled().await;
    open_round(&cluster, 1);
    let proofs = || cluster.chain.market(|market| market.proofs.get(&(miner.account(), 1)).cloned());
    until("the round is proven", || proofs().is_some()).await;
    let proofs = proofs().unwrap();
    assert_eq!((proofs.len(), proofs[0].0), (1, epoch));
    let proof = Proof::decode(proofs[0].1[..].try_into().unwrap()).unwrap();
    let challenge = Challenge::of(&transcript(&cluster, miner, 1, key.digest()).await);
    let fragments = column(&call, 2);
    let claim = podr2::Claim { challenge: &challenge, fragments: &fragments, proof: &proof };
    podr2::verify(&key, &claim).unwrap();

    // Tags of a suspended epoch are not due.
    cluster.chain.market(|market| market.epochs[0].state = 2);
    open_round(&cluster, 2);
    answered(&cluster, miner, 2).await;
    assert!(!cluster.chain.market(|market| market.proofs.contains_key(&(miner.account(), 2))));
}

#[tokio::test]
async fn bad_tags_are_refused_so_that_no_tagger_can_frame_a_miner() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(5, 9_000)).await;
    cluster.settled().await;
    let epoch = cluster.chain.open_epoch(TaggerKey::derive(&[1; 32]));
    let (miner, fragment) = (cluster.miner(call.holders[0]), column(&call, 0)[0]);
    let data = miner.store.get(fragment.id).await.unwrap();
    let bytes = |seed: u8| -> bytes::Bytes {
        let tags = TaggerKey::derive(&[seed; 32]).tag(fragment, &data).unwrap();
        tags.iter().flat_map(|tag| tag.0).collect::<Vec<u8>>().into()
    };
    let send = |id, epoch, tags| cluster.data.tags(miner.peer, id, epoch, tags, DEADLINE);
    let refusal = |result: Result<(), DataError>| match result {
        Err(DataError::Refused { refusal, .. }) => refusal.to_string(),
        other => panic!("{other:?}"),
    };
    let text = refusal(send(fragment.id, epoch, bytes(2)).await);
    assert!(text.contains("are not tags of its bytes under the group's key"), "{text}");
    let text = refusal(send(fragment.id, epoch, bytes(1).slice(..47)).await);
    assert!(text.contains("47 B are no tags"), "{text}");
    let text = refusal(send(fragment.id, epoch, [&bytes(1)[..], &bytes(1)[..]].concat().into()).await);
    assert!(text.contains("2 tags are given"), "{text}");
    let foreign = FragmentId([9; 32]);
    assert_eq!(refusal(send(foreign, epoch, bytes(1)).await), format!("fragment {foreign} is not held"));
    send(fragment.id, epoch, bytes(1)).await.unwrap();
    cluster.chain.market(|market| market.epochs[0].state = 1);
    let other = cluster.miner(call.holders[1]);
    let fragment = column(&call, 1)[0];
    let closed = refusal(cluster.data.tags(other.peer, fragment.id, epoch, bytes(1), DEADLINE).await);
    assert!(closed.contains("key epoch 0 takes no new tags"), "{closed}");
}

/// Faults that nothing contradicts.
fn missed(tags: Outcome) -> u8 {
    Verdict { spot: Outcome::Missed, tags, idle: Outcome::NotDue }.encode()
}

/// Waits until this miner is sure of what it handed in.
async fn sure(miner: &TestMiner, round: u64) {
    let answers = KeptAnswers::new(miner.store.index().kv().clone());
    until("the round is sure", || answers.own().unwrap().iter().any(|(of, _)| *of == round)).await;
}

#[tokio::test]
async fn attack_a_committee_that_votes_a_miner_down_is_refuted_by_it() {
    let cluster = Cluster::new(12).await;
    let calls = [cluster.put(&sample(1, 9_000)).await, cluster.put(&sample(2, 50_000)).await];
    cluster.settled().await;
    let miner = cluster.miner(calls[0].holders[3]);
    open_round(&cluster, 1);
    sure(miner, 1).await;
    cluster.chain.decide(miner.account(), 1, missed(Outcome::NotDue));
    let refuted = || cluster.chain.market(|market| market.refuted.clone());
    until("the chain is shown the answer", || !refuted().is_empty()).await;
    assert_eq!(refuted(), [(miner.account(), 1, 0)]);
    cluster.chain.market(|market| {
        assert_eq!(market.verdicts[&(miner.account(), 1)], (1, false));
        assert_eq!(market.appeals, [], "nothing is left to appeal for");
    });
    // What passed is not objected to.
    open_round(&cluster, 2);
    sure(miner, 2).await;
    cluster.chain.decide(miner.account(), 2, Verdict { spot: Outcome::Passed, ..Verdict::default() }.encode());
    open_round(&cluster, 3);
    sure(miner, 3).await;
    assert_eq!(refuted().len(), 1);
}

#[tokio::test]
async fn a_miner_appeals_where_the_chain_cannot_judge_and_only_if_it_is_sure() {
    let cluster = Cluster::new(12).await;
    let call = cluster.put(&sample(1, 9_000)).await;
    cluster.settled().await;
    cluster.chain.market(|market| market.blind = true);
    let (miner, cheat) = (cluster.miner(call.holders[6]), cluster.miner(call.holders[7]));
    cheat.store.memory.damage(call.manifest.segments[0].fragments[7]);
    open_round(&cluster, 1);
    sure(miner, 1).await;
    for guilty in [miner, cheat] {
        cluster.chain.decide(guilty.account(), 1, missed(Outcome::NotDue));
    }
    let appeals = || cluster.chain.market(|market| market.appeals.clone());
    until("it appeals", || !appeals().is_empty()).await;
    // The bytes are kept for the seats long after the votes.
    open_round(&cluster, 3);
    sure(miner, 3).await;
    cluster.data.audit(miner.peer, 1, AuditPart::Spot, DEADLINE).await.unwrap();
    let passed = Verdict { spot: Outcome::Passed, ..Verdict::default() }.encode();
    assert_eq!(appeals(), [(miner.account(), 1, passed, U256::ONE)], "once, and nobody else does");
}

#[tokio::test]
async fn a_proof_of_tags_that_does_not_verify_is_not_handed_in() {
    let cluster = Cluster::new(12).await;
    let (call, epoch) = tagged(&cluster, 2).await;
    let miner = cluster.miner(call.holders[2]);
    cluster.chain.emit(ChainEvent::FileTagged { file: call.file, epoch, worker: Address::ZERO, columns: 1 << 2 });
    cluster.settled().await;
    open_round(&cluster, 1);
    sure(miner, 1).await;
    let proven = |round| cluster.chain.market(|market| market.proofs.contains_key(&(miner.account(), round)));
    assert!(proven(1));
    // Tags that are none of this key, as a damaged disk would have it.
    let (fragment, index) = (column(&call, 2)[0], miner.store.index());
    let data = miner.store.get(fragment.id).await.unwrap();
    let tags = TaggerKey::derive(&[2; 32]).tag(fragment, &data).unwrap();
    index.put_tags(fragment.id, epoch, &FragmentTags { tags }).unwrap();
    open_round(&cluster, 2);
    let error = || {
        let workers = miner.node.workers.list();
        workers.iter().find(|worker| worker.name == "audits").unwrap().last_error.clone().unwrap_or_default()
    };
    until("the worker says what is wrong", || error().contains("does not verify here")).await;
    assert!(error().contains(&format!("the proof of key epoch {epoch} over 1 fragments")), "{}", error());
    assert!(!proven(2));
}

/// A prover that keeps nothing and fetches every opening from somewhere else when it is asked for.
#[test]
fn a_proxy_prover_with_200_ms_an_opening_misses_the_window() {
    const FETCH_MS: u64 = 200;
    let mut clock_ms = 0;
    for _opening in 0..SPOT_OPENINGS + IDLE_AUDIT_LEAVES {
        clock_ms += FETCH_MS;
    }
    assert!(clock_ms > ANSWER_WINDOW_MAX_MS, "{clock_ms} ms");
    // Who has nothing at all cannot make it up either.
    assert!(Machine::FASTEST.regeneration_ms(crate::proofs::pois::Shape::MAINNET) > ANSWER_WINDOW_MAX_MS);
}
