//! The pool as a whole.

use lode_dashboard::port::Health;
use lode_protocol::api::{LedgerView, PoolView};
use lode_protocol::hex;
use lode_protocol::ids::JobId;

use super::Face;
use crate::clock::rfc3339;

pub(super) fn pool(face: &Face) -> PoolView {
    let (connections, workers) = face.shared.presence.counts();
    let tip = face.shared.ledger.tip().borrow().clone();
    let newest = face.store().jobs_before(JobId(u64::MAX), 1).unwrap_or_default();
    PoolView {
        name: face.config.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        started_at: rfc3339(face.started_at),
        listeners: face.listeners.clone(),
        connections,
        workers,
        accounts: face.stats.accounts(),
        jobs_open: face.shared.book.open_jobs() as u64,
        jobs_total: newest.first().map_or(0, |job| job.terms.job.0),
        work: face.stats.pool(face.now()),
        fee_bps: face.config.fee_bps,
        ledger: LedgerView {
            entries: tip.position.seq,
            head: hex::encode(&tip.position.head),
            writable: tip.fault.is_none(),
        },
    }
}

pub(super) fn health(face: &Face) -> Health {
    let fault = face.shared.ledger.tip().borrow().fault.clone();
    let faults: Vec<String> = fault.into_iter().map(|fault| format!("the ledger takes no entries: {fault}")).collect();
    Health { ready: faults.is_empty(), faults }
}
