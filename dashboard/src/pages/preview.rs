//! The picture of what a job has done so far.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::ids::JobId;

use crate::app::Shared;
use crate::auth::MaybeSponsor;
use crate::extract::Id;
use crate::port::Port;
use crate::problem::Fault;
use crate::range::{Wanted, wanted};

/// `GET /jobs/{id}/preview.png`
pub(super) async fn show<P: Port>(
    MaybeSponsor(sponsor): MaybeSponsor,
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
    asked: HeaderMap,
) -> Result<Response, Fault> {
    let picture = app.port.preview(sponsor.as_ref(), id).await?;
    let picture = picture.ok_or_else(|| Fault::not_found(format!("there is no picture of job {id} yet")))?;
    let etag = format!("\"{}\"", blake3::hash(&picture).to_hex());
    let known = wanted(&asked, &etag, picture.len() as u64) == Wanted::Known;
    let about = [
        (header::ETAG, etag.as_str()),
        (header::CACHE_CONTROL, "private, no-cache"),
        (header::CONTENT_TYPE, "image/png"),
    ];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, about).into_response(),
        false => (about, picture).into_response(),
    })
}
