//! Quantities with a unit: bytes, tokens, heights, chain ids.

use alloy_primitives::U256;
use std::{fmt, str::FromStr};

/// Why a textual quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number followed by a known unit.
    #[error("`{0}` is not a size such as 512, 64MiB or 50GiB")]
    Size(String),
    /// Not a decimal number of tokens.
    #[error("`{0}` is not a token amount such as 1, 0.25 or 1000wei")]
    Amount(String),
    /// Larger than the type can hold.
    #[error("`{0}` is too large")]
    Overflow(String),
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteCount(pub u64);

const BYTE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteCount {
    /// `n` binary gigabytes.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }
    /// `n` binary megabytes.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = BYTE_UNITS[..4].iter().find(|(_, unit)| self.0 >= *unit).unwrap_or(&("B", 1));
        if self.0.is_multiple_of(*unit) {
            return write!(f, "{} {name}", self.0 / unit);
        }
        let hundredths = u128::from(self.0) * 100 / u128::from(*unit);
        write!(f, "{}.{:02} {name}", hundredths / 100, hundredths % 100)
    }
}

impl FromStr for ByteCount {
    type Err = UnitError;

    /// `512`, `64MiB`, `1.5 GiB`; a bare number is bytes.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Size(text.to_owned());
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = (&trimmed[..split], trimmed[split..].trim());
        let scale = match unit {
            "" => 1,
            _ => BYTE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(bad)?.1,
        };
        let scaled = parse_decimal(number, u128::from(scale)).ok_or_else(bad)?;
        u64::try_from(scaled).map(Self).map_err(|_| UnitError::Overflow(text.to_owned()))
    }
}

/// An amount of the native token in its smallest unit (10⁻¹⁸).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub U256);

/// One whole token in its smallest unit.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;

impl Amount {
    /// `n` whole tokens.
    pub fn tokens(n: u64) -> Self {
        Self(U256::from(n) * U256::from(TOKEN))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_tokens(self.0))
    }
}

impl FromStr for Amount {
    type Err = UnitError;

    /// `1`, `0.25` are tokens; `1000wei` is the smallest unit.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Amount(text.to_owned());
        if let Some(wei) = text.trim().strip_suffix("wei") {
            return wei.trim().parse::<U256>().map(Self).map_err(|_| bad());
        }
        let (whole, frac) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        if whole.is_empty() || !whole.bytes().all(|b| b.is_ascii_digit()) || !frac.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        if frac.len() > 18 {
            return Err(bad());
        }
        let over = || UnitError::Overflow(text.to_owned());
        let units: U256 = whole.parse().map_err(|_| over())?;
        let frac_units: U256 = format!("{frac:0<18}").parse().map_err(|_| bad())?;
        units.checked_mul(U256::from(TOKEN)).and_then(|w| w.checked_add(frac_units)).map(Self).ok_or_else(over)
    }
}

/// Renders smallest units as whole tokens without trailing zeroes.
pub fn format_tokens(wei: U256) -> String {
    let unit = U256::from(TOKEN);
    let (whole, rest) = (wei / unit, wei % unit);
    if rest.is_zero() {
        return whole.to_string();
    }
    let frac = format!("{:0>18}", rest.to_string());
    format!("{whole}.{}", frac.trim_end_matches('0'))
}

fn parse_decimal(number: &str, scale: u128) -> Option<u128> {
    let (whole, frac) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && frac.is_empty()) || frac.len() > 12 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let frac_value: u128 = if frac.is_empty() { 0 } else { frac.parse().ok()? };
    let frac_scale = 10u128.pow(u32::try_from(frac.len()).ok()?);
    whole.checked_mul(scale)?.checked_add(frac_value.checked_mul(scale)? / frac_scale)
}

/// Block height; genesis is 0, the first decided block is 1.
pub type Height = u64;

/// EIP-155 chain id.
pub type ChainId = u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_parse_and_print() {
        assert_eq!("50GiB".parse(), Ok(ByteCount::gib(50)));
        assert_eq!("1.5 mib".parse(), Ok(ByteCount(1_572_864)));
        assert_eq!("512".parse(), Ok(ByteCount(512)));
        assert_eq!(ByteCount(1_572_864).to_string(), "1.50 MiB");
        for bad in ["", "GiB", "1XB", "-1", "1..5MiB"] {
            assert!(bad.parse::<ByteCount>().is_err(), "{bad}");
        }
        assert!(matches!("99999999999TiB".parse::<ByteCount>(), Err(UnitError::Overflow(_))));
    }

    #[test]
    fn amounts_parse_and_print() {
        assert_eq!("1.25".parse::<Amount>().unwrap().to_string(), "1.25");
        assert_eq!("7wei".parse::<Amount>().unwrap().0, U256::from(7));
        assert_eq!("3".parse(), Ok(Amount::tokens(3)));
        for bad in ["", ".5", "1.0000000000000000001", "x", "-1"] {
            assert!(bad.parse::<Amount>().is_err(), "{bad}");
        }
    }
}
