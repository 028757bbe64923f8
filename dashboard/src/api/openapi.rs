//! The document that describes the API, kept by hand beside this file.

use axum::http::header;
use axum::response::IntoResponse;

/// OpenAPI 3.1 as JSON; tests hold it against the router and against real answers.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub(super) async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
