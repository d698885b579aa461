//! The import table: which folder of `src` may name which.

use crate::paths::named;
use crate::ratchet::Finding;
use crate::source::Source;
use std::collections::BTreeSet;

const BASE: &[&str] = &["types", "codec", "crypto", "config", "runtime"];

/// A folder and the folders it may import, besides itself. `BASE` stands for the vocabulary every service has.
const TABLE: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("codec", &["types"]),
    ("crypto", &["types", "codec"]),
    ("proofs", &["types", "codec", "crypto"]),
    ("consensus", &["types", "codec", "crypto"]),
    ("ledger", &["types", "codec", "crypto", "proofs", "consensus"]),
    ("config", &["types"]),
    ("runtime", &["types", "config"]),
    ("kv", &["BASE"]),
    ("network", &["BASE"]),
    ("rpc", &["BASE"]),
    ("client", &["BASE", "kv", "network", "rpc", "ledger", "consensus"]),
    ("chain", &["BASE", "kv", "rpc", "network", "ledger", "consensus", "client"]),
    ("storage", &["BASE", "kv", "rpc", "network", "proofs", "ledger", "client"]),
    ("tee", &["BASE", "rpc", "network", "proofs", "ledger", "client", "storage"]),
    ("rights", &["BASE", "rpc", "ledger", "client"]),
    ("cdn", &["BASE", "kv", "rpc", "network", "ledger", "client", "storage"]),
    ("access", &["BASE", "kv", "rpc", "ledger", "client", "storage", "cdn", "rights"]),
    ("ai", &["BASE", "kv", "rpc", "network", "ledger", "client", "storage", "tee", "rights"]),
    ("bridge", &["BASE", "kv", "rpc", "ledger", "client", "consensus"]),
    ("gateway", &["BASE", "rpc", "client", "ledger", "storage", "rights", "access"]),
    ("explorer", &["BASE", "kv", "rpc", "ledger", "client"]),
    (
        "roles",
        &[
            "BASE",
            "kv",
            "network",
            "rpc",
            "ledger",
            "consensus",
            "proofs",
            "client",
            "chain",
            "storage",
            "tee",
            "rights",
            "cdn",
            "access",
            "ai",
            "bridge",
            "gateway",
            "explorer",
        ],
    ),
    ("localnet", &["BASE", "client", "ledger", "network", "rpc", "roles"]),
    (
        "cli",
        &["BASE", "client", "ledger", "proofs", "storage", "gateway", "access", "rights", "roles", "localnet", "rpc"],
    ),
];

/// Imports the table forbids. `folders` are the folders that exist.
pub fn forbidden_imports(source: &Source, folders: &BTreeSet<String>) -> Vec<Finding> {
    let Some(home) = folder_of(&source.path) else { return Vec::new() };
    let mut findings = Vec::new();
    for path in named(&source.production) {
        let Some(target) = target_of(&path.words, module_depth(&source.path)) else { continue };
        if target == home || !folders.contains(target) || may_import(home, target) {
            continue;
        }
        let message = match row(home) {
            Some(_) => format!("`{home}` must not import `{target}` (the import table of ARCHITECTURE.md)"),
            None => format!("folder `{home}` has no row in the import table"),
        };
        findings.push(Finding { path: source.path.clone(), line: source.line_of(path.offset), message });
    }
    findings
}

/// The folder or single file directly below `src` a path belongs to; none for the crate's roots.
pub fn folder_of(path: &str) -> Option<&str> {
    let below = path.strip_prefix("src/")?;
    match below.split_once('/') {
        Some((folder, _)) => Some(folder),
        None => below.strip_suffix(".rs").filter(|name| !["lib", "main", "sdk"].contains(name)),
    }
}

/// How many modules deep a file is: `src/kv/mod.rs` is 1, `src/kv/rocks.rs` 2.
fn module_depth(path: &str) -> usize {
    let below = path.strip_prefix("src/").unwrap_or(path);
    let names = below.split('/').count();
    if below.ends_with("/mod.rs") { names - 1 } else { names }
}

/// First word below the crate's root that a path names.
fn target_of(words: &[String], depth: usize) -> Option<&str> {
    let supers = words.iter().take_while(|word| *word == "super").count();
    let at = match words.first().map(String::as_str) {
        Some("crate" | "cess") => 1,
        Some("super") if supers == depth => supers,
        _ => return None,
    };
    words.get(at).map(String::as_str)
}

fn row(folder: &str) -> Option<&'static [&'static str]> {
    TABLE.iter().find(|(name, _)| *name == folder).map(|(_, allowed)| *allowed)
}

fn may_import(home: &str, target: &str) -> bool {
    let Some(allowed) = row(home) else { return false };
    allowed.contains(&target) || (allowed.contains(&"BASE") && BASE.contains(&target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, code: &str) -> Vec<String> {
        let folders = TABLE.iter().map(|(name, _)| (*name).to_owned()).chain(["novel".to_owned()]).collect();
        let findings = forbidden_imports(&Source::new(path, code, false), &folders);
        findings.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn imports_follow_the_table() {
        assert!(check("src/kv/mod.rs", "use crate::{types::Height, runtime::Node, kv::Kv};").is_empty());
        assert!(check("src/kv/mod.rs", "use crate::chain::X;")[0].contains("`kv` must not import `chain`"));
        assert_eq!(check("src/storage/a.rs", "fn f() { crate::chain::start() }").len(), 1);
        assert_eq!(check("src/types/a.rs", "use crate::{codec::{a, b}};").len(), 2);
        assert!(check("src/novel/mod.rs", "use crate::kv::Kv;")[0].contains("no row"));
    }

    #[test]
    fn ways_around_the_table_are_seen() {
        assert_eq!(check("src/kv/rocks.rs", "use super::super::chain::X;").len(), 1);
        assert_eq!(check("src/kv/mod.rs", "use super::chain::X;").len(), 1);
        assert!(check("src/kv/rocks.rs", "use super::chain::X;").is_empty());
        assert_eq!(check("src/kv/mod.rs", "use cess::chain::X;").len(), 1);
    }

    #[test]
    fn words_in_tests_comments_and_texts_do_not_count() {
        let code =
            "// crate::chain\nconst A: &str = \"crate::chain::b\";\n#[cfg(test)]\nmod tests { use crate::chain::X; }";
        assert!(check("src/kv/mod.rs", code).is_empty());
        assert!(check("src/lib.rs", "pub use crate::chain::X;").is_empty());
        assert!(check("src/kv/mod.rs", "crate::some_macro!();").is_empty());
    }

    #[test]
    fn the_table_has_no_cycle() {
        let depends = |a: &str, b: &str| a != b && may_import(a, b);
        for (a, _) in TABLE {
            assert!(TABLE.iter().all(|(b, _)| !(depends(a, b) && depends(b, a))), "{a}");
        }
    }
}
