//! The OpenRPC document, generated from one table of methods.
//!
//! Owns the table (`openrpc/methods.txt`), the schemas it names and the codes a method may refuse with. Must not know how a
//! method answers. Invariant: a node's document lists the methods it has registered, all of them and no others; a test holds the
//! table to that.

use crate::rpc::{ErrorObjectOwned, RpcModule, error};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Version of the OpenRPC format.
const FORMAT: &str = "1.3.2";
/// One line a method: name, parameters, result, errors and summary, between bars.
const TABLE: &str = include_str!("openrpc/methods.txt");
/// The names under which the document is served: Ethereum's form and OpenRPC's own.
const NAMES: [&str; 2] = ["rpc_discover", "rpc.discover"];

/// A method of the table.
struct Method {
    name: &'static str,
    params: &'static str,
    result: &'static str,
    errors: &'static str,
    summary: &'static str,
}

/// Serves the document of the methods that are registered so far; called again, it replaces the document.
pub fn register(module: &mut RpcModule<()>) -> Result<(), RegisterMethodError> {
    for name in NAMES {
        module.remove_method(name);
    }
    let document = document(&module.method_names().chain(NAMES).collect());
    NAMES.into_iter().try_for_each(|name| {
        let document = document.clone();
        module.register_method(name, move |_, _, _| Ok::<_, ErrorObjectOwned>(document.clone())).map(|_| ())
    })
}

/// The document of these methods.
fn document(names: &BTreeSet<&str>) -> Value {
    let mut methods: Vec<Method> = table().filter(|method| names.contains(method.name)).collect();
    methods.sort_by_key(|method| method.name);
    let schemas: Map<String, Value> = schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({
        "openrpc": FORMAT,
        "info": {
            "title": "cess JSON-RPC",
            "description": "Methods of a cess node: Ethereum's execution API, and those of the storage chain.",
            "license": {"name": env!("CARGO_PKG_LICENSE")},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "methods": methods.iter().map(Method::object).collect::<Vec<_>>(),
        "components": {"schemas": schemas},
    })
}

fn table() -> impl Iterator<Item = Method> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.splitn(5, '|').map(str::trim);
        let mut field = || fields.next();
        Some(Method { name: field()?, params: field()?, result: field()?, errors: field()?, summary: field()? })
    })
}

impl Method {
    fn object(&self) -> Value {
        let error = |(code, message): (i32, &str)| json!({"code": code, "message": message});
        json!({
            "name": self.name,
            "summary": self.summary,
            "paramStructure": "by-position",
            "params": self.params.split_whitespace().filter_map(parameter).collect::<Vec<_>>(),
            "result": {"name": "result", "schema": schema(self.result)},
            "errors": codes(self.errors).into_iter().map(error).collect::<Vec<_>>(),
        })
    }
}

/// `name:kind`, or `name?:kind` for one that may be missing.
fn parameter(text: &str) -> Option<Value> {
    let (name, kind) = text.split_once(':')?;
    let bare = name.strip_suffix('?');
    Some(json!({"name": bare.unwrap_or(name), "required": bare.is_none(), "schema": schema(kind)}))
}

/// The schema of a kind: `kind?` may be null, `kind[]` is a list.
fn schema(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return json!({"oneOf": [schema(kind), {"type": "null"}]});
    }
    match kind.strip_suffix("[]") {
        Some(item) => json!({"type": "array", "items": schema(item)}),
        None => json!({"$ref": format!("#/components/schemas/{kind}")}),
    }
}

fn schemas() -> [(&'static str, Value); 12] {
    let text = |title: &str, pattern: &str| json!({"title": title, "type": "string", "pattern": pattern});
    let quantity = text("quantity without leading zeroes", "^0x(0|[1-9a-f][0-9a-f]*)$");
    let tag = json!({"title": "tag", "enum": ["earliest", "finalized", "safe", "latest", "pending"]});
    let number = json!({"title": "number or tag", "oneOf": [quantity, tag]});
    let by_hash = json!({
        "title": "block by hash (EIP-1898)",
        "type": "object",
        "properties": {"blockHash": schema("hash"), "requireCanonical": {"type": "boolean"}},
        "required": ["blockHash"],
    });
    let by_number = json!({
        "title": "block by number (EIP-1898)",
        "type": "object",
        "properties": {"blockNumber": schema("quantity")},
        "required": ["blockNumber"],
    });
    [
        ("address", text("20 bytes", "^0x[0-9a-fA-F]{40}$")),
        ("block", json!({"title": "block", "oneOf": [schema("blockNumber"), schema("hash"), by_hash, by_number]})),
        ("blockNumber", number),
        ("boolean", json!({"type": "boolean"})),
        ("bytes", text("bytes", "^0x([0-9a-fA-F]{2})*$")),
        ("call", json!({"title": "transaction object without signature", "type": "object"})),
        ("hash", text("32 bytes", "^0x[0-9a-fA-F]{64}$")),
        ("number", json!({"type": "number"})),
        ("object", json!({"type": "object"})),
        ("quantity", quantity),
        ("string", json!({"type": "string"})),
        ("value", json!({"title": "any value"})),
    ]
}

/// Codes the methods of a class refuse with.
fn codes(class: &str) -> Vec<(i32, &'static str)> {
    let mut codes = vec![(error::INVALID_PARAMS, "invalid params"), (error::INTERNAL, "internal error")];
    if ["state", "run", "range"].contains(&class) {
        codes.extend([(error::SERVER_ERROR, "the node refused"), (error::PRUNED, "pruned history unavailable")]);
    }
    match class {
        "run" => codes.push((error::REVERTED, "execution reverted")),
        "range" => codes.push((error::LIMIT_EXCEEDED, "limit exceeded")),
        "submit" => codes.extend([(error::TX_REJECTED, "rejected"), (error::LIMIT_EXCEEDED, "limit exceeded")]),
        _ => {}
    }
    codes
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::codec::golden::checkout;

    /// What is registered and what the table has are the same.
    pub fn check_covers(registered: &BTreeSet<&str>) {
        let listed: BTreeSet<&str> = table().map(|method| method.name).collect();
        let missing: Vec<_> = registered.difference(&listed).collect();
        assert!(missing.is_empty(), "registered methods that openrpc/methods.txt lacks: {missing:?}");
        let surplus: Vec<_> = listed.difference(registered).collect();
        assert!(surplus.is_empty(), "methods of openrpc/methods.txt that are not registered: {surplus:?}");
    }

    /// The golden document is the one of these methods. `CESS_GOLDEN_WRITE=1` writes it anew.
    pub fn check_golden(registered: &BTreeSet<&str>) {
        let path = checkout().join("tests/golden/openrpc.json");
        let text = format!("{}\n", serde_json::to_string_pretty(&document(registered)).unwrap());
        if std::env::var_os("CESS_GOLDEN_WRITE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap();
        assert!(
            golden == text,
            "{} differs: run this test with CESS_GOLDEN_WRITE=1 and look at the change",
            path.display()
        );
    }

    #[test]
    fn every_line_is_whole_and_names_known_kinds() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(table().count(), lines);
        let known = schemas().map(|(name, _)| name);
        let bare = |kind: &'static str| kind.trim_end_matches('?').trim_end_matches("[]");
        let mut seen = BTreeSet::new();
        for method in table() {
            assert!(seen.insert(method.name), "{} twice", method.name);
            assert!(known.contains(&bare(method.result)), "{}: {}", method.name, method.result);
            assert!(["plain", "state", "run", "range", "submit"].contains(&method.errors), "{}", method.name);
            assert!(method.summary.ends_with('.'), "{}", method.name);
            let mut optional = false;
            for param in method.params.split_whitespace() {
                let (name, kind) = param.split_once(':').unwrap();
                assert!(known.contains(&bare(kind)), "{}: {param}", method.name);
                assert!(!optional || name.ends_with('?'), "{}: {param} follows one that may be missing", method.name);
                optional |= name.ends_with('?');
            }
        }
    }
}
