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
use tree::Tree;

/// Sources and how they hang together.
struct Project {
    files: BTreeMap<String, String>,
    tree: Tree,
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn project() -> Project {
    let listed = ["src", "tests", "benches"].into_iter().flat_map(|folder| files_under(&root(), folder, ".rs"));
    let files: BTreeMap<String, String> = listed.map(|path| (path.clone(), read(&path))).collect();
    let is_root = |path: &&str| {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        ["src/lib.rs", "src/main.rs"].contains(path)
            || folder == "benches"
            || (folder.starts_with("tests/") && folder.matches('/').count() == 1 && name == "main.rs")
    };
    let roots: Vec<&str> = files.keys().map(String::as_str).filter(is_root).collect();
    let tree = tree::reach(&files, &roots);
    Project { files, tree }
}

impl Project {
    /// Sources of the product.
    fn product(&self) -> Vec<Source> {
        self.sources(|path| path.starts_with("src/"))
    }

    /// Sources of the product and of its tests.
    fn all(&self) -> Vec<Source> {
        self.sources(|_| true)
    }

    fn sources(&self, wanted: impl Fn(&str) -> bool) -> Vec<Source> {
        let is_test = |path: &str| path.starts_with("tests/") || self.tree.tests.contains(path);
        let wanted = self.files.iter().filter(|(path, _)| wanted(path));
        wanted.map(|(path, text)| Source::new(path, text, is_test(path))).collect()
    }
}

fn enforce(rule: &str, findings: Vec<Finding>) {
    let ratchet = parse(&read("tests/tidy/ratchet.txt")).unwrap_or_else(|e| panic!("ratchet.txt: {e}"));
    if let Err(complaint) = judge(rule, &findings, &ratchet) {
        panic!("{complaint}");
    }
}

fn each(sources: Vec<Source>, rule: impl Fn(&Source) -> Vec<Finding>) -> Vec<Finding> {
    sources.iter().flat_map(rule).collect()
}

#[test]
fn imports_follow_the_table() {
    let sources = project().product();
    let folders: BTreeSet<String> =
        sources.iter().filter_map(|source| layers::folder_of(&source.path)).map(str::to_owned).collect();
    enforce("imports", each(sources, |source| layers::forbidden_imports(source, &folders)));
}

#[test]
fn every_file_says_what_it_owns() {
    enforce("header", each(project().all(), rules::header));
}

#[test]
fn every_file_is_reachable() {
    let project = project();
    let reached = |path: &String| project.tree.production.contains(path) || project.tree.tests.contains(path);
    let message = "no `mod` declaration leads here: declare it or delete it";
    let dead = project.files.keys().filter(|path| !reached(path));
    enforce("reachable", dead.map(|path| Finding { path: path.clone(), line: 1, message: message.into() }).collect());
}

#[test]
fn files_are_short() {
    enforce("file-size", each(project().product(), rules::file_size));
}

#[test]
fn functions_are_short() {
    enforce("function-size", each(project().product(), rules::function_size));
}

#[test]
fn names_say_something() {
    enforce("name", project().files.keys().flat_map(|path| rules::banned_name(path)).collect());
}

#[test]
fn pure_layers_are_pure() {
    enforce("purity", each(project().product(), rules::purity));
}

#[test]
fn production_code_does_not_unwrap() {
    enforce("unwrap", each(project().product(), rules::unwrap));
}

#[test]
fn no_test_is_ignored() {
    enforce("ignore", each(project().all(), rules::ignored_test));
}

#[test]
fn no_test_sleeps() {
    enforce("sleep", each(project().all(), rules::sleeping_test));
}

#[test]
fn wire_types_have_golden_bytes() {
    let golden = fs::read_to_string(root().join("tests/golden/wire.txt")).unwrap_or_default();
    enforce("golden", each(project().product(), |source| rules::without_golden_bytes(source, &golden)));
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
