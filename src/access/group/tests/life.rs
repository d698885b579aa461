//! Buckets that begin with an ownership made beforehand, and buckets that end.

use super::*;

impl World {
    /// The chain names a prepared owner, as the transaction that makes a bucket does.
    fn make(&self, ownership: Ownership) -> Held {
        let mut outside = self.0.lock();
        outside.changes += 1;
        let held = Held { version: outside.changes, ownership };
        outside.names.insert(bucket(), held.clone());
        held
    }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_begins_under_the_ownership_it_was_made_with() {
    let world = World::default();
    let (one, two) = (world.gateway(1), world.gateway(2));
    let prepared = one.gateways.prepare(&bucket()).await.unwrap();
    one.gateways.begin(bucket(), world.make(prepared));
    let begun = Instant::now();
    one.put("a", "1").await.unwrap();
    assert!(begun.elapsed() < SECOND, "it took {:?}", begun.elapsed());
    assert_eq!((world.owner(), world.epoch()), (1, 1));
    assert_eq!(two.get("a").await.unwrap(), "1");
    // Once: who opens it anew does so with the next epoch.
    world.0.lock().breaks = true;
    one.put("a", "2").await.unwrap();
    assert_eq!((world.owner(), world.epoch()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn another_life_does_not_know_what_was_prepared() {
    let world = World::default();
    let one = world.gateway(1);
    let prepared = one.gateways.prepare(&bucket()).await.unwrap();
    one.gateways.begin(bucket(), world.make(prepared));
    one.die(&world).await;
    let one = world.gateway(1);
    one.put("a", "1").await.unwrap();
    assert_eq!((world.owner(), world.epoch()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn an_ended_bucket_is_served_by_nobody() {
    for at_its_owner in [true, false] {
        let world = World::default();
        let (one, two) = (world.gateway(1), world.gateway(2));
        one.put("a", "1").await.unwrap();
        let ender = if at_its_owner { &one } else { &two };
        let begun = Instant::now();
        let last = ender.gateways.retire(bucket()).await.unwrap().unwrap();
        assert_eq!(begun.elapsed() < SECOND, at_its_owner, "another owner's lease is waited out");
        assert_eq!(last.ownership.epoch, if at_its_owner { 1 } else { 2 });
        assert!(!one.serves() && !two.serves());
        let refused = ender.get("a").await.unwrap_err();
        let expected = GroupError::Failed { bucket: bucket(), reason: "the bucket was deleted".into() };
        assert_eq!(refused, expected);
        assert_eq!(ender.gateways.retire(bucket()).await.unwrap(), Some(last), "once more does no harm");
        world.0.lock().names.clear();
        assert_eq!(ender.gateways.retire(bucket()).await.unwrap(), None);
    }
}
