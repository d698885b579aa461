//! What was acknowledged stays, wherever a crash or a newer owner cuts in.

use super::*;
use crate::access::objects::{
    Op,
    id::BodyId,
    op::{Bytes as Contents, NewBody, PutOp},
};
use futures::future::join_all;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lets others work until so many writes have ended.
async fn until(ended: &AtomicU64, count: u64) {
    while ended.load(Ordering::Relaxed) < count {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_newer_owner_in_the_middle() {
    let world = World::start().await;
    world.put("before", b"0").await;
    for round in 0..4u64 {
        let ended = AtomicU64::new(0);
        let write = async |n: u64| {
            let key = format!("{round}/{n}");
            let bytes = sample(round * 100 + n, 50);
            // Eight at a time: spread over the time in which the log is synced a few times.
            until(&ended, n.saturating_sub(8)).await;
            let answer = world.local.objects.put_object(put(&world.bucket, &key, &bytes)).await;
            ended.fetch_add(1, Ordering::Relaxed);
            answer.map(|_| (key, bytes))
        };
        let take_over = async {
            until(&ended, 5 * round).await;
            world.local.router.crash(&world.bucket).await;
            // Whoever asks next opens it, while older writes are still under way.
            world.get("before").await.unwrap();
        };
        let (answers, ()) = futures::join!(join_all((0..30).map(write)), take_over);
        let mut kept = 0;
        for answer in answers {
            match answer {
                Ok((key, bytes)) => {
                    assert_eq!(world.get(&key).await.unwrap(), bytes, "{key} was acknowledged");
                    kept += 1;
                }
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
        assert!(kept > 0);
    }
    let listed = world.keys("", None, 1_000).await.0;
    assert_eq!(world.usage().await.objects, listed.len() as u64, "what was counted is what is there");
}

#[tokio::test]
async fn an_older_owner_decides_nothing_any_more() {
    let world = World::start().await;
    world.put("k", b"1").await;
    let old = world.local.router.opened(&world.bucket).await;
    world.local.router.crash(&world.bucket).await;
    world.put("k", b"2").await;
    let delete = Op::Delete(vec![DeleteTarget { key: "k".into(), version: None, if_match: None }], false);
    assert!(old.execute(delete).await.unwrap_err().is_transient());
    assert_eq!(world.get("k").await.unwrap(), b"2");
}

/// A put as it travels, with contents of its own.
fn put_op(key: &str, id: u8) -> Op {
    let body = NewBody {
        id: BodyId([id; 16]),
        size: 1,
        md5: [id; 16],
        seal: None,
        customer: None,
        bytes: Contents::Inline(vec![id]),
        checksums: Vec::new(),
    };
    let (description, conditions) = (Description::default(), WriteConditions::default());
    Op::Put(Box::new(PutOp { key: key.into(), description, conditions, body }))
}

#[tokio::test]
async fn what_was_executed_is_not_executed_again_by_the_next_owner() {
    let world = World::start().await;
    world.local.objects.configure(&world.bucket, ConfigChange::Encryption(Encryption::Off, None)).await.unwrap();
    let delete = |key: &str| Op::Delete(vec![DeleteTarget { key: key.into(), version: None, if_match: None }], false);
    let bucket = world.local.router.opened(&world.bucket).await;
    let put = bucket.execute_once([1; 16], put_op("k", 1)).await.unwrap();
    bucket.execute_once([2; 16], put_op("k", 2)).await.unwrap();
    bucket.execute_once([3; 16], put_op("l", 3)).await.unwrap();
    let deleted = bucket.execute_once([4; 16], delete("l")).await.unwrap();
    bucket.execute_once([5; 16], put_op("l", 5)).await.unwrap();
    // Their answers were lost, and whoever asked asks the next owner, and that one twice.
    for _ in 0..2 {
        world.local.router.crash(&world.bucket).await;
        let heir = world.local.router.opened(&world.bucket).await;
        assert_eq!(heir.execute_once([1; 16], put_op("k", 1)).await.unwrap(), put);
        assert_eq!(heir.execute_once([4; 16], delete("l")).await.unwrap(), deleted);
        assert_eq!(world.get("k").await.unwrap(), [2], "an overwritten object has come back");
        assert_eq!(world.get("l").await.unwrap(), [5], "what was written after the deletion was deleted");
    }
    world.versioning(Versioning::Enabled).await;
    let heir = world.local.router.opened(&world.bucket).await;
    heir.execute_once([6; 16], put_op("k", 6)).await.unwrap();
    heir.execute_once([7; 16], put_op("k", 7)).await.unwrap();
    heir.execute_once([6; 16], put_op("k", 6)).await.unwrap();
    assert_eq!(world.versions(10).await.iter().filter(|(key, ..)| key == "k").count(), 3);
}
