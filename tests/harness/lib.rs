//! Lode.
