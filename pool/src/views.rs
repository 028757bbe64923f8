//! From the ledger's records to what the API shows. Pure.

use std::collections::BTreeMap;

use lode_protocol::api::account::WORKERS_SHOWN_MAX;
use lode_protocol::api::sponsor::SponsorBalance;
use lode_protocol::api::{
    Amount, AuditsView, BalanceView, EarningState, EarningView, JobResult, JobState, JobView, LeaderView, SponsorView,
    WorkerView,
};
use lode_protocol::header::HEADER_BYTES;
use lode_protocol::ids::{AccountName, AssetName, SponsorName};
use lode_protocol::{Algorithm, Work, hex};
use ruint::aliases::U256;

use crate::clock::rfc3339;
use crate::ledger::entry::{Outcome, Scheme};
use crate::ledger::fold::{Account, Earning, Job, Solution, Sponsor, Worker};
use crate::ledger::payout::{earned, settle};
use crate::share::hash_of;
use crate::stratum::presence::Rig;

fn state(job: &Job) -> JobState {
    match job.closed.as_ref().map(|closed| closed.outcome) {
        Some(Outcome::Solved | Outcome::Completed { .. }) => JobState::Done,
        Some(Outcome::Cancelled) => JobState::Cancelled,
        Some(Outcome::Expired | Outcome::Exhausted) => JobState::Expired,
        Some(Outcome::Quarantined) => JobState::Quarantined,
        None if job.ending.is_some() || is_done(job) => JobState::Auditing,
        None if job.shares > 0 => JobState::Running,
        None => JobState::Open,
    }
}

/// Whether every element of a range job is done.
fn is_done(job: &Job) -> bool {
    job.terms.range().is_some_and(|range| range.cost.elements() == job.elements_done)
}

/// A job.
#[must_use]
pub fn job(job: &Job) -> JobView {
    let terms = &job.terms;
    let closed = job.closed.as_ref();
    let range = terms.range();
    let so_far = |amount: u128| range.map(|_| Amount(amount));
    let has_file = closed.is_some_and(|closed| matches!(closed.outcome, Outcome::Completed { .. }));
    JobView {
        id: terms.job,
        name: terms.name.clone(),
        kind: terms.kind.clone(),
        algorithm: terms.algorithm(),
        state: state(job),
        sponsor: terms.sponsor.clone(),
        asset: terms.asset.clone(),
        budget: Amount(terms.budget),
        paid: closed.map(|closed| Amount(closed.paid)).or_else(|| so_far(job.paid)),
        fee: closed.map(|closed| Amount(closed.fee)).or_else(|| so_far(job.fees)),
        refunded: closed.map(|closed| Amount(closed.refunded)),
        fee_bps: terms.fee_bps,
        payout: match terms.scheme {
            Scheme::Prop => "prop".into(),
        },
        work_quoted: Work(terms.work_quoted),
        work_expected: Work(terms.work_expected()),
        work_proven: Work(job.work),
        shares: job.shares,
        accounts: job.accounts,
        spec_digest: hex::encode(&terms.spec),
        opened_at: rfc3339(terms.opened_at),
        deadline_at: rfc3339(terms.deadline_at),
        cancel_at: job.cancel_at.map(rfc3339),
        closed_at: closed.map(|closed| rfc3339(closed.at)),
        solution: job.solution.as_ref().map(|solution| hex::encode(&solution.hash)),
        elements: range.map(|range| range.cost.elements()),
        elements_done: range.map(|_| job.elements_done),
        elements_matured: range.map(|_| job.elements_matured),
        audits: range.map(|_| AuditsView { passed: job.matured_batches, voided: job.voids }),
        preview: range.filter(|_| job.elements_done > 0).map(|_| format!("/jobs/{}/preview.png", terms.job)),
        result: (job.solution.is_some() || has_file).then(|| format!("/api/v1/jobs/{}/result", terms.job)),
    }
}

/// `a * b / c`, rounded down; zero where `c` is.
fn muldiv(a: u128, b: u128, c: u128) -> u128 {
    let quotient = (U256::from(a) * U256::from(b)).checked_div(U256::from(c)).unwrap_or_default();
    u128::try_from(quotient).unwrap_or(u128::MAX)
}

/// What an account's work in an open job that is not payable yet is expected to come to, rounded down: in a search what
/// it would be if that closed unsolved now, in a range job what all of it is worth once it matures.
#[must_use]
pub fn pending(job: &Job, earning: &Earning) -> u128 {
    if job.closed.is_some() {
        return 0;
    }
    if job.terms.range().is_some() {
        return earned(&job.terms, earning.work.saturating_sub(earning.matured_work)).pay;
    }
    let all: AccountName = "all".parse().expect("a plain word is a name");
    let settled = settle(&job.terms, Outcome::Expired, &BTreeMap::from([(all, job.work)]));
    let pot: u128 = settled.payouts.into_values().sum();
    muldiv(pot, earning.work, job.work)
}

/// What an account earned with a job: what is payable, and what would be if all of the rest matured too.
#[must_use]
pub fn earning(job: &Job, earning: &Earning) -> EarningView {
    let settled = match job.terms.range() {
        Some(_) => job.closed.is_some(),
        None => earning.amount.is_some(),
    };
    let open = if settled { 0 } else { pending(job, earning) };
    let amount = earning.amount.unwrap_or(0).saturating_add(open).saturating_add(earning.duplicates);
    EarningView {
        job: job.terms.job,
        name: job.terms.name.clone(),
        job_state: state(job),
        asset: job.terms.asset.clone(),
        work: Work(earning.work),
        work_total: Work(job.work),
        share_ppm: u32::try_from(muldiv(1_000_000, earning.work, job.work)).unwrap_or(u32::MAX),
        amount: Amount(amount),
        pending: Amount(open),
        state: if settled { EarningState::Matured } else { EarningState::Pending },
        closed_at: job.closed.as_ref().map(|closed| rfc3339(closed.at)),
    }
}

/// An account's balances: its record, and what is expected of open jobs.
#[must_use]
pub fn balances(record: &Account, expected: &[(AssetName, u128)]) -> BTreeMap<AssetName, BalanceView> {
    let mut balances: BTreeMap<AssetName, BalanceView> = BTreeMap::new();
    for (asset, &amount) in &record.matured {
        balances.entry(asset.clone()).or_default().matured = Amount(amount);
    }
    for (asset, amount) in expected {
        let pending = &mut balances.entry(asset.clone()).or_default().pending;
        *pending = Amount(pending.0.saturating_add(*amount));
    }
    balances
}

/// An account's rigs: those of the ledger and those that are here without a share yet.
#[must_use]
pub fn workers(records: &[Worker], rigs: &BTreeMap<String, Rig>) -> Vec<WorkerView> {
    let recorded: BTreeMap<&str, &Worker> = records.iter().map(|record| (record.name.as_str(), record)).collect();
    let mut names: Vec<&str> = recorded.keys().copied().chain(rigs.keys().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    names.truncate(WORKERS_SHOWN_MAX);
    names.into_iter().filter_map(|name| worker(name, recorded.get(name).copied(), rigs.get(name))).collect()
}

fn worker(name: &str, record: Option<&Worker>, rig: Option<&Rig>) -> Option<WorkerView> {
    let rejected = rig.map(|rig| &rig.rejected).into_iter().flatten();
    let difficulty = rig.and_then(|rig| rig.difficulty);
    Some(WorkerView {
        name: name.parse().ok()?,
        online: rig.is_some_and(|rig| rig.connections > 0),
        last_share: record.filter(|record| record.shares > 0).map(|record| rfc3339(record.last_share_at)),
        algorithm: difficulty.map(|(algorithm, _)| algorithm),
        difficulty: difficulty.map(|(algorithm, difficulty)| difficulty.to_f64(algorithm)),
        accepted: record.map_or(0, |record| record.shares),
        rejected: rejected.map(|(reason, count)| ((*reason).to_owned(), *count)).collect(),
        work: Work(record.map_or(0, |record| record.work)),
    })
}

/// A row of the leader board.
#[must_use]
pub fn leader((account, work, shares): (AccountName, u128, u64)) -> LeaderView {
    LeaderView { account, work: Work(work), shares }
}

/// A sponsor's money.
#[must_use]
pub fn sponsor(name: &SponsorName, record: &Sponsor) -> SponsorView {
    let assets = record.assets.iter().map(|(asset, money)| {
        let (balance, escrow, spent) = (Amount(money.balance), Amount(money.escrow), Amount(money.spent));
        (asset.clone(), SponsorBalance { balance, escrow, spent })
    });
    SponsorView { name: name.clone(), assets: assets.collect() }
}

/// A solved job's result.
#[must_use]
pub fn result(algorithm: Algorithm, header: &[u8; HEADER_BYTES], solution: &Solution) -> JobResult {
    let proof = &solution.proof;
    JobResult {
        algorithm,
        header: hex::encode(header),
        hash: hash_of(algorithm, header).to_string(),
        extranonce1: hex::encode(&proof.extranonce1),
        extranonce2: hex::encode(&proof.extranonce2),
        ntime: format!("{:08x}", proof.ntime),
        nonce: format!("{:08x}", proof.nonce),
        version: format!("{:08x}", proof.version),
    }
}
