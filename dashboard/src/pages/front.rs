//! The pool at a glance: how fast, who works, what on, and how to join.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use lode_protocol::api::{JobState, JobView, LeaderView, Page, PageQuery, PoolView};
use maud::{Markup, html};

use super::layout::{Sheet, command, search, slot};
use super::{Fragments, connect, error, figures, jobs};
use crate::app::Shared;
use crate::charts;
use crate::port::Port;
use crate::problem::Fault;

/// Jobs looked through for open ones, and leaders shown.
const JOBS_LOOKED_AT: usize = 50;
const JOBS_SHOWN: usize = 6;
const LEADERS_SHOWN: usize = 10;

struct Front {
    pool: PoolView,
    open: Vec<JobView>,
    leaders: Vec<LeaderView>,
}

impl Front {
    fn look<P: Port>(port: &P) -> Result<Front, Fault> {
        let rows = |limit| PageQuery { limit: Some(limit), cursor: None };
        let Page { items: jobs, .. } = port.jobs(&rows(JOBS_LOOKED_AT))?;
        let open = jobs.into_iter().filter(|job| is_open(job.state)).take(JOBS_SHOWN).collect();
        Ok(Front { pool: port.pool(), open, leaders: port.leaderboard(&rows(LEADERS_SHOWN))?.items })
    }

    fn rate(&self) -> Markup {
        let work = &self.pool.work;
        html! {
            p.headline { (figures::rate(work.m15, 900)) }
            dl.rates {
                div { dt { "1 min" } dd { (figures::rate(work.m1, 60)) } }
                div { dt { "15 min" } dd { (figures::rate(work.m15, 900)) } }
                div { dt { "1 hour" } dd { (figures::rate(work.h1, 3600)) } }
                div { dt { "24 hours" } dd { (figures::rate(work.h24, 86_400)) } }
            }
        }
    }

    fn tiles(&self) -> Markup {
        let pool = &self.pool;
        html! {
            dl.tiles {
                div { dt { "Workers online" } dd { (figures::count(pool.workers)) } }
                div { dt { "Accounts" } dd { (figures::count(pool.accounts)) } }
                div { dt { "Open jobs" } dd { (figures::count(pool.jobs_open)) } }
                div { dt { "Work proven" } dd { (figures::work(pool.work.all)) } }
                div {
                    dt { "Ledger entries" }
                    dd { (figures::count(pool.ledger.entries)) }
                    dd.note {
                        @if pool.ledger.writable { "head " (figures::digest(&pool.ledger.head)) }
                        @else { strong { "not being written" } }
                    }
                }
            }
        }
    }

    fn jobs(&self) -> Markup {
        html! {
            @if self.open.is_empty() { p.empty { "No job is open. Rigs stay connected and start with the next one." } }
            ul.jobs { @for job in &self.open { li { (jobs::summary(job)) } } }
        }
    }

    fn leaders(&self) -> Markup {
        html! {
            @if self.leaders.is_empty() { p.empty { "Nobody has proven work yet. The first share is yours to find." } }
            ol.leaders {
                @for leader in &self.leaders {
                    li {
                        a href={ "/accounts/" (leader.account) } { (leader.account) }
                        (figures::work(leader.work))
                    }
                }
            }
        }
    }

    fn fragments(&self) -> [(&'static str, Markup); 5] {
        [
            ("pool-rate", self.rate()),
            ("pool-course", charts::course(&self.pool.work)),
            ("pool-tiles", self.tiles()),
            ("pool-jobs", self.jobs()),
            ("pool-leaders", self.leaders()),
        ]
    }
}

fn is_open(state: JobState) -> bool {
    matches!(state, JobState::Open | JobState::Running | JobState::Auditing)
}

fn invitation(pool: &PoolView, headers: &HeaderMap) -> Markup {
    let line = connect::first_line(headers, pool, "YOUR_ACCOUNT");
    html! {
        section.invite aria-labelledby="invite" {
            div {
                h2 #invite { "Connect a rig" }
                p {
                    "No sign-up: pick an account name, or use a coin address, and every share that you prove is "
                    "credited to it. Any stratum miner works. " a href="/connect" { "Lines for other miners" }
                }
            }
            (command("invite-line", &line))
        }
    }
}

/// The parts that are renewed.
pub(crate) fn fragments<P: Port>(port: &P) -> Result<Fragments, Fault> {
    Ok(Front::look(port)?.fragments().into_iter().map(|(id, part)| (id, part.into_string())).collect())
}

/// `GET /`
pub(super) async fn show<P: Port>(State(app): State<Shared<P>>, headers: HeaderMap) -> Response {
    let front = match Front::look(&*app.port) {
        Ok(front) => front,
        Err(fault) => return error::page(&app, &fault),
    };
    let [rate, course, tiles, jobs, leaders] = front.fragments().map(|(id, part)| slot(id, &part));
    let body = html! {
        h1.sr { (front.pool.name) }
        section.hero aria-labelledby="rate" {
            div { h2.eyebrow #rate { "Pool hash rate, mean of 15 minutes" } (rate) }
            (course)
        }
        (tiles)
        section.seek { (search("")) }
        (invitation(&front.pool, &headers))
        div.columns {
            section aria-labelledby="open" { h2 #open { "Open jobs" } (jobs) p.further { a href="/jobs" { "All jobs" } } }
            section aria-labelledby="leaders" {
                h2 #leaders { "Leaders" } (leaders) p.further { a href="/leaderboard" { "All accounts" } }
            }
        }
    };
    Sheet { title: "Pool", under: "/", live: Some("/live/pool".into()) }.page(&front.pool, &body)
}
