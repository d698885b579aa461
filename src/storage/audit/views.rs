//! What a verifier asks the chain beyond its events.
//!
//! Owns typed reads of the modules of the storage market. Invariant: an answer that does not decode is an error, never a default.

use crate::{
    client::{ChainClient, ChainError},
    crypto::PublicKey,
    ledger::abi::{
        AUDITS, IAudits, IMiners, IStaking,
        ITee::{self, Worker},
        MINERS, STAKING, TEE,
    },
    network::{PeerId, peer_id_of},
    proofs::pois::LiveSegment,
    types::{Address, B256, Height, params::IDLE_LIVE_STEPS},
};
use alloy_sol_types::SolCall;

/// Segments and workers asked for at a time; the interfaces' own bound.
const PAGE: u64 = 1_000;
/// Segments a miner may have before this client refuses to list them: 256 TiB of 1 GiB each.
const SEGMENTS_MAX: u64 = 1 << 18;
/// State of a worker that may work.
const WORKER_ACTIVE: u8 = 0;
/// Kinds of workers, as the interface numbers them.
const KIND_VERIFIER: u8 = 1;

/// Asks a module.
pub async fn ask<C: SolCall>(chain: &dyn ChainClient, module: Address, call: C) -> Result<C::Return, ChainError> {
    let answer = chain.call(module, call.abi_encode().into()).await?;
    C::abi_decode_returns(&answer).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
}

/// The beacon of a block, which must lie within the chain's window.
pub async fn beacon(chain: &dyn ChainClient, height: Height) -> Result<B256, ChainError> {
    let beacon = chain.beacon(height).await?;
    beacon.ok_or_else(|| ChainError::Malformed(format!("the chain has no beacon of block {height}")))
}

/// Everybody that may verify in `round`, if that is the running one.
pub async fn verifiers(chain: &dyn ChainClient, round: u64) -> Result<Option<Vec<Address>>, ChainError> {
    let running = ask(chain, AUDITS, IAudits::roundCall {}).await?.number == round;
    let members = ask(chain, AUDITS, IAudits::verifiersCall {}).await?;
    // Asked again, so that the list is not the next round's.
    let still = running && ask(chain, AUDITS, IAudits::roundCall {}).await?.number == round;
    Ok(still.then_some(members))
}

/// Everybody that may verify now, and every TEE worker and seat beside.
pub async fn everybody(chain: &dyn ChainClient) -> Result<Vec<Address>, ChainError> {
    let seats = ask(chain, STAKING, IStaking::committeeCall {}).await?;
    let mut found: Vec<Address> = seats.iter().map(|seat| seat.account).collect();
    found.extend(workers(chain).await?.iter().map(|worker| worker.account));
    Ok(found)
}

/// Who verifies a miner in a round.
pub async fn committee(chain: &dyn ChainClient, round: u64, miner: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, AUDITS, IAudits::committeeCall { round, miner }).await
}

/// The idle space of a miner that a round is about: its certified segments with what is left of each.
pub async fn live_segments(
    chain: &dyn ChainClient,
    miner: Address,
    round: u64,
) -> Result<Vec<LiveSegment>, ChainError> {
    // Not what the miners module says of a round, which it forgets before seats may have to judge it.
    let basis = ask(chain, AUDITS, IAudits::basisCall { round, miner }).await?;
    if basis.idle == 0 || basis.segments == 0 {
        return Ok(Vec::new());
    }
    let count = basis.segments;
    if count > SEGMENTS_MAX {
        return Err(ChainError::Malformed(format!("miner {miner} has {count} segments, over {SEGMENTS_MAX}")));
    }
    let (mut segments, mut skip) = (Vec::new(), 0u64);
    while skip < count {
        let limit = PAGE.min(count - skip);
        let page = ask(chain, MINERS, IMiners::segmentsCall { account: miner, skip, limit }).await?;
        if u64::try_from(page.len()) != Ok(limit) {
            return Err(ChainError::Malformed(format!("miner {miner} lists fewer than its {count} segments")));
        }
        for (place, segment) in (skip..).zip(page) {
            let live_from = live_from(basis.consumed, place);
            segments.push(LiveSegment { number: segment.number, root: segment.root.0, live_from });
        }
        skip += limit;
    }
    Ok(segments)
}

/// The first live step of the segment at `place`: data takes steps from the first segment on.
fn live_from(consumed: u64, place: u64) -> u32 {
    let before = place.saturating_mul(u64::from(IDLE_LIVE_STEPS));
    u32::try_from(consumed.saturating_sub(before)).unwrap_or(u32::MAX).min(IDLE_LIVE_STEPS)
}

/// Every TEE worker.
pub async fn workers(chain: &dyn ChainClient) -> Result<Vec<Worker>, ChainError> {
    let (mut found, mut skip) = (Vec::new(), 0u64);
    loop {
        let page = ask(chain, TEE, ITee::listCall { skip, limit: PAGE }).await?;
        let count = u64::try_from(page.len()).expect("a length fits 64 bits");
        found.extend(page);
        if count < PAGE {
            return Ok(found);
        }
        skip += count;
    }
}

/// Workers that may tag, in the chain's order.
pub fn taggers(workers: &[Worker]) -> Vec<Address> {
    let tags = |worker: &&Worker| worker.state == WORKER_ACTIVE && worker.kind != KIND_VERIFIER;
    workers.iter().filter(tags).map(|worker| worker.account).collect()
}

/// Whether `account` has a seat of the validators' committee.
pub async fn is_seated(chain: &dyn ChainClient, account: Address) -> Result<bool, ChainError> {
    let seats = ask(chain, STAKING, IStaking::committeeCall {}).await?;
    Ok(seats.iter().any(|seat| seat.account == account))
}

/// Where the members of a committee are reached: workers and validators.
pub async fn peers_of(chain: &dyn ChainClient, members: &[Address]) -> Result<Vec<PeerId>, ChainError> {
    let workers = workers(chain).await?;
    let seats = ask(chain, STAKING, IStaking::committeeCall {}).await?;
    let keys = workers.iter().map(|worker| (worker.account, worker.networkKey));
    let keys = keys.chain(seats.iter().map(|seat| (seat.account, seat.networkKey)));
    let known = keys.filter(|(account, _)| members.contains(account));
    Ok(known.filter_map(|(_, key)| peer_id_of(&PublicKey(key.0)).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_takes_steps_from_the_first_segment_on() {
        let live: Vec<u32> = (0..4).map(|place| live_from(128 + 5, place)).collect();
        assert_eq!(live, [128, 5, 0, 0]);
        assert_eq!(live_from(u64::MAX, 0), 128);
    }
}
