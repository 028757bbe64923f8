//! The miner: takes a pool's jobs, has this machine's devices search them, and submits what they find.
//!
//! Rules are pure and take `now`; sockets and threads stand around them.

pub mod rate;
pub mod session;
pub mod url;
pub mod work;
