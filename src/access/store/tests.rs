//! What users of object stores rely on: the checks that the crate runs on its own stores, and what is ours.

use super::{
    twins::{MemoryFiles, MemoryNames},
    *,
};
use crate::runtime::CpuPool;
use futures::{TryStreamExt, future::join_all};
use object_store::{GetRange, ObjectStoreExt};
use std::time::Instant;

struct Story {
    store: SegmentStore,
    files: Arc<MemoryFiles>,
    names: Arc<MemoryNames>,
    node: Node,
}

fn story_with(cache: Option<FileCache>, key: Option<DataKey>) -> Story {
    let node = Node::new("store", CpuPool::new("store", 1));
    let (files, names) = (Arc::new(MemoryFiles::default()), Arc::new(MemoryNames::default()));
    let settings = StoreSettings { key, grace: Duration::ZERO, fixed: &[".sst"] };
    let store = SegmentStore::new(&node, files.clone(), names.clone(), cache, settings);
    Story { store, files, names, node }
}

fn story() -> Story {
    story_with(None, Some(DataKey::new([7; 32])))
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// A text that has no room in a name.
fn filed(text: &str) -> String {
    format!("{text:300}")
}

async fn listed(store: &SegmentStore, prefix: Option<&str>) -> Vec<String> {
    let prefix = prefix.map(path);
    let objects: Vec<ObjectMeta> = store.list(prefix.as_ref()).try_collect().await.unwrap();
    objects.into_iter().map(|object| object.location.to_string()).collect()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn objects_come_back_whole_and_in_ranges() {
    for key in [None, Some(DataKey::new([7; 32]))] {
        let Story { store, files, .. } = story_with(None, key);
        let (at, bytes) = (path("a/b/object"), Bytes::from((0..200_000u32).map(|n| n as u8).collect::<Vec<_>>()));
        assert!(matches!(store.get(&at).await, Err(Error::NotFound { .. })));
        assert!(matches!(store.head(&at).await, Err(Error::NotFound { .. })));
        let put = store.put(&at, bytes.clone().into()).await.unwrap();
        let head = store.head(&at).await.unwrap();
        assert_eq!((head.size, &head.location, head.e_tag), (200_000, &at, put.e_tag));
        assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), bytes);
        assert_eq!(store.get_range(&at, 65_530..65_540).await.unwrap(), bytes[65_530..65_540]);
        let ranges = store.get_ranges(&at, &[0..1, 199_999..200_000, 70_000..140_000]).await.unwrap();
        assert_eq!(ranges, [&bytes[..1], &bytes[199_999..], &bytes[70_000..140_000]]);
        for (range, expected) in [
            (GetRange::Offset(199_990), 199_990..200_000),
            (GetRange::Suffix(3), 199_997..200_000),
            (GetRange::Bounded(199_999..300_000), 199_999..200_000),
        ] {
            let got = store.get_opts(&at, GetOptions { range: Some(range), ..Default::default() }).await.unwrap();
            assert_eq!(got.range, expected);
            let bound = expected.start as usize..expected.end as usize;
            assert_eq!(got.bytes().await.unwrap(), bytes[bound]);
        }
        assert!(store.get_range(&at, 200_000..200_001).await.is_err());
        store.delete(&at).await.unwrap();
        assert!(matches!(store.get(&at).await, Err(Error::NotFound { .. })));
        until("the file goes with its name", || files.count() == 0).await;
    }
}

#[tokio::test]
async fn empty_objects_are_objects() {
    for key in [None, Some(DataKey::new([7; 32]))] {
        let Story { store, .. } = story_with(None, key);
        store.put(&path("empty"), PutPayload::default()).await.unwrap();
        assert_eq!(store.head(&path("empty")).await.unwrap().size, 0);
        assert_eq!(store.get(&path("empty")).await.unwrap().bytes().await.unwrap(), Bytes::new());
        let mut upload = store.put_multipart(&path("nothing")).await.unwrap();
        upload.complete().await.unwrap();
        assert_eq!(store.get(&path("nothing")).await.unwrap().bytes().await.unwrap(), Bytes::new());
        assert_eq!(listed(&store, None).await, ["empty", "nothing"]);
    }
}

#[tokio::test]
async fn conditions_hold() {
    let Story { store, files, .. } = story();
    let at = path("manifest/1");
    let create = PutOptions { mode: PutMode::Create, ..Default::default() };
    let first = store.put_opts(&at, filed("one").into(), create.clone()).await.unwrap();
    let late = store.put_opts(&at, filed("two").into(), create).await;
    assert!(matches!(late, Err(Error::AlreadyExists { .. })), "{late:?}");
    let update = |version: PutResult| PutOptions { mode: PutMode::Update(version.into()), ..Default::default() };
    let second = store.put_opts(&at, filed("two").into(), update(first.clone())).await.unwrap();
    let stale = store.put_opts(&at, filed("three").into(), update(first.clone())).await;
    assert!(matches!(stale, Err(Error::Precondition { .. })), "{stale:?}");
    let absent = store.put_opts(&path("manifest/2"), "x".into(), update(first)).await;
    assert!(matches!(absent, Err(Error::Precondition { .. })), "{absent:?}");
    let get = |options: GetOptions| store.get_opts(&at, options);
    let tag = second.e_tag.clone();
    assert!(get(GetOptions { if_match: tag.clone(), ..Default::default() }).await.is_ok());
    let same = get(GetOptions { if_none_match: tag.clone(), ..Default::default() }).await;
    assert!(matches!(same, Err(Error::NotModified { .. })));
    let other = get(GetOptions { if_match: Some("\"x\"".into()), ..Default::default() }).await;
    assert!(matches!(other, Err(Error::Precondition { .. })));
    assert!(get(GetOptions { version: tag, ..Default::default() }).await.is_ok());
    assert!(get(GetOptions { version: Some("\"0\"".into()), ..Default::default() }).await.is_err());
    let none = UpdateVersion { e_tag: None, version: None };
    let tagless = PutOptions { mode: PutMode::Update(none), ..Default::default() };
    assert!(store.put_opts(&at, "x".into(), tagless).await.is_err());
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), filed("two"));
    until("what was refused or replaced is given back", || files.count() == 1).await;
}

#[tokio::test]
async fn of_many_who_create_one_succeeds() {
    let Story { store, files, .. } = story();
    let at = path("fence");
    let attempts = join_all((0..20).map(|n| {
        let (store, at) = (store.clone(), at.clone());
        let options = PutOptions { mode: PutMode::Create, ..Default::default() };
        tokio::spawn(async move { store.put_opts(&at, filed(&format!("{n}")).into(), options).await.map(|_| n) })
    }));
    let attempts: Vec<Result<i32>> = attempts.await.into_iter().map(Result::unwrap).collect();
    let winners: Vec<i32> = attempts.iter().filter_map(|result| result.as_ref().ok()).copied().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.get(&at).await.unwrap().bytes().await.unwrap(), filed(&winners[0].to_string()));
    assert!(attempts.iter().all(|result| matches!(result, Ok(_) | Err(Error::AlreadyExists { .. }))));
    until("the losers' files go", || files.count() == 1).await;
}

#[tokio::test]
async fn many_who_overwrite_all_succeed() {
    let Story { store, files, .. } = story();
    let at = path("last");
    let puts = join_all((0..8).map(|n| store.put(&at, filed(&format!("{n}")).into())));
    assert!(puts.await.iter().all(Result::is_ok));
    until("replaced files go", || files.count() == 1).await;
    store.get(&at).await.unwrap().bytes().await.unwrap();
}

#[tokio::test]
async fn listings_follow_paths() {
    let Story { store, .. } = story();
    for at in ["a/1", "a/b/2", "a/b/3", "a.txt", "ab/4", "c"] {
        store.put(&path(at), at.into()).await.unwrap();
    }
    assert_eq!(
        listed(&store, None).await,
        ["a/1", "a/b/2", "a/b/3", "a.txt", "ab/4", "c"].map(path).map(|p| p.to_string()).sorted()
    );
    assert_eq!(listed(&store, Some("a")).await, ["a/1", "a/b/2", "a/b/3"]);
    assert_eq!(listed(&store, Some("a/b")).await, ["a/b/2", "a/b/3"]);
    assert!(listed(&store, Some("c")).await.is_empty(), "not the object that is the prefix");
    let root = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(root.common_prefixes, [path("a"), path("ab")]);
    let names: Vec<String> = root.objects.iter().map(|object| object.location.to_string()).collect();
    assert_eq!(names, ["a.txt", "c"]);
    let below = store.list_with_delimiter(Some(&path("a"))).await.unwrap();
    assert_eq!((below.common_prefixes, below.objects.len()), (vec![path("a/b")], 1));
    let after: Vec<ObjectMeta> = store.list_with_offset(None, &path("a/b/2")).try_collect().await.unwrap();
    assert!(
        after.iter().all(|object| object.location > path("a/b/2")) && after.iter().any(|o| o.location == path("c"))
    );
    let all = stream::iter(["a/1", "missing", "c"].map(|at| Ok(path(at)))).boxed();
    let deleted: Vec<Path> = store.delete_stream(all).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 3);
    assert!(!listed(&store, None).await.contains(&"c".to_owned()));
}

trait Sorted {
    fn sorted(self) -> Vec<String>;
}

impl<const N: usize> Sorted for [String; N] {
    fn sorted(self) -> Vec<String> {
        let mut paths: Vec<Path> = self.iter().map(|text| path(text)).collect();
        paths.sort();
        paths.into_iter().map(|path| path.to_string()).collect()
    }
}

#[tokio::test]
async fn copies_and_renames_are_objects_of_their_own() {
    let Story { store, files, .. } = story();
    let (a, b) = (path("a"), path("b"));
    store.put(&a, filed("hello").into()).await.unwrap();
    store.copy(&a, &b).await.unwrap();
    assert!(matches!(store.copy_if_not_exists(&a, &b).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.rename_if_not_exists(&a, &b).await, Err(Error::AlreadyExists { .. })));
    assert!(matches!(store.copy(&path("none"), &b).await, Err(Error::NotFound { .. })));
    store.delete(&a).await.unwrap();
    until("one file is left", || files.count() == 1).await;
    assert_eq!(store.get(&b).await.unwrap().bytes().await.unwrap(), filed("hello"));
    store.rename_if_not_exists(&b, &a).await.unwrap();
    assert_eq!(listed(&store, None).await, ["a"]);
    until("one file is left", || files.count() == 1).await;
    let named = store.named_files().await.unwrap();
    assert!(named.len() == 1 && named.iter().all(|file| files.ids().contains(file)));
    assert_eq!(store.get(&a).await.unwrap().bytes().await.unwrap(), filed("hello"));
}

#[tokio::test]
async fn parts_are_joined_in_the_order_they_were_given() {
    let Story { store, files, node, .. } = story();
    let at = path("parts");
    let mut upload = store.put_multipart(&at).await.unwrap();
    let parts: Vec<UploadPartOf> = (0..5u8).map(|n| upload.put_part(vec![n; 70_000].into())).collect();
    join_all(parts.into_iter().rev()).await.into_iter().for_each(|part| part.unwrap());
    assert!(matches!(store.head(&at).await, Err(Error::NotFound { .. })), "no name before the end");
    upload.complete().await.unwrap();
    let bytes = store.get(&at).await.unwrap().bytes().await.unwrap();
    assert!(
        bytes.len() == 350_000 && bytes.chunks(70_000).zip(0..).all(|(part, n)| part.iter().all(|byte| *byte == n))
    );
    assert!(upload.put_part("late".into()).await.is_err());
    assert!(upload.complete().await.is_err(), "once");
    for abort in [true, false] {
        let mut upload = store.put_multipart(&path("gone")).await.unwrap();
        upload.put_part(vec![1; 70_000].into()).await.unwrap();
        if abort {
            upload.abort().await.unwrap();
        }
    }
    until("uploads end", || node.tasks.running().is_empty()).await;
    assert_eq!((listed(&store, None).await, files.count()), (vec!["parts".to_owned()], 1));
}

type UploadPartOf = object_store::UploadPart;

#[tokio::test]
async fn what_is_stored_is_encrypted_and_checked() {
    let Story { store, files, names, node } = story();
    let at = path("secret");
    let other = |key| {
        let settings = StoreSettings { key, grace: Duration::ZERO, fixed: &[".sst"] };
        SegmentStore::new(&node, files.clone(), names.clone(), None, settings)
    };
    for (turn, text) in ["attack at dawn".to_owned(), filed("attack at dawn")].into_iter().enumerate() {
        store.put(&at, text.clone().into()).await.unwrap();
        let entry = names.get("secret").await.unwrap().unwrap();
        let raw = match Stored::read(&entry.value).unwrap().file() {
            Some(file) => files.read(file, 0..300).await.unwrap().try_collect::<Vec<Bytes>>().await.unwrap().concat(),
            None => entry.value.clone(),
        };
        assert_eq!(files.count(), turn, "a short one is in its name");
        assert!(!raw.windows(6).any(|part| part == b"attack"));
        assert_eq!(store.get_range(&at, 7..14).await.unwrap(), text[7..14]);
        assert!(other(None).get(&at).await.is_err());
        assert!(other(Some(DataKey::new([8; 32]))).get(&at).await.is_err());
        // A value moved to another name does not open there.
        names.set(&format!("moved {turn}"), 0, entry.value).await.unwrap();
        assert!(store.get(&path(&format!("moved {turn}"))).await.is_err());
    }
    files.spoil();
    assert!(store.get(&at).await.unwrap().bytes().await.is_err());
}

#[tokio::test]
async fn what_was_just_written_is_not_read_back_and_much_read_is_fetched_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = FileCache::open(dir.path(), 1 << 20).unwrap();
    let story = story_with(Some(cache), Some(DataKey::new([7; 32])));
    let (at, bytes) = (path("sst"), Bytes::from(vec![9; 300_000]));
    story.store.put(&at, bytes.clone().into()).await.unwrap();
    assert_eq!(story.store.get(&at).await.unwrap().bytes().await.unwrap(), bytes);
    assert_eq!(story.files.reads(), 0);
    // Another gateway has an empty cache.
    let elsewhere = tempfile::tempdir().unwrap();
    let cache = FileCache::open(elsewhere.path(), 1 << 20).unwrap();
    let settings = StoreSettings { key: Some(DataKey::new([7; 32])), grace: Duration::ZERO, fixed: &[".sst"] };
    let heir = SegmentStore::new(&story.node, story.files.clone(), story.names.clone(), Some(cache), settings);
    let reads = join_all((0..10).map(|n| heir.get_range(&at, n * 1_000..n * 1_000 + 10))).await;
    assert!(reads.into_iter().all(|part| part.unwrap() == [9; 10][..]));
    assert_eq!(story.files.reads(), 1);
}

#[tokio::test]
async fn names_that_never_change_are_asked_for_once() {
    let Story { store, names, .. } = story();
    for at in ["1.sst", "1.manifest"].map(path) {
        store.put(&at, "x".into()).await.unwrap();
        let before = names.reads();
        for _ in 0..3 {
            store.get(&at).await.unwrap().bytes().await.unwrap();
        }
        assert_eq!(names.reads() - before, if at == path("1.sst") { 1 } else { 3 });
        store.delete(&at).await.unwrap();
        assert!(matches!(store.get(&at).await, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_done() {
    let Story { store, names, .. } = story();
    names.mute();
    let create = PutOptions { mode: PutMode::Create, ..Default::default() };
    store.put_opts(&path("a"), "x".into(), create).await.unwrap();
    assert_eq!(store.get(&path("a")).await.unwrap().bytes().await.unwrap(), "x");
}

#[tokio::test]
async fn the_engine_runs_on_it() {
    let Story { store, .. } = story();
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    for round in 0..2u32 {
        let db = slatedb::Db::open("bucket", store.clone()).await.unwrap();
        if round > 0 {
            assert_eq!(db.get(b"key 7").await.unwrap().unwrap(), "value 7");
        }
        for n in 0..20 {
            db.put(format!("key {n}").as_bytes(), format!("value {n}").as_bytes()).await.unwrap();
        }
        db.close().await.unwrap();
    }
}
