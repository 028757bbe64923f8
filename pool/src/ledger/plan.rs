//! From a command to the entries that carry it out, or to a refusal. Pure: the state, the command
//! and the time decide.

use lode_protocol::api::{Amount, DepositRequest};
use lode_protocol::ids::{AssetName, JobId, SponsorName};

use super::entry::{Entry, IdempotencyDigest, Millis, Outcome, Scheme, Terms};
use super::fold::{Broken, State};
use crate::share::Credit;

/// What a job opens with; the ledger adds its number and the time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Who pays.
    pub sponsor: SponsorName,
    /// What people see.
    pub name: String,
    /// Kind of work.
    pub kind: String,
    /// Digest of the spec.
    pub spec: [u8; 32],
    /// What the budget is counted in.
    pub asset: AssetName,
    /// What goes into escrow.
    pub budget: u128,
    /// How the pot is divided.
    pub scheme: Scheme,
    /// The pool's fee.
    pub fee_bps: u16,
    /// Version of the rate card.
    pub rate_card: u32,
    /// Work that the budget buys.
    pub work_quoted: u128,
    /// Work until a solution, on average.
    pub work_expected: u128,
    /// How long it may stay open.
    pub deadline_ms: u64,
    /// What makes a repeated submission harmless.
    pub idempotency: Option<IdempotencyDigest>,
}

/// Something to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Credit a share.
    Share(Credit),
    /// A new sponsor.
    CreateSponsor(SponsorName),
    /// Money for a sponsor.
    Deposit(DepositRequest),
    /// A new job.
    OpenJob(Box<NewJob>),
    /// A sponsor wants the end of its job.
    RequestCancel {
        /// Which.
        job: JobId,
        /// Who asks.
        sponsor: SponsorName,
        /// How long until it takes effect.
        notice_ms: u64,
    },
    /// A job's time has come.
    Close {
        /// Which.
        job: JobId,
        /// Why; never `Solved` or `Exhausted`, which come with a share.
        outcome: Outcome,
    },
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// The entries are on disk.
    Entered,
    /// The job is open, with this number.
    Opened(JobId),
    /// It was done before; nothing was added.
    Repeated,
    /// The idempotency key had opened this job before; nothing was added.
    OpenedBefore(JobId),
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The share's job is over or unknown.
    #[error("the job is over or unknown")]
    Stale,
    /// The share's header was credited before.
    #[error("the share was credited before")]
    Duplicate,
    /// There is a sponsor of this name.
    #[error("there is a sponsor {0} already")]
    SponsorExists(SponsorName),
    /// There is no such sponsor.
    #[error("there is no sponsor {0}")]
    NoSponsor(SponsorName),
    /// There is no such job of this sponsor.
    #[error("there is no job {0}")]
    NoJob(JobId),
    /// The balance does not cover the budget.
    #[error("the balance is {balance} {asset} and the job needs {needed}")]
    Short {
        /// Free balance.
        balance: Amount,
        /// Budget.
        needed: Amount,
        /// In which asset.
        asset: AssetName,
    },
    /// The idempotency key came with another body before.
    #[error("this idempotency key opened {0} with another body")]
    KeyReused(JobId),
    /// The job is closed.
    #[error("{0} is closed")]
    Closed(JobId),
    /// The reference was counted for another amount or asset.
    #[error("a sum would pass 128 bits")]
    TooMuch,
}

/// The entries that carry out `command` at `now`. The terms may require more entries after the
/// last of them ([`State::due`]).
pub(super) fn plan(state: &State, command: &Command, now: Millis) -> Result<(Vec<Entry>, Done), Refusal> {
    match command {
        Command::Share(credit) => share(state, credit, now).map(|entries| (entries, Done::Entered)),
        Command::CreateSponsor(sponsor) => {
            if state.sponsors.contains_key(sponsor) {
                return Err(Refusal::SponsorExists(sponsor.clone()));
            }
            Ok((vec![Entry::SponsorCreated { sponsor: sponsor.clone(), at: now }], Done::Entered))
        }
        Command::Deposit(deposit) => plan_deposit(state, deposit, now),
        Command::OpenJob(new) => open_job(state, new, now),
        Command::RequestCancel { job, sponsor, notice_ms } => request_cancel(state, *job, sponsor, *notice_ms, now),
        Command::Close { job, outcome } => match open(state, *job) {
            Ok(()) => Ok((vec![Entry::JobClosed { job: *job, outcome: *outcome, at: now }], Done::Entered)),
            // A share closed it first.
            Err(Refusal::Closed(_)) => Ok((Vec::new(), Done::Repeated)),
            Err(refusal) => Err(refusal),
        },
    }
}

fn open(state: &State, job: JobId) -> Result<(), Refusal> {
    match state.open_job(job) {
        Ok(_) => Ok(()),
        Err(Broken::Unknown(_)) => Err(Refusal::NoJob(job)),
        Err(_) => Err(Refusal::Closed(job)),
    }
}

fn share(state: &State, credit: &Credit, now: Millis) -> Result<Vec<Entry>, Refusal> {
    let job = credit.job();
    let open = state.open_job(job).map_err(|_| Refusal::Stale)?;
    if open.seen.contains(&credit.hash().to_be_bytes()) {
        return Err(Refusal::Duplicate);
    }
    let mut entries = Vec::with_capacity(3);
    let worker = state.worker_number(credit.user()).unwrap_or_else(|| {
        let index = u32::try_from(state.workers.len()).expect("fewer than 2^32 rigs were ever seen");
        entries.push(Entry::WorkerSeen { index, user: credit.user().clone() });
        index
    });
    let work = credit.work().0;
    let (hash, proof) = (*credit.hash(), credit.proof().clone());
    entries.push(Entry::Share { job, worker, work, at: now, hash, proof });
    if credit.solves() {
        entries.push(Entry::JobClosed { job, outcome: Outcome::Solved, at: now });
    } else if open.work.saturating_add(work) >= open.terms.work_quoted {
        entries.push(Entry::JobClosed { job, outcome: Outcome::Exhausted, at: now });
    }
    Ok(entries)
}

fn plan_deposit(state: &State, deposit: &DepositRequest, now: Millis) -> Result<(Vec<Entry>, Done), Refusal> {
    let DepositRequest { sponsor, asset, amount, reference } = deposit.clone();
    if !state.sponsors.contains_key(&sponsor) {
        return Err(Refusal::NoSponsor(sponsor));
    }
    if state.has_deposit(&sponsor, &reference) {
        return Ok((Vec::new(), Done::Repeated));
    }
    let total = state.assets.get(&asset).map_or(0, |totals| totals.deposited);
    // Half the range, so that no sum of two such can overflow anywhere.
    if total.checked_add(amount.0).is_none_or(|sum| sum > u128::MAX / 2) {
        return Err(Refusal::TooMuch);
    }
    Ok((vec![Entry::Deposit { sponsor, asset, amount: amount.0, reference, at: now }], Done::Entered))
}

fn open_job(state: &State, new: &NewJob, now: Millis) -> Result<(Vec<Entry>, Done), Refusal> {
    if let Some(IdempotencyDigest { key, body }) = new.idempotency
        && let Some((job, first_body)) = state.job_of_idempotency(&key)
    {
        return if first_body == body {
            Ok((Vec::new(), Done::OpenedBefore(job)))
        } else {
            Err(Refusal::KeyReused(job))
        };
    }
    let sponsor = state.sponsors.get(&new.sponsor).ok_or_else(|| Refusal::NoSponsor(new.sponsor.clone()))?;
    let balance = sponsor.assets.get(&new.asset).map_or(0, |money| money.balance);
    if balance < new.budget {
        let (balance, needed) = (Amount(balance), Amount(new.budget));
        return Err(Refusal::Short { balance, needed, asset: new.asset.clone() });
    }
    let job = state.next_job();
    let (sponsor, asset, amount) = (new.sponsor.clone(), new.asset.clone(), new.budget);
    let escrow = Entry::Escrow { job, sponsor, asset, amount };
    Ok((vec![escrow, Entry::JobOpened(Box::new(terms(job, new, now)))], Done::Opened(job)))
}

fn terms(job: JobId, new: &NewJob, now: Millis) -> Terms {
    Terms {
        job,
        sponsor: new.sponsor.clone(),
        name: new.name.clone(),
        kind: new.kind.clone(),
        spec: new.spec,
        asset: new.asset.clone(),
        budget: new.budget,
        scheme: new.scheme,
        fee_bps: new.fee_bps,
        rate_card: new.rate_card,
        work_quoted: new.work_quoted,
        work_expected: new.work_expected,
        opened_at: now,
        deadline_at: now.saturating_add(new.deadline_ms),
        idempotency: new.idempotency,
    }
}

fn request_cancel(
    state: &State,
    job: JobId,
    sponsor: &SponsorName,
    notice_ms: u64,
    now: Millis,
) -> Result<(Vec<Entry>, Done), Refusal> {
    // Another sponsor's job is not there, as far as this one is told.
    if state.jobs.get(&job).is_none_or(|found| found.terms.sponsor != *sponsor) {
        return Err(Refusal::NoJob(job));
    }
    open(state, job)?;
    if state.jobs[&job].cancel_at.is_some() {
        return Ok((Vec::new(), Done::Repeated));
    }
    let effective_at = now.saturating_add(notice_ms);
    Ok((vec![Entry::CancelRequested { job, at: now, effective_at }], Done::Entered))
}
