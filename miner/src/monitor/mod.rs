//! The status port: a small HTTP server that tells this rig's figures to whoever monitors it.
//!
//! It answers one request a connection. What a stranger can hold is bounded: connections (more wait in the kernel's
//! backlog), the size of a request's head, and the time that a connection may take in all.

mod figures;
mod metrics;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::link::now;
use crate::rig::Rig;
use figures::Figures;

/// Most connections at a time.
pub const CONNECTIONS_MAX: usize = 16;
/// Most bytes of a request's line and headers.
pub const HEAD_BYTES_MAX: usize = 8 << 10;
/// Most header lines.
const HEADER_LINES_MAX: usize = 32;
/// How long a connection may last.
pub const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// How long its request may take to arrive.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause after an accept that failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The server.
#[derive(Debug)]
pub struct Monitor {
    listener: TcpListener,
    rig: Arc<Rig>,
}

impl Monitor {
    /// Answers for `rig` on `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, rig: Rig) -> Monitor {
        Monitor { listener, rig: Arc::new(rig) }
    }

    /// Serves until dropped.
    pub async fn serve(&self) -> Infallible {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            // Those that are over are forgotten; a crash among them is the connection's own.
            while connections.try_join_next().is_some() {}
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let rig = Arc::clone(&self.rig);
                    connections.spawn(async move {
                        converse(stream, peer, rig).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    warn!("the status port cannot accept a connection: {error}");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, peer: SocketAddr, rig: Arc<Rig>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &rig);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD_BYTES_MAX)
        .max_headers(HEADER_LINES_MAX)
        .keep_alive(false);
    match timeout(CONNECTION_MAX, http.serve_connection(TokioIo::new(stream), answer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => debug!("the status port's connection with {peer} ended early: {error}"),
        Err(_) => debug!("the status port's connection with {peer} took too long"),
    }
}

fn answer(request: &Request<Incoming>, rig: &Rig) -> Response<String> {
    let render: fn(&Figures) -> (&'static str, String) = match request.uri().path() {
        "/" | "/status" => |figures| ("application/json", figures.json()),
        "/metrics" => |figures| ("text/plain; version=0.0.4; charset=utf-8", metrics::text(figures)),
        _ => return refusal(StatusCode::NOT_FOUND, "here are /status and /metrics"),
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "taken are GET and HEAD");
        response.headers_mut().insert(ALLOW, "GET, HEAD".parse().expect("a header's value"));
        return response;
    }
    rig.meter.sample(now());
    let (kind, body) = render(&Figures::new(rig, now()));
    response(StatusCode::OK, kind, body)
}

fn refusal(status: StatusCode, what: &str) -> Response<String> {
    response(status, "text/plain; charset=utf-8", format!("{what}\n"))
}

fn response(status: StatusCode, kind: &'static str, body: String) -> Response<String> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, kind).header(CACHE_CONTROL, "no-store");
    response.header("x-content-type-options", "nosniff").body(body).expect("the headers are well-formed")
}
