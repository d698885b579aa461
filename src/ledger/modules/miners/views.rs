//! What others read of miners, and the strikes that the audits module keeps here.

use super::{
    super::host::{ModuleError, ModuleHost},
    Entry, LIST_MAX_MINERS, MinerState,
    holdings::{self, holdings_len},
    idle,
    space::Space,
    standing, state,
};
use crate::{
    crypto::PublicKey,
    ledger::{abi::IMiners, placement::Candidate},
    types::{Address, B256, Height},
};

/// Number of registered miners.
pub(in crate::ledger::modules) fn list_len(host: &mut dyn ModuleHost) -> Result<u64, ModuleError> {
    state().candidates.len(host)
}

/// Accounts of registered miners from `skip` on, in the order of `list`.
pub(in crate::ledger::modules) fn accounts(
    host: &mut dyn ModuleHost,
    skip: u64,
    limit: u64,
) -> Result<Vec<Address>, ModuleError> {
    let end = list_len(host)?.min(skip.saturating_add(limit));
    (skip..end).map(|index| Ok(state().candidates.item(index).head.get(host)?.0)).collect()
}

/// Registered miners from `skip` on.
pub(super) fn list(host: &mut dyn ModuleHost, skip: u64, limit: u64) -> Result<Vec<IMiners::Miner>, ModuleError> {
    let accounts = accounts(host, skip, limit.min(LIST_MAX_MINERS))?;
    accounts.into_iter().map(|account| get(host, account)).collect()
}

/// One miner.
pub(super) fn get(host: &mut dyn ModuleHost, account: Address) -> Result<IMiners::Miner, ModuleError> {
    let entry = Entry::read(host, account)?;
    let (slots, space) = (entry.slots(), Space::read(host, &entry)?);
    let (_, since, prefix) = entry.candidate().head.get(host)?;
    let (operator, weight) = entry.candidate().offer.get(host)?;
    Ok(IMiners::Miner {
        account,
        operator,
        networkKey: slots.network_key.get(host)?,
        accountKey: slots.account_key.get(host)?,
        prefix,
        capacity: space.capacity,
        used: space.used,
        since,
        collateral: slots.collateral.get(host)?,
        name: slots.name.get(host)?,
        state: entry.state.code(),
        held: holdings_len(host, account)?,
        leftAt: entry.left_at,
        strikes: entry.strikes,
        segments: space.segments,
        consumed: space.steps(host.params()),
        idle: space.idle(host.params()),
        weight,
    })
}

/// What a miner had just before a round opened.
pub(super) fn standing_of(
    host: &mut dyn ModuleHost,
    account: Address,
    round: u64,
) -> Result<IMiners::Standing, ModuleError> {
    let standing::Standing { used, segments, consumed, idle } = standing::standing(host, account, round)?;
    Ok(IMiners::Standing { used, segments, consumed, idle })
}

/// Certified segments from `skip` on.
pub(super) fn segments(
    host: &mut dyn ModuleHost,
    account: Address,
    skip: u64,
    limit: u64,
) -> Result<Vec<IMiners::Segment>, ModuleError> {
    let found = idle::segments(host, account, skip, limit.min(LIST_MAX_MINERS))?;
    Ok(found.into_iter().map(|(number, root)| IMiners::Segment { number, root }).collect())
}

/// One batch of commitments.
pub(super) fn batch(host: &mut dyn ModuleHost, account: Address, number: u64) -> Result<IMiners::Batch, ModuleError> {
    let idle::Batch { first, count, height, state } = idle::idle_batch(host, account, number)?;
    Ok(IMiners::Batch { number, first, count, height, state: state.code() })
}

/// Files an account holds a column of, from `skip` on.
pub(super) fn holdings(
    host: &mut dyn ModuleHost,
    account: Address,
    skip: u64,
    limit: u64,
) -> Result<Vec<B256>, ModuleError> {
    holdings::list(account).page(host, skip, limit.min(LIST_MAX_MINERS))
}

/// Every miner that may be given fragments, as placement sees it. Who leaves or has too little collateral has no weight.
pub(in crate::ledger::modules) fn candidates(host: &mut dyn ModuleHost) -> Result<Vec<Candidate>, ModuleError> {
    let mut candidates = Vec::new();
    for index in 0..list_len(host)? {
        let place = state().candidates.item(index);
        let (operator, weight) = place.offer.get(host)?;
        if weight > 0 {
            let (account, since, prefix) = place.head.get(host)?;
            candidates.push(Candidate { account, operator, prefix, weight, since });
        }
    }
    Ok(candidates)
}

/// The key that signs a miner's receipts.
pub(in crate::ledger::modules) fn account_key(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<PublicKey, ModuleError> {
    let entry = Entry::read(host, account)?;
    Ok(PublicKey(entry.slots().account_key.get(host)?.0))
}

/// Who operates a miner: the miner itself names it.
pub(in crate::ledger::modules) fn operator(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<Address, ModuleError> {
    Ok(Entry::read(host, account)?.candidate().offer.get(host)?.0)
}

/// The network prefix of a miner.
pub(in crate::ledger::modules) fn prefix(host: &mut dyn ModuleHost, account: Address) -> Result<u32, ModuleError> {
    Ok(Entry::read(host, account)?.candidate().head.get(host)?.2)
}

/// The height of a miner's registration.
pub(in crate::ledger::modules) fn since(host: &mut dyn ModuleHost, account: Address) -> Result<Height, ModuleError> {
    Ok(Entry::read(host, account)?.candidate().head.get(host)?.1)
}

/// The beacon of a miner's registration.
pub(in crate::ledger::modules) fn idle_seed(host: &mut dyn ModuleHost, account: Address) -> Result<B256, ModuleError> {
    Entry::read(host, account)?.slots().idle_seed.get(host)
}

/// Where a miner is in its life; nothing if the account is none.
pub(in crate::ledger::modules) fn state_of(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<Option<MinerState>, ModuleError> {
    Ok(Entry::find(host, account)?.map(|entry| entry.state))
}

/// Writes a miner's faults in a row.
pub(in crate::ledger::modules) fn set_strikes(
    host: &mut dyn ModuleHost,
    account: Address,
    strikes: u32,
) -> Result<(), ModuleError> {
    let entry = Entry::read(host, account)?;
    if entry.strikes == strikes { Ok(()) } else { Entry { strikes, ..entry }.write(host) }
}
