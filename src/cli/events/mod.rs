//! `events`: what happens on the chain, in words, as it happens.
//!
//! Owns filters and the lines printed. Invariants: each event is printed once and in order; with `--json` the answer is one document, and with
//! `--follow` one document a line for each event.

mod words;

#[cfg(test)]
mod tests;

pub use words::sentence;

use super::{Global, Usage, names::Names, output::Output, target::Target};
use crate::{
    client::{ChainError, ChainEvent, EVENTS_MAX_BLOCKS, EventBatch, EventFollower},
    runtime::Signals,
    types::{Address, B256, Height},
};
use anyhow::bail;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// How long one wait for a block lasts.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause after the chain could not be reached.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Events of one answer at most.
const ROWS_MAX: usize = 100_000;

/// Names of all events, as JSON has them.
pub const KINDS: [&str; 57] = [
    "minerRegistered",
    "minerCapacityChanged",
    "minerExited",
    "minerLeaving",
    "minerLost",
    "minerReinstated",
    "minerFined",
    "collateralAdded",
    "idleCommitted",
    "idleDecided",
    "fileStored",
    "ownerAdded",
    "ownerRemoved",
    "fileReassigned",
    "fileDeleted",
    "territoryMinted",
    "territoryExpanded",
    "territoryRenewed",
    "territoryReactivated",
    "territoryRenamed",
    "territoryGranted",
    "territoryConsigned",
    "consignmentCancelled",
    "consignmentBought",
    "territoryPurged",
    "orderPlaced",
    "orderPaid",
    "spaceCharged",
    "spaceFreed",
    "answered",
    "proven",
    "auditDecided",
    "appealOpened",
    "appealDecided",
    "auditRefuted",
    "verifierFined",
    "workerRegistered",
    "workerAttested",
    "workerLeft",
    "workerFined",
    "bondReturned",
    "measurementAllowed",
    "measurementRevoked",
    "collateralPublished",
    "epochOpened",
    "epochClosed",
    "epochSuspended",
    "keyHandedOver",
    "fileTagged",
    "columnSurrendered",
    "repairClaimed",
    "claimSettled",
    "repairCompleted",
    "rewardClaimed",
    "nameSet",
    "nameRemoved",
    "operatorApproved",
];

/// Arguments of `cess events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with every new block until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// First block [default: with --follow the next one, else the newest 1,000]
    #[arg(long, value_name = "HEIGHT")]
    from: Option<Height>,
    /// Only these events, by the beginning of their names, such as miner,auditDecided
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    kind: Vec<String>,
    /// Only events that name this account
    #[arg(long, value_name = "ADDRESS")]
    address: Option<Address>,
}

/// Which events are shown.
#[derive(Debug)]
struct Filter {
    /// Beginnings of names, in small letters without dashes.
    kinds: Vec<String>,
    account: Option<String>,
}

impl Filter {
    fn new(kinds: &[String], account: Option<Address>) -> Result<Self, Usage> {
        let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
        for kind in kinds {
            if !KINDS.iter().any(|known| plain(known).starts_with(&plain(kind))) {
                return Err(Usage(format!("no event's name begins with `{kind}`, there are: {}", KINDS.join(" "))));
            }
        }
        let account = account.map(|account| format!("{account:#x}"));
        Ok(Self { kinds: kinds.iter().map(|kind| plain(kind)).collect(), account })
    }

    fn passes(&self, event: &ChainEvent) -> bool {
        let name = kind(event).to_lowercase();
        let named = self.kinds.is_empty() || self.kinds.iter().any(|kind| name.starts_with(kind));
        named && self.account.as_ref().is_none_or(|account| names_account(&fields(event), account))
    }
}

/// One event as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    block: Height,
    tx: B256,
    words: String,
    #[serde(flatten)]
    event: ChainEvent,
}

impl Row {
    fn of(block: Height, tx: B256, event: &ChainEvent, names: &Names) -> Self {
        Self { block, tx, words: words::sentence(event, names), event: event.clone() }
    }

    fn line(&self) -> String {
        format!("block {}  {}", self.block, self.words)
    }
}

/// The name of an event, as JSON has it.
fn kind(event: &ChainEvent) -> String {
    fields(event).get("event").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn fields(event: &ChainEvent) -> Value {
    serde_json::to_value(event).unwrap_or_default()
}

fn names_account(value: &Value, account: &str) -> bool {
    match value {
        Value::String(text) => text.eq_ignore_ascii_case(account),
        Value::Array(list) => list.iter().any(|entry| names_account(entry, account)),
        Value::Object(map) => map.values().any(|entry| names_account(entry, account)),
        _ => false,
    }
}

/// Events with the names and the filter of one invocation.
struct Teller {
    filter: Filter,
    names: Names,
}

impl Teller {
    fn rows(&mut self, batches: &[EventBatch]) -> Vec<Row> {
        let mut rows = Vec::new();
        for batch in batches {
            for (tx, event) in &batch.events {
                self.names.learn(event);
                if self.filter.passes(event) {
                    rows.push(Row::of(batch.height, *tx, event, &self.names));
                }
            }
        }
        rows
    }
}

/// Shows what happened, or what happens.
pub async fn events(args: EventsArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let filter = Filter::new(&args.kind, args.address)?;
    let target = Target::find(global)?;
    let newest = target.chain.status().await?.height;
    let mut teller = Teller { filter, names: Names::read(target.chain.as_ref()).await? };
    if args.follow {
        let from = args.from.unwrap_or(newest + 1);
        return follow(&target, from, &mut teller, output).await;
    }
    let from = args.from.unwrap_or(newest.saturating_sub(EVENTS_MAX_BLOCKS - 1)).max(1);
    if from > newest {
        bail!("block {from} is not there yet, the newest is {newest} (`--follow` waits for it)");
    }
    let (mut rows, mut next) = (Vec::new(), from);
    while next <= newest {
        let last = newest.min(next.saturating_add(EVENTS_MAX_BLOCKS - 1));
        rows.extend(teller.rows(&target.chain.events(next, last).await?));
        if rows.len() > ROWS_MAX {
            bail!("blocks {from} to {last} have over {ROWS_MAX} events (try a later --from, --kind or --address)");
        }
        next = last + 1;
    }
    output.document(&rows, |rows| match rows.is_empty() {
        true => format!("nothing happened in blocks {from} to {newest}"),
        false => rows.iter().map(Row::line).collect::<Vec<_>>().join("\n"),
    })
}

async fn follow(target: &Target, from: Height, teller: &mut Teller, output: &Output) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let mut follower = EventFollower::new(target.chain.clone(), from);
    let mut reached = true;
    output.note(&format!("following from block {from}, Ctrl-C ends"));
    loop {
        let step = tokio::select! {
            _ = signals.next() => return Ok(()),
            step = follower.step(PATIENCE) => step,
        };
        match step {
            Ok(step) => {
                reached = true;
                for row in step.map(|step| teller.rows(&step.batches)).unwrap_or_default() {
                    if !output.line(&row, Row::line)? {
                        return Ok(());
                    }
                }
            }
            // What the chain refuses now it refuses later, too.
            Err(error @ ChainError::Refused { .. }) => return Err(error.into()),
            Err(error) => {
                if std::mem::replace(&mut reached, false) {
                    output.note(&format!("{error}; trying again"));
                }
                tokio::select! {
                    _ = signals.next() => return Ok(()),
                    () = tokio::time::sleep(RETRY_PAUSE) => {}
                }
            }
        }
    }
}
