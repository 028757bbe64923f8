//! A wall around decoders of others' files.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a decoder makes, or `None` if it panicked: a sponsor's file must never end the pool.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(decode)).ok() // nothing of a failed decode is used again
}
