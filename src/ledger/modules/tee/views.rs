//! What the module shows.

use super::{
    GROUP_MAX, Worker,
    attestation::{Applicant, expected_data},
    epochs::{Tenure, epoch, holders, standing, tenure},
    measurements, state,
    tags::tags,
    workers::id_of,
};
use crate::{
    ledger::{
        abi::ITee,
        modules::host::{ModuleError, ModuleHost},
    },
    types::{Address, B256, FileId, Height, params::FRAGMENTS},
};
use alloy_primitives::Bytes;

pub(super) fn count(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    state().group.len(host)
}

pub(super) fn list(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<ITee::Worker>, ModuleError> {
    let accounts = state().group.page(host, skip, limit.min(GROUP_MAX))?;
    accounts.into_iter().map(|account| get(host, account)).collect()
}

pub(super) fn get(host: &mut dyn ModuleHost, account: Address) -> Result<ITee::Worker, ModuleError> {
    let worker = Worker::require(host, account)?;
    let (slots, network_key) = (worker.slots, worker.slots.network_key.get(host)?);
    Ok(ITee::Worker {
        account,
        id: id_of(worker.hardware, account, network_key),
        name: slots.name.get(host)?,
        kind: worker.kind.number(),
        attestation: worker.hardware.number(),
        measurement: slots.measurement.get(host)?,
        networkKey: network_key,
        sealKey: slots.seal_key.get(host)?,
        since: worker.since,
        attestedUntil: worker.attested_until,
        bond: slots.bond.get(host)?,
        state: worker.standing(host)?.number(),
        bondUntil: slots.bond_until.get(host)?,
    })
}

pub(super) fn epochs(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    state().epochs.len(host)
}

pub(super) fn epoch_at(host: &mut dyn ModuleHost, number: u64) -> Result<ITee::Epoch, ModuleError> {
    let slots = epoch(host, number)?;
    let (opener, opened_at, _) = slots.head.get(host)?;
    let (columns, used_at) = slots.work.get(host)?;
    Ok(ITee::Epoch {
        number,
        opener,
        openedAt: opened_at,
        state: standing(host, slots)?.number(),
        key: slots.key.get_bytes(host)?.into(),
        srs: slots.srs.get(host)?,
        columns,
        usedAt: used_at,
    })
}

pub(super) fn holders_of(host: &mut dyn ModuleHost, number: u64) -> Result<Vec<Address>, ModuleError> {
    let slots = epoch(host, number)?;
    holders(host, slots)
}

pub(super) fn next_epoch(host: &mut dyn ModuleHost) -> Result<ITee::nextEpochReturn, ModuleError> {
    let (number, tenure) = (epochs(host)?, tenure(host)?);
    let Tenure { due, lost, .. } = tenure.unwrap_or_default();
    Ok(ITee::nextEpochReturn { number, due, lost })
}

pub(super) fn tags_of(host: &mut dyn ModuleHost, file: FileId) -> Result<[u64; FRAGMENTS], ModuleError> {
    Ok(tags(host, file)?.map(|epoch| epoch.map_or(0, |epoch| epoch + 1)))
}

pub(super) fn collateral(host: &mut dyn ModuleHost, digest: B256) -> Result<Bytes, ModuleError> {
    Ok(state().collateral.at_key(&digest).get_bytes(host)?.into())
}

pub(super) fn measurement(host: &mut dyn ModuleHost, digest: B256) -> Result<ITee::measurementReturn, ModuleError> {
    let entry = measurements::read(host, digest)?;
    let svn = match entry {
        measurements::Entry::Allowed { svn } => svn,
        _ => 0,
    };
    Ok(ITee::measurementReturn { state: entry.number(), svn })
}

pub(super) fn report_data(
    host: &mut dyn ModuleHost,
    account: Address,
    network_key: B256,
    seal_key: B256,
    height: Height,
) -> Result<B256, ModuleError> {
    expected_data(host, &Applicant { account, network_key, seal_key }, height)
}
