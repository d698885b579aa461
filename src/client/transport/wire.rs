//! JSON-RPC questions and answers as bytes, for transports without their own codec.

use super::RpcFailure;
use crate::client::ChainError;
use alloy_primitives::Bytes;
use jsonrpsee::types::ErrorObject;
use serde_json::{Value, json};

/// A call.
pub(super) fn question(method: &str, params: &Value) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string().into_bytes()
}

/// The answer to [`question`].
pub(super) fn answer(bytes: &[u8]) -> Result<Result<Value, RpcFailure>, ChainError> {
    let malformed = |reason: String| ChainError::Malformed(reason);
    let mut object: serde_json::Map<String, Value> =
        serde_json::from_slice(bytes).map_err(|e| malformed(format!("an answer of {} B: {e}", bytes.len())))?;
    if let Some(error) = object.remove("error").filter(|error| !error.is_null()) {
        let error: ErrorObject<'_> = serde_json::from_value(error).map_err(|e| malformed(e.to_string()))?;
        return Ok(Err(failure(&error)));
    }
    match object.remove("result") {
        Some(result) => Ok(Ok(result)),
        None => Err(malformed("an answer has neither a result nor an error".into())),
    }
}

/// The node's error object with its revert data, if it holds any.
pub(super) fn failure(error: &ErrorObject<'_>) -> RpcFailure {
    let data = error.data().and_then(|raw| serde_json::from_str::<Bytes>(raw.get()).ok());
    RpcFailure { code: error.code(), message: error.message().to_owned(), data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn answers_are_results_errors_or_nonsense() {
        assert_eq!(answer(br#"{"jsonrpc":"2.0","id":1,"result":null}"#).unwrap(), Ok(Value::Null));
        let refused = answer(br#"{"id":1,"error":{"code":3,"message":"no","data":"0x0102"}}"#).unwrap().unwrap_err();
        assert_eq!(refused, RpcFailure { code: 3, message: "no".into(), data: Some(Bytes::from_static(&[1, 2])) });
        for nonsense in [&b""[..], b"[]", b"{}", b"null", br#"{"error":"x"}"#, b"\xff"] {
            assert!(matches!(answer(nonsense), Err(ChainError::Malformed(_))));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = answer(&bytes);
        }
    }
}
