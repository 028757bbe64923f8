//! Plain Rust: four nonces a step.

use super::in_groups;
use super::unrolled::last_state_word;
use crate::hash::Nonces;
use crate::hash::lanes::{Four, Lanes, nonce_words};
use crate::hash::sha256d::Prepared;

pub(super) fn candidates(fixed: &Prepared, nonces: Nonces, on_candidate: &mut dyn FnMut(u32)) {
    in_groups::<4>(nonces, on_candidate, |first| {
        let words = last_state_word(fixed, nonce_words::<Four>(first));
        let mut bits = 0;
        for lane in 0..Four::COUNT {
            bits |= u32::from(fixed.passes(words.lane(lane))) << lane;
        }
        bits
    });
}
