//! The status port over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lode_miner::activity::{Activity, Presence, Seen};
use lode_miner::dial::Network;
use lode_miner::location::Location;
use lode_miner::monitor::{CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIMEOUT};
use lode_miner::tls;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::support::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// Somebody who never leaves.
struct AtWork;

impl Activity for AtWork {
    fn look(&mut self, devices: &[Location]) -> Seen {
        Seen { user: Presence::Active, on_battery: false, busy: vec![None; devices.len()] }
    }
}

/// A rig with a status port, and its pool.
async fn rig(activity: Option<Box<dyn Activity>>) -> (SocketAddr, PoolEnd, Run) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("stratum+tcp://{}", listener.local_addr().unwrap());
    let monitor = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = monitor.local_addr().unwrap();
    let mut options = plain(&[&url], Arc::new(Network::new(tls::connector(None).unwrap())));
    (options.activity, options.monitor) = (activity, Some(monitor));
    let run = Run::with(options, vec![cpu()]);
    let mut pool = PoolEnd::new(Box::new(listener.accept().await.unwrap().0));
    pool.welcome("s1").await;
    (address, pool, run)
}

/// Sends bytes and reads until the server hangs up.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that answers before it has read all resets the connection after its answer.
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap_or_default();
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: rig\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

async fn status(address: SocketAddr) -> Value {
    serde_json::from_str(&get(address, "/status").await.1).unwrap()
}

#[tokio::test]
async fn figures_are_told_as_json_and_for_prometheus() {
    let (address, mut pool, run) = rig(None).await;
    let difficulty = lode_protocol::Difficulty::parse("0.0001", lode_protocol::Algorithm::Sha256d).unwrap();
    pool.set_difficulty(difficulty).await;
    pool.notify("a", 1, true).await;
    for _ in 0..3 {
        let (id, _) = pool.submit().await.unwrap();
        pool.answer(&id).await;
    }
    pool.settle().await;
    let json = status(address).await;
    assert_eq!(json["user"], "alice.rig");
    assert_eq!((&json["pool"]["state"], &json["pool"]["job"]), (&"connected".into(), &"a".into()));
    let device = &json["devices"][0];
    assert_eq!((&device["id"], &device["state"]), (&"cpu:0".into(), &"mining".into()));
    assert!(device["accepted"].as_u64().unwrap() >= 3 && device["rate"]["10s"].as_f64().unwrap() > 0.0, "{json}");
    assert_eq!(json["accepted"], device["accepted"]);
    assert_eq!(device["hardware_errors"], 0);

    let (head, body) = get(address, "/").await;
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: application/json"), "{head}");
    assert!(serde_json::from_str::<Value>(&body).is_ok());
    let (head, body) = get(address, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    assert!(body.contains("\nlode_miner_pool_connected 1\n"), "{body}");
    assert!(body.contains("\nlode_miner_device_state{device=\"cpu:0\",state=\"mining\"} 1\n"), "{body}");
    run.end().await;
    assert!(TcpStream::connect(address).await.is_err(), "the port closes with the run");
}

#[tokio::test]
async fn a_paused_device_says_why() {
    let (address, mut pool, run) = rig(Some(Box::new(AtWork))).await;
    pool.set_difficulty(latched_difficulty()).await;
    pool.notify("a", 1, true).await;
    let paused = async {
        loop {
            let device = status(address).await["devices"][0].take();
            if device["reason"] == "paused: user active" {
                return device;
            }
        }
    };
    let device = timeout(PATIENCE, paused).await.unwrap();
    assert_eq!((&device["state"], &device["hashes"]), (&"paused".into(), &0.into()));
    run.end().await;
}

#[tokio::test]
async fn what_is_not_here_or_not_taken_or_too_long_is_refused() {
    let (address, _pool, run) = rig(None).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000));
    for (request, code) in [
        ("GET /other HTTP/1.1\r\nhost: rig\r\n\r\n", &["404"][..]),
        ("POST /status HTTP/1.1\r\nhost: rig\r\ncontent-length: 0\r\n\r\n", &["405"]),
        ("nonsense\r\n\r\n", &["400"]),
        (&long, &["414", "431"]),
        (&headers, &["431"]),
    ] {
        let answer = exchange(address, request).await;
        let told = answer.split(' ').nth(1).unwrap_or_default();
        assert!(code.contains(&told), "{} was answered {answer}", &request[..20.min(request.len())]);
    }
    assert!(exchange(address, "HEAD /status HTTP/1.1\r\nhost: rig\r\n\r\n").await.ends_with("\r\n\r\n"));
    run.end().await;
}

/// Only this test needs the time to pass: slow clients get all places, until theirs is up.
#[tokio::test]
async fn slow_clients_are_cut_off_and_keep_nobody_out() {
    let (address, mut pool, run) = rig(None).await;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /status HT").await.unwrap();
        slow.push(stream);
    }
    let begin = Instant::now();
    let json = timeout(PATIENCE, status(address)).await.unwrap();
    assert_eq!(json["pool"]["state"], "connected");
    assert!(begin.elapsed() >= HEAD_TIMEOUT / 2, "all places were taken");
    for mut stream in slow {
        let mut rest = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap_or_default();
        assert!(!String::from_utf8(rest).unwrap().contains("200 OK"));
    }
    pool.settle().await;
    run.end().await;
}
