//! Uploads in parts.

use super::*;
use crate::access::objects::{
    attributes::{Checksum, ChecksumKind, ChecksumScope},
    request::{CopyPart, PartPage},
};

#[tokio::test]
async fn parts_become_one_object() {
    let world = World::start().await;
    let parts: Vec<Vec<u8>> = vec![sample(1, PART), sample(2, PART + 7), sample(3, 10)];
    let upload = world.begin("k").await;
    let mut named = Vec::new();
    for (number, bytes) in [1, 5, 9].into_iter().zip(&parts) {
        named.push((number, world.part("k", upload, number, bytes).await.unwrap().etag));
    }
    assert_eq!(world.usage().await.bytes, (2 * PART + 17) as u64, "parts count from their arrival on");
    let listed = world.local.objects.upload_parts(&world.bucket, "k", upload, 1, 1).await.unwrap();
    assert_eq!((listed.parts[0].part, listed.next), (5, Some(5)));
    let written = world.complete("k", upload, &named).await.unwrap();
    assert_eq!(written.etag.parts, 3);
    assert!(written.etag.to_string().ends_with("-3"));
    let whole = parts.concat();
    assert_eq!(written.size, whole.len() as u64);
    assert!(world.get("k").await.unwrap() == whole);
    assert_eq!(world.complete("k", upload, &named).await.unwrap(), written, "the same answer again");
    let usage = world.usage().await;
    assert_eq!((usage.objects, usage.uploads, usage.bytes), (1, 0, whole.len() as u64));
    // Ranges across parts, and parts by number.
    let got = world.range("k", RangeAsked::Between(PART as u64 - 2, 2 * PART as u64 + 8)).await.unwrap();
    assert!(got == whole[PART - 2..2 * PART + 9]);
    assert!(world.range("k", RangeAsked::Part(5)).await.unwrap() == parts[1]);
    assert_eq!(world.range("k", RangeAsked::Part(9)).await.unwrap(), parts[2]);
    assert!(matches!(world.range("k", RangeAsked::Part(2)).await, Err(ObjectsError::InvalidPartNumber { .. })));
    let numbers = |page: PartPage| page.parts.into_iter().map(|part| part.part).collect::<Vec<_>>();
    assert_eq!(numbers(world.local.objects.object_parts(&world.named("k"), 0, 10).await.unwrap()), [1, 5, 9]);
    world.local.router.crash(&world.bucket).await;
    world.settle().await;
    assert!(world.get("k").await.unwrap() == whole);
}

#[tokio::test]
async fn what_does_not_fit_is_refused() {
    let world = World::start().await;
    let upload = world.begin("k").await;
    let small = world.part("k", upload, 1, b"small").await.unwrap().etag;
    let last = world.part("k", upload, 2, b"last").await.unwrap().etag;
    let refused = async |parts: &[(u32, ETag)]| world.complete("k", upload, parts).await.unwrap_err();
    let min = PART as u64;
    assert_eq!(refused(&[(1, small), (2, last)]).await, ObjectsError::EntityTooSmall { upload, part: 1, size: 5, min });
    assert_eq!(refused(&[(2, last), (1, small)]).await, ObjectsError::InvalidPartOrder { upload, part: 1, before: 2 });
    assert_eq!(refused(&[(2, last), (2, last)]).await, ObjectsError::InvalidPartOrder { upload, part: 2, before: 2 });
    assert_eq!(refused(&[(1, last)]).await, ObjectsError::InvalidPart { upload, part: 1 });
    assert_eq!(refused(&[(3, last)]).await, ObjectsError::InvalidPart { upload, part: 3 });
    assert_eq!(refused(&[]).await, ObjectsError::TooManyParts { upload, parts: 0, max: 10_000 });
    for part in [0, 10_001] {
        let outside = world.part("k", upload, part, b"x").await.unwrap_err();
        assert_eq!(outside, ObjectsError::InvalidPartNumber { part, max: 10_000 });
    }
    let elsewhere = world.part("other", upload, 1, b"x").await.unwrap_err();
    assert_eq!(elsewhere, ObjectsError::NoSuchUpload { key: "other".into(), upload });
    assert!(world.complete("k", upload, &[(2, last)]).await.is_ok());
    assert_eq!(world.get("k").await.unwrap(), b"last");
    let usage = world.usage().await;
    assert_eq!((usage.bytes, usage.uploads), (4, 0), "what was not named is let go");
}

#[tokio::test]
async fn a_part_is_replaced_and_an_upload_aborted() {
    let world = World::start().await;
    let upload = world.begin("k").await;
    world.part("k", upload, 1, &sample(1, PART)).await.unwrap();
    let second = world.part("k", upload, 1, &sample(2, PART + 1)).await.unwrap();
    assert_eq!(world.usage().await.bytes, PART as u64 + 1);
    world.part("k", upload, 2, &sample(3, PART)).await.unwrap();
    world.local.objects.abort_upload(&world.bucket, "k", upload).await.unwrap();
    let gone = ObjectsError::NoSuchUpload { key: "k".into(), upload };
    assert_eq!(world.local.objects.abort_upload(&world.bucket, "k", upload).await.unwrap_err(), gone);
    assert_eq!(world.part("k", upload, 3, b"x").await.unwrap_err(), gone);
    assert_eq!(world.complete("k", upload, &[(1, second.etag)]).await.unwrap_err(), gone);
    world.settle().await;
    assert_eq!(world.local.blobs.bytes(), 0);
    assert_eq!(world.usage().await, super::super::request::Usage::default());
}

#[tokio::test]
async fn checksums_of_parts_are_compared() {
    let world = World::start().await;
    let upload = world.begin("k").await;
    let checksum =
        |byte| Checksum { kind: ChecksumKind::Crc32c, scope: ChecksumScope::FullObject, value: vec![byte; 4] };
    let mut sent = body(b"bytes");
    let md5 = quick_md5(b"bytes");
    sent.finish = Box::new(move |_| async move { Ok(BodyDigests { md5, checksums: vec![checksum(1)] }) }.boxed());
    let (bucket, key) = (world.bucket.clone(), "k".to_owned());
    let ask = PutPart { bucket, key, upload, part: 1, customer_key: None, body: sent };
    let etag = Some(world.local.objects.put_part(ask).await.unwrap().etag);
    let complete = |byte| {
        world.local.objects.complete_upload(CompleteUpload {
            bucket: world.bucket.clone(),
            key: "k".into(),
            upload,
            parts: vec![NamedPart { part: 1, etag, checksums: vec![checksum(byte)] }],
            conditions: WriteConditions::default(),
            size: Some(5),
            checksums: vec![checksum(9)],
        })
    };
    assert_eq!(complete(2).await.unwrap_err(), ObjectsError::InvalidPart { upload, part: 1 });
    assert_eq!(complete(1).await.unwrap().checksums, [checksum(9)]);
}

#[tokio::test]
async fn parts_are_copied_from_ranges_of_objects() {
    let world = World::start().await;
    let (one, two) = (sample(1, PART + 50), sample(2, 40));
    let upload = world.begin("source").await;
    let named = [
        (1, world.part("source", upload, 1, &one).await.unwrap().etag),
        (2, world.part("source", upload, 2, &two).await.unwrap().etag),
    ];
    world.complete("source", upload, &named).await.unwrap();
    let whole = [one, two].concat();
    let stored = world.local.blobs.bytes();
    let upload = world.begin("k").await;
    let copy = async |part, range| {
        let (bucket, key) = (world.bucket.clone(), "k".to_owned());
        let source = world.source("source", None);
        let ask = CopyPart { source, range, bucket, key, upload, part, customer_key: None };
        world.local.objects.copy_part(ask).await.map(|(part, _)| part)
    };
    let end = whole.len() as u64;
    let first = copy(1, Some((0, PART as u64 - 1))).await.unwrap();
    let second = copy(2, Some((PART as u64 + 10, end - 1))).await.unwrap();
    assert_eq!(world.local.blobs.bytes(), stored, "nothing is stored twice");
    assert!(matches!(copy(3, Some((0, end))).await, Err(ObjectsError::InvalidRange { .. })));
    world.complete("k", upload, &[(1, first.etag), (2, second.etag)]).await.unwrap();
    let expected = [&whole[..PART], &whole[PART + 10..]].concat();
    world.delete("source", None).await.unwrap();
    world.settle().await;
    assert!(world.get("k").await.unwrap() == expected);
    world.delete("k", None).await.unwrap();
    world.settle().await;
    assert_eq!(world.local.blobs.bytes(), 0);
}

#[tokio::test]
async fn an_object_of_very_many_parts_is_read_in_ranges() {
    let world = World::start().await;
    let upload = world.begin("source").await;
    let bytes = sample(1, PART);
    let etag = world.part("source", upload, 1, &bytes).await.unwrap().etag;
    world.complete("source", upload, &[(1, etag)]).await.unwrap();
    let upload = world.begin("k").await;
    let mut named = Vec::new();
    for part in 1..=300 {
        let (bucket, key) = (world.bucket.clone(), "k".to_owned());
        let source = world.source("source", None);
        let ask = CopyPart { source, range: None, bucket, key, upload, part, customer_key: None };
        named.push((part, world.local.objects.copy_part(ask).await.unwrap().0.etag));
    }
    let written = world.complete("k", upload, &named).await.unwrap();
    assert_eq!(written.size, 300 * PART as u64);
    let at = 255 * PART as u64;
    let got = world.range("k", RangeAsked::Between(at - 1, at + 1)).await.unwrap();
    assert_eq!(got, [bytes[PART - 1], bytes[0], bytes[1]]);
    assert!(world.range("k", RangeAsked::Part(130)).await.unwrap() == bytes);
    // More contents than one answer carries.
    let all = world.range("k", RangeAsked::From(10)).await.unwrap();
    assert!(all.len() == 300 * PART - 10 && all[all.len() - PART..] == bytes);
}
