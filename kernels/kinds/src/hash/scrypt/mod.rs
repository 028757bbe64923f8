//! Algorithm scrypt: a hash that takes 128 KiB of memory, or more computing in less.
//!
//! [`mod@reference`] is the definition.

pub mod reference;
