//! Blobs over the wire: what is taken and given, in which pieces, and what is refused.

use std::time::Duration;

use lode_dashboard::BLOB_PACE_BYTES;
use lode_protocol::Digest;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Request, Server, read_until, start, start_with};
use crate::port::blobs::{BYTES_MAX, PIECE_BYTES};
use crate::port::{MINER_TOKEN, OTHER_KEY};

fn digest_of(bytes: &[u8]) -> String {
    Digest(*blake3::hash(bytes).as_bytes()).to_string()
}

fn content(count: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from(at % 253).expect("is small")).collect()
}

fn path(bytes: &[u8]) -> String {
    format!("/api/v1/blobs/{}", digest_of(bytes))
}

async fn upload(server: &Server, bytes: &[u8]) -> String {
    assert_eq!(server.sponsor("POST", "/api/v1/blobs").body(bytes).send().await.status, 201);
    path(bytes)
}

fn chunked(request: Request, chunks: &[&[u8]]) -> Request {
    let mut body = Vec::new();
    for chunk in chunks {
        body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    request.header("Transfer-Encoding", "chunked").raw_body(&body)
}

#[tokio::test]
async fn bytes_go_in_and_come_out() {
    let server = start().await;
    for bytes in [content(0), content(1), content(200_000)] {
        let digest = digest_of(&bytes);
        let answer = server.sponsor("POST", "/api/v1/blobs").body(&bytes).send().await;
        assert_eq!((answer.status, answer.json()), (201, json!({"digest": digest, "bytes": bytes.len()})));
        assert_eq!(answer.header("location"), path(&bytes));
        let again = chunked(server.sponsor("POST", "/api/v1/blobs"), &bytes.chunks(70_000).collect::<Vec<_>>());
        let again = again.send().await;
        assert_eq!((again.status, again.json()), (200, answer.json()));
        let got = server.sponsor("GET", &path(&bytes)).send_raw().await;
        assert_eq!((got.status, got.header("content-type")), (200, "application/octet-stream"));
        assert_eq!(got.header("content-length"), bytes.len().to_string());
        assert_eq!((got.header("etag"), got.header("accept-ranges")), (&*format!("\"{digest}\""), "bytes"));
        assert_eq!(got.header("x-content-type-options"), "nosniff");
        assert_eq!(got.bytes, bytes);
        let head = server.sponsor("HEAD", &path(&bytes)).send_raw().await;
        assert_eq!((head.status, head.header("content-length")), (200, &*bytes.len().to_string()));
        assert_eq!((head.header("etag"), head.bytes.len()), (got.header("etag"), 0));
    }
}

#[tokio::test]
async fn ranges_let_a_download_go_on() {
    let server = start().await;
    let bytes = content(50_001);
    let path = upload(&server, &bytes).await;
    let get = |range: &str| server.sponsor("GET", &path).header("Range", range);
    for (range, from, to) in [("bytes=0-0", 0, 1), ("bytes=9999-20000", 9_999, 20_001), ("bytes=-1", 50_000, 50_001)] {
        let got = get(range).send_raw().await;
        assert_eq!((got.status, got.bytes.as_slice()), (206, &bytes[from..to]), "{range}");
        assert_eq!(got.header("content-range"), format!("bytes {from}-{}/50001", to - 1));
        assert_eq!(got.header("content-length"), (to - from).to_string());
    }
    let etag = format!("\"{}\"", digest_of(&bytes));
    let rest = get("bytes=30000-").header("If-Range", &etag).send_raw().await;
    assert_eq!((rest.status, rest.bytes.as_slice()), (206, &bytes[30_000..]));
    let other = get("bytes=30000-").header("If-Range", "\"other\"").send_raw().await;
    assert_eq!((other.status, other.bytes.len()), (200, 50_001));
    let outside = get("bytes=50001-").send().await;
    assert_eq!(outside.header("content-range"), "bytes */50001");
    assert!(outside.problem(416).contains("50001"));
    let known = server.sponsor("GET", &path).header("If-None-Match", &etag).send_raw().await;
    assert_eq!((known.status, known.bytes.len()), (304, 0));
}

#[tokio::test]
async fn a_blob_is_its_sponsors_alone() {
    let server = start().await;
    let bytes = content(10);
    let path = upload(&server, &bytes).await;
    let other = |method: &str| server.request(method, &path).header("Authorization", &format!("Bearer {OTHER_KEY}"));
    other("GET").send().await.problem(404);
    assert_eq!(other("HEAD").send_raw().await.status, 404);
    for (method, path) in [("GET", path.as_str()), ("HEAD", &path), ("PUT", &path), ("POST", "/api/v1/blobs")] {
        assert_eq!(server.request(method, path).body(b"").send_raw().await.status, 401, "{method}");
        assert_eq!(server.admin(method, path).body(b"").send_raw().await.status, 401, "{method}");
    }
    // Whoever uploads it is not told that it was there.
    assert_eq!(other("PUT").body(&bytes).send().await.status, 201);
    assert_eq!(other("GET").send_raw().await.bytes, bytes);
}

#[tokio::test]
async fn wrong_names_and_queries_are_400() {
    let server = start().await;
    let short = "0".repeat(63);
    for bad in [short.as_str(), &"A".repeat(64), "x"] {
        assert!(server.sponsor("GET", &format!("/api/v1/blobs/{bad}")).send().await.problem(400).contains("64"));
    }
    for query in ["expected=1", "digest=1", "expected=", &format!("expected={0}&expected={0}", "0".repeat(64))] {
        let request = server.sponsor("POST", &format!("/api/v1/blobs?{query}")).body(b"x");
        assert!(request.send().await.problem(400).contains("expected"), "{query}");
    }
    for offset in ["-1", "x", "1.5", "99999999999999999999"] {
        let request = server.sponsor("PUT", &path(b"x")).header("Upload-Offset", offset).body(b"x");
        assert!(request.send().await.problem(400).contains("Upload-Offset"), "{offset}");
    }
    server.sponsor("GET", &path(b"never uploaded")).send().await.problem(404);
}

#[tokio::test]
async fn another_digest_than_expected_is_422_and_both_are_named() {
    let server = start().await;
    let (expected, found) = (digest_of(b"this"), digest_of(b"that"));
    let post = server.sponsor("POST", &format!("/api/v1/blobs?expected={expected}")).body(b"that").send().await;
    let put = server.sponsor("PUT", &path(b"this")).body(b"that").send().await;
    for answer in [post, put] {
        let detail = answer.problem(422);
        assert!(detail.contains(&expected) && detail.contains(&found), "{detail}");
    }
    assert_eq!(server.fake.bank.counts(), (0, 0));
    let right = server.sponsor("POST", &format!("/api/v1/blobs?expected={expected}")).body(b"this").send().await;
    assert_eq!(right.status, 201);
}

#[tokio::test]
async fn a_blob_over_the_bound_is_413_and_beyond_the_quota_507() {
    let server = start().await;
    let most = usize::try_from(BYTES_MAX).expect("is small");
    let post = || server.sponsor("POST", "/api/v1/blobs");
    let over = content(most + 1);
    assert!(post().body(&over).send().await.problem(413).contains("1048576"));
    let parts: Vec<&[u8]> = over.chunks(100_000).collect();
    assert!(chunked(post(), &parts).send().await.problem(413).contains("1048576"));
    // Announced only: the client waits to be told to go on, and is told not to.
    let early = post().header("Expect", "100-continue").header("Content-Length", "99999999").send().await;
    early.problem(413);
    assert_eq!(server.fake.bank.counts(), (0, 0));
    for first in 0..3 {
        let mut bytes = content(most);
        bytes[0] = 100 + first;
        upload(&server, &bytes).await;
    }
    assert!(post().body(b"one more").send().await.problem(507).contains("3145728"));
}

#[tokio::test]
async fn the_bound_of_other_bodies_does_not_count() {
    let server = start_with(|options| options.body_bytes_max = 1000).await;
    upload(&server, &content(100_000)).await;
}

#[tokio::test]
async fn an_upload_that_stands_still_is_408() {
    let server = start_with(|options| options.body_timeout = Duration::from_millis(50)).await;
    for sent in [0, 70_000] {
        let request = server.sponsor("POST", "/api/v1/blobs").header("Content-Length", "100000");
        assert!(request.raw_body(&content(sent)).send().await.problem(408).contains("65536"));
    }
    assert_eq!(server.fake.bank.counts(), (0, 0));
}

#[tokio::test]
async fn an_upload_may_take_longer_than_any_of_its_pieces() {
    let server = start_with(|options| options.body_timeout = Duration::from_secs(2)).await;
    let bytes = content(16 * BLOB_PACE_BYTES);
    let length = bytes.len().to_string();
    let mut socket = server.sponsor("POST", "/api/v1/blobs").header("Content-Length", &length).open().await;
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    for piece in bytes.chunks(BLOB_PACE_BYTES) {
        beat.tick().await;
        socket.write_all(piece).await.expect("the server reads");
    }
    let answer = read_until(&mut socket, "}").await;
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains(&digest_of(&bytes)), "{answer}");
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing_or_what_can_be_gone_on_with() {
    let server = start().await;
    let bytes = content(200_000);
    let length = bytes.len().to_string();
    let begin = |method: &str, path: &str| server.sponsor(method, path).header("Content-Length", &length);
    for (method, path) in [("POST", "/api/v1/blobs"), ("PUT", &path(&bytes))] {
        drop(begin(method, path).raw_body(&bytes[..150_000]).open().await);
    }
    let head = || server.sponsor("HEAD", &path(&bytes)).send_raw();
    let mut looked = head().await;
    while looked.header("upload-offset") == "0" {
        tokio::task::yield_now().await;
        looked = head().await;
    }
    assert_eq!(looked.status, 404);
    let arrived: usize = looked.header("upload-offset").parse().expect("is a number");
    assert!((1..=150_000).contains(&arrived), "{arrived} bytes arrived");
    assert_eq!(server.fake.bank.counts(), (0, 1));
    let put = |offset: usize| {
        let request = server.sponsor("PUT", &path(&bytes)).header("Upload-Offset", &offset.to_string());
        request.body(&bytes[offset..])
    };
    let answer = put(arrived).send().await;
    assert_eq!((answer.status, answer.json()["bytes"].as_u64()), (201, Some(200_000)), "{answer:?}");
    assert_eq!(server.sponsor("GET", &path(&bytes)).send_raw().await.bytes, bytes);
    // What is here already is not read again.
    assert_eq!(put(0).send().await.status, 200);
    assert!(
        server
            .sponsor("PUT", &path(b"other"))
            .header("Upload-Offset", "5")
            .body(b"x")
            .send()
            .await
            .problem(409)
            .contains("0 bytes")
    );
}

#[tokio::test]
async fn damage_is_500_at_once_and_a_cut_connection_later() {
    let server = start().await;
    let bytes = content(usize::try_from(BYTES_MAX).expect("is small"));
    let path = upload(&server, &bytes).await;
    server.fake.bank.damage(BYTES_MAX - PIECE_BYTES);
    let cut = server.sponsor("GET", &path).send_raw().await;
    assert_eq!((cut.status, cut.header("content-length")), (200, "1048576"));
    assert!(cut.bytes.len() < bytes.len() && bytes.starts_with(&cut.bytes), "{} bytes came", cut.bytes.len());
    server.fake.bank.damage(0);
    assert!(server.sponsor("GET", &path).send().await.problem(500).contains("damaged"));
}

#[tokio::test]
async fn downloads_over_the_bound_are_503() {
    let server = start_with(|options| options.blob_streams_max = 0).await;
    let path = upload(&server, b"x").await;
    let full = server.sponsor("GET", &path).send().await;
    assert!(!full.header("retry-after").is_empty());
    full.problem(503);
    let server = start_with(|options| options.blob_streams_max = 1).await;
    let path = upload(&server, b"x").await;
    for _ in 0..3 {
        assert_eq!(server.sponsor("GET", &path).send().await.status, 200, "the place was not given back");
    }
}

#[tokio::test]
async fn a_miner_moves_blobs_by_its_token_over_plain_http() {
    let server = start().await;
    let bytes = content(50_000);
    let miner = |method, path: &str| {
        let request = server.request(method, path).header("Authorization", &format!("Bearer {MINER_TOKEN}"));
        request.header("X-Forwarded-Proto", "http")
    };
    let put = miner("PUT", &path(&bytes)).body(&bytes[..]).send().await;
    assert_eq!((put.status, put.json()["bytes"].as_u64()), (201, Some(50_000)));
    let part = miner("GET", &path(&bytes)).header("Range", "bytes=49990-").send_raw().await;
    assert_eq!((part.status, &part.bytes[..]), (206, &bytes[49_990..]));
    assert_eq!(miner("HEAD", &path(&bytes)).send_raw().await.status, 200);
    // The same way is closed to keys, and the token opens no other.
    let sponsor = server.sponsor("GET", &path(&bytes)).header("X-Forwarded-Proto", "http").send().await;
    sponsor.problem(403);
    server.sponsor("GET", &path(&bytes)).send().await.problem(404);
    miner("POST", "/api/v1/blobs").body(&bytes).send().await.problem(403);
    for closed in ["/api/v1/sponsor", "/api/v1/jobs/j7/result", "/api/v1/jobs/j6/events"] {
        let token = server.request("GET", closed).header("Authorization", &format!("Bearer {MINER_TOKEN}"));
        token.send().await.problem(401);
    }
    let unknown = server.request("PUT", &path(&bytes)).header("Authorization", "Bearer miner-tokem").body(&bytes);
    unknown.send().await.problem(401);
}

#[tokio::test]
async fn miners_downloads_leave_places_to_sponsors() {
    let server = start_with(|options| options.miner_blob_streams_max = 0).await;
    let bytes = content(10);
    let miner =
        |method| server.request(method, &path(&bytes)).header("Authorization", &format!("Bearer {MINER_TOKEN}"));
    assert_eq!(miner("PUT").body(&bytes).send().await.status, 201);
    miner("GET").send().await.problem(503);
    let path = upload(&server, &bytes).await;
    assert_eq!(server.sponsor("GET", &path).send_raw().await.bytes, bytes);
}
