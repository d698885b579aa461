//! Parameters in the forms Ethereum's execution API allows, and refusals that name them.

use super::Answer;
use crate::{
    rpc::{ErrorObjectOwned, error},
    types::U256,
};
use alloy_primitives::B256;
use jsonrpsee::types::ParamsSequence;
use serde::de::DeserializeOwned;

/// A parameter that must be there.
pub fn required<T: DeserializeOwned>(params: &mut ParamsSequence<'_>, name: &str) -> Answer<T> {
    match params.optional_next::<serde_json::Value>() {
        Ok(Some(value)) => parsed(value, name),
        Ok(None) => Err(error::invalid_params(format_args!("missing value for required argument `{name}`"))),
        Err(e) => Err(error::invalid_params(format_args!("parameter `{name}`: {}", reason(&e)))),
    }
}

/// A hash that must be there. Hexadecimal begins with `0x` everywhere, which the parser of hashes does not insist on.
pub fn required_hash(params: &mut ParamsSequence<'_>, name: &str) -> Answer<B256> {
    let text: String = required(params, name)?;
    match text.starts_with("0x") {
        true => text.parse().map_err(|e| error::invalid_params(format_args!("parameter `{name}`: {e}"))),
        false => Err(error::invalid_params(format_args!("parameter `{name}`: hex string without 0x prefix"))),
    }
}

/// A parameter that may be missing or null.
pub fn optional<T: DeserializeOwned>(params: &mut ParamsSequence<'_>, name: &str) -> Answer<Option<T>> {
    match params.optional_next::<serde_json::Value>() {
        Ok(value) => value.map(|value| parsed(value, name)).transpose(),
        Err(e) => Err(error::invalid_params(format_args!("parameter `{name}`: {}", reason(&e)))),
    }
}

fn parsed<T: DeserializeOwned>(value: serde_json::Value, name: &str) -> Answer<T> {
    serde_json::from_value(value).map_err(|e| error::invalid_params(format_args!("parameter `{name}`: {e}")))
}

/// The parser's own words, which it keeps in the data.
fn reason(e: &ErrorObjectOwned) -> String {
    e.data().map_or_else(|| e.message().to_owned(), |data| data.get().trim_matches('"').to_owned())
}

/// A storage key: at most 32 bytes of hexadecimal, an odd number of digits allowed, with or without leading zeroes.
pub fn storage_key(text: &str) -> Answer<U256> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 2 * B256::len_bytes() {
        return Err(error::invalid_params(format_args!(
            "unable to decode storage key: hex string too long, want at most 32 bytes, got {}",
            digits.len().div_ceil(2)
        )));
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    U256::from_str_radix(digits, 16)
        .map_err(|_| error::invalid_params("unable to decode storage key: hex string invalid"))
}
