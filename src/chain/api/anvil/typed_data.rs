//! EIP-712: the digest of structured data.
//!
//! Owns the encoding. Invariant: data that does not fit its type is refused, naming the field.

use crate::{
    chain::api::Answer,
    rpc::error,
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, I256, keccak256};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The domain's type and its fields in the order the standard has them, for data that leaves it out.
const DOMAIN: &str = "EIP712Domain";
const DOMAIN_FIELDS: [(&str, &str); 5] = [
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
];

#[derive(Deserialize, Clone)]
struct Field {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TypedData {
    types: BTreeMap<String, Vec<Field>>,
    primary_type: String,
    domain: Map<String, Value>,
    message: Value,
}

/// What is signed: `keccak256(0x19 0x01 ‖ domain ‖ message)`. The data may be an object, or the text of one.
pub fn digest(data: &Value) -> Answer<B256> {
    let parsed = match data {
        Value::String(text) => serde_json::from_str(text),
        object => serde_json::from_value(object.clone()),
    };
    let mut data: TypedData = parsed.map_err(|e| error::invalid_params(format_args!("typed data: {e}")))?;
    let present = DOMAIN_FIELDS.iter().filter(|(name, _)| data.domain.contains_key(*name));
    let fields = present.map(|(name, kind)| Field { name: (*name).into(), kind: (*kind).into() }).collect();
    data.types.entry(DOMAIN.into()).or_insert(fields);
    let types = Types(&data.types);
    let mut bytes = vec![0x19, 0x01];
    bytes.extend_from_slice(types.hash(DOMAIN, &Value::Object(data.domain.clone()))?.as_slice());
    if data.primary_type != DOMAIN {
        bytes.extend_from_slice(types.hash(&data.primary_type, &data.message)?.as_slice());
    }
    Ok(keccak256(bytes))
}

fn unfit<T>(name: &str, kind: &str, value: &Value) -> Answer<T> {
    Err(error::invalid_params(format_args!("typed data: `{name}` is {value}, which is not a {kind}")))
}

struct Types<'a>(&'a BTreeMap<String, Vec<Field>>);

impl Types<'_> {
    fn fields(&self, kind: &str) -> Answer<&[Field]> {
        let found = self.0.get(kind).map(Vec::as_slice);
        found.ok_or_else(|| error::invalid_params(format_args!("typed data: type `{kind}` is not defined")))
    }

    /// `hashStruct`.
    fn hash(&self, kind: &str, value: &Value) -> Answer<B256> {
        let Some(object) = value.as_object() else { return unfit(kind, kind, value) };
        let mut bytes = keccak256(self.encode_type(kind)?).to_vec();
        for field in self.fields(kind)? {
            let value = object.get(&field.name).unwrap_or(&Value::Null);
            bytes.extend_from_slice(self.encode(&field.name, &field.kind, value)?.as_slice());
        }
        Ok(keccak256(bytes))
    }

    /// The type followed by those it refers to, sorted.
    fn encode_type(&self, kind: &str) -> Answer<String> {
        let mut used = BTreeSet::new();
        self.gather(kind, &mut used)?;
        used.remove(kind);
        let mut text = String::new();
        for name in std::iter::once(kind).chain(used.iter().map(String::as_str)) {
            let fields: Vec<String> =
                self.fields(name)?.iter().map(|field| format!("{} {}", field.kind, field.name)).collect();
            text.push_str(&format!("{name}({})", fields.join(",")));
        }
        Ok(text)
    }

    fn gather(&self, kind: &str, used: &mut BTreeSet<String>) -> Answer<()> {
        if !used.insert(kind.to_owned()) {
            return Ok(());
        }
        for field in self.fields(kind)? {
            let inner = field.kind.split('[').next().unwrap_or_default();
            if self.0.contains_key(inner) {
                self.gather(inner, used)?;
            }
        }
        Ok(())
    }

    /// A field's 32 bytes.
    fn encode(&self, name: &str, kind: &str, value: &Value) -> Answer<B256> {
        if let Some((inner, _)) = kind.strip_suffix(']').and_then(|kind| kind.rsplit_once('[')) {
            let Some(items) = value.as_array() else { return unfit(name, kind, value) };
            let words = items.iter().map(|item| self.encode(name, inner, item)).collect::<Answer<Vec<_>>>()?;
            return Ok(keccak256(words.iter().flat_map(|word| word.0).collect::<Vec<u8>>()));
        }
        if self.0.contains_key(kind) {
            return if value.is_null() { Ok(B256::ZERO) } else { self.hash(kind, value) };
        }
        match atom(kind, value) {
            Some(word) => Ok(word),
            None => unfit(name, kind, value),
        }
    }
}

/// A value of one of Solidity's own types.
fn atom(kind: &str, value: &Value) -> Option<B256> {
    let bytes = || value.as_str()?.parse::<Bytes>().ok();
    match kind {
        "string" => Some(keccak256(value.as_str()?)),
        "bytes" => Some(keccak256(bytes()?)),
        "bool" => Some(B256::from(U256::from(value.as_bool()?))),
        "address" => Some(value.as_str()?.parse::<Address>().ok()?.into_word()),
        _ => {
            if let Some(size) = kind.strip_prefix("bytes") {
                let (size, bytes) = (size.parse::<usize>().ok()?, bytes()?);
                return (bytes.len() == size && size <= 32).then(|| B256::right_padding_from(&bytes));
            }
            let unsigned = kind.strip_prefix("uint");
            let bits: usize = match unsigned.or_else(|| kind.strip_prefix("int"))? {
                "" => 256,
                bits => bits.parse().ok()?,
            };
            if unsigned.is_some() { natural(value, bits) } else { integer(value, bits) }
        }
    }
}

fn natural(value: &Value, bits: usize) -> Option<B256> {
    let number = value.as_u64().map(U256::from).or_else(|| value.as_str()?.parse::<U256>().ok())?;
    (number.bit_len() <= bits).then(|| B256::from(number))
}

fn integer(value: &Value, bits: usize) -> Option<B256> {
    let number =
        value.as_i64().and_then(|n| I256::try_from(n).ok()).or_else(|| value.as_str()?.parse::<I256>().ok())?;
    (usize::try_from(number.bits()).is_ok_and(|used| used <= bits)).then(|| B256::from(number.into_raw()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;
    use serde_json::json;

    /// The example of EIP-712 itself.
    fn mail() -> Value {
        json!({
            "types": {
                "EIP712Domain": [
                    {"name": "name", "type": "string"}, {"name": "version", "type": "string"},
                    {"name": "chainId", "type": "uint256"}, {"name": "verifyingContract", "type": "address"}
                ],
                "Person": [{"name": "name", "type": "string"}, {"name": "wallet", "type": "address"}],
                "Mail": [{"name": "from", "type": "Person"}, {"name": "to", "type": "Person"}, {"name": "contents", "type": "string"}]
            },
            "primaryType": "Mail",
            "domain": {"name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC"},
            "message": {
                "from": {"name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826"},
                "to": {"name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB"},
                "contents": "Hello, Bob!"
            }
        })
    }

    #[test]
    fn the_standards_example() {
        let expected = b256!("be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2");
        assert_eq!(digest(&mail()).unwrap(), expected);
        assert_eq!(digest(&json!(mail().to_string())).unwrap(), expected, "as text");
        let mut without = mail();
        without["types"].as_object_mut().unwrap().remove("EIP712Domain");
        assert_eq!(digest(&without).unwrap(), expected, "the domain's type follows from the domain");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let mut wrong = mail();
        wrong["message"]["contents"] = json!(7);
        assert!(digest(&wrong).unwrap_err().message().contains("`contents` is 7"));
        wrong["types"]["Mail"] = json!([{"name": "contents", "type": "uint2"}]);
        assert!(digest(&wrong).is_err());
        assert_eq!(atom("int8", &json!(-1)), Some(B256::repeat_byte(0xff)));
        assert_eq!(atom("int8", &json!(128)), None);
        assert_eq!(atom("uint8", &json!("0xff")), Some(B256::from(U256::from(255))));
        assert_eq!(atom("uint8", &json!("256")), None);
        assert_eq!(atom("bytes4", &json!("0x01")), None);
    }
}
