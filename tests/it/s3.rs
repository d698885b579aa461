//! Buckets as their users reach them: the clients that everybody has, and our own command line. One localnet serves all stories.
//!
//! The stories of clients are in tests/clients/s3; `CESS_TEST_S3="URL ID SECRET"` tells them of another server, and `S3_FILES=10000` a
//! longer one.

use crate::{
    cluster::{PATIENCE, noise},
    process::{BINARY, Guard, cess, json_of, localnet, ready_document},
    tools::tool,
};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Instant,
};

/// How long one client's story may take.
const STORY_SECONDS: &str = "600";
/// Variable that, if it is `all`, has the clients tell their stories too that are not needed each time.
const ALL_CLIENTS: &str = "S3_CLIENTS";
/// Variable that names another server.
const OTHER_SERVER: &str = "CESS_TEST_S3";

/// An S3 endpoint and a key that works there.
struct Door {
    endpoint: String,
    access_key: String,
    secret_key: String,
    /// Where the command line keeps its files.
    home: tempfile::TempDir,
    net: Option<Guard>,
}

impl Door {
    fn open() -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        if let Ok(named) = std::env::var(OTHER_SERVER) {
            let words: Vec<&str> = named.split_whitespace().collect();
            let [endpoint, access_key, secret_key] = words[..] else { panic!("{OTHER_SERVER} is not `URL ID SECRET`") };
            let (endpoint, access_key) = (endpoint.to_owned(), access_key.to_owned());
            return Self { endpoint, access_key, secret_key: secret_key.to_owned(), home, net: None };
        }
        let (guard, ready) = localnet(home.path(), &["--validators", "1", "--gateway", "2", "--space", "2GiB"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let document = runtime.block_on(ready_document(&ready));
        let field = |name: &str| document["s3"][name].as_str().expect("the localnet has an S3 endpoint").to_owned();
        Self {
            endpoint: field("endpoint"),
            access_key: field("access_key"),
            secret_key: field("secret_key"),
            home,
            net: Some(guard),
        }
    }

    /// Runs a command of ours with the endpoint's key.
    fn cess(&self, args: &[&str]) -> Output {
        let mut command = Command::new(BINARY);
        command
            .args(args)
            .env("CESS_HOME", self.home.path())
            .env("CESS_S3_ENDPOINT", &self.endpoint)
            .env("CESS_S3_ACCESS_KEY", &self.access_key)
            .env("CESS_S3_SECRET_KEY", &self.secret_key);
        command.stdin(Stdio::null()).output().expect("the binary runs")
    }

    fn json(&self, args: &[&str]) -> Value {
        json_of(&self.cess(&[&["--json"], args].concat()))
    }

    /// What our command says on stderr when it fails.
    fn refused(&self, args: &[&str]) -> String {
        let output = self.cess(args);
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn file(&self, name: &str, len: usize, seed: u64) -> (PathBuf, bytes::Bytes) {
        let (path, bytes) = (self.home.path().join(name), noise(len, seed));
        std::fs::write(&path, &bytes).expect("a file");
        (path, bytes)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // In order, so that every node says goodbye to its database before its directory goes.
        if let Some(guard) = &mut self.net {
            guard.stop();
        }
    }
}

/// The endpoint all stories share; it closes with the last that holds it.
fn s3_endpoint() -> Arc<Door> {
    static OPEN: Mutex<Weak<Door>> = Mutex::new(Weak::new());
    // A story that failed while it opened the door left nothing behind.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    open.upgrade().unwrap_or_else(|| {
        let door = Arc::new(Door::open());
        *open = Arc::downgrade(&door);
        door
    })
}

/// Runs a command until it is refused with a word: a gateway learns a moment later what the chain has decided.
fn until_refused(word: &str, command: impl Fn() -> Output) {
    let began = Instant::now();
    loop {
        let output = command();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() && words.contains(word) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not refused with {word}: {words}");
    }
}

/// As [`tell`], if all clients are asked for: those of the suite cover what these do, and minutes are dear.
fn tell_if_asked(story: &str) {
    if std::env::var(ALL_CLIENTS).is_ok_and(|which| which == "all") {
        tell(story);
    }
}

/// Lets a client tell its story, in a directory of its own.
fn tell(story: &str) {
    let door = s3_endpoint();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/s3").join(story);
    let aws = tool("aws");
    let clients = aws.parent().expect("a tool has a directory");
    let mut command = Command::new("timeout");
    command.arg(STORY_SECONDS);
    match script.extension().and_then(|extension| extension.to_str()) {
        Some("py") => command.arg(tool("python")),
        Some("mjs") => {
            std::os::unix::fs::symlink(tool("node_modules"), dir.path().join("node_modules")).expect("a link");
            command.arg("node")
        }
        _ => command.arg("bash"),
    };
    let output = command
        .arg(&script)
        .current_dir(dir.path())
        .env("S3_ENDPOINT", &door.endpoint)
        .env("AWS_ACCESS_KEY_ID", &door.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &door.secret_key)
        .env("CESS_CLIENTS", clients)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{story} ended with {}\n{complained}\n{said}", output.status);
}

#[test]
fn the_aws_command_line_is_at_home() {
    tell_if_asked("aws.sh");
}

#[test]
fn boto3_is_at_home() {
    tell("boto.py");
}

#[test]
fn s3cmd_is_at_home() {
    tell("s3cmd.sh");
}

#[test]
fn s5cmd_is_at_home() {
    tell_if_asked("s5cmd.sh");
}

#[test]
fn rclone_is_at_home() {
    tell("rclone.sh");
}

#[test]
fn restic_keeps_its_backups() {
    tell("restic.sh");
}

#[test]
fn minio_for_javascript_is_at_home() {
    tell_if_asked("minio.mjs");
}

#[test]
fn the_command_line_keeps_objects_in_buckets() {
    let door = s3_endpoint();
    let bucket = format!("cli-{}", std::process::id());
    let at = |key: &str| format!("cess://{bucket}/{key}");
    door.json(&["bucket", "create", &bucket, "--versioning"]);
    assert!(door.json(&["bucket", "ls"]).as_array().unwrap().iter().any(|b| b["name"] == bucket.as_str()));

    let (small, bytes) = door.file("small.txt", 1_000, 61);
    let stored = door.json(&["put", small.to_str().unwrap(), &at("dir/")]);
    assert_eq!(
        (&stored["key"], &stored["size"], &stored["parts"]),
        (&"dir/small.txt".into(), &1_000.into(), &1.into())
    );
    let back = door.home.path().join("back");
    door.json(&["get", &at("dir/small.txt"), "-o", back.to_str().unwrap()]);
    assert_eq!(std::fs::read(&back).unwrap(), bytes);
    door.json(&["get", &at("dir/small.txt"), "-o", back.to_str().unwrap(), "--range", "10-19"]);
    assert_eq!(std::fs::read(&back).unwrap(), bytes[10..20]);

    let (large, bytes) = door.file("large", (70 << 20) + 5, 62);
    let stored = door.json(&["put", large.to_str().unwrap(), &at("large")]);
    assert_eq!((&stored["parts"], &stored["resumed"]), (&5.into(), &0.into()), "{stored}");
    door.json(&["get", &at("large"), "-o", back.to_str().unwrap()]);
    assert!(std::fs::read(&back).unwrap() == bytes, "the large object came back otherwise");

    door.json(&["put", small.to_str().unwrap(), &at("dir/small.txt")]);
    let listed = door.json(&["ls", &at("")]);
    assert_eq!((&listed["prefixes"], &listed["objects"][0]["key"]), (&serde_json::json!(["dir/"]), &"large".into()));
    assert_eq!(door.json(&["ls", "--recursive", &at("")])["objects"].as_array().unwrap().len(), 2);
    let versions = door.json(&["bucket", "versions", &at("dir/")]);
    assert_eq!((&versions["versioning"], versions["versions"].as_array().unwrap().len()), (&"Enabled".into(), 2));
    door.json(&["rm", &at("dir/small.txt")]);
    let words = door.refused(&["get", &at("dir/small.txt"), "-o", back.to_str().unwrap()]);
    assert!(words.contains("404") && words.contains("dir/small.txt"), "{words}");

    let policy = door.home.path().join("policy.json");
    let allowed = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject", "Resource": format!("arn:aws:s3:::{bucket}/kept/*"),
    }] });
    std::fs::write(&policy, allowed.to_string()).unwrap();
    door.json(&["bucket", "policy", &bucket, "--set", policy.to_str().unwrap()]);
    assert_eq!(door.json(&["bucket", "policy", &bucket])["policy"]["Statement"][0]["Effect"], "Deny");
    door.json(&["bucket", "policy", &bucket, "--remove"]);
    assert_eq!(door.json(&["bucket", "policy", &bucket])["policy"], Value::Null);

    assert!(door.refused(&["bucket", "rm", &bucket]).contains("BucketNotEmpty"));
    let removed = door.json(&["bucket", "rm", &bucket, "--force"]);
    assert!(
        removed["removed"].as_u64().unwrap() >= 4,
        "two versions and their marker, and the large object: {removed}"
    );
    assert!(door.refused(&["ls", &at("")]).contains("NoSuchBucket"));
}

#[test]
fn the_bench_measures_the_endpoint() {
    let door = s3_endpoint();
    let pid = door.net.as_ref().map_or_else(std::process::id, |net| net.0.id()).to_string();
    let args = [
        "bench",
        "s3",
        "--sizes",
        "1KiB,300KiB",
        "--concurrency",
        "4",
        "--seconds",
        "1",
        "--list-keys",
        "30",
        "--pid",
        &pid,
    ];
    let figures = door.json(&args);
    let rows = figures["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9, "four kinds of requests a size, and the listing");
    assert!(rows.iter().all(|row| row["errors"] == 0 && row["ops_s"].as_f64().unwrap() > 0.0), "{figures}");
    assert!(rows[1]["verified"].as_u64().unwrap() > 0, "{figures}");
}

/// A key works from the block that has it on, and not from the one on that has it revoked.
#[test]
fn keys_are_made_and_revoked_on_the_chain() {
    let door = s3_endpoint();
    // Another server's keys are not on a chain.
    if door.net.is_none() {
        return;
    }
    let home = door.home.path();
    let json = |args: &[&str]| json_of(&cess(home, &[&["--json"], args].concat()));
    let made = json(&["keys", "s3", "create"]);
    let id = made["access_key"].as_str().unwrap();
    assert_eq!(made["endpoint"], door.endpoint.as_str());
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(home.join("s3-keys.json")).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let listed = json(&["keys", "s3", "list"]);
    let mine = listed.as_array().unwrap().iter().find(|key| key["access_key"] == id).unwrap();
    assert_eq!((&mine["active"], &mine["kept"]), (&true.into(), &true.into()));
    assert!(!listed.to_string().contains(made["secret_key"].as_str().unwrap()), "a listing shows no secret");
    // It is the one that is used now.
    json(&["bucket", "ls"]);
    json(&["keys", "s3", "revoke", id]);
    let given =
        ["--endpoint", &door.endpoint, "--access-key", id, "--secret-key", made["secret_key"].as_str().unwrap()];
    until_refused("InvalidAccessKeyId", || cess(home, &[&["bucket", "ls"], &given[..]].concat()));
    assert!(json(&["keys", "s3", "list"]).as_array().unwrap().iter().all(|key| key["access_key"] != id));
    let words = String::from_utf8_lossy(&cess(home, &["keys", "s3", "revoke", id]).stderr).into_owned();
    assert!(words.contains(id) && words.contains("no access key"), "{words}");
}

#[test]
fn places_that_are_none_are_wrong_usage() {
    let home = tempfile::tempdir().unwrap();
    let wrong: [&[&str]; 8] = [
        &["get", "cess://b", "-o", "x"],
        &["put", "Cargo.toml", "s3://bucket/key"],
        &["put", "Cargo.toml", "cess://bucket/key", "--territory", "t"],
        &["rm", "cess://Bad_Name/x"],
        &["ls", "--recursive"],
        &["bucket", "create", "no"],
        &["bucket", "ls", "--secret-key", "x"],
        &["bench", "s3", "--endpoint", "http://127.0.0.1:1"],
    ];
    for args in wrong {
        let output = cess(home.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let key = ["--endpoint", "http://127.0.0.1:1", "--access-key", "a", "--secret-key", "b"];
    let output = cess(home.path(), &[&["bucket", "ls"], &key[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("http://127.0.0.1:1 cannot be reached"), "{words}");
}
