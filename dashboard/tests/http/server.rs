//! What the server does with slow, fat and late clients, and at shutdown.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{PATIENCE, read_until, start, start_with};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_head_that_dribbles_is_cut_off() {
    let server = start_with(|options| options.header_timeout = SHORT).await;
    let mut socket = TcpStream::connect(server.address).await.expect("the server listens");
    socket.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await.expect("the server reads");
    let mut rest = Vec::new();
    let closed = timeout(PATIENCE, socket.read_to_end(&mut rest)).await;
    closed.expect("the server does not wait for ever").expect("the close is orderly");
    assert!(!String::from_utf8_lossy(&rest).contains("200"), "a half head was answered");
}

#[tokio::test]
async fn a_silent_connection_is_cut_off() {
    let server = start_with(|options| options.header_timeout = SHORT).await;
    let mut socket = TcpStream::connect(server.address).await.expect("the server listens");
    let closed = timeout(PATIENCE, socket.read_to_end(&mut Vec::new())).await;
    closed.expect("the server does not wait for ever").expect("the close is orderly");
}

#[tokio::test]
async fn a_body_that_dribbles_is_408() {
    let server = start_with(|options| options.body_timeout = SHORT).await;
    let request = server.sponsor("POST", "/api/v1/jobs").header("Content-Type", "application/json");
    request.header("Content-Length", "100").send().await.problem(408);
}

#[tokio::test]
async fn a_fat_head_is_refused() {
    let server = start_with(|options| options.header_bytes_max = 8192).await;
    assert_eq!(server.request("GET", "/healthz").header("X-Fat", &"x".repeat(4000)).send().await.status, 200);
    assert_eq!(server.request("GET", "/healthz").header("X-Fat", &"x".repeat(9000)).send().await.status, 431);
}

#[tokio::test]
async fn connections_over_the_bound_wait_their_turn() {
    let server = start_with(|options| options.connections_max = 1).await;
    let holder = TcpStream::connect(server.address).await.expect("the server listens");
    let mut waiting = server.request("GET", "/healthz").open().await;
    let early = timeout(SHORT, waiting.read(&mut [0; 1])).await;
    assert!(early.is_err(), "answered over the bound");
    drop(holder);
    read_until(&mut waiting, "ok").await;
}

#[tokio::test]
async fn shutdown_ends_streams_and_closes_the_port() {
    let server = start().await;
    let mut stream = server.sponsor("GET", "/api/v1/jobs/j4/events").open().await;
    read_until(&mut stream, "event: progress").await;
    let idle = TcpStream::connect(server.address).await.expect("the server listens");
    server.stop.send(()).expect("the server runs");
    let ended = timeout(PATIENCE, server.task).await.expect("it drains in time");
    ended.expect("it does not panic").expect("it ends well");
    timeout(PATIENCE, stream.read_to_end(&mut Vec::new())).await.expect("it ended").expect("the end is orderly");
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err(), "the port is still open");
}
