//! The end of a repair: the claimer shows the column, and it is the claimer's.
//!
//! Must not know how a column is made again. Invariant: space, holdings and bounty move together with the column.

use super::{
    super::{
        files::{self, MANIFEST_BYTE_GAS},
        host::{ModuleError, ModuleHost},
        miners, tee,
    },
    claims::{self, Open},
    surrender,
};
use crate::{
    crypto::hash,
    ledger::{
        abi::{IRepair, REPAIR},
        manifest::Manifest,
        modules::staking,
        repair::Claim,
    },
    proofs::spot,
    types::{FileId, U256},
};
use alloy_sol_types::SolEvent;

/// Gas for each byte of the openings: a chunk and the nodes beside its path are hashed.
const SPOT_BYTE_GAS: u64 = 1;

/// Gives the column of the file of `manifest` to the caller, who has claimed it; gives the bounty it was paid.
pub(super) fn complete(
    host: &mut dyn ModuleHost,
    manifest: &[u8],
    column: u8,
    spots: &[u8],
) -> Result<U256, ModuleError> {
    let (account, bytes) = (host.caller(), |data: &[u8]| u64::try_from(data.len()).expect("call data fits memory"));
    host.charge(bytes(manifest).saturating_mul(MANIFEST_BYTE_GAS))?;
    host.charge(bytes(spots).saturating_mul(SPOT_BYTE_GAS))?;
    let file = FileId(hash::content(manifest));
    let open = claims::open(host, file, column)?;
    let claim = match claims::current(host, file, column)? {
        Some((claim, _)) if claim.claimer == account => claim,
        _ => return Err(ModuleError::revert(IRepair::NotClaimer { file: file.into(), column, account })),
    };
    let (height, from) = (host.height(), claim.complete_from());
    if height < from {
        return Err(ModuleError::revert(IRepair::TooEarly { height, from }));
    }
    claims::check_eligible(host, &open, account)?;
    check_spots(host, &open, &claim, manifest, spots)?;
    hand_over(host, &open, &claim)
}

fn check_spots(
    host: &mut dyn ModuleHost,
    open: &Open,
    claim: &Claim,
    manifest: &[u8],
    spots: &[u8],
) -> Result<(), ModuleError> {
    let manifest = Manifest::read(manifest)
        .map_err(|error| ModuleError::revert(IRepair::ManifestInvalid { reason: error.to_string() }))?;
    let beacon = staking::beacon(host, claim.beacon_height())?;
    let asked = claim.spots(beacon.0, &manifest, open.column);
    spot::verify(&asked, spots).map_err(|error| {
        let (file, column, reason) = (open.file.into(), open.column, error.to_string());
        ModuleError::revert(IRepair::SpotsInvalid { file, column, reason })
    })
}

fn hand_over(host: &mut dyn ModuleHost, open: &Open, claim: &Claim) -> Result<U256, ModuleError> {
    let Open { file, column, holder, bytes } = *open;
    let account = claim.claimer;
    let bounty = miners::pay_bounty(host, holder, account, bytes)?;
    surrender::forget(host, file, column)?;
    tee::forget_column(host, file, column)?;
    files::replace_holder(host, file, column, account)?.map_err(|room| {
        let reason = claims::no_room(room, bytes);
        ModuleError::revert(IRepair::NotEligible { file: file.into(), account, reason })
    })?;
    let event = IRepair::RepairCompleted { file: file.into(), column, to: account, from: holder, bounty };
    host.emit(REPAIR, event.encode_log_data())?;
    Ok(bounty)
}
