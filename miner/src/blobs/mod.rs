//! Blobs by digest: inputs are fetched, results delivered, over HTTP and with what it takes to go on after a break.

mod cache;
mod http;
mod part;
mod place;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::header::{CONTENT_RANGE, HeaderName, HeaderValue, RANGE};
use hyper::{Method, StatusCode};
use lode_protocol::Digest;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::debug;

use crate::dial::Dial;
pub use cache::Cache;
use http::{Answer, Ask, HttpError};
pub use http::{HttpError as TransferBreak, STALL_MAX};
use part::{Part, Wrong};
pub use place::{Place, PlaceError};

/// Tries in a row without a byte of progress before a transfer is given up.
pub const TRIES_MAX: u32 = 8;
/// The pause after the first failed try; it doubles with each, up to [`PAUSE_MAX`].
pub const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause between two tries.
pub const PAUSE_MAX: Duration = Duration::from_secs(8);
/// How often it is looked whether another miner still has a blob's part.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Bytes that are gathered before they are hashed and written.
const BATCH_BYTES: usize = 1 << 20;
/// Where an upload goes on, in requests; how much has arrived, in answers.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// Why a blob did not come or go.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The connection broke again and again.
    #[error("{0}")]
    Broken(#[source] HttpError),
    /// The pool will not.
    #[error("the pool answers {status}: {text}")]
    Refused {
        /// Its status.
        status: u16,
        /// Its words.
        text: String,
    },
    /// What came is something else.
    #[error("{0}")]
    Wrong(#[from] Wrong),
    /// The program's own fault.
    #[error("crashed: {0}")]
    Crashed(#[from] tokio::task::JoinError),
}

impl TransferError {
    /// Whether the pool does not take the token any more.
    #[must_use]
    pub fn is_token_over(&self) -> bool {
        matches!(self, TransferError::Refused { status: 401 | 403, .. })
    }
}

/// A try that failed.
enum Failure {
    /// Another may do better.
    Passing(TransferError),
    /// None will.
    Final(TransferError),
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        Failure::Passing(TransferError::Broken(error))
    }
}

/// What is here of a blob.
#[expect(clippy::large_enum_variant, reason = "moved twice a blob")]
enum Look {
    /// All of it.
    Kept(Vec<u8>),
    /// Some of it or nothing, for us to go on with.
    Missing(Part),
    /// Another miner of this machine is fetching it.
    Taken,
}

/// What moves blobs.
#[derive(Clone)]
pub struct Blobs {
    cache: Arc<Cache>,
    dial: Arc<dyn Dial>,
}

impl Blobs {
    /// Keeps in `cache` what it fetches by way of `dial`.
    #[must_use]
    pub fn new(cache: Cache, dial: Arc<dyn Dial>) -> Blobs {
        Blobs { cache: Arc::new(cache), dial }
    }

    /// A blob of `bytes` bytes: from the cache, else from the pool.
    ///
    /// # Errors
    /// The pool will not give it, or what it gives is something else, or it cannot be reached.
    pub async fn fetch(&self, place: &Place, digest: Digest, bytes: u64) -> Result<Vec<u8>, TransferError> {
        let mut part = loop {
            let cache = Arc::clone(&self.cache);
            let looked = spawn_blocking(move || match cache.get(&digest) {
                Some(kept) if kept.len() as u64 == bytes => Look::Kept(kept),
                Some(_) | None => cache.part(&digest, bytes).map_or(Look::Taken, Look::Missing),
            });
            match looked.await? {
                Look::Kept(kept) => return Ok(kept),
                Look::Missing(part) => break part,
                Look::Taken => sleep(LOOK_AGAIN).await,
            }
        };
        let (cache, room) = (Arc::clone(&self.cache), part.room());
        spawn_blocking(move || cache.make_room(room)).await?;
        let mut taken_up = part.arrived() > 0;
        loop {
            part = self.complete(place, digest, part).await?;
            match spawn_blocking(move || part.finish()).await? {
                Ok(bytes) => return Ok(bytes),
                // What lay there from before may be at fault: once more from the beginning.
                Err(Wrong) if taken_up => {
                    taken_up = false;
                    part = Part::in_memory(digest, bytes);
                }
                Err(Wrong) => return Err(Wrong.into()),
            }
        }
    }

    /// Has the rest of a part come.
    async fn complete(&self, place: &Place, digest: Digest, mut part: Part) -> Result<Part, TransferError> {
        let mut tries = Tries::default();
        while part.arrived() < part.all() {
            let before = part.arrived();
            let failure;
            (part, failure) = self.download(place, digest, part).await?;
            let moved = part.arrived() > before;
            match failure {
                None => {}
                Some(Failure::Final(error)) => return Err(error),
                Some(Failure::Passing(error)) => tries.again(&digest, error, moved).await?,
            }
        }
        Ok(part)
    }

    /// One request for what is missing.
    async fn download(
        &self,
        place: &Place,
        digest: Digest,
        mut part: Part,
    ) -> Result<(Part, Option<Failure>), TransferError> {
        let from = part.arrived();
        let header = (from > 0).then(|| (RANGE, number(format!("bytes={from}-"))));
        let ask = Ask { method: Method::GET, place, digest: &digest, header, body: Bytes::new() };
        let mut answer = match http::ask(self.dial.as_ref(), ask).await {
            Ok(answer) => answer,
            Err(error) => return Ok((part, Some(error.into()))),
        };
        match answer.status() {
            StatusCode::OK if from > 0 => part = spawn_blocking(move || restarted(part)).await?,
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if begins_at(&answer, from) => {}
            StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PARTIAL_CONTENT if from > 0 => {
                part = spawn_blocking(move || restarted(part)).await?;
                return Ok((part, Some(refusal(answer, true).await)));
            }
            _ => return Ok((part, Some(refusal(answer, false).await))),
        }
        let mut batch = BytesMut::new();
        loop {
            let next = answer.next().await;
            let over = !matches!(next, Ok(Some(_)));
            if let Ok(Some(piece)) = &next {
                batch.extend_from_slice(piece);
            }
            let is_too_much = batch.len() as u64 > part.all().saturating_sub(part.arrived());
            if over || is_too_much || batch.len() >= BATCH_BYTES {
                let written;
                let bytes = std::mem::take(&mut batch);
                (part, written) = spawn_blocking(move || {
                    let written = part.write(&bytes);
                    (part, written)
                })
                .await?;
                if let Err(wrong) = written {
                    part = spawn_blocking(move || restarted(part)).await?;
                    return Ok((part, Some(Failure::Final(wrong.into()))));
                }
            }
            match next {
                Ok(Some(_)) => {}
                Ok(None) if part.arrived() < part.all() => return Ok((part, Some(HttpError::Short.into()))),
                Ok(None) => return Ok((part, None)),
                Err(error) => return Ok((part, Some(error.into()))),
            }
        }
    }

    /// Gives the pool a blob.
    ///
    /// # Errors
    /// The pool will not take it, or cannot be reached.
    pub async fn deliver(&self, place: &Place, digest: Digest, bytes: Bytes) -> Result<(), TransferError> {
        let mut tries = Tries::default();
        let all = bytes.len() as u64;
        let (mut offset, mut moved) = (0, false);
        loop {
            let rest = bytes.slice(usize::try_from(offset).expect("within the bytes, which are in memory")..);
            let header = Some((UPLOAD_OFFSET, number(offset.to_string())));
            let ask = Ask { method: Method::PUT, place, digest: &digest, header, body: rest };
            let (failure, conflict) = match http::ask(self.dial.as_ref(), ask).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let conflict = answer.status() == StatusCode::CONFLICT;
                    (refusal(answer, conflict).await, conflict)
                }
                Err(error) => (error.into(), false),
            };
            let error = match failure {
                Failure::Passing(error) => error,
                Failure::Final(error) => return Err(error),
            };
            if conflict && self.arrived(place, &digest, all).await == offset {
                return Err(error); // it is about something else than where to go on, and will not pass
            }
            // After the pause, in which the pool puts away what it has.
            tries.again(&digest, error, moved).await?;
            let arrived = self.arrived(place, &digest, all).await;
            (moved, offset) = (arrived > offset, arrived);
        }
    }

    /// How many of an upload's `all` bytes are with the pool after a break; none where it does not tell.
    async fn arrived(&self, place: &Place, digest: &Digest, all: u64) -> u64 {
        let ask = Ask { method: Method::HEAD, place, digest, header: None, body: Bytes::new() };
        let Ok(answer) = http::ask(self.dial.as_ref(), ask).await else { return 0 };
        if answer.status().is_success() {
            return all;
        }
        let told = answer.headers().get(UPLOAD_OFFSET).and_then(|value| value.to_str().ok()?.parse().ok());
        told.filter(|arrived| *arrived <= all).unwrap_or(0)
    }
}

fn restarted(mut part: Part) -> Part {
    part.restart();
    part
}

/// Digits and letters as a header's value.
fn number(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits are a header's value")
}

/// Whether a partial answer is what was asked for.
fn begins_at(answer: &Answer, from: u64) -> bool {
    let range = answer.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {from}-")))
}

/// What follows from an answer that is no success; a pool that is only busy or ill may do better later.
async fn refusal(answer: Answer, passing: bool) -> Failure {
    let status = answer.status();
    let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::LOCKED);
    let passing = passing || busy || status.is_server_error();
    let error = TransferError::Refused { status: status.as_u16(), text: answer.text().await };
    if passing { Failure::Passing(error) } else { Failure::Final(error) }
}

/// Counts the tries of one transfer.
#[derive(Debug, Default)]
struct Tries(u32);

impl Tries {
    /// Waits before the next try, longer from time to time, unless there were too many; begins anew where something
    /// `moved`.
    async fn again(&mut self, digest: &Digest, error: TransferError, moved: bool) -> Result<(), TransferError> {
        self.0 = if moved { 1 } else { self.0 + 1 };
        debug!("blob {digest}, try {}: {error}", self.0);
        if self.0 >= TRIES_MAX {
            return Err(error);
        }
        sleep(PAUSE_MIN.saturating_mul(1 << (self.0 - 1)).min(PAUSE_MAX)).await;
        Ok(())
    }
}
