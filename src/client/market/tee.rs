//! TEE workers and the key epochs of the tagger group.
//!
//! Owns the readings of ITee. Must not know attestations. Invariant: a kind or state this program does not know is an error.

use super::{ask_known, ask_module, list_all, no_state};
use crate::{
    client::{ChainClient, ChainError},
    ledger::abi::{ITee, TEE},
    types::{Address, B256, FileId, Height, U256, params::FRAGMENTS},
};
use serde::{Deserialize, Serialize};

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerKind {
    /// Tags and verifies.
    Full,
    /// Verifies.
    Verifier,
    /// Tags.
    Marker,
}

impl WorkerKind {
    /// The kind contracts write as `number`.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Full, Self::Verifier, Self::Marker].get(usize::from(number)).copied()
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Verifier => "verifier",
            Self::Marker => "marker",
        }
    }
}

/// What vouches for a worker's enclave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Attestation {
    /// Nothing: a worker of a dev chain.
    Unattested,
    /// Intel SGX.
    Sgx,
    /// Intel TDX.
    Tdx,
}

impl Attestation {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unattested => "unattested",
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }
}

/// Whether a worker may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerStanding {
    /// It may.
    Active,
    /// Its attestation counts no more.
    Expired,
    /// It leaves.
    Leaving,
    /// Its enclave is trusted no more.
    Revoked,
}

impl WorkerStanding {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Leaving => "leaving",
            Self::Revoked => "revoked",
        }
    }
}

/// A registered worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeeWorker {
    /// Its account.
    pub account: Address,
    /// DEV-, SGX- or TDX- and 16 hexadecimal digits.
    pub id: String,
    /// Display name.
    pub name: String,
    /// What it does.
    pub kind: WorkerKind,
    /// What vouches for it.
    pub attestation: Attestation,
    /// Its enclave.
    pub measurement: B256,
    /// Height of its registration.
    pub since: Height,
    /// First block in which its attestation counts no more.
    pub attested_until: Height,
    /// Tokens that vouch for it.
    pub bond: U256,
    /// Whether it may act.
    pub state: WorkerStanding,
    /// First block in which it gets its bond back; none while it has not left.
    pub bond_until: Option<Height>,
}

/// What the tags of a key epoch are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochState {
    /// New tags are made.
    Open,
    /// No new tags, old ones count.
    Closed,
    /// Its tags count no more.
    Suspended,
}

impl EpochState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Suspended => "suspended",
        }
    }
}

/// A key of the tagger group for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEpoch {
    /// Its number.
    pub number: u64,
    /// Who opened it.
    pub opener: Address,
    /// Height of its opening.
    pub opened_at: Height,
    /// What its tags are worth.
    pub state: EpochState,
    /// Columns of files that have tags of it.
    pub columns: u64,
    /// Height at which it was last of use.
    pub used_at: Height,
}

/// When another key epoch may be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEpoch {
    /// Its number.
    pub number: u64,
    /// Block from which on the open one is old; 0 if none is open.
    pub due: Height,
    /// Block from which on its key counts as lost if nothing is done with it until then; 0 if no active worker has it.
    pub lost: Height,
}

/// The key epoch of the tags of each column of a file, where it has some.
pub type TaggedColumns = [Option<u64>; FRAGMENTS];
/// The same as the module writes it.
type TagEpochs = [u64; FRAGMENTS];

/// Every registered worker.
pub async fn tee_workers(chain: &dyn ChainClient) -> Result<Vec<TeeWorker>, ChainError> {
    let found = list_all(chain, TEE, |skip, limit| ITee::listCall { skip, limit }).await?;
    found.into_iter().map(worker).collect()
}

/// The worker of an account, which may have left and not have its bond yet.
pub async fn tee_worker(chain: &dyn ChainClient, account: Address) -> Result<Option<TeeWorker>, ChainError> {
    ask_known(chain, TEE, &ITee::getCall { account }).await?.map(worker).transpose()
}

/// The newest key epochs, the newest first, at most `limit`.
pub async fn key_epochs(chain: &dyn ChainClient, limit: u64) -> Result<Vec<KeyEpoch>, ChainError> {
    let count = ask_module(chain, TEE, &ITee::epochsCall {}).await?;
    let mut found = Vec::new();
    for number in (count.saturating_sub(limit)..count).rev() {
        found.push(epoch(ask_module(chain, TEE, &ITee::epochCall { number }).await?)?);
    }
    Ok(found)
}

/// When another key epoch may be opened.
pub async fn next_key_epoch(chain: &dyn ChainClient) -> Result<NextEpoch, ChainError> {
    let next = ask_module(chain, TEE, &ITee::nextEpochCall {}).await?;
    Ok(NextEpoch { number: next.number, due: next.due, lost: next.lost })
}

/// Active workers that have the key of an epoch.
pub async fn key_holders(chain: &dyn ChainClient, number: u64) -> Result<Vec<Address>, ChainError> {
    ask_module(chain, TEE, &ITee::holdersCall { number }).await
}

/// Which columns of a file have tags.
pub async fn tags_of(chain: &dyn ChainClient, file: FileId) -> Result<TaggedColumns, ChainError> {
    let found = ask_module(chain, TEE, &ITee::tagsOfCall { file: file.into() }).await?;
    Ok(tagged(found))
}

/// The module writes an epoch plus one, and nothing as 0.
fn tagged(epochs: TagEpochs) -> TaggedColumns {
    epochs.map(|epoch| epoch.checked_sub(1))
}

fn worker(worker: ITee::Worker) -> Result<TeeWorker, ChainError> {
    let what = || format!("TEE worker {}", worker.account);
    let kind = WorkerKind::of(worker.kind)
        .ok_or_else(|| ChainError::Malformed(format!("{} is of kind {}", what(), worker.kind)))?;
    let attestation = match worker.attestation {
        0 => Attestation::Unattested,
        1 => Attestation::Sgx,
        2 => Attestation::Tdx,
        other => return Err(ChainError::Malformed(format!("{} has an attestation of kind {other}", what()))),
    };
    let state = match worker.state {
        0 => WorkerStanding::Active,
        1 => WorkerStanding::Expired,
        2 => WorkerStanding::Leaving,
        3 => WorkerStanding::Revoked,
        other => return no_state(&what(), other),
    };
    Ok(TeeWorker {
        account: worker.account,
        id: worker.id,
        name: worker.name,
        kind,
        attestation,
        measurement: worker.measurement,
        since: worker.since,
        attested_until: worker.attestedUntil,
        bond: worker.bond,
        state,
        bond_until: (worker.bondUntil > 0).then_some(worker.bondUntil),
    })
}

fn epoch(epoch: ITee::Epoch) -> Result<KeyEpoch, ChainError> {
    let state = match epoch.state {
        0 => EpochState::Open,
        1 => EpochState::Closed,
        2 => EpochState::Suspended,
        other => return no_state(&format!("key epoch {}", epoch.number), other),
    };
    let ITee::Epoch { number, opener, openedAt: opened_at, columns, usedAt: used_at, .. } = epoch;
    Ok(KeyEpoch { number, opener, opened_at, state, columns, used_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_of_columns_count_from_one() {
        let (first, no) = (Some(0), None);
        let epochs = [1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(tagged(epochs), [first, no, Some(7), no, no, no, no, no, no, no, no, first]);
        assert_eq!(tagged([0; FRAGMENTS]), [None; FRAGMENTS]);
    }

    #[test]
    fn kinds_this_program_does_not_know_are_refused() {
        let made = |kind, attestation, state| {
            worker(ITee::Worker {
                account: Address::repeat_byte(1),
                id: "DEV-0123456789abcdef".into(),
                name: "tee-0".into(),
                kind,
                attestation,
                measurement: B256::ZERO,
                networkKey: B256::ZERO,
                sealKey: B256::ZERO,
                since: 1,
                attestedUntil: 2,
                bond: U256::from(3),
                bondUntil: 0,
                state,
            })
        };
        let known = made(2, 1, 3).unwrap();
        assert_eq!((known.kind.name(), known.attestation.name(), known.state.name()), ("marker", "SGX", "revoked"));
        for refused in [made(3, 0, 0), made(0, 3, 0), made(0, 0, 4)] {
            assert!(matches!(refused, Err(ChainError::Malformed(_))), "{refused:?}");
        }
    }
}
