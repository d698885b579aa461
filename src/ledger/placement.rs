//! Which miners keep a file: weighted rendezvous hashing, a function of the beacon and the file, never a table.
//!
//! Owns ranking and its check; must not know where candidates come from. Invariants: integers only; the ranking does not
//! depend on the order of the candidates; a miner that joins or leaves moves only files that rank it.

use crate::{
    crypto::hash::{DOMAIN_PLACEMENT, tagged},
    types::{
        Address, B256, Height, Params, SegmentId,
        params::{FRAGMENTS, OPERATOR_MAX_FRAGMENTS, PLACEMENT_MAX_SKIPS, PREFIX_MAX_FRAGMENTS},
    },
};
use std::{cmp::Ordering, collections::BTreeMap};

/// Miners a ranking names at most: twelve holders and those that may be skipped.
pub const RANKED_MAX: usize = FRAGMENTS + PLACEMENT_MAX_SKIPS;

/// Fraction bits of a score.
const SCORE_FRACTION_BITS: u32 = 56;

/// A miner that may be given fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its account.
    pub account: Address,
    /// Who answers for it.
    pub operator: Address,
    /// Network prefix of its address.
    pub prefix: u32,
    /// Its weight: bytes of capacity. A miner of weight 0 is never ranked.
    pub weight: u64,
    /// Height of its registration.
    pub since: Height,
}

/// Why holders were refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlacementError {
    /// Not one holder for each fragment.
    #[error("{given} holders are named, {required} are required")]
    Count { given: usize, required: usize },
    /// One miner named twice.
    #[error("holder {index} ({holder}) is named twice")]
    Duplicate { index: usize, holder: Address },
    /// The ranking does not name it.
    #[error("holder {index} ({holder}) is not ranked for this file")]
    NotRanked { index: usize, holder: Address },
    /// Too many better ranked miners were passed over.
    #[error("holder {index} ({holder}) has rank {rank}, the last allowed is {last}")]
    TooManySkipped { index: usize, holder: Address, rank: usize, last: usize },
}

/// What a ranking is drawn from: a beacon and the id of the file's first segment.
pub fn seed(beacon: &B256, first_segment: &SegmentId) -> [u8; 32] {
    tagged(DOMAIN_PLACEMENT, &[beacon.as_slice(), first_segment.as_bytes()])
}

/// Miners in the order in which they are asked to keep a file, at most [`RANKED_MAX`].
///
/// A candidate's score is −log2(u)/weight with u uniform by hash, lowest first, so that it is ranked first with a probability
/// proportional to its weight. Candidates registered after `beacon_height` are left out, as are those over the operator or
/// prefix cap once the better ranked ones are taken.
pub fn rank(seed: &[u8; 32], beacon_height: Height, candidates: &[Candidate], params: &Params) -> Vec<Address> {
    let mut scored: Vec<(u64, &Candidate)> = candidates
        .iter()
        .filter(|candidate| candidate.since <= beacon_height && candidate.weight > 0)
        .map(|candidate| (score(seed, &candidate.account), candidate))
        .collect();
    scored.sort_unstable_by(|a, b| compare(*a, *b));
    walk_with_caps(scored.into_iter().map(|(_, candidate)| candidate), params)
}

/// Whether `holders` are twelve distinct miners of `ranked` with at most [`PLACEMENT_MAX_SKIPS`] better ones passed over.
pub fn check(ranked: &[Address], holders: &[Address]) -> Result<(), PlacementError> {
    if holders.len() != FRAGMENTS {
        return Err(PlacementError::Count { given: holders.len(), required: FRAGMENTS });
    }
    for (index, &holder) in holders.iter().enumerate() {
        if holders[..index].contains(&holder) {
            return Err(PlacementError::Duplicate { index, holder });
        }
        match ranked.iter().position(|account| *account == holder) {
            None => return Err(PlacementError::NotRanked { index, holder }),
            Some(rank) if rank >= RANKED_MAX => {
                return Err(PlacementError::TooManySkipped { index, holder, rank, last: RANKED_MAX - 1 });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Compares score/weight as fractions. Accounts break ties.
fn compare((a_score, a): (u64, &Candidate), (b_score, b): (u64, &Candidate)) -> Ordering {
    let left = u128::from(a_score) * u128::from(b.weight);
    let right = u128::from(b_score) * u128::from(a.weight);
    left.cmp(&right).then_with(|| a.account.cmp(&b.account))
}

fn walk_with_caps<'a>(ordered: impl Iterator<Item = &'a Candidate>, params: &Params) -> Vec<Address> {
    let mut operators: BTreeMap<Address, usize> = BTreeMap::new();
    let mut prefixes: BTreeMap<u32, usize> = BTreeMap::new();
    let mut ranked = Vec::with_capacity(RANKED_MAX);
    for candidate in ordered {
        let of_operator = operators.entry(candidate.operator).or_default();
        let of_prefix = prefixes.entry(candidate.prefix).or_default();
        if *of_operator >= OPERATOR_MAX_FRAGMENTS || (params.enforce_prefix_cap && *of_prefix >= PREFIX_MAX_FRAGMENTS) {
            continue;
        }
        *of_operator += 1;
        *of_prefix += 1;
        ranked.push(candidate.account);
        if ranked.len() == RANKED_MAX {
            break;
        }
    }
    ranked
}

fn score(seed: &[u8; 32], account: &Address) -> u64 {
    let digest = tagged(DOMAIN_PLACEMENT, &[seed, account.as_slice()]);
    let [a, b, c, d, e, f, g, h, ..] = digest;
    neg_log2(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
}

/// −log2((x + 1) / 2⁶⁴) in units of 2⁻⁵⁶, by repeated squaring of the mantissa; exact to the last two units.
fn neg_log2(x: u64) -> u64 {
    let value = u128::from(x) + 1;
    let exponent = value.ilog2();
    let mut mantissa = if exponent == 64 { value >> 1 } else { value << (63 - exponent) };
    let mut log = u64::from(exponent);
    for _ in 0..SCORE_FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        let carry = mantissa >> 64 != 0;
        mantissa >>= u32::from(carry);
        log = (log << 1) | u64::from(carry);
    }
    (64 << SCORE_FRACTION_BITS) - log
}

#[cfg(test)]
mod tests;
