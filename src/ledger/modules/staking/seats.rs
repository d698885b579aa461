//! The committees of all eras and what each seat was won by.
//!
//! Owns writing and reading them. Must not know how seats are won. Invariant: a committee is sorted by account, as consensus
//! wants it, and is written once.

use super::{
    ValidatorSeat, power_of,
    registry::words,
    state::{SeatSlots, era, staker},
};
use crate::{
    consensus::{
        Committee, ValidatorInfo, ValidatorKeys,
        election::{Scores, Standing},
    },
    crypto::{PublicKey, VrfPublicKey},
    ledger::modules::host::{ModuleError, ModuleHost},
    types::{Address, Height, U256},
};

/// A seat and what it was won by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elected {
    pub(super) account: Address,
    pub(super) keys: ValidatorKeys,
    pub(super) stake: U256,
    pub(super) scores: Scores,
    pub(super) registered_at: Height,
    pub(super) revealed_at: Height,
}

impl Elected {
    /// A seat of genesis, which nobody had to win.
    pub(super) fn genesis(seat: &ValidatorSeat) -> Self {
        Self {
            account: seat.account,
            keys: ValidatorKeys {
                consensus: PublicKey(seat.consensus_key),
                vrf: VrfPublicKey(seat.vrf_key),
                network: PublicKey(seat.network_key),
            },
            stake: seat.stake,
            scores: Scores::default(),
            registered_at: 0,
            revealed_at: 0,
        }
    }

    /// A seat won in an election.
    pub(super) fn new(standing: &Standing, scores: Scores, keys: ValidatorKeys, revealed_at: Height) -> Self {
        let Standing { account, stake, registered_at, .. } = *standing;
        Self { account, keys, stake, scores, registered_at, revealed_at }
    }

    pub(super) fn power(&self) -> u64 {
        power_of(self.stake)
    }
}

/// Writes the committee of an era. `elected` is sorted by account.
pub(super) fn write(host: &mut dyn ModuleHost, number: u64, elected: &[Elected]) -> Result<(), ModuleError> {
    let committee = era(number).committee;
    for seat in elected {
        let index = committee.grow(host)?;
        write_seat(host, committee.item(index), seat)?;
        let head = staker(seat.account).head;
        let (candidate, registered_at, seated_until, unlock_era) = head.get(host)?;
        head.set(host, &(candidate, registered_at, seated_until.max(number + 1), unlock_era))?;
    }
    Ok(())
}

fn write_seat(host: &mut dyn ModuleHost, place: SeatSlots, seat: &Elected) -> Result<(), ModuleError> {
    let [consensus, vrf, network] = words(&seat.keys);
    place.head.set(host, &(seat.account, seat.power()))?;
    place.consensus_key.set(host, &consensus)?;
    place.vrf_key.set(host, &vrf)?;
    place.network_key.set(host, &network)?;
    place.stake.set(host, &seat.stake)?;
    let Scores { credit, stake, random, total } = seat.scores;
    place.scores.set(host, &(total, credit, stake, random))?;
    place.origin.set(host, &(seat.registered_at, seat.revealed_at))
}

/// The seats of an era; none if it is not decided yet.
pub(super) fn read(host: &mut dyn ModuleHost, number: u64) -> Result<Vec<Elected>, ModuleError> {
    let committee = era(number).committee;
    (0..committee.len(host)?).map(|index| read_seat(host, committee.item(index))).collect()
}

fn read_seat(host: &mut dyn ModuleHost, place: SeatSlots) -> Result<Elected, ModuleError> {
    let (account, _) = place.head.get(host)?;
    let (total, credit, stake, random) = place.scores.get(host)?;
    let (registered_at, revealed_at) = place.origin.get(host)?;
    Ok(Elected {
        account,
        keys: ValidatorKeys {
            consensus: PublicKey(place.consensus_key.get(host)?.0),
            vrf: VrfPublicKey(place.vrf_key.get(host)?.0),
            network: PublicKey(place.network_key.get(host)?.0),
        },
        stake: place.stake.get(host)?,
        scores: Scores { credit, stake, random, total },
        registered_at,
        revealed_at,
    })
}

/// The accounts of an era's seats, in their order.
pub(in crate::ledger::modules) fn accounts_of_era(
    host: &mut dyn ModuleHost,
    number: u64,
) -> Result<Vec<Address>, ModuleError> {
    let committee = era(number).committee;
    (0..committee.len(host)?).map(|index| Ok(committee.item(index).head.get(host)?.0)).collect()
}

/// The seat of `account` in an era, without reading the others' keys.
pub(super) fn of_account(
    host: &mut dyn ModuleHost,
    number: u64,
    account: Address,
) -> Result<Option<Elected>, ModuleError> {
    let committee = era(number).committee;
    for index in 0..committee.len(host)? {
        let place = committee.item(index);
        if place.head.get(host)?.0 == account {
            return read_seat(host, place).map(Some);
        }
    }
    Ok(None)
}

/// The committee of an era as consensus takes it.
pub(in crate::ledger::modules) fn committee_of_era(
    host: &mut dyn ModuleHost,
    number: u64,
) -> Result<Committee, ModuleError> {
    let member = |seat: Elected| ValidatorInfo {
        account: seat.account,
        consensus_key: seat.keys.consensus,
        vrf_key: seat.keys.vrf,
        network_key: seat.keys.network,
        power: seat.power(),
    };
    let members = read(host, number)?.into_iter().map(member).collect();
    Committee::new(members).map_err(|error| ModuleError::Fatal(format!("committee of era {number}: {error}")))
}
