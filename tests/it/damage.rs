//! Bad disks, full disks and bad bytes on the wire.

use crate::cluster::{Cluster, files_below, noise, wait_for};
use cess::{localnet::Action, types::ByteCount};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Flips one bit or cuts the end off every stored fragment of a node. The node must be down.
fn damage(dir: &std::path::Path, cut: bool) -> usize {
    let mut damaged = 0;
    for (path, len) in files_below(&dir.join("fragments")) {
        if len < 4096 || path.extension().is_some_and(|e| e == "sst" || e == "log") {
            continue;
        }
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        if cut {
            file.set_len(len / 2).unwrap();
        } else {
            use std::os::unix::fs::FileExt;
            let mut byte = [0u8];
            file.read_exact_at(&mut byte, len / 2).unwrap();
            file.write_all_at(&[byte[0] ^ 1], len / 2).unwrap();
        }
        damaged += 1;
    }
    damaged
}

/// Whether a fragment file of the node has bytes that hash to its name.
fn has_a_sound_fragment(dir: &std::path::Path) -> bool {
    files_below(&dir.join("fragments")).iter().any(|(path, _)| {
        let named = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        std::fs::read(path).is_ok_and(|bytes| blake3::hash(&bytes).to_hex().as_str() == named)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flipped_and_truncated_fragments_are_never_served() {
    let cluster = Cluster::builder().start().await;
    let bytes = noise(8_000_000, 21);
    let stored = cluster.put(&bytes).await;
    let (_, names) = cluster.holders(stored.id).await;
    for (n, name) in names[..8].iter().enumerate() {
        cluster.act(Action::Kill, name).await;
        assert!(damage(&cluster.node_dir(name), n % 2 == 0) > 0, "{name} has a fragment file");
        cluster.act(Action::Start, name).await;
    }
    let back = wait_for("the file from the four sound fragments", || async { cluster.get(stored.id).await.ok() }).await;
    assert_eq!(back, bytes);
    // The holders that were asked found the damage and rebuild what they lost: then they alone can give the file back.
    for name in &names[..4] {
        wait_for("a fragment to be rebuilt", || async {
            cluster.get(stored.id).await.ok()?;
            has_a_sound_fragment(&cluster.node_dir(name)).then_some(())
        })
        .await;
    }
    for name in &names[8..] {
        cluster.act(Action::Kill, name).await;
    }
    let back = wait_for("the file from what was rebuilt", || async { cluster.get(stored.id).await.ok() }).await;
    assert_eq!(back, bytes);
    for name in &names[8..] {
        cluster.act(Action::Start, name).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_miners_refuse_with_numbers_and_nothing_is_left_behind() {
    let cluster = Cluster::builder().space(ByteCount::mib(4)).start().await;
    let small = noise(1 << 20, 22);
    let stored = cluster.put(&small).await;
    let error = cluster.disperse(&noise(20 << 20, 23)).await.unwrap_err().to_string();
    assert!(error.contains("free"), "{error}");
    assert!(error.chars().any(|c| c.is_ascii_digit()), "{error}");
    assert_eq!(cluster.get(stored.id).await.unwrap(), small);
    let again = cluster.put(&noise(1 << 20, 24)).await;
    assert_ne!(again.id, stored.id, "what fits is still stored");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_miners_is_a_clear_refusal() {
    let cluster = Cluster::builder().storage(5).start().await;
    let error = cluster.disperse(&noise(1000, 25)).await.unwrap_err().to_string();
    assert!(error.contains("12") && error.contains('5'), "{error}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_any_port_harms_nobody() {
    let cluster = Cluster::builder().start().await;
    let document = cluster.running.document().await;
    let mut addresses: Vec<String> = Vec::new();
    for node in &document.nodes {
        let port = node.listen.split('/').nth(4).expect("a tcp port");
        addresses.push(format!("127.0.0.1:{port}"));
        addresses.push(node.url.trim_start_matches("http://").to_owned());
    }
    let garbage = noise(1 << 16, 26);
    tokio::task::spawn_blocking(move || {
        for address in addresses {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            // The other side may close at any moment; that it goes on working is what counts.
            let _ = stream.write_all(&garbage);
            let _ = stream.read(&mut [0u8; 1024]);
        }
    })
    .await
    .unwrap();
    let bytes = noise(100_000, 27);
    let stored = cluster.put(&bytes).await;
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    cluster.stop().await;
}
