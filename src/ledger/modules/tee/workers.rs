//! Workers: how they join, renew, pay and leave.
//!
//! Invariants: what workers bonded lies in the module's account until they get it back; the group's list and the workers' places agree; nobody
//! renews an attestation with less than the whole bond.

use super::{
    GROUP_MAX, Kind, Standing, WORKER_NAME_MAX_BYTES, Worker,
    attestation::{Admission, Applicant, admit},
    quote::Hardware,
    state,
};
use crate::{
    crypto::hash::{DOMAIN_TEE_ID, tagged},
    ledger::{
        abi::{ITee, TEE},
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, B256, Height, U256},
};
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::SolEvent;

/// What a caller declares when it registers.
pub(super) struct Registration {
    pub(super) kind: u8,
    pub(super) network_key: B256,
    pub(super) seal_key: B256,
    pub(super) name: String,
    pub(super) attestation: Bytes,
}

/// Registers the caller with the sent value as bond.
pub(super) fn register(host: &mut dyn ModuleHost, given: &Registration) -> Result<(), ModuleError> {
    let (account, bond) = (host.caller(), host.value());
    if Worker::find(host, account)?.is_some() {
        return Err(ModuleError::revert(ITee::AlreadyRegistered { account }));
    }
    let invalid = || ModuleError::revert(ITee::KindInvalid { kind: given.kind });
    let kind = Kind::read(given.kind).ok_or_else(invalid)?;
    check_name(&given.name)?;
    check_bond(host, bond)?;
    let applicant = Applicant { account, network_key: given.network_key, seal_key: given.seal_key };
    let admission = admit(host, &applicant, &given.attestation)?;
    make_room(host)?;

    let place = state().group.push(host, &account)?;
    let slots = state().workers.at_key(&account);
    let (since, attested_until) = (host.height(), attested_until(host));
    let hardware = admission.hardware;
    let worker = Worker { account, place: Some(place), since, attested_until, kind, hardware, slots };
    worker.write_head(host)?;
    write_admission(host, &worker, &admission)?;
    slots.network_key.set(host, &given.network_key)?;
    slots.seal_key.set(host, &given.seal_key)?;
    slots.bond.set(host, &bond)?;
    slots.name.set(host, given.name.as_bytes())?;

    let (id, name) = (id_of(hardware, account, given.network_key), given.name.clone());
    let event = ITee::WorkerRegistered { account, id, name, kind: given.kind, attestedUntil: attested_until };
    host.emit(TEE, event.encode_log_data())
}

/// Renews the caller's attestation; the sent value is added to its bond.
pub(super) fn attest(host: &mut dyn ModuleHost, seal_key: B256, attestation: &[u8]) -> Result<(), ModuleError> {
    let account = host.caller();
    let worker = Worker::require(host, account)?;
    if worker.place.is_none() {
        let state = Standing::Leaving.number();
        return Err(ModuleError::revert(ITee::NotActive { account, state }));
    }
    let bond = worker.slots.bond.get(host)?.saturating_add(host.value());
    check_bond(host, bond)?;
    let network_key = worker.slots.network_key.get(host)?;
    let admission = admit(host, &Applicant { account, network_key, seal_key }, attestation)?;
    let attested_until = attested_until(host);
    let worker = Worker { attested_until, hardware: admission.hardware, ..worker };
    worker.write_head(host)?;
    write_admission(host, &worker, &admission)?;
    worker.slots.seal_key.set(host, &seal_key)?;
    worker.slots.bond.set(host, &bond)?;
    host.emit(TEE, ITee::WorkerAttested { account, attestedUntil: attested_until }.encode_log_data())
}

/// Takes the caller out of the group.
pub(super) fn leave(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let worker = Worker::require(host, account)?;
    match worker.place {
        Some(place) => retire(host, &worker, place),
        None => Err(ModuleError::revert(ITee::NotActive { account, state: Standing::Leaving.number() })),
    }
}

/// Pays the caller's bond.
pub(super) fn withdraw(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    let account = host.caller();
    let worker = Worker::require(host, account)?;
    let until = worker.slots.bond_until.get(host)?;
    if worker.place.is_some() || host.height() < until {
        let until = if worker.place.is_some() { Height::MAX } else { until };
        return Err(ModuleError::revert(ITee::Locked { account, until }));
    }
    let (slots, bond) = (worker.slots, worker.slots.bond.get(host)?);
    slots.head.clear(host)?;
    for word in [slots.measurement, slots.rule, slots.network_key, slots.seal_key] {
        word.clear(host)?;
    }
    slots.bond.clear(host)?;
    slots.bond_until.clear(host)?;
    slots.name.set(host, b"")?;
    host.transfer(TEE, account, bond)?;
    host.emit(TEE, ITee::BondReturned { account, bond }.encode_log_data())
}

/// Active workers that verify, in the order of their registration.
pub(in crate::ledger::modules) fn verifiers(host: &mut dyn ModuleHost) -> Result<Vec<Address>, ModuleError> {
    let mut verifiers = Vec::new();
    for account in state().group.page(host, 0, GROUP_MAX)? {
        let worker = Worker::require(host, account)?;
        if worker.kind.verifies() && worker.standing(host)? == Standing::Active {
            verifiers.push(account);
        }
    }
    Ok(verifiers)
}

/// Takes `amount` of a worker's bond, or what there is of it, and gives it to `to`. Tells how much. A worker that has gone has nothing left.
pub(in crate::ledger::modules) fn fine(
    host: &mut dyn ModuleHost,
    account: Address,
    amount: U256,
    to: Address,
) -> Result<U256, ModuleError> {
    let Some(worker) = Worker::find(host, account)? else { return Ok(U256::ZERO) };
    let bond = worker.slots.bond.get(host)?;
    let taken = amount.min(bond);
    if taken.is_zero() {
        return Ok(taken);
    }
    worker.slots.bond.set(host, &(bond - taken))?;
    host.transfer(TEE, to, taken)?;
    host.emit(TEE, ITee::WorkerFined { account, amount: taken }.encode_log_data())?;
    Ok(taken)
}

/// What a worker is called.
pub(super) fn id_of(hardware: Hardware, account: Address, network_key: B256) -> String {
    let digest = tagged(DOMAIN_TEE_ID, &[account.as_slice(), network_key.as_slice()]);
    format!("{}-{}", hardware.prefix(), hex::encode(&digest[..8]))
}

/// A full group lets the first of its expired workers go.
fn make_room(host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    if state().group.len(host)? < GROUP_MAX {
        return Ok(());
    }
    for (place, account) in (0..).zip(state().group.page(host, 0, GROUP_MAX)?) {
        let worker = Worker::require(host, account)?;
        if worker.standing(host)? != Standing::Active {
            return retire(host, &worker, place);
        }
    }
    Err(ModuleError::revert(ITee::GroupFull { maximum: GROUP_MAX }))
}

/// Those behind it move up, so that the order of registration stays.
fn retire(host: &mut dyn ModuleHost, worker: &Worker, place: u64) -> Result<(), ModuleError> {
    let (group, account) = (state().group, worker.account);
    let last =
        group.len(host)?.checked_sub(1).ok_or_else(|| ModuleError::Fatal("the group of taggers is empty".into()))?;
    for place in place..last {
        let next = group.item(place + 1).get(host)?;
        group.item(place).set(host, &next)?;
        let moved = Worker::require(host, next)?;
        Worker { place: Some(place), ..moved }.write_head(host)?;
    }
    group.item(last).clear(host)?;
    group.set_len(host, last)?;

    let lock = host.params().unbond_lock_eras.saturating_mul(host.params().era_blocks);
    Worker { place: None, ..*worker }.write_head(host)?;
    let until = host.height().saturating_add(lock);
    worker.slots.bond_until.set(host, &until)?;
    let bond = worker.slots.bond.get(host)?;
    host.emit(TEE, ITee::WorkerLeft { account, bond }.encode_log_data())
}

fn write_admission(host: &mut dyn ModuleHost, worker: &Worker, admission: &Admission) -> Result<(), ModuleError> {
    worker.slots.measurement.set(host, &admission.measurement)?;
    worker.slots.rule.set(host, &admission.rule)
}

fn attested_until(host: &dyn ModuleHost) -> Height {
    let blocks = host.params().tee_attestation_eras.saturating_mul(host.params().era_blocks);
    host.height().saturating_add(blocks)
}

fn check_name(name: &str) -> Result<(), ModuleError> {
    let length = name.len();
    if length == 0 || length > WORKER_NAME_MAX_BYTES || name.chars().any(char::is_control) {
        let (length, maximum) = (U256::from(length), U256::from(WORKER_NAME_MAX_BYTES));
        return Err(ModuleError::revert(ITee::NameInvalid { length, maximum }));
    }
    Ok(())
}

fn check_bond(host: &dyn ModuleHost, sent: U256) -> Result<(), ModuleError> {
    let required = host.params().tee_bond.0;
    if sent < required {
        return Err(ModuleError::revert(ITee::BondTooLow { sent, required }));
    }
    Ok(())
}
