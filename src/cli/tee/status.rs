//! `tee status`: everything the chain and its node say about one worker on one screen.
//!
//! Must not know keys. Invariants: what the chain says is shown without the node, too; there is always something to do next, or a sentence
//! that says there is nothing.

use super::{
    super::{
        history::{LOOK_BACK_BLOCKS, duration, each_event, pace_millis},
        target::Target,
        validators::ask,
    },
    list::when,
};
use crate::{
    cli::output::Output,
    client::{
        ChainClient, ChainEvent, EpochState, KeyEpoch, NextEpoch, TeeWorker, WorkerKind, WorkerStanding, key_epochs,
        key_holders, next_key_epoch, tee_worker,
    },
    ledger::abi::IStaking,
    types::{Address, FileId, Height, Params, U256, format_tokens},
};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeSet;

/// Key epochs looked at.
const EPOCHS_SHOWN: u64 = 10;

/// How a worker is.
#[derive(Serialize)]
struct StatusDocument {
    height: Height,
    /// Milliseconds from block to block, as measured.
    pace_millis: u64,
    #[serde(flatten)]
    worker: TeeWorker,
    expires_in_blocks: u64,
    required_bond: U256,
    balance: U256,
    /// Epochs whose key it has, the newest first.
    keys: Vec<KeyEpoch>,
    next_epoch: NextEpoch,
    work: Work,
    /// What its node says; nothing if it does not answer here.
    node: Option<NodePart>,
    next: Vec<String>,
}

/// What it did in the newest blocks.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Work {
    /// From this block on.
    since: Height,
    files: usize,
    columns: u64,
    /// Key epochs it opened, and keys it handed to others.
    epochs_opened: u64,
    keys_handed: u64,
    fined: U256,
    /// Points of useful work in this era, which only count for candidates of the validators' committee.
    candidate: bool,
    points: u64,
}

/// What `cess_tee` answers of a worker's own view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct NodePart {
    /// The open key epoch, and whether its key is in the enclave.
    epoch: Option<HeldEpoch>,
    /// Files that wait for tags.
    waiting: Waiting,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct HeldEpoch {
    number: u64,
    held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    files: usize,
    /// Whether there are more than were counted.
    more: bool,
    since: Option<Height>,
}

/// Shows a worker.
pub async fn status(target: &Target, account: Address, output: &Output) -> anyhow::Result<()> {
    output.document(&status_of(target, account).await?, describe)
}

async fn status_of(target: &Target, account: Address) -> anyhow::Result<StatusDocument> {
    let chain = target.chain.as_ref();
    let Some(worker) = tee_worker(chain, account).await? else {
        bail!("TEE worker {account} is not registered (`cess run --role tee` starts one)");
    };
    let status = chain.status().await?;
    let node = match target.node_of(account) {
        // A node that is stopped is no reason to say nothing.
        Some(node) => node.call("cess_tee", json!([])).await.ok().and_then(|said| serde_json::from_value(said).ok()),
        None => None,
    };
    let mut document = StatusDocument {
        height: status.height,
        pace_millis: pace_millis(target).await?,
        expires_in_blocks: worker.attested_until.saturating_sub(status.height),
        required_bond: Params::of(status.profile).tee_bond.0,
        balance: chain.balance(account).await?,
        keys: keys_of(chain, account).await?,
        next_epoch: next_key_epoch(chain).await?,
        work: work_of(chain, &worker, status.height).await?,
        node,
        next: Vec::new(),
        worker,
    };
    document.next = advice(&document);
    Ok(document)
}

async fn keys_of(chain: &dyn ChainClient, account: Address) -> anyhow::Result<Vec<KeyEpoch>> {
    let mut keys = Vec::new();
    for epoch in key_epochs(chain, EPOCHS_SHOWN).await? {
        if key_holders(chain, epoch.number).await?.contains(&account) {
            keys.push(epoch);
        }
    }
    Ok(keys)
}

async fn work_of(chain: &dyn ChainClient, worker: &TeeWorker, height: Height) -> anyhow::Result<Work> {
    let since = worker.since.max(height.saturating_sub(LOOK_BACK_BLOCKS));
    let (mut work, mut files) = (Work { since, ..Work::default() }, BTreeSet::new());
    each_event(chain, since, height, |_, event| note(&mut work, &mut files, worker.account, event)).await?;
    let era = ask(chain, &IStaking::currentEraCall {}).await?;
    work.candidate = ask(chain, &IStaking::stakeOfCall { account: worker.account }).await?.candidate;
    if work.candidate {
        work.points = ask(chain, &IStaking::activityCall { account: worker.account, era }).await?.workPoints;
    }
    Ok(Work { files: files.len(), ..work })
}

fn note(work: &mut Work, files: &mut BTreeSet<FileId>, own: Address, event: &ChainEvent) {
    match event {
        ChainEvent::FileTagged { file, worker, columns, .. } if *worker == own => {
            work.columns += u64::from(columns.count_ones());
            files.insert(*file);
        }
        ChainEvent::EpochOpened { opener, .. } if *opener == own => work.epochs_opened += 1,
        ChainEvent::KeyHandedOver { from, to, .. } if *from == own && *to != own => work.keys_handed += 1,
        ChainEvent::WorkerFined { account, amount } if *account == own => work.fined += *amount,
        _ => {}
    }
}

/// Sentences, the most pressing first.
fn advice(document: &StatusDocument) -> Vec<String> {
    let (worker, mut said) = (&document.worker, Vec::new());
    match worker.state {
        WorkerStanding::Leaving => return vec![of_leaving(document)],
        WorkerStanding::Expired => {
            let ended = worker.attested_until;
            said.push(format!("its attestation ended with block {ended}: see that the node runs, it renews by itself"));
        }
        WorkerStanding::Revoked => said.push(
            "its enclave is trusted no more: start one whose measurement is allowed, or leave (`cess tee leave`)"
                .into(),
        ),
        WorkerStanding::Active => {}
    }
    let short = document.required_bond.saturating_sub(worker.bond);
    if !short.is_zero() {
        let missing = format_tokens(short);
        said.push(format!(
            "the bond is short of {missing}, which the next renewal takes from the account: keep it there"
        ));
    }
    let open = document.keys.iter().any(|epoch| epoch.state == EpochState::Open);
    let tags = worker.kind != WorkerKind::Verifier && worker.state == WorkerStanding::Active;
    match (document.next_epoch.due, document.next_epoch.number.checked_sub(1)) {
        (1.., Some(number)) if tags && !open => {
            said.push(format!("it does not have the key of epoch {number} yet: workers that have it hand it over"));
        }
        (0, _) if tags => said.push("no key epoch is open: the next worker whose turn it is opens one".into()),
        _ => {}
    }
    if said.is_empty() {
        said.push("nothing, it works".into());
    }
    said
}

fn of_leaving(document: &StatusDocument) -> String {
    let (bond, until) = (format_tokens(document.worker.bond), document.worker.bond_until.unwrap_or(Height::MAX));
    match until.saturating_sub(document.height) {
        0 => format!("take the bond of {bond} back: `cess tee withdraw`"),
        left => {
            let time = duration(left, document.pace_millis);
            format!("the bond of {bond} can be withdrawn from block {until} on, in {left} blocks, {time}")
        }
    }
}

fn describe(document: &StatusDocument) -> String {
    let (worker, height, pace) = (&document.worker, document.height, document.pace_millis);
    let mut out = format!(
        "worker       {} ({})\n\
         account      {}\n\
         kind         {}, {}\n\
         state        {} since block {}\n\
         attestation  until {}\n\
         bond         {}, {} required\n\
         keys         {}\n\
         next epoch   {}\n",
        worker.name,
        worker.id,
        worker.account,
        worker.kind.name(),
        worker.attestation.name(),
        worker.state.name(),
        worker.since,
        when(worker.attested_until, height, pace),
        format_tokens(worker.bond),
        format_tokens(document.required_bond),
        describe_keys(&document.keys),
        describe_next(&document.next_epoch, height, pace),
    );
    if let Some(node) = &document.node {
        out.push_str(&format!("waiting      {}\n", describe_waiting(&node.waiting)));
    }
    out.push_str(&format!(
        "work         {}\nbalance      {} on its account\n",
        describe_work(&document.work),
        format_tokens(document.balance)
    ));
    for (place, sentence) in document.next.iter().enumerate() {
        let head = if place == 0 { "next" } else { "" };
        out.push_str(&format!("{head:<12} {sentence}\n"));
    }
    out
}

fn describe_keys(keys: &[KeyEpoch]) -> String {
    if keys.is_empty() {
        return "none".to_owned();
    }
    let keys: Vec<String> = keys.iter().map(|epoch| format!("{} ({})", epoch.number, epoch.state.name())).collect();
    format!("of key epochs {}", keys.join(", "))
}

fn describe_next(next: &NextEpoch, height: Height, pace: u64) -> String {
    match (next.due, next.lost) {
        (0, _) | (_, 0) => format!("{} can be opened at once", next.number),
        (due, _) => format!("{} is due from {}", next.number, when(due, height, pace)),
    }
}

fn describe_waiting(waiting: &Waiting) -> String {
    let more = if waiting.more { " or more" } else { "" };
    match waiting.since {
        Some(since) => format!("{}{more} files wait for tags, the first since block {since}", waiting.files),
        None => "no file waits for tags".to_owned(),
    }
}

fn describe_work(work: &Work) -> String {
    let points = match work.candidate {
        true => format!("{} points in this era", work.points),
        false => "no points, which only validator candidates get".to_owned(),
    };
    format!(
        "{} columns of {} files tagged, {} key epochs opened, {} keys handed over, {} fined since block {}; {points}",
        work.columns,
        work.files,
        work.epochs_opened,
        work.keys_handed,
        format_tokens(work.fined),
        work.since,
    )
}

#[cfg(test)]
mod tests {
    use super::{super::list::tests::worker, *};
    use crate::types::{Amount, B256};

    fn document() -> StatusDocument {
        let opener = Address::repeat_byte(0x33);
        let open = KeyEpoch { number: 1, opener, opened_at: 90, state: EpochState::Open, columns: 12, used_at: 95 };
        let keys = vec![open.clone(), KeyEpoch { number: 0, state: EpochState::Closed, ..open }];
        let work = Work { since: 4, files: 1, columns: 12, epochs_opened: 2, keys_handed: 1, ..Work::default() };
        let waiting = Waiting { files: 3, more: false, since: Some(97) };
        let node = NodePart { epoch: Some(HeldEpoch { number: 1, held: true }), waiting };
        StatusDocument {
            height: 100,
            pace_millis: 2_000,
            worker: worker(7_300),
            expires_in_blocks: 7_200,
            required_bond: Amount::tokens(1).0,
            balance: Amount::tokens(8).0,
            keys,
            next_epoch: NextEpoch { number: 2, due: 1_290, lost: 215 },
            work,
            node: Some(node),
            next: vec!["one thing".into(), "another".into()],
        }
    }

    #[test]
    fn a_worker_is_told_on_one_screen() {
        assert_eq!(
            describe(&document()),
            format!(
                "worker       tee-0 (DEV-0123456789abcdef)\n\
                 account      {}\n\
                 kind         full, unattested\n\
                 state        active since block 4\n\
                 attestation  until block 7300, in 7200 blocks, 4.0 h\n\
                 bond         1, 1 required\n\
                 keys         of key epochs 1 (open), 0 (closed)\n\
                 next epoch   2 is due from block 1290, in 1190 blocks, 39 min\n\
                 waiting      3 files wait for tags, the first since block 97\n\
                 work         12 columns of 1 files tagged, 2 key epochs opened, 1 keys handed over, 0 fined since block 4; \
                 no points, which only validator candidates get\n\
                 balance      8 on its account\n\
                 next         one thing\n             another\n",
                Address::repeat_byte(0x33)
            )
        );
        let json = serde_json::to_value(document()).unwrap();
        assert_eq!((&json["name"], &json["keys"][0]["number"]), (&"tee-0".into(), &1.into()));
        assert_eq!((&json["node"]["waiting"]["files"], &json["work"]["columns"]), (&3.into(), &12.into()));
        let silent = describe(&StatusDocument { node: None, keys: Vec::new(), ..document() });
        assert!(silent.contains("keys         none\n") && !silent.contains("waiting"), "{silent}");
    }

    #[test]
    fn advice_begins_with_what_is_most_pressing() {
        let said = |change: &dyn Fn(&mut StatusDocument)| {
            let mut document = document();
            change(&mut document);
            advice(&document).join("; ")
        };
        assert_eq!(said(&|_| ()), "nothing, it works");
        let expired = said(&|d| {
            (d.worker.state, d.worker.bond) = (WorkerStanding::Expired, U256::ZERO);
        });
        assert!(expired.starts_with("its attestation ended with block 7300"), "{expired}");
        assert!(expired.contains("the bond is short of 1"), "{expired}");
        assert!(said(&|d| d.worker.state = WorkerStanding::Revoked).contains("`cess tee leave`"));
        assert!(said(&|d| d.keys.clear()).contains("does not have the key of epoch 1"));
        assert!(said(&|d| d.next_epoch.due = 0).contains("no key epoch is open"));
        assert_eq!(said(&|d| (d.worker.kind, d.keys) = (WorkerKind::Verifier, Vec::new())), "nothing, it works");
        let leaving =
            |until| said(&move |d| (d.worker.state, d.worker.bond_until) = (WorkerStanding::Leaving, Some(until)));
        assert_eq!(leaving(160), "the bond of 1 can be withdrawn from block 160 on, in 60 blocks, 2 min");
        assert_eq!(leaving(100), "take the bond of 1 back: `cess tee withdraw`");
    }

    #[test]
    fn work_is_counted_from_events() {
        let (own, other, file) = (Address::repeat_byte(1), Address::repeat_byte(2), FileId([3; 32]));
        let (mut work, mut files) = (Work::default(), BTreeSet::new());
        let tagged = |worker, columns| ChainEvent::FileTagged { file, epoch: 0, worker, columns };
        let handed = |from, to| ChainEvent::KeyHandedOver {
            epoch: 0,
            from,
            to,
            seal_key: B256::ZERO,
            sealed: Default::default(),
        };
        let opened =
            |opener| ChainEvent::EpochOpened { epoch: 0, opener, key: Default::default(), srs: Default::default() };
        let fined = |account| ChainEvent::WorkerFined { account, amount: U256::from(5) };
        let events = [
            tagged(own, 0xff0),
            tagged(own, 0x00f),
            tagged(other, 0xfff),
            handed(own, own),
            handed(own, other),
            handed(other, own),
            opened(own),
            opened(other),
            fined(own),
            fined(other),
        ];
        events.iter().for_each(|event| note(&mut work, &mut files, own, event));
        let expected = Work { columns: 12, epochs_opened: 1, keys_handed: 1, fined: U256::from(5), ..Work::default() };
        assert_eq!((work, files.len()), (expected, 1));
    }
}
