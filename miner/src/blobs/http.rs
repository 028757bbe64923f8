//! One HTTP request on a connection of its own, watched for standing still.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use lode_protocol::Digest;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::place::Place;
use crate::dial::Dial;
use crate::session::AGENT;

/// A transfer in which nothing moves for so long is broken off.
pub const STALL_MAX: Duration = Duration::from_secs(30);
/// Most bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of a body that are handed on at a time.
const PIECE_BYTES: usize = 64 << 10;
/// Most bytes that are read of a refusal's text.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// No connection.
    #[error("cannot connect: {0}")]
    Dial(#[source] io::Error),
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Broken(#[from] hyper::Error),
    /// Nothing moved.
    #[error("nothing moved for {} s", STALL_MAX.as_secs())]
    Stalled,
    /// It is over before all has come.
    #[error("the connection ended early")]
    Short,
}

/// What to ask.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    pub(super) place: &'a Place,
    pub(super) digest: &'a Digest,
    pub(super) header: Option<(HeaderName, HeaderValue)>,
    pub(super) body: Bytes,
}

/// An answer whose body is still to come.
pub(super) struct Answer {
    response: Response<Incoming>,
    /// The connection's own task, which ends with this.
    _connection: JoinSet<()>,
}

/// Sends a request and waits for the head of its answer.
pub(super) async fn ask(dial: &dyn Dial, ask: Ask<'_>) -> Result<Answer, HttpError> {
    let stream = dial.dial(&ask.place.address).await.map_err(HttpError::Dial)?;
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX.max(PIECE_BYTES)).handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await?;
    let mut running = JoinSet::new();
    running.spawn(async move {
        drop(connection.await); // the request's own future tells of failures
    });
    let moved = Arc::new(AtomicU64::new(0));
    let pieces = Pieces { rest: ask.body, moved: Arc::clone(&moved) };
    let mut request = Request::builder()
        .method(ask.method)
        .uri(ask.place.path(ask.digest))
        .header(HOST, ask.place.host())
        .header(AUTHORIZATION, ask.place.authorization())
        .header(USER_AGENT, AGENT);
    if let Some((name, value)) = ask.header {
        request = request.header(name, value);
    }
    // A token comes from the pool; one that is no header's value breaks the request, not the miner.
    let request = request.body(pieces).map_err(|error| HttpError::Dial(io::Error::other(error)))?;
    let response = while_it_moves(&moved, sender.send_request(request)).await??;
    Ok(Answer { response, _connection: running })
}

/// Waits for `future` as long as the count grows.
async fn while_it_moves<F: Future>(moved: &AtomicU64, future: F) -> Result<F::Output, HttpError> {
    let mut future = pin!(future);
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::select! {
            output = &mut future => return Ok(output),
            () = sleep(STALL_MAX) => {}
        }
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return Err(HttpError::Stalled);
        }
        before = now;
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The body's next bytes; nothing at its end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let body = self.response.body_mut();
            let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context));
            match timeout(STALL_MAX, frame).await.map_err(|_| HttpError::Stalled)? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// What a refusal says: its problem's detail, or the beginning of its text.
    pub(super) async fn text(mut self) -> String {
        let mut bytes = Vec::new();
        while bytes.len() < TEXT_BYTES_MAX
            && let Ok(Some(piece)) = self.next().await
        {
            bytes.extend_from_slice(&piece);
        }
        let problem: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
        let detail = problem.as_ref().and_then(|problem| problem["detail"].as_str());
        let text = detail.map_or_else(|| String::from_utf8_lossy(&bytes).into_owned(), str::to_owned);
        crate::session::printable(&text)
    }
}

/// A body of known bytes, in pieces, that counts what was taken of it.
struct Pieces {
    rest: Bytes,
    moved: Arc<AtomicU64>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(count);
        self.moved.fetch_add(count as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
