//! The HTTP face of a pool: JSON API, pages, live updates and metrics.
//!
//! It keeps no state and knows no store: everything is asked through [`port::Port`].

pub mod port;
