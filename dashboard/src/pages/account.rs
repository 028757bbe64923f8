//! One account: what it has, how fast it works, its rigs, what it earned and what it was paid.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use lode_protocol::api::{AccountView, EarningState, EarningView, Page, PageQuery, PayoutView, WorkerView};
use lode_protocol::ids::AccountName;
use maud::{Markup, html};

use super::jobs::badge;
use super::layout::{Sheet, further, search, slot};
use super::{AccountQuery, Fragments, error, figures};
use crate::app::{App, Shared};
use crate::charts::{self, Bar};
use crate::extract::{Id, Paging};
use crate::port::{Port, PortError};
use crate::problem::Fault;

/// Earnings and payouts on a page.
const EARNINGS_SHOWN: usize = 24;
const PAYOUTS_SHOWN: usize = 12;

struct Account {
    view: AccountView,
    earnings: Page<EarningView>,
}

impl Account {
    fn look<P: Port>(port: &P, name: &AccountName, cursor: Option<String>) -> Result<Account, PortError> {
        let page = PageQuery { limit: Some(EARNINGS_SHOWN), cursor };
        Ok(Account { view: port.account(name)?, earnings: port.earnings(name, &page)? })
    }

    fn parts(&self) -> [(&'static str, Markup); 4] {
        [
            ("account-balances", balances(&self.view)),
            ("account-rate", rates(&self.view)),
            ("account-rigs", rigs(&self.view.workers, self.view.workers_total)),
            ("account-earnings", earnings(&self.earnings.items)),
        ]
    }
}

fn balances(view: &AccountView) -> Markup {
    html! {
        @if view.balances.is_empty() {
            p.empty { "Nothing yet. Earnings show here as pending with the first accepted share of a job." }
        }
        @for (asset, balance) in &view.balances {
            dl.tiles.money {
                div { dt { "Matured" } dd.strong { (figures::amount(balance.matured, asset)) } dd.note { "payable" } }
                div { dt { "Pending" } dd { (figures::amount(balance.pending, asset)) } dd.note { "in open jobs so far" } }
                div { dt { "Paid" } dd { (figures::amount(balance.paid, asset)) } dd.note { "paid out so far" } }
            }
        }
    }
}

fn rates(view: &AccountView) -> Markup {
    let work = &view.work;
    html! {
        div.hero {
            div {
                p.headline.small { (figures::rate(work.m15, 900)) }
                dl.rates {
                    div { dt { "1 min" } dd { (figures::rate(work.m1, 60)) } }
                    div { dt { "15 min" } dd { (figures::rate(work.m15, 900)) } }
                    div { dt { "1 hour" } dd { (figures::rate(work.h1, 3600)) } }
                    div { dt { "24 hours" } dd { (figures::rate(work.h24, 86_400)) } }
                }
                p.note { (figures::work(work.all)) " proven in all" }
            }
            (charts::course(work))
        }
    }
}

fn rigs(workers: &[WorkerView], total: u64) -> Markup {
    let online = workers.iter().filter(|worker| worker.online).count();
    html! {
        p.note { (online) " of " (workers.len()) " online" @if total > workers.len() as u64 { ", " (total) " in all" } }
        table.stack {
            thead { tr {
                th scope="col" { "Rig" } th scope="col" { "Last share" } th.n scope="col" { "Difficulty" }
                th.n scope="col" { "Accepted" } th.n scope="col" { "Rejected" } th.n scope="col" { "Work" }
            } }
            tbody { @for worker in workers { (rig(worker)) } }
        }
    }
}

fn rig(worker: &WorkerView) -> Markup {
    html! {
        tr {
            th scope="row" {
                span.dot data-online[worker.online] role="img" aria-label=(if worker.online { "online" } else { "offline" }) {}
                (worker.name)
            }
            td data-label="Last share" {
                @if let Some(at) = &worker.last_share { (figures::time(at, true)) } @else { "none yet" }
            }
            td.n data-label="Difficulty" {
                @if let Some((value, algorithm)) = worker.difficulty.zip(worker.algorithm) {
                    (figures::difficulty(value)) " " (algorithm)
                } @else { "–" }
            }
            td.n data-label="Accepted" { (figures::count(worker.accepted)) }
            td.n data-label="Rejected" { (rejected(worker)) }
            td.n data-label="Work" { (figures::work(worker.work)) }
        }
    }
}

fn rejected(worker: &WorkerView) -> Markup {
    let sum = worker.rejected.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let reasons: Vec<String> = worker.rejected.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    html! {
        (figures::count(sum))
        @if !reasons.is_empty() { span.note { (reasons.join(", ")) } }
    }
}

fn earnings(rows: &[EarningView]) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "No job has paid this account yet." } }
        @else {
            (earnings_chart(rows))
            table.stack {
                thead { tr {
                    th scope="col" { "Job" } th scope="col" { "State" } th.n scope="col" { "Work" }
                    th.n scope="col" { "Share" } th.n scope="col" { "Amount" } th scope="col" { "Closed" }
                } }
                tbody { @for row in rows { (earning(row)) } }
            }
        }
    }
}

/// Bars of one asset only: the one earned last.
fn earnings_chart(rows: &[EarningView]) -> Markup {
    let asset = rows.first().map(|row| &row.asset);
    let bar = |row: &EarningView| Bar {
        value: row.amount.0 as f64,
        title: format!("{} {}: {} {}", row.job, row.name, figures::grouped(row.amount.0), row.asset),
        faint: row.state == EarningState::Pending,
    };
    let bars: Vec<Bar> = rows.iter().rev().filter(|row| Some(&row.asset) == asset).map(bar).collect();
    html! {
        @if let Some(asset) = asset.filter(|_| bars.len() > 1) {
            figure.course.earned {
                (charts::bars(&bars, "Earnings by job, oldest first"))
                figcaption { span { (asset) " by job, oldest first; pending ones fainter" } }
            }
        }
    }
}

/// What of an open job's amount is not payable yet: all of a search's, a part of a range job's.
fn pending(row: &EarningView) -> Markup {
    html! { @if row.pending < row.amount { (figures::grouped(row.pending.0)) " " } "pending" }
}

fn earning(row: &EarningView) -> Markup {
    let name = if row.name.trim().is_empty() { format!("Job {}", row.job) } else { row.name.clone() };
    html! {
        tr {
            th scope="row" { a href={ "/jobs/" (row.job) } { (name) } " " span.note { (row.job) } }
            td data-label="State" { (badge(row.job_state)) }
            td.n data-label="Work" { (figures::work(row.work)) }
            td.n data-label="Share" { span.figure title={ (row.share_ppm) " millionths" } { (figures::percent(row.share_ppm)) } }
            td.n data-label="Amount" {
                (figures::amount(row.amount, &row.asset))
                @if row.state == EarningState::Pending { span.note { (pending(row)) } }
            }
            td data-label="Closed" { @if let Some(at) = &row.closed_at { (figures::time(at, false)) } @else { "–" } }
        }
    }
}

fn payouts(rows: &[PayoutView]) -> Markup {
    html! {
        @if rows.is_empty() { p.empty { "Nothing was paid out yet." } }
        @else {
            table.stack {
                thead { tr { th scope="col" { "When" } th.n scope="col" { "Amount" } th scope="col" { "Reference" } } }
                tbody { @for row in rows { tr {
                    th scope="row" { (figures::time(&row.at, false)) }
                    td.n data-label="Amount" { (figures::amount(row.amount, &row.asset)) }
                    td data-label="Reference" { code { (row.reference) } }
                } } }
            }
        }
    }
}

/// The parts that are renewed.
pub(crate) fn fragments<P: Port>(port: &P, name: &AccountName) -> Result<Fragments, Fault> {
    let account = Account::look(port, name, None)?;
    Ok(account.parts().into_iter().map(|(id, part)| (id, part.into_string())).collect())
}

/// `GET /accounts?account=`, where the search box leads.
pub(super) async fn find<P: Port>(State(app): State<Shared<P>>, account: Result<AccountQuery, Fault>) -> Response {
    let name = account.and_then(|AccountQuery(text)| {
        text.parse::<AccountName>().map_err(|error| Fault::bad_request(error.to_string()))
    });
    match name {
        Ok(name) => (StatusCode::SEE_OTHER, [(header::LOCATION, format!("/accounts/{name}"))]).into_response(),
        Err(fault) => error::page(&app, &fault),
    }
}

/// `GET /accounts/{account}`
pub(super) async fn show<P: Port>(
    State(app): State<Shared<P>>,
    name: Result<Id<AccountName>, Fault>,
    paging: Result<Paging, Fault>,
) -> Response {
    let (name, cursor) = match (name, paging) {
        (Ok(Id(name)), Ok(Paging(page))) => (name, page.cursor),
        (Err(fault), _) | (_, Err(fault)) => return error::page(&app, &fault),
    };
    // The live stream renews the newest earnings, so older pages do not follow it.
    let live = cursor.is_none().then(|| format!("/live/accounts/{name}"));
    let found = Account::look(&*app.port, &name, cursor).and_then(|account| {
        let page = PageQuery { limit: Some(PAYOUTS_SHOWN), cursor: None };
        Ok((account, app.port.payouts(&name, &page)?.items))
    });
    match found {
        Ok((account, paid)) => page(&app, &account, &paid, live),
        Err(PortError::NotFound(_)) => unknown(&app, &name),
        Err(error) => error::page(&app, &error.into()),
    }
}

fn page<P: Port>(app: &App<P>, account: &Account, paid: &[PayoutView], live: Option<String>) -> Response {
    let [balances, rates, rigs, earnings] = account.parts().map(|(id, part)| slot(id, &part));
    let name = account.view.account.as_str();
    let path = format!("/accounts/{name}");
    let body = html! {
        p.eyebrow { "Account" }
        h1.name { (name) }
        section aria-label="Balances" { (balances) }
        section aria-labelledby="work" { h2 #work { "Work" } (rates) }
        section aria-labelledby="rigs" { h2 #rigs { "Rigs" } (rigs) }
        section aria-labelledby="earnings" {
            h2 #earnings { "Earnings" } (earnings) (further(&path, account.earnings.next.as_deref(), "Older earnings"))
        }
        section aria-labelledby="payouts" { h2 #payouts { "Payouts" } (payouts(paid)) }
    };
    Sheet { title: name, under: "", live }.page(&app.port.pool(), &body)
}

fn unknown<P: Port>(app: &App<P>, name: &AccountName) -> Response {
    let body = html! {
        section.narrow {
            p.eyebrow { "404" }
            h1 { "No shares from " span.name { (name) } " yet" }
            p {
                "An account appears here once one of its rigs is logged in or a share of it was accepted. If you have "
                "just started, give it half a minute and load this page again. If not, compare the name with the user "
                "name in your miner: upper and lower case count, and the part after the dot is the rig."
            }
            (search(name.as_str()))
            p { a href={ "/connect?account=" (name) } { "Connect a rig as " (name) } }
        }
    };
    Sheet { title: "Unknown account", under: "", live: None }.page_with(StatusCode::NOT_FOUND, &app.port.pool(), &body)
}
