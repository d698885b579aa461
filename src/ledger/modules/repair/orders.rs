//! What orders are open, as others read them.

use super::{
    super::{
        files,
        host::{ModuleError, ModuleHost},
        miners,
    },
    LIST_MAX_ORDERS, claims,
    claims::Open,
    surrender,
};
use crate::{
    ledger::{abi::IRepair, repair::Claim},
    types::{Address, FileId},
};

/// One order. Reverts if it is not open.
pub(super) fn get(host: &mut dyn ModuleHost, file: FileId, column: u8) -> Result<IRepair::Order, ModuleError> {
    let Open { holder, bytes, .. } = claims::open(host, file, column)?;
    let bounty = miners::pot_share(host, holder, bytes)?;
    let claim = claims::current(host, file, column)?;
    let (claimer, claimed, until) = match claim {
        None => (Address::ZERO, 0, 0),
        Some((Claim { claimer, height, .. }, until)) => (claimer, height, until),
    };
    Ok(IRepair::Order { file: file.into(), column, holder, claimer, claimedAt: claimed, until, bytes_: bytes, bounty })
}

/// Open orders from `skip` on: what miners that leave hold, then what was given up.
pub(super) fn list(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<IRepair::Order>, ModuleError> {
    let limit = limit.min(LIST_MAX_ORDERS);
    let (mut skip, mut found) = (skip, Vec::new());
    let wide = |n: usize| u64::try_from(n).expect("a length fits 64 bits");
    for place in 0..miners::leaving_len(host)? {
        let left = limit - wide(found.len());
        if left == 0 {
            break;
        }
        for holder in miners::leaving(host, place, 1)? {
            let held = miners::holdings_len(host, holder)?;
            for index in skip..held.min(skip.saturating_add(left)) {
                let file = miners::holding(host, holder, index)?;
                found.push((file, column_of(host, file, holder)?));
            }
            skip = skip.saturating_sub(held);
        }
    }
    let left = limit - wide(found.len());
    found.extend(surrender::page(host, skip, left)?);
    found.into_iter().map(|(file, column)| get(host, file, column)).collect()
}

fn column_of(host: &mut dyn ModuleHost, file: FileId, holder: Address) -> Result<u8, ModuleError> {
    files::column_of(host, file, holder)?
        .ok_or_else(|| ModuleError::Fatal(format!("miner {holder} lists file {file}, of which it holds nothing")))
}
