//! The listener: sockets, limits and the end.

use super::{
    super::{S3Limits, S3Server, connection::Door},
    client::Ask,
    world::{ANN, World, config},
};
use crate::gateway::s3::server::S3Config;
use axum::http::Request;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// A request's head as it travels, with further lines.
pub fn head_of<B>(request: &Request<B>, more: &str) -> String {
    let mut text = format!("{} {} HTTP/1.1\r\n{more}", request.method(), request.uri());
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    text + "\r\n"
}

/// The next answer's head.
pub async fn answer_of(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut part = [0; 4096];
        let read = timeout(DEADLINE, stream.read(&mut part)).await.unwrap().unwrap();
        assert!(read > 0, "closed after {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn exchange(stream: &mut TcpStream, ask: Ask) -> String {
    let (request, _) = ask.by(ANN).signed();
    stream.write_all(head_of(&request, "").as_bytes()).await.unwrap();
    answer_of(stream).await
}

#[tokio::test]
async fn it_listens_and_stops_in_order() {
    let world = World::with_bucket().await;
    let handle = S3Server::start(&world.node, config(), world.objects.clone(), world.keys.clone(), None).await.unwrap();
    let mut stream = TcpStream::connect(handle.local_addr).await.unwrap();
    for _ in 0..2 {
        let answer = exchange(&mut stream, Ask::head("/bkt")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    timeout(DEADLINE, world.node.tasks.shutdown()).await.unwrap();
    assert!(TcpStream::connect(handle.local_addr).await.is_err());
}

#[tokio::test]
async fn too_many_requests_are_told_to_slow_down() {
    let limits = S3Limits { rate: 1, ..S3Limits::default() };
    let world = World::with(S3Config { limits, ..config() }).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(world.ann(Ask::get("/")).await);
    }
    assert_eq!(answers[0].status, 200);
    let refused = answers.into_iter().find(|answer| answer.status == 503).unwrap();
    refused.refused(503, "SlowDown");
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut door = Door::new(listener, 1, Duration::from_millis(50));
    let mut client = TcpStream::connect(address).await.unwrap();
    let (mut connection, _) = axum::serve::Listener::accept(&mut door).await;
    let mut byte = [0; 1];
    let busy = connection.activity().begin();
    client.write_all(b"x").await.unwrap();
    assert_eq!(timeout(DEADLINE, connection.read(&mut byte)).await.unwrap().unwrap(), 1);
    drop(busy);
    let error = timeout(DEADLINE, connection.read(&mut byte)).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut door = Door::new(listener, 1, DEADLINE);
    let _one = TcpStream::connect(address).await.unwrap();
    let _two = TcpStream::connect(address).await.unwrap();
    let (first, _) = axum::serve::Listener::accept(&mut door).await;
    let early = timeout(Duration::from_millis(20), axum::serve::Listener::accept(&mut door)).await;
    assert!(early.is_err());
    drop(first);
    timeout(DEADLINE, axum::serve::Listener::accept(&mut door)).await.unwrap();
}
