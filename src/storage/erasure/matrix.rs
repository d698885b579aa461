//! The code's generator matrix over GF(2^16) and the small inverses rebuilding needs.
//!
//! Owns field arithmetic on single elements; bytes are multiplied elsewhere. Invariant: the generator is learned from the
//! encoder by encoding unit vectors, so it describes exactly the fragments the encoder makes.

use super::{DATA_FRAGMENTS, ErasureError, FRAGMENTS};
use reed_solomon_simd::engine::{GF_MODULUS, GfElement, tables};
use std::sync::LazyLock;

/// Coefficients of one fragment over four others.
pub(super) type Row = [GfElement; DATA_FRAGMENTS];
type Square = [Row; DATA_FRAGMENTS];

/// Row i makes fragment i from the four data fragments.
static GENERATOR: LazyLock<[Row; FRAGMENTS]> = LazyLock::new(learn);

/// Coefficients that make fragment `wanted` from the fragments `given`.
pub(super) fn row_over(wanted: usize, given: &[usize; DATA_FRAGMENTS]) -> Result<Row, ErasureError> {
    let inverse = invert(given.map(|index| GENERATOR[index])).ok_or(ErasureError::Singular { given: *given })?;
    let generator = &GENERATOR[wanted];
    let mut row = [0; DATA_FRAGMENTS];
    for (column, coefficient) in row.iter_mut().enumerate() {
        for (k, line) in inverse.iter().enumerate() {
            *coefficient ^= mul(generator[k], line[column]);
        }
    }
    Ok(row)
}

/// Logarithm of a non-zero element, as the engine's multiplication wants it.
pub(super) fn log(element: GfElement) -> GfElement {
    tables::get_exp_log().log[usize::from(element)]
}

fn mul(a: GfElement, b: GfElement) -> GfElement {
    if b == 0 {
        return 0;
    }
    let tables = tables::get_exp_log();
    tables::mul(a, log(b), &tables.exp, &tables.log)
}

fn inverse(element: GfElement) -> GfElement {
    tables::get_exp_log().exp[usize::from(GF_MODULUS - log(element))]
}

/// Gauss–Jordan elimination; `None` for a singular matrix.
fn invert(mut left: Square) -> Option<Square> {
    let mut right = identity();
    for column in 0..DATA_FRAGMENTS {
        let pivot = (column..DATA_FRAGMENTS).find(|&line| left[line][column] != 0)?;
        left.swap(column, pivot);
        right.swap(column, pivot);
        let factor = inverse(left[column][column]);
        scale(&mut left[column], factor);
        scale(&mut right[column], factor);
        for line in (0..DATA_FRAGMENTS).filter(|&line| line != column) {
            let factor = left[line][column];
            let (left_pivot, right_pivot) = (left[column], right[column]);
            subtract(&mut left[line], &left_pivot, factor);
            subtract(&mut right[line], &right_pivot, factor);
        }
    }
    Some(right)
}

fn identity() -> Square {
    let mut square = [[0; DATA_FRAGMENTS]; DATA_FRAGMENTS];
    for (index, row) in square.iter_mut().enumerate() {
        row[index] = 1;
    }
    square
}

fn scale(row: &mut Row, factor: GfElement) {
    for element in row {
        *element = mul(*element, factor);
    }
}

fn subtract(row: &mut Row, other: &Row, factor: GfElement) {
    for (element, value) in row.iter_mut().zip(other) {
        *element ^= mul(*value, factor);
    }
}

/// Encodes the four unit vectors. A 64-byte block holds 32 elements: low bytes first, then high bytes.
fn learn() -> [Row; FRAGMENTS] {
    let mut generator = [[0; DATA_FRAGMENTS]; FRAGMENTS];
    generator[..DATA_FRAGMENTS].copy_from_slice(&identity());
    for unit in 0..DATA_FRAGMENTS {
        let mut data = [[0u8; 64]; DATA_FRAGMENTS];
        data[unit][0] = 1;
        let mut parity = [[0u8; 64]; FRAGMENTS - DATA_FRAGMENTS];
        super::encode_parity(data.each_ref().map(|block| &block[..]), parity.each_mut().map(|block| &mut block[..]));
        for (row, block) in generator[DATA_FRAGMENTS..].iter_mut().zip(&parity) {
            row[unit] = u16::from_le_bytes([block[0], block[32]]);
        }
    }
    generator
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_four_rows_are_independent() {
        for mask in 0u32..1 << FRAGMENTS {
            let chosen: Vec<usize> = (0..FRAGMENTS).filter(|i| mask >> i & 1 == 1).collect();
            let Ok(given) = <[usize; DATA_FRAGMENTS]>::try_from(chosen) else { continue };
            for (position, &index) in given.iter().enumerate() {
                let mut unit = [0; DATA_FRAGMENTS];
                unit[position] = 1;
                assert_eq!(row_over(index, &given), Ok(unit));
            }
        }
    }

    #[test]
    fn elements_have_inverses() {
        for element in [1, 2, 3, 255, 256, 40_000, GF_MODULUS] {
            assert_eq!(mul(element, inverse(element)), 1);
        }
    }
}
