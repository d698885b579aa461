//! Buckets: names, settings, quotas, their end.

use super::*;
use crate::access::objects::config::{DOCUMENT_MAX_BYTES, DefaultRetention, Document, Quota};

#[tokio::test]
async fn names_belong_to_who_came_first() {
    let world = World::start().await;
    let again = world.create(&world.bucket, LockConfig::default()).await.unwrap_err();
    assert_eq!(again, ObjectsError::BucketAlreadyOwnedByYou { bucket: world.bucket.clone() });
    let ask = CreateBucket {
        name: world.bucket.clone(),
        owner: Address::repeat_byte(8),
        lock: LockConfig::default(),
        encryption: Encryption::On,
        documents: Vec::new(),
    };
    let taken = world.local.objects.create_bucket(ask).await.unwrap_err();
    assert_eq!(taken, ObjectsError::BucketAlreadyExists { bucket: world.bucket.clone() });
    let places = world.local.objects.list_buckets(OWNER).await.unwrap();
    assert_eq!(places.iter().map(|place| place.name.as_str()).collect::<Vec<_>>(), ["bucket"]);
    for bad in ["ab", "Ab1", "-ab", "a..b", "192.168.0.1", "a_b", &"a".repeat(64)] {
        assert!(bad.parse::<BucketName>().is_err(), "{bad}");
    }
    assert!("a.b-c1".parse::<BucketName>().is_ok());
}

#[tokio::test]
async fn only_empty_buckets_are_deleted_and_nothing_of_them_stays() {
    let world = World::start().await;
    world.put("k", &sample(1, LARGE)).await;
    let refused = world.local.objects.delete_bucket(&world.bucket).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::BucketNotEmpty { versions: 1, .. }), "{refused}");
    let upload = world.begin("u").await;
    world.part("u", upload, 1, &sample(2, PART)).await.unwrap();
    world.delete("k", None).await.unwrap();
    world.note_outcomes().await;
    let place = world.local.router.find(&world.bucket).await.unwrap();
    let mut late = world.local.blobs.outcomes();
    world.put("k", &sample(3, LARGE)).await;
    world.delete("k", None).await.unwrap();
    world.local.objects.delete_bucket(&world.bucket).await.unwrap();
    assert_eq!(world.local.blobs.files().len(), 1, "of this pack nobody knew yet that it is a file");
    world.local.objects.note_outcome(&place, &late.recv().await.unwrap()).await.unwrap();
    assert_eq!((world.local.blobs.files().len(), world.local.blobs.bytes()), (0, 0));
    let gone = ObjectsError::NoSuchBucket { bucket: world.bucket.clone() };
    assert_eq!(world.get("k").await.unwrap_err(), gone);
    assert_eq!(world.local.objects.bucket(&world.bucket).await.unwrap_err(), gone);
    world.create(&world.bucket, LockConfig::default()).await.unwrap();
    assert!(matches!(world.get("k").await, Err(ObjectsError::NoSuchKey { .. })));
}

#[tokio::test]
async fn a_deleted_bucket_takes_nothing_any_more() {
    let world = World::start().await;
    let bucket = world.local.router.opened(&world.bucket).await;
    bucket.execute(super::super::Op::Retire).await.unwrap();
    let gone = ObjectsError::NoSuchBucket { bucket: world.bucket.clone() };
    let ask = put(&world.bucket, "k", b"1");
    assert_eq!(world.local.objects.put_object(ask).await.unwrap_err(), gone);
    // Who was interrupted deletes it again; who wants the name gets a new bucket.
    bucket.execute(super::super::Op::Retire).await.unwrap();
    world.create(&world.bucket, LockConfig::default()).await.unwrap();
    world.put("k", b"1").await;
    let again = world.create(&world.bucket, LockConfig::default()).await.unwrap_err();
    assert_eq!(again, ObjectsError::BucketAlreadyOwnedByYou { bucket: world.bucket.clone() });
}

#[tokio::test]
async fn a_bucket_that_has_only_its_name_is_begun() {
    let world = World::start().await;
    let half = name("half");
    world.local.router.create(&half, OWNER).await.unwrap();
    assert_eq!(
        world.local.objects.bucket(&half).await.unwrap_err(),
        ObjectsError::NoSuchBucket { bucket: half.clone() }
    );
    world.create(&half, LockConfig::default()).await.unwrap();
    world.local.objects.put_object(put(&half, "k", b"1")).await.unwrap();
}

#[tokio::test]
async fn documents_are_kept_bounded_and_survive() {
    let world = World::start().await;
    let objects = &world.local.objects;
    let missing = objects.document(&world.bucket, Document::Policy).await.unwrap_err();
    assert!(matches!(missing, ObjectsError::NoSuchConfiguration { .. }));
    objects.configure(&world.bucket, ConfigChange::Set(Document::Policy, b"{}".to_vec())).await.unwrap();
    world.local.router.crash(&world.bucket).await;
    assert_eq!(objects.document(&world.bucket, Document::Policy).await.unwrap(), b"{}");
    assert_eq!(objects.bucket(&world.bucket).await.unwrap().config.documents.len(), 1);
    objects.configure(&world.bucket, ConfigChange::Remove(Document::Policy)).await.unwrap();
    assert!(objects.document(&world.bucket, Document::Policy).await.is_err());
    let large = ConfigChange::Set(Document::Cors, vec![0; DOCUMENT_MAX_BYTES + 1]);
    let refused = objects.configure(&world.bucket, large).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::DocumentTooLarge { .. }), "{refused}");
}

#[tokio::test]
async fn settings_that_exclude_each_other_are_refused() {
    let world = World::with_lock(LockConfig { enabled: true, default: None }).await;
    let refused = async |change| {
        let refused = world.local.objects.configure(&world.bucket, change).await.unwrap_err();
        matches!(refused, ObjectsError::InvalidBucketState { .. })
    };
    assert!(refused(ConfigChange::Versioning(Versioning::Suspended)).await);
    assert!(refused(ConfigChange::Versioning(Versioning::Off)).await);
    assert!(refused(ConfigChange::Lock(LockConfig::default())).await);
    let plain = World::start().await;
    let lock = LockConfig { enabled: true, default: None };
    assert!(plain.local.objects.configure(&plain.bucket, ConfigChange::Lock(lock)).await.is_err());
    plain.versioning(Versioning::Enabled).await;
    assert!(plain.local.objects.configure(&plain.bucket, ConfigChange::Lock(lock)).await.is_ok());
    let mode = crate::access::objects::attributes::RetentionMode::Governance;
    let never = LockConfig { enabled: true, default: Some(DefaultRetention { mode, days: 0, in_years: false }) };
    assert!(plain.local.objects.configure(&plain.bucket, ConfigChange::Lock(never)).await.is_err());
}

#[tokio::test]
async fn a_quota_is_not_exceeded_by_one_byte() {
    let world = World::start().await;
    let quota = Quota { bytes: Some(10), objects: Some(2) };
    world.local.objects.configure(&world.bucket, ConfigChange::Quota(quota)).await.unwrap();
    world.put("a", b"12345").await;
    let refused = world.local.objects.put_object(put(&world.bucket, "b", b"123456")).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::Quota { asked: 11, max: 10, .. }), "{refused}");
    assert!(world.get("b").await.is_err());
    world.put("a", b"1234567890").await;
    let upload = world.begin("u").await;
    assert!(matches!(world.part("u", upload, 1, b"1").await, Err(ObjectsError::Quota { .. })));
    world.put("a", b"1").await;
    world.put("b", b"1").await;
    let refused = world.local.objects.put_object(put(&world.bucket, "c", b"")).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::Quota { asked: 3, max: 2, .. }), "{refused}");
    assert_eq!(world.usage().await.bytes, 2);
}
