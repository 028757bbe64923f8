//! The rate card: what one hash of each algorithm is worth in work.

use std::collections::BTreeMap;

use axum::Json;
use lode_protocol::difficulty::{WORK_PER_DIFFICULTY, Work};
use serde::Serialize;

/// Rises with every change of a figure below.
const VERSION: u32 = 1;
/// Hash-equivalents of one hash, by algorithm.
const WORK_PER_HASH: [(&str, Work); 1] = [("sha256d", Work(1))];

/// The card as it is published.
#[derive(Debug, Serialize)]
pub(super) struct RateCard {
    version: u32,
    work_per_difficulty: Work,
    work_per_hash: BTreeMap<&'static str, Work>,
}

/// `GET /ratecard`
pub(super) async fn show() -> Json<RateCard> {
    Json(RateCard {
        version: VERSION,
        work_per_difficulty: Work(WORK_PER_DIFFICULTY),
        work_per_hash: BTreeMap::from(WORK_PER_HASH),
    })
}
