//! A job's event stream: progress as it comes, units and audits of a range job, then `done`, then the end.

use std::convert::Infallible;

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt as _, stream};
use lode_protocol::api::{JobEvent, JobState, JobView};
use lode_protocol::ids::JobId;

use crate::app::Shared;
use crate::auth::Sponsor;
use crate::extract::Id;
use crate::pace;
use crate::port::{Port, PortError};
use crate::problem::Fault;

/// `GET /jobs/{id}/events`
pub(super) async fn follow<P: Port>(
    Sponsor(sponsor): Sponsor,
    State(app): State<Shared<P>>,
    Id(id): Id<JobId>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let job = app.port.job(id)?;
    if job.sponsor != sponsor {
        return Err(PortError::NotFound(format!("job {id} of yours")).into());
    }
    let place = app.event_place()?;
    // Subscribed before the first look, so that no change falls between the two.
    let ticks = pace::ticks(&app, app.port.changes(), place);
    let looks = ticks.filter_map(move |_| std::future::ready(app.port.job(id).ok()));
    Ok(Sse::new(events(looks).map(|event| Ok(encode(&event)))).keep_alive(KeepAlive::default()))
}

/// Turns looks at a job into events: each look that differs is progress, and tells the units and audits since the one
/// before; the first ended one is the last.
fn events(looks: impl Stream<Item = JobView> + Send + 'static) -> impl Stream<Item = JobEvent> {
    let seen: (_, Option<JobView>) = (looks.boxed(), None);
    stream::unfold(seen, |(mut looks, mut last)| async move {
        if last.as_ref().is_some_and(|job| has_ended(job.state)) {
            return None;
        }
        let job = looks.next().await?;
        Some((step(&mut last, &job), (looks, last)))
    })
    .flat_map(stream::iter)
}

fn step(last: &mut Option<JobView>, job: &JobView) -> Vec<JobEvent> {
    let mut now = Vec::new();
    if last.as_ref() != Some(job) {
        if let Some(last) = last {
            now.extend(units(last, job));
            now.extend(audits(last, job));
        }
        now.push(JobEvent::Progress { job: Box::new(job.clone()) });
        *last = Some(job.clone());
    }
    if has_ended(job.state) {
        now.push(JobEvent::Done { job: Box::new(job.clone()) });
    }
    now
}

fn units(last: &JobView, job: &JobView) -> Option<JobEvent> {
    let (elements_done, elements) = job.elements_done.zip(job.elements)?;
    let units = job.shares.saturating_sub(last.shares);
    (units > 0).then_some(JobEvent::Unit { units, elements_done, elements })
}

fn audits(last: &JobView, job: &JobView) -> Option<JobEvent> {
    let (now, before) = (job.audits?, last.audits.unwrap_or_default());
    let (passed, voided) = (now.passed.saturating_sub(before.passed), now.voided.saturating_sub(before.voided));
    let elements_matured = job.elements_matured?;
    (passed + voided > 0).then_some(JobEvent::Audit { passed, voided, elements_matured })
}

fn has_ended(state: JobState) -> bool {
    matches!(state, JobState::Done | JobState::Cancelled | JobState::Expired | JobState::Quarantined)
}

fn encode(event: &JobEvent) -> Event {
    let name = match event {
        JobEvent::Progress { .. } => "progress",
        JobEvent::Unit { .. } => "unit",
        JobEvent::Audit { .. } => "audit",
        JobEvent::Done { .. } => "done",
    };
    let data = serde_json::to_string(event).expect("a job has string keys only");
    Event::default().event(name).data(data)
}
