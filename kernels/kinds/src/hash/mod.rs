//! Kind `hash`: find the nonces for which SHA-256d of an 80-byte block header does not exceed a target.
//!
//! [`mod@reference`] is the definition. [`Scan`] is one header with its target, [`Nonces`] a range to try, [`Prepared`] what
//! of a header does not depend on the nonce, and [`fast`] finds the same nonces as the reference in less time.

pub mod fast;
mod prepared;
pub mod reference;
mod scan;
#[cfg(test)]
pub(crate) mod testing;

pub use prepared::Prepared;
pub use scan::{HEADER_BYTES, NonceRangeError, Nonces, Scan};
