//! Jobs: anyone may read them; their sponsors quote, submit, cancel and fetch results.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::api::{JobRequest, JobResult, JobState, JobView, Page, Quote};
use lode_protocol::ids::JobId;
use serde::Serialize;

use crate::app::Shared;
use crate::auth::Sponsor;
use crate::extract::{Id, IdempotencyKey, JsonBody, Paging};
use crate::port::{Port, Submitted};
use crate::problem::Fault;

/// The answer to a submitted job.
#[derive(Debug, Serialize)]
struct Receipt {
    id: JobId,
    quote: Quote,
    state: JobState,
}

/// `GET /jobs`
pub(super) async fn list<P: Port>(
    State(app): State<Shared<P>>,
    Paging(page): Paging,
) -> Result<Json<Page<JobView>>, Fault> {
    Ok(Json(app.port.jobs(&page)?))
}

/// `GET /jobs/{id}`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>, Id(id): Id<JobId>) -> Result<Json<JobView>, Fault> {
    Ok(Json(app.port.job(id)?))
}

/// `POST /quotes`
pub(super) async fn quote<P: Port>(
    _: Sponsor,
    State(app): State<Shared<P>>,
    body: JsonBody,
) -> Result<Json<Quote>, Fault> {
    let request = JobRequest::from_json(body.value).map_err(Fault::fields)?;
    Ok(Json(app.port.quote(&request)?))
}

/// `POST /jobs`
pub(super) async fn submit<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<Response, Fault> {
    let request = JobRequest::from_json(body.value).map_err(Fault::fields)?;
    let submitted = app.port.submit(&sponsor, request, key.with_body(body.digest)).await?;
    Ok(receipt(submitted))
}

fn receipt(submitted: Submitted) -> Response {
    let status = if submitted.created { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/api/v1/jobs/{}", submitted.job.id);
    let receipt = Receipt { id: submitted.job.id, quote: submitted.quote, state: submitted.job.state };
    (status, [(header::LOCATION, location)], Json(receipt)).into_response()
}

/// `GET /jobs/{id}/result`
pub(super) async fn result<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
) -> Result<Json<JobResult>, Fault> {
    Ok(Json(app.port.result(&sponsor, id)?))
}

/// `DELETE /jobs/{id}`
pub(super) async fn cancel<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
) -> Result<Json<JobView>, Fault> {
    Ok(Json(app.port.cancel(&sponsor, id).await?))
}
