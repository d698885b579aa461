//! Ownership of a bucket among gateways, with everything outside of them in memory.

mod faults;
mod life;
mod schedule;
mod twins;

use super::*;
use std::time::Duration;
use tokio::time::Instant;
use twins::{NeverTwo, World, bucket, key, wait_simulated};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_use_owns_the_bucket_without_a_wait() {
    let world = World::default();
    let one = world.gateway(1);
    let begun = Instant::now();
    one.put("a", "1").await.unwrap();
    assert!(begun.elapsed() < 2 * SECOND, "it took {:?}", begun.elapsed());
    assert_eq!(one.get("a").await.unwrap(), "1");
    assert_eq!((world.owner(), world.epoch(), one.serves()), (1, 1, true));
}

#[tokio::test(start_paused = true)]
async fn other_gateways_bring_operations_to_the_owner() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    let watch = NeverTwo::of(&[&one, &two]);
    one.put("a", "1").await.unwrap();
    assert_eq!(two.get("a").await.unwrap(), "1");
    two.put("a", "2").await.unwrap();
    assert_eq!(one.get("a").await.unwrap(), "2");
    assert_eq!((world.owner(), world.epoch(), two.serves()), (1, 1, false));
    let executed = world.0.lock().executed.clone();
    assert!(executed.len() == 4 && executed.iter().all(|(at, _)| *at == 1), "{executed:?}");
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_operation_is_told_as_such_and_not_tried_again() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    let expected = GroupError::Failed { bucket: bucket(), reason: "`nonsense` is no word".into() };
    for gateway in [&one, &two] {
        assert_eq!(gateway.say("nonsense", SECOND).await, Err(expected.clone()));
    }
    assert_eq!(world.0.lock().executed.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_is_followed_by_one_that_knows_everything() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    assert_eq!(two.get("a").await.unwrap(), "1");
    one.put("b", "2").await.unwrap();
    one.die(&world).await;
    let begun = Instant::now();
    assert_eq!(two.get("b").await.unwrap(), "2");
    let took = begun.elapsed();
    let least = SILENCE + LEASE + LEASE_MARGIN;
    assert!(took >= least && took < least + 4 * SECOND, "it took {took:?}");
    assert_eq!(two.get("a").await.unwrap(), "1");
    assert_eq!((world.owner(), world.epoch()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_without_its_journal_refuses_and_another_takes_over() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    let watch = NeverTwo::of(&[&one, &two]);
    one.put("a", "1").await.unwrap();
    world.cut_from_miners(1, true);
    wait_simulated(LEASE).await;
    // Reads are refused, too: another gateway may have taken writes meanwhile.
    let refused = one.say("get a", SECOND).await.unwrap_err();
    assert!(matches!(&refused, GroupError::Unavailable { reason, .. } if reason.contains("two miners")), "{refused}");
    let begun = Instant::now();
    two.put("a", "2").await.unwrap();
    assert!(begun.elapsed() < SILENCE + LEASE + LEASE_MARGIN + 4 * SECOND, "it took {:?}", begun.elapsed());
    assert_eq!((world.owner(), world.epoch()), (2, 2));
    // Still cut off, it hears of the new owner from the chain and goes there.
    assert_eq!(one.get("a").await.unwrap(), "2");
    world.cut_from_miners(1, false);
    wait_simulated(5 * SECOND).await;
    one.put("a", "3").await.unwrap();
    assert_eq!(two.get("a").await.unwrap(), "3");
    assert_eq!((world.owner(), one.serves(), two.serves()), (2, false, true));
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_that_take_over_at_once_one_wins() {
    let world = World::default();
    let (one, two, three) = (world.gateway(1), world.gateway(2), world.gateway(3));
    let watch = NeverTwo::of(&[&two, &three]);
    one.put("a", "1").await.unwrap();
    one.die(&world).await;
    let (second, third) = tokio::join!(two.put("b", "2"), three.put("c", "3"));
    second.unwrap();
    third.unwrap();
    assert_eq!(world.epoch(), 2);
    for gateway in [&two, &three] {
        let words = (gateway.get("a").await.unwrap(), gateway.get("b").await.unwrap(), gateway.get("c").await.unwrap());
        assert_eq!(words, ("1".into(), "2".into(), "3".into()));
    }
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_first_uses_at_once_one_wins() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    let watch = NeverTwo::of(&[&one, &two]);
    let (first, second) = tokio::join!(one.put("a", "1"), two.put("b", "2"));
    first.unwrap();
    second.unwrap();
    assert_eq!((world.epoch(), one.get("b").await.unwrap(), two.get("a").await.unwrap()), (1, "2".into(), "1".into()));
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_comes_back_waits_like_any_other() {
    let world = World::default();
    let one = world.gateway(1);
    one.put("a", "1").await.unwrap();
    one.die(&world).await;
    let again = world.gateway(1);
    let begun = Instant::now();
    assert_eq!(again.get("a").await.unwrap(), "1");
    assert!(begun.elapsed() >= LEASE + LEASE_MARGIN, "it took {:?}", begun.elapsed());
    assert_eq!((world.owner(), world.epoch()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_comes_back_late_finds_the_new_one() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    one.die(&world).await;
    two.put("a", "2").await.unwrap();
    let again = world.gateway(1);
    let watch = NeverTwo::of(&[&again, &two]);
    assert_eq!(again.get("a").await.unwrap(), "2");
    again.put("a", "3").await.unwrap();
    assert_eq!((two.get("a").await.unwrap(), world.owner(), again.serves()), ("3".into(), 2, false));
    watch.check().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_bucket_is_closed_and_opened_again_without_a_wait() {
    let world = World::default();
    let one = world.gateway(1);
    one.put("a", "1").await.unwrap();
    for minute in 1..=10 {
        assert!(one.serves(), "closed after {minute} minutes");
        wait_simulated(Duration::from_secs(59)).await;
        one.get("upkeep").await.unwrap();
    }
    wait_simulated(Duration::from_secs(20)).await;
    assert!(!one.serves(), "a bucket nobody asks for keeps its lease");
    let begun = Instant::now();
    assert_eq!(one.get("a").await.unwrap(), "1");
    assert!(begun.elapsed() < 2 * SECOND, "it took {:?}", begun.elapsed());
    assert_eq!(world.epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_takes_long_is_no_silence() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    world.0.lock().slow = 3 * SILENCE;
    two.put("a", "2").await.unwrap();
    assert_eq!((world.owner(), world.epoch()), (1, 1));
    assert_eq!(world.0.lock().executed.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_operation_whose_answer_is_lost_is_executed_once() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    one.put("a", "1").await.unwrap();
    world.0.lock().lose_answer = true;
    two.put("a", "2").await.unwrap();
    assert_eq!(world.0.lock().executed.len(), 2);
    assert_eq!(world.epoch(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_old_address_leads_to_the_new_owner() {
    let world = World::default();
    let (one, two, three) = (world.gateway(1), world.gateway(2), world.gateway(3));
    one.put("a", "1").await.unwrap();
    assert_eq!(three.get("a").await.unwrap(), "1");
    // Only the second gateway sees that the first is away, and takes over. The third still knows the first.
    world.0.lock().apart.insert((1, 2));
    two.put("a", "2").await.unwrap();
    assert_eq!(world.owner(), 2);
    let asked = world.0.lock().asked;
    assert_eq!(three.get("a").await.unwrap(), "2");
    assert_eq!(world.0.lock().asked - asked, 2, "one question to the former owner, one to the new one");
}

#[tokio::test(start_paused = true)]
async fn a_session_moves_its_journal_in_its_ownership() {
    let world = World::default();
    let one = world.gateway(1);
    one.put("a", "1").await.unwrap();
    let held = world.held().unwrap();
    let members = [7, 8, 9].map(crate::types::Address::repeat_byte);
    let holding = Holding::new(one.gateways.ports.owners.clone(), bucket(), held.clone());
    holding.move_journal(&members).await.unwrap();
    let moved = world.held().unwrap();
    assert_eq!((moved.ownership.members(), moved.ownership.epoch), (members, held.ownership.epoch));
    assert_eq!(moved.ownership.gateway, key(1));
    assert!(moved.version > held.version);
    holding.move_journal(&members).await.unwrap();
    assert_eq!(world.held().unwrap(), moved, "the same members were set again");
    let stale = Holding::new(one.gateways.ports.owners.clone(), bucket(), held);
    let others = [4, 5, 6].map(crate::types::Address::repeat_byte);
    assert_eq!(stale.move_journal(&others).await, Err(SwapFault::Conflict));
}
