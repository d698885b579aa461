//! slatedb on the log: what it calls durable is there whatever happens to its process.

use super::{rows, *};
use crate::{
    runtime::{CpuPool, Node},
    storage::journal::tests::rig::Rig,
};
use bytes::Bytes;
use slatedb::{
    CloseReason, Db, ErrorKind, GarbageCollectorBuilder, RowEntry, Settings, ValueDeletable,
    config::{FlushOptions, FlushType, GarbageCollectorDirectoryOptions, GarbageCollectorOptions},
    object_store::{ObjectStore, memory::InMemory},
};
use std::{sync::Arc, time::Duration};
use tokio::time::{interval, timeout};

const SOON: Duration = Duration::from_secs(30);
const PATH: &str = "bucket";

struct World {
    node: Node,
    store: Arc<dyn ObjectStore>,
    log: Arc<MemoryLog>,
}

impl World {
    fn new() -> Self {
        let node = Node::new("gateway", CpuPool::new("gateway", 1));
        Self { node, store: Arc::new(InMemory::new()), log: Arc::new(MemoryLog::default()) }
    }

    async fn open(&self) -> Result<Db, slatedb::Error> {
        self.open_on(self.log.clone()).await
    }

    async fn open_on(&self, log: Arc<dyn Log>) -> Result<Db, slatedb::Error> {
        let wal = Wal::new(&self.node.tasks, log);
        let often = GarbageCollectorDirectoryOptions {
            interval: Some(Duration::from_millis(10)),
            min_age: Duration::ZERO,
            dry_run: false,
        };
        let options = GarbageCollectorOptions { wal_options: Some(often), ..GarbageCollectorOptions::default() };
        let gc = GarbageCollectorBuilder::new(PATH, self.store.clone()).with_options(options).with_wal_gc(wal.gc());
        let settings = Settings { compactor_options: None, ..Settings::default() };
        let builder = Db::builder(PATH, self.store.clone()).with_settings(settings);
        builder.with_wal_writer(wal.writer()).with_gc_builder(gc).build().await
    }
}

async fn put(db: &Db, key: &str, value: &[u8]) -> Result<(), slatedb::Error> {
    db.put(key.as_bytes(), value).await?.await_durable().await
}

async fn get(db: &Db, key: &str) -> Option<Bytes> {
    db.get(key.as_bytes()).await.unwrap()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let mut tick = interval(Duration::from_millis(2));
    let wait = async {
        while !condition() {
            tick.tick().await;
        }
    };
    timeout(SOON, wait).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

#[tokio::test]
async fn what_is_durable_is_there_after_a_crash() {
    let world = World::new();
    let db = world.open().await.unwrap();
    for n in 0..50 {
        put(&db, &format!("key {n}"), format!("value {n}").as_bytes()).await.unwrap();
    }
    db.delete(b"key 7").await.unwrap().await_durable().await.unwrap();
    // A value of several records.
    put(&db, "large", &vec![9; 5 << 20]).await.unwrap();
    drop(db);
    let db = world.open().await.unwrap();
    assert_eq!(get(&db, "key 49").await.unwrap(), "value 49");
    assert_eq!(get(&db, "key 7").await, None);
    assert_eq!(get(&db, "large").await.unwrap(), vec![9; 5 << 20]);
    // And it goes on.
    put(&db, "key 7", b"again").await.unwrap();
    drop(db);
    assert_eq!(get(&world.open().await.unwrap(), "key 7").await.unwrap(), "again");
}

#[tokio::test]
async fn a_second_opener_shuts_the_first_one_out() {
    let world = World::new();
    let first = world.open().await.unwrap();
    put(&first, "a", b"1").await.unwrap();
    let second = world.open().await.unwrap();
    assert_eq!(get(&second, "a").await.unwrap(), "1");
    let error = put(&first, "a", b"2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed(CloseReason::Fenced), "{error}");
    put(&second, "a", b"3").await.unwrap();
    assert_eq!(get(&second, "a").await.unwrap(), "3");
}

#[tokio::test]
async fn a_memtable_flush_trims_the_log() {
    let world = World::new();
    let db = world.open().await.unwrap();
    for n in 0..20 {
        put(&db, &format!("{n}"), b"x").await.unwrap();
    }
    assert_eq!(world.log.tail(), Tail { base: 0, last: 20 });
    db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await.unwrap();
    // The newest record stays: the collector keeps the boundary.
    until("the log is trimmed", || world.log.tail() == Tail { base: 19, last: 20 }).await;
    put(&db, "after", b"y").await.unwrap();
    drop(db);
    let db = world.open().await.unwrap();
    assert_eq!(get(&db, "0").await.unwrap(), "x");
    assert_eq!(get(&db, "after").await.unwrap(), "y");
}

#[tokio::test]
async fn one_write_is_one_append_and_a_thousand_at_once_are_few() {
    let world = World::new();
    let db = world.open().await.unwrap();
    put(&db, "alone", b"x").await.unwrap();
    assert_eq!(world.log.appends(), 1);
    world.log.hold(true);
    let writes = (0..1_000).map(|n| {
        let db = db.clone();
        async move { db.put(format!("{n}").as_bytes(), b"x").await.unwrap() }
    });
    let handles = futures::future::join_all(writes).await;
    world.log.hold(false);
    for handle in handles {
        handle.await_durable().await.unwrap();
    }
    assert!(world.log.appends() <= 4, "{} appends", world.log.appends());
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_passed_over() {
    let world = World::new();
    let db = world.open().await.unwrap();
    put(&db, "a", b"1").await.unwrap();
    drop(db);
    let row = RowEntry {
        key: Bytes::from_static(b"b"),
        value: ValueDeletable::Value(vec![1; 3 << 20].into()),
        seq: 2,
        create_ts: None,
        expire_ts: None,
    };
    let parts = rows::cut(&[row]);
    let (tail, writer) = (world.log.tail(), 1);
    world.log.append(writer, tail.last + 1, parts[..2].to_vec()).await.unwrap();
    let db = world.open().await.unwrap();
    assert_eq!(get(&db, "b").await, None);
    put(&db, "c", b"3").await.unwrap();
    drop(db);
    let db = world.open().await.unwrap();
    assert_eq!((get(&db, "a").await.unwrap(), get(&db, "c").await.unwrap()), ("1".into(), "3".into()));
    assert_eq!(get(&db, "b").await, None);
}

#[tokio::test]
async fn a_log_that_lost_acknowledged_records_is_refused() {
    let world = World::new();
    let db = world.open().await.unwrap();
    put(&db, "a", b"1").await.unwrap();
    db.flush_with_options(FlushOptions { flush_type: FlushType::MemTable }).await.unwrap();
    drop(db);
    let empty: Arc<dyn Log> = Arc::new(MemoryLog::default());
    let error = world.open_on(empty).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the log lost what was acknowledged"), "{error}");
}

#[tokio::test]
async fn an_engine_on_three_miners_outlives_one_of_them_and_its_gateway() {
    let (world, rig) = (World::new(), Rig::start(4).await);
    let client = rig.client();
    let members = client.create(rig.id, crate::storage::journal::epoch(1, 0)).await.unwrap();
    let log = Arc::new(MinersLog::new(client, rig.id, members, 1));
    log.take().await.unwrap();
    log.confirm().await.unwrap();
    let db = world.open_on(log.clone()).await.unwrap();
    log.confirm().await.unwrap();
    put(&db, "a", b"1").await.unwrap();
    rig.wipe(members[0]).await;
    put(&db, "b", b"2").await.unwrap();
    until("the loss is seen", || !log.journal().unwrap().ailing().is_empty()).await;
    assert!(log.tend(async |_| true).await.unwrap());
    let members = log.members();
    rig.crash(members[1]).await;
    // Another gateway takes over while the first one still runs.
    let heir = Arc::new(MinersLog::new(rig.client(), rig.id, members, 2));
    heir.take().await.unwrap();
    assert!(log.confirm().await.is_err());
    let error = put(&db, "c", b"3").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed(CloseReason::Fenced), "{error}");
    let db = world.open_on(heir.clone()).await.unwrap();
    assert_eq!((get(&db, "a").await.unwrap(), get(&db, "b").await.unwrap()), ("1".into(), "2".into()));
    assert_eq!(get(&db, "c").await, None);
    put(&db, "d", b"4").await.unwrap();
    heir.confirm().await.unwrap();
}
