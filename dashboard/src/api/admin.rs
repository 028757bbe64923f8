//! The operator's calls: creating sponsors and funding them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use lode_protocol::api::{DepositRequest, DepositView, NewSponsor, SponsorCreated};

use crate::app::Shared;
use crate::auth::Admin;
use crate::extract::JsonBody;
use crate::port::Port;
use crate::problem::Fault;

/// `POST /admin/sponsors`
pub(super) async fn create_sponsor<P: Port>(
    _: Admin,
    State(app): State<Shared<P>>,
    body: JsonBody,
) -> Result<(StatusCode, Json<SponsorCreated>), Fault> {
    let new = NewSponsor::from_json(body.value).map_err(Fault::fields)?;
    Ok((StatusCode::CREATED, Json(app.port.create_sponsor(new).await?)))
}

/// `POST /admin/deposits`
pub(super) async fn deposit<P: Port>(
    _: Admin,
    State(app): State<Shared<P>>,
    body: JsonBody,
) -> Result<(StatusCode, Json<DepositView>), Fault> {
    let request = DepositRequest::from_json(body.value).map_err(Fault::fields)?;
    let deposit = app.port.deposit(request).await?;
    let status = if deposit.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(deposit)))
}
