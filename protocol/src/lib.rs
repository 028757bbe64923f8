//! The words that pool and miner exchange, and their types.
//!
//! Everything here is a value or a pure function: no socket, no clock, no runtime. Bytes become
//! typed messages at this edge ([`mod@line`], [`rpc`], [`method`]), numbers become [`Target`],
//! [`Difficulty`] and [`Hashes`], hashes become [`Work`] by the [rate card](ratecard), and a template becomes a block header ([`header`]).

pub mod algorithm;
pub mod api;
pub mod difficulty;
pub mod digest;
pub mod header;
pub mod hex;
pub mod ids;
pub mod key;
pub mod line;
pub mod method;
pub mod ratecard;
pub mod rejection;
pub mod rpc;

pub use algorithm::Algorithm;
pub use difficulty::{Difficulty, Hashes, Target, Work};
pub use digest::Digest;
pub use header::{HeaderHash, Template};
pub use ids::{AccountName, JobId, UnitId, UserName, WorkerName};
pub use key::PublicKey;
pub use ratecard::{Rate, RateCard};
pub use rejection::Rejection;
