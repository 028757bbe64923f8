//! A stratum pool with a ledger: takes sponsors' jobs, hands out work, credits proven shares
//! durably, and pays each job's budget in proportion to them.

pub mod bench;
pub mod blobs;
pub mod clock;
pub mod config;
pub mod desk;
pub mod face;
pub mod jobs;
pub mod ledger;
mod private;
pub mod secrets;
pub mod serve;
pub mod share;
pub mod specs;
pub mod stats;
pub mod stratum;
pub mod vardiff;
pub mod views;
