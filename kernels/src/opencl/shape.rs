//! How a kernel is compiled and launched: what a device's tuning chooses.

use std::fmt;

use lode_kinds::hash::Algorithm;
use serde::{Deserialize, Serialize};

use super::traits::Traits;

/// Work items of a group, where nothing is known of the device.
const GROUP_ITEMS: usize = 256;

/// How a kernel is compiled and launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Nonces side by side in one work item.
    pub(super) lanes: u32,
    /// Work items in a group.
    pub(super) group: usize,
}

impl Shape {
    /// What to begin with on a device, without tuning.
    pub(super) fn usual(algorithm: Algorithm, traits: &Traits) -> Self {
        match algorithm {
            Algorithm::Sha256d => Self { lanes: lanes(traits.native_width), group: GROUP_ITEMS },
            Algorithm::Scrypt => Self { lanes: 1, group: 1 },
        }
    }

    /// Everything that tuning tries on a device.
    pub(super) fn candidates(algorithm: Algorithm, traits: &Traits) -> Vec<Self> {
        let usual = Self::usual(algorithm, traits);
        let mut shapes = vec![usual];
        match algorithm {
            Algorithm::Sha256d => {
                for lanes in [1, 2, 4, 8] {
                    shapes.extend([64, 128, 256].map(|group| Self { lanes, group }));
                }
            }
            Algorithm::Scrypt => {}
        }
        shapes.dedup();
        shapes
    }

    /// The macros that the kernel is compiled with.
    pub(super) fn defines(self) -> String {
        format!("-D VEC={}", self.lanes)
    }

    /// Work items that try `count` nonces.
    pub(super) fn items(self, count: u64) -> usize {
        usize::try_from(count.div_ceil(u64::from(self.lanes))).expect("a launch's items are addressable")
    }

    /// Words of scratch memory that all items of a launch need together.
    pub(super) fn scratch_words(self, algorithm: Algorithm) -> usize {
        match algorithm {
            Algorithm::Sha256d => 0,
            Algorithm::Scrypt => 32 * 1024,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} lanes, groups of {}", self.lanes, self.group)
    }
}

/// Lanes that the device's compiler should be given: its native width, as far as the kernel knows it.
const fn lanes(native_width: u32) -> u32 {
    match native_width {
        8.. => 8,
        4.. => 4,
        2.. => 2,
        _ => 1,
    }
}
