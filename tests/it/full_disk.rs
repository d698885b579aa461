//! A disk that is really full: the fragments of one miner lie on a file system of one mebibyte.

use crate::{
    cluster::{files_below, noise},
    process::{BINARY, Guard, cess, joiner, json_of, localnet_under, ready_document},
};
use cess::client::gateway::{GatewayClient, UploadRequest};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Mounts a small file system on its first argument, then runs the rest.
const ON_A_SMALL_DISK: &str = "mount -t tmpfs -o size=1m cess-test \"$1\" && shift && exec \"$@\"";

/// `program` in a view of the file systems of its own, where `dir` is a disk of 1 MiB. An ordinary user may have that too.
fn on_a_small_disk(dir: &Path, program: &str) -> Command {
    // SAFETY: geteuid(2) takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let view: &[&str] = if root { &["--mount"] } else { &["--user", "--map-root-user", "--mount"] };
    let mut command = Command::new("unshare");
    command.args(view).args(["sh", "-c", ON_A_SMALL_DISK, "sh"]).arg(dir).arg(program);
    command
}

/// What the process sees below `dir`.
fn seen_by(Guard(process): &Guard, dir: &Path) -> Vec<(PathBuf, u64)> {
    let root = PathBuf::from(format!("/proc/{}/root", process.id()));
    assert!(root.join(dir.strip_prefix("/").expect("an absolute path")).is_dir());
    files_below(&root.join(dir.strip_prefix("/").expect("an absolute path")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_miner_with_a_full_disk_refuses_and_another_takes_over() {
    let home = tempfile::tempdir().unwrap();
    let fragments = home.path().join("localnet/storage-0/fragments");
    std::fs::create_dir_all(&fragments).unwrap();
    let probe = on_a_small_disk(&fragments, "true").output().expect("util-linux has `unshare`");
    let words = String::from_utf8_lossy(&probe.stderr);
    assert!(probe.status.success(), "this story needs root, or user namespaces for ordinary users: {words}");

    let log = home.path().join("log");
    let mut command = on_a_small_disk(&fragments, BINARY);
    command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
    let (mut net, ready) = localnet_under(command, home.path(), &["--validators", "1", "--idle", "0B"]);
    let document = ready_document(&ready).await;

    // Four fragments make the file: each is larger than that disk, though the miner lends far more.
    let bytes = noise(6_000_000, 42);
    let gateway = GatewayClient::new(document["gateway"].as_str().unwrap());
    let upload = gateway.begin(&UploadRequest { size: 6_000_000, idempotency_key: None }).await.unwrap().upload;
    let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
    let words = gateway.send(&upload, 0, body).await.unwrap_err().to_string();
    assert!(words.contains("miner storage-0 (0x") && words.contains("0 B are free, 1.43 MiB are needed"), "{words}");
    let logged = std::fs::read_to_string(&log).unwrap();
    assert!(logged.contains("the disk under `") && logged.contains("is full, 1.43 MiB are needed"), "{logged}");
    assert_eq!(seen_by(&net, &fragments), [], "nothing half-stored");

    // With one more miner the file is stored.
    let (source, back) = (home.path().join("file"), home.path().join("back"));
    std::fs::write(&source, &bytes).unwrap();
    let put = ["--json", "put", source.to_str().unwrap()];
    let mut joiner = joiner(home.path(), document["nodes"][0]["listen"].as_str().unwrap()).await;
    let stored = json_of(&cess(home.path(), &put));
    let id = stored["id"].as_str().unwrap();
    let stat = json_of(&cess(home.path(), &["--json", "stat", id]));
    let holders = stat["segments"][0]["fragments"].as_array().unwrap();
    assert!(holders.iter().all(|f| f["healthy"] == true && f["node"] != "storage-0"), "{stat}");
    assert!(holders.iter().any(|f| f["node"] == "joiner"), "{stat}");
    assert_eq!(seen_by(&net, &fragments), [], "nothing half-stored");
    json_of(&cess(home.path(), &["--json", "get", id, "-o", back.to_str().unwrap()]));
    assert!(std::fs::read(&back).unwrap() == bytes, "another file came back");

    // The miner is not broken: what fits is stored by it.
    json_of(&cess(home.path(), &["--json", "localnet", "kill", "storage-1"]));
    std::fs::write(&source, noise(200_000, 43)).unwrap();
    let small = json_of(&cess(home.path(), &put));
    let stat = json_of(&cess(home.path(), &["--json", "stat", small["id"].as_str().unwrap()]));
    let holders = stat["segments"][0]["fragments"].as_array().unwrap();
    assert!(holders.iter().any(|f| f["node"] == "storage-0" && f["healthy"] == true), "{stat}");
    assert_eq!(seen_by(&net, &fragments).len(), 1);
    assert!(joiner.stop().success());
    assert!(net.stop().success());
}
