//! The ledger: an append-only journal is the truth, a fold of it is the state, and a sled store
//! keeps the fold on disk for questions.

pub mod batch;
pub mod check;
mod codec;
pub mod cost;
pub mod draw;
mod encoding;
pub mod entry;
pub mod events;
pub mod fold;
#[cfg(test)]
mod histories;
pub mod journal;
pub mod keys;
pub mod payout;
pub mod plan;
pub mod range;
mod recheck;
mod records;
pub mod secrets;
pub mod store;
pub mod terms;
pub mod writer;
