//! The load against a server in memory.

use super::*;
use crate::client::s3::twin::Twin;
use clap::Parser;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: S3Args,
}

fn args(twin: &Twin, more: &[&str]) -> S3Args {
    let fixed =
        ["bench", "--endpoint", &twin.endpoint, "--access-key", twin.key.id(), "--secret-key", twin.key.secret()];
    Line::parse_from(fixed.iter().chain(more)).args
}

#[tokio::test]
async fn every_kind_of_request_is_counted_and_everything_is_removed() {
    let twin = Twin::start().await;
    let pid = std::process::id().to_string();
    let more = [
        "--sizes",
        "1KiB,100KB",
        "--concurrency",
        "2",
        "--seconds",
        "1",
        "--most",
        "300KB",
        "--list-keys",
        "7",
        "--pid",
        &pid,
    ];
    let figures = measure(&args(&twin, &more), &Output::silent()).await.unwrap();
    let rows: Vec<_> = serde_json::to_value(&figures).unwrap()["rows"].as_array().unwrap().clone();
    let ops: Vec<_> = rows.iter().map(|row| row["op"].as_str().unwrap()).collect();
    assert_eq!(ops, ["put", "get", "head", "delete", "put", "get", "head", "delete", "list"]);
    assert!(rows.iter().all(|row| row["errors"] == 0 && row["count"].as_u64().unwrap() > 0), "{rows:?}");
    assert!(rows.iter().all(|row| row["server_cpu"]["seconds"].is_number()), "{rows:?}");
    assert_eq!((&rows[4]["count"], &rows[7]["count"]), (&3.into(), &3.into()), "as much as there is room for");
    assert!(rows[1]["verified"].as_u64().unwrap() > 0);
    assert_eq!(rows[8]["size"], 7);
    let table = describe(&figures);
    assert!(table.contains("MB/CPU-s") && table.contains("7 keys"), "{table}");
    assert!(twin.seen().last().unwrap().starts_with("DELETE /cess-bench-"), "{:?}", twin.seen().last());
}

#[tokio::test]
async fn refusals_are_counted_and_wrong_bytes_end_the_bench() {
    let twin = Twin::start().await;
    let client = S3Client::new(&twin.endpoint, twin.key.clone(), REGION, Payload::Unsigned).unwrap();
    client.create_bucket("b").await.unwrap();
    let load = Load {
        client: &client,
        bucket: "b",
        source: Source::new(ByteCount(100), &NodeRng::from_seed(1)),
        span: Duration::from_secs(1),
        most: 200,
        verify_every: 1,
        pids: &[],
    };
    twin.fail_next(1);
    let put = load.put("p", 100, 1, u64::MAX).await.unwrap();
    assert_eq!((put.latencies.len(), put.errors, put.stored, put.server_cpu), (1, 1, 2, None));
    assert!(put.first_error.unwrap().contains("SlowDown"));
    twin.spoil("b", "p/00000001", b"something else");
    let error = load.ask(Op::Get, "p", 100, 1, 2).await.unwrap_err().to_string();
    assert!(error.contains("`p/00000001` came back with other bytes"), "{error}");
    let missing = load.list("p", 3).await.unwrap_err().to_string();
    assert!(missing.contains("1 of 3 objects"), "{missing}");
    let too_large = measure(&args(&twin, &["--sizes", "2GiB"]), &Output::silent()).await.unwrap_err();
    assert!(too_large.is::<Usage>(), "{too_large}");
}
