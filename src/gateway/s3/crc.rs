//! Checksums of a whole from those of its parts, without their bytes.
//!
//! A CRC is linear: the CRC of two runs of bytes is that of the first, carried over as many zero bytes as the second has, added
//! to that of the second. The carrying is a matrix over GF(2), squared as often as the length has bits.

use crate::access::objects::attributes::ChecksumKind;

/// The CRC of the parts' bytes in order; each part's own CRC and length are given. Empty for what is no CRC.
pub fn combined(kind: ChecksumKind, parts: &[(&[u8], u64)]) -> Vec<u8> {
    let (polynomial, bytes): (u64, usize) = match kind {
        ChecksumKind::Crc32 => (0xEDB8_8320, 4),
        ChecksumKind::Crc32c => (0x82F6_3B78, 4),
        ChecksumKind::Crc64Nvme => (0x9A6C_9329_AC4B_C9B5, 8),
        ChecksumKind::Sha1 | ChecksumKind::Sha256 => return Vec::new(),
    };
    let number = |value: &[u8]| value.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let carry = Carry::new(polynomial, bytes * 8);
    let whole = parts.iter().fold(0, |crc, (value, len)| carry.over(crc, *len) ^ number(value));
    whole.to_be_bytes()[8 - bytes..].to_vec()
}

/// Matrices that carry a CRC over 2^n zero bytes.
struct Carry {
    powers: Vec<Vec<u64>>,
}

impl Carry {
    fn new(polynomial: u64, width: usize) -> Self {
        // Over one zero bit, in the reflected form: shift right, and take the polynomial in for the bit that falls out.
        let bit: Vec<u64> = (0..width).map(|n| if n == 0 { polynomial } else { 1 << (n - 1) }).collect();
        let mut byte = bit;
        for _ in 0..3 {
            byte = square(&byte);
        }
        let mut powers = vec![byte];
        // Enough for parts of up to 2^40 bytes, far over the largest there is.
        for n in 0..40 {
            powers.push(square(&powers[n]));
        }
        Self { powers }
    }

    fn over(&self, crc: u64, zero_bytes: u64) -> u64 {
        let set = self.powers.iter().enumerate().filter(|(n, _)| zero_bytes >> n & 1 == 1);
        set.fold(crc, |crc, (_, matrix)| times(matrix, crc))
    }
}

fn times(matrix: &[u64], vector: u64) -> u64 {
    let set = matrix.iter().enumerate().filter(|(n, _)| vector >> n & 1 == 1);
    set.fold(0, |sum, (_, column)| sum ^ column)
}

fn square(matrix: &[u64]) -> Vec<u64> {
    matrix.iter().map(|column| times(matrix, *column)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::digests::checksum, *};

    #[test]
    fn parts_combine_to_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|n| u8::try_from(n * n % 251).unwrap()).collect();
        for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c, ChecksumKind::Crc64Nvme] {
            for cuts in [vec![10_000], vec![0, 10_000], vec![1, 9_999], vec![5_000, 4_000, 1_000], vec![100; 100]] {
                let mut rest = bytes.as_slice();
                let mut parts = Vec::new();
                for cut in cuts {
                    let (part, others) = rest.split_at(cut);
                    parts.push((checksum(kind, part), part.len() as u64));
                    rest = others;
                }
                let parts: Vec<(&[u8], u64)> = parts.iter().map(|(value, len)| (value.as_slice(), *len)).collect();
                assert_eq!(combined(kind, &parts), checksum(kind, &bytes), "{kind:?}");
            }
        }
    }
}
