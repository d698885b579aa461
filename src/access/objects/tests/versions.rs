//! Versions, null versions, delete markers.

use super::*;

#[tokio::test]
async fn every_write_is_a_version_and_a_deletion_hides_them() {
    let world = World::start().await;
    world.put("k", b"0").await;
    world.versioning(Versioning::Enabled).await;
    let one = world.put("k", b"1").await.version.unwrap();
    let two = world.put("k", b"2").await.version.unwrap();
    assert_ne!(one, two);
    assert_eq!(world.get("k").await.unwrap(), b"2");
    assert_eq!(world.get_version("k", Some(one)).await.unwrap(), b"1");
    assert_eq!(world.get_version("k", Some(VersionRef::Null)).await.unwrap(), b"0");
    let marker = world.delete("k", None).await.unwrap();
    assert!(marker.delete_marker);
    let marker = marker.version.unwrap();
    let hidden = world.get("k").await.unwrap_err();
    assert_eq!(hidden, ObjectsError::DeleteMarker { key: "k".into(), version: marker });
    let empty = world.get_version("k", Some(marker)).await.unwrap_err();
    assert_eq!(empty, ObjectsError::MethodNotAllowed { key: "k".into(), version: marker });
    assert_eq!(world.keys("", None, 10).await.0, Vec::<String>::new());
    let expected = [(marker, true, true), (two, false, false), (one, false, false), (VersionRef::Null, false, false)];
    for max in [1, 2, 1_000] {
        let found = world.versions(max).await;
        let found: Vec<_> = found.iter().map(|(_, version, latest, marker)| (*version, *latest, *marker)).collect();
        assert_eq!(found, expected);
    }
    // Without its marker the object is back; without that version the one before.
    let removed = world.delete("k", Some(marker)).await.unwrap();
    assert_eq!(removed, Deleted { version: Some(marker), delete_marker: true });
    assert_eq!(world.get("k").await.unwrap(), b"2");
    world.delete("k", Some(two)).await.unwrap();
    assert_eq!(world.get("k").await.unwrap(), b"1");
    world.delete("k", Some(one)).await.unwrap();
    assert_eq!(world.get("k").await.unwrap(), b"0");
    world.delete("k", Some(VersionRef::Null)).await.unwrap();
    assert_eq!(world.get("k").await.unwrap_err(), ObjectsError::NoSuchKey { key: "k".into() });
    assert_eq!(world.usage().await, super::super::request::Usage::default());
}

#[tokio::test]
async fn a_suspended_bucket_has_one_null_version_a_key() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    let one = world.put("k", b"1").await.version.unwrap();
    world.versioning(Versioning::Suspended).await;
    assert_eq!(world.put("k", b"a").await.version, Some(VersionRef::Null));
    world.put("k", b"b").await;
    let all = |found: Vec<(String, VersionRef, bool, bool)>| found.into_iter().map(|one| one.1).collect::<Vec<_>>();
    assert_eq!(all(world.versions(10).await), [VersionRef::Null, one]);
    world.versioning(Versioning::Enabled).await;
    let two = world.put("k", b"2").await.version.unwrap();
    assert_eq!(all(world.versions(10).await), [two, VersionRef::Null, one]);
    assert_eq!(world.get_version("k", Some(VersionRef::Null)).await.unwrap(), b"b");
    // The null version that lies between others is replaced by the new one.
    world.versioning(Versioning::Suspended).await;
    world.put("k", b"c").await;
    assert_eq!(all(world.versions(1).await), [VersionRef::Null, two, one]);
    let marker = world.delete("k", None).await.unwrap();
    assert_eq!(marker, Deleted { version: Some(VersionRef::Null), delete_marker: true });
    assert_eq!(all(world.versions(1).await), [VersionRef::Null, two, one]);
    assert_eq!(world.usage().await.objects, 2);
}

#[tokio::test]
async fn deleting_what_is_not_there_succeeds() {
    let world = World::start().await;
    assert_eq!(world.delete("k", None).await.unwrap(), Deleted { version: None, delete_marker: false });
    world.versioning(Versioning::Enabled).await;
    assert!(world.delete("k", None).await.unwrap().delete_marker);
    let id: VersionRef = "00000000000000ff00000000000000ff".parse().unwrap();
    assert_eq!(world.delete("k", Some(id)).await.unwrap(), Deleted { version: Some(id), delete_marker: false });
    let missing = world.get_version("k", Some(id)).await.unwrap_err();
    assert_eq!(missing, ObjectsError::NoSuchVersion { key: "k".into(), version: id });
    assert!("xyz".parse::<VersionRef>().is_err());
}

#[tokio::test]
async fn many_are_deleted_together_each_with_its_answer() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    let one = world.put("k", b"1").await.version;
    let two = world.put("k", b"2").await.version;
    world.put("other", b"3").await;
    let target = |key: &str, version| DeleteTarget { key: key.into(), version, if_match: None };
    // Versions of one key, the current one first: each deletion sees the one before it.
    let targets = vec![target("k", two), target("k", one), target("other", None), target("", None)];
    let answers = world.local.objects.delete_objects(&world.bucket, targets, false).await.unwrap();
    assert_eq!(answers[0], Ok(Deleted { version: two, delete_marker: false }));
    assert_eq!(answers[1], Ok(Deleted { version: one, delete_marker: false }));
    assert!(answers[2].as_ref().unwrap().delete_marker);
    assert!(matches!(answers[3], Err(ObjectsError::KeyTooLong { .. })));
    let left = world.versions(10).await;
    assert_eq!(left.iter().map(|one| (one.0.as_str(), one.3)).collect::<Vec<_>>(), [("other", true), ("other", false)]);
    let usage = world.usage().await;
    assert_eq!((usage.objects, usage.markers, usage.bytes), (1, 1, 1));
    let too_many = vec![target("k", None); 1_001];
    assert!(world.local.objects.delete_objects(&world.bucket, too_many, false).await.is_err());
}

#[tokio::test]
async fn an_older_version_is_amended_where_it_lies() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    let one = world.put("k", b"1").await.version;
    world.put("k", b"2").await;
    let named = ObjectName { version: one, ..world.named("k") };
    assert_eq!(world.local.objects.put_tags(&named, tags(&[("a", "b")])).await.unwrap(), one);
    assert_eq!(world.local.objects.describe(&named).await.unwrap().description.tags, tags(&[("a", "b")]));
    assert_eq!(world.local.objects.describe(&world.named("k")).await.unwrap().description.tags, tags(&[]));
}
