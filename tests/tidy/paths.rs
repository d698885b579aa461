//! Paths that code names: `use` trees laid flat, and paths in expressions.

use crate::source::{idents, item_end};

/// A path and where it begins.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// Offset of the path's statement or first word.
    pub offset: usize,
    /// Its words.
    pub words: Vec<String>,
}

impl Named {
    /// Whether the path begins with these words.
    pub fn starts_with(&self, words: &[&str]) -> bool {
        self.words.len() >= words.len() && self.words.iter().zip(words).all(|(have, want)| have == want)
    }
}

/// Every path of `code` with at least two words.
pub fn named(code: &str) -> Vec<Named> {
    let mut found = Vec::new();
    let mut rest = code.to_owned();
    for (offset, _) in idents(code).into_iter().filter(|(_, word)| *word == "use") {
        // `impl Trait + use<…>` names captured parameters, not a path.
        if code[offset + "use".len()..].trim_start().starts_with('<') {
            continue;
        }
        let end = item_end_of_use(code, offset);
        let mut paths = Vec::new();
        flatten(&code[offset + "use".len()..end], &mut Vec::new(), &mut paths);
        found.extend(paths.into_iter().map(|words| Named { offset, words }));
        rest.replace_range(offset..end, &" ".repeat(end - offset));
    }
    found.extend(in_expressions(&rest));
    found.retain(|path| path.words.len() > 1);
    found
}

fn item_end_of_use(code: &str, at: usize) -> usize {
    let bytes = code.as_bytes();
    let end = item_end(bytes, at);
    match bytes[end..].iter().position(|byte| !byte.is_ascii_whitespace()) {
        Some(n) if bytes[end + n] == b';' => end + n + 1,
        _ => end,
    }
}

/// Lays a `use` tree flat.
fn flatten(tree: &str, prefix: &mut Vec<String>, out: &mut Vec<Vec<String>>) {
    for branch in split_top(tree.trim().trim_end_matches(';')) {
        let depth = prefix.len();
        let (path, group) = match branch.find('{') {
            Some(open) => (&branch[..open], Some(&branch[open + 1..branch.rfind('}').unwrap_or(branch.len())])),
            None => (branch, None),
        };
        let path = path.split(" as ").next().unwrap_or_default();
        prefix.extend(path.split("::").map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned));
        match group {
            Some(group) => flatten(group, prefix, out),
            None => out.push(prefix.clone()),
        }
        prefix.truncate(depth);
    }
}

fn split_top(tree: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0usize, 0);
    for (i, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(tree[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(tree[from..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

fn in_expressions(code: &str) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut end = None;
    for (offset, word) in idents(code) {
        match found.last_mut() {
            Some(path) if end.is_some_and(|end| joins(&code[end..offset])) => path.words.push(word.to_owned()),
            _ => found.push(Named { offset, words: vec![word.to_owned()] }),
        }
        end = Some(offset + word.len());
    }
    found
}

fn joins(between: &str) -> bool {
    between.trim() == "::"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(code: &str) -> Vec<String> {
        named(code).into_iter().map(|path| path.words.join("::")).collect()
    }

    #[test]
    fn use_trees_are_laid_flat() {
        let code = "use crate::{kv::Kv, types::{Height, self}, rpc};\nuse std::fs as f; use a::*;";
        let expected = ["crate::kv::Kv", "crate::types::Height", "crate::types::self", "crate::rpc", "std::fs", "a::*"];
        assert_eq!(paths(code), expected);
        assert_eq!(paths("fn f() -> impl Sized + use<> { g(h::i) }"), ["h::i"]);
    }

    #[test]
    fn expressions_name_paths() {
        assert_eq!(
            paths("fn f() -> crate::kv::Kv { let x = tokio :: spawn(y); z }"),
            ["crate::kv::Kv", "tokio::spawn"]
        );
        assert!(named("crate::kv::Kv")[0].starts_with(&["crate", "kv"]));
        assert!(!named("crate::kv")[0].starts_with(&["crate", "kv", "Kv"]));
    }
}
