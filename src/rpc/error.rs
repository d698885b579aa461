//! Error codes of the JSON-RPC surface and constructors for them.
//!
//! -32700…-32600 are JSON-RPC's, -32000…-32099 and 4444 Ethereum's, 3 is geth's for a revert.

use super::limits::MESSAGE_MAX_BYTES;
use alloy_sol_types::{Panic, Revert, SolError};
use jsonrpsee::types::ErrorObjectOwned;
use std::fmt::Display;
use std::net::SocketAddr;

/// The request is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// The request is JSON but not a JSON-RPC call.
pub const INVALID_REQUEST: i32 = -32600;
/// No such method, or not over this transport.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The parameters do not fit the method.
pub const INVALID_PARAMS: i32 = -32602;
/// The node failed; its log says why.
pub const INTERNAL: i32 = -32603;
/// The node refused for a reason in the message.
pub const SERVER_ERROR: i32 = -32000;
/// What was asked for does not exist, or not any more.
pub const NOT_FOUND: i32 = -32001;
/// Momentarily not possible, for instance while catching up; asking again may work.
pub const UNAVAILABLE: i32 = -32002;
/// The transaction was not admitted.
pub const TX_REJECTED: i32 = -32003;
/// A range or count over its bound.
pub const LIMIT_EXCEEDED: i32 = -32005;
/// The request is over its size limit.
pub const REQUEST_TOO_LARGE: i32 = -32007;
/// The answer would be over its size limit: ask for less.
pub const ANSWER_TOO_LARGE: i32 = -32008;
/// More calls in a batch than allowed.
pub const BATCH_TOO_LARGE: i32 = -32010;
/// The block is older than the history this node keeps; the code is that of Ethereum's execution API.
pub const PRUNED: i32 = 4444;
/// The call was reverted; `data` holds the revert data in hexadecimal.
pub const REVERTED: i32 = 3;

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// The port is taken, or not ours to take.
    #[error("rpc cannot listen on {addr}: {reason}")]
    Bind { addr: SocketAddr, reason: String },
}

/// An error without data.
pub fn error(code: i32, message: impl Display) -> ErrorObjectOwned {
    ErrorObjectOwned::owned(code, bounded(&message.to_string()), None::<()>)
}

/// The parameters do not fit.
pub fn invalid_params(message: impl Display) -> ErrorObjectOwned {
    error(INVALID_PARAMS, message)
}

/// The node refused.
pub fn server_error(message: impl Display) -> ErrorObjectOwned {
    error(SERVER_ERROR, message)
}

/// `what` does not exist.
pub fn not_found(what: impl Display) -> ErrorObjectOwned {
    error(NOT_FOUND, format_args!("{what} not found"))
}

/// Not possible now.
pub fn unavailable(message: impl Display) -> ErrorObjectOwned {
    error(UNAVAILABLE, message)
}

/// The transaction was not admitted.
pub fn rejected(message: impl Display) -> ErrorObjectOwned {
    error(TX_REJECTED, message)
}

/// Over a bound.
pub fn limit_exceeded(message: impl Display) -> ErrorObjectOwned {
    error(LIMIT_EXCEEDED, message)
}

/// The node failed. `message` must hold no secret.
pub fn internal(message: impl Display) -> ErrorObjectOwned {
    error(INTERNAL, message)
}

/// What a revert is called, with its reason if it gives one.
pub fn revert_message(data: &[u8]) -> String {
    match plain_reason(data) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

/// A reverted call with its revert data, in the form wallets and `cast` understand.
pub fn reverted(data: impl AsRef<[u8]>) -> ErrorObjectOwned {
    let data = data.as_ref();
    let message = revert_message(data);
    ErrorObjectOwned::owned(REVERTED, bounded(&message), Some(format!("0x{}", hex::encode(data))))
}

fn plain_reason(data: &[u8]) -> Option<String> {
    if let Ok(revert) = Revert::abi_decode(data) {
        return Some(revert.reason);
    }
    Panic::abi_decode(data).ok().map(|panic| panic_reason(&panic))
}

/// What Solidity's panic codes mean, in go-ethereum's words.
fn panic_reason(panic: &Panic) -> String {
    match u8::try_from(panic.code) {
        Ok(0x00) => "generic panic",
        Ok(0x01) => "assert(false)",
        Ok(0x11) => "arithmetic underflow or overflow",
        Ok(0x12) => "division or modulo by zero",
        Ok(0x21) => "enum overflow",
        Ok(0x22) => "invalid encoded storage byte array accessed",
        Ok(0x31) => "out-of-bounds array access; popping on an empty array",
        Ok(0x32) => "out-of-bounds access of an array or bytesN",
        Ok(0x41) => "out of memory",
        Ok(0x51) => "uninitialized function",
        _ => return format!("unknown panic code: {:#x}", panic.code),
    }
    .to_owned()
}

fn bounded(message: &str) -> String {
    let mut end = message.len().min(MESSAGE_MAX_BYTES);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message[..end].to_owned()
}
