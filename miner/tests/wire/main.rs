//! The whole miner against pools that the tests play.

mod blob_server;
mod connection;
mod governed;
mod mining;
mod monitor;
mod range;
#[path = "../scene/mod.rs"]
mod scene;
mod support;
