//! Putting, getting, listing and removing.

use crate::cluster::{Cluster, PATIENCE, noise, wait_for};
use alloy_sol_types::SolCall;
use cess::{
    client::gateway::{GatewayError, UploadRequest},
    ledger::{
        abi::{FILES, IFiles},
        native::Call,
    },
    localnet::Action,
    types::{FileId, U256},
};

fn refused(error: GatewayError) -> (u16, String, String) {
    match error {
        GatewayError::Refused { status, code, message } => (status, code, message),
        other => panic!("expected a refusal, got {other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_several_segments_comes_back_whole_and_in_parts_and_can_be_removed() {
    let cluster = Cluster::builder().start().await;
    let bytes = noise((65 << 20) + 12_345, 1);
    let stored = cluster.put(&bytes).await;
    assert_eq!(stored.segments, 3);
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    for range in [0..1, (32 << 20) - 5..(32 << 20) + 5, (65 << 20)..bytes.len() as u64] {
        let part = cluster.get_range(stored.id, Some(range.clone())).await.unwrap();
        assert!(part[..] == bytes[range.start as usize..range.end as usize], "{range:?}");
    }

    let (stat, names) = cluster.holders(stored.id).await;
    assert_eq!(stat.size, bytes.len() as u64);
    assert_eq!(stat.segments.len(), 3);
    assert!(stat.segments.iter().flat_map(|s| &s.fragments).all(|f| f.healthy));
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 12, "{names:?}");
    assert_eq!(stat.tx, Some(stored.tx));
    assert_eq!(stat.block, stored.block);

    let wallet = cluster.wallet(0);
    let listed = cluster.chain.files_of(wallet.address(), 0, 10).await.unwrap();
    assert_eq!(listed.iter().map(|f| f.id).collect::<Vec<_>>(), [stored.id]);

    let stranger = cluster.wallet(1);
    let data = IFiles::removeCall { id: stored.id.into() }.abi_encode();
    let error = stranger.send_and_wait(FILES, U256::ZERO, data.clone().into(), PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("does not own"), "{error}");
    wallet.send_and_wait(FILES, U256::ZERO, data.into(), PATIENCE).await.unwrap();
    let (status, code, message) = refused(cluster.get(stored.id).await.unwrap_err());
    assert_eq!((status, code.as_str()), (404, "unknown_file"), "{message}");
    wait_for("the miners to drop the fragments", || async {
        let miners = cluster.chain.miners().await.ok()?;
        miners.iter().all(|m| m.used == 0).then_some(())
    })
    .await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_and_bad_requests() {
    let cluster = Cluster::builder().start().await;
    for (len, seed) in [(1, 2), (255, 3), (1024, 4), (100_001, 5)] {
        let bytes = noise(len, seed);
        let stored = cluster.put(&bytes).await;
        assert_eq!(cluster.get(stored.id).await.unwrap(), bytes, "{len} B");
    }

    // A removal is measured while its file is the last on its holders' lists, and done when it is not.
    let (wallet, last) = (cluster.wallet(0), cluster.put(&noise(2_000, 8)).await);
    let data = IFiles::removeCall { id: last.id.into() }.abi_encode().into();
    let removal = Call { to: FILES, value: U256::ZERO, data };
    let gas = wallet.gas_for(&removal).await.unwrap();
    cluster.put(&noise(2_001, 9)).await;
    wallet.send_batch_and_wait(vec![removal], Some(gas), PATIENCE).await.unwrap();

    let begin = |size| UploadRequest { size, idempotency_key: None };
    let (status, _, message) = refused(cluster.gateway.begin(&begin(0)).await.unwrap_err());
    assert_eq!(status, 400, "{message}");
    assert!(message.contains("empty"), "{message}");
    let (status, _, message) = refused(cluster.gateway.begin(&begin(1 << 60)).await.unwrap_err());
    assert_eq!(status, 413, "{message}");
    let unknown = FileId([7; 32]);
    let (status, code, message) = refused(cluster.get(unknown).await.unwrap_err());
    assert_eq!((status, code.as_str()), (404, "unknown_file"));
    assert!(message.contains(&unknown.to_string()), "{message}");
    let (status, code, _) = refused(cluster.gateway.upload("nonsense").await.unwrap_err());
    assert_eq!((status, code.as_str()), (404, "unknown_upload"));

    // An offset that is not where the upload stands is refused, and so is a commit before the end.
    let bytes = noise(1000, 6);
    let state = cluster.gateway.begin(&begin(1000)).await.unwrap();
    let body = futures::stream::iter([Ok::<_, std::io::Error>(bytes.clone())]);
    let (status, _, message) = refused(cluster.gateway.send(&state.upload, 5, body).await.unwrap_err());
    assert_eq!(status, 409, "{message}");
    let (status, _, message) = refused(cluster.gateway.prepare(&state.upload).await.unwrap_err());
    assert_eq!(status, 409, "{message}");
    // More bytes than announced are refused.
    let body = futures::stream::iter([Ok::<_, std::io::Error>(noise(1001, 6))]);
    let (status, _, message) = refused(cluster.gateway.send(&state.upload, 0, body).await.unwrap_err());
    assert_eq!(status, 400, "{message}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_can_sign_and_own() {
    let cluster = Cluster::builder().start().await;
    let bytes = noise(5_000, 7);
    let request = UploadRequest { size: 5_000, idempotency_key: Some("same".into()) };
    let state = cluster.gateway.begin(&request).await.unwrap();
    assert_eq!(cluster.gateway.begin(&request).await.unwrap(), state, "the same key is the same upload");
    cluster.send_rest(&state, &bytes).await.unwrap();
    let stored = cluster.gateway.commit_as_gateway(&state.upload).await.unwrap();
    let again = cluster.gateway.commit_as_gateway(&state.upload).await.unwrap();
    assert_eq!(stored, again, "committing twice is harmless");
    let account = cluster.gateway.status().await.unwrap().account;
    assert_eq!(cluster.gateway.stat(stored.id).await.unwrap().owners, [account]);
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);

    // A second owner of the same bytes; the file lives until both are gone.
    let second = cluster.put(&bytes).await;
    assert_eq!(second.id, stored.id);
    let wallet = cluster.wallet(0);
    let data = IFiles::removeCall { id: stored.id.into() }.abi_encode();
    wallet.send_and_wait(FILES, U256::ZERO, data.into(), PATIENCE).await.unwrap();
    assert_eq!(cluster.get(stored.id).await.unwrap(), bytes);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_the_gateway() {
    let cluster = Cluster::builder().start().await;
    let bytes = noise((40 << 20) + 77, 8);
    let request = UploadRequest { size: bytes.len() as u64, idempotency_key: Some("resume".into()) };
    let state = cluster.gateway.begin(&request).await.unwrap();
    // The connection breaks after the first segment and a bit.
    let first = bytes.slice(..36 << 20);
    let broken = futures::stream::iter([Ok(first), Err(std::io::Error::other("the client went away"))]);
    cluster.gateway.send(&state.upload, 0, broken).await.unwrap_err();
    wait_for("the first segment to be dispersed", || async {
        (cluster.gateway.upload(&state.upload).await.ok()?.offset == 32 << 20).then_some(())
    })
    .await;
    cluster.act(Action::Kill, "gateway-0").await;
    cluster.act(Action::Start, "gateway-0").await;
    let state = cluster.gateway.begin(&request).await.unwrap();
    assert_eq!(state.offset, 32 << 20);
    cluster.send_rest(&state, &bytes).await.unwrap();
    let call = cluster.gateway.prepare(&state.upload).await.unwrap();
    let wallet = cluster.wallet(0);
    wallet.send_and_wait(call.to, U256::ZERO, call.data, PATIENCE).await.unwrap();
    assert_eq!(cluster.get(call.id).await.unwrap(), bytes);
    cluster.stop().await;
}
