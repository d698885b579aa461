//! Clients, who ask any gateway that is up, and write down what they did and saw.
//!
//! Owns what they ask for. A client does one thing at a time, but for what is meant to race.

use super::{
    depot::GONE,
    gateway::{Door, GRACE, Outside},
    history::{Effect, History, Target},
    sometimes::Sometimes,
    values::{Value, Values},
};
use crate::machine::{Dice, now, until};
use bytes::Bytes;
use cess::access::objects::{
    BucketName, ETag, ObjectsError, UploadId,
    request::{
        CompleteUpload, CopyObject, CopySource, CreateUpload, DeleteTarget, Description, ETagMatch, GetObject,
        ListObjects, ListVersions, NamedPart, PutObject, PutPart, ReadConditions, WriteConditions,
    },
};
use futures::TryStreamExt;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// The bucket that keeps what is overwritten.
pub const KEPT: usize = 1;
/// What begins so expires.
pub const OLD: &str = "old/";
/// How long a client waits for an answer: longer than gateways try.
const PATIENCE: Duration = Duration::from_secs(40);
/// Objects that are written, deleted and read.
const KEYS: u64 = 4;
/// Copies of them.
const COPIES: u64 = 2;
/// How long everybody tries to be the first to write one object.
const ONCE_SECS: u64 = 4;
/// Lengths of bodies that lie in the engine, and of those that do not.
const SMALL_BYTES: (u64, u64) = (1, 400);
const LARGE_BYTES: (u64, u64) = (132 << 10, 300 << 10);
/// Longest pause of a reader before the bytes.
const LINGER_MAX_MS: u64 = 2_500;
/// How long bytes must stay for who asked for them: the grace, less two errors of clocks.
const READ_MAX: Duration = GRACE.saturating_sub(Duration::from_secs(6));
/// Pauses between what one client does, milliseconds.
const PAUSE_MS: (u64, u64) = (10, 500);
/// Times a client asks once more how an upload ended.
const COMPLETE_ATTEMPTS: usize = 3;
/// Versions one page lists.
const PAGE: u32 = 100;

/// What all clients share.
pub struct Users {
    pub outside: Outside,
    pub doors: Mutex<Vec<Option<Door>>>,
    pub history: History,
    pub values: Values,
    /// Versions that were acknowledged where they are kept: key and value.
    pub kept: Mutex<BTreeSet<(String, u64)>>,
    pub stop: AtomicBool,
}

/// How a call ended.
pub enum Answer<T> {
    Done(T),
    Refused(ObjectsError),
    /// It may have been done, or may still be.
    Unknown,
}

impl Users {
    /// The name of a bucket.
    pub fn bucket(&self, number: usize) -> BucketName {
        self.outside.places[number].name.clone()
    }

    /// Has a gateway do something. The call ends with the gateway's life.
    pub async fn ask<T: Send + 'static>(
        &self,
        door: &Door,
        call: impl Future<Output = Result<T, ObjectsError>> + Send + 'static,
    ) -> Answer<T> {
        let waiting = &self.outside.waiting;
        waiting.fetch_add(1, Ordering::SeqCst);
        let answer = timeout(PATIENCE, door.handle.spawn(call)).await;
        waiting.fetch_sub(1, Ordering::SeqCst);
        match answer {
            Ok(Ok(Ok(answer))) => Answer::Done(answer),
            Ok(Ok(Err(error))) if !error.is_transient() => Answer::Refused(error),
            Ok(Err(error)) if error.is_panic() => {
                self.outside.witness.violation(&format!("a call panicked: {error}"));
                Answer::Unknown
            }
            _ => Answer::Unknown,
        }
    }

    fn violation(&self, what: &str) {
        self.outside.witness.violation(what);
    }

    fn count(&self, what: Sometimes) {
        self.outside.witness.count(what);
    }

    fn unexpected(&self, what: &str, (bucket, key): &Target, error: &ObjectsError) {
        self.violation(&format!("{what} `{key}` of bucket {bucket}: {error}"));
    }

    /// Writes an object.
    pub async fn put(&self, door: &Door, target: &Target, value: &Value, only_new: bool) {
        self.history.trying(target, value.number);
        let begin = now();
        let if_none_match = only_new.then_some(ETagMatch::Any);
        let ask = PutObject {
            bucket: self.bucket(target.0),
            key: target.1.clone(),
            description: Description::default(),
            conditions: WriteConditions { if_match: None, if_none_match },
            customer_key: None,
            body: value.body(),
        };
        let objects = door.objects.clone();
        let effect = if only_new { Effect::SetIfNone(value.number) } else { Effect::Set(value.number) };
        match self.ask(door, async move { objects.put_object(ask).await }).await {
            Answer::Done(_) => {
                self.written(target, begin, effect, value.number);
                if only_new {
                    self.count(Sometimes::ConditionHeld);
                }
            }
            Answer::Refused(ObjectsError::PreconditionFailed { .. }) if only_new => {
                self.count(Sometimes::ConditionRefused);
                self.history.answered(target, begin, Effect::SeenSome);
            }
            Answer::Refused(error) => self.unexpected("put", target, &error),
            Answer::Unknown => self.lost(target, begin, effect),
        }
    }

    fn written(&self, target: &Target, begin: Duration, effect: Effect, value: u64) {
        self.history.answered(target, begin, effect);
        if target.0 == KEPT {
            self.kept.lock().insert((target.1.clone(), value));
        }
    }

    fn lost(&self, target: &Target, begin: Duration, effect: Effect) {
        self.count(Sometimes::Unknown);
        self.history.unanswered(target, begin, effect);
    }

    /// Deletes an object.
    pub async fn delete(&self, door: &Door, target: &Target) {
        let (begin, bucket, objects) = (now(), self.bucket(target.0), door.objects.clone());
        let which = DeleteTarget { key: target.1.clone(), version: None, if_match: None };
        match self.ask(door, async move { objects.delete_object(&bucket, which, false).await }).await {
            Answer::Done(_) => self.history.answered(target, begin, Effect::Clear),
            Answer::Refused(error) => self.unexpected("delete", target, &error),
            Answer::Unknown => self.lost(target, begin, Effect::Clear),
        }
    }

    /// Reads an object, and its bytes after a while. Returns whether there was an answer.
    pub async fn get(&self, door: &Door, target: &Target, linger: Duration) -> bool {
        let (begin, objects) = (now(), door.objects.clone());
        let ask = read(self.bucket(target.0), &target.1);
        let call = async move {
            let asked = now();
            let object = objects.get_object(ask).await?;
            until(now() + linger).await;
            let bytes = object.body.try_collect::<Vec<Bytes>>().await;
            Ok((object.info, bytes.map(|parts| parts.concat()), now() - asked))
        };
        match self.ask(door, call).await {
            Answer::Done((info, bytes, took)) => {
                let seen = self.told_by(&info.etag, target);
                match bytes {
                    Ok(bytes) if self.values.of_bytes(&bytes) != seen => {
                        self.violation(&format!("{target:?} has value {seen:?} and other bytes"));
                    }
                    Err(error) if error.to_string().contains(GONE) && took < READ_MAX => {
                        self.violation(&format!("{target:?} has value {seen:?}, which {took:?} later: {error}"));
                    }
                    Ok(_) | Err(_) => {}
                }
                self.history.answered(target, begin, Effect::Seen(seen));
                true
            }
            Answer::Refused(ObjectsError::NoSuchKey { .. } | ObjectsError::DeleteMarker { .. }) => {
                self.history.answered(target, begin, Effect::Seen(None));
                true
            }
            Answer::Refused(error) => {
                self.unexpected("get", target, &error);
                true
            }
            Answer::Unknown => false,
        }
    }

    fn told_by(&self, tag: &ETag, target: &Target) -> Option<u64> {
        let value = self.values.of_tag(tag);
        if value.is_none() {
            self.violation(&format!("{target:?} has tag {tag}, which nobody wrote"));
        }
        value
    }

    /// Lists a bucket: says something about every key. Returns whether there was an answer.
    pub async fn list(&self, door: &Door, bucket: usize) -> bool {
        let (begin, name, objects) = (now(), self.bucket(bucket), door.objects.clone());
        let keys = self.history.keys(bucket);
        let ask = ListObjects { max: 1_000, ..ListObjects::default() };
        let page = match self.ask(door, async move { objects.list_objects(&name, ask).await }).await {
            Answer::Done(page) => page,
            Answer::Refused(error) => {
                self.violation(&format!("list bucket {bucket}: {error}"));
                return true;
            }
            Answer::Unknown => return false,
        };
        let listed: BTreeMap<String, ETag> = page.objects.into_iter().map(|object| (object.key, object.etag)).collect();
        for key in keys {
            let target = (bucket, key);
            let seen = listed.get(&target.1).and_then(|tag| self.told_by(tag, &target));
            self.history.answered(&target, begin, Effect::Seen(seen));
        }
        true
    }

    /// Copies an object within its bucket.
    pub async fn copy(&self, door: &Door, from: &Target, to: &Target) {
        let (begin, objects) = (now(), door.objects.clone());
        let bucket = self.bucket(from.0);
        let conditions = ReadConditions::default();
        let source =
            CopySource { bucket: bucket.clone(), key: from.1.clone(), version: None, conditions, customer_key: None };
        let ask = CopyObject {
            source,
            bucket,
            key: to.1.clone(),
            attributes: None,
            tags: None,
            description: Description::default(),
            conditions: WriteConditions::default(),
            customer_key: None,
        };
        match self.ask(door, async move { objects.copy_object(ask).await }).await {
            Answer::Done(copied) => {
                let Some(value) = self.told_by(&copied.written.etag, from) else { return };
                self.history.trying(to, value);
                self.count(Sometimes::Copied);
                self.history.answered(from, begin, Effect::Seen(Some(value)));
                self.history.answered(to, begin, Effect::Set(value));
            }
            Answer::Refused(ObjectsError::NoSuchKey { .. } | ObjectsError::DeleteMarker { .. }) => {
                self.history.answered(from, begin, Effect::Seen(None));
            }
            Answer::Refused(error) => self.unexpected("copy", from, &error),
            Answer::Unknown => self.lost(to, begin, Effect::SetFrom(from.clone())),
        }
    }

    /// All versions: each that was acknowledged is there, and none twice. Returns whether there was an answer.
    pub async fn versions(&self, door: &Door, bucket: usize) -> bool {
        let (name, objects, before) = (self.bucket(bucket), door.objects.clone(), self.kept.lock().clone());
        let call = async move {
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let ask = ListVersions { max: PAGE, after, ..ListVersions::default() };
                let page = objects.list_versions(&name, ask).await?;
                listed.extend(page.versions);
                after = page.next;
                if after.is_none() {
                    return Ok(listed);
                }
            }
        };
        let listed = match self.ask(door, call).await {
            Answer::Done(listed) => listed,
            Answer::Refused(error) => {
                self.violation(&format!("list versions of bucket {bucket}: {error}"));
                return true;
            }
            Answer::Unknown => return false,
        };
        let mut seen = BTreeMap::<(String, u64), usize>::new();
        for version in listed.into_iter().filter(|version| !version.delete_marker) {
            let target = (bucket, version.object.key);
            if let Some(value) = self.told_by(&version.object.etag, &target) {
                *seen.entry((target.1, value)).or_default() += 1;
            }
        }
        if bucket == KEPT {
            for lost in before.iter().filter(|version| !seen.contains_key(*version)) {
                self.violation(&format!("version {lost:?} was acknowledged and is not listed"));
            }
        }
        for (twice, count) in seen.iter().filter(|((key, _), count)| !key.starts_with('c') && **count > 1) {
            self.violation(&format!("one write made {count} versions: {twice:?}"));
        }
        true
    }
}

/// A plain question for an object.
pub fn read(bucket: BucketName, key: &str) -> GetObject {
    GetObject {
        bucket,
        key: key.to_owned(),
        version: None,
        conditions: ReadConditions::default(),
        range: None,
        customer_key: None,
    }
}

/// One client.
pub struct Client {
    users: Arc<Users>,
    dice: Dice,
}

impl Client {
    /// The client of this number.
    pub fn new(users: Arc<Users>, seed: u64, number: usize) -> Self {
        Self { users, dice: Dice::new(seed, &format!("client {number}")) }
    }

    /// Works until told to stop.
    pub async fn work(mut self) {
        while !self.users.stop.load(Ordering::SeqCst) {
            until(now() + self.dice.millis(PAUSE_MS.0, PAUSE_MS.1)).await;
            if let Some(door) = self.door() {
                self.act(&door).await;
            }
        }
    }

    /// A gateway that is up.
    fn door(&mut self) -> Option<Door> {
        let open: Vec<Door> = self.users.doors.lock().iter().flatten().cloned().collect();
        (!open.is_empty()).then(|| open[self.dice.index(open.len())].clone())
    }

    fn bytes(&mut self, large_percent: u64) -> Value {
        let (least, most) = if self.dice.chance(large_percent) { LARGE_BYTES } else { SMALL_BYTES };
        let len = least + self.dice.below(most - least + 1);
        self.users.values.fresh(usize::try_from(len).expect("a body fits into memory"))
    }

    async fn act(&mut self, door: &Door) {
        let users = self.users.clone();
        let bucket = self.dice.index(2);
        let key: Target = (bucket, format!("k{}", self.dice.below(KEYS)));
        match self.dice.below(100) {
            0..=29 => {
                let value = self.bytes(30);
                users.put(door, &key, &value, false).await;
            }
            30..=37 => {
                let once = (bucket, format!("once{}", now().as_secs() / ONCE_SECS));
                let value = self.bytes(30);
                users.put(door, if self.dice.chance(70) { &once } else { &key }, &value, true).await;
            }
            38..=45 => users.delete(door, &key).await,
            46..=69 => {
                let linger = if self.dice.chance(40) { self.dice.millis(0, LINGER_MAX_MS) } else { Duration::ZERO };
                users.get(door, &key, linger).await;
            }
            70..=77 => drop(users.list(door, bucket).await),
            78..=86 => self.upload(door, &key).await,
            87..=92 => {
                let copy = (bucket, format!("c{}", self.dice.below(COPIES)));
                users.copy(door, &key, &copy).await;
                users.get(door, &copy, Duration::ZERO).await;
            }
            93..=95 => drop(users.versions(door, KEPT).await),
            _ => {
                let value = self.bytes(50);
                self.put_old(door, &value).await;
            }
        }
    }

    /// An object that will expire: nobody reads it.
    async fn put_old(&mut self, door: &Door, value: &Value) {
        let users = &self.users;
        let ask = PutObject {
            bucket: users.bucket(0),
            key: format!("{OLD}{}", value.number),
            description: Description::default(),
            conditions: WriteConditions::default(),
            customer_key: None,
            body: value.body(),
        };
        let objects = door.objects.clone();
        if let Answer::Refused(error) = users.ask(door, async move { objects.put_object(ask).await }).await {
            users.violation(&format!("put of what expires: {error}"));
        }
    }

    /// An upload in parts, each through another gateway.
    async fn upload(&mut self, door: &Door, target: &Target) {
        let users = self.users.clone();
        let (bucket, objects) = (users.bucket(target.0), door.objects.clone());
        let key = target.1.clone();
        let ask = CreateUpload { bucket, key, description: Description::default(), checksum: None, customer_key: None };
        let upload = match users.ask(door, async move { objects.create_upload(ask).await }).await {
            Answer::Done(upload) => upload.upload,
            Answer::Refused(error) => return users.unexpected("begin an upload of", target, &error),
            Answer::Unknown => return,
        };
        let mut parts = Vec::new();
        for part in 1..=1 + self.dice.below(3) {
            let value = self.bytes(40);
            if self.dice.chance(20) {
                // It is replaced.
                let before = self.bytes(40);
                if !self.put_part(target, upload, part, &before).await {
                    return;
                }
            }
            if !self.put_part(target, upload, part, &value).await {
                return;
            }
            parts.push(value);
        }
        match self.dice.below(10) {
            0 => {}
            1 => drop(self.abort(target, upload).await),
            2..=3 => self.complete_and_abort(target, upload, &parts).await,
            _ => self.complete(target, upload, &parts).await,
        }
    }

    /// Returns whether it is known to be there.
    async fn put_part(&mut self, target: &Target, upload: UploadId, part: u64, value: &Value) -> bool {
        let Some(door) = self.door() else { return false };
        let (bucket, key) = (self.users.bucket(target.0), target.1.clone());
        let part = u32::try_from(part).expect("a few parts");
        let ask = PutPart { bucket, key, upload, part, customer_key: None, body: value.body() };
        let objects = door.objects.clone();
        match self.users.ask(&door, async move { objects.put_part(ask).await }).await {
            Answer::Done(_) => true,
            Answer::Refused(error) => {
                self.users.unexpected("put a part of", target, &error);
                false
            }
            Answer::Unknown => false,
        }
    }

    async fn abort(&mut self, target: &Target, upload: UploadId) -> Answer<()> {
        let Some(door) = self.door() else { return Answer::Unknown };
        let (bucket, key, objects) = (self.users.bucket(target.0), target.1.clone(), door.objects.clone());
        self.users.ask(&door, async move { objects.abort_upload(&bucket, &key, upload).await }).await
    }

    /// The call that completes an upload, at some gateway.
    fn completing(
        &mut self,
        target: &Target,
        upload: UploadId,
        parts: &[Value],
    ) -> impl Future<Output = Answer<ETag>> + use<> {
        let named =
            (1..).zip(parts).map(|(part, value)| NamedPart { part, etag: Some(value.tag), checksums: Vec::new() });
        let ask = CompleteUpload {
            bucket: self.users.bucket(target.0),
            key: target.1.clone(),
            upload,
            parts: named.collect(),
            conditions: WriteConditions::default(),
            size: None,
            checksums: Vec::new(),
        };
        let (users, door) = (self.users.clone(), self.door());
        async move {
            let Some(door) = door else { return Answer::Unknown };
            let objects = door.objects.clone();
            users.ask(&door, async move { Ok(objects.complete_upload(ask).await?.etag) }).await
        }
    }

    /// Completes an upload, sometimes twice at once, and asks again where no answer comes.
    async fn complete(&mut self, target: &Target, upload: UploadId, parts: &[Value]) {
        let (users, begin) = (self.users.clone(), now());
        let whole = users.values.of_parts(parts);
        users.history.trying(target, whole.number);
        let effect = Effect::Set(whole.number);
        for _ in 0..COMPLETE_ATTEMPTS {
            let first = self.completing(target, upload, parts);
            let answer = if self.dice.chance(25) {
                let second = self.completing(target, upload, parts);
                users.count(Sometimes::CompletedTwice);
                match futures::join!(first, second) {
                    (Answer::Unknown, other) | (other, Answer::Unknown) => other,
                    (Answer::Refused(error), _) | (_, Answer::Refused(error)) => Answer::Refused(error),
                    (done, _) => done,
                }
            } else {
                first.await
            };
            match answer {
                Answer::Done(tag) if tag == whole.tag => {
                    users.count(Sometimes::Completed);
                    return users.written(target, begin, effect, whole.number);
                }
                Answer::Done(tag) => return users.violation(&format!("parts of {} made {tag}", whole.tag)),
                Answer::Refused(error) => return users.unexpected("complete an upload of", target, &error),
                Answer::Unknown => {}
            }
        }
        users.lost(target, begin, effect);
    }

    /// One of the two happens.
    async fn complete_and_abort(&mut self, target: &Target, upload: UploadId, parts: &[Value]) {
        let (users, begin) = (self.users.clone(), now());
        let whole = users.values.of_parts(parts);
        users.history.trying(target, whole.number);
        let effect = Effect::Set(whole.number);
        let completing = self.completing(target, upload, parts);
        let (completed, aborted) = futures::join!(completing, self.abort(target, upload));
        users.count(Sometimes::CompletedAndAborted);
        match (completed, aborted) {
            (Answer::Done(_), Answer::Done(())) => {
                users.violation(&format!("an upload of {target:?} was completed and aborted"));
            }
            (Answer::Done(_), _) => users.written(target, begin, effect, whole.number),
            (Answer::Refused(ObjectsError::NoSuchUpload { .. }), Answer::Done(()) | Answer::Unknown) => {}
            (Answer::Refused(error), _) => users.unexpected("complete what was not aborted of", target, &error),
            (Answer::Unknown, _) => users.lost(target, begin, effect),
        }
    }
}
