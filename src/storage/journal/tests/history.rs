//! Random histories: whatever happens to one miner at a time and to writers, nothing acknowledged is lost.

use super::{super::*, rig::Rig};
use bytes::Bytes;
use futures::future::join_all;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{collections::BTreeMap, time::Duration};

const SEEDS: u64 = 6;
const STEPS: usize = 40;

async fn wait_millis(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// What a history has seen, so that none is too tame.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: usize,
    refused: usize,
    crashes: usize,
    disks: usize,
    takeovers: usize,
    /// Records of the old writer that were acknowledged while the new one took over.
    overtaken: usize,
}

struct History {
    rig: Rig,
    rng: ChaCha12Rng,
    members: Members,
    epoch: u64,
    writer: Journal,
    /// Writers that lost the journal and do not know it.
    old: Vec<Journal>,
    acknowledged: BTreeMap<u64, Bytes>,
    trimmed: u64,
    down: Option<Address>,
    written: u64,
    seen: Seen,
}

impl History {
    async fn begin(seed: u64) -> Self {
        let rig = Rig::start(5).await;
        rig.jitter(Duration::from_millis(3));
        let client = rig.client();
        let members = client.create(rig.id, 1).await.unwrap();
        let writer = client.open(rig.id, members, 1).await.unwrap();
        Self {
            rig,
            rng: ChaCha12Rng::seed_from_u64(seed),
            members,
            epoch: 1,
            writer,
            old: Vec::new(),
            acknowledged: BTreeMap::new(),
            trimmed: 0,
            down: None,
            written: 0,
            seen: Seen::default(),
        }
    }

    fn records(&mut self) -> Vec<Bytes> {
        let count = self.rng.gen_range(1..4);
        let texts = (0..count).map(|_| {
            self.written += 1;
            let padding = self.rng.gen_range(0..3_000);
            Bytes::from(format!("{} {}", self.written, "x".repeat(padding)))
        });
        texts.collect()
    }

    fn note(&mut self, last: u64, records: &[Bytes]) {
        let first = last + 1 - records.len() as u64;
        for (seq, record) in (first..).zip(records) {
            assert_eq!(self.acknowledged.insert(seq, record.clone()), None, "record {seq} was acknowledged twice");
        }
        self.seen.acknowledged += records.len();
    }

    /// Several at once.
    async fn append(&mut self) {
        let batches: Vec<_> = (0..self.rng.gen_range(1..6)).map(|_| self.records()).collect();
        let appended = join_all(batches.iter().map(|records| self.writer.append(records.clone()))).await;
        for (last, records) in appended.into_iter().zip(batches) {
            self.note(last.unwrap(), &records);
        }
    }

    /// A writer that was overtaken gets nothing acknowledged.
    async fn append_old(&mut self) {
        let Some(old) = self.old.last().cloned() else { return };
        let records = self.records();
        let refused = old.append(records).await;
        assert!(refused.is_err(), "a record of an old epoch was acknowledged after the seal");
        self.seen.refused += 1;
    }

    async fn crash(&mut self) {
        if self.down.is_some() {
            return;
        }
        let member = self.members[self.rng.gen_range(0..MEMBERS)];
        let (writer, records) = (self.writer.clone(), self.records());
        // In the middle of an append.
        let appending = tokio::spawn(async move { (writer.append(records.clone()).await, records) });
        wait_millis(self.rng.gen_range(0..6)).await;
        self.rig.crash(member).await;
        let (last, records) = appending.await.unwrap();
        self.note(last.unwrap(), &records);
        self.down = Some(member);
        self.seen.crashes += 1;
    }

    async fn restart(&mut self) {
        let Some(member) = self.down.take() else { return };
        self.rig.restart(member).await;
        let writer = self.writer.clone();
        self.rig.until("the miner caught up", || writer.healthy() == MEMBERS).await;
    }

    /// A miner loses its disk and is replaced.
    async fn lose_disk(&mut self) {
        self.restart().await;
        let member = self.members[self.rng.gen_range(0..MEMBERS)];
        self.rig.wipe(member).await;
        self.append().await;
        let writer = self.writer.clone();
        self.rig.until("the loss is seen", || writer.ailing().contains(&member)).await;
        let mut noted = self.members;
        self.members = writer
            .replace(member, |next| {
                noted = next;
                async { true }
            })
            .await
            .unwrap();
        assert_eq!(self.members, noted);
        self.seen.disks += 1;
    }

    /// Another gateway takes the journal while the writer goes on appending.
    async fn take_over(&mut self) {
        self.epoch += 1;
        let (client, old) = (self.rig.client(), self.writer.clone());
        let batches: Vec<_> = (0..4).map(|_| self.records()).collect();
        let late = batches.iter().map(|records| {
            let (old, records) = (old.clone(), records.clone());
            tokio::spawn(async move { (old.append(records.clone()).await, records) })
        });
        let late: Vec<_> = late.collect();
        wait_millis(self.rng.gen_range(0..12)).await;
        let opened = client.open(self.rig.id, self.members, self.epoch).await.unwrap();
        for task in late {
            if let (Ok(last), records) = task.await.unwrap() {
                self.note(last, &records);
                self.seen.overtaken += records.len();
            }
        }
        self.old.push(std::mem::replace(&mut self.writer, opened));
        self.check();
        self.seen.takeovers += 1;
    }

    /// Everything acknowledged is there, in its place.
    fn check(&mut self) {
        let (base, last) = self.writer.span();
        assert!(base <= self.trimmed, "{base} were trimmed, {} were asked to", self.trimmed);
        let held = self.writer.records(base + 1);
        for (seq, record) in self.acknowledged.range(base + 1..) {
            assert!(*seq <= last, "record {seq} is missing, the log ends with {last}");
            assert_eq!(held[usize::try_from(seq - base - 1).unwrap()], record, "record {seq} is another one");
        }
        // What was in flight may have come along; from now on it counts as written.
        self.acknowledged = (base + 1..).zip(held).collect();
    }

    fn trim(&mut self) {
        let (base, last) = self.writer.span();
        self.trimmed = self.rng.gen_range(base..=last).max(self.trimmed);
        self.writer.trim(self.trimmed);
        let trimmed = self.trimmed;
        self.acknowledged.retain(|seq, _| *seq > trimmed);
    }

    async fn step(&mut self) {
        match self.rng.gen_range(0..20) {
            0..9 => self.append().await,
            9..11 => self.append_old().await,
            11..13 => self.crash().await,
            13..15 => self.restart().await,
            15 => self.lose_disk().await,
            16..18 => self.take_over().await,
            18 => self.trim(),
            _ => self.writer.touch().await.unwrap(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_acknowledged_record_is_ever_missing() {
    let mut total = Seen::default();
    for seed in 0..SEEDS {
        let mut history = History::begin(seed).await;
        for step in 0..STEPS {
            println!("seed {seed} step {step}");
            history.step().await;
        }
        history.restart().await;
        history.take_over().await;
        let Seen { acknowledged, refused, crashes, disks, takeovers, overtaken } = history.seen;
        total.acknowledged += acknowledged;
        total.refused += refused;
        total.crashes += crashes;
        total.disks += disks;
        total.takeovers += takeovers;
        total.overtaken += overtaken;
    }
    println!("{total:?}");
    let Seen { acknowledged, refused, crashes, disks, takeovers, overtaken } = total;
    assert!(
        [acknowledged, refused, crashes, disks, takeovers, overtaken].iter().all(|count| *count >= 5),
        "too tame: {total:?}"
    );
}
