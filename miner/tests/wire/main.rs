//! The whole miner against pools that the tests play.

mod connection;
mod governed;
mod mining;
mod monitor;
mod support;
