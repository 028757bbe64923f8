//! From a sponsor's spec and blobs to a job that can be issued: sections, their inputs, and what each element is worth.
//!
//! The pool does it once for a quote and the submission after it: what was prepared is remembered for a while, and what
//! was made of the sponsor's blobs is kept meanwhile as a guest's.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lode_dashboard::port::PortError;
use lode_kinds::Kind;
use lode_kinds::range::{self, PrepareError, Prepared};
use lode_protocol::api::FieldError;
use lode_protocol::ids::{JobId, SponsorName};
use lode_protocol::{Digest, RateCard, Work};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::crew::{Crew, CrewError, half_the_cores};
use super::files::room_needed;
use crate::blobs::{BlobError, Blobs, Guest, Owner};
use crate::clock::Clock;
use crate::jobs::range::RangeJob;
use crate::ledger::cost::CostMap;
use crate::ledger::entry::Millis;

/// Jobs that may wait for their preparation.
const WAITING_MAX: usize = 16;
/// Jobs that are remembered between quote and submission.
const READY_MAX: usize = 4;
/// How long they are.
const READY_MS: Millis = 10 * 60 * 1000;
/// A job that can be issued.
#[derive(Debug)]
pub struct Ready {
    /// Its kind.
    pub kind: Kind,
    /// Its sections and what they take.
    pub prepared: Prepared,
    /// What its elements are worth.
    pub cost: Arc<CostMap>,
    /// Keeps what was made for it until it is a job's.
    _guest: Guest,
}

/// The sponsor, the kind, and the digest of the spec's canonical JSON.
type Key = (SponsorName, Kind, [u8; 32]);

#[derive(Debug)]
struct Remembered {
    key: Key,
    at: Millis,
    ready: Arc<OnceCell<Arc<Ready>>>,
}

/// Prepares jobs; clones share it.
#[derive(Debug, Clone)]
pub struct Preparer {
    crew: Crew,
    blobs: Blobs,
    clock: Clock,
    /// The newest last; held for a few lines that never wait.
    remembered: Arc<Mutex<VecDeque<Remembered>>>,
}

/// A sponsor's blobs, and a guest's for what is made of them.
struct SponsorStore {
    blobs: Blobs,
    sponsor: Owner,
    guest: Owner,
    /// The store's first failure, whose kind the text does not tell.
    fault: Option<BlobError>,
}

impl SponsorStore {
    fn failed(&mut self, error: BlobError) -> String {
        let text = error.to_string();
        self.fault.get_or_insert(error);
        text
    }
}

impl range::Store for SponsorStore {
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        let digest = Digest(*digest);
        if !self.blobs.owns(&self.sponsor, &digest) {
            return Ok(None);
        }
        match self.blobs.load(&digest) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        match self.blobs.put(&self.guest, &bytes) {
            Ok(stored) => Ok(stored.digest.0),
            Err(error) => Err(self.failed(error)),
        }
    }
}

fn wrong(field: &str, detail: String) -> PortError {
    PortError::Fields(vec![FieldError { field: field.into(), detail }])
}

/// What the elements are worth by the card that jobs open under now.
fn cost_of(kind: Kind, prepared: &Prepared) -> Result<CostMap, PortError> {
    let pilot = &prepared.pilot;
    let rate = |counts: &Vec<u64>| {
        let Work(work) = RateCard::CURRENT.work_of(kind.name(), counts)?;
        u64::try_from(work).ok()
    };
    let table: Option<Vec<u64>> = pilot.counts.iter().map(rate).collect();
    let table = table.ok_or_else(|| wrong("kind", format!("the work of {kind} cannot be counted here")))?;
    let elements = prepared.sections.iter().map(|section| section.elements).sum();
    CostMap::new(elements, pilot.section, pilot.period, pilot.run, table)
        .map_err(|error| wrong("spec", error.to_string()))
}

/// Whether its elements can be told to a worker and its results taken.
fn check(kind: Kind, prepared: &Prepared, cost: &Arc<CostMap>) -> Result<(), PortError> {
    let offer = RangeJob {
        job: JobId(u64::MAX),
        kind: kind.name().into(),
        sections: prepared.sections.clone().into(),
        cost: cost.clone(),
        element_bytes: prepared.element_bytes,
        asset: "C".parse().expect("a letter is a name"),
        price: 1.0,
        deadline_at: Millis::MAX,
        cancel_at: None,
        done: Vec::new(),
    };
    offer.fault().map_or(Ok(()), |fault| Err(wrong("spec", fault)))
}

fn prepare(blobs: &Blobs, sponsor: &SponsorName, kind: Kind, spec: &Value) -> Result<Ready, PortError> {
    let guest = blobs.guest_of(sponsor);
    let sponsor = Owner::Sponsor(sponsor.clone());
    let mut store = SponsorStore { blobs: blobs.clone(), sponsor, guest: guest.owner(), fault: None };
    let prepared = range::prepare(kind, spec, &mut store).map_err(|error| match error {
        PrepareError::Fields(fields) => PortError::Fields(
            fields.into_iter().map(|fault| FieldError { field: fault.field, detail: fault.detail }).collect(),
        ),
        PrepareError::Store(text) => store.fault.take().map_or(PortError::Storage(text), PortError::from),
    })?;
    let cost = Arc::new(cost_of(kind, &prepared)?);
    check(kind, &prepared, &cost)?;
    let (needed, most) = (room_needed(cost.elements(), prepared.element_bytes), blobs.most());
    if needed > most {
        return Err(wrong(
            "spec",
            format!(
                "its results and its file take up to {needed} bytes where this pool keeps at most {most} of all jobs; \
                 fewer pixels or frames take less"
            ),
        ));
    }
    Ok(Ready { kind, prepared, cost, _guest: guest })
}

impl Preparer {
    /// Starts its threads.
    #[must_use]
    pub fn start(blobs: Blobs, clock: Clock) -> Preparer {
        let crew = Crew::start("prepare", half_the_cores(), WAITING_MAX);
        Preparer { crew, blobs, clock, remembered: Arc::default() }
    }

    fn remembered(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what was prepared too long ago, and what was made for it.
    pub(super) fn purge(&self) {
        let now = self.clock.now();
        self.remembered().retain(|entry| now.saturating_sub(entry.at) < READY_MS);
    }

    /// The place of a job among those remembered, where it may have to be prepared yet.
    fn place(&self, key: Key) -> Arc<OnceCell<Arc<Ready>>> {
        self.purge();
        let now = self.clock.now();
        let mut remembered = self.remembered();
        if let Some(entry) = remembered.iter().find(|entry| entry.key == key) {
            return entry.ready.clone();
        }
        if remembered.len() >= READY_MAX {
            remembered.pop_front();
        }
        let ready = Arc::default();
        remembered.push_back(Remembered { key, at: now, ready: Arc::clone(&ready) });
        ready
    }

    /// Prepares a job of this sponsor's, or finds that it is prepared.
    ///
    /// # Errors
    /// The spec has wrong fields, too much waits, or what is needed cannot be read or kept.
    pub async fn ready(&self, sponsor: &SponsorName, kind: Kind, spec: &Value) -> Result<Arc<Ready>, PortError> {
        let digest = *blake3::hash(spec.to_string().as_bytes()).as_bytes();
        let place = self.place((sponsor.clone(), kind, digest));
        let ready = place.get_or_try_init(|| async {
            let (blobs, sponsor, spec) = (self.blobs.clone(), sponsor.clone(), spec.clone());
            let made = self.crew.run(move || prepare(&blobs, &sponsor, kind, &spec)).await;
            made.map_err(|error| match error {
                CrewError::Full => PortError::Busy("the pool prepares as many jobs as it can; try again soon".into()),
                CrewError::Panicked => PortError::Storage("the pool failed on this spec; its log says why".into()),
            })?
            .map(Arc::new)
        });
        ready.await.cloned()
    }
}
