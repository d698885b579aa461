//! Blocks as polynomials over the scalars: how bytes become coefficients, and the sums taken over them.
//!
//! A block is cut into sectors of 31 bytes; a sector followed by the byte 1 is, read as a little-endian number, the coefficient
//! of its place. The last sector of a block has what is left of it, sectors beyond the block's end are 0. So different blocks
//! are different polynomials whatever their lengths, and no block of more than one sector is a constant: an honest aggregate
//! opens to the identity with probability 2^-128 only, even if all of the data is zeros.
//!
//! Sums are taken over plain integers and reduced once at their end.

use super::curve::Scalar;
use crate::types::params::PODR2_BLOCK_BYTES;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a full block.
pub const BLOCK_BYTES: usize = {
    assert!(PODR2_BLOCK_BYTES == 32 << 10, "the number of sectors belongs to this size");
    32 << 10
};
/// Bytes of a full sector: with the byte 1 it stays below the group's order.
const SECTOR_BYTES: usize = 31;
/// Sectors of a full block.
pub const SECTORS: usize = BLOCK_BYTES.div_ceil(SECTOR_BYTES);

/// A number of 256 bits, least limb first.
type Limbs = [u64; 4];

/// Coefficients of a block, lowest first; at most [`SECTORS`].
fn coefficients(block: &[u8]) -> impl Iterator<Item = Limbs> + '_ {
    assert!(block.len() <= BLOCK_BYTES, "a block has {} B at most", BLOCK_BYTES);
    let (full, rest) = block.as_chunks::<SECTOR_BYTES>();
    let last = (!rest.is_empty()).then(|| coefficient(rest));
    full.iter().map(|sector| coefficient(sector)).chain(last)
}

#[inline(always)]
fn coefficient(sector: &[u8]) -> Limbs {
    let mut bytes = [0; 32];
    bytes[..sector.len()].copy_from_slice(sector);
    bytes[sector.len()] = 1;
    limbs(&bytes)
}

fn limbs(bytes: &[u8; 32]) -> Limbs {
    let (words, _) = bytes.as_chunks::<8>();
    [words[0], words[1], words[2], words[3]].map(u64::from_le_bytes)
}

/// Low and high half.
#[inline(always)]
fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

/// Adds a × b to `sum`, which has room for it.
#[inline(always)]
fn add_product<const A: usize, const N: usize>(sum: &mut [u64; N], a: &[u64; A], b: &Limbs) {
    let mut product = [0u64; N];
    for (i, &a) in a.iter().enumerate() {
        let mut carry = 0;
        for (j, &b) in b.iter().enumerate() {
            let term = u128::from(a) * u128::from(b) + u128::from(product[i + j]) + u128::from(carry);
            [product[i + j], carry] = halves(term);
        }
        product[i + b.len()] = carry;
    }
    add(sum, &product);
}

/// Adds `term` to `sum`, which has room for it.
#[inline(always)]
fn add<const N: usize>(sum: &mut [u64; N], term: &[u64; N]) {
    let mut carry = 0;
    for (limb, term) in sum.iter_mut().zip(term) {
        [*limb, carry] = halves(u128::from(*limb) + u128::from(*term) + u128::from(carry));
    }
    assert!(carry == 0, "the sum is longer than its number of terms allows");
}

/// The powers of a secret, for the value of blocks at it.
pub(super) struct SecretPowers(Zeroizing<Vec<Limbs>>);

impl SecretPowers {
    /// 1, `secret`, … up to the degree of a block.
    pub(super) fn of(secret: &Scalar) -> Self {
        let mut powers = Zeroizing::new(Vec::with_capacity(SECTORS));
        let mut power = Scalar::reduce(&[1]);
        for _ in 0..SECTORS {
            powers.push(limbs(&Zeroizing::new(power.encode())));
            power = power.times(secret);
        }
        power.zeroize();
        Self(powers)
    }

    /// The value of `block` at the secret, in constant time.
    pub(super) fn value(&self, block: &[u8]) -> Scalar {
        // A product has 249 + 255 bits, all of them together 11 more: nine limbs hold the sum.
        let mut sum = Zeroizing::new([0u64; 9]);
        for (coefficient, power) in coefficients(block).zip(self.0.iter()) {
            add_product(&mut sum, &coefficient, power);
        }
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(sum.iter().flat_map(|limb| limb.to_le_bytes()).collect());
        Scalar::reduce(&bytes)
    }

    /// The powers themselves.
    pub(super) fn iter(&self) -> impl Iterator<Item = Zeroizing<[u8; 32]>> + '_ {
        self.0.iter().map(|limbs| {
            let mut bytes = Zeroizing::new([0; 32]);
            bytes.chunks_exact_mut(8).zip(limbs).for_each(|(to, limb)| to.copy_from_slice(&limb.to_le_bytes()));
            bytes
        })
    }
}

/// A weighted sum of blocks. A term has 249 + 128 bits, so that seven limbs hold the sum of 2^64.
pub(super) struct BlockSum(Vec<[u64; 7]>);

impl BlockSum {
    pub(super) fn new() -> Self {
        Self(vec![[0; 7]; SECTORS])
    }

    /// Adds `weight` × `block`.
    pub(super) fn add(&mut self, weight: u128, block: &[u8]) {
        let weight = halves(weight);
        self.0
            .iter_mut()
            .zip(coefficients(block))
            .for_each(|(sum, coefficient)| add_product(sum, &weight, &coefficient));
    }

    /// Adds another sum.
    pub(super) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, term)| add(sum, term));
    }

    /// The polynomial, lowest coefficient first.
    pub(super) fn reduce(&self) -> Vec<Scalar> {
        let coefficient = |sum: &[u64; 7]| {
            let bytes: Vec<u8> = sum.iter().flat_map(|limb| limb.to_le_bytes()).collect();
            Scalar::reduce(&bytes)
        };
        self.0.iter().map(coefficient).collect()
    }
}

/// The value y of a polynomial at `point`, and its quotient (A(X) − y) / (X − point).
pub(super) fn open(polynomial: &[Scalar], point: &Scalar) -> (Scalar, Vec<Scalar>) {
    let mut quotient = vec![Scalar::default(); polynomial.len()];
    let mut carry = Scalar::default();
    for (out, coefficient) in quotient.iter_mut().zip(polynomial).rev() {
        *out = carry;
        carry = coefficient.plus(&carry.times(point));
    }
    (carry, quotient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Horner's rule, as the definition has it.
    fn horner(block: &[u8], at: &Scalar) -> Scalar {
        let coefficients = block.chunks(31).map(|sector| Scalar::reduce(&[sector, &[1]].concat()));
        coefficients.rev().fold(Scalar::default(), |sum, coefficient| sum.times(at).plus(&coefficient))
    }

    #[test]
    fn a_full_block_has_1058_sectors() {
        assert_eq!(SECTORS, 1_058);
        assert_eq!(coefficients(&[0xff; BLOCK_BYTES]).count(), SECTORS);
        let last = coefficients(&[0xff; BLOCK_BYTES]).last().unwrap();
        assert_eq!(last, [0x01ff, 0, 0, 0], "32 KiB are 1,057 sectors and a byte");
        assert_eq!(coefficients(&[9; 31]).next().unwrap()[3] >> 56, 1);
    }

    #[test]
    fn largest_sums_fit() {
        let at = Scalar::default().minus(&Scalar::reduce(&[1]));
        let block = [0xff; BLOCK_BYTES];
        assert!(SecretPowers::of(&at).value(&block) == horner(&block, &at));
        let mut sum = BlockSum::new();
        let mut doubled = BlockSum::new();
        for _ in 0..3 {
            sum.add(u128::MAX, &block);
            doubled.merge(&sum);
        }
        let six = Scalar::reduce(&[6]).times(&Scalar::reduce(&u128::MAX.to_le_bytes()));
        assert!(doubled.reduce()[7] == six.times(&Scalar::reduce(&[&[0xff; 31][..], &[1]].concat())));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn values_sums_and_openings_follow_the_definition(
            one in prop::collection::vec(any::<u8>(), 1..4_000),
            two in prop::collection::vec(any::<u8>(), 1..4_000),
            weights in any::<(u128, u128)>(),
            at in any::<[u8; 32]>(),
        ) {
            let at = Scalar::reduce(&at);
            let value = SecretPowers::of(&at).value(&one);
            prop_assert!(value == horner(&one, &at));
            let (mut sum, mut other) = (BlockSum::new(), BlockSum::new());
            sum.add(weights.0, &one);
            other.add(weights.1, &two);
            sum.merge(&other);
            let weight = |n: u128| Scalar::reduce(&n.to_le_bytes());
            let expected = weight(weights.0).times(&value).plus(&weight(weights.1).times(&horner(&two, &at)));
            let polynomial = sum.reduce();
            let (opened, quotient) = open(&polynomial, &at);
            prop_assert!(opened == expected);
            // A(z) − y = (z − point) q(z) at another z.
            let z = Scalar::reduce(&[5]);
            let at_z = |p: &[Scalar]| p.iter().rev().fold(Scalar::default(), |sum, c| sum.times(&z).plus(c));
            prop_assert!(at_z(&polynomial).minus(&opened) == z.minus(&at).times(&at_z(&quotient)));
        }

        #[test]
        fn different_blocks_are_different_polynomials(
            block in prop::collection::vec(any::<u8>(), 64..200), longer in 1usize..70,
        ) {
            let plain: Vec<_> = coefficients(&block).collect();
            let padded = [block.as_slice(), &vec![0; longer]].concat();
            prop_assert_ne!(&plain, &coefficients(&padded).collect::<Vec<_>>());
            prop_assert!(plain[1] != [0; 4], "not a constant");
        }
    }
}
