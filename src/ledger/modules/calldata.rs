//! What every module's dispatch needs: decoding a call strictly and checking how it was made.
//!
//! Must not know any interface. Invariants: work grows with the bytes paid for (the strict decoder refuses overlapping offsets,
//! so a call never decodes to more than its own size); a refusal always says why.

use super::host::{ModuleError, ModuleHost};
use alloy_primitives::{Bytes, hex};
use alloy_sol_types::{SolCall, SolInterface, abi::AbiDecoderConfig};

/// Gas of dispatching any call.
const CALL_GAS: u64 = 200;
/// Gas for each started 32 bytes of call data: decoding copies them.
const WORD_GAS: u64 = 6;

/// What a function may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reads only.
    View,
    /// Writes, takes no value.
    Write,
    /// Writes, takes value.
    Payable,
}

/// Charges for `input` and decodes it as a call of the interface `I`.
pub(super) fn decode<I: SolInterface>(input: &[u8], host: &mut dyn ModuleHost) -> Result<I, ModuleError> {
    let words = u64::try_from(input.len().div_ceil(32)).expect("call data fits memory");
    host.charge(CALL_GAS + words * WORD_GAS)?;
    let Some(selector) = input.first_chunk::<4>() else {
        return Err(ModuleError::reason(format!("call data is {} B, a selector is 4 B", input.len())));
    };
    if !I::valid_selector(*selector) {
        return Err(ModuleError::reason(format!("function 0x{} is unknown", hex::encode(selector))));
    }
    let config = AbiDecoderConfig::new().strict(true);
    I::abi_decode_with_config(input, config)
        .map_err(|error| ModuleError::reason(format!("call data is malformed: {error}")))
}

/// Refuses value where none is taken and writes where none are allowed.
pub(super) fn permit(access: Access, host: &dyn ModuleHost) -> Result<(), ModuleError> {
    if access != Access::Payable && !host.value().is_zero() {
        return Err(ModuleError::reason("function takes no value"));
    }
    if access != Access::View && host.is_static() {
        return Err(ModuleError::Static);
    }
    Ok(())
}

/// Encodes what a call returns.
pub(super) fn reply<C: SolCall>(value: &C::Return) -> Bytes {
    C::abi_encode_returns(value).into()
}
