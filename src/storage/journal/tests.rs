//! Journals over the in-memory network, each miner with a directory of its own.

mod history;
pub mod rig;

use super::*;
use bytes::Bytes;
use rig::Rig;
use std::time::{Duration, Instant};
use tokio::time::timeout;

fn record(text: &str) -> Vec<Bytes> {
    vec![Bytes::copy_from_slice(text.as_bytes())]
}

#[tokio::test(start_paused = true)]
async fn a_writer_goes_on_without_any_one_miner_and_the_third_catches_up() {
    let rig = Rig::start(4).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    assert_eq!(journal.append(record("one")).await.unwrap(), 1);
    for (turn, member) in members.into_iter().enumerate() {
        rig.crash(member).await;
        let seq = journal.append(record(&format!("without {turn}"))).await.unwrap();
        assert_eq!(seq, turn as u64 + 2);
        journal.touch().await.unwrap();
        rig.restart(member).await;
        rig.until("it caught up", || journal.healthy() == 3).await;
    }
    // Whichever two are left have everything.
    drop(journal);
    rig.crash(members[0]).await;
    let next = rig.client().open(rig.id, members, 2).await.unwrap();
    assert_eq!(next.records(1).len(), 4);
    assert_eq!(next.records(4), record("without 2"));
}

#[tokio::test(start_paused = true)]
async fn two_miners_down_stop_a_writer_until_one_is_back() {
    let rig = Rig::start(3).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    rig.crash(members[0]).await;
    rig.crash(members[1]).await;
    let mut waiting = Box::pin(journal.append(record("waits")));
    assert!(timeout(Duration::from_secs(60), &mut waiting).await.is_err(), "one miner alone made it durable");
    assert!(matches!(journal.touch().await, Err(JournalError::Unavailable { reached: 1, .. })));
    rig.restart(members[0]).await;
    assert_eq!(waiting.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_lives_moves_away_from_two_miners_that_are_gone() {
    let rig = Rig::start(5).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    journal.append(record("before")).await.unwrap();
    let gone = [members[0], members[1]];
    for member in gone {
        rig.crash(member).await;
    }
    let waiting = tokio::spawn({
        let journal = journal.clone();
        async move { journal.append(record("in between")).await }
    });
    rig.until("both are missed", || gone.iter().all(|member| journal.ailing().contains(member))).await;
    for member in gone {
        journal.replace(member, async |_| true).await.unwrap();
    }
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
    journal.touch().await.unwrap();
    let next = journal.members();
    assert!(gone.iter().all(|member| !next.contains(member)), "{next:?}");
    drop(journal);
    let heir = rig.client().open(rig.id, next, 2).await.unwrap();
    assert_eq!(heir.records(1), [record("before"), record("in between")].concat());
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_lives_gives_its_log_to_others_when_two_lost_it() {
    let rig = Rig::start(5).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    journal.append(record("kept")).await.unwrap();
    for member in [members[1], members[2]] {
        rig.wipe(member).await;
    }
    // Nothing is appended: who only reads is told, too.
    rig.until("the losses are seen", || journal.ailing().len() == 2).await;
    for member in [members[1], members[2]] {
        journal.replace(member, async |_| true).await.unwrap();
    }
    let next = journal.members();
    rig.crash(members[0]).await;
    let heir = rig.client().open(rig.id, next, 2).await.unwrap();
    assert_eq!(heir.records(1), record("kept"));
}

#[tokio::test(start_paused = true)]
async fn a_later_owner_shuts_the_earlier_one_out() {
    let rig = Rig::start(3).await;
    let members = rig.client().create(rig.id, epoch(1, 0)).await.unwrap();
    let first = rig.client().open(rig.id, members, epoch(1, 7)).await.unwrap();
    first.append(record("mine")).await.unwrap();
    let other = rig.client();
    other.seal(rig.id, members, epoch(2, 0)).await.unwrap();
    assert!(matches!(first.append(record("late")).await, Err(JournalError::Fenced { .. })));
    assert!(matches!(first.touch().await, Err(JournalError::Fenced { .. })));
    // Opening it once more does not help: the owner ranks above the writer.
    let again = rig.client().open(rig.id, members, epoch(1, 8)).await;
    assert!(matches!(again, Err(JournalError::Fenced { .. })));
    let second = other.open(rig.id, members, epoch(2, 1)).await.unwrap();
    assert_eq!(second.records(1)[0], record("mine")[0]);
    other.touch(rig.id, members, epoch(2, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_miner_that_lost_its_disk_is_replaced_and_counts_for_nothing_before() {
    let rig = Rig::start(4).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    journal.append(record("a")).await.unwrap();
    rig.wipe(members[2]).await;
    journal.append(record("b")).await.unwrap();
    rig.until("the loss is seen", || journal.ailing() == [members[2]]).await;
    let next = journal.replace(members[2], async |next| next != members).await.unwrap();
    assert_eq!(journal.members(), next);
    assert!(!next.contains(&members[2]));
    journal.append(record("c")).await.unwrap();
    rig.crash(members[0]).await;
    let heir = rig.client().open(rig.id, next, 2).await.unwrap();
    assert_eq!(heir.records(1), [record("a"), record("b"), record("c")].concat());
}

#[tokio::test(start_paused = true)]
async fn a_miner_that_was_replaced_while_it_was_away_forgets_the_journal_when_it_is_back() {
    let rig = Rig::start(4).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    journal.append(record("a")).await.unwrap();
    rig.crash(members[0]).await;
    rig.until("it is missed", || journal.ailing() == [members[0]]).await;
    journal.replace(members[0], async |_| true).await.unwrap();
    // While it may hold the journal nobody gives it that again, though no other miner is left.
    rig.restart(members[0]).await;
    assert_eq!(rig.journals(members[0]), 1);
    let none = journal.replace(members[1], async |_| true).await;
    assert!(matches!(none, Err(JournalError::NoMiners { found: 2 })), "{none:?}");
    rig.until("it forgot the journal", || rig.journals(members[0]) == 0).await;
    rig.until("it may take the journal again", || client.leftovers().lock().holders(rig.id).is_empty()).await;
    let next = journal.replace(members[1], async |_| true).await.unwrap();
    assert!(next.contains(&members[0]));
    journal.append(record("b")).await.unwrap();
    assert_eq!((rig.journals(members[0]), rig.journals(members[1])), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_miner_that_is_away_when_a_journal_is_removed_forgets_it_later() {
    let rig = Rig::start(3).await;
    let client = rig.client();
    let members = client.create(rig.id, 1).await.unwrap();
    let journal = client.open(rig.id, members, 1).await.unwrap();
    journal.append(record("a")).await.unwrap();
    rig.until("all three have it", || journal.healthy() == 3).await;
    drop(journal);
    rig.crash(members[1]).await;
    client.remove(rig.id, members, 1).await.unwrap();
    rig.restart(members[1]).await;
    assert_eq!(members.map(|member| rig.journals(member)), [0, 1, 0]);
    rig.until("it forgot the journal", || rig.journals(members[1]) == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_journal_lost_by_two_miners_is_not_begun_anew() {
    let rig = Rig::start(3).await;
    let members = rig.client().create(rig.id, 1).await.unwrap();
    rig.client().open(rig.id, members, 1).await.unwrap().append(record("a")).await.unwrap();
    rig.wipe(members[0]).await;
    rig.wipe(members[1]).await;
    let error = rig.client().open(rig.id, members, 2).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, JournalError::Lost { missing: 2, .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn miners_of_one_operator_or_without_an_answer_are_passed_over() {
    let rig = Rig::start(5).await;
    rig.same_operator(0, 1);
    rig.crash(rig.account(2)).await;
    let members = rig.client().create(rig.id, 1).await.unwrap();
    assert!(!members.contains(&rig.account(2)));
    assert!(members.contains(&rig.account(3)) && members.contains(&rig.account(4)));
    rig.crash(rig.account(3)).await;
    let none = rig.client().create(JournalId([9; 32]), 1).await;
    assert!(matches!(none, Err(JournalError::NoMiners { found: 2 })));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_cannot_seal() {
    let rig = Rig::start(3).await;
    let members = rig.client().create(rig.id, 1).await.unwrap();
    let stranger = rig.client_with([9; 32]);
    let error = stranger.seal(rig.id, members, 99).await.unwrap_err();
    assert!(error.to_string().contains("the token does not open the journal"), "{error}");
    rig.client().open(rig.id, members, 1).await.unwrap().append(record("a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn large_journals_are_taken_over_whole() {
    let rig = Rig::start(3).await;
    let members = rig.client().create(rig.id, 1).await.unwrap();
    let journal = rig.client().open(rig.id, members, 1).await.unwrap();
    let record = Bytes::from(vec![7; 700_000]);
    for _ in 0..12 {
        journal.append(vec![record.clone()]).await.unwrap();
    }
    journal.trim(2);
    drop(journal);
    let next = rig.client().open(rig.id, members, 2).await.unwrap();
    let (base, last) = next.span();
    assert!(base <= 2 && last == 12, "{base} {last}");
    assert_eq!(next.records(3), vec![record; 10]);
}

/// Not a bound: says how fast it is here. Real time, three directories on one disk.
#[tokio::test]
async fn concurrent_appends_share_round_trips() {
    const COUNT: usize = 2_000;
    let rig = Rig::start(3).await;
    let members = rig.client().create(rig.id, 1).await.unwrap();
    let journal = rig.client().open(rig.id, members, 1).await.unwrap();
    let one = Instant::now();
    journal.append(vec![Bytes::from(vec![1; 1_024])]).await.unwrap();
    let alone = one.elapsed();
    let many = Instant::now();
    let lanes = (0..64).map(|_| {
        let journal = journal.clone();
        async move {
            for _ in 0..COUNT / 64 {
                journal.append(vec![Bytes::from(vec![1; 1_024])]).await.unwrap();
            }
        }
    });
    futures::future::join_all(lanes).await;
    let took = many.elapsed().max(Duration::from_nanos(1));
    println!("one append: {alone:?}; 64 in flight: {:.0} appends/s", (COUNT / 64 * 64) as f64 / took.as_secs_f64());
    assert_eq!(journal.span().1, (COUNT / 64 * 64) as u64 + 1);
}
