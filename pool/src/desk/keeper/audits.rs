//! Batches on their way from their closing to their verdict.

use std::collections::{HashMap, HashSet};

use lode_dashboard::metrics as names;
use lode_kinds::Kind;

use super::super::again_at;
use super::super::audit::Part;
use super::super::crew::CrewError;
use super::*;
use crate::ledger::batch::{Cause, Void};
use crate::ledger::draw::draw;
use crate::ledger::entry::{Millis, Outcome as Ending};
use crate::ledger::events::UnitInfo;

/// So many failures of one batch, and its job's files are read again.
const FAULTS_TO_RELOAD: u32 = 3;
/// So many, and its job cannot be checked.
const FAULTS_TO_LOSE: u32 = 10;

/// What a comparison of two results said of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::desk) enum Judgement {
    /// It is being looked at.
    Pending,
    /// It is right where they differ.
    Right,
    /// It is wrong there.
    Wrong(Difference),
}

/// A result by its job and place.
type Disputed = (JobId, Claim);

/// What is known of batches without a verdict.
#[derive(Debug, Default)]
pub(super) struct Audits {
    /// Not looked at yet, oldest first.
    waiting: VecDeque<BatchInfo>,
    /// Being recomputed.
    running: HashSet<u64>,
    /// Those that this pool failed on, and when they are tried again.
    later: Vec<(Millis, BatchInfo)>,
    /// How often this pool failed on a batch, by its number.
    faults: HashMap<u64, u32>,
    /// Decided, and not yet in the ledger.
    decided: BTreeMap<u64, (BatchInfo, Command)>,
    /// How many of each secret have no verdict.
    secrets: HashMap<u64, u64>,
    /// Results that differ from another of the same elements.
    disputes: HashMap<Disputed, Judgement>,
}

/// The claims of a batch.
fn claims(batch: &BatchInfo) -> impl Iterator<Item = Claim> + '_ {
    batch.units.iter().map(|&(first, count, digest)| Claim { first, count: u64::from(count), digest })
}

impl Audits {
    /// A batch is without a verdict.
    pub(super) fn add(&mut self, batch: BatchInfo) {
        *self.secrets.entry(batch.secret).or_default() += 1;
        self.waiting.push_back(batch);
        self.tell();
    }

    /// A batch has its verdict.
    pub(super) fn resolved(&mut self, number: u64) {
        self.faults.remove(&number);
        let waiting = self.waiting.iter().position(|batch| batch.batch == number);
        let later = self.later.iter().position(|(_, batch)| batch.batch == number);
        let found = match (self.decided.remove(&number), waiting, later) {
            (Some((batch, _)), ..) => Some(batch),
            (None, Some(at), _) => self.waiting.remove(at),
            (None, None, Some(at)) => Some(self.later.remove(at).1),
            (None, None, None) => None,
        };
        let Some(batch) = found else { return };
        if let Some(count) = self.secrets.get_mut(&batch.secret) {
            *count -= 1;
            if *count == 0 {
                self.secrets.remove(&batch.secret);
            }
        }
        for claim in claims(&batch) {
            self.disputes.remove(&(batch.job, claim));
        }
        self.tell();
    }

    /// Whether a batch of this job has no verdict.
    pub(super) fn has(&self, job: JobId) -> bool {
        let late = self.later.iter().map(|(_, batch)| batch);
        let decided = self.decided.values().map(|(batch, _)| batch);
        self.waiting.iter().chain(late).chain(decided).any(|batch| batch.job == job)
    }

    /// Whether a batch under this secret has no verdict.
    pub(super) fn uses(&self, secret: u64) -> bool {
        self.secrets.contains_key(&secret)
    }

    /// The batches of a job that has ended are not looked at any more.
    pub(super) fn forget(&mut self, job: JobId) {
        let of_job = |batch: &BatchInfo| batch.job == job;
        let waiting = self.waiting.iter().filter(|batch| of_job(batch)).map(|batch| batch.batch);
        let later = self.later.iter().map(|(_, batch)| batch).filter(|batch| of_job(batch)).map(|batch| batch.batch);
        let decided =
            self.decided.values().map(|(batch, _)| batch).filter(|batch| of_job(batch)).map(|batch| batch.batch);
        let gone: Vec<u64> = waiting.chain(later).chain(decided).collect();
        for number in gone {
            self.resolved(number);
        }
        self.disputes.retain(|(of, _), _| *of != job);
    }

    /// Takes up again what this pool failed on.
    pub(super) fn take_up_again(&mut self, now: Millis) {
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        self.waiting.extend(Vec::into_iter(due).map(|(_, batch)| batch));
    }

    #[expect(clippy::cast_precision_loss, reason = "a gauge for people")]
    fn tell(&self) {
        let open: u64 = self.secrets.values().sum();
        metrics::gauge!(names::AUDIT_QUEUE).set(open as f64);
    }
}

/// The command that voids a batch by a difference.
fn void(batch: u64, difference: &Difference, cause: Cause) -> Command {
    let Difference { claim, part: Part { element, part }, expected, found } = *difference;
    let count = u32::try_from(claim.count).expect("a unit of the ledger's has a count of 32 bits");
    Command::Void { batch, void: Void { first: claim.first, count, element, part, expected, found, cause } }
}

impl Keeper {
    pub(super) fn batch_closed(&mut self, batch: BatchInfo) {
        if let Some(open) = self.jobs.get_mut(&batch.job) {
            open.gathering.remove(&batch.key);
        }
        self.audits.add(batch);
    }

    /// Has as many batches recomputed as there are threads to do it.
    pub(super) fn audit_next(&mut self) {
        let mut at = 0;
        while self.audits.running.len() < half_the_cores() && at < self.audits.waiting.len() {
            let batch = &self.audits.waiting[at];
            let files = self.jobs.get(&batch.job).and_then(Open::files);
            let disputes = claims(batch).filter_map(|claim| self.audits.disputes.get(&(batch.job, claim)));
            let disputes: Vec<Judgement> = disputes.copied().collect();
            let Some(files) = files.filter(|_| !disputes.contains(&Judgement::Pending)) else {
                at += 1;
                continue;
            };
            let batch = self.audits.waiting.remove(at).expect("it is within the queue");
            let wrong = disputes
                .iter()
                .find_map(|judged| if let Judgement::Wrong(found) = judged { Some(*found) } else { None });
            match wrong {
                Some(difference) => self.decide(batch, Some((difference, Cause::Mismatch))),
                None => self.recompute(batch, files),
            }
        }
        self.resolve();
    }

    fn recompute(&mut self, batch: BatchInfo, files: Arc<JobFiles>) {
        let open = &self.jobs[&batch.job];
        let secret = self.rotation.of(batch.secret);
        let places: Vec<(u64, u32)> = batch.units.iter().map(|&(first, count, _)| (first, count)).collect();
        let terms = open.record.terms.range().expect("what is open here is a range job");
        let picks = draw(&secret, &batch.root, &places, batch.all, terms);
        let claims: Vec<Claim> = claims(&batch).collect();
        let picks: Vec<(Claim, Part)> = picks
            .into_iter()
            .map(|pick| (claims[pick.unit], Part { element: pick.element, part: pick.part }))
            .collect();
        let auditor = self.auditor.clone();
        let computed = self.checkers.hand(move || auditor.first_difference(&files, picks));
        self.audits.running.insert(batch.batch);
        self.comes_back(computed, |found| Outcome::Audited(Box::new(batch), found));
    }

    pub(super) async fn audited(
        &mut self,
        batch: BatchInfo,
        found: Result<Result<Option<Difference>, FileFault>, CrewError>,
    ) {
        self.audits.running.remove(&batch.batch);
        if !self.jobs.contains_key(&batch.job) {
            // The job was stopped meanwhile, and its batches dropped. Its count goes as that of one that waits.
            self.audits.waiting.push_back(batch.clone());
            self.audits.resolved(batch.batch);
            return;
        }
        let fault = match found {
            Ok(Ok(Some(difference))) => return self.decide(batch, Some((difference, Cause::Drawn))),
            Ok(Ok(None)) => {
                let disputed = claims(&batch).any(|claim| self.audits.disputes.contains_key(&(batch.job, claim)));
                // A dispute that came up meanwhile is decided first.
                return if disputed { self.audits.waiting.push_back(batch) } else { self.decide(batch, None) };
            }
            Ok(Err(fault)) => fault.to_string(),
            Err(error) => error.to_string(),
        };
        count(self.kind_of(batch.job), "failed");
        tracing::error!(job = %batch.job, batch = batch.batch, fault, "a batch could not be audited; it is tried again");
        let (job, number) = (batch.job, batch.batch);
        self.audits.later.push((again_at(self.clock.now()), batch));
        self.failed(job, number, &fault).await;
    }

    /// A batch could not be audited, once more.
    async fn failed(&mut self, job: JobId, number: u64, fault: &str) {
        let faults = self.audits.faults.entry(number).or_default();
        *faults = faults.saturating_add(1);
        let faults = *faults;
        let Some(open) = self.jobs.get(&job) else { return };
        let is_quarantined = open.record.ending == Some(Ending::Quarantined);
        if faults >= FAULTS_TO_RELOAD && is_quarantined {
            self.quarantine(job);
        } else if faults >= FAULTS_TO_LOSE {
            self.lose(job, fault).await;
        } else if faults == FAULTS_TO_RELOAD {
            self.reload_files(open);
        }
    }

    fn kind_of(&self, job: JobId) -> &'static str {
        self.jobs.get(&job).and_then(Open::files).map_or("unknown", |files| files.kind.name())
    }

    fn decide(&mut self, batch: BatchInfo, wrong: Option<(Difference, Cause)>) {
        count(self.kind_of(batch.job), if wrong.is_some() { "void" } else { "clean" });
        let command = match &wrong {
            None => Command::Mature { batch: batch.batch },
            Some((difference, cause)) => {
                let Part { element, part } = difference.part;
                tracing::warn!(job = %batch.job, batch = batch.batch, element, part, ?cause, "a result is wrong; its batch is void");
                void(batch.batch, difference, *cause)
            }
        };
        self.audits.decided.insert(batch.batch, (batch, command));
    }

    /// Enters what was decided.
    pub(super) fn resolve(&mut self) {
        let decided: Vec<(u64, Command)> =
            self.audits.decided.iter().map(|(number, (_, command))| (*number, command.clone())).collect();
        for (number, command) in decided {
            self.ask(Ask::Resolve(number), command);
        }
    }

    /// A result of elements that another has done too: where they differ, both are held against this pool's own.
    pub(super) fn compare_with_done(&mut self, job: JobId, second: Claim) {
        let Some(open) = self.jobs.get(&job) else { return };
        let Some(first) = open.done.get(&second.first).copied().filter(|first| first.count == second.count) else {
            return;
        };
        let Some(files) = open.files().filter(|_| first.digest != second.digest) else { return };
        tracing::warn!(%job, first = second.first, count = second.count, "two results of the same elements differ");
        for claim in [first, second] {
            self.audits.disputes.entry((job, claim)).or_insert(Judgement::Pending);
        }
        let auditor = self.auditor.clone();
        let judged = self.makers.hand(move || judge(&auditor, &files, [first, second]));
        self.comes_back(judged, move |judged| {
            let judged = judged.map_err(|error| error.to_string());
            let judged = judged.and_then(|judged| judged.map_err(|fault| fault.to_string())).unwrap_or_else(|fault| {
                // Neither is held up for it: their batches are drawn from as any.
                tracing::error!(%job, fault, "two results that differ could not be judged");
                [first, second].map(|claim| (claim, Judgement::Right)).into()
            });
            Outcome::Compared(job, judged)
        });
    }

    /// After a restart: holds all that is without a verdict against what else was delivered of the same elements.
    pub(super) fn compare_all(&mut self, job: JobId) {
        let Some(open) = self.jobs.get(&job) else { return };
        let gathering = open.gathering.values().flat_map(|gathering| gathering.claims.iter().copied());
        let waiting = self.audits.waiting.iter().filter(|batch| batch.job == job).flat_map(claims);
        let all: Vec<Claim> = gathering.chain(waiting).collect();
        for claim in all {
            self.compare_with_done(job, claim);
        }
    }

    pub(super) fn compared(&mut self, job: JobId, judged: Vec<(Claim, Judgement)>) {
        for (claim, judgement) in judged {
            match judgement {
                Judgement::Wrong(_) => {
                    self.audits.disputes.insert((job, claim), judgement);
                    self.close_batch_of(job, &claim);
                }
                Judgement::Pending | Judgement::Right => drop(self.audits.disputes.remove(&(job, claim))),
            }
        }
    }
}

/// Holds two results against this pool's own at the first part where they differ.
fn judge(auditor: &Auditor, files: &JobFiles, two: [Claim; 2]) -> Result<Vec<(Claim, Judgement)>, FileFault> {
    let part = auditor.where_two_differ(files, &two[0], &two[1])?;
    let judge = |claim: Claim| {
        let found = part.map_or(Ok(None), |part| auditor.compare(files, &claim, part))?;
        Ok((claim, found.map_or(Judgement::Right, Judgement::Wrong)))
    };
    two.into_iter().map(judge).collect()
}

/// A unit's result.
pub(super) fn claim_of(unit: &UnitInfo) -> Claim {
    Claim { first: unit.first, count: u64::from(unit.count), digest: unit.digest }
}

fn count(kind: &'static str, outcome: &'static str) {
    debug_assert!(kind == "unknown" || kind.parse::<Kind>().is_ok());
    metrics::counter!(names::AUDITS, "kind" => kind, "outcome" => outcome).increment(1);
}
