//! The clients that `make clients` installs, run as their users run them: a project directory, a command, what it prints.

use crate::cluster::PATIENCE;
use serde_json::Value;
use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Output,
};
use tokio::process::Command;

/// Where `make clients` puts `name`, unless `CESS_CLIENTS` names another directory.
pub fn tool(name: &str) -> PathBuf {
    let named = std::env::var_os("CESS_CLIENTS").map(PathBuf::from);
    let clients = named.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME is set");
        PathBuf::from(home).join(".cache/cess-clients")
    });
    let path = clients.join(name);
    assert!(
        path.exists(),
        "`{}` is missing: run `make clients`, or name its directory in CESS_CLIENTS",
        path.display()
    );
    path
}

/// Where the projects of this repository have the protocol's interfaces, which a copy has not beside it.
const INTERFACES: [&str; 2] = ["../../contracts/interfaces/", "../interfaces/"];

/// A copy of a project of this repository, with the libraries beside it, that talks to one node.
pub struct Project {
    dir: tempfile::TempDir,
    url: String,
}

impl Project {
    /// A copy of `source`, a path in the repository.
    pub fn new(source: &str, url: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join(source), dir.path());
        let interfaces = format!("{}/contracts/interfaces/", env!("CARGO_MANIFEST_DIR"));
        let settings = std::fs::read_to_string(dir.path().join("foundry.toml")).expect("a foundry project");
        let moved = INTERFACES.iter().fold(settings, |text, path| text.replace(path, &interfaces));
        std::fs::write(dir.path().join("foundry.toml"), moved).expect("a foundry project");
        std::os::unix::fs::symlink(tool("node_modules"), dir.path().join("node_modules")).expect("a link");
        Self { dir, url: url.to_owned() }
    }

    /// A path in the copy.
    pub fn path(&self, below: &str) -> PathBuf {
        self.dir.path().join(below)
    }

    /// What a command prints when all is well.
    async fn says<S: AsRef<OsStr>>(&self, command: &mut Command, args: &[S]) -> String {
        let output = self.run(command, args).await;
        let words = String::from_utf8_lossy(&output.stderr);
        let shown: Vec<_> = args.iter().map(AsRef::as_ref).collect();
        assert!(output.status.success(), "{shown:?}: {words}\n{}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    async fn run<S: AsRef<OsStr>>(&self, command: &mut Command, args: &[S]) -> Output {
        let command = command.args(args).current_dir(self.dir.path()).stdin(std::process::Stdio::null());
        let output = tokio::time::timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        output.unwrap_or_else(|_| panic!("{command:?} took {} s", PATIENCE.as_secs())).expect("it runs")
    }

    /// Compiles the project.
    pub async fn build(&self) {
        self.forge(&["build"]).await;
    }

    /// Runs forge with the compiler beside it.
    pub async fn forge(&self, args: &[&str]) -> String {
        let solc = tool("solc");
        let offline = ["--offline", "--use", solc.to_str().expect("a path in UTF-8")];
        let (command, rest) = args.split_first().expect("a command");
        self.says(&mut Command::new(tool("forge")), &[&[*command], &offline[..], rest].concat()).await
    }

    /// Deploys a contract of the project and returns its address.
    pub async fn create(&self, key: &str, contract: &str, arguments: &[&str]) -> String {
        let fixed = ["create", contract, "--broadcast", "--json", "--rpc-url", &self.url, "--private-key", key];
        let with = if arguments.is_empty() { &[][..] } else { &["--constructor-args"][..] };
        let document = self.forge(&[&fixed[..], with, arguments].concat()).await;
        let document: Value = serde_json::from_str(&document).expect("one JSON document");
        document["deployedTo"].as_str().expect("an address").to_owned()
    }

    /// Runs cast against the node.
    pub async fn cast(&self, args: &[&str]) -> String {
        self.says(&mut Command::new(tool("cast")), &[args, &["--rpc-url", &self.url]].concat()).await
    }

    /// Runs cast where no node is asked.
    pub async fn cast_alone(&self, args: &[&str]) -> String {
        self.says(&mut Command::new(tool("cast")), args).await
    }

    /// Sends a transaction with cast; its receipt.
    pub async fn send(&self, key: &str, args: &[&str]) -> Value {
        let receipt = self.cast(&[&["send", "--json", "--private-key", key], args].concat()).await;
        let receipt: Value = serde_json::from_str(&receipt).expect("one JSON document");
        assert_eq!(receipt["status"], "0x1", "{args:?}: {receipt}");
        receipt
    }

    /// What cast prints when the node refuses.
    pub async fn refused(&self, args: &[&str]) -> String {
        let args = [args, &["--rpc-url", &self.url]].concat();
        let output = self.run(&mut Command::new(tool("cast")), &args).await;
        assert!(!output.status.success(), "cast {args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The project's tests in forge's own EVM, on a fork of the node's chain.
    pub async fn forge_test(&self, variables: &[(&str, &str)]) -> Value {
        let solc = tool("solc");
        let mut command = Command::new(tool("forge"));
        command.envs(variables.iter().copied());
        let args = ["test", "--json", "--fork-url", &self.url, "--use", solc.to_str().expect("a path in UTF-8")];
        let output = self.says(&mut command, &args).await;
        serde_json::from_str(&output).expect("one JSON document")
    }

    /// Runs a script of the project; the JSON document it prints.
    pub async fn node(&self, script: &str, args: &[&str]) -> Value {
        let args = [&[script, self.url.as_str()], args].concat();
        let document = self.says(&mut Command::new("node"), &args).await;
        serde_json::from_str(&document).expect("one JSON document")
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("an entry has a name"));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(std::fs::copy(&path, &to).expect("a copy")),
        }
    }
}
