//! The module's variables, in Solidity's layout.
//!
//! Owns where things lie. Must not know rules. Invariant: slots are only ever added at the end.

use super::RING;
use crate::{
    ledger::{
        abi::AUDITS,
        modules::storage::{Array, Mapping, Place, Slot, Vector, layout},
    },
    types::{Address, B256, U256, params::VERIFIERS},
};

const RING_SLOTS: usize = 16;
const _: () = assert!(RING_SLOTS as u64 == RING);

layout! {
    /// Accounts that may be drawn, TEE workers first: `struct { uint64 workers; address[] members; }`
    pub(super) struct SetSlots {
        workers: Slot<u64>,
        members: Vector<Slot<Address>>,
    }
}

layout! {
    /// What committees said of a miner in a round:
    /// `struct { uint64 round; uint64 votes; uint64 decidedAt; uint64 flags; uint64 idle; uint64 service; uint64 segments; uint64 consumed;
    /// uint256 fined; bytes32 answers; }`, the last being the digest of what the miner committed to in the round.
    pub(super) struct BallotSlots {
        head: Slot<(u64, u64, u64, u64)>,
        base: Slot<(u64, u64, u64, u64)>,
        fined: Slot<U256>,
        answers: Slot<B256>,
    }
}

layout! {
    /// A miner: `struct { uint64 passed; uint64 faults; uint64 lastPass; uint64 run; uint256 fined; uint64 batch; uint64 draw; uint64 votes;
    /// uint256[] epochs; Ballot[16] ballots; }`
    pub(super) struct MinerSlots {
        tally: Slot<(u64, u64, u64, u64)>,
        fined: Slot<U256>,
        idle: Slot<(u64, u64, u64)>,
        epochs: Vector<Slot<U256>>,
        ballots: Array<BallotSlots, RING_SLOTS>,
    }
}

layout! {
    /// An appeal: `struct { address appellant; uint64 until; uint32 state; address miner; uint64 round; uint64 era; uint64 votes; uint64 verdicts;
    /// uint64 ballots; uint256 deposit; uint256 seen; address[7] members; mapping(uint64 => uint64) counts; }`
    pub(super) struct AppealSlots {
        who: Slot<(Address, u64, u32)>,
        what: Slot<(Address, u64)>,
        ballot: Slot<(u64, u64, u64, u64)>,
        deposit: Slot<U256>,
        seen: Slot<U256>,
        members: Array<Slot<Address>, VERIFIERS>,
        counts: Mapping<u64, Slot<u64>>,
    }
}

layout! {
    /// The module's variables from slot 0. A round is `struct { uint64 number; uint64 openedMs; uint64 answeredMs; uint64 set; }`.
    pub(super) struct State {
        newest_set: Slot<u64>,
        rounds: Array<Slot<(u64, u64, u64, u64)>, RING_SLOTS>,
        sets: Array<SetSlots, RING_SLOTS>,
        miners: Mapping<Address, MinerSlots>,
        appeals: Vector<AppealSlots>,
    }
}

/// All variables.
pub(super) fn state() -> State {
    State::at(AUDITS, U256::ZERO)
}

/// What is kept of a miner.
pub(super) fn miner(account: Address) -> MinerSlots {
    state().miners.at_key(&account)
}

/// What is kept of a miner's round.
pub(super) fn ballot(account: Address, round: u64) -> BallotSlots {
    miner(account).ballots.item(round % RING)
}
