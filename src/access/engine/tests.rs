//! Durability, fencing, scans and the cache, over a store in memory.

use super::*;
use crate::runtime::NodeRng;
use slatedb::{
    db_cache::DbCache as _,
    object_store::{
        memory::InMemory,
        throttle::{ThrottleConfig, ThrottledStore},
    },
};

const PATIENCE: Duration = Duration::from_secs(5);

fn settings() -> EngineSettings {
    EngineSettings::with_cache_bytes(1 << 20)
}

async fn open(store: &Arc<dyn ObjectStore>) -> Engine {
    Engine::open("bucket", store.clone(), None, &settings()).await.unwrap()
}

fn store() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn write(engine: &Engine, entries: &[(&str, &str)]) -> Pending {
    let mut batch = Batch::default();
    for (key, value) in entries {
        batch.put(key.as_bytes().to_vec(), value.as_bytes().to_vec());
    }
    engine.commit(batch).await.unwrap()
}

async fn keys(mut scan: Scan) -> Vec<String> {
    let mut keys = Vec::new();
    while let Some((key, _)) = scan.next().await.unwrap() {
        keys.push(String::from_utf8(key.to_vec()).unwrap());
    }
    keys
}

#[tokio::test]
async fn what_is_durable_survives_a_crash() {
    let store = store();
    let engine = open(&store).await;
    write(&engine, &[("a", "1"), ("b", "2")]).await.durable().await.unwrap();
    drop(engine);
    let engine = open(&store).await;
    assert_eq!(engine.get(b"a", See::Durable).await.unwrap().as_deref(), Some(&b"1"[..]));
    let mut batch = Batch::default();
    batch.delete(b"a");
    batch.put(b"b".to_vec(), b"3".to_vec());
    engine.commit(batch).await.unwrap().durable().await.unwrap();
    engine.close(PATIENCE).await.unwrap();
    let engine = open(&store).await;
    assert_eq!(engine.get(b"a", See::Durable).await.unwrap(), None);
    assert_eq!(engine.get(b"b", See::Latest).await.unwrap().as_deref(), Some(&b"3"[..]));
}

#[tokio::test(start_paused = true)]
async fn an_engine_whose_store_does_not_answer_is_closed_all_the_same() {
    let slow = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
    let engine = open(&(slow.clone() as Arc<dyn ObjectStore>)).await;
    write(&engine, &[("a", "1")]).await.durable().await.unwrap();
    slow.config_mut(|config| config.wait_put_per_call = Duration::from_hours(1));
    let closed = tokio::time::timeout(3 * PATIENCE, engine.close(PATIENCE));
    closed.await.expect("it does not wait for ever").unwrap_err();
}

#[tokio::test]
async fn an_answer_never_shows_what_may_still_be_lost() {
    let store = store();
    let engine = open(&store).await;
    let pending = write(&engine, &[("a", "1")]).await;
    assert!(engine.get(b"a", See::Latest).await.unwrap().is_some(), "the writer sees it at once");
    pending.durable().await.unwrap();
    assert!(engine.get(b"a", See::Durable).await.unwrap().is_some());
}

/// Whatever is kept of values, an answer is what the tables and the log would have said at some moment of the question.
#[tokio::test]
async fn values_that_are_kept_are_those_of_the_engine() {
    let engine = open(&store()).await;
    let rng = NodeRng::from_seed(7);
    let (mut kept, mut asked) = (0, 0);
    for step in 0..4_000u64 {
        let key = [u8::try_from(rng.below(8)).unwrap()];
        if rng.below(8) == 0 {
            let mut batch = Batch::default();
            match rng.below(4) {
                0 => batch.delete(&key),
                _ => batch.put(key.to_vec(), step.to_le_bytes().to_vec()),
            }
            let pending = engine.commit(batch).await.unwrap();
            if rng.below(2) == 0 {
                pending.durable().await.unwrap();
            }
        }
        let options = read_options(See::Durable);
        let before = engine.db.get_with_options(key, &options).await.unwrap();
        match engine.known(&key) {
            Known::Value(_) => kept += 1,
            Known::Ask(_) | Known::Nothing => asked += 1,
        }
        let answer = engine.get(&key, See::Durable).await.unwrap();
        let after = engine.db.get_with_options(key, &options).await.unwrap();
        assert!(answer == before || answer == after, "step {step}: {answer:?} of {before:?} and {after:?}");
    }
    assert!(kept > 500 && asked > 500, "{kept} were kept, {asked} were asked for");
}

#[tokio::test]
async fn an_older_owner_is_fenced() {
    let store = store();
    let old = open(&store).await;
    write(&old, &[("a", "1")]).await.durable().await.unwrap();
    assert!(old.get(b"a", See::Durable).await.unwrap().is_some(), "which is kept");
    let new = open(&store).await;
    write(&new, &[("a", "2")]).await.durable().await.unwrap();
    let mut batch = Batch::default();
    batch.put(b"a".to_vec(), b"3".to_vec());
    let refused = match old.commit(batch).await {
        Ok(pending) => pending.durable().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(refused, EngineError::Fenced);
    assert_eq!(new.get(b"a", See::Durable).await.unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(old.get(b"a", See::Durable).await.unwrap_err(), EngineError::Fenced);
}

#[tokio::test]
async fn scans_keep_to_their_prefix_and_seek() {
    let store = store();
    let engine = open(&store).await;
    write(&engine, &[("a", ""), ("p1", ""), ("p2", ""), ("p3", ""), ("q", "")]).await.durable().await.unwrap();
    assert_eq!(keys(engine.scan(b"p", b"", See::Durable).await.unwrap()).await, ["p1", "p2", "p3"]);
    assert_eq!(keys(engine.scan(b"p", b"p2", See::Durable).await.unwrap()).await, ["p2", "p3"]);
    let mut scan = engine.scan(b"p", b"", See::Durable).await.unwrap();
    scan.next().await.unwrap();
    scan.seek(b"p3").await.unwrap();
    assert_eq!(keys(scan).await, ["p3"]);
    let snapshot = engine.snapshot().unwrap();
    write(&engine, &[("p4", "")]).await.durable().await.unwrap();
    assert_eq!(keys(snapshot.scan(b"p", b"p3", See::Durable).await.unwrap()).await, ["p3"]);
    assert_eq!(snapshot.get(b"p4", See::Latest).await.unwrap(), None);
}

#[tokio::test]
async fn an_abandoned_engine_answers_nothing() {
    let store = store();
    let engine = open(&store).await;
    write(&engine, &[("a", "1")]).await.durable().await.unwrap();
    engine.abandon().await;
    assert_eq!(engine.get(b"a", See::Durable).await.unwrap_err(), EngineError::Closed);
    assert_eq!(open(&store).await.get(b"a", See::Durable).await.unwrap().as_deref(), Some(&b"1"[..]));
}

#[tokio::test]
async fn the_cache_stays_within_its_bytes() {
    let store = store();
    let settings = EngineSettings::with_cache_bytes(64 << 10);
    let engine = Engine::open("bucket", store.clone(), None, &settings).await.unwrap();
    let value = "x".repeat(1_000);
    let names: Vec<String> = (0..1_000).map(|n| format!("{n:04}")).collect();
    let entries: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    write(&engine, &entries).await.durable().await.unwrap();
    engine.flush().await.unwrap();
    for name in &names {
        assert!(engine.get(name.as_bytes(), See::Durable).await.unwrap().is_some());
    }
    let count = settings.cache.entry_count();
    assert!(count > 0 && count < 40, "{count} blocks of about 4 KiB are in a cache of 64 KiB");
}

/// Objects a store has.
async fn count(store: &Arc<dyn ObjectStore>) -> usize {
    use futures::StreamExt as _;
    store.list(None).count().await
}

#[tokio::test]
async fn tables_are_merged_once_there_are_some() {
    let store = store();
    let settings = EngineSettings { poll: Duration::from_millis(5), ..settings() };
    let engine = Engine::open("bucket", store.clone(), None, &settings).await.unwrap();
    let begun = count(&store).await;
    assert!(begun <= 4, "an opening writes {begun} objects");
    let work = async {
        for round in 0..6u8 {
            write(&engine, &[("a", "1"), (&format!("b{round}"), "2")]).await.durable().await.unwrap();
            engine.flush().await.unwrap();
        }
        while engine.unmerged() >= 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(keys(engine.scan(b"b", b"", See::Durable).await.unwrap()).await.len(), 6);
        engine.close(PATIENCE).await.unwrap();
    };
    // Merging ends with its engine.
    let both = async { futures::join!(engine.compact(), work) };
    let (merged, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("tables are merged");
    merged.unwrap();
}

#[test]
fn the_end_of_a_prefix() {
    assert_eq!(successor(b"a"), Some(b"b".to_vec()));
    assert_eq!(successor(&[1, 255, 255]), Some(vec![2]));
    assert_eq!(successor(&[255]), None);
    assert_eq!(successor(b""), None);
}
