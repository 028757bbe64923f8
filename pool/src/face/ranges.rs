//! Range jobs: quotes, submissions, files and pictures.

use std::sync::Arc;

use bytes::Bytes;
use lode_dashboard::port::{Idempotency, PortError, ResultFile, ResultOf, Submitted};
use lode_kinds::Kind;
use lode_protocol::api::{JobRequest, Quote};
use lode_protocol::ids::{JobId, SponsorName};
use lode_protocol::{RateCard, Work};

use super::jobs::idempotency_digest;
use super::{Face, record, refused, to_the_end};
use crate::blobs::Guest;
use crate::blobs::port::Downloading;
use crate::desk::files::room_needed;
use crate::desk::prepare::Ready;
use crate::desk::restore::{adopt_inputs, files_of};
use crate::jobs::book::OPEN_JOBS_MAX;
use crate::ledger::entry::{AUDIT_PARTS_MAX, Effort, Outcome, RangeTerms, Scheme, Shape};
use crate::ledger::fold::Job;
use crate::ledger::plan::{Command, Done, NewJob};

fn quote_of(face: &Face, request: &JobRequest, ready: &Ready) -> Quote {
    let kind = ready.kind.name();
    let work = Work(ready.cost.total());
    let runnable = face.shared.presence.has_kind(kind);
    let rate = face.stats.rate(Effort::Elements(kind), face.now());
    let eta = rate.map(|rate| u64::try_from(work.0 / rate.max(1)).unwrap_or(u64::MAX));
    Quote {
        kind: request.kind.clone(),
        algorithm: None,
        work,
        work_expected: work,
        price: request.budget,
        asset: request.asset.clone(),
        elements: Some(ready.cost.elements()),
        runnable,
        why_not: (!runnable).then(|| format!("no worker that does {kind} is connected")),
        eta_s: eta.filter(|_| runnable),
        fee_bps: face.config.fee_bps,
        notes: ready.prepared.notes.clone(),
    }
}

pub(super) async fn quote(
    face: &Face,
    sponsor: &SponsorName,
    kind: Kind,
    request: &JobRequest,
) -> Result<Quote, PortError> {
    let ready = face.desk.preparer.ready(sponsor, kind, &request.spec).await?;
    Ok(quote_of(face, request, &ready))
}

pub(super) async fn submit(
    face: &Face,
    sponsor: &SponsorName,
    kind: Kind,
    request: &JobRequest,
    idempotency: Option<&Idempotency>,
) -> Result<Submitted, PortError> {
    let ready = face.desk.preparer.ready(sponsor, kind, &request.spec).await?;
    if face.shared.hall.open_jobs() >= OPEN_JOBS_MAX {
        return Err(PortError::Busy(format!("{OPEN_JOBS_MAX} jobs are open already; try again when one has ended")));
    }
    let quote = quote_of(face, request, &ready);
    let needed = room_needed(ready.cost.elements(), ready.prepared.element_bytes);
    let room = match face.blobs.reserve(needed) {
        Ok(room) => room,
        // What opened before has its room.
        Err(free) => {
            let before = idempotency.and_then(|idempotency| opened_before(face, sponsor, idempotency));
            let Some(before) = before else { return Err(no_room(needed, free, face.blobs.most())) };
            return Ok(Submitted { job: face.view(&before), quote, created: false });
        }
    };
    let new = new_job(face, sponsor, request, &ready, idempotency).await?;
    match open(face, new, request, ready, room).await? {
        Done::Opened(id) => {
            tracing::info!(job = %id, %sponsor, kind = kind.name(), "job opened");
            Ok(Submitted { job: face.view(&face.record(id)?), quote, created: true })
        }
        Done::OpenedBefore(id) => Ok(Submitted { job: face.view(&face.record(id)?), quote, created: false }),
        _ => Err(PortError::Conflict("the job was not opened".into())),
    }
}

/// Keeps what the job is made of, and states its terms.
async fn new_job(
    face: &Face,
    sponsor: &SponsorName,
    request: &JobRequest,
    ready: &Arc<Ready>,
    idempotency: Option<&Idempotency>,
) -> Result<NewJob, PortError> {
    let (specs, spec, kept) = (face.specs.clone(), request.spec.clone(), ready.clone());
    let keep = move || Ok((specs.keep(&spec)?, specs.keep_sections(&kept.prepared.sections)?));
    let kept = tokio::task::spawn_blocking(keep).await.map_err(|error| PortError::Storage(error.to_string()))?;
    let (spec, prepared) = kept.map_err(|error: crate::specs::SpecError| {
        tracing::error!(%error, "a spec could not be kept");
        PortError::Storage("the pool's disk does not keep this spec; its log says why".into())
    })?;
    let small =
        |number: u64| u32::try_from(number).map_err(|_| PortError::TooLarge("an element's result is too large".into()));
    let range = RangeTerms {
        cost: ready.cost.clone(),
        policy: face.config.audit.policy(ready.prepared.audit_parts.clamp(1, AUDIT_PARTS_MAX)),
        element_bytes: small(ready.prepared.element_bytes)?,
        parts_per_element: ready.prepared.parts,
        prepared,
    };
    Ok(NewJob {
        sponsor: sponsor.clone(),
        name: request.name.clone(),
        kind: request.kind.clone(),
        spec,
        asset: request.asset.clone(),
        budget: request.budget.0,
        scheme: Scheme::Prop,
        fee_bps: face.config.fee_bps,
        rate_card: RateCard::CURRENT.version(),
        work_quoted: ready.cost.total(),
        shape: Shape::Range(range),
        deadline_ms: request.deadline_s * 1000,
        idempotency: idempotency.map(|idempotency| idempotency_digest(sponsor, idempotency)),
    })
}

fn no_room(needed: u64, free: u64, most: u64) -> PortError {
    PortError::Full(format!(
        "the results and the file of this job take up to {needed} bytes, and of the {most} that this pool keeps {free} \
         are neither taken nor kept for open jobs; submit it again when another job has ended, or ask for less"
    ))
}

/// The open job that this very request has opened.
fn opened_before(face: &Face, sponsor: &SponsorName, idempotency: &Idempotency) -> Option<Job> {
    let wanted = Some(idempotency_digest(sponsor, idempotency));
    let mut jobs = face.blobs.jobs().into_iter().filter_map(|id| face.record(id).ok());
    jobs.find(|job| job.terms.idempotency == wanted)
}

/// Opens a job; `room` is kept for it until the desk has it.
async fn open(
    face: &Face,
    new: NewJob,
    request: &JobRequest,
    ready: Arc<Ready>,
    room: Guest,
) -> Result<Done, PortError> {
    let (shared, desk, blobs, spec) =
        (face.shared.clone(), face.desk.clone(), face.blobs.clone(), request.spec.clone());
    to_the_end(async move {
        let done = shared.ledger.enter(Command::OpenJob(Box::new(new))).await.map_err(refused)?;
        let Done::Opened(id) = done else { return Ok(done) };
        let files = Arc::new(files_of(id, &ready, spec));
        let (kept, sections) = (blobs.clone(), files.sections.clone());
        let adopted = tokio::task::spawn_blocking(move || adopt_inputs(&kept, id, &sections)).await;
        let adopted = adopted.map_err(|error| PortError::Storage(error.to_string())).and_then(|kept| Ok(kept?));
        if let Err(error) = adopted {
            tracing::error!(job = %id, %error, "its inputs could not be kept; it is stopped and its escrow goes back");
            shared.ledger.enter(Command::End { job: id, outcome: Outcome::Quarantined }).await.map_err(refused)?;
            return Err(error);
        }
        desk.open(record(&shared, id)?, files).await;
        drop(room);
        // A cancellation that was quicker than the offer found no job in the hall.
        if let Some(at) = record(&shared, id)?.cancel_at {
            shared.hall.cancel_at(id, at).await;
        }
        Ok(done)
    })
    .await
}

/// The file of a completed job.
pub(super) async fn result(face: &Face, job: &Job) -> Result<ResultOf<Downloading>, PortError> {
    let id = job.terms.job;
    let Some(Outcome::Completed { result }) = job.closed.as_ref().map(|closed| closed.outcome) else {
        let state = face.view(job).state.name();
        return Err(PortError::Conflict(format!("job {id} is {state} and has no result")));
    };
    let digest = lode_protocol::Digest(result);
    let bytes = face.blobs.bytes(&digest)?;
    let finished = face.desk.finished(id).await?;
    let (name, media_type) = match finished.filter(|finished| finished.digest == digest) {
        Some(finished) => (finished.name, finished.media_type),
        // Its name was lost with the disk, its bytes were not.
        None => (id.to_string(), "application/octet-stream".to_owned()),
    };
    let reading = face.blobs.begin_reading(&digest, 0..bytes).await?;
    Ok(ResultOf::File(ResultFile { name, media_type, bytes, digest, reading }))
}

pub(super) async fn preview(face: &Face, sponsor: Option<&SponsorName>, id: JobId) -> Result<Option<Bytes>, PortError> {
    let job = face.record(id)?;
    if !face.config.public_previews && sponsor != Some(&job.terms.sponsor) {
        return Err(PortError::NotFound(format!("job {id} of yours")));
    }
    match job.terms.range() {
        Some(_) => face.desk.preview(id).await,
        None => Ok(None),
    }
}
