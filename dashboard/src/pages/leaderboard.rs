//! All accounts by work.

use axum::extract::State;
use axum::response::Response;
use lode_protocol::api::{LeaderView, PageQuery};
use maud::{Markup, html};

use super::layout::{Sheet, further};
use super::{error, figures};
use crate::app::Shared;
use crate::extract::Paging;
use crate::port::Port;
use crate::problem::Fault;

/// `GET /leaderboard`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>, paging: Result<Paging, Fault>) -> Response {
    match paging.and_then(|Paging(page)| list(&*app.port, &page)) {
        Ok(body) => Sheet { title: "Leaders", under: "/leaderboard", live: None }.page(&app.port.pool(), &body),
        Err(fault) => error::page(&app, &fault),
    }
}

fn list<P: Port>(port: &P, query: &PageQuery) -> Result<Markup, Fault> {
    let page = port.leaderboard(query)?;
    let total = port.pool().work.all.0;
    // A cursor does not tell how many rows are before it, so only the first page numbers its rows.
    let numbered = query.cursor.is_none();
    Ok(html! {
        h1 { "Leaders" }
        p.lead { "Accounts by the work that they have proven, ever." }
        @if page.items.is_empty() { p.empty { "Nobody has proven work yet." } }
        @else {
            table.wide {
                thead { tr {
                    @if numbered { th.place scope="col" { "#" } }
                    th scope="col" { "Account" } th.n scope="col" { "Work" }
                    th.n scope="col" { "Of all" } th.n scope="col" { "Shares" }
                } }
                tbody { @for (leader, place) in page.items.iter().zip(1_u64..) {
                    (row(leader, numbered.then_some(place), total))
                } }
            }
        }
        (further("/leaderboard", page.next.as_deref(), "Next accounts"))
    })
}

fn row(leader: &LeaderView, place: Option<u64>, total: u128) -> Markup {
    html! {
        tr {
            @if let Some(place) = place { td.place { (place) } }
            th scope="row" { a href={ "/accounts/" (leader.account) } { (leader.account) } }
            td.n data-label="Work" { (figures::work(leader.work)) }
            td.n data-label="Of all" { (figures::percent(figures::ppm(leader.work.0, total))) }
            td.n data-label="Shares" { (figures::count(leader.shares)) }
        }
    }
}
