//! One run from its seed to its digest: trouble, then calm, in which everything is looked at and then taken away.
//!
//! Owns what must hold in the end: every gateway answers, one order explains every key, what was acknowledged is there with its bytes,
//! and when all objects are gone so are their files.

use super::{
    chain::Chain,
    clients::{Answer, Client, KEPT, OLD, Users, read},
    depot::Depot,
    faults::{Climate, Faults},
    gateway::{Door, GRACE, Gateway, Outside, Sabotage},
    history::History,
    miners::Miners,
    sessions::{TABLE_GRACE, key_of},
    sometimes::Sometimes,
    values::Values,
    witness::Witness,
};
use crate::machine::{Dice, now, simulate, until};
use anyhow::{Context, ensure};
use bytes::Bytes;
use cess::{
    access::objects::{
        BucketId, Objects, ObjectsError, Place, UploadId,
        config::{ConfigChange, Encryption, Expiry, LifecycleFilter, LifecycleRule, LockConfig, Versioning},
        request::{CreateBucket, DeleteTarget, ListObjects, ListUploads, ListVersions, ListedVersion},
    },
    network::MemoryHub,
    runtime::{Clock, SystemClock},
    types::Address,
};
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{
    future::Future,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::timeout;

/// Whose buckets they are.
const OWNER: Address = Address::repeat_byte(77);
/// How long the first or the last answers may take: leases of the dead, silence, take-overs that were in vain.
const ANSWER_WITHIN: Duration = Duration::from_secs(90);
/// How often it is looked whether two gateways serve one bucket.
const LOOK: Duration = Duration::from_millis(40);
/// Pause between two attempts at something.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it may take until nothing is left after everything was deleted: graces, rounds, rewritten packs.
const GONE_WITHIN: Duration = Duration::from_secs(180);
/// How much trouble worlds have.
const TROUBLE_PERCENTS: [u64; 4] = [4, 10, 20, 30];

/// A run to come.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// Where all chance comes from.
    pub seed: u64,
    /// Virtual time of trouble.
    pub trouble: Duration,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
}

/// Runs the simulation and describes it: every event with its time, what happened how often, the digest of it all. Panics on anything
/// that must not happen.
pub fn run(world: World) -> String {
    let dir = tempfile::tempdir().expect("a place for everybody's files");
    let report = simulate(world.seed, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an async runtime");
        runtime.block_on(story(world, dir.path()))
    });
    report.unwrap_or_else(|error| panic!("{error:#}"))
}

async fn story(world: World, dir: &Path) -> anyhow::Result<String> {
    let mut dice = Dice::new(world.seed, "gateways");
    let witness = Witness::new();
    let users = users(world, &mut dice, witness.clone());
    let miners = Miners::start(users.outside.hub.clone(), dir, witness.clone()).await?;
    let count = if dice.chance(30) { 2 } else { 3 };
    users.doors.lock().resize_with(count, || None);
    let new = |gateway| Gateway::new(gateway, world.seed, dir.join(format!("g{gateway}")), users.outside.clone());
    let climate = Climate {
        trouble_percent: TROUBLE_PERCENTS[dice.index(TROUBLE_PERCENTS.len())],
        latency_max_ms: 1 + dice.below(40),
    };
    witness.note(&format!("{count} gateways, {climate:?}"));
    let mut faults = Faults::new(world.seed, climate, users.clone(), (0..count).map(new).collect(), miners);
    faults.begin().await?;
    make_buckets(&users, &faults.doors()[0], world.trouble).await?;
    let never_two = tokio::spawn(never_two(users.clone()));
    let clients: Vec<_> = (0..3 + dice.index(3))
        .map(|number| tokio::spawn(Client::new(users.clone(), world.seed, number).work()))
        .collect();
    faults.rage(now() + world.trouble).await?;
    faults.end().await?;
    users.stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.context("a client")?;
    }
    look_at_everything(&users, &faults.doors()).await?;
    take_everything_away(&users, &faults.doors()).await?;
    never_two.abort();
    let aborted = faults.stop().await;
    ensure!(aborted.is_empty(), "{}these tasks did not stop: {aborted:?}", witness.trace());
    witness.check()?;
    witness.note("the end");
    let trace = witness.trace();
    let digest = hex::encode(cess::crypto::hash::content(trace.as_bytes()));
    Ok(format!("{trace}{}\n{digest}", witness.counts()))
}

fn users(world: World, dice: &mut Dice, witness: Arc<Witness>) -> Arc<Users> {
    let place = |number: u8, name: &str| Place {
        id: BucketId([number; 16]),
        name: name.parse().expect("a bucket's name"),
        owner: OWNER.into(),
        created_ms: SystemClock.unix_ms(),
    };
    let outside = Outside {
        hub: MemoryHub::new(dice.next()),
        chain: Chain::new(world.seed, witness.clone()),
        depot: Depot::new(world.seed, witness.clone()),
        witness,
        places: Arc::new(vec![place(1, "plain"), place(2, "kept")]),
        sabotage: world.sabotage,
        waiting: Arc::default(),
    };
    Arc::new(Users {
        outside,
        doors: Mutex::default(),
        history: History::default(),
        values: Values::default(),
        kept: Mutex::default(),
        stop: false.into(),
    })
}

/// Asks until there is an answer.
async fn insist<T, F>(users: &Users, door: &Door, what: &str, call: impl Fn(Objects) -> F) -> anyhow::Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T, ObjectsError>> + Send + 'static,
{
    let end = now() + ANSWER_WITHIN;
    loop {
        match users.ask(door, call(door.objects.clone())).await {
            Answer::Done(answer) => return Ok(answer),
            Answer::Refused(error) => anyhow::bail!("{}VIOLATION: {what}: {error}", users.outside.witness.trace()),
            Answer::Unknown if now() < end => until(now() + PAUSE).await,
            Answer::Unknown => {
                anyhow::bail!("{}VIOLATION: no answer in {ANSWER_WITHIN:?}: {what}", users.outside.witness.trace())
            }
        }
    }
}

async fn make_buckets(users: &Users, door: &Door, trouble: Duration) -> anyhow::Result<()> {
    for (number, place) in users.outside.places.iter().enumerate() {
        let name = place.name.clone();
        let encryption = if number == KEPT { Encryption::Off } else { Encryption::On };
        let make = |objects: Objects| {
            let name = name.clone();
            let lock = LockConfig::default();
            async move {
                let ask = CreateBucket { name: name.clone(), owner: OWNER, lock, encryption, documents: Vec::new() };
                match objects.create_bucket(ask).await {
                    Ok(_) | Err(ObjectsError::BucketAlreadyOwnedByYou { .. }) => Ok(()),
                    Err(error) => Err(error),
                }
            }
        };
        insist(users, door, "make a bucket", make).await?;
        let change = if number == KEPT {
            ConfigChange::Versioning(Versioning::Enabled)
        } else {
            ConfigChange::Lifecycle(vec![rule(trouble)], None)
        };
        let configure = |objects: Objects| {
            let (name, change) = (name.clone(), change.clone());
            async move { objects.configure(&name, change).await }
        };
        insist(users, door, "configure a bucket", configure).await?;
    }
    Ok(())
}

/// What is old goes after half of the trouble.
fn rule(trouble: Duration) -> LifecycleRule {
    let after = u64::try_from(trouble.as_millis() / 2).expect("a run is short");
    LifecycleRule {
        id: "old".to_owned(),
        enabled: true,
        filter: LifecycleFilter { prefix: OLD.to_owned(), ..LifecycleFilter::default() },
        expire: Some(Expiry::At(SystemClock.unix_ms() + after)),
        ..LifecycleRule::default()
    }
}

/// No two gateways ever have a lease of one bucket.
async fn never_two(users: Arc<Users>) {
    loop {
        let doors: Vec<Door> = users.doors.lock().iter().flatten().cloned().collect();
        for place in users.outside.places.iter() {
            let serving = doors.iter().filter(|door| door.gateways.served().contains(&key_of(place))).count();
            if serving > 1 {
                users.outside.witness.violation(&format!("{serving} gateways serve `{}`", place.name));
            }
        }
        drop(doors);
        until(now() + LOOK).await;
    }
}

/// Every gateway answers, and all say the same.
async fn look_at_everything(users: &Arc<Users>, doors: &[Door]) -> anyhow::Result<()> {
    users.outside.witness.note("everything is looked at");
    for door in doors {
        for bucket in 0..users.outside.places.len() {
            until_answered(users, "list", || users.list(door, bucket)).await?;
            until_answered(users, "versions", || users.versions(door, bucket)).await?;
            for key in users.history.keys(bucket) {
                let target = (bucket, key);
                until_answered(users, "get", || users.get(door, &target, Duration::ZERO)).await?;
            }
        }
    }
    for unexplained in users.history.unexplained() {
        users.outside.witness.violation(&unexplained);
    }
    (0..users.history.surprises()).for_each(|_| users.outside.witness.count(Sometimes::UnknownDone));
    users.outside.witness.check()?;
    read_all_versions(users, &doors[0]).await
}

async fn until_answered<F: Future<Output = bool>>(
    users: &Users,
    what: &str,
    ask: impl Fn() -> F,
) -> anyhow::Result<()> {
    let answered = async {
        while !ask().await {
            until(now() + PAUSE).await;
        }
    };
    let live = timeout(ANSWER_WITHIN, answered).await;
    ensure!(live.is_ok(), "{}VIOLATION: no answer in {ANSWER_WITHIN:?}: {what}", users.outside.witness.trace());
    Ok(())
}

async fn all_versions(users: &Users, door: &Door, bucket: usize) -> anyhow::Result<Vec<ListedVersion>> {
    let name = users.bucket(bucket);
    let list = |objects: Objects| {
        let name = name.clone();
        async move {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let page =
                    objects.list_versions(&name, ListVersions { max: 1_000, after, ..Default::default() }).await?;
                listed.extend(page.versions);
                after = page.next;
                if after.is_none() {
                    return Ok(listed);
                }
            }
        }
    };
    insist(users, door, "list versions", list).await
}

/// Every version, older ones too, has its bytes.
async fn read_all_versions(users: &Arc<Users>, door: &Door) -> anyhow::Result<()> {
    for bucket in 0..users.outside.places.len() {
        for version in all_versions(users, door, bucket).await?.into_iter().filter(|version| !version.delete_marker) {
            let (name, key) = (users.bucket(bucket), version.object.key.clone());
            let read = |objects: Objects| {
                let mut ask = read(name.clone(), &key);
                ask.version = (bucket == KEPT).then_some(version.version);
                async move {
                    let object = objects.get_object(ask).await?;
                    Ok(object.body.try_collect::<Vec<Bytes>>().await?.concat())
                }
            };
            // It may expire at this moment.
            if key.starts_with(OLD) {
                continue;
            }
            let bytes = insist(users, door, &format!("read version {} of `{key}`", version.version), read).await?;
            if users.values.of_bytes(&bytes) != users.values.of_tag(&version.object.etag) {
                users.outside.witness.violation(&format!("version {} of `{key}` has other bytes", version.version));
            }
        }
    }
    users.outside.witness.check()
}

/// Deletes everything there is; then nothing must be left.
async fn take_everything_away(users: &Arc<Users>, doors: &[Door]) -> anyhow::Result<()> {
    let witness = &users.outside.witness;
    witness.note("everything is taken away");
    let door = &doors[0];
    until_expired(users, door).await?;
    for bucket in 0..users.outside.places.len() {
        let name = users.bucket(bucket);
        for upload in all_uploads(users, door, bucket).await? {
            let abort = |objects: Objects| {
                let (name, (key, upload)) = (name.clone(), upload.clone());
                async move {
                    match objects.abort_upload(&name, &key, upload).await {
                        Ok(()) | Err(ObjectsError::NoSuchUpload { .. }) => Ok(()),
                        Err(error) => Err(error),
                    }
                }
            };
            insist(users, door, "abort an upload", abort).await?;
        }
        for version in all_versions(users, door, bucket).await? {
            let which = DeleteTarget { key: version.object.key, version: Some(version.version), if_match: None };
            let delete = |objects: Objects| {
                let (name, which) = (name.clone(), which.clone());
                async move { objects.delete_object(&name, which, false).await }
            };
            insist(users, door, "delete a version", delete).await?;
        }
        ensure!(all_versions(users, door, bucket).await?.is_empty(), "{}versions are left", witness.trace());
    }
    nothing_is_left(users).await
}

async fn all_uploads(users: &Users, door: &Door, bucket: usize) -> anyhow::Result<Vec<(String, UploadId)>> {
    let name = users.bucket(bucket);
    let list = |objects: Objects| {
        let name = name.clone();
        async move { objects.list_uploads(&name, ListUploads { max: 1_000, ..Default::default() }).await }
    };
    let page = insist(users, door, "list uploads", list).await?;
    Ok(page.uploads.into_iter().map(|upload| (upload.key, upload.upload)).collect())
}

async fn until_expired(users: &Users, door: &Door) -> anyhow::Result<()> {
    let (name, end) = (users.bucket(0), now() + ANSWER_WITHIN);
    let list = |objects: Objects| {
        let name = name.clone();
        let ask = ListObjects { prefix: OLD.to_owned(), max: 1_000, ..Default::default() };
        async move { objects.list_objects(&name, ask).await }
    };
    while !insist(users, door, "list what expires", list).await?.objects.is_empty() {
        ensure!(now() < end, "{}VIOLATION: something has not expired", users.outside.witness.trace());
        until(now() + PAUSE).await;
    }
    Ok(())
}

/// After their graces, files that nothing refers to are gone.
async fn nothing_is_left(users: &Users) -> anyhow::Result<()> {
    let (witness, depot, chain) = (&users.outside.witness, &users.outside.depot, &users.outside.chain);
    let end = now() + GONE_WITHIN;
    until(now() + GRACE + TABLE_GRACE).await;
    loop {
        let left = depot.leftovers();
        let tables = depot.unnamed_tables(&chain.table_values());
        if left.leaked.is_empty() {
            (0..left.orphans).for_each(|_| witness.count(Sometimes::Orphan));
            witness.note(&format!("{} orphans and {tables} tables without a name are left", left.orphans));
            return witness.check();
        }
        ensure!(
            now() < end,
            "{}VIOLATION: {} files are left of {}: {left:?}",
            witness.trace(),
            left.leaked.len(),
            depot.pack_files()
        );
        until(now() + PAUSE).await;
    }
}
