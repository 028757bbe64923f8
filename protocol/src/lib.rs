//! The words that pool and miner exchange, and their types.
//!
//! Everything here is a value or a pure function: no socket, no clock, no runtime. Bytes become
//! typed messages at this edge ([`mod@line`], [`rpc`], [`method`]), numbers become [`Target`],
//! [`Difficulty`] and [`Work`], and a template becomes a block header ([`header`]).

pub mod api;
pub mod difficulty;
pub mod header;
pub mod hex;
pub mod ids;
pub mod line;
pub mod method;
pub mod rejection;
pub mod rpc;

pub use difficulty::{Difficulty, Target, Work};
pub use header::{HeaderHash, Template};
pub use ids::{AccountName, JobId, UserName, WorkerName};
pub use rejection::Rejection;
