//! Retention and legal holds.

use super::*;
use crate::access::objects::{
    attributes::{Retention, RetentionMode},
    config::DefaultRetention,
};
use crate::runtime::Clock as _;

async fn locked() -> World {
    World::with_lock(LockConfig { enabled: true, default: None }).await
}

fn until(world: &World, mode: RetentionMode, ms: u64) -> Option<Retention> {
    Some(Retention { mode, until_ms: world.local.clock.unix_ms() + ms })
}

async fn delete(world: &World, version: Option<VersionRef>, bypass: bool) -> Result<Deleted, ObjectsError> {
    let target = DeleteTarget { key: "k".into(), version, if_match: None };
    world.local.objects.delete_object(&world.bucket, target, bypass).await
}

fn is_locked<T: std::fmt::Debug>(answer: Result<T, ObjectsError>) -> bool {
    matches!(answer, Err(ObjectsError::ObjectLocked { .. }))
}

#[tokio::test]
async fn compliance_holds_against_everybody_until_it_ends() {
    let world = locked().await;
    let mut ask = put(&world.bucket, "k", b"1");
    ask.description.retention = until(&world, RetentionMode::Compliance, DAY_MS);
    let version = world.local.objects.put_object(ask).await.unwrap().version;
    assert!(is_locked(delete(&world, version, true).await));
    assert!(delete(&world, None, false).await.unwrap().delete_marker, "a marker hides, it does not destroy");
    let named = ObjectName { version, ..world.named("k") };
    let change = |retention, bypass| world.local.objects.put_retention(&named, retention, bypass);
    assert!(is_locked(change(None, true).await));
    assert!(is_locked(change(until(&world, RetentionMode::Compliance, HOUR_MS), true).await));
    assert!(is_locked(change(until(&world, RetentionMode::Governance, 2 * DAY_MS), true).await));
    assert!(change(until(&world, RetentionMode::Compliance, 2 * DAY_MS), false).await.is_ok());
    world.local.clock.advance(DAY_MS);
    assert!(is_locked(delete(&world, version, true).await));
    world.local.clock.advance(DAY_MS);
    assert!(delete(&world, version, false).await.is_ok());
}

#[tokio::test]
async fn governance_yields_to_those_who_may_bypass_it() {
    let world = locked().await;
    let mut ask = put(&world.bucket, "k", b"1");
    ask.description.retention = until(&world, RetentionMode::Governance, DAY_MS);
    let version = world.local.objects.put_object(ask).await.unwrap().version;
    assert!(is_locked(delete(&world, version, false).await));
    let named = ObjectName { version, ..world.named("k") };
    let change = |retention, bypass| world.local.objects.put_retention(&named, retention, bypass);
    assert!(is_locked(change(until(&world, RetentionMode::Governance, HOUR_MS), false).await));
    assert!(change(until(&world, RetentionMode::Governance, HOUR_MS), true).await.is_ok());
    assert!(delete(&world, version, true).await.is_ok());
}

#[tokio::test]
async fn a_legal_hold_has_no_end() {
    let world = locked().await;
    let version = world.put("k", b"1").await.version;
    let named = ObjectName { version, ..world.named("k") };
    world.local.objects.put_legal_hold(&named, true).await.unwrap();
    assert!(is_locked(delete(&world, version, true).await));
    world.local.objects.put_legal_hold(&named, false).await.unwrap();
    assert!(delete(&world, version, false).await.is_ok());
}

#[tokio::test]
async fn new_versions_get_the_buckets_default() {
    let world = locked().await;
    let default = Some(DefaultRetention { mode: RetentionMode::Governance, days: 3, in_years: false });
    let lock = ConfigChange::Lock(LockConfig { enabled: true, default });
    world.local.objects.configure(&world.bucket, lock).await.unwrap();
    world.put("k", b"1").await;
    let described = world.local.objects.describe(&world.named("k")).await.unwrap().description;
    assert_eq!(described.retention, until(&world, RetentionMode::Governance, 3 * DAY_MS));
    let copied = world.copy("k", &world.bucket, "copy").await.unwrap().version;
    assert!(is_locked(world.delete("copy", copied).await));
}

#[tokio::test]
async fn locks_need_a_bucket_with_lock_and_a_time_to_come() {
    let world = World::start().await;
    let mut ask = put(&world.bucket, "k", b"1");
    ask.description.legal_hold = true;
    let refused = world.local.objects.put_object(ask).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::InvalidLock { .. }), "{refused}");
    world.put("k", b"1").await;
    let refused = world.local.objects.put_legal_hold(&world.named("k"), true).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::InvalidLock { .. }), "{refused}");
    let world = locked().await;
    world.put("k", b"1").await;
    let past = Some(Retention { mode: RetentionMode::Governance, until_ms: 1 });
    let refused = world.local.objects.put_retention(&world.named("k"), past, false).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::InvalidLock { .. }), "{refused}");
}
