//! Code hygiene: the rules of CONTRIBUTING.md and the import table of ARCHITECTURE.md, read from the sources themselves.
//!
//! Uses the standard library only, and takes well under a second. `ratchet.txt` lists today's exceptions.

mod layers;
mod links;
mod paths;
mod ratchet;
mod rules;
mod source;
mod tree;

use ratchet::{Finding, judge, parse};
use source::{Source, files_under, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;
use tree::Tree;

/// Sources and how they hang together.
struct Project {
    tree: Tree,
    sources: Vec<Source>,
}

/// Read once for all rules.
static PROJECT: LazyLock<Project> = LazyLock::new(Project::read);

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn is_root(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let test_target = folder.starts_with("tests/") && folder.matches('/').count() == 1 && name == "main.rs";
    ["src/lib.rs", "src/main.rs"].contains(&path) || folder == "benches" || test_target
}

impl Project {
    fn read() -> Self {
        let listed = ["src", "tests", "benches"].into_iter().flat_map(|folder| files_under(&root(), folder, ".rs"));
        let files: BTreeMap<String, String> = listed.map(|path| (path.clone(), read(&path))).collect();
        let roots: Vec<&str> = files.keys().map(String::as_str).filter(|path| is_root(path)).collect();
        let tree = tree::reach(&files, &roots);
        let is_test = |path: &str| path.starts_with("tests/") || tree.tests.contains(path);
        let sources = files.iter().map(|(path, text)| Source::new(path, text, is_test(path))).collect();
        Self { tree, sources }
    }
}

/// Sources of the product and of its tests.
fn all() -> impl Iterator<Item = &'static Source> {
    PROJECT.sources.iter()
}

/// Sources of the product.
fn product() -> impl Iterator<Item = &'static Source> {
    all().filter(|source| source.path.starts_with("src/"))
}

fn enforce(rule: &str, findings: Vec<Finding>) {
    let ratchet = parse(&read("tests/tidy/ratchet.txt")).unwrap_or_else(|e| panic!("ratchet.txt: {e}"));
    if let Err(complaint) = judge(rule, &findings, &ratchet) {
        panic!("{complaint}");
    }
}

fn each(sources: impl Iterator<Item = &'static Source>, rule: impl Fn(&Source) -> Vec<Finding>) -> Vec<Finding> {
    sources.flat_map(rule).collect()
}

#[test]
fn imports_follow_the_table() {
    let folders: BTreeSet<String> =
        product().filter_map(|source| layers::folder_of(&source.path)).map(str::to_owned).collect();
    enforce("imports", each(product(), |source| layers::forbidden_imports(source, &folders)));
}

#[test]
fn every_file_says_what_it_owns() {
    enforce("header", each(all(), rules::header));
}

#[test]
fn every_file_is_reachable() {
    let tree = &PROJECT.tree;
    let dead = all().filter(|source| !tree.production.contains(&source.path) && !tree.tests.contains(&source.path));
    let message = "no `mod` declaration leads here: declare it or delete it";
    let finding = |source: &Source| Finding { path: source.path.clone(), line: 1, message: message.into() };
    enforce("reachable", dead.map(finding).collect());
}

#[test]
fn files_are_short() {
    enforce("file-size", each(product(), rules::file_size));
}

#[test]
fn functions_are_short() {
    enforce("function-size", each(product(), rules::function_size));
}

#[test]
fn names_say_something() {
    enforce("name", each(all(), |source| rules::banned_name(&source.path)));
}

#[test]
fn pure_layers_are_pure() {
    enforce("purity", each(product(), rules::purity));
}

#[test]
fn production_code_does_not_unwrap() {
    enforce("unwrap", each(product(), rules::unwrap));
}

#[test]
fn no_test_is_ignored() {
    enforce("ignore", each(all(), rules::ignored_test));
}

#[test]
fn no_test_sleeps() {
    enforce("sleep", each(all(), rules::sleeping_test));
}

#[test]
fn wire_types_have_golden_bytes() {
    let golden = fs::read_to_string(root().join("tests/golden/wire.txt")).unwrap_or_default();
    enforce("golden", each(product(), |source| rules::without_golden_bytes(source, &golden)));
}

#[test]
fn links_lead_somewhere() {
    let exists = |path: &str| root().join(path).exists();
    let pages = files_under(&root(), "", ".md");
    enforce("links", pages.iter().flat_map(|page| links::dead_links(page, &read(page), exists)).collect());
}

#[test]
fn the_ratchet_names_known_rules_and_files() {
    const RULES: [&str; 12] = [
        "imports",
        "header",
        "reachable",
        "file-size",
        "function-size",
        "name",
        "purity",
        "unwrap",
        "ignore",
        "sleep",
        "golden",
        "links",
    ];
    let ratchet = parse(&read("tests/tidy/ratchet.txt")).unwrap_or_else(|e| panic!("ratchet.txt: {e}"));
    for (rule, path) in ratchet.keys() {
        assert!(RULES.contains(&rule.as_str()), "ratchet.txt: rule `{rule}` is unknown");
        assert!(root().join(path).exists(), "ratchet.txt: `{path}` does not exist any more, delete its line");
    }
}
