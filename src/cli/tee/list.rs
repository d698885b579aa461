//! `tee list`: who tags and verifies, what vouches for them, and the keys of the tags.
//!
//! Must not know attestations. Invariant: a worker nothing vouches for is called unattested.

use super::super::{
    history::{duration, pace_millis},
    names::Names,
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::{EpochState, KeyEpoch, NextEpoch, TeeWorker, key_epochs, next_key_epoch, tee_workers},
    types::{Height, format_tokens},
};
use serde::Serialize;

/// Key epochs shown.
const EPOCHS_SHOWN: u64 = 10;

#[derive(Serialize)]
struct TeeDocument {
    height: Height,
    /// Milliseconds from block to block, as measured.
    pace_millis: u64,
    workers: Vec<WorkerRow>,
    epochs: Vec<KeyEpoch>,
    next_epoch: NextEpoch,
}

#[derive(Serialize)]
struct WorkerRow {
    #[serde(flatten)]
    worker: TeeWorker,
    expires_in_blocks: u64,
    expires_in_hours: u64,
}

/// Lists workers and key epochs.
pub async fn list(target: &Target, output: &Output) -> anyhow::Result<()> {
    let chain = target.chain.as_ref();
    let height = chain.status().await?.height;
    let pace_millis = pace_millis(target).await?;
    let workers = tee_workers(chain).await?.into_iter().map(|worker| row(worker, height, pace_millis)).collect();
    let (epochs, next_epoch) = (key_epochs(chain, EPOCHS_SHOWN).await?, next_key_epoch(chain).await?);
    let names = Names::read(chain).await?;
    let document = TeeDocument { height, pace_millis, workers, epochs, next_epoch };
    output.document(&document, |document| describe(document, &names))
}

fn row(worker: TeeWorker, height: Height, pace_millis: u64) -> WorkerRow {
    let left = worker.attested_until.saturating_sub(height);
    WorkerRow { worker, expires_in_blocks: left, expires_in_hours: left.saturating_mul(pace_millis) / 3_600_000 }
}

fn describe(document: &TeeDocument, names: &Names) -> String {
    if document.workers.is_empty() {
        return "no TEE workers are registered (`cess run --role tee` starts one)".to_owned();
    }
    let cells = |row: &WorkerRow| {
        let worker = &row.worker;
        vec![
            worker.id.clone(),
            worker.name.clone(),
            short(&worker.account.to_string()),
            worker.kind.name().to_owned(),
            worker.attestation.name().to_owned(),
            when(worker.attested_until, document.height, document.pace_millis),
            format_tokens(worker.bond),
            worker.state.name().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = document.workers.iter().map(cells).collect();
    let mut out = table(&["id", "name", "account", "kind", "attestation", "expires", "bond", "state"], &rows);
    let cells = |epoch: &KeyEpoch| {
        vec![
            epoch.number.to_string(),
            epoch.state.name().to_owned(),
            format!("block {}", epoch.opened_at),
            names.name(epoch.opener),
            match epoch.state {
                EpochState::Open => when(document.next_epoch.due, document.height, document.pace_millis),
                _ => String::new(),
            },
            epoch.columns.to_string(),
        ]
    };
    out.push('\n');
    match document.epochs.is_empty() {
        true => out.push_str("no key epoch was opened yet: nothing can be tagged"),
        false => {
            let rows: Vec<Vec<String>> = document.epochs.iter().map(cells).collect();
            out.push_str(&table(&["key epoch", "state", "opened", "by", "due", "columns"], &rows));
        }
    }
    out
}

/// A block and how far it is away.
pub(super) fn when(block: Height, height: Height, pace_millis: u64) -> String {
    match block.saturating_sub(height) {
        0 => format!("block {block}, over"),
        left => format!("block {block}, in {left} blocks, {}", duration(left, pace_millis)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        client::{Attestation, EpochState, WorkerKind, WorkerStanding},
        types::{Address, Amount, B256},
    };

    pub(in super::super) fn worker(attested_until: Height) -> TeeWorker {
        TeeWorker {
            account: Address::repeat_byte(0x33),
            id: "DEV-0123456789abcdef".into(),
            name: "tee-0".into(),
            kind: WorkerKind::Full,
            attestation: Attestation::Unattested,
            measurement: B256::ZERO,
            since: 4,
            attested_until,
            bond: Amount::tokens(1).0,
            state: WorkerStanding::Active,
            bond_until: None,
        }
    }

    #[test]
    fn workers_and_epochs_are_listed() {
        let opener = Address::repeat_byte(0x33);
        let epoch = KeyEpoch { number: 0, opener, opened_at: 9, state: EpochState::Open, columns: 7, used_at: 20 };
        let before = KeyEpoch { state: EpochState::Closed, columns: 3, ..epoch.clone() };
        let workers = vec![row(worker(7_300), 100, 2_000), row(worker(90), 100, 2_000)];
        assert_eq!((workers[0].expires_in_blocks, workers[0].expires_in_hours), (7_200, 4));
        let next_epoch = NextEpoch { number: 2, due: 1_209, lost: 140 };
        let epochs = vec![KeyEpoch { number: 1, ..epoch }, before];
        let document = TeeDocument { height: 100, pace_millis: 2_000, workers, epochs, next_epoch };
        let names = Names::from([(opener, "tee-0")].as_slice());
        assert_eq!(
            describe(&document, &names),
            "id                    name   account      kind  attestation  expires                            bond  state\n\
             DEV-0123456789abcdef  tee-0  333333…3333  full  unattested   block 7300, in 7200 blocks, 4.0 h  1     active\n\
             DEV-0123456789abcdef  tee-0  333333…3333  full  unattested   block 90, over                     1     active\n\
             \n\
             key epoch  state   opened   by     due                                 columns\n\
             1          open    block 9  tee-0  block 1209, in 1109 blocks, 36 min  7\n\
             0          closed  block 9  tee-0                                      3\n"
        );
    }
}
