//! Clients of CESS's DeOSS gateways on the port of S3: what they store is a file of the chain, whoever they ask for it.

use crate::cluster::{Cluster, PATIENCE, noise};
use bytes::Bytes;
use cess::{
    client::{
        Signer, approve_operator,
        deoss::{BodyHash, DeossClient, DeossError, Statement, Upload, sign},
        dev_accounts,
        gateway::GatewayClient,
        s3::{AccessKey, Body, Payload, REGION, S3Client, SigningTime, register_key},
    },
    runtime::NodeRng,
    types::{FileId, Role, params::CHAIN_ID_LOCALNET},
};
use serde_json::Value;

/// A gateway and where it answers DeOSS calls.
struct Door {
    gateway: GatewayClient,
    url: String,
}

fn doors(cluster: &Cluster) -> Vec<Door> {
    let plan = cluster.running.localnet.plan();
    let door = |node: &cess::localnet::NodePlan| Door {
        gateway: GatewayClient::new(&node.url()),
        url: node.s3_url().expect("a gateway has a port for S3"),
    };
    plan.of(Role::Gateway).map(door).collect()
}

fn account(index: usize) -> Signer {
    Signer::Ecdsa(dev_accounts().swap_remove(index).key)
}

async fn approve(cluster: &Cluster, doors: &[Door], index: usize) {
    for door in doors {
        let operator = door.gateway.status().await.expect("the gateway answers").account;
        approve_operator(&cluster.wallet(index), operator, true, PATIENCE).await.expect("approved");
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T, DeossError>) -> (u16, String) {
    match result.expect_err("a refusal") {
        DeossError::Refused { code, msg } => (code, msg),
        other => panic!("expected a refusal, got {other}"),
    }
}

async fn json(url: &str) -> Value {
    reqwest::get(url).await.expect("an answer").json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_gateway_stores_every_gateway_has() {
    let cluster = Cluster::builder().gateways(2).start().await;
    let doors = doors(&cluster);
    let [first, second] = &doors[..] else { panic!("two gateways") };
    let client = DeossClient::new(&first.url, account(1), CHAIN_ID_LOCALNET);
    let other = DeossClient::new(&second.url, account(1), CHAIN_ID_LOCALNET);
    let owner = account(1).address().to_string();
    let photo = Upload { name: "photo one.png", content: noise(100_001, 1) };

    let small = Upload { name: "small", content: noise(10, 2) };
    let (code, msg) = refused(client.put_file(&small).await);
    assert!(code == 403 && msg.contains("Please authorize this gateway account: 0x"), "{code} {msg}");
    approve(&cluster, &doors, 1).await;

    let fid = client.put_file(&photo).await.unwrap();
    let id: FileId = fid.parse().expect("a file's id, 64 digits");
    assert_eq!(cluster.get(id).await.unwrap(), photo.content, "it is a file of the chain");
    assert_eq!(other.download(&fid).await.unwrap(), photo.content);
    let known = other.metadata(&fid).await.unwrap();
    assert_eq!((known.fid.as_str(), known.size), (fid.as_str(), 100_001));
    assert_eq!(known.owner.len(), 1);
    assert_eq!((known.owner[0].user.as_str(), known.owner[0].file_name.as_str()), (owner.as_str(), "photo one.png"));
    assert_eq!(client.put_file(&photo).await.unwrap(), fid, "sent again, it is the same file");

    // A second owner, with a name of its own.
    approve(&cluster, &doors, 2).await;
    let third = DeossClient::new(&second.url, account(2), CHAIN_ID_LOCALNET).in_territory("default");
    let again = Upload { name: "p.jpg", ..photo.clone() };
    assert_eq!(third.put_object(&again).await.unwrap(), fid);
    assert_eq!(client.metadata(&fid).await.unwrap().owner.len(), 2);

    shown(&first.url, &fid, &photo.content).await;

    let listed = third.list().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].territory.as_str(), listed[0].fid.as_str(), listed[0].size),
        ("default", fid.as_str(), 100_001)
    );
    assert_eq!(client.list().await.unwrap(), listed, "it names the territory by itself");

    let nowhere = DeossClient::new(&first.url, account(1), CHAIN_ID_LOCALNET).in_territory("nowhere");
    let (code, msg) = refused(nowhere.put_object(&small).await);
    assert!(code == 400 && msg.contains("nowhere"), "{code} {msg}");

    let stranger = DeossClient::new(&first.url, account(3), CHAIN_ID_LOCALNET);
    let (code, msg) = refused(stranger.delete(&fid).await);
    assert!(code == 403 && msg.contains("does not own"), "{code} {msg}");
    client.delete(&fid).await.unwrap();
    assert_eq!(other.download(&fid).await.unwrap(), photo.content, "its other owner keeps it");
    third.delete(&fid).await.unwrap();
    let (code, _) = refused(client.download(&fid).await);
    assert_eq!(code, 404);
    let (code, _) = refused(client.delete(&fid).await);
    assert_eq!(code, 404);
    cluster.stop().await;
}

/// What pages and scripts get of a stored picture.
async fn shown(url: &str, fid: &str, content: &Bytes) {
    let http = reqwest::Client::new();
    let opened = http.get(format!("{url}/file/open/{fid}")).send().await.unwrap();
    assert_eq!(opened.status(), 200);
    assert_eq!(opened.headers()["content-type"], "image/png");
    assert_eq!(opened.headers()["content-disposition"], "inline; filename*=UTF-8''photo%20one.png");
    assert_eq!(opened.headers()["content-security-policy"], "sandbox");
    assert_eq!(opened.headers()["access-control-allow-origin"], "*");
    assert_eq!(opened.bytes().await.unwrap(), content);
    let part = http.get(format!("{url}/open/{fid}.txt")).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-type"].to_str().unwrap()),
        (206, "text/plain; charset=utf-8")
    );
    assert_eq!(part.bytes().await.unwrap(), content.slice(10..20));
    let head = http.head(format!("{url}/file/download/{fid}")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], content.len().to_string());

    let located = json(&format!("{url}/file/location/{fid}")).await;
    assert_eq!(located["code"], 200);
    assert_eq!(located["data"].as_object().unwrap().len(), 12);
    assert!(located["data"]["0 batch fragments"]["account"].as_str().unwrap().starts_with("0x"));
    assert_eq!(located["data"]["11 batch fragments"]["location"]["longitude"], 0);
    let missing = json(&format!("{url}/file/metadata/{}", "ab".repeat(32))).await;
    assert_eq!((missing["code"].as_u64(), missing["data"].is_null()), (Some(404), true));
    assert!(json(&format!("{url}/version")).await.as_str().unwrap().starts_with("cess v"));
    let asked = http.request(reqwest::Method::OPTIONS, format!("{url}/file"));
    let asked = asked.header("origin", "https://example.org").header("access-control-request-method", "PUT");
    let asked = asked.header("access-control-request-headers", "account,message,signature,territory");
    let answer = asked.send().await.unwrap();
    assert_eq!(answer.status(), 204);
    assert!(answer.headers()["access-control-allow-headers"].to_str().unwrap().contains("Territory"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_files_and_files_in_parts() {
    let cluster = Cluster::builder().start().await;
    let doors = doors(&cluster);
    approve(&cluster, &doors, 1).await;
    let client = DeossClient::new(&doors[0].url, account(1), CHAIN_ID_LOCALNET);

    let files: Vec<Upload<'_>> = [("a", 1_000, 1), ("b", 70_000, 2), ("twice", 1_000, 1)]
        .map(|(name, len, seed)| Upload { name, content: noise(len, seed) })
        .into();
    let stored = client.put_files(&files).await.unwrap();
    assert_eq!(stored.len(), 3);
    for (file, stored) in files.iter().zip(&stored) {
        assert_eq!((stored.name.as_str(), stored.result.as_str(), stored.reason.as_str()), (file.name, "success", ""));
        assert_eq!(client.download(&stored.fid).await.unwrap(), file.content);
    }
    assert_eq!(stored[0].fid, stored[2].fid, "the same content is the same file");

    // Parts that end within segments of 32 MiB, with one that is sent twice and a restart of the gateway.
    let large = Upload { name: "large.bin", content: noise((40 << 20) + 123, 3) };
    let (one, two, all) = (20 << 20, 35 << 20, large.content.len());
    assert_eq!(client.resume(&large, 0..one).await.unwrap(), None);
    assert_eq!(client.resume(&large, 0..one).await.unwrap(), None, "its sender did not hear of it");
    let (code, msg) = refused(client.resume(&large, all - 10..all).await);
    assert!(code == 400 && msg.contains(&format!("has {one} B")), "{code} {msg}");
    assert_eq!(client.resume(&large, one..two).await.unwrap(), None);
    let cluster = cluster.restart().await;
    let client = DeossClient::new(&self::doors(&cluster)[0].url, account(1), CHAIN_ID_LOCALNET);
    let fid = client.resume(&large, two..all).await.unwrap().expect("the last part");
    assert_eq!(client.download(&fid).await.unwrap(), large.content);
    assert_eq!(client.metadata(&fid).await.unwrap().owner[0].file_name, "large.bin");
    let whole = client.put_object(&large).await.unwrap();
    assert_eq!(whole, fid, "in parts or whole, it is the same file");
    assert_eq!(client.list().await.unwrap().len(), 3);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_signed_is_done_and_buckets_keep_their_names() {
    let cluster = Cluster::builder().start().await;
    let doors = doors(&cluster);
    let url = &doors[0].url;
    approve(&cluster, &doors, 1).await;
    let http = reqwest::Client::new();
    let put = |path: &str, message: &str, body: &'static [u8]| {
        let (account, signature) = sign(&account(1), message);
        let request = http.put(format!("{url}{path}")).header("Account", account.to_string());
        let request = request.header("Message", message).header("Signature", signature).body(body);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let statement = |target: &'static str, body| Statement {
        method: "PUT",
        target,
        territory: None,
        name: None,
        range: None,
        body,
        chain: CHAIN_ID_LOCALNET,
        expires: SigningTime::now().0 + 60,
    };
    let good = statement("/object/a", BodyHash::of(b"content")).to_string();

    let old = put("/object/a", "123", b"content").await;
    assert_eq!(old["code"], 403);
    assert!(old["msg"].as_str().unwrap().contains("cess-deoss-v1 PUT /object/a body=sha256:<"), "{old}");
    let other = put("/object/a", &good, b"other content").await;
    assert_eq!(other["code"], 403);
    assert!(other["msg"].as_str().unwrap().contains("not what was signed"), "{other}");
    assert_eq!(put("/object/b", &good, b"content").await["code"], 403);
    let late = Statement { expires: SigningTime::now().0, ..statement("/object/a", BodyHash::of(b"content")) };
    assert!(put("/object/a", &late.to_string(), b"content").await["msg"].as_str().unwrap().contains("expired"));
    let client = DeossClient::new(url, account(1), CHAIN_ID_LOCALNET);
    assert!(client.list().await.unwrap().is_empty(), "nothing of it was stored");
    assert_eq!(put("/object/a", &good, b"content").await["code"], 200);
    let open = statement("/object/c", BodyHash::Unsigned).to_string();
    assert_eq!(put("/object/c", &open, b"any content").await["code"], 200);
    assert_eq!(client.list().await.unwrap().len(), 2);

    let key = AccessKey::generate(&NodeRng::from_seed(7));
    let group = doors[0].gateway.group().await.expect("a gateway with S3 has a group");
    register_key(&cluster.wallet(0), CHAIN_ID_LOCALNET, &group, &key).await.expect("registered");
    let s3 = S3Client::new(url, key, REGION, Payload::Signed).expect("an endpoint");
    s3.until_known(PATIENCE).await.expect("the gateway learns the key");
    for bucket in ["files", "file", "version"] {
        s3.create_bucket(bucket).await.unwrap_or_else(|e| panic!("{bucket}: {e}"));
    }
    let content = noise(5_000, 9);
    s3.put("file", "download/key", Body::Bytes(content.clone())).await.unwrap();
    assert_eq!(s3.head("file", "download/key").await.unwrap().size, 5_000);
    s3.delete("file", "download/key", None).await.unwrap();
    s3.delete_bucket("files").await.unwrap();
    cluster.stop().await;
}
