//! The TEE module: who may tag and verify, by which attestation, with which keys.
//!
//! Owns workers and their bonds, the list of measurements, collateral, key epochs and which columns of files are tagged. Must not know how
//! audits end. Invariants: a worker is active only while its attestation lasts and its measurement is on the list, which follows from heights
//! and state without anything having to happen; a group has [`GROUP_MAX`] workers at most; at most one epoch is open, the newest, and
//! it is replaced only when it is old or nobody has its key; a column has tags of one epoch, its holder signed for them, and the epochs' counts
//! agree with the columns.

mod attestation;
mod dispatch;
mod epochs;
mod measurements;
mod quote;
mod rules;
mod tags;
mod views;
mod workers;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Mapping, Place, Slot, Text, Vector, layout},
};
use crate::{
    ledger::abi::{ITee, TEE},
    types::{Address, B256, Height, U256},
};

pub use attestation::{COLLATERAL_MAX_BYTES, QUOTE_MAX_BYTES, QuoteAttestation, report_data};
pub(super) use dispatch::dispatch;
pub use epochs::SEALED_MAX_BYTES;
pub(super) use epochs::suspend;
pub use quote::{Evidence, Hardware, QuoteError, verify_quote};
pub(super) use rules::install;
pub use rules::{EnclaveSigner, Platform, TcbStatus, TeeRules, VirtualMachine};
pub use tags::CERTIFY_MAX_FILES;
pub(super) use tags::{forget_column, forget_file};
pub(super) use workers::{fine, verifiers};

/// Workers that share the keys of a group.
pub const GROUP_MAX: u64 = 64;
/// Longest display name.
pub const WORKER_NAME_MAX_BYTES: usize = 64;

layout! {
    /// `number` is the worker's place in the group plus one; 0 once it left. `traits` is its kind and, from bit 8 on, its attestation. A
    /// worker that left has its bond until it is paid:
    /// `struct { uint64 number; uint64 since; uint64 attestedUntil; uint8 kind; uint8 attestation; bytes32 measurement; bytes32 rule;
    /// bytes32 networkKey; bytes32 sealKey; uint256 bond; uint64 bondUntil; string name; }`
    struct WorkerSlots {
        head: Slot<(u64, u64, u64, u64)>,
        measurement: Slot<B256>,
        rule: Slot<B256>,
        network_key: Slot<B256>,
        seal_key: Slot<B256>,
        bond: Slot<U256>,
        bond_until: Slot<u64>,
        name: Text,
    }
}

layout! {
    /// `sealedTo` is the seal key under which a worker got the epoch's key:
    /// `struct { address opener; uint64 openedAt; uint32 state; uint64 columns; uint64 usedAt; bytes32 srs; bytes32 digest; bytes key;
    /// mapping(address => bytes32) sealedTo; }`
    struct EpochSlots {
        head: Slot<(Address, u64, u32)>,
        work: Slot<(u64, u64)>,
        srs: Slot<B256>,
        digest: Slot<B256>,
        key: Text,
        sealed_to: Mapping<Address, Slot<B256>>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        group: Vector<Slot<Address>>,
        workers: Mapping<Address, WorkerSlots>,
        /// R_0, which names the chain.
        genesis: Slot<B256>,
        /// What of platforms the chain puts up with, see `rules`.
        platform: Slot<u64>,
        /// What the list says of a measurement, and from which security version on.
        measurements: Mapping<B256, Slot<(u64, u64)>>,
        /// Era and number of the votes for a proposal.
        votes: Mapping<B256, Slot<(u64, u64)>>,
        /// The era a seat voted for a proposal in, plus one.
        voted: Mapping<B256, Mapping<Address, Slot<u64>>>,
        collateral: Mapping<B256, Text>,
        epochs: Vector<EpochSlots>,
        /// Epochs by the digest of their key, plus one.
        keys: Mapping<B256, Slot<u64>>,
        /// Epoch plus one of each column's tags, 20 bits each.
        tags: Mapping<B256, Slot<U256>>,
    }
}

fn state() -> State {
    State::at(TEE, U256::ZERO)
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Full,
    Verifier,
    Marker,
}

impl Kind {
    fn read(number: u8) -> Option<Self> {
        [Self::Full, Self::Verifier, Self::Marker].into_iter().find(|kind| kind.number() == number)
    }

    fn number(self) -> u8 {
        match self {
            Self::Full => 0,
            Self::Verifier => 1,
            Self::Marker => 2,
        }
    }

    fn verifies(self) -> bool {
        self != Self::Marker
    }

    fn tags(self) -> bool {
        self != Self::Verifier
    }
}

/// Where a worker is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Active,
    Expired,
    Leaving,
    Revoked,
}

impl Standing {
    fn number(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Expired => 1,
            Self::Leaving => 2,
            Self::Revoked => 3,
        }
    }
}

/// A worker as found in storage.
#[derive(Clone, Copy)]
struct Worker {
    account: Address,
    /// Its place in the group; none once it left.
    place: Option<u64>,
    since: Height,
    attested_until: Height,
    kind: Kind,
    hardware: Hardware,
    slots: WorkerSlots,
}

impl Worker {
    /// The worker of `account`, which may have left and not have its bond yet.
    fn find(host: &mut dyn ModuleHost, account: Address) -> Result<Option<Self>, ModuleError> {
        let slots = state().workers.at_key(&account);
        let (number, since, attested_until, traits) = slots.head.get(host)?;
        if since == 0 {
            return Ok(None);
        }
        let [kind, hardware, ..] = traits.to_le_bytes();
        let read = Kind::read(kind).zip(Hardware::read(hardware));
        let (kind, hardware) = read.ok_or_else(|| ModuleError::Fatal(format!("TEE worker {account} is {traits:x}")))?;
        Ok(Some(Self { account, place: number.checked_sub(1), since, attested_until, kind, hardware, slots }))
    }

    fn require(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        Self::find(host, account)?.ok_or_else(|| ModuleError::revert(ITee::UnknownWorker { account }))
    }

    /// An active worker, or a refusal.
    fn active(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        let worker = Self::require(host, account)?;
        match worker.standing(host)? {
            Standing::Active => Ok(worker),
            other => Err(ModuleError::revert(ITee::NotActive { account, state: other.number() })),
        }
    }

    /// An active worker that holds the group's keys, or a refusal.
    fn tagger(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        let worker = Self::active(host, account)?;
        if worker.kind.tags() { Ok(worker) } else { Err(ModuleError::revert(ITee::NotTagger { account })) }
    }

    fn standing(&self, host: &mut dyn ModuleHost) -> Result<Standing, ModuleError> {
        if self.place.is_none() {
            return Ok(Standing::Leaving);
        }
        if self.hardware != Hardware::None && self.is_revoked(host)? {
            return Ok(Standing::Revoked);
        }
        Ok(if host.height() < self.attested_until { Standing::Active } else { Standing::Expired })
    }

    fn is_revoked(&self, host: &mut dyn ModuleHost) -> Result<bool, ModuleError> {
        let (measurement, rule) = (self.slots.measurement.get(host)?, self.slots.rule.get(host)?);
        Ok(measurements::is_revoked(host, measurement)?
            || (rule != measurement && measurements::is_revoked(host, rule)?))
    }

    fn write_head(&self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        let number = self.place.map_or(0, |place| place + 1);
        let traits = u64::from(u16::from_le_bytes([self.kind.number(), self.hardware.number()]));
        self.slots.head.set(host, &(number, self.since, self.attested_until, traits))
    }
}

#[cfg(test)]
mod tests;
