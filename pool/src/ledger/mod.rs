//! The ledger: an append-only journal is the truth, a fold of it is the state, and a sled store
//! keeps the fold on disk for questions.

pub mod check;
mod codec;
pub mod cost;
pub mod entry;
pub mod fold;
pub mod journal;
pub mod payout;
pub mod plan;
pub mod store;
mod terms;
pub mod writer;
