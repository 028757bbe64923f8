//! The files that pages refer to: built in, named by their content, kept by browsers.

use std::sync::LazyLock;

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Fault;

/// A file and the digest of its content.
pub(super) struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    tag: String,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, text: &'static str) -> Asset {
        let tag = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        Asset { name, kind, text, tag }
    }

    /// Where this very content is found, for ever.
    pub(super) fn href(&self) -> String {
        format!("/static/{}?v={}", self.name, self.tag)
    }
}

/// How pages look.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style.css", "text/css; charset=utf-8", include_str!("../../static/style.css")));
/// What makes them live.
pub(super) static LIVE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("live.js", "text/javascript; charset=utf-8", include_str!("../../static/live.js")));
/// The mark.
pub(super) static MARK: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("mark.svg", "image/svg+xml", include_str!("../../static/mark.svg")));

/// `GET /static/{file}`
pub(super) async fn file(
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let found = [&*STYLE, &*LIVE, &*MARK].into_iter().find(|asset| asset.name == name);
    let asset = found.ok_or_else(|| Fault::not_found("there is no such file"))?;
    let etag = format!("\"{}\"", asset.tag);
    let named = query.is_some_and(|query| query.strip_prefix("v=") == Some(&asset.tag));
    let keep = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == etag.as_bytes());
    let about = [(header::ETAG, etag.as_str()), (header::CACHE_CONTROL, keep), (header::CONTENT_TYPE, asset.kind)];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, about).into_response(),
        false => (about, asset.text).into_response(),
    })
}
