//! Multiples of G1's generator from a table, four times as fast as the general product.
//!
//! The factor may be secret: each digit reads its whole row of the table, so that neither time nor cache lines depend on it.

use super::curve::{G1, G1Affine, SCALAR_BYTES};
use blst::{blst_fp_cneg, blst_p1_add_or_double_affine};
use std::sync::LazyLock;

/// Bits of a signed digit, which lies in −32 … 32. Fewer cost more additions, more cost more reading.
const DIGIT_BITS: usize = 6;
/// Multiples in a row.
const ROW: usize = 1 << (DIGIT_BITS - 1);
/// Digits of a scalar of 255 bits, the last of which borrows nothing.
const DIGITS: usize = 256usize.div_ceil(DIGIT_BITS);

/// Row d holds 1 … 32 times 64^d times the generator.
static TABLE: LazyLock<Vec<Vec<G1Affine>>> = LazyLock::new(|| {
    let mut base = G1Affine::generator().point();
    let row = |_| {
        let mut multiple = base;
        let multiples: Vec<G1> = (0..ROW)
            .map(|_| {
                let this = multiple;
                multiple = multiple.plus(&base);
                this
            })
            .collect();
        base = multiples[ROW - 1].plus(&multiples[ROW - 1]);
        G1::all_affine(&multiples)
    };
    (0..DIGITS).map(row).collect()
});

/// The generator times the little-endian `factor`, which is below 2^255.
pub(super) fn times(factor: &[u8; SCALAR_BYTES]) -> G1 {
    let mut sum = G1::default();
    for (place, row) in TABLE.iter().enumerate() {
        let (negative, size) = digit(factor, place);
        let mut term = pick(row, size);
        let (y, before) = (term.0.y, sum);
        unsafe {
            blst_fp_cneg(&mut term.0.y, &y, negative);
            blst_p1_add_or_double_affine(&mut sum.0, &before.0, &term.0);
        }
    }
    sum
}

/// Booth's recoding: bits 6p − 1 … 6p + 5 say digit p's sign and size.
fn digit(factor: &[u8; SCALAR_BYTES], place: usize) -> (bool, u64) {
    let bit = |at: usize| factor.get(at / 8).map_or(0, |byte| u64::from(byte >> (at % 8)) & 1);
    let first = place * DIGIT_BITS;
    let borrow = if first == 0 { 0 } else { bit(first - 1) };
    let plain = (0..DIGIT_BITS).fold(0, |sum, i| sum | bit(first + i) << i);
    let sign = plain >> (DIGIT_BITS - 1);
    let size = plain + borrow;
    // 64 − size where the sign is set, without a branch.
    let size = size.wrapping_mul(1 - sign) + (1u64 << DIGIT_BITS).wrapping_sub(size).wrapping_mul(sign);
    (sign == 1, size)
}

/// The `size`-th point of the row, the identity for 0.
fn pick(row: &[G1Affine], size: u64) -> G1Affine {
    let mut out = G1Affine::default();
    for (number, point) in (1u64..).zip(row) {
        // All ones where the numbers are equal.
        let mask = ((number ^ size).wrapping_sub(1) >> 63).wrapping_neg();
        for limb in 0..out.0.x.l.len() {
            out.0.x.l[limb] |= point.0.x.l[limb] & mask;
            out.0.y.l[limb] |= point.0.y.l[limb] & mask;
        }
    }
    out
}
