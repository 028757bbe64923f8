//! Accounts: balances and rigs, earnings by job, payouts.

use axum::Json;
use axum::extract::State;
use lode_protocol::api::{AccountView, EarningView, Page, PayoutView};
use lode_protocol::ids::AccountName;

use crate::app::Shared;
use crate::extract::{Id, Paging};
use crate::port::Port;
use crate::problem::Fault;

/// `GET /accounts/{account}`
pub(super) async fn show<P: Port>(
    State(app): State<Shared<P>>,
    Id(account): Id<AccountName>,
) -> Result<Json<AccountView>, Fault> {
    Ok(Json(app.port.account(&account)?))
}

/// `GET /accounts/{account}/earnings`
pub(super) async fn earnings<P: Port>(
    State(app): State<Shared<P>>,
    Id(account): Id<AccountName>,
    Paging(page): Paging,
) -> Result<Json<Page<EarningView>>, Fault> {
    Ok(Json(app.port.earnings(&account, &page)?))
}

/// `GET /accounts/{account}/payouts`
pub(super) async fn payouts<P: Port>(
    State(app): State<Shared<P>>,
    Id(account): Id<AccountName>,
    Paging(page): Paging,
) -> Result<Json<Page<PayoutView>>, Fault> {
    Ok(Json(app.port.payouts(&account, &page)?))
}
