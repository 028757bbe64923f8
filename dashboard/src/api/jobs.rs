//! Jobs: anyone may read them; their sponsors quote, submit, cancel and fetch results.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::api::{JobRequest, JobState, JobView, Page, Quote};
use lode_protocol::ids::{JobId, SponsorName};
use serde::Serialize;

use super::blobs::body;
use crate::app::Shared;
use crate::auth::Sponsor;
use crate::extract::{Id, IdempotencyKey, JsonBody, Paging};
use crate::port::{BlobClient, Port, ResultFile, ResultOf, Submitted};
use crate::problem::Fault;
use crate::range::{Wanted, wanted};

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
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    body: JsonBody,
) -> Result<Json<Quote>, Fault> {
    let request = JobRequest::from_json(body.value).map_err(Fault::fields)?;
    Ok(Json(app.port.quote(&sponsor, &request).await?))
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
    asked: HeaderMap,
) -> Result<Response, Fault> {
    match app.port.result(&sponsor, id).await? {
        ResultOf::Found(found) => Ok(Json(found).into_response()),
        ResultOf::File(file) => send(&app, sponsor, file, &asked).await,
    }
}

async fn send<P: Port>(
    app: &Shared<P>,
    sponsor: SponsorName,
    file: ResultFile<P::Reading>,
    asked: &HeaderMap,
) -> Result<Response, Fault> {
    let ResultFile { name, media_type, bytes, digest, reading } = file;
    let etag = format!("\"{digest}\"");
    // A range of it would need another reading; the whole is always right.
    if wanted(asked, &etag, bytes) == Wanted::Known {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let place = app.blob_place(&BlobClient::Sponsor(sponsor))?;
    let body = body(reading, place).await?;
    let about = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file_name(&name))),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::ETAG, etag),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    Ok((about, body).into_response())
}

/// A name that every file system and header takes: letters, digits and `. _ -`, not hidden, and not nothing.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = name.trim_start_matches('.').chars().take(128).map(plain).collect();
    if name.is_empty() { "result".to_owned() } else { name }
}

/// `DELETE /jobs/{id}`
pub(super) async fn cancel<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
) -> Result<Json<JobView>, Fault> {
    Ok(Json(app.port.cancel(&sponsor, id).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_is_harmless() {
        for (name, harmless) in [
            ("hero.png", "hero.png"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("a\"; x=\"b", "a___x__b"),
            ("é\r\n", "___"),
            (".profile", "profile"),
            ("..", "result"),
            ("", "result"),
        ] {
            assert_eq!(file_name(name), harmless, "{name:?}");
        }
    }
}
