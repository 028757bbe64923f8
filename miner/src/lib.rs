//! The miner: takes a pool's jobs, has this machine's devices search them, and submits what they find.
//!
//! Rules are pure and take `now`; sockets and threads stand around them.

pub mod activity;
pub mod args;
pub mod bench;
pub mod blobs;
pub mod board;
pub mod client;
pub mod compute;
pub mod config;
pub mod device_worker;
pub mod dial;
pub mod fleet;
pub mod gate;
pub mod gauge;
pub mod governor;
pub mod health;
pub mod inventory;
pub mod key;
pub mod limits;
pub mod link;
pub mod location;
pub mod log;
pub mod meter;
pub mod monitor;
pub mod nvidia;
pub mod paths;
pub mod per_device;
pub mod pools;
pub mod queue;
pub mod ranges;
pub mod rate;
pub mod render;
pub mod rig;
pub mod run;
pub mod screen;
pub mod session;
pub mod share_log;
pub mod status;
pub mod summary;
pub mod tls;
pub mod unit;
pub mod units;
pub mod url;
pub mod work;
