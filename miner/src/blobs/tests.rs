use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::part::tests::digest_of;
use super::*;
use crate::dial::{Dialing, Stream};
use crate::url::PoolUrl;

/// A pool that answers each request with this head, then the body over and over until this many bytes have gone, and
/// hangs up. To whoever wants to go on after that it says nothing.
struct Pool {
    head: &'static str,
    body: &'static [u8],
    bytes: u64,
    /// Bytes of bodies that were taken from it.
    gone: Arc<AtomicU64>,
}

impl Dial for Pool {
    fn dial(&self, _: &PoolUrl) -> Dialing {
        let (ours, theirs) = tokio::io::duplex(1024);
        tokio::spawn(answer(theirs, self.head, self.body, self.bytes, Arc::clone(&self.gone)));
        Box::pin(async move { Ok(Box::new(ours) as Stream) })
    }
}

async fn answer(mut pipe: DuplexStream, head: &str, body: &[u8], bytes: u64, gone: Arc<AtomicU64>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(pipe.read_u8().await.unwrap());
    }
    if request.windows(6).any(|header| header == b"range:") {
        return std::future::pending().await;
    }
    pipe.write_all(head.as_bytes()).await.unwrap();
    let mut left = bytes;
    while left > 0 {
        let count = body.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if pipe.write_all(&body[..count]).await.is_err() {
            return; // it is hung up
        }
        left -= count as u64;
        gone.fetch_add(count as u64, Ordering::Relaxed);
    }
}

fn place() -> Place {
    Place::at_port(&"stratum+tcp://pool.example:3333".parse().unwrap(), 80, "token".to_owned())
}

#[tokio::test]
async fn a_body_longer_than_announced_is_refused_at_once_though_it_never_ends() {
    let directory = tempfile::tempdir().unwrap();
    let gone = Arc::default();
    let body = &[7; 4096];
    let pool = Pool { head: "HTTP/1.1 200 OK\r\n\r\n", body, bytes: u64::MAX, gone: Arc::clone(&gone) };
    let cache = Cache::at(directory.path().to_owned(), 1 << 20, || SystemTime::UNIX_EPOCH);
    let blobs = Blobs::new(cache, Arc::new(pool));
    let error = blobs.fetch(&place(), digest_of(body), 4096).await.unwrap_err();
    assert!(matches!(error, TransferError::Wrong(Wrong)), "{error}");
    let gone = gone.load(Ordering::Relaxed);
    assert!(gone < 256 << 10, "{gone} bytes were taken for one of 4096");
}

#[tokio::test]
async fn blobs_that_never_become_whole_do_not_fill_the_disk() {
    const SENT: u64 = 3 << 20;
    let directory = tempfile::tempdir().unwrap();
    // One byte more is announced than comes.
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 3145729\r\n\r\n";
    let pool = Pool { head, body: &[7; 4096], bytes: SENT, gone: Arc::default() };
    let blobs = Blobs::new(Cache::at(directory.path().to_owned(), 8 << 20, || SystemTime::UNIX_EPOCH), Arc::new(pool));
    let mut on_disk: Vec<u64> = Vec::new();
    for number in 0..4 {
        let (place, digest) = (place(), digest_of(&[number]));
        let path = directory.path().join(format!("{digest}.part"));
        let revoked = async {
            while std::fs::metadata(&path).map_or(0, |part| part.len()) < SENT {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            fetched = blobs.fetch(&place, digest, SENT + 1) => panic!("it cannot be whole: {fetched:?}"),
            () = revoked => {}
        }
        let entries = std::fs::read_dir(directory.path()).unwrap();
        on_disk.push(entries.map(|entry| entry.unwrap().metadata().unwrap().len()).sum());
    }
    assert_eq!(on_disk, [SENT, 2 * SENT, 2 * SENT, 2 * SENT], "a third is beyond the bound");
}
