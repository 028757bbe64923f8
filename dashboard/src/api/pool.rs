//! The pool as a whole and its leader board.

use axum::Json;
use axum::extract::State;
use lode_protocol::api::{LeaderView, Page, PoolView};

use crate::app::Shared;
use crate::extract::Paging;
use crate::port::Port;
use crate::problem::Fault;

/// `GET /pool`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>) -> Json<PoolView> {
    Json(app.port.pool())
}

/// `GET /leaderboard`
pub(super) async fn leaderboard<P: Port>(
    State(app): State<Shared<P>>,
    Paging(page): Paging,
) -> Result<Json<Page<LeaderView>>, Fault> {
    Ok(Json(app.port.leaderboard(&page)?))
}
