//! The list of jobs, and how a job is summed up wherever it is listed.

use axum::extract::State;
use axum::response::Response;
use lode_protocol::api::{JobState, JobView, PageQuery};
use maud::{Markup, html};

use super::layout::{Sheet, further};
use super::range_job::RangeJob;
use super::{error, figures};
use crate::app::Shared;
use crate::extract::Paging;
use crate::port::Port;
use crate::problem::Fault;

/// What a job is called: its name, or its number where it has none.
pub(super) fn title(job: &JobView) -> String {
    if job.name.trim().is_empty() { format!("Job {}", job.id) } else { job.name.clone() }
}

/// Its state as a word, set off.
pub(super) fn badge(state: JobState) -> Markup {
    html! { span.badge data-state=(state.name()) { (state.name()) } }
}

/// Millionths that are done: of the elements, or of the work that the budget buys.
fn done_ppm(job: &JobView) -> u32 {
    match RangeJob::of(job) {
        Some(range) => range.done_ppm(),
        None => figures::ppm(job.work_proven.0, job.work_quoted.0),
    }
}

/// How far it is.
pub(super) fn progress(job: &JobView) -> Markup {
    let ppm = done_ppm(job);
    html! { progress max="1000000" value=(ppm) aria-label={ "Progress of " (title(job)) } { (figures::percent(ppm)) } }
}

/// A job in a list.
pub(super) fn summary(job: &JobView) -> Markup {
    let ppm = done_ppm(job);
    html! {
        div.job {
            h3 { a href={ "/jobs/" (job.id) } { (title(job)) } " " (badge(job.state)) }
            p.pot { (figures::amount(job.budget, &job.asset)) }
            (progress(job))
            p.note {
                (figures::percent(ppm)) " of " (figures::work(job.work_quoted)) " · "
                (figures::count(job.shares)) @if job.elements.is_some() { " units · " } @else { " shares · " } (figures::count(job.accounts)) " accounts"
            }
            p.note.end { (job.id) " by " (job.sponsor) }
        }
    }
}

/// `GET /jobs`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>, paging: Result<Paging, Fault>) -> Response {
    match paging.and_then(|Paging(page)| list(&*app.port, &page)) {
        Ok(body) => Sheet { title: "Jobs", under: "/jobs", live: None }.page(&app.port.pool(), &body),
        Err(fault) => error::page(&app, &fault),
    }
}

fn list<P: Port>(port: &P, page: &PageQuery) -> Result<Markup, Fault> {
    let page = port.jobs(page)?;
    Ok(html! {
        h1 { "Jobs" }
        p.lead { "What sponsors pay for, newest first. A job's budget is in escrow before its first share." }
        @if page.items.is_empty() { p.empty { "There are no jobs here." } }
        ul.jobs { @for job in &page.items { li { (summary(job)) } } }
        (further("/jobs", page.next.as_deref(), "Older jobs"))
    })
}
