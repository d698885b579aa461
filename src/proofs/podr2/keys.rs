//! Keys of a tagger group for one key epoch: the secret that tags, what verifies, and what proves.
//!
//! Invariants: a [`TaggerKey`] is zeroised when dropped and never printed; a [`GroupKey`] holds two points of G2, neither the
//! identity; an [`Srs`] that was read fits its key, so that whoever proves with it cannot be framed.

use super::{
    curve::{G1, G1_BYTES, G1Affine, G2_BYTES, G2Affine, PointError, Scalar, pairings_cancel, weighted_sum},
    polynomial::{SECTORS, SecretPowers},
};
use crate::{
    crypto::hash::{DOMAIN_PODR2_KEY, DOMAIN_PODR2_SECRET, DOMAIN_PODR2_WEIGHTS, stream, tagged},
    proofs::round::Draws,
};
use rayon::prelude::*;
use std::fmt;
use zeroize::Zeroize;

/// Bytes of a [`GroupKey`]: v and w.
pub const GROUP_KEY_BYTES: usize = 2 * G2_BYTES;
/// Bytes of an [`Srs`].
pub const SRS_BYTES: usize = SECTORS * G1_BYTES;

/// Why bytes are not the keys of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A point of the group's key.
    #[error("point {name} of the group key: {reason}")]
    Key { name: &'static str, reason: PointError },
    /// Not as many bytes as there are points.
    #[error("the powers of a key are {SRS_BYTES} B, these {0} B")]
    Length(usize),
    /// One of the powers.
    #[error("power {index} of the key: {reason}")]
    Power { index: usize, reason: PointError },
    /// Points of the group that are not the powers of the key's secret.
    #[error("the points are not the powers that belong to the group key")]
    Powers,
}

/// The secret of a tagger group in a key epoch: x and the powers of α.
pub struct TaggerKey {
    pub(super) x: Scalar,
    pub(super) alpha: SecretPowers,
    public: GroupKey,
}

/// What verifies the group's tags and proofs made of them: v = g2^x and w = g2^(αx).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GroupKey {
    pub(super) v: G2Affine,
    pub(super) w: G2Affine,
}

/// What proofs are made with: g1^(α^j) for each sector j.
#[derive(Clone, PartialEq, Eq)]
pub struct Srs {
    pub(super) powers: Vec<G1Affine>,
}

impl TaggerKey {
    /// The key that belongs to a secret seed, which should be used for nothing else.
    pub fn derive(seed: &[u8; 32]) -> Self {
        let mut draws = Draws(stream(DOMAIN_PODR2_SECRET, seed));
        let mut scalar = || {
            let mut wide = draws.bytes::<64>();
            let scalar = Scalar::reduce(&wide);
            wide.zeroize();
            assert!(scalar != Scalar::default(), "a hash output is the zero scalar with probability 2^-255");
            scalar
        };
        let (x, mut alpha) = (scalar(), scalar());
        let public = GroupKey { v: G2Affine::base_times(&x), w: G2Affine::base_times(&alpha.times(&x)) };
        let key = Self { x, alpha: SecretPowers::of(&alpha), public };
        alpha.zeroize();
        key
    }

    /// The public half.
    pub fn public(&self) -> GroupKey {
        self.public
    }

    /// What the miners need to prove.
    pub fn srs(&self) -> Srs {
        let points: Vec<G1> = self.alpha.iter().map(|power| G1::base_times(&Scalar::reduce(&power[..]))).collect();
        Srs { powers: G1::all_affine(&points) }
    }
}

impl Drop for TaggerKey {
    fn drop(&mut self) {
        self.x.zeroize();
    }
}

impl GroupKey {
    /// v and w, compressed.
    pub fn encode(&self) -> [u8; GROUP_KEY_BYTES] {
        let mut out = [0; GROUP_KEY_BYTES];
        out[..G2_BYTES].copy_from_slice(&self.v.encode());
        out[G2_BYTES..].copy_from_slice(&self.w.encode());
        out
    }

    /// Reads what [`GroupKey::encode`] wrote.
    pub fn decode(bytes: &[u8; GROUP_KEY_BYTES]) -> Result<Self, KeyError> {
        let (points, _) = bytes.as_chunks::<G2_BYTES>();
        let read = |name, point| G2Affine::decode(point).map_err(|reason| KeyError::Key { name, reason });
        Ok(Self { v: read("v", &points[0])?, w: read("w", &points[1])? })
    }

    /// Names the key epoch: v and w determine everything else.
    pub fn digest(&self) -> [u8; 32] {
        tagged(DOMAIN_PODR2_KEY, &[&self.encode()])
    }
}

impl fmt::Debug for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupKey({}…)", hex::encode(&self.digest()[..4]))
    }
}

impl Srs {
    /// The points, compressed, in the order of their powers.
    pub fn encode(&self) -> Vec<u8> {
        self.powers.iter().flat_map(G1Affine::encode).collect()
    }

    /// Reads the powers of `key` and checks that they are. With random ρ, e(Σ ρ_j P_(j+1), v) = e(Σ ρ_j P_j, w) holds for
    /// other points with probability 2^-128; P_0 is the generator.
    pub fn decode(bytes: &[u8], key: &GroupKey) -> Result<Self, KeyError> {
        if bytes.len() != SRS_BYTES {
            return Err(KeyError::Length(bytes.len()));
        }
        let (points, _) = bytes.as_chunks::<G1_BYTES>();
        let read = |(index, point)| G1Affine::decode(point).map_err(|reason| KeyError::Power { index, reason });
        let powers: Vec<G1Affine> = points.par_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        let seed = tagged(DOMAIN_PODR2_WEIGHTS, &[b"powers", &key.encode(), bytes]);
        let mut draws = Draws(stream(DOMAIN_PODR2_WEIGHTS, &seed));
        let weights: Vec<u128> = (1..SECTORS).map(|_| draws.weight()).collect();
        let (shifted, plain) = (weighted_sum(&powers[1..], &weights), weighted_sum(&powers[..SECTORS - 1], &weights));
        let fit = pairings_cancel(&[(shifted.negated(), key.v), (plain, key.w)]);
        if fit && powers[0] == G1Affine::generator() { Ok(Self { powers }) } else { Err(KeyError::Powers) }
    }
}

impl fmt::Debug for Srs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Srs({} powers)", self.powers.len())
    }
}
