//! The HTTP face of a pool: JSON API, pages, live updates and metrics.
//!
//! It keeps no state and knows no store: everything is asked through [`port::Port`], and
//! [`http::serve`] answers until its shutdown future is ready.

#[cfg(test)]
extern crate self as lode_dashboard; // the pool made up names its imports as the example must

mod api;
mod app;
mod auth;
mod charts;
mod extract;
#[cfg(test)]
#[path = "../examples/fake/port.rs"]
mod fake;
mod health;
pub mod http;
mod live;
pub mod metrics;
mod pace;
mod pages;
pub mod port;
mod problem;
mod range;

pub use api::BLOB_PACE_BYTES;
pub use http::{HttpOptions, serve};
pub use port::Port;
