//! The rate card: what one hash of each algorithm, and one operation of each counted kind, is worth in work.

use std::collections::BTreeMap;

use axum::Json;
use lode_protocol::{Algorithm, RateCard, Work};
use serde::Serialize;

/// The card as it is published.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    version: u32,
    work_per_difficulty: Work,
    hashes_per_difficulty: BTreeMap<Algorithm, u64>,
    work_per_hash: BTreeMap<Algorithm, Work>,
    /// Thousandths of work of each operation, by kind.
    milliwork_per_operation: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

/// `GET /ratecard`
pub(super) async fn show() -> Json<Published> {
    let card = RateCard::CURRENT;
    let hashes = |algorithm: Algorithm| u64::try_from(algorithm.hashes_per_difficulty()).expect("is at most 2^32");
    Json(Published {
        version: card.version(),
        work_per_difficulty: Work(Algorithm::Sha256d.hashes_per_difficulty()),
        hashes_per_difficulty: card.rates().map(|rate| (rate.algorithm(), hashes(rate.algorithm()))).collect(),
        work_per_hash: card.rates().map(|rate| (rate.algorithm(), rate.work_per_hash())).collect(),
        milliwork_per_operation: RateCard::COUNTED_KINDS
            .into_iter()
            .filter_map(|kind| Some((kind, card.operations(kind)?.iter().copied().collect())))
            .collect(),
    })
}
