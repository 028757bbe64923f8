//! Requests read into types: path ids, paging, JSON bodies and idempotency keys, each with its own words when wrong.

use std::str::FromStr;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use futures_util::StreamExt as _;
use lode_protocol::api::PageQuery;
use serde_json::Value;
use tokio::time::timeout;

use crate::app::Shared;
use crate::port::{Idempotency, Port};
use crate::problem::Fault;

/// Most bytes of an `Idempotency-Key`.
const IDEMPOTENCY_BYTES_MAX: usize = 128;
/// Bytes over the bound that are still read and thrown away, so that the client gets to read its 413.
const OVERRUN_BYTES_MAX: usize = 8 << 20;
/// Most bytes of a cursor.
const CURSOR_BYTES_MAX: usize = 256;

/// The one id in the path.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err: std::fmt::Display> + Send> FromRequestParts<S> for Id<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id<T>, Fault> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(text) = path.map_err(|error| Fault::bad_request(error.body_text()))?;
        text.parse().map(Id).map_err(|error: T::Err| Fault::bad_request(error.to_string()))
    }
}

/// `limit` and `cursor` of a list.
pub(crate) struct Paging(pub(crate) PageQuery);

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Paging, Fault> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = pairs.map_err(|error| Fault::bad_request(error.body_text()))?;
        paging(pairs).map(Paging).map_err(Fault::bad_request)
    }
}

fn paging(pairs: Vec<(String, String)>) -> Result<PageQuery, String> {
    let mut page = PageQuery::default();
    for (name, value) in pairs {
        let repeated = match name.as_str() {
            "limit" => page.limit.replace(limit(&value)?).is_some(),
            "cursor" => page.cursor.replace(cursor(value)?).is_some(),
            _ => {
                let name: String = name.chars().take(64).collect();
                return Err(format!("there is no query parameter {name:?}; taken are limit and cursor"));
            }
        };
        if repeated {
            return Err(format!("the query parameter {name} is given twice"));
        }
    }
    Ok(page)
}

fn limit(text: &str) -> Result<usize, String> {
    let rows = text.parse().ok().filter(|rows| *rows > 0);
    rows.ok_or_else(|| "the query parameter limit must be a positive integer".to_owned())
}

fn cursor(text: String) -> Result<String, String> {
    match text.len() <= CURSOR_BYTES_MAX {
        true => Ok(text),
        false => Err("the query parameter cursor is none that a list here gave".to_owned()),
    }
}

/// A body of JSON and its digest.
pub(crate) struct JsonBody {
    pub(crate) value: Value,
    pub(crate) digest: [u8; 32],
}

impl<P: Port> FromRequest<Shared<P>> for JsonBody {
    type Rejection = Fault;

    async fn from_request(request: Request, app: &Shared<P>) -> Result<JsonBody, Fault> {
        if !is_json(request.headers()) {
            return Err(Fault::content_type("send the header Content-Type: application/json"));
        }
        let reading = read(request.into_body(), app.options.body_bytes_max);
        let wait = app.options.body_timeout;
        let bytes = timeout(wait, reading)
            .await
            .map_err(|_| Fault::slow_body(format!("it must be here within {} s", wait.as_secs_f32())))??;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::bad_request(format!("the body is not JSON: {error}")))?;
        Ok(JsonBody { value, digest: *blake3::hash(&bytes).as_bytes() })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"))
}

async fn read(body: Body, bytes_max: usize) -> Result<Vec<u8>, Fault> {
    let mut frames = body.into_data_stream();
    let mut found = Vec::new();
    while let Some(frame) = frames.next().await {
        let frame: Bytes = frame.map_err(|_| Fault::bad_request("the body ended before its announced length"))?;
        if found.len() + frame.len() > bytes_max {
            skip(&mut frames).await;
            return Err(Fault::too_large(format!("at most {bytes_max} bytes are taken")));
        }
        found.extend_from_slice(&frame);
    }
    Ok(found)
}

/// Reads on for a while from a client that is refused, so that it gets to read why.
pub(crate) async fn skip(frames: &mut axum::body::BodyDataStream) {
    let mut skipped = 0;
    while let Some(Ok(frame)) = frames.next().await
        && skipped < OVERRUN_BYTES_MAX
    {
        skipped += frame.len();
    }
}

/// The header `Idempotency-Key`, where there is one.
pub(crate) struct IdempotencyKey(Option<String>);

impl IdempotencyKey {
    /// The key together with the digest of the body it came with.
    pub(crate) fn with_body(self, body: [u8; 32]) -> Option<Idempotency> {
        self.0.map(|key| Idempotency { key, body })
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<IdempotencyKey, Fault> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(IdempotencyKey(None)) };
        let key = value.to_str().ok().filter(|key| is_idempotency_key(key) && values.next().is_none());
        let detail = "Idempotency-Key must be given once, with 1 to 128 printable ASCII characters";
        key.map(|key| IdempotencyKey(Some(key.to_owned()))).ok_or_else(|| Fault::bad_request(detail))
    }
}

fn is_idempotency_key(key: &str) -> bool {
    (1..=IDEMPOTENCY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(query: &[(&str, &str)]) -> Result<PageQuery, String> {
        paging(query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn paging_names_what_is_wrong() {
        let page = pairs(&[("limit", "7"), ("cursor", "x")]).expect("is right");
        assert_eq!((page.rows(), page.cursor.as_deref()), (7, Some("x")));
        for limit in ["0", "-1", "x", "1.5", "99999999999999999999999"] {
            assert!(pairs(&[("limit", limit)]).expect_err("is wrong").contains("limit"), "{limit}");
        }
        assert!(pairs(&[("page", "2")]).expect_err("is unknown").contains("\"page\""));
        assert!(pairs(&[("limit", "2"), ("limit", "3")]).expect_err("is twice").contains("twice"));
    }

    #[test]
    fn content_types() {
        let with = |kind: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, kind.parse().expect("is a header value"));
            is_json(&headers)
        };
        assert!(with("application/json") && with("Application/JSON; charset=utf-8") && with("application/x+json"));
        assert!(!with("text/plain") && !with("application/x-www-form-urlencoded") && !is_json(&HeaderMap::new()));
    }

    #[test]
    fn idempotency_keys() {
        assert!(is_idempotency_key("order 17/b") && is_idempotency_key(&"x".repeat(128)));
        assert!(!is_idempotency_key("") && !is_idempotency_key(&"x".repeat(129)) && !is_idempotency_key("a\tb"));
    }
}
