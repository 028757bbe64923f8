//! Blobs: raw bytes in and out, streamed in bounded pieces, with what it takes to go on after a break.

use std::time::Duration;

use axum::Json;
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::{FromRequestParts, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::{StreamExt as _, stream};
use lode_protocol::Digest;
use lode_protocol::api::BlobView;
use tokio::time::timeout;

use crate::app::{Place, Shared};
use crate::auth::{Mover, Sponsor};
use crate::extract::{Id, skip};
use crate::port::{BlobClient, Delivery, Port, PortError, Reading, Upload, Uploaded};
use crate::problem::Fault;
use crate::range::{Wanted, wanted};

/// Bytes of a blob that must arrive within [`crate::HttpOptions::body_timeout`], again and again: a large
/// blob may take hours, but one that stands still or only drips is cut off.
pub const BLOB_PACE_BYTES: usize = 64 << 10;
/// Where an upload goes on, in requests; how much has arrived, in answers.
const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");

/// The query `expected`.
pub(super) struct Expected(Option<Digest>);

impl<S: Send + Sync> FromRequestParts<S> for Expected {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Expected, Fault> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| Fault::bad_request(error.body_text()))?;
        match pairs.as_slice() {
            [] => Ok(Expected(None)),
            [(name, value)] if name == "expected" => {
                let digest = value.parse();
                digest
                    .map(|digest| Expected(Some(digest)))
                    .map_err(|error| Fault::bad_request(format!("expected: {error}")))
            }
            _ => Err(Fault::bad_request("the one query parameter taken here is expected, once")),
        }
    }
}

/// The header `Upload-Offset`; 0 where it is absent.
fn offset(headers: &HeaderMap) -> Result<u64, Fault> {
    let Some(value) = headers.get(UPLOAD_OFFSET) else { return Ok(0) };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = digits.and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| Fault::bad_request("Upload-Offset must be the number of bytes that have arrived"))
}

/// What a handler takes a body with.
struct Arriving {
    frames: BodyDataStream,
    /// Bytes to come, where that is known.
    announced: Option<u64>,
    /// The client sends nothing before it is told to.
    waits: bool,
    /// Time in which each [`BLOB_PACE_BYTES`] must arrive.
    wait: Duration,
}

impl Arriving {
    fn of(request: Request, wait: Duration) -> Arriving {
        let number = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
        Arriving {
            announced: request.headers().get(header::CONTENT_LENGTH).and_then(number),
            waits: request.headers().contains_key(header::EXPECT),
            frames: request.into_body().into_data_stream(),
            wait,
        }
    }

    /// Reads on for a while from a client that is sending what is not wanted.
    async fn skip(mut self) {
        // Whether or not it came to an end: the client was given the time to.
        drop(timeout(self.wait, skip(&mut self.frames)).await);
    }
}

/// `POST /blobs`
pub(super) async fn upload<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    Expected(expected): Expected,
    request: Request,
) -> Result<Response, Fault> {
    let arriving = Arriving::of(request, app.options.body_timeout);
    let begun = app.port.upload(&BlobClient::Sponsor(sponsor), Delivery::Once { expected }, arriving.announced).await;
    take(begun, arriving).await
}

/// `PUT /blobs/{digest}`
pub(super) async fn resume<P: Port>(
    Mover(client): Mover,
    State(app): State<Shared<P>>,
    Id(digest): Id<Digest>,
    request: Request,
) -> Result<Response, Fault> {
    let delivery = Delivery::Resumable { digest, offset: offset(request.headers())? };
    let arriving = Arriving::of(request, app.options.body_timeout);
    // What is here already need not come again.
    if let Ok(blob) = app.port.blob(&client, &digest) {
        if !arriving.waits {
            arriving.skip().await;
        }
        return Ok(receipt(Uploaded { blob, created: false }));
    }
    take(app.port.upload(&client, delivery, arriving.announced).await, arriving).await
}

fn receipt(Uploaded { blob, created }: Uploaded) -> Response {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/blobs/{}", blob.digest);
    (status, [(header::LOCATION, location), (header::ETAG, etag(&blob))], Json(blob)).into_response()
}

fn etag(blob: &BlobView) -> String {
    format!("\"{}\"", blob.digest)
}

/// Takes a body into the upload that was begun for it.
async fn take<U: Upload>(begun: Result<U, PortError>, mut arriving: Arriving) -> Result<Response, Fault> {
    let mut upload = match begun {
        Ok(upload) => upload,
        Err(error) => {
            if !arriving.waits {
                arriving.skip().await;
            }
            return Err(error.into());
        }
    };
    match pour(&mut arriving, &mut upload).await {
        Ok(()) => Ok(receipt(upload.finish().await?)),
        Err(fault) => {
            drop(upload);
            if fault.status() != StatusCode::REQUEST_TIMEOUT {
                arriving.skip().await;
            }
            Err(fault)
        }
    }
}

async fn pour<U: Upload>(Arriving { frames, wait, .. }: &mut Arriving, upload: &mut U) -> Result<(), Fault> {
    let slow = || {
        let seconds = wait.as_secs_f32();
        Fault::slow_body(format!("each {BLOB_PACE_BYTES} bytes of a blob must be here within {seconds} s"))
    };
    loop {
        let mut piece = BytesMut::new();
        let gathered = timeout(*wait, gather(frames, &mut piece)).await;
        // What came before a break counts too: a resumable upload goes on behind it.
        if !piece.is_empty() {
            upload.write(piece.freeze()).await?;
        }
        match gathered.map_err(|_| slow())? {
            Gathered::More => {}
            Gathered::End => return Ok(()),
            Gathered::Broken => return Err(Fault::bad_request("the body ended before its announced length")),
        }
    }
}

enum Gathered {
    More,
    End,
    Broken,
}

/// Gathers frames until there is enough to be written.
async fn gather(frames: &mut BodyDataStream, piece: &mut BytesMut) -> Gathered {
    while piece.len() < BLOB_PACE_BYTES {
        match frames.next().await {
            None => return Gathered::End,
            Some(Err(_)) => return Gathered::Broken,
            Some(Ok(frame)) => piece.extend_from_slice(&frame),
        }
    }
    Gathered::More
}

/// `HEAD /blobs/{digest}`; where there is none, it tells how much of an interrupted upload is here.
pub(super) async fn look<P: Port>(
    Mover(client): Mover,
    State(app): State<Shared<P>>,
    Id(digest): Id<Digest>,
) -> Response {
    match app.port.blob(&client, &digest) {
        Ok(blob) => (headers(&blob), [(header::CONTENT_LENGTH, blob.bytes)]).into_response(),
        Err(error) => {
            let mut response = Fault::from(error).into_response();
            let arrived = app.port.arrived(&client, &digest);
            response.headers_mut().insert(UPLOAD_OFFSET, HeaderValue::from(arrived));
            response
        }
    }
}

fn headers(blob: &BlobView) -> [(HeaderName, String); 4] {
    [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, etag(blob)),
        // It never changes, but whoever asks must show a key each time.
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ]
}

/// `GET /blobs/{digest}`
pub(super) async fn download<P: Port>(
    Mover(client): Mover,
    State(app): State<Shared<P>>,
    Id(digest): Id<Digest>,
    asked: HeaderMap,
) -> Result<Response, Fault> {
    let blob = app.port.blob(&client, &digest)?;
    let all = blob.bytes;
    let (status, range) = match wanted(&asked, &etag(&blob), all) {
        Wanted::Known => return Ok((StatusCode::NOT_MODIFIED, headers(&blob)).into_response()),
        Wanted::Outside => {
            let fault = Fault::range(format!("the blob has {all} bytes"));
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{all}"))], fault).into_response());
        }
        Wanted::Whole => (StatusCode::OK, 0..all),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let place = app.blob_place(&client)?;
    let reading = app.port.read_blob(&client, &digest, range.clone()).await?;
    let body = body(reading, place).await?;
    let mut response = (status, headers(&blob), body).into_response();
    let length = HeaderValue::from(range.end - range.start);
    response.headers_mut().insert(header::CONTENT_LENGTH, length);
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{all}", range.start, range.end - 1);
        let value = HeaderValue::try_from(text).expect("digits are a header value");
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    Ok(response)
}

/// The bytes of a blob as a body, whose first piece is read before the head is sent, so that what is wrong at once has an
/// answer of its own.
pub(super) async fn body<R: Reading>(mut reading: R, place: Place) -> Result<Body, PortError> {
    let first = reading.next_bytes().await?;
    Ok(Body::from_stream(pieces(first, reading, place)))
}

/// The pieces of a blob; an error among them closes the connection short of the announced length.
fn pieces<R: Reading>(
    first: Option<Bytes>,
    reading: R,
    place: Place,
) -> impl futures_util::Stream<Item = Result<Bytes, PortError>> {
    let rest = stream::try_unfold((reading, place), |(mut reading, place)| async move {
        let piece = reading.next_bytes().await?;
        Ok(piece.map(|piece| (piece, (reading, place))))
    });
    stream::iter(first.map(Ok)).chain(rest)
}
