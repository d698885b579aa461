//! Commitments to idle space and what data takes of it.

use super::*;
use crate::{
    codec, ledger::abi::IMiners::IdleCommitted, proofs::pois::Commitment, types::params::IDLE_COMMITMENTS_MAX,
};
use alloy_primitives::Bytes;

fn commitment(tag: u8, layers: usize) -> Bytes {
    let layer_roots = (0..layers).map(|layer| [tag ^ (layer as u8) << 6; 32]).collect();
    codec::encode(&Commitment { layer_roots }).into()
}

fn commit(host: &mut TestHost, count: u8) -> Result<u64, ModuleError> {
    let commitments = (0..count).map(|tag| commitment(tag, 3)).collect();
    call(host, 1, &commitIdleCall { commitments })
}

fn world(capacity: u64) -> TestHost {
    let mut host = TestHost::new();
    register(&mut host, 1);
    call(&mut host, 1, &setCapacityCall { capacity }).unwrap();
    host
}

fn batch(host: &mut TestHost, number: u64) -> IMiners::Batch {
    host.view(MINERS, &idleBatchCall { account: account(1), batch: number }).unwrap()
}

fn counts(host: &mut TestHost) -> (u64, u64) {
    let counts = host.view(MINERS, &idleCountsCall { account: account(1) }).unwrap();
    (counts.batches, counts.next)
}

fn certified(host: &mut TestHost) -> Vec<(u64, B256)> {
    let call = segmentsCall { account: account(1), skip: 0, limit: u64::MAX };
    host.view(MINERS, &call).unwrap().into_iter().map(|segment| (segment.number, segment.root)).collect()
}

/// Root of the last layer of commitment `tag`.
fn root(tag: u8) -> B256 {
    B256::repeat_byte(tag ^ 0x80)
}

#[test]
fn segments_count_from_the_decision_on_and_numbers_are_never_used_again() {
    let mut host = world(16 * MIB);
    host.advance_to(3);
    assert_eq!(commit(&mut host, 2), Ok(0));
    let event = host.last_event::<IdleCommitted>();
    assert_eq!((event.batch, event.first, event.commitments), (0, 0, vec![commitment(0, 3), commitment(1, 3)]));
    let expected = IMiners::Batch { number: 0, first: 0, count: 2, height: 3, state: 0 };
    assert_eq!((batch(&mut host, 0), counts(&mut host), certified(&mut host)), (expected, (1, 2), vec![]));

    decide_idle(&mut host, account(1), 0, true).unwrap();
    let expected = IMiners::IdleDecided { account: account(1), batch: 0, first: 0, count: 2, accepted: true };
    assert_eq!(host.last_event::<IMiners::IdleDecided>(), expected);
    assert_eq!(certified(&mut host), [(0, root(0)), (1, root(1))]);
    assert_eq!((get(&mut host, 1).idle, get(&mut host, 1).segments), (2 * MIB, 2));

    assert_eq!(commit(&mut host, 3), Ok(1));
    decide_idle(&mut host, account(1), 1, false).unwrap();
    assert_eq!(batch(&mut host, 1).state, 2);
    assert_eq!(commit(&mut host, 1), Ok(2));
    decide_idle(&mut host, account(1), 2, true).unwrap();
    assert_eq!(certified(&mut host), [(0, root(0)), (1, root(1)), (5, root(0))]);
    let page = segmentsCall { account: account(1), skip: 1, limit: 1 };
    assert_eq!(host.view(MINERS, &page).unwrap()[0].number, 1);

    let decided = |host: &mut TestHost, batch| decide_idle(host, account(1), batch, true);
    for number in [1, 2, 3] {
        assert_reverts(decided(&mut host, number), IMiners::UnknownBatch { account: account(1), batch: number });
    }
    assert_reverts(
        host.view(MINERS, &idleBatchCall { account: account(1), batch: 3 }),
        IMiners::UnknownBatch { account: account(1), batch: 3 },
    );
}

#[test]
fn one_batch_waits_at_a_time_but_not_for_ever() {
    let mut host = world(16 * MIB);
    host.advance_to(5);
    commit(&mut host, 1).unwrap();
    let waiting = IMiners::BatchWaiting { account: account(1), batch: 0 };
    assert_reverts(commit(&mut host, 1), waiting.clone());
    host.advance_to(5 + 40);
    assert_reverts(commit(&mut host, 1), waiting);
    host.advance_to(5 + 41);
    assert_eq!(commit(&mut host, 1), Ok(1));
    assert_eq!((batch(&mut host, 0).state, batch(&mut host, 1).first), (2, 1));
    decide_idle(&mut host, account(1), 1, true).unwrap();
    assert_eq!(certified(&mut host), [(1, root(0))]);
}

#[test]
fn bad_commitments_are_refused() {
    let mut host = world(64 * MIB);
    let commit = |host: &mut TestHost, commitments: Vec<Bytes>| call(host, 1, &commitIdleCall { commitments });
    for given in [0, 17] {
        let commitments = vec![commitment(1, 3); given];
        let (given, maximum) = (U256::from(given), U256::from(IDLE_COMMITMENTS_MAX));
        assert_reverts(commit(&mut host, commitments), IMiners::CommitmentCount { given, maximum });
    }
    let mut invalid = |bytes: Bytes, reason: &str| {
        let expected = IMiners::CommitmentInvalid { segment: 1, reason: reason.into() };
        assert_reverts(commit(&mut host, vec![commitment(1, 3), bytes]), expected);
    };
    invalid(Bytes::new(), "idle segment commitment is malformed: it is empty");
    invalid(commitment(1, 2), "the commitment covers 2 layers, expected 3");
    invalid(commitment(1, 0), "the commitment covers 0 layers, expected 3");
    invalid(
        [commitment(1, 3).as_ref(), &[0]].concat().into(),
        "idle segment commitment is malformed: Not all bytes read",
    );
    assert_eq!(counts(&mut host), (0, 0));
    let unknown = host.call(account(2), MINERS, U256::ZERO, &commitIdleCall { commitments: vec![commitment(1, 3)] });
    assert_reverts(unknown, IMiners::UnknownMiner { account: account(2) });
}

#[test]
fn idle_space_has_to_fit_beside_files() {
    let mut host = world(4 * MIB);
    take_space(&mut host, account(1), MIB).unwrap().unwrap();
    assert_reverts(commit(&mut host, 4), IMiners::IdleExceedsSpace { idle: 4 * MIB, free: 3 * MIB });
    commit(&mut host, 2).unwrap();
    decide_idle(&mut host, account(1), 0, true).unwrap();
    assert_reverts(commit(&mut host, 2), IMiners::IdleExceedsSpace { idle: 4 * MIB, free: 3 * MIB });
    commit(&mut host, 1).unwrap();
    // Files came in between: of what is certified the first steps are given up.
    take_space(&mut host, account(1), STEP).unwrap().unwrap();
    decide_idle(&mut host, account(1), 1, true).unwrap();
    let miner = get(&mut host, 1);
    assert_eq!((miner.segments, miner.consumed, miner.idle), (3, 1, 3 * MIB - STEP));
    call(&mut host, 1, &setCapacityCall { capacity: 2 * MIB }).unwrap();
    assert_eq!(get(&mut host, 1).idle, MIB - STEP);
}

#[test]
fn data_takes_idle_space_in_steps_and_never_gives_it_back() {
    let mut host = world(16 * MIB);
    commit(&mut host, 2).unwrap();
    decide_idle(&mut host, account(1), 0, true).unwrap();
    let take = |host: &mut TestHost, bytes| take_space(host, account(1), bytes).unwrap().unwrap();
    let consumed = |host: &mut TestHost| (get(host, 1).consumed, get(host, 1).idle);
    take(&mut host, 1);
    assert_eq!(consumed(&mut host), (1, 2 * MIB - STEP));
    take(&mut host, STEP - 1);
    assert_eq!(consumed(&mut host), (1, 2 * MIB - STEP));
    take(&mut host, 1);
    assert_eq!(consumed(&mut host), (2, 2 * MIB - 2 * STEP));
    free_space(&mut host, account(1), STEP + 1).unwrap();
    assert_eq!(consumed(&mut host), (2, 2 * MIB - 2 * STEP));
    take(&mut host, 3 * MIB);
    assert_eq!(consumed(&mut host), (256, 0));
    // What comes later is whole.
    commit(&mut host, 1).unwrap();
    decide_idle(&mut host, account(1), 1, true).unwrap();
    assert_eq!(consumed(&mut host), (256, MIB));
}

#[test]
fn where_placement_needs_idle_space_it_is_the_weight_and_the_room() {
    let params = Params { placement_needs_idle: true, ..Params::dev() };
    let mut host = TestHost::with_params(params, &[]);
    register(&mut host, 1);
    assert_eq!(candidates(&mut host), Ok(vec![]));
    assert_eq!(take_space(&mut host, account(1), 1), Ok(Err(0)));
    commit(&mut host, 2).unwrap();
    decide_idle(&mut host, account(1), 0, true).unwrap();
    assert_eq!(candidates(&mut host).unwrap()[0].weight, 2 * MIB);
    assert_eq!(take_space(&mut host, account(1), 2 * MIB + 1), Ok(Err(2 * MIB)));
    take_space(&mut host, account(1), MIB + 1).unwrap().unwrap();
    assert_eq!(candidates(&mut host).unwrap()[0].weight, MIB - STEP);
    take_space(&mut host, account(1), MIB - STEP).unwrap().unwrap();
    assert_eq!(candidates(&mut host), Ok(vec![]));
}

#[test]
fn who_leaves_has_no_idle_space_any_more() {
    let mut host = world(16 * MIB);
    commit(&mut host, 2).unwrap();
    decide_idle(&mut host, account(1), 0, true).unwrap();
    commit(&mut host, 1).unwrap();
    call(&mut host, 1, &exitCall {}).unwrap();
    let miner = get(&mut host, 1);
    assert_eq!((miner.segments, miner.consumed, miner.idle, batch(&mut host, 1).state), (2, 256, 0, 2));
    host.advance_to(LOCK);
    call(&mut host, 1, &withdrawCall {}).unwrap();
    // Anew: numbers go on, old segments do not count, the seed is another.
    register(&mut host, 1);
    assert_eq!((counts(&mut host), certified(&mut host), get(&mut host, 1).segments), ((2, 3), vec![], 0));
    assert_eq!(host.view(MINERS, &idleSeedCall { account: account(1) }), Ok(beacon_of(LOCK)));
    commit(&mut host, 1).unwrap();
    decide_idle(&mut host, account(1), 2, true).unwrap();
    assert_eq!(certified(&mut host), [(3, root(0))]);
}
