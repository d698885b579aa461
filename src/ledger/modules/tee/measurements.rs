//! The list of measurements, and the validators' votes about it.
//!
//! Invariants: a vote counts in the era it is given in, for seats of that era, once; what is revoked may be allowed again, by as many votes.

use super::{quote::Evidence, state};
use crate::{
    consensus::Calendar,
    crypto::hash::{DOMAIN_TEE_MEASUREMENT, tagged},
    ledger::{
        abi::{ITee, TEE},
        audit::quorum,
        modules::{
            host::{ModuleError, ModuleHost},
            staking,
        },
    },
    types::{Address, B256},
};
use alloy_sol_types::SolEvent;

/// What the list says of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    Unknown,
    /// From this security version on.
    Allowed {
        svn: u16,
    },
    Revoked,
}

impl Entry {
    fn word(self) -> (u64, u64) {
        match self {
            Self::Unknown => (0, 0),
            Self::Allowed { svn } => (1, u64::from(svn)),
            Self::Revoked => (2, 0),
        }
    }

    /// As the interface numbers it.
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Allowed { .. } => 1,
            Self::Revoked => 2,
        }
    }
}

pub(super) fn write(host: &mut dyn ModuleHost, measurement: B256, entry: Entry) -> Result<(), ModuleError> {
    state().measurements.at_key(&measurement).set(host, &entry.word())
}

pub(super) fn read(host: &mut dyn ModuleHost, measurement: B256) -> Result<Entry, ModuleError> {
    let (number, svn) = state().measurements.at_key(&measurement).get(host)?;
    let broken = || ModuleError::Fatal(format!("measurement {measurement} is listed as {number} from {svn} on"));
    match number {
        0 => Ok(Entry::Unknown),
        1 => Ok(Entry::Allowed { svn: u16::try_from(svn).map_err(|_| broken())? }),
        2 => Ok(Entry::Revoked),
        _ => Err(broken()),
    }
}

pub(super) fn is_revoked(host: &mut dyn ModuleHost, measurement: B256) -> Result<bool, ModuleError> {
    Ok(read(host, measurement)? == Entry::Revoked)
}

/// The entry that lets an enclave in: that of its measurement, or that of its signer.
pub(super) fn rule_for(host: &mut dyn ModuleHost, evidence: &Evidence) -> Result<Option<B256>, ModuleError> {
    match read(host, evidence.measurement)? {
        Entry::Allowed { .. } => return Ok(Some(evidence.measurement)),
        Entry::Revoked => return Ok(None),
        Entry::Unknown => {}
    }
    let Some((rule, version)) = evidence.signer else { return Ok(None) };
    let entry = read(host, rule)?;
    Ok(matches!(entry, Entry::Allowed { svn } if version >= svn).then_some(rule))
}

/// A seat's vote to put a measurement on the list.
pub(super) fn allow(host: &mut dyn ModuleHost, measurement: B256, svn: u16) -> Result<(), ModuleError> {
    let proposal = tagged(DOMAIN_TEE_MEASUREMENT, &[b"allow", measurement.as_slice(), &svn.to_le_bytes()]);
    if vote(host, proposal.into(), measurement)? {
        write(host, measurement, Entry::Allowed { svn })?;
        host.emit(TEE, ITee::MeasurementAllowed { measurement, svn }.encode_log_data())?;
    }
    Ok(())
}

/// A seat's vote to take a measurement off the list.
pub(super) fn revoke(host: &mut dyn ModuleHost, measurement: B256) -> Result<(), ModuleError> {
    let proposal = tagged(DOMAIN_TEE_MEASUREMENT, &[b"revoke", measurement.as_slice()]);
    if vote(host, proposal.into(), measurement)? {
        write(host, measurement, Entry::Revoked)?;
        host.emit(TEE, ITee::MeasurementRevoked { measurement }.encode_log_data())?;
    }
    Ok(())
}

/// Counts the caller's vote for a proposal; tells whether it is carried with it.
fn vote(host: &mut dyn ModuleHost, proposal: B256, measurement: B256) -> Result<bool, ModuleError> {
    let (account, era) = (host.caller(), Calendar::of(host.params()).era(host.height()));
    let seats = seats_of_era(host, era)?;
    if !seats.contains(&account) {
        return Err(ModuleError::revert(ITee::NotSeated { account }));
    }
    let voted = state().voted.at_key(&proposal).at_key(&account);
    if voted.get(host)? == era + 1 {
        return Err(ModuleError::revert(ITee::AlreadyVoted { account, measurement }));
    }
    voted.set(host, &(era + 1))?;
    let votes = state().votes.at_key(&proposal);
    let before = match votes.get(host)? {
        (counted, votes) if counted == era => votes,
        _ => 0,
    };
    let needed = u64::try_from(quorum(seats.len())).expect("a committee has few seats");
    votes.set(host, &(era, before + 1))?;
    Ok(before + 1 == needed)
}

fn seats_of_era(host: &mut dyn ModuleHost, era: u64) -> Result<Vec<Address>, ModuleError> {
    let committee = staking::committee_of_era(host, era)?;
    Ok(committee.members.iter().map(|member| member.account).collect())
}
