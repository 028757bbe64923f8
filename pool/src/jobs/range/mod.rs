//! Range jobs: elements 0..N, each done once, leased out in units.

mod intervals;
pub mod units;
