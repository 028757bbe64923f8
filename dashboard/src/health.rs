//! What machines ask about the server itself: alive, ready, and its metrics.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::app::Shared;
use crate::port::Port;
use crate::problem::Fault;

/// `GET /healthz`
pub(crate) async fn alive() -> &'static str {
    "ok"
}

/// `GET /readyz`
pub(crate) async fn ready<P: Port>(State(app): State<Shared<P>>) -> Result<&'static str, Fault> {
    let health = app.port.health();
    if health.ready { Ok("ok") } else { Err(Fault::not_ready(&health.faults)) }
}

/// `GET /metrics`
pub(crate) async fn metrics<P: Port>(State(app): State<Shared<P>>) -> Result<Response, Fault> {
    let handle = app.options.metrics.as_ref().ok_or_else(|| Fault::not_found("this server records no metrics"))?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], handle.render()).into_response())
}
