//! A bucket as an object store over two gateways, one of which is killed.

use crate::cluster::{Cluster, PATIENCE, noise};
use bytes::Bytes;
use cess::{
    client::s3::{AccessKey, BucketStore, BucketStoreSettings, Payload, REGION, S3Client},
    localnet::Action,
    types::Role,
};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutPayload, WriteMultipart, path::Path};
use std::collections::BTreeMap;

const BUCKET: &str = "two-doors";
/// Small objects, which travel with their records.
const SMALL: usize = 20;

fn at(number: usize) -> Path {
    Path::from(format!("small/{number:03}"))
}

async fn read_all(store: &BucketStore) -> BTreeMap<Path, Bytes> {
    let listed: Vec<_> = store.list(None).try_collect().await.expect("a listing");
    let reads = stream::iter(listed).map(|meta| async move {
        let bytes = store.get(&meta.location).await?.bytes().await?;
        assert_eq!(bytes.len() as u64, meta.size, "{}", meta.location);
        Ok::<_, Error>((meta.location, bytes))
    });
    reads.buffer_unordered(4).try_collect().await.expect("every object is read")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_store_outlives_a_gateway() {
    let cluster = Cluster::builder().gateways(2).s3_key().start().await;
    let known = cluster.running.document().await.s3.expect("an S3 endpoint and a key");
    let key = AccessKey::new(&known.access_key, &known.secret_key);
    let plan = cluster.running.localnet.plan();
    let endpoints: Vec<String> = plan.of(Role::Gateway).filter_map(|node| node.s3_url()).collect();
    for endpoint in &endpoints {
        let client = S3Client::new(endpoint, key.clone(), REGION, Payload::Signed).unwrap();
        client.until_known(PATIENCE).await.unwrap();
    }
    S3Client::new(&endpoints[0], key.clone(), REGION, Payload::Signed).unwrap().create_bucket(BUCKET).await.unwrap();
    let both: Vec<&str> = endpoints.iter().map(String::as_str).collect();
    let store = BucketStore::over(&both, key, BUCKET, BucketStoreSettings::default()).unwrap();

    let mut expected: BTreeMap<Path, Bytes> = (0..SMALL).map(|n| (at(n), noise(1_000 + n, 98))).collect();
    let puts = stream::iter(&expected).map(|(path, bytes)| store.put(path, bytes.clone().into()));
    puts.buffer_unordered(4).try_collect::<Vec<_>>().await.unwrap();
    let (large, bytes) = (Path::from("large"), noise((18 << 20) + 5, 99));
    let mut upload = WriteMultipart::new(store.put_multipart(&large).await.unwrap());
    for piece in bytes.chunks(1 << 20) {
        upload.wait_for_capacity(2).await.unwrap();
        upload.write(piece);
    }
    upload.finish().await.unwrap();
    expected.insert(large.clone(), bytes);
    assert!(read_all(&store).await == expected);

    // A body that is on its way when the gateway dies arrives whole.
    let mut body = store.get(&large).await.unwrap().into_stream();
    let mut arrived = body.try_next().await.unwrap().expect("a first part").to_vec();
    cluster.act(Action::Kill, "gateway-0").await;
    while let Some(part) = body.try_next().await.unwrap() {
        arrived.extend_from_slice(&part);
    }
    assert!(arrived == expected[&large], "the large object came otherwise");

    assert!(store.to_string().ends_with(&endpoints[1]), "{store}");
    assert!(read_all(&store).await == expected);
    let again = store.put_opts(&at(0), PutPayload::from_static(b"x"), PutMode::Create.into()).await.unwrap_err();
    assert!(matches!(again, Error::AlreadyExists { .. }), "{again}");
    store.rename(&at(0), &Path::from("renamed")).await.unwrap();
    store.delete(&at(1)).await.unwrap();
    let first = expected.remove(&at(0)).expect("it was put");
    expected.insert(Path::from("renamed"), first);
    expected.remove(&at(1));
    let listed: Vec<Path> = store.list(None).map_ok(|meta| meta.location).try_collect().await.unwrap();
    assert!(listed.iter().eq(expected.keys()), "{listed:?}");

    // The other way round: the one that was dead is the only one left.
    cluster.act(Action::Start, "gateway-0").await;
    cluster.act(Action::Kill, "gateway-1").await;
    assert!(read_all(&store).await == expected);
    cluster.stop().await;
}
