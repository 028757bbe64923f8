//! A client over a plain socket, so that tests see the bytes that a stranger would, and the server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lode_dashboard::{HttpOptions, serve};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::port::{ADMIN_TOKEN, Fake, SPONSOR_KEY};

/// Longest that any answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The server under test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) fake: Arc<Fake>,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

/// Starts one with short stream intervals and the options as `change` leaves them.
pub(crate) async fn start_with(change: impl FnOnce(&mut HttpOptions)) -> Server {
    let mut options = HttpOptions { stream_interval: Duration::from_millis(5), ..HttpOptions::default() };
    change(&mut options);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let (stop, stopped) = oneshot::channel::<()>();
    let fake = Arc::new(Fake::default());
    let shutdown = async move { drop(stopped.await) };
    let task = tokio::spawn(serve(listener, Arc::clone(&fake), options, shutdown));
    Server { address, fake, stop, task }
}

/// Starts one.
pub(crate) async fn start() -> Server {
    start_with(|_| ()).await
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// An answer whose body may be anything.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) bytes: Vec<u8>,
}

impl RawAnswer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let line = head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    });
    line.unwrap_or_default()
}

impl Answer {
    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name)
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem of this status, and gives its detail.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16) -> String {
        assert_eq!((self.status, self.header("content-type")), (status, "application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["type"].as_str().is_some_and(|kind| kind.starts_with("/problems/")));
        assert!(problem["title"].is_string());
        problem["detail"].as_str().expect("a detail is text").to_owned()
    }
}

/// A request being put together.
#[derive(Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    head: String,
    body: Vec<u8>,
}

impl Server {
    /// Any request.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: pool.example:8080\r\nConnection: close\r\n");
        Request { address: self.address, head, body: vec![] }
    }

    /// A GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request("GET", path).send().await
    }

    /// A request with the sponsor's key.
    pub(crate) fn sponsor(&self, method: &str, path: &str) -> Request {
        self.request(method, path).header("Authorization", &format!("Bearer {SPONSOR_KEY}"))
    }

    /// A request with the admin token.
    pub(crate) fn admin(&self, method: &str, path: &str) -> Request {
        self.request(method, path).header("Authorization", &format!("Bearer {ADMIN_TOKEN}"))
    }
}

impl Request {
    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Request {
        self.head += &format!("{name}: {value}\r\n");
        self
    }

    /// Puts other text into its head.
    pub(crate) fn replace(&mut self, old: &str, new: &str) {
        self.head = self.head.replace(old, new);
    }

    /// Gives it a JSON body.
    pub(crate) fn json(self, body: &Value) -> Request {
        self.header("Content-Type", "application/json").body(body.to_string().as_bytes())
    }

    /// Gives it a body.
    pub(crate) fn body(mut self, body: &[u8]) -> Request {
        self.body = body.to_vec();
        self.header("Content-Length", &body.len().to_string())
    }

    /// Gives it bytes behind its head as they are.
    pub(crate) fn raw_body(self, body: &[u8]) -> Request {
        Request { body: body.to_vec(), ..self }
    }

    /// Sends it and leaves the socket open for reading.
    pub(crate) async fn open(self) -> TcpStream {
        let mut socket = TcpStream::connect(self.address).await.expect("the server listens");
        let head = format!("{}\r\n", self.head);
        socket.write_all(&[head.as_bytes(), &self.body].concat()).await.expect("the server reads");
        socket
    }

    /// Sends it and reads the answer to its end.
    pub(crate) async fn send(self) -> Answer {
        parse(&String::from_utf8(read_to_end(self.open().await).await).expect("answers are text"))
    }

    /// The same with a body of any bytes, as they came over the wire.
    pub(crate) async fn send_raw(self) -> RawAnswer {
        let mut bytes = read_to_end(self.open().await).await;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let body = bytes.split_off(end + 4);
        let head = String::from_utf8(bytes).expect("heads are text");
        RawAnswer { status: status(&head), head, bytes: body }
    }
}

async fn read_to_end(mut socket: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await;
    read.expect("the answer ends").expect("the answer is whole");
    bytes
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status is a number")
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head in {text:?}"));
    let status = status(head);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body) } else { body.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

fn unchunk(mut text: &str) -> String {
    let mut body = String::new();
    while let Some((size, rest)) = text.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk begins with its size");
        body += &rest[..size];
        text = rest[size..].strip_prefix("\r\n").expect("a chunk ends with a line");
    }
    body
}

/// Reads until `wanted` was seen; panics when the stream ends before.
pub(crate) async fn read_until(socket: &mut TcpStream, wanted: &str) -> String {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    while !text.contains(wanted) {
        let read = timeout(PATIENCE, socket.read(&mut bytes)).await.expect("something comes");
        let read = read.expect("the stream is whole");
        assert_ne!(read, 0, "ended before {wanted:?}: {text}");
        text += &String::from_utf8_lossy(&bytes[..read]);
    }
    text
}
