//! The HTTP face of a pool: JSON API, pages, live updates and metrics.
//!
//! It keeps no state and knows no store: everything is asked through [`port::Port`], and
//! [`http::serve`] answers until its shutdown future is ready.

mod api;
mod app;
mod auth;
mod extract;
mod health;
pub mod http;
pub mod metrics;
mod pace;
pub mod port;
mod problem;

pub use http::{HttpOptions, serve};
pub use port::Port;
