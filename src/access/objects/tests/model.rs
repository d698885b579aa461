//! A bucket does what a map of lists does, whatever is asked of it and however often its engine falls over.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Put { key: u8, len: usize },
    Delete { key: u8 },
    DeleteVersion { key: u8, place: usize },
    Copy { from: u8, to: u8 },
    Begin { key: u8 },
    Part { upload: usize, part: u32, len: usize },
    Complete { upload: usize },
    Abort { upload: usize },
    Versioning { enabled: bool },
    Crash,
    Close,
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    let len = || prop_oneof![3 => 0usize..300, 1 => Just(LARGE)];
    let key = || 0u8..3;
    prop_oneof![
        6 => (key(), len()).prop_map(|(key, len)| Step::Put { key, len }),
        2 => key().prop_map(|key| Step::Delete { key }),
        3 => (key(), 0usize..4).prop_map(|(key, place)| Step::DeleteVersion { key, place }),
        3 => (key(), key()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => key().prop_map(|key| Step::Begin { key }),
        3 => (0usize..3, 1u32..4, prop_oneof![Just(PART), 1usize..300])
            .prop_map(|(upload, part, len)| Step::Part { upload, part, len }),
        2 => (0usize..3).prop_map(|upload| Step::Complete { upload }),
        1 => (0usize..3).prop_map(|upload| Step::Abort { upload }),
        1 => any::<bool>().prop_map(|enabled| Step::Versioning { enabled }),
        1 => Just(Step::Crash),
        1 => Just(Step::Close),
        1 => Just(Step::Maintain),
    ]
}

/// What a version holds; `None` for a delete marker.
type Contents = Option<Vec<u8>>;

struct Upload {
    key: String,
    id: UploadId,
    parts: BTreeMap<u32, (ETag, Vec<u8>)>,
}

struct Model {
    versioning: Versioning,
    /// Newest first.
    keys: BTreeMap<String, Vec<(VersionRef, Contents)>>,
    uploads: Vec<Upload>,
    written: u64,
}

impl Model {
    fn write(&mut self, key: &str, version: Option<VersionRef>, contents: Contents) {
        let versions = self.keys.entry(key.to_owned()).or_default();
        if self.versioning != Versioning::Enabled {
            versions.retain(|(version, _)| *version != VersionRef::Null);
        }
        versions.insert(0, (version.unwrap_or(VersionRef::Null), contents));
    }

    fn current(&self, key: &str) -> Contents {
        self.keys.get(key).and_then(|versions| versions.first()).and_then(|(_, contents)| contents.clone())
    }

    fn forget_empty(&mut self) {
        self.keys.retain(|_, versions| !versions.is_empty());
    }

    fn fresh(&mut self, len: usize) -> Vec<u8> {
        self.written += 1;
        sample(self.written, len)
    }
}

fn text(key: u8) -> String {
    ["a", "a/b", "c"][usize::from(key)].to_owned()
}

async fn apply(world: &World, model: &mut Model, step: Step) {
    match step {
        Step::Put { key, len } => {
            let (key, bytes) = (text(key), model.fresh(len));
            let written = world.put(&key, &bytes).await;
            assert_eq!(written.version.is_none(), model.versioning == Versioning::Off);
            model.write(&key, written.version, Some(bytes));
        }
        Step::Delete { key } => {
            let key = text(key);
            let deleted = world.delete(&key, None).await.unwrap();
            match model.versioning {
                Versioning::Off => drop(model.keys.remove(&key)),
                _ => model.write(&key, deleted.version, None),
            }
        }
        Step::DeleteVersion { key, place } => {
            let key = text(key);
            let Some((version, _)) = model.keys.get(&key).and_then(|versions| versions.get(place)).cloned() else {
                return;
            };
            world.delete(&key, Some(version)).await.unwrap();
            model.keys.get_mut(&key).unwrap().remove(place);
            model.forget_empty();
        }
        Step::Copy { from, to } => {
            let (from, to) = (text(from), text(to));
            match (world.copy(&from, &world.bucket, &to).await, model.current(&from)) {
                (Ok(written), Some(bytes)) => model.write(&to, written.version, Some(bytes)),
                (Err(_), None) => {}
                (copied, expected) => panic!("{copied:?} where {} were expected", expected.map_or(0, |b| b.len())),
            }
        }
        Step::Begin { key } => {
            let key = text(key);
            let id = world.begin(&key).await;
            model.uploads.push(Upload { key, id, parts: BTreeMap::new() });
        }
        Step::Part { upload, part, len } => {
            let bytes = model.fresh(len);
            if let Some(upload) = model.uploads.get_mut(upload) {
                let etag = world.part(&upload.key, upload.id, part, &bytes).await.unwrap().etag;
                upload.parts.insert(part, (etag, bytes));
            }
        }
        Step::Complete { upload } => complete(world, model, upload).await,
        Step::Abort { upload } => {
            if upload < model.uploads.len() {
                let Upload { key, id, .. } = model.uploads.remove(upload);
                world.local.objects.abort_upload(&world.bucket, &key, id).await.unwrap();
            }
        }
        Step::Versioning { enabled } => {
            model.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
            world.versioning(model.versioning).await;
        }
        Step::Crash => world.local.router.crash(&world.bucket).await,
        Step::Close => world.local.router.close(&world.bucket).await,
        Step::Maintain => {
            world.local.clock.advance(2 * HOUR_MS);
            world.maintain().await;
        }
    }
}

async fn complete(world: &World, model: &mut Model, upload: usize) {
    let Some(Upload { key, id, parts }) = model.uploads.get(upload) else {
        return;
    };
    let (key, named) = (key.clone(), parts.iter().map(|(part, (etag, _))| (*part, *etag)).collect::<Vec<_>>());
    let last = parts.keys().last().copied();
    let fits = last.is_some() && parts.iter().all(|(part, (_, bytes))| bytes.len() >= PART || Some(*part) == last);
    match world.complete(&key, *id, &named).await {
        Ok(written) => {
            assert!(fits);
            let bytes = parts.values().flat_map(|(_, bytes)| bytes.clone()).collect();
            model.uploads.remove(upload);
            model.write(&key, written.version, Some(bytes));
        }
        Err(error) => assert!(!fits, "{error}"),
    }
}

async fn compare(world: &World, model: &Model, settled: bool) {
    let found = world.versions(3).await;
    let expected = model.keys.iter().flat_map(|(key, versions)| {
        versions
            .iter()
            .enumerate()
            .map(move |(place, (version, contents))| (key.clone(), *version, place == 0, contents.is_none()))
    });
    assert_eq!(found, expected.collect::<Vec<_>>());
    let live = |key: &&String| model.current(key).is_some();
    assert_eq!(world.keys("", None, 2).await.0, model.keys.keys().filter(live).cloned().collect::<Vec<_>>());
    let (mut objects, mut bytes) = (0, 0);
    for (key, versions) in &model.keys {
        for (version, contents) in versions {
            if let Some(contents) = contents {
                assert!(world.get_version(key, Some(*version)).await.unwrap() == *contents, "{key} {version}");
                objects += 1;
                bytes += contents.len();
            }
        }
        match (world.get(key).await, model.current(key)) {
            (Ok(found), Some(expected)) => assert!(found == expected),
            (Err(_), None) => {}
            (found, _) => panic!("{key}: {:?}", found.map(|bytes| bytes.len())),
        }
    }
    let parts = model.uploads.iter().flat_map(|upload| upload.parts.values());
    bytes += parts.map(|(_, bytes)| bytes.len()).sum::<usize>();
    let usage = world.usage().await;
    assert_eq!((usage.objects, usage.uploads), (objects, model.uploads.len() as u64));
    // Parts of aborted uploads count until they are let go.
    assert!(if settled { usage.bytes == bytes as u64 } else { usage.bytes >= bytes as u64 });
}

/// Bytes that must lie on miners: every distinct contents that are too large for the engine, once.
fn on_miners(model: &Model) -> u64 {
    use std::collections::BTreeSet;
    let whole = model.keys.values().flatten().filter_map(|(_, contents)| contents.clone());
    let parts = model.uploads.iter().flat_map(|upload| upload.parts.values().map(|(_, bytes)| bytes.clone()));
    // Parts of completed uploads are whole contents' pieces: they are told apart by what was written at once.
    let mut distinct = BTreeSet::new();
    for bytes in whole.chain(parts) {
        let mut rest = bytes.as_slice();
        while rest.len() > PART && rest.len() != LARGE {
            distinct.insert(rest[..PART].to_vec());
            rest = &rest[PART..];
        }
        if rest.len() == PART || rest.len() == LARGE {
            distinct.insert(rest.to_vec());
        }
    }
    distinct.iter().map(|bytes| bytes.len() as u64).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_bucket_does_what_a_map_does(steps in prop::collection::vec(step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::start().await;
            world.local.objects
                .configure(&world.bucket, ConfigChange::Encryption(Encryption::Off, None)).await.unwrap();
            let mut model = Model {
                versioning: Versioning::Off, keys: BTreeMap::new(), uploads: Vec::new(), written: 0,
            };
            for (number, step) in steps.into_iter().enumerate() {
                apply(&world, &mut model, step).await;
                if number % 8 == 7 {
                    compare(&world, &model, false).await;
                }
            }
            compare(&world, &model, false).await;
            world.settle().await;
            compare(&world, &model, true).await;
            assert_eq!(world.local.blobs.bytes(), on_miners(&model));
        });
    }
}
