//! From a command to the entries that carry it out, or to a refusal. Pure: the state, the command
//! and the time decide.

use lode_protocol::api::{Amount, DepositRequest};
use lode_protocol::ids::{AssetName, JobId, SponsorName};

use super::batch::Void;
use super::entry::{Entry, IdempotencyDigest, Millis, Outcome, Scheme, Shape, Terms};
use super::fold::{Broken, State};
use super::secrets::RevealError;
use crate::share::Credit;
pub use range::UnitClaim;

mod range;

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
    /// Work that the budget buys; for a range job that of all its elements.
    pub work_quoted: u128,
    /// What the work is made of.
    pub shape: Shape,
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
    /// A unit of a range job was delivered.
    Unit(Box<UnitClaim>),
    /// A batch's time has come.
    CloseBatch {
        /// Of which job.
        job: JobId,
        /// Of which key.
        key: [u8; 32],
    },
    /// All that was recomputed of a batch is right.
    Mature {
        /// Which.
        batch: u64,
    },
    /// Something that was recomputed of a batch is wrong.
    Void {
        /// Which.
        batch: u64,
        /// What.
        void: Void,
    },
    /// A new secret of draws.
    CommitSecret {
        /// [`commitment`](super::draw::commitment) of it.
        hash: [u8; 32],
    },
    /// An old secret of draws.
    RevealSecret {
        /// The secret.
        secret: [u8; 32],
    },
    /// A range job is to take no more units. It closes by itself with the last verdict on its batches. A second time with
    /// `Quarantined`: what is still without verdict cannot be checked, and is dropped.
    End {
        /// Which.
        job: JobId,
        /// Why: `Cancelled`, `Expired` or `Quarantined`.
        outcome: Outcome,
    },
    /// A range job, all of it matured, is assembled.
    Finish {
        /// Which.
        job: JobId,
        /// Digest of the result.
        result: [u8; 32],
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
    /// The batch is closed, with this number.
    BatchClosed(u64),
    /// The secret is committed, with this number.
    Committed(u64),
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
    /// The job's time has not come.
    #[error("{0} is not due yet")]
    NotDue(JobId),
    /// The reference was counted for another amount or asset.
    #[error("the reference {0:?} was counted for another amount or asset")]
    ReferenceReused(String),
    /// A sum would not fit.
    #[error("a sum would pass 128 bits")]
    TooMuch,
    /// The key is banned.
    #[error("the key is banned: a result of it was wrong")]
    Banned,
    /// The job takes hashes where a unit was meant, or the other way around, or the unit is not one of its elements'.
    #[error("{0} does not have such elements")]
    NoElements(JobId),
    /// No secret of draws is committed, so nothing could be checked.
    #[error("no secret of draws is committed")]
    NoSecret,
    /// The secret cannot be revealed now.
    #[error("the secret is not revealed: {0}")]
    Secret(#[from] RevealError),
    /// There is no such batch, or it has a verdict.
    #[error("batch {0} is not waiting for a verdict")]
    Resolved(u64),
    /// What is said to be wrong with a batch does not show that it is.
    #[error("batch {batch} {what}")]
    Evidence {
        /// Which.
        batch: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The job's terms are out of range.
    #[error("such a job {0}")]
    CannotOpen(&'static str),
    /// Not all of the job has matured.
    #[error("{0} is not finished")]
    Unfinished(JobId),
    /// All of the job is done and only waits for its verdicts, so it does not end early.
    #[error("{0} is done and is being checked")]
    Finishing(JobId),
    /// The job cannot end so.
    #[error("{job} {what}")]
    CannotEnd {
        /// Which.
        job: JobId,
        /// Why not.
        what: &'static str,
    },
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
        Command::Unit(claim) => range::unit(state, claim, now),
        Command::CloseBatch { job, key } => range::close_batch(state, *job, key, now),
        Command::Mature { batch } => range::mature(state, *batch, now),
        Command::Void { batch, void } => range::void(state, *batch, void, now),
        Command::CommitSecret { hash } => range::commit(state, hash, now),
        Command::RevealSecret { secret } => range::reveal(state, secret, now),
        Command::Finish { job, result } => range::finish(state, *job, *result, now),
        Command::End { job, outcome } => range::end(state, *job, *outcome, now),
        Command::Close { job, outcome } if is_range(state, *job) => range::end(state, *job, *outcome, now),
        Command::Close { job, outcome } => match open(state, *job) {
            Ok(()) if !is_due(state, *job, *outcome, now) => Err(Refusal::NotDue(*job)),
            Ok(()) => Ok((vec![Entry::JobClosed { job: *job, outcome: *outcome, at: now }], Done::Entered)),
            // A share closed it first.
            Err(Refusal::Closed(_)) => Ok((Vec::new(), Done::Repeated)),
            Err(refusal) => Err(refusal),
        },
    }
}

fn is_range(state: &State, job: JobId) -> bool {
    state.jobs.get(&job).is_some_and(|found| found.terms.range().is_some())
}

fn open(state: &State, job: JobId) -> Result<(), Refusal> {
    match state.open_job(job) {
        Ok(_) => Ok(()),
        Err(Broken::Unknown(_)) => Err(Refusal::NoJob(job)),
        Err(_) => Err(Refusal::Closed(job)),
    }
}

/// Whether the job's time has come by the ledger's own clock, which may be behind that of whoever asks.
fn is_due(state: &State, job: JobId, outcome: Outcome, now: Millis) -> bool {
    let Some(found) = state.jobs.get(&job) else { return false };
    match outcome {
        Outcome::Cancelled => found.cancel_at.is_some_and(|from| from <= now),
        Outcome::Expired => found.terms.deadline_at <= now,
        Outcome::Solved | Outcome::Exhausted | Outcome::Completed { .. } | Outcome::Quarantined => false,
    }
}

fn share(state: &State, credit: &Credit, now: Millis) -> Result<Vec<Entry>, Refusal> {
    let job = credit.job();
    let open = state.open_job(job).map_err(|_| Refusal::Stale)?;
    if open.terms.range().is_some() {
        return Err(Refusal::NoElements(job));
    }
    if state.has_share(credit.hash()) {
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
    if let Some(counted) = state.deposit_of(&sponsor, &reference) {
        let same = *counted == (asset, amount.0);
        return if same { Ok((Vec::new(), Done::Repeated)) } else { Err(Refusal::ReferenceReused(reference)) };
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
    let terms = terms(job, new, now);
    if let Some(what) = terms.fault() {
        return Err(Refusal::CannotOpen(what));
    }
    let (sponsor, asset, amount) = (new.sponsor.clone(), new.asset.clone(), new.budget);
    let escrow = Entry::Escrow { job, sponsor, asset, amount };
    Ok((vec![escrow, Entry::JobOpened(Box::new(terms))], Done::Opened(job)))
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
        shape: new.shape.clone(),
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use lode_protocol::Algorithm;
    use proptest::prelude::*;

    use super::*;

    /// Something that happens, in small numbers so that the same things meet again and again.
    fn commands() -> impl Strategy<Value = Vec<(Command, u64)>> {
        let sponsor = || prop::sample::select(vec!["s", "t"]).prop_map(|name| name.parse::<SponsorName>().unwrap());
        let asset = || prop::sample::select(vec!["C", "D"]).prop_map(|name| name.parse::<AssetName>().unwrap());
        let job = || (1u64..6).prop_map(JobId);
        let deposit = (sponsor(), asset(), 1u128..1000, 0u8..6).prop_map(|(sponsor, asset, amount, reference)| {
            Command::Deposit(DepositRequest {
                sponsor,
                asset,
                amount: Amount(amount),
                reference: reference.to_string(),
            })
        });
        let open = (sponsor(), asset(), 1u128..400, 0u16..=10_000, 1u128..50, 0u8..4).prop_map(
            |(sponsor, asset, budget, fee_bps, work_quoted, key)| {
                Command::OpenJob(Box::new(NewJob {
                    sponsor,
                    name: String::new(),
                    kind: "hash".into(),
                    spec: [0; 32],
                    asset,
                    budget,
                    scheme: Scheme::Prop,
                    fee_bps,
                    rate_card: 1,
                    work_quoted,
                    shape: Shape::Search { algorithm: Algorithm::Sha256d, work_expected: work_quoted },
                    deadline_ms: 50,
                    idempotency: (key > 0).then_some(IdempotencyDigest { key: [key; 16], body: [0; 32] }),
                }))
            },
        );
        let user = prop::sample::select(vec!["a.x", "a.y", "b.x", "c.x"]);
        let share = (job(), user, 0u64..40, 1u128..20, 0u8..12).prop_map(|(job, user, number, work, luck)| {
            Command::Share(Credit::made_up(job, user, number, work, luck == 0))
        });
        let cancel = (job(), sponsor(), 0u64..20).prop_map(|(job, sponsor, notice_ms)| Command::RequestCancel {
            job,
            sponsor,
            notice_ms,
        });
        let command = prop_oneof![
            1 => sponsor().prop_map(Command::CreateSponsor),
            3 => deposit,
            3 => open,
            12 => share,
            1 => cancel,
        ];
        prop::collection::vec((command, 0u64..10), 1..150)
    }

    /// Closes every open job whose time has come, as the book asks for.
    fn due(state: &State, now: Millis) -> Vec<Command> {
        let open = state.jobs.values().filter(|job| job.closed.is_none());
        open.filter_map(|job| {
            let outcome = if job.cancel_at.is_some_and(|at| at <= now) {
                Outcome::Cancelled
            } else if job.terms.deadline_at <= now {
                Outcome::Expired
            } else {
                return None;
            };
            Some(Command::Close { job: job.terms.job, outcome })
        })
        .collect()
    }

    fn enter(state: &mut State, log: &mut Vec<Entry>, command: &Command, now: Millis) -> Result<Done, Refusal> {
        let (entries, done) = plan(state, command, now)?;
        for entry in entries {
            state.apply(&entry).expect("what is planned folds");
            log.push(entry);
            while let Some(entry) = state.due().front().cloned() {
                state.apply(&entry).expect("what is due folds");
                log.push(entry);
            }
        }
        Ok(done)
    }

    fn check_books(state: &State) {
        for (asset, (came_in, held)) in state.balance_sheet() {
            assert_eq!(came_in, held, "{asset}");
        }
        for job in state.jobs.values() {
            let Some(closed) = &job.closed else {
                assert_eq!(job.escrow, job.terms.budget);
                continue;
            };
            assert_eq!(job.escrow, 0);
            assert_eq!(closed.paid + closed.fee + closed.refunded, job.terms.budget);
            let parts: u128 =
                state.earnings.iter().filter(|((_, id), _)| *id == job.terms.job).filter_map(|(_, e)| e.amount).sum();
            assert_eq!(parts, closed.paid);
        }
    }

    #[test]
    fn a_header_counts_once_whichever_open_job_it_is_for() {
        let mut state = State::default();
        let mut log = Vec::new();
        state.apply(&Entry::PoolOpened { pool: [1; 16], at: 0 }).unwrap();
        let sponsor: SponsorName = "s".parse().unwrap();
        let asset: AssetName = "C".parse().unwrap();
        let (amount, reference) = (Amount(1000), "r".to_owned());
        let deposit = DepositRequest { sponsor: sponsor.clone(), asset: asset.clone(), amount, reference };
        let new = NewJob {
            sponsor: sponsor.clone(),
            name: String::new(),
            kind: "hash".into(),
            spec: [0; 32],
            asset,
            budget: 100,
            scheme: Scheme::Prop,
            fee_bps: 0,
            rate_card: 1,
            work_quoted: 1000,
            shape: Shape::Search { algorithm: Algorithm::Sha256d, work_expected: 1000 },
            deadline_ms: 50,
            idempotency: None,
        };
        let open = Command::OpenJob(Box::new(new));
        for command in [Command::CreateSponsor(sponsor), Command::Deposit(deposit), open.clone(), open] {
            enter(&mut state, &mut log, &command, 0).unwrap();
        }
        let share = |job, number| Command::Share(Credit::made_up(JobId(job), "a.x", number, 10, false));
        assert_eq!(enter(&mut state, &mut log, &share(1, 7), 1), Ok(Done::Entered));
        assert_eq!(enter(&mut state, &mut log, &share(2, 7), 1), Err(Refusal::Duplicate));
        assert_eq!(enter(&mut state, &mut log, &share(2, 8), 1), Ok(Done::Entered));
    }

    proptest! {
        #[test]
        fn any_history_keeps_the_books_and_folds_again_to_the_same(history in commands()) {
            let mut state = State::default();
            let mut log = vec![Entry::PoolOpened { pool: [1; 16], at: 0 }];
            state.apply(&log[0]).unwrap();
            let mut now = 0;
            // A model of its own: which shares were credited to whom, and what came in.
            let mut credited: BTreeSet<(JobId, u64)> = BTreeSet::new();
            let mut deposits: BTreeMap<(SponsorName, String), u128> = BTreeMap::new();
            for (command, wait) in &history {
                now += wait;
                for close in due(&state, now) {
                    enter(&mut state, &mut log, &close, now).unwrap();
                }
                let done = enter(&mut state, &mut log, command, now);
                match (command, done) {
                    (Command::Share(credit), Ok(_)) => {
                        let number = u64::from_be_bytes(credit.hash().to_be_bytes()[24..].try_into().unwrap());
                        prop_assert!(credited.insert((credit.job(), number)), "credited twice");
                    }
                    (Command::Deposit(deposit), Ok(Done::Entered)) => {
                        let key = (deposit.sponsor.clone(), deposit.reference.clone());
                        prop_assert!(deposits.insert(key, deposit.amount.0).is_none(), "counted twice");
                    }
                    (Command::Deposit(_), Ok(Done::Repeated) | Err(_)) | (Command::Share(_), Err(_)) | (_, _) => {}
                }
                check_books(&state);
            }
            let shares: u64 = state.jobs.values().map(|job| job.shares).sum();
            prop_assert_eq!(shares, credited.len() as u64);
            prop_assert_eq!(state.assets.values().map(|totals| totals.deposited).sum::<u128>(), deposits.values().sum());
            // From its bytes the same history gives the same records.
            let mut again = State::default();
            for entry in &log {
                again.apply(&Entry::decode(&entry.encode()).unwrap()).unwrap();
            }
            again.check_complete().unwrap();
            prop_assert_eq!(&again.jobs, &state.jobs);
            prop_assert_eq!(&again.accounts, &state.accounts);
            prop_assert_eq!(&again.sponsors, &state.sponsors);
            prop_assert_eq!(&again.earnings, &state.earnings);
        }

        #[test]
        fn a_log_that_leaves_out_or_changes_a_payout_does_not_fold(history in commands(), pick in any::<prop::sample::Index>(), change in any::<bool>()) {
            let mut state = State::default();
            let mut log = vec![Entry::PoolOpened { pool: [1; 16], at: 0 }];
            state.apply(&log[0]).unwrap();
            let mut now = 0;
            for (command, wait) in &history {
                now += wait;
                for close in due(&state, now) {
                    enter(&mut state, &mut log, &close, now).unwrap();
                }
                drop(enter(&mut state, &mut log, command, now));
            }
            let money = |entry: &Entry| matches!(entry, Entry::Payout { .. } | Entry::Fee { .. } | Entry::Refund { .. });
            let places: Vec<usize> = (0..log.len()).filter(|&at| money(&log[at])).collect();
            prop_assume!(!places.is_empty());
            let place = *pick.get(&places);
            if change {
                match &mut log[place] {
                    Entry::Payout { amount, .. } | Entry::Fee { amount, .. } | Entry::Refund { amount, .. } => *amount += 1,
                    _ => unreachable!("money was picked"),
                }
            } else {
                log.remove(place);
            }
            let mut again = State::default();
            let folded = log.iter().try_for_each(|entry| again.apply(entry)).and_then(|()| again.check_complete());
            prop_assert!(folded.is_err());
        }
    }
}
