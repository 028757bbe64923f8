//! Algorithm scrypt: a hash that takes 128 KiB of memory, or more computing in less.
//!
//! [`mod@reference`] is the definition. [`Prepared`] is what of a header does not depend on the nonce, and [`fast`] finds
//! the same nonces as the reference in less time.

pub mod fast;
mod prepared;
pub mod reference;

pub use prepared::Prepared;
