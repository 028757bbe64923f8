//! Accounts: balances, rigs, earnings, payouts, the leader board.

use lode_dashboard::port::PortError;
use lode_protocol::api::account::WORKERS_SHOWN_MAX;
use lode_protocol::api::{AccountView, EarningView, LeaderView, Page, PageQuery, PayoutView};
use lode_protocol::ids::{AccountName, AssetName, JobId};

use super::{Face, number_cursor, page_of, store_down};
use crate::jobs::book::OPEN_JOBS_MAX;
use crate::views;

pub(super) fn account(face: &Face, account: &AccountName) -> Result<AccountView, PortError> {
    let (rigs, rigs_here) = face.shared.presence.rigs(account, WORKERS_SHOWN_MAX);
    let known = face.store().account(account).map_err(|error| store_down(&error))?;
    if known.is_none() && rigs.values().all(|rig| rig.connections == 0) {
        return Err(PortError::NotFound(format!("account {account}")));
    }
    let record = known.unwrap_or_default();
    let (workers, recorded) = face.store().workers(account, WORKERS_SHOWN_MAX).map_err(|error| store_down(&error))?;
    let pending = pending(face, account)?;
    Ok(AccountView {
        account: account.clone(),
        balances: views::balances(&record, &pending),
        work: face.stats.account(account, face.now()),
        workers_total: recorded.max(rigs_here) as u64,
        workers: views::workers(&workers, &rigs),
    })
}

pub(super) fn earnings(face: &Face, account: &AccountName, page: &PageQuery) -> Result<Page<EarningView>, PortError> {
    let before = JobId(number_cursor(page, u64::MAX)?);
    let rows = face.store().earnings_before(account, before, page.rows() + 1).map_err(|error| store_down(&error))?;
    let mut views = Vec::with_capacity(rows.len());
    for (id, earning) in rows {
        views.push(views::earning(&face.record(id)?, &earning));
    }
    Ok(page_of(views, page.rows(), |row| row.job.0))
}

/// Nothing leaves the pool yet: what is earned stays payable.
pub(super) fn payouts(page: &PageQuery) -> Result<Page<PayoutView>, PortError> {
    number_cursor(page, u64::MAX)?;
    Ok(Page { items: Vec::new(), next: None })
}

pub(super) fn leaderboard(face: &Face, page: &PageQuery) -> Result<Page<LeaderView>, PortError> {
    let skip = usize::try_from(number_cursor(page, 0)?).unwrap_or(usize::MAX);
    let mut rows: Vec<LeaderView> = face.stats.leaders().into_iter().map(views::leader).skip(skip).collect();
    let more = rows.len() > page.rows();
    rows.truncate(page.rows());
    let next = more.then(|| (skip + rows.len()).to_string());
    Ok(Page { items: rows, next })
}

/// What is expected of the open jobs among an account's earnings. They are among its newest, but not always the
/// newest ones, so as many are looked at as jobs may be open.
fn pending(face: &Face, account: &AccountName) -> Result<Vec<(AssetName, u128)>, PortError> {
    let newest = face.store().earnings_before(account, JobId(u64::MAX), OPEN_JOBS_MAX);
    let mut pending = Vec::new();
    for (id, earning) in newest.map_err(|error| store_down(&error))? {
        if earning.matured_work < earning.work {
            let job = face.record(id)?;
            pending.push((job.terms.asset.clone(), views::pending(&job, &earning)));
        }
    }
    Ok(pending)
}
