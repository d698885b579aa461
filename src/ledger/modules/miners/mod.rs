//! The miners module: who lends how much space, against which collateral, and what stands in that space.
//!
//! Owns registration, capacity and collateral, how much of each miner's space files use, which files it holds a column of, and its
//! idle space. Must not know files beyond their ids. Invariants: the module's account holds exactly the collateral and the pots of all
//! miners; used plus idle space never exceeds the capacity; a registration ends only when nothing is held; the candidates array and
//! the positions in the miners mapping agree, as do the leaving array and theirs; the total is the sum of all capacities of active miners.

mod dispatch;
mod fines;
mod holdings;
mod idle;
mod leaving;
mod registration;
mod space;
mod standing;
mod views;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Array, Mapping, Place, Slot, Text, Vector, layout},
};
use crate::{
    ledger::abi::{IMiners, MINERS},
    types::{Address, B256, Height, U256},
};
pub(super) use dispatch::dispatch;
pub(super) use fines::{fine, pay_bounty, pot_share, undo_fine};
pub(super) use holdings::{drop_holding, hold, holding, holdings_len};
pub(super) use idle::{BatchState, decide_idle, idle_batch, segments};
pub(super) use leaving::{force_out, leaving, leaving_len, reinstate};
pub use registration::required_collateral;
pub(super) use registration::{required, total_capacity};
pub(super) use space::{free_space, room, take_space};
pub(super) use standing::{Standing, standing};
pub(super) use views::{account_key, candidates, operator, prefix, set_strikes, since, state_of};

/// Longest display name.
pub const MINER_NAME_MAX_BYTES: usize = 64;
/// Most entries one list answers with.
pub const LIST_MAX_MINERS: u64 = 1_000;

layout! {
    /// What placement reads of a miner, in two slots:
    /// `struct { address account; uint64 since; uint32 prefix; address operator; uint64 weight; }`
    struct CandidateSlots {
        head: Slot<(Address, u64, u32)>,
        offer: Slot<(Address, u64)>,
    }
}

layout! {
    /// The rest of a miner. `number` is its index among the candidates plus one, 0 if it is not registered; `leaving` is its index among
    /// those that leave and hold something plus one; `consumed` counts bytes of idle space. `before` is what a round of audits began with,
    /// by the round's parity, with the round's number plus one.
    /// `struct { uint64 number; uint64 leftAt; uint64 leaving; uint32 state; uint32 strikes;
    /// uint64 used; uint64 capacity; uint64 segments; uint64 consumed; struct { uint64 used; uint64 segments; uint64 consumed; uint64 round; }[2] before;
    /// uint256 collateral; uint256 pot; bytes32 networkKey; bytes32 accountKey; bytes32 idleSeed; string name; bytes32[] holdings; }`
    struct MinerSlots {
        head: Slot<(u64, u64, u64, u32, u32)>,
        space: Slot<(u64, u64, u64, u64)>,
        before: Array<Slot<(u64, u64, u64, u64)>, 2>,
        collateral: Slot<U256>,
        pot: Slot<U256>,
        network_key: Slot<B256>,
        account_key: Slot<B256>,
        idle_seed: Slot<B256>,
        name: Text,
        holdings: Vector<Slot<B256>>,
    }
}

layout! {
    /// A segment of idle space: `struct { uint64 number; bytes32 root; }`
    struct SegmentSlots {
        number: Slot<u64>,
        root: Slot<B256>,
    }
}

layout! {
    /// Idle space of an account, which outlives its registrations. `base` is the index of the first segment of the present one, `waiting`
    /// the batch that waits plus one. Segments of that batch are at the end of the array.
    /// `struct { uint64 batches; uint64 next; uint64 base; uint64 waiting; Segment[] segments; mapping(uint64 => Batch) batch; }`
    struct IdleSlots {
        head: Slot<(u64, u64, u64, u64)>,
        segments: Vector<SegmentSlots>,
        /// `struct Batch { uint64 first; uint64 height; uint32 count; uint32 state; }`
        batch: Mapping<u64, Slot<(u64, u64, u32, u32)>>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        candidates: Vector<CandidateSlots>,
        miners: Mapping<Address, MinerSlots>,
        capacity: Slot<U256>,
        leaving: Vector<Slot<Address>>,
        idle: Mapping<Address, IdleSlots>,
    }
}

fn state() -> State {
    State::at(MINERS, U256::ZERO)
}

/// Where a registered miner is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MinerState {
    /// It takes fragments.
    Active,
    /// It leaves because it wants to.
    Exiting,
    /// It was forced out.
    Lost,
}

impl MinerState {
    fn from_word(word: u32) -> Self {
        match word {
            0 => Self::Active,
            1 => Self::Exiting,
            _ => Self::Lost,
        }
    }

    fn word(self) -> u32 {
        self.code().into()
    }

    /// As contracts write it.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Active => 0,
            Self::Exiting => 1,
            Self::Lost => 2,
        }
    }
}

/// A registered miner as found in storage.
#[derive(Clone, Copy)]
struct Entry {
    account: Address,
    /// Index among the candidates.
    index: u64,
    left_at: Height,
    /// Index among those that leave.
    leaving: Option<u64>,
    state: MinerState,
    strikes: u32,
}

impl Entry {
    /// A miner, if the account is one.
    fn find(host: &mut dyn ModuleHost, account: Address) -> Result<Option<Self>, ModuleError> {
        let (number, left_at, leaving, state, strikes) = state().miners.at_key(&account).head.get(host)?;
        Ok(number.checked_sub(1).map(|index| Self {
            account,
            index,
            left_at,
            leaving: leaving.checked_sub(1),
            state: MinerState::from_word(state),
            strikes,
        }))
    }

    /// A miner. Reverts if the account is none.
    fn read(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        Self::find(host, account)?.ok_or_else(|| ModuleError::revert(IMiners::UnknownMiner { account }))
    }

    /// A miner that does not leave. Reverts if the account is none.
    fn read_active(host: &mut dyn ModuleHost, account: Address) -> Result<Self, ModuleError> {
        let entry = Self::read(host, account)?;
        match entry.state {
            MinerState::Active => Ok(entry),
            state => Err(ModuleError::revert(IMiners::NotActive { account, state: state.code() })),
        }
    }

    fn write(&self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        let leaving = self.leaving.map_or(0, |place| place + 1);
        let head = (self.index + 1, self.left_at, leaving, self.state.word(), self.strikes);
        self.slots().head.set(host, &head)
    }

    fn slots(&self) -> MinerSlots {
        state().miners.at_key(&self.account)
    }

    fn candidate(&self) -> CandidateSlots {
        state().candidates.item(self.index)
    }
}

#[cfg(test)]
mod tests;
