//! What happens when the chain, journal miners or answers are missing.

use super::{twins::SECRET, *};
use crate::access::group::{
    answer::Answering,
    wire::{GroupKey, Question},
};
use std::sync::Arc;

#[tokio::test(start_paused = true)]
async fn without_the_chain_an_unknown_bucket_cannot_be_found() {
    let world = World::default();
    let one = world.gateway(1);
    world.0.lock().chainless.insert(1);
    let begun = Instant::now();
    let refused = one.get("a").await.unwrap_err();
    assert!(begun.elapsed() < SECOND, "it took {:?}", begun.elapsed());
    let words = refused.to_string();
    assert!(matches!(refused, GroupError::Chain { .. }), "{words}");
    assert!(words.contains(&bucket().to_string()) && words.contains("the chain cannot be reached"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn without_the_chain_what_is_known_goes_on() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    assert_eq!(two.get("a").await.unwrap(), "1");
    world.0.lock().chainless.extend([1, 2]);
    wait_simulated(10 * SECOND).await;
    two.put("a", "2").await.unwrap();
    assert_eq!(one.get("a").await.unwrap(), "2");
    // Nothing is taken over without it.
    one.die(&world).await;
    let refused = two.get("a").await.unwrap_err();
    assert!(matches!(refused, GroupError::Chain { .. }), "{refused}");
    assert_eq!((world.owner(), two.serves()), (1, false));
}

#[tokio::test(start_paused = true)]
async fn a_change_whose_answer_is_lost_counts() {
    let world = World::default();
    let one = world.gateway(1);
    world.0.lock().lose_swap = true;
    one.put("a", "1").await.unwrap();
    assert_eq!((world.owner(), world.epoch()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_may_not_act_for_the_account_says_so_at_once() {
    let world = World::default();
    let one = world.gateway(1);
    world.0.lock().strangers.insert(1);
    let begun = Instant::now();
    let refused = one.put("a", "1").await.unwrap_err();
    assert!(begun.elapsed() < 2 * SECOND, "it took {:?}", begun.elapsed());
    assert_eq!(refused, GroupError::Failed { bucket: bucket(), reason: "it is no operator".into() });
}

#[tokio::test(start_paused = true)]
async fn what_is_broken_is_opened_again_by_its_owner() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    for (epoch, gateway) in [(2, &one), (3, &two)] {
        world.0.lock().breaks = true;
        let begun = Instant::now();
        assert_eq!(gateway.get("a").await.unwrap(), "1");
        assert!(begun.elapsed() < 3 * SECOND, "it took {:?}", begun.elapsed());
        assert_eq!((world.owner(), world.epoch()), (1, epoch));
    }
}

#[tokio::test(start_paused = true)]
async fn one_journal_miner_may_be_away_and_two_may_not() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    world.0.lock().cut.insert((1, 0));
    one.put("b", "2").await.unwrap();
    one.die(&world).await;
    world.0.lock().cut.extend([(2, 1), (2, 2)]);
    let refused = two.say("get b", 20 * SECOND).await.unwrap_err();
    let words = refused.to_string();
    assert!(words.contains("the journal cannot be reached: 1 of 3 miners answer"), "{words}");
    assert_eq!((world.owner(), world.epoch()), (1, 1), "it took over in vain");
    // The miner that was away when `b` was written is not enough alone, with any other one it is.
    world.0.lock().cut.remove(&(2, 2));
    assert_eq!(two.get("b").await.unwrap(), "2");
    assert_eq!((world.owner(), world.epoch()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_took_over_in_vain_still_waits_for_the_one_before() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    let watch = NeverTwo::of(&[&one, &two]);
    one.put("a", "1").await.unwrap();
    world.0.lock().apart.insert((1, 2));
    // The second gateway becomes the owner on the chain and loses the miners before it can seal the journal.
    let cut = async {
        while world.owner() != 2 {
            wait_simulated(Duration::from_millis(10)).await;
        }
        world.cut_from_miners(2, true);
    };
    let (refused, ()) = tokio::join!(two.say("get a", 30 * SECOND), cut);
    assert!(matches!(refused, Err(GroupError::Unavailable { .. })), "{refused:?}");
    assert!(one.serves(), "the first gateway has its lease as long as no miner refuses");
    world.cut_from_miners(2, false);
    two.put("a", "2").await.unwrap();
    assert_eq!(world.owner(), 2);
    assert_eq!((one.serves(), two.serves()), (false, true));
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_after_a_long_time_is_no_silence() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    for _ in 0..3 {
        world.0.lock().apart.insert((1, 2));
        let refused = two.say("get a", SECOND).await;
        assert!(matches!(refused, Err(GroupError::Unavailable { .. })), "{refused:?}");
        world.0.lock().apart.clear();
        // The first gateway is asked by its own users only.
        for _ in 0..10 {
            wait_simulated(SECOND).await;
            one.get("a").await.unwrap();
        }
    }
    assert_eq!((world.owner(), world.epoch()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_take_over_goes_on_when_nobody_waits_for_it() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    one.die(&world).await;
    // Nobody is patient enough for all of it.
    let begun = Instant::now();
    while begun.elapsed() < 15 * SECOND && two.say("get a", 2 * SECOND).await.is_err() {}
    assert!(two.serves(), "it was begun anew with each operation");
}

#[tokio::test(start_paused = true)]
async fn strangers_are_not_answered() {
    let world = World::default();
    let one = world.gateway(1);
    one.put("a", "1").await.unwrap();
    let side = Answering(Arc::downgrade(&one.gateways));
    let question = Question::Execute { bucket: bucket(), id: [1; 16], millis: 1_000, op: b"get a".to_vec() };
    let ours = GroupKey::of(&SECRET).seal(&key(1).peer, &question);
    assert!(side.answer(ours).await.is_ok());
    for (secret, peer) in [([8; 32], key(1).peer), (SECRET, key(2).peer)] {
        let sealed = GroupKey::of(&secret).seal(&peer, &question);
        assert_eq!(side.answer(sealed).await, Err("the asker is not of this gateway's group".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_over_the_limit_is_refused_at_once() {
    let world = World::default();
    let one = world.gateway(1);
    let op = vec![0; OP_MAX_BYTES + 1].into();
    let refused = one.gateways.execute(bucket(), op, SECOND).await.unwrap_err();
    let (len, max) = (OP_MAX_BYTES + 1, OP_MAX_BYTES);
    assert_eq!(refused, GroupError::TooLarge { bucket: bucket(), len, max });
}
