//! Numbers in every form the tools send them: JSON numbers, hexadecimal quantities, decimal text.

use crate::{
    chain::api::{Answer, optional, required},
    rpc::error,
    types::U256,
};
use jsonrpsee::types::ParamsSequence;
use serde_json::Value;

/// A number that must be there.
pub fn number(params: &mut ParamsSequence<'_>, name: &str) -> Answer<u64> {
    narrow(word(params, name)?, name)
}

/// A number that may be missing.
pub fn number_if(params: &mut ParamsSequence<'_>, name: &str) -> Answer<Option<u64>> {
    let value: Option<Value> = optional(params, name)?;
    value.map(|value| narrow(parsed(&value, name)?, name)).transpose()
}

/// A number of up to 256 bits that must be there.
pub fn word(params: &mut ParamsSequence<'_>, name: &str) -> Answer<U256> {
    parsed(&required::<Value>(params, name)?, name)
}

/// A number inside an object.
pub fn parsed(value: &Value, name: &str) -> Answer<U256> {
    let text = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some("") => Some(U256::ZERO),
        Some(digits) => U256::from_str_radix(digits, 16).ok(),
        None => U256::from_str_radix(text, 10).ok(),
    };
    let found = value.as_u64().map(U256::from).or_else(|| value.as_str().and_then(text));
    found.ok_or_else(|| error::invalid_params(format_args!("parameter `{name}`: {value} is not a number")))
}

/// A number of up to 64 bits.
pub fn narrow(word: U256, name: &str) -> Answer<u64> {
    u64::try_from(word).map_err(|_| error::invalid_params(format_args!("parameter `{name}`: {word} is over 64 bits")))
}
