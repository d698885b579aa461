//! Rules about single files.

use crate::layers::folder_of;
use crate::paths::named;
use crate::ratchet::Finding;
use crate::source::{Source, idents, item_end};

/// Production lines a file may have.
pub const FILE_MAX_LINES: usize = 800;
/// Lines a function may have, signature included.
pub const FUNCTION_MAX_LINES: usize = 70;
const BANNED_NAMES: [&str; 10] =
    ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "stuff", "shared"];
const PURE_FOLDERS: [&str; 6] = ["types", "codec", "crypto", "proofs", "ledger", "consensus"];
const IMPURE_WORDS: [&str; 8] = ["tokio", "HashMap", "HashSet", "SystemTime", "thread_rng", "OsRng", "f32", "f64"];
const IMPURE_PATHS: [&[&str]; 7] = [
    &["std", "time", "Instant"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "env"],
    &["std", "thread"],
    &["rand", "random"],
    &["Instant", "now"],
];

fn finding(source: &Source, offset: usize, message: String) -> Finding {
    Finding { path: source.path.clone(), line: source.line_of(offset), message }
}

/// The first line says what the file owns.
pub fn header(source: &Source) -> Vec<Finding> {
    let first = source.text.lines().next().unwrap_or_default();
    match first.strip_prefix("//!").is_some_and(|rest| rest.trim().len() > 2) {
        true => Vec::new(),
        false => vec![finding(source, 0, "the file does not open with `//!` and what it owns".into())],
    }
}

/// Files stay readable in one sitting.
pub fn file_size(source: &Source) -> Vec<Finding> {
    let blank = |line: &str| line.trim().is_empty();
    let last = source.production.lines().enumerate().filter(|(_, line)| !blank(line)).map(|(n, _)| n + 1).last();
    match last.unwrap_or(0) {
        lines if lines > FILE_MAX_LINES => {
            vec![finding(source, 0, format!("{lines} production lines, at most {FILE_MAX_LINES}: split it by meaning"))]
        }
        _ => Vec::new(),
    }
}

/// A function's name and where it begins and ends.
fn functions(code: &str) -> Vec<(&str, usize, usize)> {
    let mut found = Vec::new();
    for pair in idents(code).windows(2).filter(|pair| pair[0].1 == "fn") {
        let ((start, _), (at, name)) = (pair[0], pair[1]);
        if code[start + "fn".len()..at].trim().is_empty() {
            found.push((name, start, item_end(code.as_bytes(), start)));
        }
    }
    found
}

/// Functions stay graspable.
pub fn function_size(source: &Source) -> Vec<Finding> {
    let code = &source.production;
    let mut findings = Vec::new();
    for (name, start, end) in functions(code) {
        let lines = code[start..end].matches('\n').count() + 1;
        if lines > FUNCTION_MAX_LINES {
            let message = format!("function `{name}` has {lines} lines, at most {FUNCTION_MAX_LINES}");
            findings.push(finding(source, start, message));
        }
    }
    findings
}

/// A name says what is inside.
pub fn banned_name(path: &str) -> Vec<Finding> {
    let named = |part: &str| part.trim_end_matches(".rs").to_owned();
    let bad = path.split('/').map(named).find(|part| BANNED_NAMES.contains(&part.as_str()));
    let message = |name| format!("`{name}` says nothing: name the noun the code is about");
    bad.map(|name| Finding { path: path.to_owned(), line: 1, message: message(name) }).into_iter().collect()
}

/// Pure layers compute the same everywhere.
pub fn purity(source: &Source) -> Vec<Finding> {
    if !folder_of(&source.path).is_some_and(|folder| PURE_FOLDERS.contains(&folder)) {
        return Vec::new();
    }
    let code = &source.production;
    let mut findings: Vec<Finding> = idents(code)
        .into_iter()
        .filter(|(_, word)| IMPURE_WORDS.contains(word))
        .map(|(offset, word)| finding(source, offset, format!("`{word}` in a pure layer")))
        .collect();
    for path in named(code) {
        if IMPURE_PATHS.iter().any(|impure| path.starts_with(impure)) {
            let message = format!("`{}` in a pure layer", path.words.join("::"));
            findings.push(finding(source, path.offset, message));
        }
    }
    findings
}

/// Production code says why it cannot fail.
pub fn unwrap(source: &Source) -> Vec<Finding> {
    let found = source.production.match_indices(".unwrap()");
    let message = "`unwrap()`: handle it, or `expect(\"why it cannot fail\")`";
    found.map(|(offset, _)| finding(source, offset, message.into())).collect()
}

/// A test is run.
pub fn ignored_test(source: &Source) -> Vec<Finding> {
    let code = source.test_code();
    let found = code.match_indices("#[ignore");
    found.map(|(offset, _)| finding(source, offset, "an ignored test: fix it or delete it".into())).collect()
}

/// A test waits for a condition, not for time. Functions called `until…` or `wait_…` may pause between two looks.
pub fn sleeping_test(source: &Source) -> Vec<Finding> {
    let code = source.test_code();
    let waiters: Vec<_> = functions(&code).into_iter().filter(|(name, ..)| is_waiter(name)).collect();
    let waits = |at: usize| waiters.iter().any(|(_, start, end)| (*start..*end).contains(&at));
    let called = |at: usize, word: &str| word == "sleep" && code[at + word.len()..].starts_with('(');
    let sleeps = idents(&code).into_iter().filter(|(at, word)| called(*at, word) && !waits(*at));
    let found = sleeps.map(|(offset, _)| finding(source, offset, "a test that sleeps: wait for the condition".into()));
    found.collect()
}

fn is_waiter(function: &str) -> bool {
    function == "until" || function.starts_with("until_") || function.starts_with("wait_")
}

/// Names of the wire types a file defines, with their offsets.
pub fn wire_names(source: &Source) -> Vec<(usize, String)> {
    let found = source.production.match_indices("Wire for ");
    found.filter_map(|(offset, _)| name_constant(&source.text[offset..]).map(|name| (offset, name))).collect()
}

fn name_constant(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("const NAME")?;
    let (_, rest) = rest.split_once('"')?;
    rest.split_once('"').map(|(name, _)| name.to_owned())
}

/// What persists or travels has golden bytes: a line of `golden` that begins with its name and a tab.
pub fn without_golden_bytes(source: &Source, golden: &str) -> Vec<Finding> {
    let known = |name: &str| golden.lines().any(|line| line.split('\t').next() == Some(name));
    let missing = wire_names(source).into_iter().filter(|(_, name)| !known(name));
    let message = |name: String| format!("wire type `{name}` has no golden bytes in tests/golden/wire.txt");
    missing.map(|(offset, name)| finding(source, offset, message(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::new(path, text, false)
    }

    #[test]
    fn a_file_opens_with_its_purpose() {
        assert!(header(&source("a.rs", "//! What it owns.\n")).is_empty());
        for bad in ["", "use a;\n", "//!\n", "// What it owns.\n", "\n//! Late.\n"] {
            assert_eq!(header(&source("a.rs", bad)).len(), 1, "{bad:?}");
        }
    }

    #[test]
    fn only_production_lines_count() {
        let long = "fn a() {}\n".repeat(FILE_MAX_LINES);
        assert!(file_size(&source("a.rs", &long)).is_empty());
        assert_eq!(file_size(&source("a.rs", &format!("{long}fn b() {{}}\n"))).len(), 1);
        let tests = format!("{long}#[cfg(test)]\nmod tests {{\n{long}}}\n");
        assert!(file_size(&source("a.rs", &tests)).is_empty());
    }

    #[test]
    fn functions_are_measured_with_their_signature() {
        let body = |lines: usize| format!("fn short() {{}}\nfn long(\n) {{\n{}}}\n", "x();\n".repeat(lines));
        assert!(function_size(&source("a.rs", &body(FUNCTION_MAX_LINES - 3))).is_empty());
        let found = function_size(&source("a.rs", &body(FUNCTION_MAX_LINES - 2)));
        assert_eq!((found.len(), found[0].line), (1, 2));
        assert!(found[0].message.contains("`long`"));
        let declared = format!("trait A {{ fn a(x: [u8; 3]);\n{}}}\n", "\n".repeat(99));
        assert!(function_size(&source("a.rs", &declared)).is_empty());
        let pointer = format!("struct A {{ f: fn(u8) -> u8 }}\nimpl A {{\n{}}}\n", "\n".repeat(99));
        assert!(function_size(&source("a.rs", &pointer)).is_empty());
    }

    #[test]
    fn names_that_say_nothing_are_banned() {
        assert_eq!(banned_name("src/kv/utils.rs").len(), 1);
        assert_eq!(banned_name("src/common/mod.rs").len(), 1);
        assert!(banned_name("src/kv/utilities_of_war.rs").is_empty());
    }

    #[test]
    fn pure_layers_know_no_clock_disk_or_chance() {
        let impure = [
            "use std::collections::HashMap;",
            "use std::{fs, io};",
            "fn f() { tokio::spawn(x) }",
            "fn f() -> f64 { g() }",
            "let now = std::time::Instant::now();",
            "let x = rand::thread_rng();",
        ];
        for code in impure {
            assert!(!purity(&source("src/ledger/a.rs", code)).is_empty(), "{code}");
            assert!(purity(&source("src/kv/a.rs", code)).is_empty(), "{code}");
        }
        for pure in ["use std::collections::BTreeMap;", "// HashMap\n", "use std::time::Duration;", "let a = 0xf64;"] {
            assert!(purity(&source("src/ledger/a.rs", pure)).is_empty(), "{pure}");
        }
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_eq!(unwrap(&source("a.rs", "fn f() { g().unwrap(); h().unwrap_or(1) }")).len(), 1);
        assert!(unwrap(&source("a.rs", "#[cfg(test)]\nmod tests { fn f() { g().unwrap() } }")).is_empty());
    }

    #[test]
    fn tests_run_and_do_not_sleep() {
        let test = |body: &str| source("a.rs", &format!("fn p() {{ sleep(1) }}\n#[cfg(test)]\nmod tests {{ {body} }}"));
        assert_eq!(ignored_test(&test("#[ignore] fn a() {}")).len(), 1);
        assert_eq!(sleeping_test(&test("fn a() { std::thread::sleep(d) }")).len(), 1);
        assert!(sleeping_test(&test("fn a() { sleep_until(d); asleep(1) }")).is_empty());
        let whole = |text: &str| sleeping_test(&Source::new("tests/it/a.rs", text, true)).len();
        assert_eq!(whole("fn a() { sleep(d) }"), 1);
        assert_eq!(whole("async fn until(x: X) { while !x() { sleep(d).await } }\nfn wait_for() { sleep(d) }"), 0);
        assert_eq!(whole("fn until() {}\nfn await_nothing() { sleep(d) }"), 1);
    }

    #[test]
    fn wire_types_need_golden_bytes() {
        let text = "impl Wire for Block {\n    const NAME: &'static str = \"block\";\n}\n";
        assert_eq!(wire_names(&source("a.rs", text))[0].1, "block");
        assert!(without_golden_bytes(&source("a.rs", text), "header\t1\t00\nblock\t1\tabcd\n").is_empty());
        assert_eq!(without_golden_bytes(&source("a.rs", text), "blocks\t1\tabcd\n").len(), 1);
        let test = format!("#[cfg(test)]\nmod tests {{\n{text}}}");
        assert!(without_golden_bytes(&source("a.rs", &test), "").is_empty());
    }
}
