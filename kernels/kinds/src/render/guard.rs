//! A wall around decoders of others' files.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a decoder makes, or `None` if it panicked: a sponsor's file must never end the pool.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(decode)).ok() // nothing of a failed decode is used again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_makes_nothing() {
        assert_eq!(guarded(|| 7), Some(7));
        assert_eq!(guarded(|| -> u8 { panic!("on purpose") }), None);
    }
}
