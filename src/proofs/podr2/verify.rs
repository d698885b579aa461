//! Verdicts on proofs: e(σ, g2) = e(ψ, w) · e(Π H^ν · g1^y · ψ^(−r), v), for one miner or for all of a key epoch at once.
//!
//! Invariant: a claim's verdict does not depend on the claims beside it, except with probability 2^-128.

use super::{
    challenge::Challenge,
    curve::{G1, G1Affine, G2Affine, Scalar, pairings_cancel, weighted_sum},
    keys::GroupKey,
    prove::Proof,
    tag::block_hash,
};
use crate::{
    crypto::hash::{DOMAIN_PODR2_WEIGHTS, stream},
    proofs::{fragment::Fragment, round::Draws},
    types::Address,
};
use rayon::prelude::*;

/// Fragments of a task: their hashes are summed at once.
const TASK_FRAGMENTS: usize = 128;

/// A miner's proof and what it is about.
#[derive(Clone, Copy)]
pub struct Claim<'a> {
    /// What the round asked of the miner.
    pub challenge: &'a Challenge,
    /// What the chain says the miner holds under this key epoch.
    pub fragments: &'a [Fragment],
    /// Its answer.
    pub proof: &'a Proof,
}

/// Why a proof does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There was nothing to prove.
    #[error("miner {miner} was asked for no fragment in round {round}")]
    Empty { miner: Address, round: u64 },
    /// The equation does not hold.
    #[error("the proof of miner {miner} for round {round} does not verify")]
    Refused { miner: Address, round: u64 },
}

/// The equation of one claim: e(σ, g2) = e(ψ, w) · e(rest, v).
struct Equation {
    sigma: G1Affine,
    psi: G1Affine,
    rest: G1Affine,
}

/// The verdict on one claim.
pub fn verify(key: &GroupKey, claim: &Claim<'_>) -> Result<(), VerifyError> {
    verify_all(key, std::slice::from_ref(claim)).remove(0)
}

/// The verdicts on claims of one key epoch, in their order: three pairings if all hold; each bad one costs a few more.
pub fn verify_all(key: &GroupKey, claims: &[Claim<'_>]) -> Vec<Result<(), VerifyError>> {
    let equations: Vec<Option<Equation>> = claims.par_iter().map(Equation::of).collect();
    let posed: Vec<(usize, &Equation)> =
        equations.iter().enumerate().filter_map(|(i, equation)| Some((i, equation.as_ref()?))).collect();
    let mut refused = Vec::new();
    find_refused(key, &posed, &mut refused);
    let verdict = |(i, claim): (usize, &Claim<'_>)| {
        let (miner, round) = (claim.challenge.round().miner, claim.challenge.round().round);
        match &equations[i] {
            None => Err(VerifyError::Empty { miner, round }),
            Some(_) if refused.binary_search(&i).is_ok() => Err(VerifyError::Refused { miner, round }),
            Some(_) => Ok(()),
        }
    };
    claims.iter().enumerate().map(verdict).collect()
}

/// Places of equations that do not hold, ascending, by halving.
fn find_refused(key: &GroupKey, equations: &[(usize, &Equation)], refused: &mut Vec<usize>) {
    if equations.is_empty() || hold(key, equations) {
        return;
    }
    if let [(place, _)] = equations {
        refused.push(*place);
        return;
    }
    let (left, right) = equations.split_at(equations.len() / 2);
    find_refused(key, left, refused);
    find_refused(key, right, refused);
}

/// Whether a random combination holds. The weights come from a hash of all that is combined, so that nobody can choose a proof
/// that makes up for another.
fn hold(key: &GroupKey, equations: &[(usize, &Equation)]) -> bool {
    let mut transcript = blake3::Hasher::new_derive_key(DOMAIN_PODR2_WEIGHTS);
    transcript.update(b"proofs").update(&key.encode());
    for (_, Equation { sigma, psi, rest }) in equations {
        for point in [sigma, psi, rest] {
            transcript.update(&point.encode());
        }
    }
    let mut draws = Draws(stream(DOMAIN_PODR2_WEIGHTS, transcript.finalize().as_bytes()));
    let weights: Vec<u128> = equations.iter().map(|_| draws.weight()).collect();
    let sum = |part: fn(&Equation) -> G1Affine| {
        let points: Vec<G1Affine> = equations.iter().map(|(_, equation)| part(equation)).collect();
        weighted_sum(&points, &weights)
    };
    let (sigma, psi, rest) = (sum(|e| e.sigma), sum(|e| e.psi), sum(|e| e.rest));
    pairings_cancel(&[(sigma.negated(), G2Affine::generator()), (psi, key.w), (rest, key.v)])
}

impl Equation {
    /// None for a claim about nothing.
    fn of(claim: &Claim<'_>) -> Option<Self> {
        let (challenge, proof) = (claim.challenge, claim.proof);
        if claim.fragments.is_empty() {
            return None;
        }
        let hashes = claim.fragments.par_chunks(TASK_FRAGMENTS).map(|part| hashes(challenge, part));
        let hashes = hashes.reduce(G1::default, |a, b| a.plus(&b));
        let minus_point = Scalar::default().minus(&challenge.point);
        let rest = hashes.plus(&G1::base_times(&proof.y)).plus(&proof.psi.point().times(&minus_point));
        Some(Self { sigma: proof.sigma, psi: proof.psi, rest: rest.affine() })
    }
}

/// Π H^ν over the blocks that are asked for.
fn hashes(challenge: &Challenge, fragments: &[Fragment]) -> G1 {
    let (mut points, mut weights) = (Vec::new(), Vec::new());
    for fragment in fragments {
        for asked in challenge.asks(fragment) {
            points.push(block_hash(&fragment.id, asked.block));
            weights.push(asked.weight);
        }
    }
    weighted_sum(&G1::all_affine(&points), &weights)
}
