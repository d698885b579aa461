//! BLS12-381 as PoDR² uses it: a small safe face of `blst`.
//!
//! Owns every unsafe call of the proofs: each gets references to initialised values, or slices with their true lengths. Must
//! not know what is proven. Invariants: a [`G1Affine`] or [`G2Affine`] from bytes is on the curve and not the identity; what
//! takes secrets ([`Scalar`]'s arithmetic, [`G1::times`], [`G1::base_times`]) runs in constant time.

use super::fixed_base;
use blst::*;
use rayon::prelude::*;
use std::ptr;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a compressed point of G1.
pub(super) const G1_BYTES: usize = 48;
/// Bytes of a compressed point of G2.
pub(super) const G2_BYTES: usize = 96;
/// Bytes of a scalar.
pub(super) const SCALAR_BYTES: usize = 32;
/// Bits of the group's order.
const SCALAR_BITS: usize = 255;
/// Bits of weights of random combinations.
const WEIGHT_BITS: usize = 128;
/// Points of a sum that are worth a task of their own.
const TASK_MIN_POINTS: usize = 512;
const HASH_DST: &[u8] = b"CESS-PODR2-V1_BLS12381G1_XMD:SHA-256_SSWU_RO_";

/// Why bytes are no point of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PointError {
    /// Not the canonical compressed encoding of a point on the curve.
    #[error("the bytes are not the canonical encoding of a curve point")]
    Encoding,
    /// On the curve, but not in the subgroup of prime order.
    #[error("the point is outside the subgroup of prime order")]
    Subgroup,
    /// The identity.
    #[error("the point is the identity")]
    Identity,
}

/// A number modulo the group's order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scalar(blst_fr);

/// A point of G1 while it is worked on.
#[derive(Clone, Copy, Default)]
#[repr(transparent)]
pub(super) struct G1(pub(super) blst_p1);

/// A point of G1 as it is read, kept and written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct G1Affine(pub(super) blst_p1_affine);

/// A point of G2.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct G2Affine(blst_p2_affine);

impl Scalar {
    /// Little-endian bytes of any length, reduced.
    pub(super) fn reduce(bytes: &[u8]) -> Self {
        let mut plain = blst_scalar::default();
        // The answer says whether the number is zero, which is as good as any other here.
        unsafe { blst_scalar_from_le_bytes(&mut plain, bytes.as_ptr(), bytes.len()) };
        Self::of(&plain)
    }

    /// Little-endian bytes of a number below the order; none for any other.
    pub(super) fn decode(bytes: &[u8; SCALAR_BYTES]) -> Option<Self> {
        let plain = blst_scalar { b: *bytes };
        unsafe { blst_scalar_fr_check(&plain) }.then(|| Self::of(&plain))
    }

    /// Little-endian bytes.
    pub(super) fn encode(&self) -> [u8; SCALAR_BYTES] {
        self.plain().b
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut out = Self::default();
        unsafe { blst_fr_add(&mut out.0, &self.0, &other.0) };
        out
    }

    pub(super) fn times(&self, other: &Self) -> Self {
        let mut out = Self::default();
        unsafe { blst_fr_mul(&mut out.0, &self.0, &other.0) };
        out
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut out = Self::default();
        unsafe { blst_fr_sub(&mut out.0, &self.0, &other.0) };
        out
    }

    fn of(plain: &blst_scalar) -> Self {
        let mut out = Self::default();
        unsafe { blst_fr_from_scalar(&mut out.0, plain) };
        out
    }

    /// Zeroised when dropped.
    fn plain(&self) -> blst_scalar {
        let mut plain = blst_scalar::default();
        unsafe { blst_scalar_from_fr(&mut plain, &self.0) };
        plain
    }
}

impl Zeroize for Scalar {
    fn zeroize(&mut self) {
        self.0.l.zeroize();
    }
}

impl G1 {
    /// The point a message hashes to (RFC 9380). Its logarithm to any base is unknown to everybody.
    pub(super) fn hash(message: &[u8]) -> Self {
        let mut out = Self::default();
        let (dst, no_augmentation) = (HASH_DST, ptr::null());
        unsafe {
            blst_hash_to_g1(&mut out.0, message.as_ptr(), message.len(), dst.as_ptr(), dst.len(), no_augmentation, 0)
        };
        out
    }

    /// The generator times `scalar`.
    pub(super) fn base_times(scalar: &Scalar) -> Self {
        fixed_base::times(&Zeroizing::new(scalar.encode()))
    }

    pub(super) fn times(&self, scalar: &Scalar) -> Self {
        let (mut out, plain) = (Self::default(), scalar.plain());
        unsafe { blst_p1_mult(&mut out.0, &self.0, plain.b.as_ptr(), SCALAR_BITS) };
        out
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut out = Self::default();
        unsafe { blst_p1_add_or_double(&mut out.0, &self.0, &other.0) };
        out
    }

    pub(super) fn negated(mut self) -> Self {
        unsafe { blst_p1_cneg(&mut self.0, true) };
        self
    }

    pub(super) fn affine(&self) -> G1Affine {
        let mut out = G1Affine::default();
        unsafe { blst_p1_to_affine(&mut out.0, &self.0) };
        out
    }

    /// Many points at the price of one inversion. None may be the identity, which hashes and tags never are.
    pub(super) fn all_affine(points: &[Self]) -> Vec<G1Affine> {
        let mut out = vec![G1Affine::default(); points.len()];
        if points.is_empty() {
            return out;
        }
        // A null pointer in second place says that the points lie one behind the other.
        let places = [points.as_ptr().cast::<blst_p1>(), ptr::null()];
        unsafe { blst_p1s_to_affine(out.as_mut_ptr().cast(), places.as_ptr(), points.len()) };
        out
    }
}

impl G1Affine {
    /// Reads a point on the curve, which may be outside the group.
    pub(super) fn decode_unchecked(bytes: &[u8; G1_BYTES]) -> Result<Self, PointError> {
        let mut point = Self::default();
        if unsafe { blst_p1_uncompress(&mut point.0, bytes.as_ptr()) } != BLST_ERROR::BLST_SUCCESS {
            return Err(PointError::Encoding);
        }
        if point.is_identity() {
            return Err(PointError::Identity);
        }
        if point.encode() == *bytes { Ok(point) } else { Err(PointError::Encoding) }
    }

    /// Reads a point of the group.
    pub(super) fn decode(bytes: &[u8; G1_BYTES]) -> Result<Self, PointError> {
        let point = Self::decode_unchecked(bytes)?;
        if unsafe { blst_p1_affine_in_g1(&point.0) } { Ok(point) } else { Err(PointError::Subgroup) }
    }

    pub(super) fn encode(&self) -> [u8; G1_BYTES] {
        let mut out = [0; G1_BYTES];
        unsafe { blst_p1_affine_compress(out.as_mut_ptr(), &self.0) };
        out
    }

    pub(super) fn generator() -> Self {
        Self(unsafe { *blst_p1_affine_generator() })
    }

    pub(super) fn is_identity(&self) -> bool {
        unsafe { blst_p1_affine_is_inf(&self.0) }
    }

    pub(super) fn point(&self) -> G1 {
        let mut out = G1::default();
        unsafe { blst_p1_from_affine(&mut out.0, &self.0) };
        out
    }
}

impl G2Affine {
    /// The generator times `scalar`.
    pub(super) fn base_times(scalar: &Scalar) -> Self {
        let (mut product, plain) = (blst_p2::default(), scalar.plain());
        let mut out = blst_p2_affine::default();
        unsafe {
            blst_p2_mult(&mut product, blst_p2_generator(), plain.b.as_ptr(), SCALAR_BITS);
            blst_p2_to_affine(&mut out, &product);
        }
        Self(out)
    }

    pub(super) fn generator() -> Self {
        Self(unsafe { *blst_p2_affine_generator() })
    }

    /// Reads a point of the group.
    pub(super) fn decode(bytes: &[u8; G2_BYTES]) -> Result<Self, PointError> {
        let mut point = Self(blst_p2_affine::default());
        if unsafe { blst_p2_uncompress(&mut point.0, bytes.as_ptr()) } != BLST_ERROR::BLST_SUCCESS {
            return Err(PointError::Encoding);
        }
        if unsafe { blst_p2_affine_is_inf(&point.0) } {
            return Err(PointError::Identity);
        }
        if point.encode() != *bytes {
            return Err(PointError::Encoding);
        }
        if unsafe { blst_p2_affine_in_g2(&point.0) } { Ok(point) } else { Err(PointError::Subgroup) }
    }

    pub(super) fn encode(&self) -> [u8; G2_BYTES] {
        let mut out = [0; G2_BYTES];
        unsafe { blst_p2_affine_compress(out.as_mut_ptr(), &self.0) };
        out
    }
}

/// Sum of weight × point, on the threads of the caller's pool.
pub(super) fn weighted_sum(points: &[G1Affine], weights: &[u128]) -> G1 {
    let bytes: Vec<u8> = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
    sum_of_products(points, &bytes, WEIGHT_BITS)
}

/// Sum of scalar × point, on the threads of the caller's pool. Not for secrets.
pub(super) fn scalar_sum(points: &[G1Affine], scalars: &[Scalar]) -> G1 {
    let bytes: Vec<u8> = scalars.iter().flat_map(Scalar::encode).collect();
    sum_of_products(points, &bytes, SCALAR_BITS)
}

fn sum_of_products(points: &[G1Affine], factors: &[u8], bits: usize) -> G1 {
    let width = bits.div_ceil(8);
    assert_eq!(factors.len(), points.len() * width, "a factor for each point");
    let share = points.len().div_ceil(rayon::current_num_threads()).max(TASK_MIN_POINTS);
    let parts = points.par_chunks(share).zip(factors.par_chunks(share * width));
    parts.map(|(points, factors)| pippenger(points, factors, bits)).reduce(G1::default, |a, b| a.plus(&b))
}

fn pippenger(points: &[G1Affine], factors: &[u8], bits: usize) -> G1 {
    let mut out = G1::default();
    // A null pointer in second place says that what the first points to continues behind it.
    let places = [points.as_ptr().cast::<blst_p1_affine>(), ptr::null()];
    let factors = [factors.as_ptr(), ptr::null()];
    unsafe {
        let mut scratch = vec![0u64; blst_p1s_mult_pippenger_scratch_sizeof(points.len()).div_ceil(8)];
        let (places, factors) = (places.as_ptr(), factors.as_ptr());
        blst_p1s_mult_pippenger(&mut out.0, places, points.len(), factors, bits, scratch.as_mut_ptr());
    }
    out
}

/// Whether the product of the pairings is 1. Pairs with the identity count as 1.
pub(super) fn pairings_cancel(pairs: &[(G1, G2Affine)]) -> bool {
    let mut product = blst_fp12::default();
    for (left, right) in pairs {
        let left = left.affine();
        if left.is_identity() {
            continue;
        }
        let (mut one, before) = (blst_fp12::default(), product);
        unsafe {
            blst_miller_loop(&mut one, &right.0, &left.0);
            blst_fp12_mul(&mut product, &before, &one);
        }
    }
    let mut result = blst_fp12::default();
    unsafe {
        blst_final_exp(&mut result, &product);
        blst_fp12_is_one(&result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(n: u64) -> Scalar {
        Scalar::reduce(&n.to_le_bytes())
    }

    #[test]
    fn sums_agree_with_single_products() {
        for count in [0usize, 1, 2, 3, 31, 33, 1_030] {
            let points: Vec<G1> = (0..count).map(|i| G1::base_times(&scalar(i as u64 + 1))).collect();
            let affine = G1::all_affine(&points);
            let weights: Vec<u128> = (0..count).map(|i| u128::MAX / (i as u128 + 2)).collect();
            let logarithm = weights.iter().enumerate().fold(Scalar::default(), |sum, (i, weight)| {
                sum.plus(&scalar(i as u64 + 1).times(&Scalar::reduce(&weight.to_le_bytes())))
            });
            let expected = G1::base_times(&logarithm).affine();
            assert!(weighted_sum(&affine, &weights).affine() == expected, "{count} points");
            let scalars: Vec<Scalar> = weights.iter().map(|w| Scalar::reduce(&w.to_le_bytes())).collect();
            assert!(scalar_sum(&affine, &scalars).affine() == expected, "{count} points");
        }
    }

    #[test]
    fn sums_take_the_identity_and_equal_points() {
        // Equations of hostile proofs can have either.
        for count in [1usize, 2, 5, 40] {
            let mut points = vec![G1Affine::default(); count];
            assert!(weighted_sum(&points, &vec![7; count]).affine().is_identity());
            points.extend([G1Affine::generator(); 3]);
            let expected = G1::base_times(&scalar(15)).affine();
            assert!(weighted_sum(&points, &[vec![7; count], vec![5; 3]].concat()).affine() == expected, "{count}");
        }
    }

    #[test]
    fn fixed_base_agrees_with_the_general_product() {
        let generator = G1Affine::generator().point();
        let minus_one = Scalar::default().minus(&scalar(1));
        let ends = [0, 1, 15, 16, 17, 31, 32, 33, u64::MAX].map(scalar);
        let wide = (0u8..20).map(|i| Scalar::reduce(&[i.wrapping_mul(77); 64]));
        for factor in ends.into_iter().chain([minus_one]).chain(wide) {
            assert!(G1::base_times(&factor).affine() == generator.times(&factor).affine());
        }
    }

    #[test]
    fn pairings_are_bilinear() {
        let (a, b) = (scalar(6), scalar(7));
        let minus = G1::base_times(&scalar(42)).negated();
        let left = (G1::base_times(&a), G2Affine::base_times(&b));
        assert!(pairings_cancel(&[left, (minus, G2Affine::generator())]));
        assert!(!pairings_cancel(&[left, (minus.negated(), G2Affine::generator())]));
        assert!(pairings_cancel(&[(G1::default(), G2Affine::generator())]));
    }

    #[test]
    fn scalars_have_one_encoding() {
        let minus_one = Scalar::default().minus(&scalar(1));
        let mut bytes = minus_one.encode();
        assert!(Scalar::decode(&bytes) == Some(minus_one));
        bytes[0] += 1;
        assert!(Scalar::decode(&bytes).is_none(), "the order itself");
        assert!(Scalar::decode(&[0xff; 32]).is_none());
        assert!(Scalar::decode(&[0; 32]) == Some(Scalar::default()));
    }
}
