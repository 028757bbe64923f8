//! A pool's blobs, played by the test: it gives and takes them, breaks off where it is told to, and notes what was asked.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use lode_protocol::Digest;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// What it has and what it is told to do.
#[derive(Default)]
pub struct Shelf {
    pub blobs: HashMap<Digest, Vec<u8>>,
    /// Uploads that broke off.
    parts: HashMap<Digest, Vec<u8>>,
    /// The requests so far, as `GET 0`: method and where it begins.
    pub log: Vec<String>,
    /// Of the next requests with a body either way, the bytes after which the connection breaks.
    pub cuts: VecDeque<usize>,
    /// Uploads are refused, as by a pool that does not wait for any.
    pub closed: bool,
    /// The token is not taken.
    pub locked: bool,
    /// What is given out in a blob's stead.
    pub lies: HashMap<Digest, Vec<u8>>,
}

/// The server, which ends with this.
pub struct BlobServer {
    pub port: u16,
    pub token: String,
    shelf: Arc<Mutex<Shelf>>,
    task: JoinHandle<()>,
}

impl Drop for BlobServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl BlobServer {
    pub async fn start() -> BlobServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, shelf) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Shelf>>::default());
        let token = "0123abcd".repeat(8);
        let task = tokio::spawn({
            let (shelf, token) = (Arc::clone(&shelf), token.clone());
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(converse(stream, Arc::clone(&shelf), token.clone()));
                }
            }
        });
        BlobServer { port, token, shelf, task }
    }

    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap()
    }

    pub fn add(&self, bytes: Vec<u8>) -> Digest {
        let digest = digest_of(&bytes);
        self.shelf().blobs.insert(digest, bytes);
        digest
    }
}

/// A request's head.
struct Head {
    method: String,
    digest: Digest,
    headers: HashMap<String, String>,
}

impl Head {
    async fn read(stream: &mut BufReader<TcpStream>) -> Option<Head> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await.ok()?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let (first, rest) = lines.split_first()?;
        let mut first = first.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?);
        let digest = path.strip_prefix("/api/v1/blobs/").expect("the miner asks for blobs").parse().unwrap();
        let header = |line: &String| {
            let (name, value) = line.split_once(':').unwrap();
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Some(Head { method, digest, headers: rest.iter().map(header).collect() })
    }

    fn number(&self, name: &str) -> usize {
        let digits = |text: &String| text.chars().filter(char::is_ascii_digit).collect::<String>();
        self.headers.get(name).map_or(0, |text| digits(text).parse().unwrap())
    }
}

async fn converse(stream: TcpStream, shelf: Arc<Mutex<Shelf>>, token: String) {
    let mut stream = BufReader::new(stream);
    let Some(head) = Head::read(&mut stream).await else { return };
    assert_eq!(head.headers.get("authorization"), Some(&format!("Bearer {token}")));
    let begins = match head.method.as_str() {
        "GET" => head.number("range"),
        _ => head.number("upload-offset"),
    };
    shelf.lock().unwrap().log.push(format!("{} {begins}", head.method));
    let locked = shelf.lock().unwrap().locked;
    let answer = match head.method.as_str() {
        _ if locked => ("401 Unauthorized\r\ncontent-length: 0".to_owned(), Vec::new()),
        "GET" => give(&head, begins, &shelf),
        "HEAD" => {
            let arrived = shelf.lock().unwrap().parts.get(&head.digest).map_or(0, Vec::len);
            (format!("404 Not Found\r\nupload-offset: {arrived}\r\ncontent-length: 0"), Vec::new())
        }
        "PUT" => match take(&mut stream, &head, begins, &shelf).await {
            Some(status) => (format!("{status}\r\ncontent-length: 0"), Vec::new()),
            None => return,
        },
        other => panic!("{other}"),
    };
    let cut = (head.method == "GET").then(|| shelf.lock().unwrap().cuts.pop_front()).flatten();
    let body = &answer.1[..cut.unwrap_or(usize::MAX).min(answer.1.len())];
    // The miner may have gone.
    drop(stream.write_all(format!("HTTP/1.1 {}\r\n\r\n", answer.0).as_bytes()).await);
    drop(stream.write_all(body).await);
    drop(stream.flush().await);
}

fn give(head: &Head, begins: usize, shelf: &Mutex<Shelf>) -> (String, Vec<u8>) {
    let shelf = shelf.lock().unwrap();
    let Some(bytes) = shelf.lies.get(&head.digest).or_else(|| shelf.blobs.get(&head.digest)) else {
        return ("404 Not Found\r\ncontent-length: 0".to_owned(), Vec::new());
    };
    let (all, rest) = (bytes.len(), bytes[begins..].to_vec());
    let length = rest.len();
    if begins == 0 {
        return (format!("200 OK\r\ncontent-length: {length}"), rest);
    }
    (
        format!("206 Partial Content\r\ncontent-length: {length}\r\ncontent-range: bytes {begins}-{}/{all}", all - 1),
        rest,
    )
}

async fn take(
    stream: &mut BufReader<TcpStream>,
    head: &Head,
    begins: usize,
    shelf: &Mutex<Shelf>,
) -> Option<&'static str> {
    let length = head.number("content-length");
    let cut = shelf.lock().unwrap().cuts.pop_front();
    let mut body = vec![0; cut.unwrap_or(length)];
    stream.read_exact(&mut body).await.ok()?;
    let mut shelf = shelf.lock().unwrap();
    let closed = shelf.closed;
    let part = shelf.parts.entry(head.digest).or_default();
    if begins > part.len() || closed {
        return Some("409 Conflict");
    }
    part.truncate(begins);
    part.extend_from_slice(&body);
    if cut.is_some() {
        return None;
    }
    let whole = shelf.parts.remove(&head.digest).unwrap();
    if digest_of(&whole) != head.digest {
        return Some("422 Unprocessable Content");
    }
    shelf.blobs.insert(head.digest, whole);
    Some("201 Created")
}
