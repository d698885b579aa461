//! Bounds: memory of many uploads, senders and readers that stand still, and the end of a listener.

use super::{
    super::{S3Server, connection::Door, server::S3Config},
    client::{Ask, Reply},
    server::{answer_of, head_of},
    world::{ANN, World, config},
};
use crate::types::ByteCount;
use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use std::{convert::Infallible, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(60);
/// Uploads at a time.
const CROWD: usize = 200;
/// Bytes of each, in pieces of a read.
const UPLOAD_BYTES: usize = 320 << 10;

/// A put whose body comes as a stream.
fn streamed(path: &str, len: usize, body: Body) -> Request<Body> {
    let (request, _) = Ask::put(path, "").payload("UNSIGNED-PAYLOAD").by(ANN).signed();
    let (mut head, _) = request.into_parts();
    head.headers.insert("content-length", len.into());
    Request::from_parts(head, body)
}

fn pieces(len: usize, piece: usize) -> Body {
    Body::from_stream(stream::iter(0..len / piece).then(move |n| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Bytes::from(vec![u8::try_from(n % 256).unwrap(); piece]))
    }))
}

#[tokio::test]
async fn two_hundred_uploads_share_the_memory() {
    let memory = ByteCount::mib(8);
    let world = World::with(S3Config { memory, ..config() }).await;
    world.ann(Ask::put("/bkt", "")).await.ok();
    let uploads = (0..CROWD).map(|n| {
        let body = pieces(UPLOAD_BYTES, if n % 2 == 0 { 64 << 10 } else { 5 << 10 });
        world.client.raw(streamed(&format!("/bkt/{n}"), UPLOAD_BYTES, body))
    });
    let answers: Vec<Reply> = timeout(DEADLINE, join_all(uploads)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.status == 200), "{:?}", answers.iter().find(|a| a.status != 200));
    let budget = world.client.0.intake().budget();
    assert!(budget.peak() <= memory.0, "{} were in memory of {memory}", ByteCount(budget.peak()));
    assert!(budget.peak() > memory.0 / 8, "the test was too tame: {}", ByteCount(budget.peak()));
    assert_eq!(budget.held(), 0);
    let got = world.ann(Ask::get("/bkt/7")).await.ok();
    assert_eq!((got.body.len(), got.body[5 << 10]), (UPLOAD_BYTES, 1));
}

#[tokio::test]
async fn a_sender_that_stops_is_told() {
    let world = World::with_bucket().await;
    world.ann(Ask::put("/bkt/warm", "x")).await.ok();
    let silent = Body::from_stream(pieces(4 << 10, 1 << 10).into_data_stream().chain(stream::pending()));
    let request = streamed("/bkt/k", 1 << 20, silent);
    tokio::time::pause();
    world.client.raw(request).await.refused(400, "RequestTimeout");
    tokio::time::resume();
    world.ann(Ask::get("/bkt/k")).await.refused(404, "NoSuchKey");
}

#[tokio::test]
async fn a_reader_that_stands_still_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut door = Door::new(listener, 1, DEADLINE);
    let _client = TcpStream::connect(address).await.unwrap();
    let (mut connection, _) = axum::serve::Listener::accept(&mut door).await;
    tokio::time::pause();
    // More than both ends' buffers take.
    let error = connection.write_all(&vec![0; 64 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn what_was_taken_is_finished_when_it_stops() {
    const LEN: usize = 300_000;
    let world = World::with_bucket().await;
    let handle = S3Server::start(&world.node, config(), world.objects.clone(), world.keys.clone(), None).await.unwrap();
    let mut stream = TcpStream::connect(handle.local_addr).await.unwrap();
    let head = head_of(&streamed("/bkt/last", LEN, Body::empty()), "expect: 100-continue\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // From here on the request is taken.
    assert!(answer_of(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(&[7; LEN / 2]).await.unwrap();
    let stopping = world.node.tasks.clone();
    let stopped = tokio::spawn(async move { stopping.shutdown().await });
    timeout(DEADLINE, async {
        while TcpStream::connect(handle.local_addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    stream.write_all(&[7; LEN - LEN / 2]).await.unwrap();
    let answer = answer_of(&mut stream).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {}", StatusCode::OK)), "{answer}");
    // The connection has no next request.
    assert_eq!(timeout(DEADLINE, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    timeout(DEADLINE, stopped).await.unwrap().unwrap();
}
