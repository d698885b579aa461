//! One object at a time: bytes, ranges, conditions, keys, descriptions, copies.

use super::*;
use crate::{
    access::{
        blobs::{BlobError, BodyStream},
        objects::request::{CustomerKey, ETagMatch},
    },
    runtime::Secret,
};
use futures::stream;

#[tokio::test]
async fn small_and_large_objects_come_back_and_survive_a_crash() {
    let world = World::start().await;
    let (small, large) = (sample(1, 1_000), sample(2, LARGE));
    assert_eq!(world.put("small", &small).await.version, None, "versions were never kept");
    world.put("large", &large).await;
    world.put("empty", b"").await;
    for _ in 0..2 {
        assert_eq!(world.get("small").await.unwrap(), small);
        assert!(world.get("large").await.unwrap() == large);
        assert_eq!(world.get("empty").await.unwrap(), b"");
        world.local.router.crash(&world.bucket).await;
    }
    assert_eq!(world.get("missing").await.unwrap_err(), ObjectsError::NoSuchKey { key: "missing".into() });
    let usage = world.usage().await;
    assert_eq!((usage.objects, usage.bytes), (3, 1_000 + LARGE as u64));
    assert!(world.local.blobs.bytes() >= LARGE as u64, "the large one lies on miners");
    assert!(world.local.blobs.bytes() < LARGE as u64 + 1_000, "the small one does not");
}

#[tokio::test]
async fn what_is_stored_is_sealed_unless_the_bucket_says_otherwise() {
    let world = World::start().await;
    let text = vec![b'a'; LARGE];
    world.put("sealed", &text).await;
    let sealed = world.local.blobs.bytes();
    assert_eq!(sealed, crate::access::data::seal::sealed_len(LARGE as u64));
    world.local.objects.configure(&world.bucket, ConfigChange::Encryption(Encryption::Off, None)).await.unwrap();
    world.put("clear", &text).await;
    assert_eq!(world.local.blobs.bytes() - sealed, LARGE as u64);
    assert!(world.get("sealed").await.unwrap() == text);
    assert!(world.get("clear").await.unwrap() == text);
    let info = world.local.objects.describe(&world.named("clear")).await.unwrap();
    assert!(!info.encrypted);
}

#[tokio::test]
async fn ranges_are_what_http_says() {
    let world = World::start().await;
    for (key, len) in [("small", 1_000), ("large", LARGE)] {
        let bytes = sample(3, len);
        world.put(key, &bytes).await;
        let end = len as u64;
        assert_eq!(world.range(key, RangeAsked::Between(5, 9)).await.unwrap(), &bytes[5..10]);
        assert_eq!(world.range(key, RangeAsked::Between(end - 3, end + 9)).await.unwrap(), &bytes[len - 3..]);
        assert_eq!(world.range(key, RangeAsked::From(end - 7)).await.unwrap(), &bytes[len - 7..]);
        assert_eq!(world.range(key, RangeAsked::Last(4)).await.unwrap(), &bytes[len - 4..]);
        assert!(world.range(key, RangeAsked::Last(end + 1)).await.unwrap() == bytes);
        assert!(world.range(key, RangeAsked::Part(1)).await.unwrap() == bytes);
        for outside in [RangeAsked::From(end), RangeAsked::Last(0), RangeAsked::Between(9, 5)] {
            let refused = world.range(key, outside).await.unwrap_err();
            assert!(matches!(refused, ObjectsError::InvalidRange { size, .. } if size == end), "{refused}");
        }
        let refused = world.range(key, RangeAsked::Part(2)).await.unwrap_err();
        assert_eq!(refused, ObjectsError::InvalidPartNumber { part: 2, max: 1 });
    }
    let across = sample(3, LARGE);
    let (first, last) = (65_530, 131_080);
    let got = world.range("large", RangeAsked::Between(first, last)).await.unwrap();
    assert!(got == across[65_530..131_081]);
}

#[tokio::test]
async fn writes_are_conditional_on_what_is_there() {
    let world = World::start().await;
    let write = |key: &str, bytes: &[u8], conditions: WriteConditions| {
        world.local.objects.put_object(PutObject { conditions, ..put(&world.bucket, key, bytes) })
    };
    let absent = WriteConditions { if_none_match: Some(ETagMatch::Any), if_match: None };
    let first = write("k", b"1", absent.clone()).await.unwrap();
    let refused = write("k", b"2", absent.clone()).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::PreconditionFailed { .. }), "{refused}");
    let same = |etag| WriteConditions { if_match: Some(ETagMatch::OneOf(vec![etag])), if_none_match: None };
    let second = write("k", b"2", same(first.etag)).await.unwrap();
    let refused = write("k", b"3", same(first.etag)).await.unwrap_err();
    assert!(matches!(refused, ObjectsError::PreconditionFailed { .. }), "{refused}");
    assert_eq!(world.get("k").await.unwrap(), b"2");
    let refused = write("other", b"3", same(second.etag)).await.unwrap_err();
    assert_eq!(refused, ObjectsError::NoSuchKey { key: "other".into() });
    // Of many at once exactly one is first.
    let racers = (0..10u8).map(|n| write("race", &[n], absent.clone())).collect::<Vec<_>>();
    let won = futures::future::join_all(racers).await.into_iter().filter(Result::is_ok).count();
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_refused_large_write_leaves_nothing_behind() {
    let world = World::start().await;
    world.put("k", b"there").await;
    let conditions = WriteConditions { if_none_match: Some(ETagMatch::Any), if_match: None };
    let ask = PutObject { conditions, ..put(&world.bucket, "k", &sample(1, LARGE)) };
    assert!(world.local.objects.put_object(ask).await.is_err());
    let mut ask = put(&world.bucket, "k", &sample(1, LARGE));
    ask.body.finish = Box::new(|_| {
        let (key, what) = ("k".to_owned(), "MD5".to_owned());
        async { Err(ObjectsError::BadDigest { key, what, expected: "a".into(), found: "b".into() }) }.boxed()
    });
    assert!(matches!(world.local.objects.put_object(ask).await, Err(ObjectsError::BadDigest { .. })));
    assert!(world.local.blobs.bytes() > 2 * LARGE as u64);
    world.settle().await;
    assert_eq!(world.local.blobs.bytes(), 0);
    assert_eq!(world.get("k").await.unwrap(), b"there");
    assert_eq!(world.usage().await.bytes, 5);
}

#[tokio::test]
async fn bodies_have_the_size_that_was_announced() {
    let world = World::start().await;
    let stream_of = |parts: Vec<Result<bytes::Bytes, BlobError>>| -> BodyStream { Box::pin(stream::iter(parts)) };
    let ask = |size, parts| {
        let mut ask = put(&world.bucket, "k", b"");
        ask.body.size = Some(size);
        ask.body.stream = stream_of(parts);
        ask
    };
    let short = world.local.objects.put_object(ask(5, vec![Ok("abc".into())])).await.unwrap_err();
    assert_eq!(short, ObjectsError::IncompleteBody { key: "k".into(), expected: 5, found: 3 });
    assert!(world.local.objects.put_object(ask(2, vec![Ok("abc".into())])).await.is_err());
    let torn = BlobError::Body { offset: 1, reason: "reset".into() };
    assert!(world.local.objects.put_object(ask(3, vec![Ok("a".into()), Err(torn)])).await.is_err());
    let huge = world.local.objects.put_object(ask(6 << 30, vec![])).await.unwrap_err();
    assert!(matches!(huge, ObjectsError::EntityTooLarge { size, .. } if size == 6 << 30), "{huge}");
    assert!(world.get("k").await.is_err());
}

#[tokio::test]
async fn reads_are_conditional() {
    let world = World::start().await;
    let etag = world.put("k", b"1").await.etag;
    let other = ETag { md5: [0; 16], parts: 0 };
    let modified = world.local.clock.clone();
    let now = crate::runtime::Clock::unix_ms(&*modified);
    let read = async |conditions| {
        let ask = GetObject { conditions, ..get(&world.bucket, "k") };
        world.local.objects.get_object(ask).await.map(|_| ())
    };
    let tags = |etag| Some(ETagMatch::OneOf(vec![etag]));
    let any = ReadConditions::default;
    assert!(read(ReadConditions { if_match: tags(etag), ..any() }).await.is_ok());
    let failed = read(ReadConditions { if_match: tags(other), ..any() }).await.unwrap_err();
    assert!(matches!(failed, ObjectsError::PreconditionFailed { .. }));
    assert!(read(ReadConditions { if_none_match: tags(other), ..any() }).await.is_ok());
    let same = read(ReadConditions { if_none_match: tags(etag), ..any() }).await.unwrap_err();
    assert_eq!(same, ObjectsError::NotModified { key: "k".into() });
    let since = read(ReadConditions { if_modified_since_ms: Some(now), ..any() }).await.unwrap_err();
    assert_eq!(since, ObjectsError::NotModified { key: "k".into() });
    assert!(read(ReadConditions { if_modified_since_ms: Some(now - 1_000), ..any() }).await.is_ok());
    let before = read(ReadConditions { if_unmodified_since_ms: Some(now - 1_000), ..any() }).await.unwrap_err();
    assert!(matches!(before, ObjectsError::PreconditionFailed { .. }));
    // A tag that fits outweighs a date that does not.
    let both = ReadConditions { if_match: tags(etag), if_unmodified_since_ms: Some(now - 1_000), ..any() };
    assert!(read(both).await.is_ok());
}

#[tokio::test]
async fn a_customers_key_opens_what_it_sealed_and_nothing_else_does() {
    let world = World::start().await;
    let key = |byte| Some(CustomerKey(Secret::new([byte; 32])));
    for len in [10, LARGE] {
        let bytes = sample(9, len);
        let ask = PutObject { customer_key: key(1), ..put(&world.bucket, "k", &bytes) };
        world.local.objects.put_object(ask).await.unwrap();
        let read = |customer_key| world.local.objects.get_object(GetObject { customer_key, ..get(&world.bucket, "k") });
        assert!(bytes_of(read(key(1)).await.unwrap()).await == bytes);
        for wrong in [None, key(2)] {
            assert!(matches!(read(wrong).await.map(|_| ()), Err(ObjectsError::CustomerKey { .. })));
        }
        let head = GetObject { customer_key: key(2), ..get(&world.bucket, "k") };
        assert!(matches!(world.local.objects.head_object(head).await, Err(ObjectsError::CustomerKey { .. })));
        // A copy under another key is read and written.
        let mut source = world.source("k", None);
        source.customer_key = key(1);
        let copy = CopyObject {
            source,
            bucket: world.bucket.clone(),
            key: "copy".into(),
            attributes: None,
            tags: None,
            description: Description::default(),
            conditions: WriteConditions::default(),
            customer_key: None,
        };
        world.local.objects.copy_object(copy).await.unwrap();
        assert!(world.get("copy").await.unwrap() == bytes);
    }
    world.put("plain", b"1").await;
    let ask = GetObject { customer_key: key(1), ..get(&world.bucket, "plain") };
    assert!(matches!(world.local.objects.get_object(ask).await.map(|_| ()), Err(ObjectsError::CustomerKey { .. })));
}

#[tokio::test]
async fn descriptions_are_kept_and_bounded() {
    let world = World::start().await;
    let mut ask = put(&world.bucket, "k", b"1");
    ask.description.attributes = attributes("text/plain");
    ask.description.attributes.user.insert("colour".into(), "red".into());
    ask.description.tags = tags(&[("a", "1")]);
    let description = ask.description.clone();
    world.local.objects.put_object(ask).await.unwrap();
    let named = world.named("k");
    assert_eq!(world.local.objects.describe(&named).await.unwrap().description, description);
    world.local.objects.put_tags(&named, tags(&[("b", "2")])).await.unwrap();
    world.local.objects.put_acl(&named, Some(b"acl".to_vec())).await.unwrap();
    let after = world.local.objects.describe(&named).await.unwrap().description;
    assert_eq!((after.tags, after.acl), (tags(&[("b", "2")]), Some(b"acl".to_vec())));
    assert_eq!(after.attributes, description.attributes);

    let refused = async |change: &dyn Fn(&mut PutObject)| {
        let mut ask = put(&world.bucket, "other", b"1");
        change(&mut ask);
        world.local.objects.put_object(ask).await.unwrap_err()
    };
    let long = refused(&|ask| ask.key = "k".repeat(1_025)).await;
    assert_eq!(long, ObjectsError::KeyTooLong { len: 1_025, max: 1_024 });
    assert!(matches!(refused(&|ask| ask.key.clear()).await, ObjectsError::KeyTooLong { len: 0, .. }));
    let fat = refused(&|ask| drop(ask.description.attributes.user.insert("x".into(), "y".repeat(2_048)))).await;
    assert_eq!(fat, ObjectsError::MetadataTooLarge { key: "other".into(), len: 2_049, max: 2_048 });
    let many = refused(&|ask| ask.description.tags = (0..11).map(|n| (n.to_string(), String::new())).collect()).await;
    assert!(matches!(many, ObjectsError::InvalidTag { .. }));
    let bare = refused(&|ask| ask.description.tags = tags(&[("", "x")])).await;
    assert!(matches!(bare, ObjectsError::InvalidTag { .. }));
}

#[tokio::test]
async fn copies_share_contents_within_a_bucket_and_not_across() {
    let world = World::start().await;
    let bytes = sample(1, LARGE);
    let mut ask = put(&world.bucket, "a", &bytes);
    ask.description.attributes = attributes("text/plain");
    world.local.objects.put_object(ask).await.unwrap();
    let stored = world.local.blobs.bytes();
    world.copy("a", &world.bucket, "b").await.unwrap();
    assert_eq!(world.local.blobs.bytes(), stored, "nothing is stored twice");
    assert!(world.get("b").await.unwrap() == bytes);
    let info = world.local.objects.describe(&world.named("b")).await.unwrap();
    assert_eq!(info.description.attributes, attributes("text/plain"));
    let other = name("other");
    world.create(&other, LockConfig::default()).await.unwrap();
    world.copy("a", &other, "c").await.unwrap();
    assert!(world.local.blobs.bytes() > stored);
    let read = world.local.objects.get_object(get(&other, "c")).await.unwrap();
    assert!(bytes_of(read).await == bytes);
    world.delete("a", None).await.unwrap();
    world.settle().await;
    assert!(world.get("b").await.unwrap() == bytes, "the copy stays");
    let refused = world.copy("a", &world.bucket, "d").await.unwrap_err();
    assert_eq!(refused, ObjectsError::NoSuchKey { key: "a".into() });
}

#[tokio::test]
async fn a_reader_goes_on_while_its_object_is_replaced() {
    let world = World::start().await;
    let bytes = sample(1, LARGE);
    world.put("k", &bytes).await;
    let reading = world.local.objects.get_object(get(&world.bucket, "k")).await.unwrap();
    world.put("k", b"new").await;
    world.maintain().await;
    assert!(bytes_of(reading).await == bytes);
    assert_eq!(world.get("k").await.unwrap(), b"new");
}

#[tokio::test]
async fn many_writers_and_readers_of_one_key_see_whole_values() {
    let world = World::start().await;
    world.put("k", &[0; 100]).await;
    let writers = (1..40u8).map(|n| world.local.objects.put_object(put(&world.bucket, "k", &[n; 100])));
    let readers = (1..40u8).map(|_| world.get("k"));
    let (written, read) =
        futures::future::join(futures::future::join_all(writers), futures::future::join_all(readers)).await;
    assert!(written.iter().all(Result::is_ok));
    for value in read {
        let value = value.unwrap();
        assert!(value.len() == 100 && value.iter().all(|byte| *byte == value[0]));
    }
    assert_eq!(world.usage().await.bytes, 100);
}
