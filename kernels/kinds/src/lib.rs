//! The kinds of work that Lode pools: what each one computes, defined in plain Rust.
//!
//! A kind's CPU reference is its definition; every device has to reproduce it bit by bit. Nothing here touches a device,
//! a file or a socket.

pub mod hash;
mod kind;
pub mod range;
pub mod render;

pub use kind::{Kind, Shape, UnknownKind};
