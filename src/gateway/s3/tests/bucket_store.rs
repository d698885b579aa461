//! A bucket as an object store: the checks that `object_store` runs on its own stores, and what is ours.

use super::{
    super::S3Server,
    client::Ask,
    world::{ANN, BOB, World, config},
};
use crate::client::s3::{AccessKey, BucketStore, BucketStoreSettings, Patience};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, TagSet, UpdateVersion, integration, path::Path,
};
use std::time::Duration;

/// A bucket `bkt`, reached over the network.
async fn bucket() -> (World, BucketStore) {
    let world = World::with_bucket().await;
    let endpoint = listening(&world, &world).await;
    let store = BucketStore::new(&endpoint, AccessKey::new(ANN.id, ANN.secret), "bkt").unwrap();
    (world, store)
}

/// A listener of one node for the objects of another, or its own.
async fn listening(here: &World, there: &World) -> String {
    let handle = S3Server::start(&here.node, config(), there.objects.clone(), there.keys.clone(), None).await.unwrap();
    format!("http://{}", handle.local_addr)
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

const VERSIONED: &str = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";

#[tokio::test]
async fn it_passes_the_checks_of_reads_and_listings() {
    let (_world, store) = bucket().await;
    integration::put_get_delete_list(&store).await;
    integration::list_uses_directories_correctly(&store).await;
    integration::list_with_delimiter(&store).await;
    integration::list_with_offset_exclusivity(&store).await;
    integration::list_paginated(&store, &store).await;
    let missing = integration::get_nonexistent_object(&store, None).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing}");
}

#[tokio::test]
async fn it_passes_the_checks_of_conditions_and_attributes() {
    let (world, store) = bucket().await;
    integration::put_opts(&store, true).await;
    integration::get_opts(&store).await;
    integration::put_get_attributes(&store).await;
    world.ann(Ask::put("/bkt?versioning", VERSIONED)).await.ok();
    integration::get_opts(&store).await;
}

#[tokio::test]
async fn it_passes_the_checks_of_copies() {
    let (_world, store) = bucket().await;
    integration::rename_and_copy(&store).await;
    integration::copy_if_not_exists(&store).await;
    integration::copy_rename_nonexistent_object(&store).await;
}

#[tokio::test]
async fn it_passes_the_checks_of_uploads() {
    let (_world, store) = bucket().await;
    integration::stream_get(&store).await;
    integration::multipart(&store, &store).await;
    integration::multipart_with_opts(&store, &store).await;
    integration::multipart_put_part_out_of_order(&store, &store).await;
    integration::multipart_out_of_order(&store).await;
    integration::multipart_race_condition(&store, true).await;
}

#[tokio::test]
async fn what_is_said_of_an_object_is_kept() {
    let (world, store) = bucket().await;
    let mut tags = TagSet::default();
    tags.push("team", "a b&c");
    let attributes =
        Attributes::from_iter([(Attribute::ContentType, "text/plain"), (Attribute::StorageClass, "GLACIER_IR")]);
    let options = PutOptions { tags: tags.clone(), attributes: attributes.clone(), ..PutOptions::default() };
    let put = store.put_opts(&path("one"), "1".into(), options).await.unwrap();
    let mut upload = store
        .put_multipart_opts(
            &path("two"),
            PutMultipartOptions { tags, attributes: attributes.clone(), ..Default::default() },
        )
        .await
        .unwrap();
    upload.put_part("2".into()).await.unwrap();
    assert!(upload.complete().await.unwrap().e_tag.unwrap().ends_with("-1\""));
    for key in ["one", "two"] {
        assert_eq!(store.get(&path(key)).await.unwrap().attributes, attributes);
        let told = world.ann(Ask::get(&format!("/bkt/{key}?tagging"))).await.ok();
        assert_eq!((told.element("Key"), told.element("Value")), ("team".to_owned(), "a b&c".to_owned()));
    }
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(listed[0].e_tag, put.e_tag, "listings, puts and heads tell one tag");
    assert_eq!(store.head(&path("one")).await.unwrap().e_tag, put.e_tag);
}

#[tokio::test]
async fn ranges_are_read_together_and_apart() {
    let (_world, store) = bucket().await;
    let bytes = Bytes::from((0..3_000_000u32).map(|n| u8::try_from(n % 251).unwrap()).collect::<Vec<_>>());
    let pieces = PutPayload::from_iter([bytes.slice(..10), bytes.slice(10..2_000_000), bytes.slice(2_000_000..)]);
    store.put(&path("k"), pieces).await.unwrap();
    let ranges = [2_999_990..3_000_000, 0..5, 3..9, 1_500_000..1_500_001];
    let got = store.get_ranges(&path("k"), &ranges).await.unwrap();
    for (range, got) in ranges.iter().zip(got) {
        assert_eq!(got, bytes.slice(usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()));
    }
    assert!(store.get_ranges(&path("k"), &[0..1, 3_000_000..3_000_001]).await.is_err());
    assert!(store.get_ranges(&path("k"), &[]).await.unwrap().is_empty());
    let whole = store.get(&path("k")).await.unwrap();
    assert!(whole.bytes().await.unwrap() == bytes);
    let head = GetOptions::new().with_head(true).with_range(Some(GetRange::Suffix(7)));
    assert_eq!(store.get_opts(&path("k"), head).await.unwrap().range, 2_999_993..3_000_000);
}

#[tokio::test]
async fn versions_are_read_by_name() {
    let (world, store) = bucket().await;
    world.ann(Ask::put("/bkt?versioning", VERSIONED)).await.ok();
    let first = store.put(&path("k"), "first".into()).await.unwrap();
    let second = store.put(&path("k"), "second".into()).await.unwrap();
    assert!(first.version.is_some() && first.version != second.version);
    let old = || GetOptions::new().with_version(first.version.clone());
    assert_eq!(store.get_opts(&path("k"), old()).await.unwrap().bytes().await.unwrap(), "first");
    store.delete(&path("k")).await.unwrap();
    assert!(matches!(store.get(&path("k")).await, Err(Error::NotFound { .. })));
    assert_eq!(store.get_opts(&path("k"), old().with_head(true)).await.unwrap().meta.size, 5);
    let gone = GetOptions::new().with_version(Some("00000000000000000000000000000000"));
    assert!(store.get_opts(&path("k"), gone).await.is_err());
}

#[tokio::test]
async fn refusals_name_bucket_and_key() {
    let (world, store) = bucket().await;
    let endpoint = listening(&world, &world).await;
    store.put(&path("k"), "1".into()).await.unwrap();
    let bob = BucketStore::new(&endpoint, AccessKey::new(BOB.id, BOB.secret), "bkt").unwrap();
    let denied = bob.get(&path("k")).await.unwrap_err();
    assert!(matches!(&denied, Error::PermissionDenied { path, .. } if path == "bkt/k"), "{denied}");
    let denied: Vec<_> = bob.delete_stream(stream::iter([Ok(path("k")), Ok(path("l"))]).boxed()).collect().await;
    assert!(denied.iter().all(|answer| matches!(answer, Err(Error::PermissionDenied { .. }))), "{denied:?}");
    let stranger = BucketStore::new(&endpoint, AccessKey::new(ANN.id, "wrong"), "bkt").unwrap();
    let unknown = stranger.put(&path("k"), "2".into()).await.unwrap_err();
    assert!(matches!(&unknown, Error::Unauthenticated { path, .. } if path == "bkt/k"), "{unknown}");
    let elsewhere = BucketStore::new(&endpoint, AccessKey::new(ANN.id, ANN.secret), "nobodys").unwrap();
    assert!(matches!(elsewhere.get(&path("k")).await, Err(Error::NotFound { .. })));
    let refused = elsewhere.list(None).try_next().await.unwrap_err();
    assert!(refused.to_string().contains("NoSuchBucket") && refused.to_string().contains("nobodys"), "{refused}");
    let known = UpdateVersion { e_tag: None, version: None };
    let words = store.put_opts(&path("k"), "2".into(), PutMode::Update(known).into()).await.unwrap_err().to_string();
    assert!(words.contains("bkt/k needs the entity tag"), "{words}");
}

#[tokio::test]
async fn onto_itself_nothing_moves() {
    let (_world, store) = bucket().await;
    let k = path("k");
    assert!(matches!(store.rename(&k, &k).await, Err(Error::NotFound { .. })));
    store.put(&k, "1".into()).await.unwrap();
    store.copy(&k, &k).await.unwrap();
    store.rename(&k, &k).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&k, &k).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.rename_if_not_exists(&k, &k).await, Err(Error::AlreadyExists { .. })));
    assert_eq!(store.get(&k).await.unwrap().bytes().await.unwrap(), "1");
}

#[tokio::test]
async fn more_keys_than_a_request_takes_are_deleted() {
    let (_world, store) = bucket().await;
    let keys: Vec<Path> = (0..1_203).map(|n| path(&format!("many/{n:05}"))).collect();
    let puts = stream::iter(&keys).map(|key| store.put(key, "1".into()));
    puts.buffer_unordered(16).try_collect::<Vec<_>>().await.unwrap();
    let listed: Vec<Path> = store.list(Some(&path("many"))).map_ok(|meta| meta.location).try_collect().await.unwrap();
    assert_eq!(listed, keys, "two pages, in order");
    let late: Vec<Path> =
        store.list_with_offset(None, &keys[1_100]).map_ok(|meta| meta.location).try_collect().await.unwrap();
    assert_eq!(late, keys[1_101..]);
    let answers: Vec<Path> =
        store.delete_stream(stream::iter(keys.clone()).map(Ok).boxed()).try_collect().await.unwrap();
    assert_eq!(answers, keys);
    assert!(store.list(None).try_next().await.unwrap().is_none());
}

/// One gateway of two ends in order while the store is used; what it began is done by the other.
#[tokio::test]
async fn another_gateway_is_asked_when_one_ends() {
    let (world, other) = (World::with_bucket().await, World::new().await);
    let endpoints = [listening(&other, &world).await, listening(&world, &world).await];
    let patience = Patience { first: Duration::from_millis(5), ..Patience::default() };
    let settings = BucketStoreSettings { patience, ..BucketStoreSettings::default() };
    let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let store = BucketStore::over(&endpoints, AccessKey::new(ANN.id, ANN.secret), "bkt", settings).unwrap();
    let mut upload = store.put_multipart(&path("parts")).await.unwrap();
    upload.put_part(vec![1; 5 << 20].into()).await.unwrap();
    store.put(&path("k"), "1".into()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), other.node.tasks.shutdown()).await.unwrap();
    upload.put_part("2".into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(store.head(&path("parts")).await.unwrap().size, (5 << 20) + 1);
    let error = store.put_opts(&path("k"), "2".into(), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
    assert_eq!(store.list(None).count().await, 2);
}
