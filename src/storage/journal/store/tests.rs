//! The miner's side alone: what survives, what is refused.

use super::*;
use crate::{
    runtime::CpuPool,
    storage::journal::wire::{BATCH_MAX_BYTES, JOURNAL_MAX_BYTES, RECORD_MAX_BYTES, Standing},
};
use std::sync::atomic::AtomicU64;
use tempfile::TempDir;

const ID: JournalId = JournalId([3; 32]);
const TOKEN: [u8; 32] = [4; 32];
const LIMIT: u64 = 1 << 30;

struct Rig {
    node: Node,
    store: JournalStore,
    size: Arc<AtomicU64>,
}

impl Rig {
    fn open(dir: &TempDir, limit: u64) -> Self {
        let node = Node::new("miner", CpuPool::new("miner", 1));
        let size = Arc::new(AtomicU64::new(0));
        let seen = size.clone();
        let hook = Box::new(move |bytes| seen.store(bytes, Ordering::SeqCst));
        let store = JournalStore::open(&node, dir.path(), limit, hook).unwrap();
        Self { node, store, size }
    }

    async fn ask(&self, ask: Ask) -> Result<Answer, Refusal> {
        match self.store.ask(Request { tag: 0, journal: ID, token: TOKEN, ask }).await {
            Answer::Refused(refusal) => Err(refusal),
            answer => Ok(answer),
        }
    }

    async fn seal(&self, epoch: u64) -> Result<Standing, Refusal> {
        match self.ask(Ask::Seal { epoch }).await? {
            Answer::Sealed(standing) => Ok(standing),
            other => panic!("{other:?}"),
        }
    }

    async fn append(&self, epoch: u64, first: u64, records: &[&[u8]]) -> Result<u64, Refusal> {
        let records = records.iter().map(|record| record.to_vec()).collect();
        stored(self.ask(Ask::Append { epoch, first, records }).await?)
    }

    async fn install(&self, epoch: u64, first: u64, flags: (bool, bool), records: &[&[u8]]) -> Result<u64, Refusal> {
        let records = records.iter().map(|record| record.to_vec()).collect();
        stored(self.ask(Ask::Install { epoch, first, begin: flags.0, finish: flags.1, records }).await?)
    }

    /// Makes the journal and opens it for `epoch`.
    async fn begin(&self, epoch: u64) {
        self.ask(Ask::Create { epoch }).await.unwrap();
        self.install(epoch, 1, (true, true), &[]).await.unwrap();
    }

    async fn read(&self, epoch: u64, from: u64) -> Vec<Vec<u8>> {
        match self.ask(Ask::Read { epoch, from }).await.unwrap() {
            Answer::Records { records, .. } => records,
            other => panic!("{other:?}"),
        }
    }

    /// Ends the node without a last word.
    async fn crash(self) {
        self.node.kill.pull("test");
        self.node.tasks.shutdown().await;
    }
}

fn stored(answer: Answer) -> Result<u64, Refusal> {
    match answer {
        Answer::Stored { last } => Ok(last),
        other => panic!("{other:?}"),
    }
}

fn file(dir: &TempDir) -> PathBuf {
    dir.path().join(format!("{ID}.log"))
}

#[tokio::test]
async fn what_was_answered_survives_a_crash_with_a_torn_tail() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    assert_eq!(rig.append(1, 1, &[b"one", b"two"]).await, Ok(2));
    rig.crash().await;
    let end = usize::try_from(Log::open(file(&dir)).unwrap().end()).unwrap();
    let mut bytes = fs::read(file(&dir)).unwrap();
    bytes.resize(bytes.len().max(end + 64), 0);
    bytes[end..end + 50].fill(0x63);
    fs::write(file(&dir), bytes).unwrap();
    let rig = Rig::open(&dir, LIMIT);
    let standing = rig.seal(1).await.unwrap();
    assert_eq!((standing.accepted, standing.last), (1, 2));
    assert_eq!(rig.append(1, 3, &[b"three"]).await, Ok(3));
    rig.crash().await;
    assert_eq!(Rig::open(&dir, LIMIT).read(1, 2).await, [b"two".to_vec(), b"three".to_vec()]);
}

#[tokio::test]
async fn a_journal_that_lost_synced_bytes_is_put_aside() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    for first in 1..=3 {
        rig.append(1, first, &[&[7; 100]]).await.unwrap();
    }
    rig.crash().await;
    let mut bytes = fs::read(file(&dir)).unwrap();
    let second = bytes.windows(100).position(|window| window == [7; 100]).unwrap();
    bytes[second] ^= 1;
    fs::write(file(&dir), bytes).unwrap();
    let rig = Rig::open(&dir, LIMIT);
    assert_eq!(rig.seal(1).await, Err(Refusal::Unknown));
    assert!(file(&dir).with_extension("damaged").exists());
}

#[tokio::test]
async fn a_seal_shuts_lower_epochs_out_for_good() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    rig.append(1, 1, &[b"a"]).await.unwrap();
    rig.seal(5).await.unwrap();
    rig.crash().await;
    let rig = Rig::open(&dir, LIMIT);
    let sealed = Refusal::Sealed { sealed: 5 };
    assert_eq!(rig.append(1, 2, &[b"b"]).await, Err(sealed.clone()));
    for ask in [Ask::Touch { epoch: 4 }, Ask::Trim { epoch: 1, upto: 1 }, Ask::Read { epoch: 4, from: 1 }] {
        assert_eq!(rig.ask(ask).await, Err(sealed.clone()));
    }
    // The new epoch must bring its log first.
    assert_eq!(rig.append(5, 2, &[b"b"]).await, Err(Refusal::NotInstalled { accepted: 1, sealed: 5 }));
    assert_eq!(rig.ask(Ask::Touch { epoch: 5 }).await, Ok(Answer::Done));
}

#[tokio::test]
async fn a_log_is_replaced_whole_or_not_at_all() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    rig.append(1, 1, &[b"a", b"b", b"c"]).await.unwrap();
    rig.seal(2).await.unwrap();
    rig.install(2, 1, (true, false), &[b"a"]).await.unwrap();
    assert_eq!(rig.install(2, 3, (false, false), &[b"x"]).await, Err(Refusal::Gap { last: 1 }));
    rig.crash().await;
    let rig = Rig::open(&dir, LIMIT);
    assert_eq!(rig.seal(2).await.unwrap().accepted, 1);
    assert_eq!(rig.read(2, 1).await.len(), 3);
    assert!(matches!(rig.install(2, 2, (false, true), &[b"x"]).await, Err(Refusal::Invalid(_))));
    rig.install(2, 1, (true, false), &[b"a"]).await.unwrap();
    assert_eq!(rig.install(2, 2, (false, true), &[b"x"]).await, Ok(2));
    assert_eq!(rig.append(2, 3, &[b"y"]).await, Ok(3));
    rig.crash().await;
    assert_eq!(Rig::open(&dir, LIMIT).read(2, 1).await, [b"a", b"x", b"y"]);
}

#[tokio::test]
async fn records_repeat_without_harm_and_leave_no_gaps() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    rig.append(1, 1, &[b"a", b"b"]).await.unwrap();
    assert_eq!(rig.append(1, 1, &[b"a", b"b", b"c"]).await, Ok(3));
    assert_eq!(rig.append(1, 5, &[b"e"]).await, Err(Refusal::Gap { last: 3 }));
    assert_eq!(rig.read(1, 1).await, [b"a", b"b", b"c"]);
}

#[tokio::test]
async fn trimming_gives_room_back_on_the_disk_too() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    let record = vec![9; RECORD_MAX_BYTES];
    for first in (1..=8).step_by(2) {
        rig.append(1, first, &[&record, &record]).await.unwrap();
    }
    let before = fs::metadata(file(&dir)).unwrap().len();
    rig.ask(Ask::Trim { epoch: 1, upto: 7 }).await.unwrap();
    assert_eq!(rig.size.load(Ordering::SeqCst), cost(&record));
    assert!(fs::metadata(file(&dir)).unwrap().len() < before / 3);
    assert_eq!(rig.append(1, 9, &[b"nine"]).await, Ok(9));
    rig.crash().await;
    let rig = Rig::open(&dir, LIMIT);
    let standing = rig.seal(1).await.unwrap();
    assert_eq!((standing.base, standing.last), (7, 9));
    assert_eq!(rig.read(1, 8).await, [record, b"nine".to_vec()]);
    let trimmed = rig.ask(Ask::Read { epoch: 1, from: 7 }).await.unwrap_err();
    assert!(trimmed.to_string().contains("records up to 7 were trimmed"), "{trimmed}");
}

#[tokio::test]
async fn bounds_are_kept_and_named() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, 3 * RECORD_MAX_BYTES as u64);
    rig.begin(1).await;
    let record = vec![0; RECORD_MAX_BYTES];
    let large = vec![0; RECORD_MAX_BYTES + 1];
    assert!(matches!(rig.append(1, 1, &[&large]).await, Err(Refusal::Invalid(_))));
    rig.append(1, 1, &[&record, &record]).await.unwrap();
    let full = rig.append(1, 3, &[&record]).await.unwrap_err();
    assert_eq!(full.to_string(), "journals take 2.00 MiB of the 3145728 B lent to them");
    rig.ask(Ask::Remove { epoch: 1 }).await.unwrap();
    assert_eq!(rig.size.load(Ordering::SeqCst), 0);
    assert_eq!(rig.seal(1).await, Err(Refusal::Unknown));

    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    let pair: [&[u8]; 2] = [&record[..BATCH_MAX_BYTES / 2], &record];
    let mut first = 1;
    let full = loop {
        match rig.append(1, first, &pair).await {
            Ok(last) => first = last + 1,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(first, 63);
    assert!(full.to_string().contains("may hold 64"), "{full}");
    assert!(matches!(full, Refusal::Full { bytes } if bytes <= JOURNAL_MAX_BYTES));
}

#[tokio::test]
async fn who_does_not_know_the_token_is_let_nowhere() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    rig.begin(1).await;
    for ask in [Ask::Create { epoch: 9 }, Ask::Seal { epoch: 9 }, Ask::Remove { epoch: 9 }] {
        let answer = rig.store.ask(Request { tag: 0, journal: ID, token: [5; 32], ask }).await;
        assert_eq!(answer, Answer::Refused(Refusal::Denied));
    }
    assert_eq!(rig.append(1, 1, &[b"a"]).await, Ok(1));
}

#[tokio::test]
async fn many_journals_are_synced_together() {
    let dir = TempDir::new().unwrap();
    let rig = Rig::open(&dir, LIMIT);
    let request = |n: u8, ask| Request { tag: 0, journal: JournalId([n; 32]), token: TOKEN, ask };
    let mut answers = Vec::new();
    for n in 0..20 {
        rig.store.submit(request(n, Ask::Create { epoch: 1 })).await;
        let install = Ask::Install { epoch: 1, first: 1, begin: true, finish: true, records: Vec::new() };
        rig.store.submit(request(n, install)).await;
        let append = Ask::Append { epoch: 1, first: 1, records: vec![vec![n]] };
        answers.push(rig.store.submit(request(n, append)).await);
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Answer::Stored { last: 1 });
    }
    rig.crash().await;
    let rig = Rig::open(&dir, LIMIT);
    for n in 0..20 {
        let answer = rig.store.ask(request(n, Ask::Read { epoch: 1, from: 1 })).await;
        assert_eq!(answer, Answer::Records { first: 1, last: 1, records: vec![vec![n]] });
    }
}
