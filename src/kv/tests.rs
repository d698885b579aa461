//! One suite for both engines, and what only files can show: reopening, locks, torn logs, foreign formats.

use super::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, path::Path, time::Duration};
use tempfile::TempDir;

fn rocks(path: &Path) -> RocksKv {
    RocksKv::open(path, &RocksOptions::default()).expect("opens")
}

/// Runs `suite` over a fresh database of each engine.
fn on_both(suite: impl Fn(&dyn Kv)) {
    suite(&MemoryKv::new());
    let dir = TempDir::new().expect("temporary folder");
    suite(&rocks(dir.path()));
}

fn put(kv: &dyn Kv, column: Column, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(column, key, value);
    kv.write(batch, Durability::Buffered).expect("writes");
}

fn keys(entries: Vec<Entry>) -> Vec<Vec<u8>> {
    entries.into_iter().map(|(key, _)| key).collect()
}

#[test]
fn columns_are_separate() {
    on_both(|kv| {
        for column in Column::ALL {
            put(kv, column, b"k", column.name().as_bytes());
        }
        for column in Column::ALL {
            assert_eq!(kv.get(column, b"k").expect("reads"), Some(column.name().as_bytes().to_vec()));
            assert_eq!(kv.get(column, b"absent").expect("reads"), None);
        }
        assert_eq!(keys(kv.scan(Column::Blocks, b"", b"", 9).expect("reads")), [b"k"]);
    });
}

#[test]
fn a_batch_applies_in_order_and_whole() {
    on_both(|kv| {
        let mut batch = Batch::new();
        batch.put(Column::Blocks, *b"a", *b"1");
        batch.delete(Column::Blocks, *b"a");
        batch.put(Column::Blocks, *b"b", *b"2");
        batch.put(Column::Meta, *b"tip", *b"b");
        batch.delete(Column::Code, *b"never there");
        kv.write(batch, Durability::Synced).expect("writes");
        assert_eq!(kv.get(Column::Blocks, b"a").expect("reads"), None);
        assert_eq!(kv.get(Column::Blocks, b"b").expect("reads"), Some(b"2".to_vec()));
        assert_eq!(kv.get(Column::Meta, b"tip").expect("reads"), Some(b"b".to_vec()));
        kv.write(Batch::new(), Durability::Buffered).expect("an empty batch is fine");
        kv.write(Batch::new(), Durability::Synced).expect("an empty batch is a barrier");
    });
}

#[test]
fn empty_keys_and_values_are_kept() {
    on_both(|kv| {
        put(kv, Column::Files, b"", b"");
        assert_eq!(kv.get(Column::Files, b"").expect("reads"), Some(Vec::new()));
        assert_eq!(kv.last(Column::Files, b"").expect("reads"), Some((Vec::new(), Vec::new())));
    });
}

#[test]
fn scans_stay_in_prefix_start_and_limit() {
    on_both(|kv| {
        for key in [&b"a"[..], b"p", b"p1", b"p2", b"p3", b"q", b"\xff", b"\xff\xff"] {
            put(kv, Column::Fragments, key, b"v");
        }
        put(kv, Column::Uploads, b"p9", b"another column");
        let scan =
            |prefix: &[u8], from: &[u8], limit| keys(kv.scan(Column::Fragments, prefix, from, limit).expect("reads"));
        assert_eq!(scan(b"p", b"", 9), [&b"p"[..], b"p1", b"p2", b"p3"]);
        assert_eq!(scan(b"p", b"p2", 9), [b"p2", b"p3"]);
        assert_eq!(scan(b"p", b"p", 2), [&b"p"[..], b"p1"]);
        assert_eq!(scan(b"p", b"z", 9), Vec::<Vec<u8>>::new());
        assert_eq!(scan(b"", b"q", 9), [&b"q"[..], b"\xff", b"\xff\xff"]);
        assert_eq!(scan(b"\xff", b"", 9), [&b"\xff"[..], b"\xff\xff"]);
        assert_eq!(scan(b"p", b"", 0), Vec::<Vec<u8>>::new());
    });
}

#[test]
fn last_is_the_last_of_the_prefix() {
    on_both(|kv| {
        assert_eq!(kv.last(Column::Blocks, b"").expect("reads"), None);
        for key in [&b"a"[..], b"p1", b"p9", b"q", b"\xff\x01"] {
            put(kv, Column::Blocks, key, key);
        }
        put(kv, Column::Files, b"zz", b"another column");
        let last = |prefix: &[u8]| kv.last(Column::Blocks, prefix).expect("reads").map(|(key, _)| key);
        assert_eq!(last(b"p"), Some(b"p9".to_vec()));
        assert_eq!(last(b""), Some(b"\xff\x01".to_vec()));
        assert_eq!(last(b"\xff"), Some(b"\xff\x01".to_vec()));
        assert_eq!(last(b"b"), None);
        assert_eq!(last(b"\xff\xff"), None);
    });
}

#[test]
fn a_poisoned_handle_refuses_everything() {
    on_both(|kv| {
        put(kv, Column::Meta, b"k", b"v");
        kv.poison("the node was killed");
        let refused = |error: KvError| {
            assert!(matches!(&error, KvError::Poisoned { reason, .. } if reason == "the node was killed"), "{error}");
        };
        refused(kv.get(Column::Meta, b"k").expect_err("poisoned"));
        refused(kv.scan(Column::Meta, b"", b"", 1).expect_err("poisoned"));
        refused(kv.last(Column::Meta, b"").expect_err("poisoned"));
        refused(kv.write(Batch::new(), Durability::Buffered).expect_err("poisoned"));
    });
}

#[test]
fn data_outlives_a_poisoned_handle() {
    let memory = MemoryKv::new();
    put(&memory, Column::Blocks, b"1", b"one");
    memory.poison("killed");
    assert_eq!(memory.reopen().get(Column::Blocks, b"1").expect("reads"), Some(b"one".to_vec()));

    let dir = TempDir::new().expect("temporary folder");
    let kv = rocks(dir.path());
    put(&kv, Column::Blocks, b"1", b"one");
    kv.poison("killed");
    drop(kv);
    assert_eq!(rocks(dir.path()).get(Column::Blocks, b"1").expect("reads"), Some(b"one".to_vec()));
}

#[test]
fn memory_loses_what_was_not_synced_and_fails_on_demand() {
    let kv = MemoryKv::new();
    let mut batch = Batch::new();
    batch.put(Column::Blocks, *b"a", *b"1");
    kv.write(batch, Durability::Synced).expect("writes");
    put(&kv, Column::Blocks, b"a", b"2");
    put(&kv, Column::Blocks, b"a", b"3");
    put(&kv, Column::Blocks, b"b", b"4");
    let after = kv.after_power_loss();
    assert_eq!(after.get(Column::Blocks, b"a").expect("reads"), Some(b"1".to_vec()));
    assert_eq!(after.get(Column::Blocks, b"b").expect("reads"), None);

    kv.fail_next_write("no space left on device");
    let failed = kv.write(Batch::new(), Durability::Buffered).expect_err("fails");
    assert!(matches!(failed, KvError::Engine { .. }), "{failed}");
    assert!(matches!(kv.get(Column::Blocks, b"a"), Err(KvError::Poisoned { .. })));
}

#[test]
fn a_second_handle_finds_the_database_locked_or_waits() {
    let dir = TempDir::new().expect("temporary folder");
    let first = rocks(dir.path());
    let Err(error) = RocksKv::open(dir.path(), &RocksOptions::default()) else { panic!("two handles on one database") };
    assert!(matches!(error, KvError::Locked { .. }), "{error}");
    let path = dir.path().to_owned();
    let waiting = std::thread::spawn(move || {
        RocksKv::open(&path, &RocksOptions { lock_wait: Duration::from_secs(60), ..RocksOptions::default() }).map(drop)
    });
    drop(first);
    waiting.join().expect("does not panic").expect("opens once the first handle is gone");
}

#[test]
fn a_handle_on_its_way_out_is_waited_for() {
    let swept = "IO error: No such file or directory: while unlink() file: /d/LOG.old.1795828728948155: No such file or directory";
    assert!(super::rocks::is_locked(swept));
    assert!(!super::rocks::is_locked(
        "IO error: No such file or directory: while open a file: /d/CURRENT: No such file or directory"
    ));
}

/// Creates a database behind our back.
fn foreign(path: &Path, families: &[&str], format: Option<&[u8]>) {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let db = rocksdb::DB::open_cf(&options, path, families).expect("opens");
    let meta = db.cf_handle("meta").expect("listed");
    db.put_cf(meta, b"something", b"else").expect("writes");
    if let Some(record) = format {
        db.put_cf(meta, format::KEY, record).expect("writes");
    }
}

#[test]
fn other_formats_are_refused() {
    type Case = (&'static [&'static str], Option<&'static [u8]>, &'static str);
    let cases: [Case; 4] = [
        (&["meta", "from-the-future"], Some(&[0, 0, 0, 99]), "has format 99, this program reads format 1"),
        (&["meta"], Some(b"x"), "format record is 1 B, expected 4 B"),
        (&["meta"], None, "has data but no format record"),
        (&["meta", "novel"], Some(&[0, 0, 0, 1]), "has column `novel`, which this program does not know"),
    ];
    for (families, record, expected) in cases {
        let dir = TempDir::new().expect("temporary folder");
        foreign(dir.path(), families, record);
        let Err(error) = RocksKv::open(dir.path(), &RocksOptions::default()) else { panic!("opened: {expected}") };
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn missing_column_families_are_created() {
    let dir = TempDir::new().expect("temporary folder");
    foreign(dir.path(), &["meta"], Some(&format::VERSION.to_be_bytes()));
    let kv = rocks(dir.path());
    put(&kv, Column::Uploads, b"k", b"v");
    assert_eq!(kv.get(Column::Meta, b"something").expect("reads"), Some(b"else".to_vec()));
}

#[test]
fn a_checkpoint_is_a_database_of_its_own() {
    let dir = TempDir::new().expect("temporary folder");
    let kv = rocks(&dir.path().join("db"));
    put(&kv, Column::Blocks, b"1", b"one");
    kv.checkpoint(&dir.path().join("copy")).expect("copies");
    put(&kv, Column::Blocks, b"1", b"changed later");
    let copy = rocks(&dir.path().join("copy"));
    assert_eq!(copy.get(Column::Blocks, b"1").expect("reads"), Some(b"one".to_vec()));
    let again = kv.checkpoint(&dir.path().join("copy")).expect_err("exists");
    assert!(again.to_string().contains("copy"), "{again}");
}

/// Cuts `bytes` off the end of the only log of a closed database.
fn tear_log(path: &Path, bytes: u64) {
    let logs: Vec<_> = std::fs::read_dir(path)
        .expect("lists")
        .map(|entry| entry.expect("lists").path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
        .collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    let log = std::fs::OpenOptions::new().write(true).open(&logs[0]).expect("opens");
    let len = log.metadata().expect("has a size").len();
    log.set_len(len.saturating_sub(bytes)).expect("truncates");
}

#[test]
fn a_torn_log_loses_whole_batches_from_its_end() {
    for torn in [1, 7, 40, 200] {
        let dir = TempDir::new().expect("temporary folder");
        let kv = rocks(dir.path());
        for height in 0..20u8 {
            let mut batch = Batch::new();
            batch.put(Column::Blocks, [height], [height; 32]);
            batch.put(Column::Meta, *b"tip", [height]);
            kv.write(batch, Durability::Buffered).expect("writes");
        }
        drop(kv);
        tear_log(dir.path(), torn);
        let kv = rocks(dir.path());
        let tip = kv.get(Column::Meta, b"tip").expect("reads").expect("most batches survive");
        let last = kv.last(Column::Blocks, b"").expect("reads").expect("most batches survive");
        assert_eq!((last.0.as_slice(), last.1), (tip.as_slice(), vec![tip[0]; 32]));
        assert!(tip[0] < 19, "the last batch was torn by {torn} B");
        let blocks = kv.scan(Column::Blocks, b"", b"", 99).expect("reads").len();
        assert_eq!(blocks, usize::from(tip[0]) + 1);
    }
}

fn column() -> impl Strategy<Value = Column> {
    prop::sample::select(vec![Column::Blocks, Column::Accounts, Column::Files])
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(vec![0u8, 1, 0xfe, 0xff]), 0..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (column(), key(), any::<u8>()).prop_map(|(column, key, value)| Op::Put(column, key, vec![value])),
        (column(), key()).prop_map(|(column, key)| Op::Delete(column, key)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn engines_agree_with_a_sorted_map(
        batches in prop::collection::vec(prop::collection::vec(op(), 0..8), 1..8),
        prefix in key(), from in key(), limit in 0usize..6,
    ) {
        thread_local! {
            // One database for every case: opening takes longer than the case.
            static SHARED: (TempDir, RocksKv) = {
                let dir = TempDir::new().expect("temporary folder");
                let kv = rocks(dir.path());
                (dir, kv)
            };
        }
        let memory = MemoryKv::new();
        let mut model: BTreeMap<(Column, Vec<u8>), Vec<u8>> = BTreeMap::new();
        SHARED.with(|(_, rocks)| -> Result<(), TestCaseError> {
            clear(rocks);
            for ops in batches {
                for op in &ops {
                    match op.clone() {
                        Op::Put(column, key, value) => model.insert((column, key), value),
                        Op::Delete(column, key) => model.remove(&(column, key)),
                    };
                }
                memory.write(Batch { ops: ops.clone() }, Durability::Buffered)?;
                rocks.write(Batch { ops }, Durability::Buffered)?;
            }
            for column in [Column::Blocks, Column::Accounts, Column::Files] {
                let inside = model.iter().filter(|((at, key), _)| *at == column && key.starts_with(&prefix));
                let inside: Vec<Entry> = inside.map(|((_, key), value)| (key.clone(), value.clone())).collect();
                let scanned: Vec<Entry> = inside.iter().filter(|(key, _)| *key >= from).take(limit).cloned().collect();
                for kv in [&memory as &dyn Kv, rocks] {
                    prop_assert_eq!(&kv.scan(column, &prefix, &from, limit)?, &scanned);
                    prop_assert_eq!(kv.last(column, &prefix)?, inside.last().cloned());
                    prop_assert_eq!(kv.get(column, &from)?, model.get(&(column, from.clone())).cloned());
                }
            }
            Ok(())
        })?;
    }
}

fn clear(kv: &dyn Kv) {
    let mut batch = Batch::new();
    for column in [Column::Blocks, Column::Accounts, Column::Files] {
        for (key, _) in kv.scan(column, b"", b"", usize::MAX).expect("reads") {
            batch.delete(column, key);
        }
    }
    kv.write(batch, Durability::Buffered).expect("writes");
}
