//! Jobs: quotes, submissions, cancellations, results.

use lode_dashboard::port::{Idempotency, PortError, ResultOf, Submitted};
use lode_kinds::{Kind, Shape as KindShape, UnknownKind};
use lode_protocol::api::{FieldError, HashRules, HashSpec, JobRequest, JobView, Page, PageQuery, Quote};
use lode_protocol::ids::{JobId, SponsorName};
use lode_protocol::{Algorithm, RateCard};

use super::{Face, number_cursor, page_of, ranges, record, refused, store_down, to_the_end};
use crate::blobs::port::Downloading;
use crate::jobs::book::OPEN_JOBS_MAX;
use crate::jobs::search::Search;
use crate::ledger::entry::{Effort, IdempotencyDigest, Scheme, Shape};
use crate::ledger::plan::{Command, Done, NewJob};
use crate::share::header_of_proof;
use crate::views;

pub(super) fn list(face: &Face, page: &PageQuery) -> Result<Page<JobView>, PortError> {
    let before = JobId(number_cursor(page, u64::MAX)?);
    let jobs = face.store().jobs_before(before, page.rows() + 1).map_err(|error| store_down(&error))?;
    Ok(page_of(jobs.iter().map(|job| face.view(job)).collect(), page.rows(), |job| job.id.0))
}

/// The kind of a request.
fn kind_of(request: &JobRequest) -> Result<Kind, PortError> {
    request.kind.parse().map_err(|error: UnknownKind| {
        PortError::Fields(vec![FieldError { field: "kind".into(), detail: error.to_string() }])
    })
}

pub(super) async fn quote(face: &Face, sponsor: &SponsorName, request: &JobRequest) -> Result<Quote, PortError> {
    let kind = kind_of(request)?;
    match kind.shape() {
        KindShape::Search => Ok(quote_of(face, request, &spec_of(face, request)?)),
        KindShape::Range => ranges::quote(face, sponsor, kind, request).await,
    }
}

pub(super) async fn submit(
    face: &Face,
    sponsor: &SponsorName,
    request: JobRequest,
    idempotency: Option<Idempotency>,
) -> Result<Submitted, PortError> {
    let kind = kind_of(&request)?;
    if kind.shape() == KindShape::Range {
        return ranges::submit(face, sponsor, kind, &request, idempotency.as_ref()).await;
    }
    let spec = spec_of(face, &request)?;
    if face.shared.book.open_jobs() >= OPEN_JOBS_MAX {
        return Err(PortError::Busy(format!("{OPEN_JOBS_MAX} jobs are open already; try again when one has ended")));
    }
    let quote = quote_of(face, &request, &spec);
    match open(face, sponsor, &request, spec, idempotency.as_ref()).await? {
        Done::Opened(id) => {
            tracing::info!(job = %id, %sponsor, "job opened");
            Ok(Submitted { job: face.view(&face.record(id)?), quote, created: true })
        }
        Done::OpenedBefore(id) => Ok(Submitted { job: face.view(&face.record(id)?), quote, created: false }),
        _ => Err(PortError::Conflict("the job was not opened".into())),
    }
}

pub(super) async fn cancel(face: &Face, sponsor: &SponsorName, id: JobId) -> Result<JobView, PortError> {
    let notice_ms = u64::try_from(face.config.cancel_notice.as_millis()).unwrap_or(u64::MAX);
    let command = Command::RequestCancel { job: id, sponsor: sponsor.clone(), notice_ms };
    let shared = face.shared.clone();
    let job = to_the_end(async move {
        shared.ledger.enter(command).await.map_err(refused)?;
        let job = record(&shared, id)?;
        match (job.cancel_at, job.terms.range()) {
            (Some(at), None) => shared.book.cancel_at(id, at).await,
            (Some(at), Some(_)) => shared.hall.cancel_at(id, at).await,
            (None, _) => {}
        }
        Ok(job)
    });
    Ok(face.view(&job.await?))
}

pub(super) async fn result(face: &Face, sponsor: &SponsorName, id: JobId) -> Result<ResultOf<Downloading>, PortError> {
    let job = face.own_record(sponsor, id)?;
    if job.terms.range().is_some() {
        return ranges::result(face, &job).await;
    }
    let Some(solution) = &job.solution else {
        let state = face.view(&job).state.name();
        return Err(PortError::Conflict(format!("job {id} is {state} and has no solution")));
    };
    let spec = face.specs.hash_spec(&job.terms).map_err(|error| PortError::LedgerDown(error.to_string()))?;
    Ok(ResultOf::Found(views::result(spec.rate.algorithm(), &header_of_proof(&spec, &solution.proof), solution)))
}

fn quote_of(face: &Face, request: &JobRequest, spec: &HashSpec) -> Quote {
    let algorithm = spec.rate.algorithm();
    let runnable = face.shared.presence.has(algorithm);
    let rate = face.stats.rate(Effort::Hashes(algorithm), face.now());
    let expected = spec.work_expected();
    let eta = rate.map(|rate| u64::try_from(expected.0 / rate.max(1)).unwrap_or(u64::MAX));
    Quote {
        kind: request.kind.clone(),
        algorithm: Some(algorithm),
        work: spec.work_quoted(),
        work_expected: expected,
        price: request.budget,
        asset: request.asset.clone(),
        elements: None,
        runnable,
        why_not: (!runnable).then(|| format!("no {algorithm} worker is connected")),
        eta_s: eta.filter(|_| runnable),
        fee_bps: face.config.fee_bps,
        notes: Vec::new(),
    }
}

fn spec_of(face: &Face, request: &JobRequest) -> Result<HashSpec, PortError> {
    let algorithms: Vec<Algorithm> = face.listeners.iter().map(|listener| listener.algorithm).collect();
    let extranonce_bytes = face.extranonce_bytes();
    let rules = HashRules { extranonce_bytes, algorithms: &algorithms, rate_card: RateCard::CURRENT };
    HashSpec::from_json(request.spec.clone(), &rules).map_err(PortError::Fields)
}

/// Keeps the spec with its extranonce size written out, so that it reads by itself later.
async fn keep_spec(face: &Face, request: &JobRequest) -> Result<[u8; 32], PortError> {
    let mut spec = request.spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.insert("extranonce_bytes".into(), face.extranonce_bytes().into());
    }
    let specs = face.specs.clone();
    let kept = tokio::task::spawn_blocking(move || specs.keep(&spec)).await;
    match kept {
        Ok(Ok(digest)) => Ok(digest),
        Ok(Err(error)) => Err(PortError::LedgerDown(error.to_string())),
        Err(error) => Err(PortError::LedgerDown(error.to_string())),
    }
}

async fn open(
    face: &Face,
    sponsor: &SponsorName,
    request: &JobRequest,
    spec: HashSpec,
    idempotency: Option<&Idempotency>,
) -> Result<Done, PortError> {
    let new = NewJob {
        sponsor: sponsor.clone(),
        name: request.name.clone(),
        kind: request.kind.clone(),
        spec: keep_spec(face, request).await?,
        asset: request.asset.clone(),
        budget: request.budget.0,
        scheme: Scheme::Prop,
        fee_bps: face.config.fee_bps,
        rate_card: RateCard::CURRENT.version(),
        work_quoted: spec.work_quoted().0,
        shape: Shape::Search { algorithm: spec.rate.algorithm(), work_expected: spec.work_expected().0 },
        deadline_ms: request.deadline_s * 1000,
        idempotency: idempotency.map(|idempotency| idempotency_digest(sponsor, idempotency)),
    };
    let (shared, serial, filler) = (face.shared.clone(), face.next_serial(), face.is_filler(sponsor));
    to_the_end(async move {
        let done = shared.ledger.enter(Command::OpenJob(Box::new(new))).await.map_err(refused)?;
        if let Done::Opened(id) = done {
            let opened = record(&shared, id)?;
            shared.book.open(Search::new(&opened, spec, serial, filler)).await;
            // A cancellation that was quicker than the offer found no job in the book.
            if let Some(at) = record(&shared, id)?.cancel_at {
                shared.book.cancel_at(id, at).await;
            }
        }
        Ok(done)
    })
    .await
}

pub(super) fn idempotency_digest(sponsor: &SponsorName, idempotency: &Idempotency) -> IdempotencyDigest {
    let mut hasher = blake3::Hasher::new_derive_key("lode ledger idempotency v1");
    hasher.update(sponsor.as_str().as_bytes()).update(b"\n").update(idempotency.key.as_bytes());
    let key = *hasher.finalize().as_bytes().first_chunk().expect("32 bytes have 16");
    IdempotencyDigest { key, body: idempotency.body }
}
