//! One job: how far it is, its terms, where its money goes, and what was found.

use axum::extract::State;
use axum::response::Response;
use lode_protocol::api::{Amount, JobView};
use lode_protocol::ids::JobId;
use maud::{Markup, html};

use super::jobs::{badge, progress, title};
use super::layout::{Sheet, slot};
use super::range_job::RangeJob;
use super::{Fragments, error, figures};
use crate::app::Shared;
use crate::charts;
use crate::extract::Id;
use crate::port::Port;
use crate::problem::Fault;

/// The parts that are renewed.
pub(crate) fn fragments(job: &JobView) -> Fragments {
    parts(job).into_iter().map(|(id, part)| (id, part.into_string())).collect()
}

fn parts(job: &JobView) -> [(&'static str, Markup); 5] {
    let (preview, course, result) = match RangeJob::of(job) {
        Some(range) => (range.preview(), range.course(), range.result()),
        None => (html! {}, course(job), result(job)),
    };
    [
        ("job-state", state(job)),
        ("job-preview", preview),
        ("job-progress", course),
        ("job-money", money(job)),
        ("job-result", result),
    ]
}

fn state(job: &JobView) -> Markup {
    html! {
        p.state role="status" {
            (badge(job.state))
            @if let Some(at) = &job.closed_at { " closed " (figures::time(at, true)) }
            @else if let Some(at) = &job.cancel_at { " is cancelled by its sponsor from " (figures::time(at, true)) " on" }
            @else { " until " (figures::time(&job.deadline_at, true)) " at the latest" }
        }
    }
}

fn course(job: &JobView) -> Markup {
    let ppm = figures::ppm(job.work_proven.0, job.work_quoted.0);
    let expected = job.work_proven.0.saturating_mul(100).checked_div(job.work_expected.0).unwrap_or(0);
    html! {
        @if job.solution.is_some() { p.headline.small { "Solved" } } @else { p.headline.small { (figures::percent(ppm)) } }
        p.note {
            @if job.solution.is_some() { (figures::percent(ppm)) " " }
            "of the work that the budget buys, " (figures::grouped(expected)) " % of what is expected until a solution"
        }
        (progress(job))
        dl.tiles {
            div { dt { "Work proven" } dd { (figures::work(job.work_proven)) } }
            div { dt { "Budget buys" } dd { (figures::work(job.work_quoted)) } }
            div { dt { "Expected to take" } dd { (figures::work(job.work_expected)) } }
            div { dt { "Shares" } dd { (figures::count(job.shares)) } }
            div { dt { "Accounts" } dd { (figures::count(job.accounts)) } }
        }
    }
}

fn money(job: &JobView) -> Markup {
    let settled = job.paid.zip(job.fee).zip(job.refunded);
    html! {
        @if let Some(((paid, fee), refunded)) = settled {
            (charts::split(&[(paid.0, "paid"), (fee.0, "fee"), (refunded.0, "refunded")], "How the budget was divided"))
            dl.rows {
                div.paid { dt { "Paid to workers" } dd { (figures::amount(paid, &job.asset)) } }
                div.fee { dt { "Fee of the pool" } dd { (figures::amount(fee, &job.asset)) } }
                div.refunded { dt { "Back to the sponsor" } dd { (figures::amount(refunded, &job.asset)) } }
            }
        } @else if let Some(range) = RangeJob::of(job) {
            (range.money())
        } @else {
            p { (figures::amount(job.budget, &job.asset)) " are in escrow. " (promise(job)) }
        }
    }
}

/// The budget less the fee, as good as exactly.
pub(super) fn for_workers(job: &JobView) -> Amount {
    let fee = job.budget.0.saturating_mul(u128::from(job.fee_bps)) / 10_000;
    Amount(job.budget.0.saturating_sub(fee))
}

fn promise(job: &JobView) -> Markup {
    html! {
        "Once it is solved, about " (figures::amount(for_workers(job), &job.asset)) " go to those who proved work, in proportion to "
        "it. If it ends unsolved, work that was proven is paid and the rest goes back to the sponsor."
    }
}

fn result(job: &JobView) -> Markup {
    html! {
        @if let Some(hash) = &job.solution { p { "Solved by the hash" } p { code.hash { (hash) } } }
        @else if job.closed_at.is_some() { p.empty { "It ended without a solution." } }
        @else { p.empty { "Not found yet." } }
    }
}

fn terms(job: &JobView) -> Markup {
    html! {
        dl.rows {
            div { dt { "Number" } dd { (job.id) } }
            div { dt { "Kind" } dd { (job.kind) @if let Some(algorithm) = job.algorithm { ", " (algorithm) } } }
            @if let Some(elements) = job.elements { div { dt { "Elements" } dd { (figures::count(elements)) } } }
            div { dt { "Sponsor" } dd { (job.sponsor) } }
            div { dt { "Budget" } dd { (figures::amount(job.budget, &job.asset)) } }
            div { dt { "Divided" } dd { @if job.payout == "prop" { "in proportion to work" } @else { (job.payout) } } }
            div { dt { "Fee" } dd { (figures::basis_points(job.fee_bps)) } }
            div { dt { "Opened" } dd { (figures::time(&job.opened_at, false)) " UTC" } }
            div { dt { "Deadline" } dd { (figures::time(&job.deadline_at, false)) " UTC" } }
            div { dt { "Digest of the spec" } dd { (figures::digest(&job.spec_digest)) } }
        }
    }
}

/// `GET /jobs/{id}`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>, id: Result<Id<JobId>, Fault>) -> Response {
    match id.and_then(|Id(id)| Ok(app.port.job(id)?)) {
        Ok(job) => page(&app, &job),
        Err(fault) => error::page(&app, &fault),
    }
}

fn page<P: Port>(app: &Shared<P>, job: &JobView) -> Response {
    let [state, preview, course, money, result] = parts(job).map(|(id, part)| slot(id, &part));
    let name = title(job);
    let body = html! {
        p.eyebrow { a href="/jobs" { "Jobs" } " / " (job.id) }
        h1 { (name) }
        (state)
        section aria-label="Progress" { (preview) (course) }
        div.halves {
            section aria-labelledby="money" { h2 #money { "Money" } (money) }
            section aria-labelledby="terms" { h2 #terms { "Terms" } (terms(job)) }
        }
        section aria-labelledby="result" { h2 #result { "Result" } (result) }
    };
    Sheet { title: &name, under: "/jobs", live: Some(format!("/live/jobs/{}", job.id)) }.page(&app.port.pool(), &body)
}
