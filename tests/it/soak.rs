//! Validators as processes, killed again and again under load: a short run of `cess bench soak`.

use crate::process::{cess, json_of};
use std::path::Path;

/// What the bench leaves in the directory it is given for temporary files.
fn left_in(dir: &Path) -> Vec<String> {
    std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The document of a bench that has `home` to itself.
fn bench(args: &[&str], home: &Path) -> serde_json::Value {
    let mut command = std::process::Command::new(crate::process::BINARY);
    json_of(&command.args(args).env("CESS_HOME", home).env("TMPDIR", home).output().unwrap())
}

#[test]
fn nothing_final_is_lost_when_validators_are_killed() {
    let home = tempfile::tempdir().unwrap();
    let args = ["--json", "bench", "soak", "--minutes", "0.8", "--seed", "3", "--rate", "20"];
    let soaked = bench(&args, home.path());
    let count = |name: &str| soaked[name].as_u64().unwrap();
    assert!(count("kills") >= 5 && count("restarts") >= 5 && count("quorum_losses") >= 1, "{soaked}");
    assert!(count("heights") >= 10 && count("txs") >= 10, "{soaked}");
    assert_eq!(left_in(home.path()), Vec::<String>::new(), "its directory goes away");
}

#[test]
fn a_node_killed_under_load_has_its_chain_again() {
    let home = tempfile::tempdir().unwrap();
    let args = ["--json", "bench", "recovery", "--kill", "2", "--accounts", "4000", "--seed", "5"];
    let killed = bench(&args, home.path());
    assert_eq!((killed["accounts"].as_u64(), killed["runs"].as_array().map(Vec::len)), (Some(4_000), Some(2)));
    assert!(killed["outcomes"].as_u64().unwrap() >= 1 && killed["median_seconds"].as_f64().unwrap() > 0.0, "{killed}");
    assert_eq!(left_in(home.path()), Vec::<String>::new(), "its directory goes away");
}

#[test]
fn a_bench_refuses_what_it_cannot_measure() {
    let home = tempfile::tempdir().unwrap();
    let refused = |args: &[&str], code: i32, word: &str| {
        let output = cess(home.path(), args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {words}");
        assert!(words.contains(word), "{args:?}: {words}");
    };
    refused(&["bench", "soak", "--minutes", "0"], 2, "minutes");
    refused(&["bench", "soak", "--validators", "0"], 2, "1..=64");
    refused(&["bench", "recovery", "--kill", "0"], 2, "1..=1000");
    refused(&["bench", "tps", "--anvil", "--tx", "native"], 1, "--tx transfer");
    refused(&["bench", "blocks", "--size", "5MiB"], 1, "4194304");
    refused(&["bench", "dead-proposer", "--validators", "3"], 1, "at least 4");
}
