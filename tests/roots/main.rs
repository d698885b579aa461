//! The node's state trie, the very source file, with roots by ethrex-trie beside it.
//!
//! Owns the comparison only. `cargo test --manifest-path tests/roots/Cargo.toml` runs it, and the trie's own tests too.

#[path = "../../src/ledger/trie/mod.rs"]
pub mod trie;

#[cfg(test)]
mod ethrex;
