//! What expires when.

use super::*;
use crate::access::objects::config::{Expiry, LifecycleFilter, LifecycleRule};

async fn rules(world: &World, rules: Vec<LifecycleRule>) {
    world.local.objects.configure(&world.bucket, ConfigChange::Lifecycle(rules, None)).await.unwrap();
}

fn rule(prefix: &str) -> LifecycleRule {
    let filter = LifecycleFilter { prefix: prefix.into(), ..LifecycleFilter::default() };
    LifecycleRule { id: prefix.into(), enabled: true, filter, ..LifecycleRule::default() }
}

#[tokio::test]
async fn objects_expire_by_prefix_tag_and_size_after_their_days() {
    let world = World::start().await;
    let mut tagged = rule("");
    tagged.filter.tags = tags(&[("old", "yes")]);
    tagged.expire = Some(Expiry::Days(1));
    let by_prefix = LifecycleRule { expire: Some(Expiry::Days(2)), ..rule("log/") };
    let mut by_size = LifecycleRule { expire: Some(Expiry::Days(1)), ..rule("big/") };
    by_size.filter.larger_than = Some(3);
    let disabled = LifecycleRule { expire: Some(Expiry::Days(1)), enabled: false, ..rule("keep") };
    rules(&world, vec![tagged, by_prefix, by_size, disabled]).await;
    let written = world.put("log/1", b"1").await;
    assert_eq!(written.expires, Some((super::super::local::START_MS + 2 * DAY_MS, "log/".to_owned())));
    world.put("keep", b"1").await;
    world.put("big/4", b"1234").await;
    world.put("big/3", b"123").await;
    let mut ask = put(&world.bucket, "tagged", b"1");
    ask.description.tags = tags(&[("old", "yes"), ("x", "y")]);
    world.local.objects.put_object(ask).await.unwrap();
    world.local.clock.advance(DAY_MS - 1);
    assert_eq!(world.maintain().await.expired, 0);
    world.local.clock.advance(1);
    assert_eq!(world.maintain().await.expired, 2);
    assert_eq!(world.keys("", None, 10).await.0, ["big/3", "keep", "log/1"]);
    world.local.clock.advance(DAY_MS);
    assert_eq!(world.maintain().await.expired, 1);
    assert_eq!(world.keys("", None, 10).await.0, ["big/3", "keep"]);
}

#[tokio::test]
async fn versions_that_were_replaced_expire_and_then_their_marker() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    let mut all = rule("");
    all.noncurrent_days = Some(1);
    all.noncurrent_keep = 1;
    all.expire_markers = true;
    rules(&world, vec![all.clone()]).await;
    for bytes in [b"1", b"2", b"3", b"4"] {
        world.put("k", bytes).await;
    }
    world.local.clock.advance(2 * DAY_MS);
    assert_eq!(world.maintain().await.expired, 2);
    let left: Vec<bool> = world.versions(10).await.into_iter().map(|one| one.2).collect();
    assert_eq!(left, [true, false], "one that was replaced is kept");
    all.noncurrent_keep = 0;
    rules(&world, vec![all]).await;
    world.delete("k", None).await.unwrap();
    world.local.clock.advance(2 * DAY_MS);
    // First what the marker hides, in the next round the marker.
    world.maintain().await;
    world.maintain().await;
    assert_eq!(world.versions(10).await, []);
    assert_eq!(world.usage().await, super::super::request::Usage::default());
}

#[tokio::test]
async fn expiry_marks_where_versions_are_kept_and_respects_locks() {
    let world = World::with_lock(LockConfig { enabled: true, default: None }).await;
    let mut all = LifecycleRule { expire: Some(Expiry::Days(1)), ..rule("") };
    all.noncurrent_days = Some(1);
    rules(&world, vec![all]).await;
    let version = world.put("k", b"1").await.version;
    let named = ObjectName { version, ..world.named("k") };
    world.local.objects.put_legal_hold(&named, true).await.unwrap();
    for _ in 0..4 {
        world.local.clock.advance(2 * DAY_MS);
        world.maintain().await;
    }
    assert_eq!(world.get_version("k", version).await.unwrap(), b"1");
    assert!(matches!(world.get("k").await, Err(ObjectsError::DeleteMarker { .. })));
}

#[tokio::test]
async fn unfinished_uploads_expire() {
    let world = World::start().await;
    rules(&world, vec![LifecycleRule { abort_upload_days: Some(1), ..rule("tmp/") }]).await;
    let upload = world.begin("tmp/a").await;
    world.part("tmp/a", upload, 1, &sample(1, PART)).await.unwrap();
    world.begin("other").await;
    world.local.clock.advance(2 * DAY_MS);
    assert_eq!(world.maintain().await.expired, 1);
    world.settle().await;
    assert_eq!(world.usage().await.uploads, 1);
    assert_eq!(world.local.blobs.bytes(), 0);
}

#[tokio::test]
async fn a_round_goes_through_all_keys() {
    let world = World::start().await;
    rules(&world, vec![LifecycleRule { expire: Some(Expiry::At(1)), ..rule("") }]).await;
    for n in 0..300 {
        world.put(&format!("{n:04}"), b"").await;
    }
    assert_eq!(world.maintain().await.expired, 300);
    assert_eq!(world.usage().await.objects, 0);
}
