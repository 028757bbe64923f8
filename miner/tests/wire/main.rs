//! The whole miner against pools that the tests play.

mod connection;
mod mining;
mod support;
