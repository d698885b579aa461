//! What is let go and what is not, whatever happens at the same time.

use super::*;
use crate::access::{
    blobs::{Scope, StoredBody},
    objects::{
        Op, Reply,
        bucket::Bucket,
        id::BodyId,
        op::{Bytes, NewBody, PutOp},
    },
};
use futures::future::join_all;
use std::collections::BTreeSet;

/// A body that lies on miners and in no bucket yet.
async fn stored(world: &World, bytes: &[u8]) -> StoredBody {
    let place = world.local.router.find(&world.bucket).await.unwrap();
    let scope = Scope::new(OWNER, place.id.0);
    world.local.blobs.put(scope, None, body_of(bytes.to_vec())).await.unwrap()
}

fn put_op(key: &str, id: u8, stored: StoredBody) -> Op {
    let body = NewBody {
        id: BodyId([id; 16]),
        size: stored.stored,
        md5: [id; 16],
        seal: None,
        customer: None,
        bytes: Bytes::Stored(stored),
        checksums: Vec::new(),
    };
    let (description, conditions) = (Description::default(), WriteConditions::default());
    Op::Put(Box::new(PutOp { key: key.into(), description, conditions, body }))
}

async fn opened(world: &World) -> Bucket {
    world.local.router.opened(&world.bucket).await
}

/// Some pieces of a body, as a body.
fn some(whole: &StoredBody, range: std::ops::Range<usize>) -> StoredBody {
    let pieces = whole.pieces[range].to_vec();
    let stored = pieces.iter().map(|piece| u64::from(piece.extent.len)).sum();
    StoredBody { pieces, heads: whole.heads.clone(), stored }
}

#[tokio::test]
async fn a_pack_goes_when_the_last_of_its_bodies_does() {
    let world = World::start().await;
    let bucket = opened(&world).await;
    let bytes = sample(1, 3 * (64 << 10));
    let whole = stored(&world, &bytes).await;
    bucket.execute(put_op("a", 1, some(&whole, 0..1))).await.unwrap();
    bucket.execute(put_op("b", 2, some(&whole, 1..3))).await.unwrap();
    world.delete("a", None).await.unwrap();
    world.settle().await;
    assert_eq!(world.local.blobs.files().len(), 1);
    assert!(world.get("b").await.unwrap() == bytes[64 << 10..]);
    world.delete("b", None).await.unwrap();
    world.maintain().await;
    assert_eq!(world.local.blobs.files().len(), 1, "readers have their time");
    world.settle().await;
    assert_eq!(world.local.blobs.files().len(), 0);
}

#[tokio::test]
async fn a_pack_that_is_mostly_garbage_is_rewritten() {
    let world = World::start().await;
    let bucket = opened(&world).await;
    let bytes = sample(1, 3 * (64 << 10));
    let whole = stored(&world, &bytes).await;
    for (key, id, range) in [("a", 1, 0..1), ("b", 2, 1..2), ("c", 3, 2..3)] {
        bucket.execute(put_op(key, id, some(&whole, range))).await.unwrap();
    }
    world.settle().await;
    let file = world.local.blobs.files();
    world.delete("a", None).await.unwrap();
    world.settle().await;
    assert_eq!(world.local.blobs.files(), file, "two thirds of it are in use");
    world.delete("b", None).await.unwrap();
    world.settle().await;
    assert_ne!(world.local.blobs.files(), file);
    assert_eq!(world.local.blobs.bytes(), 64 << 10);
    assert!(world.get("c").await.unwrap() == bytes[2 * (64 << 10)..]);
}

#[tokio::test]
async fn nothing_comes_to_lie_in_a_pack_that_was_removed() {
    let world = World::start().await;
    let bucket = opened(&world).await;
    let late = stored(&world, &sample(1, LARGE)).await;
    bucket.execute(Op::Discard(BodyId([9; 16]), some(&late, 0..1))).await.unwrap();
    world.settle().await;
    let refused = bucket.execute(put_op("k", 1, late.clone())).await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    assert!(world.get("k").await.is_err());
    assert_eq!(bucket.execute(Op::Discard(BodyId([1; 16]), late.clone())).await.unwrap(), Reply::Done);
    world.local.router.crash(&world.bucket).await;
    assert!(opened(&world).await.execute(put_op("k", 1, late)).await.is_err(), "that too is remembered");
}

#[tokio::test]
async fn a_put_that_is_repeated_is_one_put() {
    let world = World::start().await;
    world.versioning(Versioning::Enabled).await;
    let bucket = opened(&world).await;
    let body = stored(&world, &sample(1, LARGE)).await;
    let first = bucket.execute(put_op("k", 1, body.clone())).await.unwrap();
    assert_eq!(bucket.execute(put_op("k", 1, body.clone())).await.unwrap(), first);
    assert_eq!(world.versions(10).await.len(), 1);
    // Who heard no answer and gives the contents back does not take them from the object.
    bucket.execute(Op::Discard(BodyId([1; 16]), body)).await.unwrap();
    world.settle().await;
    assert!(world.get("k").await.is_ok());
}

#[tokio::test]
async fn contents_that_were_moved_are_found_by_all_who_refer_to_them() {
    let world = World::start().await;
    let bucket = opened(&world).await;
    let bytes = sample(1, LARGE);
    let (from, to) = (stored(&world, &bytes).await, stored(&world, &bytes).await);
    world.local.objects.configure(&world.bucket, ConfigChange::Encryption(Encryption::Off, None)).await.unwrap();
    bucket.execute(put_op("a", 1, from.clone())).await.unwrap();
    world.copy("a", &world.bucket, "b").await.unwrap();
    let moved = Op::Moved { id: BodyId([1; 16]), from: from.clone(), to: to.clone() };
    bucket.execute(moved).await.unwrap();
    // Told again it is too late: what was written for it goes.
    let again = stored(&world, &bytes).await;
    bucket.execute(Op::Moved { id: BodyId([1; 16]), from, to: again }).await.unwrap();
    world.settle().await;
    assert_eq!(world.local.blobs.bytes(), LARGE as u64);
    for key in ["a", "b"] {
        assert!(world.get(key).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn a_copy_races_the_deletion_of_its_source() {
    for round in 0..6u64 {
        let world = World::start().await;
        let bytes = sample(round, LARGE);
        world.put("a", &bytes).await;
        let copy = world.copy("a", &world.bucket, "b");
        let delete = async {
            world.delete("a", None).await.unwrap();
            world.local.clock.advance(2 * HOUR_MS);
            world.maintain().await
        };
        // Which of them is asked first differs from round to round.
        let (copied, _) = if round % 2 == 0 {
            futures::join!(copy, delete)
        } else {
            let (maintained, copied) = futures::join!(delete, copy);
            (copied, maintained)
        };
        world.settle().await;
        match copied {
            Ok(_) => assert!(world.get("b").await.unwrap() == bytes),
            Err(error) => {
                assert_eq!(error, ObjectsError::NoSuchKey { key: "a".into() });
                assert_eq!(world.local.blobs.bytes(), 0);
            }
        }
    }
}

#[tokio::test]
async fn completing_races_aborting_and_collecting() {
    for round in 0..6 {
        let world = World::start().await;
        let (one, two) = (sample(1, PART), sample(2, PART));
        let upload = world.begin("k").await;
        let named = [
            (1, world.part("k", upload, 1, &one).await.unwrap().etag),
            (2, world.part("k", upload, 2, &two).await.unwrap().etag),
        ];
        let complete = world.complete("k", upload, &named);
        let abort = async {
            let aborted = world.local.objects.abort_upload(&world.bucket, "k", upload).await;
            world.maintain().await;
            aborted
        };
        let late = world.part("k", upload, 2, &one);
        let (completed, aborted, late) = match round % 3 {
            0 => futures::join!(complete, abort, late),
            1 => {
                let (aborted, late, completed) = futures::join!(abort, late, complete);
                (completed, aborted, late)
            }
            _ => {
                let (late, completed, aborted) = futures::join!(late, complete, abort);
                (completed, aborted, late)
            }
        };
        assert_ne!(completed.is_ok(), aborted.is_ok());
        drop(late);
        world.settle().await;
        let usage = world.usage().await;
        if completed.is_ok() {
            assert!(world.get("k").await.unwrap() == [one, two].concat());
            assert_eq!((usage.objects, usage.bytes), (1, 2 * PART as u64));
        } else {
            assert!(world.get("k").await.is_err());
            assert_eq!((usage.bytes, world.local.blobs.bytes()), (0, 0));
        }
    }
}

/// All at once, many times: in the end exactly what is referred to is stored.
#[tokio::test]
async fn everything_races_everything() {
    let world = World::start().await;
    world.local.objects.configure(&world.bucket, ConfigChange::Encryption(Encryption::Off, None)).await.unwrap();
    world.versioning(Versioning::Enabled).await;
    for round in 0..5u64 {
        let one = async |n: u64| {
            let (key, other) = (format!("k{}", n % 3), format!("k{}", (n + 1) % 4));
            match (n + round) % 6 {
                0 | 1 => drop(world.put(&key, &sample(round * 100 + n, LARGE)).await),
                2 => drop(world.copy(&key, &world.bucket, &other).await),
                3 => drop(world.delete(&key, None).await),
                4 => {
                    let upload = world.begin(&key).await;
                    let bytes = sample(round * 100 + n, PART);
                    let etag = world.part(&key, upload, 1, &bytes).await.unwrap().etag;
                    let named = [(1, etag)];
                    let abort = world.local.objects.abort_upload(&world.bucket, &key, upload);
                    let complete = world.complete(&key, upload, &named);
                    if n.is_multiple_of(2) {
                        drop(futures::join!(abort, complete));
                    } else {
                        drop(futures::join!(complete, abort));
                    }
                }
                _ => {
                    world.local.clock.advance(2 * HOUR_MS);
                    world.maintain().await;
                }
            }
        };
        join_all((0..18).map(one)).await;
        // Some of what became old is removed, current versions too.
        for (key, version, _, _) in world.versions(5).await.into_iter().step_by(3) {
            world.delete(&key, Some(version)).await.unwrap();
        }
        if round == 2 {
            world.local.router.crash(&world.bucket).await;
        }
    }
    world.settle().await;
    let mut contents = BTreeSet::new();
    for (key, version, _, marker) in world.versions(7).await {
        if !marker {
            contents.insert(world.get_version(&key, Some(version)).await.unwrap());
        }
    }
    assert!(!contents.is_empty());
    let live: usize = contents.iter().map(Vec::len).sum();
    assert_eq!(world.local.blobs.bytes(), live as u64);
}

#[tokio::test]
async fn packs_whose_gateway_does_not_finish_them_are_finished() {
    let world = World::start().await;
    let place = world.local.router.find(&world.bucket).await.unwrap();
    world.put("k", &sample(1, LARGE)).await;
    world.put("l", &sample(2, LARGE)).await;
    let told = world.outcomes.lock().try_recv().unwrap();
    assert_eq!(told.scope, Scope::new(OWNER, place.id.0));
    world.local.objects.note_outcome(&place, &told).await.unwrap();
    // Of the other one nobody tells.
    *world.outcomes.lock() = world.local.blobs.outcomes();
    assert_eq!(world.maintain().await.finished, 1);
    assert_eq!(world.maintain().await.finished, 0);
}
