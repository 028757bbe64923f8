//! The HTTP face over real sockets, with a pool made up behind it.

mod api;
mod blobs;
mod client;
mod errors;
mod openapi;
mod pages;
#[path = "../../examples/fake/port.rs"]
mod port;
mod server;
mod streams;
