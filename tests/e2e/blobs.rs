//! Blobs through a real pool: uploads that end with the process, privacy, quotas, and many small ones.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use lode_protocol::Digest;
use lode_tests::pool::{Home, Pool};
use lode_tests::sponsor::Api;
use lode_tests::{PATIENCE, rounds, say, wait_for};
use rand::RngExt as _;
use serde_json::json;

fn digest_of(bytes: &[u8]) -> String {
    Digest(*blake3::hash(bytes).as_bytes()).to_string()
}

/// Bytes that differ from place to place and with `seed`.
fn content(seed: u64, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn path(bytes: &[u8]) -> String {
    format!("/blobs/{}", digest_of(bytes))
}

/// A sponsor without money and its key.
fn sponsor(pool: &Pool, name: &str) -> (Api, String) {
    let created = Api::admin(pool).post("/admin/sponsors", &json!({"name": name})).ok();
    let key = created["key"].as_str().expect("a key").to_owned();
    (Api::anyone(pool).with_key(&key), key)
}

/// Files below `dir`.
fn files(dir: &Path) -> usize {
    let items = std::fs::read_dir(dir).expect("a directory").map(|item| item.expect("an entry").path());
    items.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Begins an upload and sends the first `sent` of its bytes.
fn begin(pool: &Pool, key: &str, request: &str, bytes: &[u8], sent: usize) -> TcpStream {
    let mut socket = TcpStream::connect(pool.http).expect("the pool listens");
    let head = format!(
        "{request} HTTP/1.1\r\nHost: pool\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    socket.write_all(head.as_bytes()).expect("the pool reads");
    socket.write_all(&bytes[..sent]).expect("the pool reads");
    socket
}

#[test]
fn a_blob_survives_and_is_its_sponsors_alone() {
    let home = Home::new("");
    let pool = home.start();
    let (acme, _) = sponsor(&pool, "acme");
    let (other, _) = sponsor(&pool, "other");
    let bytes = content(1, 5_000_000);
    let answer = acme.upload("POST", "/blobs", &[], &bytes);
    assert_eq!((answer.status, &answer.body), (201, &json!({"digest": digest_of(&bytes), "bytes": 5_000_000})));
    assert_eq!(acme.upload("POST", "/blobs", &[], &bytes).status, 200);
    assert_eq!(other.get(&path(&bytes)).status, 404);
    assert_eq!(other.upload("POST", "/blobs", &[], &bytes).status, 201, "another is not told that it is there");
    pool.kill();
    let pool = home.start();
    for api in [acme.at(&pool), other.at(&pool)] {
        let got = api.download(&path(&bytes), &[]);
        assert_eq!((got.status, got.bytes == bytes), (200, true));
        let range = api.download(&path(&bytes), &[("range", "bytes=4000001-")]);
        assert_eq!((range.status, range.bytes == bytes[4_000_001..]), (206, true));
    }
    // One file and two owners' names.
    assert_eq!(files(&home.data().join("blobs")), 3);
    pool.stop();
}

/// When a pool is killed during an upload.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    /// In the midst of the bytes.
    Arriving,
    /// All bytes are sent.
    Sent,
    /// The owner's name is there.
    Owned,
    /// The blob's name is there.
    Named,
    /// The pool has answered.
    Answered,
}

/// Looks without a pause, so that what follows comes as soon after as it can.
fn spin_until(what: &str, mut ready: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + PATIENCE;
    while !ready() {
        assert!(std::time::Instant::now() < until, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
    }
}

/// Begins an upload and returns at this moment of it.
fn upload_until(home: &Home, pool: &Pool, key: &str, request: &str, bytes: &[u8], moment: Moment) -> TcpStream {
    let sent = if moment == Moment::Arriving { rand::rng().random_range(0..bytes.len()) } else { bytes.len() };
    let mut socket = begin(pool, key, request, bytes, sent);
    let (blobs, digest) = (home.data().join("blobs"), digest_of(bytes));
    let owner = blobs.join("owners/acme").join(&digest);
    let name = blobs.join(&digest[..2]).join(&digest);
    match moment {
        Moment::Arriving => spin_until("the upload to begin", || files(&blobs.join("part")) > 0),
        Moment::Sent => {}
        Moment::Owned => spin_until("the owner's name", || owner.exists()),
        Moment::Named => spin_until("the blob's name", || name.exists()),
        Moment::Answered => {
            let mut status = [0; 12];
            socket.read_exact(&mut status).expect("the pool answers");
            assert_eq!(&status, b"HTTP/1.1 201");
        }
    }
    socket
}

#[test]
fn a_pool_killed_during_an_upload_has_it_whole_or_not_at_all() {
    let home = Home::new("");
    let mut pool = home.start();
    let (acme, key) = sponsor(&pool, "acme");
    let moments = [Moment::Arriving, Moment::Sent, Moment::Owned, Moment::Named, Moment::Answered];
    let (mut whole, mut absent) = (0, 0);
    for round in 0..rounds("LODE_BLOB_KILLS", 10) {
        let moment = moments[round % moments.len()];
        let bytes = content(100 + round as u64, 3_000_000);
        let put = round / moments.len() % 2 == 1;
        let request = if put { format!("PUT /api/v1{}", path(&bytes)) } else { "POST /api/v1/blobs".into() };
        let socket = upload_until(&home, &pool, &key, &request, &bytes, moment);
        pool.kill();
        drop(socket);
        pool = home.start();
        assert_eq!(files(&home.data().join("blobs/part")), 0, "what was arriving is cleared");
        let api = acme.at(&pool);
        let got = api.download(&path(&bytes), &[]);
        match (got.status, moment) {
            (200, Moment::Arriving) => panic!("half a blob was taken for one"),
            (200, _) => assert!(got.bytes == bytes, "a blob is whole"),
            (404, Moment::Named | Moment::Answered) => panic!("a blob was lost at {moment:?}"),
            (status, _) => assert_eq!(status, 404),
        }
        *(if got.status == 200 { &mut whole } else { &mut absent }) += 1;
        let again = api.upload("POST", &format!("/blobs?expected={}", digest_of(&bytes)), &[], &bytes);
        assert_eq!(again.status, if got.status == 200 { 200 } else { 201 }, "{}", again.body);
        assert!(api.download(&path(&bytes), &[]).bytes == bytes);
    }
    say(&format!("blobs: after kills during an upload {whole} were whole and {absent} absent"));
    pool.stop();
}

#[test]
fn an_upload_that_breaks_off_goes_on_and_one_at_once_leaves_nothing() {
    let home = Home::new("");
    let pool = home.start();
    let (acme, key) = sponsor(&pool, "acme");
    let bytes = content(2, 4_000_000);
    let part = home.data().join("blobs/part");
    for (request, kept) in [("POST /api/v1/blobs".to_owned(), 0), (format!("PUT /api/v1{}", path(&bytes)), 1)] {
        let socket = begin(&pool, &key, &request, &bytes, 2_500_000);
        wait_for("the upload to begin", || (files(&part) == 1).then_some(()));
        socket.shutdown(Shutdown::Both).expect("a socket can be shut");
        let head = || acme.download_head(&path(&bytes));
        if kept == 0 {
            wait_for("what arrived to be removed", || (files(&part) == 0).then_some(()));
            assert_eq!(head(), (404, Some(0)));
            continue;
        }
        let arrived = wait_for("what arrived to be offered", || head().1.filter(|arrived| *arrived > 0));
        assert!(arrived <= 2_500_000, "{arrived} bytes arrived");
        let rest = usize::try_from(arrived).expect("is small");
        let wrong = acme.upload("PUT", &path(&bytes), &[("upload-offset", &(arrived + 1).to_string())], b"x");
        assert_eq!(wrong.status, 409, "{}", wrong.body);
        let answer = acme.upload("PUT", &path(&bytes), &[("upload-offset", &arrived.to_string())], &bytes[rest..]);
        assert_eq!((answer.status, &answer.body["bytes"]), (201, &json!(4_000_000)), "{}", answer.body);
    }
    assert!(acme.download(&path(&bytes), &[]).bytes == bytes);
    pool.stop();
}

#[test]
fn a_thousand_small_blobs() {
    let home = Home::new("[blobs]\nsponsor_bytes_max = 16384000\n");
    let pool = home.start();
    let (acme, _) = sponsor(&pool, "acme");
    let blob = |seed: u64| content(seed, 1 + usize::try_from(seed).expect("is small"));
    for seed in 0..1000 {
        assert_eq!(acme.upload("POST", "/blobs", &[], &blob(seed)).status, 201);
    }
    // Each counts for 16 KiB, and these were the last.
    let full = acme.upload("POST", "/blobs", &[], b"one more");
    let detail = full.body["detail"].as_str().unwrap_or_default().to_owned();
    assert!(full.status == 507 && detail.contains("16384000"), "{full:?}");
    pool.kill();
    let pool = home.start();
    let acme = acme.at(&pool);
    for seed in 0..1000 {
        assert!(acme.download(&path(&blob(seed)), &[]).bytes == blob(seed), "blob {seed}");
    }
    assert_eq!(acme.upload("POST", "/blobs", &[], b"one more").status, 507);
    pool.stop();
}

#[test]
fn limits_and_damage_are_told() {
    let home = Home::new("[blobs]\nbytes_max = 1000000\n");
    let pool = home.start();
    let (acme, _) = sponsor(&pool, "acme");
    let over = acme.upload("POST", "/blobs", &[], &content(3, 1_000_001));
    assert_eq!((over.status, over.content_type.as_str()), (413, "application/problem+json"));
    assert!(over.body["detail"].as_str().is_some_and(|detail| detail.contains("1000000")), "{}", over.body);
    let bytes = content(4, 1_000_000);
    acme.upload("POST", "/blobs", &[], &bytes).ok();
    let digest = digest_of(&bytes);
    let file = home.data().join("blobs").join(&digest[..2]).join(&digest);
    let mut damaged = bytes.clone();
    damaged[7] ^= 1;
    std::fs::write(&file, &damaged).expect("the file can be written");
    let got = acme.download(&path(&bytes), &[]);
    assert_eq!(got.status, 500, "damaged bytes are not given out");
    assert_eq!(acme.upload("POST", "/blobs", &[], &bytes).status, 200);
    assert!(acme.download(&path(&bytes), &[]).bytes == bytes, "an upload mends it");
    pool.stop();
}
