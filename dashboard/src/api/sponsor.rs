//! A sponsor's own money.

use axum::Json;
use axum::extract::State;
use lode_protocol::api::SponsorView;

use crate::app::Shared;
use crate::auth::Sponsor;
use crate::port::Port;
use crate::problem::Fault;

/// `GET /sponsor`
pub(super) async fn show<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
) -> Result<Json<SponsorView>, Fault> {
    Ok(Json(app.port.sponsor(&sponsor)?))
}
