//! Kind `hash`: find the nonces for which the hash of an 80-byte block header does not exceed a target.
//!
//! [`Scan`] is one header with its target and [`Algorithm`], [`Nonces`] a range to try. Each algorithm's folder has its
//! definition and a fast path for CPUs.

mod algorithm;
pub mod cpu;
mod lanes;
mod nonces;
mod scan;
pub mod scrypt;
pub mod sha256d;
#[cfg(test)]
pub(crate) mod testing;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use nonces::{NonceRangeError, Nonces};
pub use scan::{HEADER_BYTES, Scan};
