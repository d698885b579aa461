//! The module tree: which file declares which, and which files hold nothing but tests.

use crate::source::{blank_comments_and_literals, idents};
use std::collections::{BTreeMap, BTreeSet};

/// Files reached from some roots.
#[derive(Debug, Default)]
pub struct Tree {
    /// Reached as production code.
    pub production: BTreeSet<String>,
    /// Reached only under `#[cfg(test)]`.
    pub tests: BTreeSet<String>,
}

/// Follows `mod name;` declarations from `roots` through `files` (path → text).
pub fn reach(files: &BTreeMap<String, String>, roots: &[&str]) -> Tree {
    let mut tree = Tree::default();
    let mut open: Vec<(String, bool)> = roots.iter().map(|root| ((*root).to_owned(), false)).collect();
    while let Some((path, is_test)) = open.pop() {
        let Some(text) = files.get(&path) else { continue };
        let seen = if is_test { &mut tree.tests } else { &mut tree.production };
        if !seen.insert(path.clone()) {
            continue;
        }
        for (name, under_test) in declared(text) {
            let candidates = places(&path, &name, roots.contains(&path.as_str()));
            open.extend(candidates.into_iter().map(|child| (child, is_test || under_test)));
        }
    }
    tree.tests.retain(|path| !tree.production.contains(path));
    tree
}

/// Modules a file declares without a body, and whether each is under `#[cfg(test)]`.
pub fn declared(text: &str) -> Vec<(String, bool)> {
    let code = blank_comments_and_literals(text);
    let words = idents(&code);
    let mut found = Vec::new();
    for pair in words.windows(2).filter(|pair| pair[0].1 == "mod") {
        let (start, name, end) = (pair[0].0, pair[1].1, pair[1].0 + pair[1].1.len());
        if code[end..].trim_start().starts_with(';') {
            let before = code[..start].trim_end().trim_end_matches("pub").trim_end();
            found.push((name.to_owned(), attributes_before(before).contains("#[cfg(test)]")));
        }
    }
    found
}

fn attributes_before(code: &str) -> &str {
    let since = code.rfind([';', '}', '{']).map_or(0, |at| at + 1);
    &code[since..]
}

fn places(parent: &str, name: &str, is_root: bool) -> Vec<String> {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    let base = match file {
        _ if is_root => folder.to_owned(),
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        _ => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    vec![format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_are_followed() {
        let files = [
            ("src/lib.rs", "pub mod a;\nmod inline { fn f() {} }\n// mod dead;\n"),
            ("src/a/mod.rs", "pub(crate) mod b;\n#[cfg(test)]\nmod tests;\n"),
            ("src/a/b.rs", "mod c;"),
            ("src/a/b/c.rs", ""),
            ("src/a/tests.rs", "mod more;"),
            ("src/a/tests/more.rs", ""),
            ("src/dead.rs", ""),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into_iter().collect();
        let tree = reach(&files, &["src/lib.rs"]);
        let production = ["src/a/b.rs", "src/a/b/c.rs", "src/a/mod.rs", "src/lib.rs"].map(str::to_owned);
        assert_eq!(tree.production, BTreeSet::from(production));
        assert_eq!(tree.tests, BTreeSet::from(["src/a/tests.rs", "src/a/tests/more.rs"].map(str::to_owned)));
    }
}
