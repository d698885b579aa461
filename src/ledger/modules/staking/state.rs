//! The module's variables, in Solidity's layout.
//!
//! Owns where things lie. Must not know rules. Invariant: slots are only ever added at the end.

use super::ring::RING_SLOTS;
use crate::{
    ledger::{
        abi::STAKING,
        modules::storage::{Array, Mapping, Place, Slot, Vector, layout},
    },
    types::{Address, B256, U256},
};

layout! {
    /// A seat with what it was won by:
    /// `struct { address account; uint64 power; bytes32 consensusKey; bytes32 vrfKey; bytes32 networkKey; uint256 stake;
    /// uint64 score; uint64 credit; uint64 stakeScore; uint64 random; uint64 registeredAt; uint64 revealedAt; }`
    pub(super) struct SeatSlots {
        head: Slot<(Address, u64)>,
        consensus_key: Slot<B256>,
        vrf_key: Slot<B256>,
        network_key: Slot<B256>,
        stake: Slot<U256>,
        scores: Slot<(u64, u64, u64, u64)>,
        origin: Slot<(u64, u64)>,
    }
}

layout! {
    /// `struct { bytes32 seed; uint64 electedAt; uint64 qualified; uint64 kept; address runnerUp; uint64 runnerUpScore;
    /// uint64 points; uint64 workPoints; uint256 minted; uint256 slashed; Seat[] committee; address[] equivocators; }`
    pub(super) struct EraSlots {
        seed: Slot<B256>,
        election: Slot<(u64, u64, u64)>,
        runner_up: Slot<(Address, u64)>,
        points: Slot<(u64, u64)>,
        minted: Slot<U256>,
        slashed: Slot<U256>,
        committee: Vector<SeatSlots>,
        equivocators: Vector<Slot<Address>>,
    }
}

layout! {
    /// One validator in one era:
    /// `struct { Turns turns; Reveal reveal; Credit credit; bytes32 output; Work work; uint64 replaced; uint256 reward;
    /// uint256 slashed; uint256 equivocation; }` with `struct Turns { uint64 proposed; uint64 missed; uint64 punishments; }`,
    /// `struct Reveal { uint64 at; uint64 random; }`, `struct Credit { uint64 points; uint64 value; }` and
    /// `struct Work { uint64 tagged; uint64 idleCertified; uint64 serviceVerified; uint64 idleVerified; }`
    pub(super) struct ActivitySlots {
        turns: Slot<(u64, u64, u64)>,
        reveal: Slot<(u64, u64)>,
        credit: Slot<(u64, u64)>,
        output: Slot<B256>,
        work: Slot<(u64, u64, u64, u64)>,
        replaced: Slot<u64>,
        reward: Slot<U256>,
        slashed: Slot<U256>,
        equivocation: Slot<U256>,
    }
}

layout! {
    /// A staker. `number` is its index among the candidates plus one, 0 for none; `seated_until` the last era it was elected for
    /// plus one, 0 for never:
    /// `struct { uint64 number; uint64 registeredAt; uint64 seatedUntil; uint64 unlockEra; uint64 jailReason; uint64 jailedUntil;
    /// uint256 bonded; uint256 unbonding; bytes32 consensusKey; bytes32 vrfKey; bytes32 networkKey;
    /// mapping(uint64 => Activity) eras; mapping(uint64 => uint64) offences; }`
    pub(super) struct StakerSlots {
        head: Slot<(u64, u64, u64, u64)>,
        jail: Slot<(u64, u64)>,
        bonded: Slot<U256>,
        unbonding: Slot<U256>,
        consensus_key: Slot<B256>,
        vrf_key: Slot<B256>,
        network_key: Slot<B256>,
        eras: Mapping<u64, ActivitySlots>,
        offences: Mapping<u64, Slot<u64>>,
    }
}

layout! {
    /// The module's variables from slot 0.
    pub(super) struct State {
        newest: Slot<u64>,
        ring: Array<Slot<B256>, RING_SLOTS>,
        minted: Slot<U256>,
        burnt: Slot<U256>,
        candidates: Vector<Slot<Address>>,
        stakers: Mapping<Address, StakerSlots>,
        consensus_keys: Mapping<B256, Slot<Address>>,
        vrf_keys: Mapping<B256, Slot<Address>>,
        network_keys: Mapping<B256, Slot<Address>>,
        eras: Mapping<u64, EraSlots>,
    }
}

/// All variables.
pub(super) fn state() -> State {
    State::at(STAKING, U256::ZERO)
}

/// What is kept of a staker.
pub(super) fn staker(account: Address) -> StakerSlots {
    state().stakers.at_key(&account)
}

/// What is kept of an era.
pub(super) fn era(era: u64) -> EraSlots {
    state().eras.at_key(&era)
}

/// What is kept of a staker in an era.
pub(super) fn activity(account: Address, era: u64) -> ActivitySlots {
    staker(account).eras.at_key(&era)
}
