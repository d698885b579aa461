//! The proof of a miner over all its challenged blocks of one key epoch: σ = Π σ_i^ν, y = A(r), ψ = g1^((A(α) − y)/(α − r)) with A = Σ ν f_i.
//!
//! Owns its making and its 128 bytes. Invariant: a [`Proof`] holds points of the group that are not the identity and a reduced
//! number, and has one encoding.

use super::{
    challenge::Challenge,
    curve::{G1, G1_BYTES, G1Affine, PointError, SCALAR_BYTES, Scalar, scalar_sum, weighted_sum},
    keys::Srs,
    polynomial::{BlockSum, open},
    tag::Tag,
};
use crate::{proofs::fragment::Fragment, types::FragmentId};
use rayon::prelude::*;
use std::fmt;

/// Bytes of a proof, whatever the number of fragments: σ, ψ and y.
pub const PROOF_BYTES: usize = 2 * G1_BYTES + SCALAR_BYTES;
/// Tags that are collected before they are summed.
const BATCH_TAGS: usize = 1_024;
/// Fragments of a task of [`prove`].
const TASK_FRAGMENTS: usize = 128;

/// Proof that a miner holds what it was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    pub(super) sigma: G1Affine,
    pub(super) psi: G1Affine,
    pub(super) y: Scalar,
}

/// Why bytes are not a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A point.
    #[error("point {name} of the proof: {reason}")]
    Point { name: &'static str, reason: PointError },
    /// y is not below the group's order.
    #[error("number y of the proof is not reduced")]
    Number,
}

/// Why no proof could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError {
    /// Other than the blocks that are asked for.
    #[error("{expected} blocks of fragment `{fragment}` are asked for, {given} were given")]
    Count { fragment: FragmentId, given: usize, expected: usize },
    /// A block of another length.
    #[error("block {block} of fragment `{fragment}` has {expected} B, {given} B were given")]
    Length { fragment: FragmentId, block: u32, given: usize, expected: usize },
    /// A tag that is no point.
    #[error("tag {block} of fragment `{fragment}`: {reason}")]
    Tag { fragment: FragmentId, block: u32, reason: PointError },
    /// Nothing was added.
    #[error("a proof needs at least one fragment")]
    Empty,
    /// The aggregate is the identity, which that of genuine tags is with probability 2^-128.
    #[error("the tags cancel each other: they are not those of the group")]
    Degenerate,
}

/// A block that was asked for, with its tag.
pub type Answer<'a> = (&'a [u8], Tag);

/// What a miner holds of a fragment, for [`prove`].
#[derive(Debug, Clone)]
pub struct Held<'a> {
    /// The fragment.
    pub fragment: Fragment,
    /// The blocks that are asked for, in the order of [`Challenge::asks`].
    pub answers: Vec<Answer<'a>>,
}

/// A proof while fragments are added to it. Its size does not depend on their number; several of one challenge can be merged.
pub struct Aggregate<'a> {
    challenge: &'a Challenge,
    blocks: BlockSum,
    sigma: G1,
    tags: Vec<G1Affine>,
    weights: Vec<u128>,
    empty: bool,
}

impl<'a> Aggregate<'a> {
    /// Nothing yet.
    pub fn new(challenge: &'a Challenge) -> Self {
        let (tags, weights) = (Vec::with_capacity(BATCH_TAGS), Vec::with_capacity(BATCH_TAGS));
        Self { challenge, blocks: BlockSum::new(), sigma: G1::default(), tags, weights, empty: true }
    }

    /// Adds a fragment by the blocks [`Challenge::asks`] for, in its order. Nothing is added if one is refused.
    pub fn add(&mut self, fragment: &Fragment, answers: &[Answer<'_>]) -> Result<(), ProveError> {
        let (asked, id) = (self.challenge.asks(fragment), fragment.id);
        if asked.len() != answers.len() {
            return Err(ProveError::Count { fragment: id, given: answers.len(), expected: asked.len() });
        }
        let mut points = Vec::with_capacity(answers.len());
        for (asked, (data, tag)) in asked.iter().zip(answers) {
            let (block, expected) = (asked.block, fragment.length.block(asked.block).len());
            if data.len() != expected {
                return Err(ProveError::Length { fragment: id, block, given: data.len(), expected });
            }
            // Whether it is in the group was checked when it came.
            let point = G1Affine::decode_unchecked(&tag.0);
            points.push(point.map_err(|reason| ProveError::Tag { fragment: id, block, reason })?);
        }
        for (asked, (data, _)) in asked.iter().zip(answers) {
            self.blocks.add(asked.weight, data);
            self.weights.push(asked.weight);
        }
        self.tags.extend(points);
        self.empty = false;
        if self.tags.len() >= BATCH_TAGS {
            self.sum_tags();
        }
        Ok(())
    }

    /// Adds what another one collected for the same challenge.
    pub fn merge(mut self, mut other: Self) -> Self {
        assert!(self.challenge.round() == other.challenge.round(), "aggregates of one challenge");
        other.sum_tags();
        self.sigma = self.sigma.plus(&other.sigma);
        self.blocks.merge(&other.blocks);
        self.empty &= other.empty;
        self
    }

    /// The proof of all that was added.
    pub fn finish(mut self, srs: &Srs) -> Result<Proof, ProveError> {
        if self.empty {
            return Err(ProveError::Empty);
        }
        self.sum_tags();
        let (y, quotient) = open(&self.blocks.reduce(), &self.challenge.point);
        let (sigma, psi) = (self.sigma.affine(), scalar_sum(&srs.powers, &quotient).affine());
        if sigma.is_identity() || psi.is_identity() {
            return Err(ProveError::Degenerate);
        }
        Ok(Proof { sigma, psi, y })
    }

    fn sum_tags(&mut self) {
        self.sigma = self.sigma.plus(&weighted_sum(&self.tags, &self.weights));
        self.tags.clear();
        self.weights.clear();
    }
}

/// The proof over `held`, made on the threads of the caller's pool. What is read from disk goes through [`Aggregate`]s instead.
pub fn prove(challenge: &Challenge, srs: &Srs, held: &[Held<'_>]) -> Result<Proof, ProveError> {
    let part = |part: &[Held<'_>]| {
        let mut aggregate = Aggregate::new(challenge);
        part.iter().try_for_each(|held| aggregate.add(&held.fragment, &held.answers))?;
        Ok(aggregate)
    };
    let parts = held.par_chunks(TASK_FRAGMENTS).map(part);
    parts.try_reduce(|| Aggregate::new(challenge), |one, other| Ok(one.merge(other)))?.finish(srs)
}

impl Proof {
    /// σ ‖ ψ ‖ y: two compressed points and a little-endian number.
    pub fn encode(&self) -> [u8; PROOF_BYTES] {
        let mut out = [0; PROOF_BYTES];
        out[..G1_BYTES].copy_from_slice(&self.sigma.encode());
        out[G1_BYTES..2 * G1_BYTES].copy_from_slice(&self.psi.encode());
        out[2 * G1_BYTES..].copy_from_slice(&self.y.encode());
        out
    }

    /// Reads what [`Proof::encode`] wrote.
    pub fn decode(bytes: &[u8; PROOF_BYTES]) -> Result<Self, ProofError> {
        let (points, y) = bytes.as_chunks::<G1_BYTES>();
        let read = |name, point| G1Affine::decode(point).map_err(|reason| ProofError::Point { name, reason });
        let y: &[u8; SCALAR_BYTES] = y.try_into().expect("what two points leave of a proof");
        Ok(Self {
            sigma: read("σ", &points[0])?,
            psi: read("ψ", &points[1])?,
            y: Scalar::decode(y).ok_or(ProofError::Number)?,
        })
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proof({}…)", hex::encode(&self.encode()[..4]))
    }
}
