//! How a kernel is compiled and launched: what a device's tuning chooses.

use std::fmt;

use lode_kinds::hash::Algorithm;
use serde::{Deserialize, Serialize};

use super::traits::Traits;
use crate::scratch;

/// How a kernel is compiled and launched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    /// Words that the kernel's vectors hold: with SHA-256d, the nonces that a work item tries.
    lanes: u32,
    /// Work items in a group.
    pub(super) group: usize,
    /// What the shape of scrypt has besides.
    scrypt: Option<Scrypt>,
}

/// What scrypt's kernel is shaped by; see there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scrypt {
    /// Rows in flight.
    interleave: u32,
    /// Hashes in a row.
    row_hashes: u32,
    /// Every how many blocks one is kept.
    gap: u32,
    /// Whether an item's scratch memory is one piece.
    piece: bool,
    /// Work items of a launch at most: a multiple of the group.
    items: usize,
}

impl Scrypt {
    const fn hashes(self) -> u32 {
        self.interleave * self.row_hashes
    }
}

impl Shape {
    /// What to begin with on a device, without tuning.
    pub(super) fn usual(algorithm: Algorithm, traits: &Traits) -> Self {
        match (algorithm, traits.is_cpu) {
            (Algorithm::Sha256d, _) => Self { lanes: lanes(traits.native_width), group: 256, scrypt: None },
            (Algorithm::Scrypt, true) if traits.native_width >= 8 => Self::scrypt_cpu(8, 3, 2, traits),
            (Algorithm::Scrypt, true) => Self::scrypt_cpu(4, 3, 1, traits),
            (Algorithm::Scrypt, false) => Self::scrypt_gpu(2, 64, traits),
        }
    }

    /// Everything that tuning tries on a device, the usual shape first.
    pub(super) fn candidates(algorithm: Algorithm, traits: &Traits) -> Vec<Self> {
        let mut shapes = vec![Self::usual(algorithm, traits)];
        match (algorithm, traits.is_cpu) {
            (Algorithm::Sha256d, _) => {
                for lanes in [1, 2, 4, 8] {
                    shapes.extend([64, 128, 256].map(|group| Self { lanes, group, scrypt: None }));
                }
            }
            (Algorithm::Scrypt, true) => {
                for (interleave, row_hashes) in [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)] {
                    shapes.push(Self::scrypt_cpu(lanes(traits.native_width).max(4), interleave, row_hashes, traits));
                }
            }
            (Algorithm::Scrypt, false) => {
                for gap in [1, 2, 4, 8] {
                    shapes.extend([32, 64, 128].map(|group| Self::scrypt_gpu(gap, group, traits)));
                }
            }
        }
        let usual = shapes[0];
        let others = shapes.into_iter().skip(1).filter(|shape| *shape != usual);
        std::iter::once(usual).chain(others).collect()
    }

    /// Several hashes an item, in vector registers, with as many items as keep all cores busy to the end of a launch.
    fn scrypt_cpu(lanes: u32, interleave: u32, row_hashes: u32, traits: &Traits) -> Self {
        let lanes = lanes.max((interleave * row_hashes).next_power_of_two());
        let hashes = u64::from(interleave * row_hashes);
        let most = scratch::items_max(hashes, 1, traits.buffer_bytes_max, traits.memory_bytes);
        let items = (traits.compute_units as usize * 8).clamp(1, most.max(1));
        Self { lanes, group: 1, scrypt: Some(Scrypt { interleave, row_hashes, gap: 1, piece: true, items }) }
    }

    /// One hash an item, with as many items as hide the memory's latency, or as fit.
    fn scrypt_gpu(gap: u32, group: usize, traits: &Traits) -> Self {
        let most = scratch::items_max(1, gap, traits.buffer_bytes_max, traits.memory_bytes);
        let items = (traits.compute_units as usize * scratch::ITEMS_PER_UNIT).min(most) / group * group;
        let scrypt = Scrypt { interleave: 1, row_hashes: 1, gap, piece: false, items: items.max(group) };
        Self { lanes: 1, group, scrypt: Some(scrypt) }
    }

    /// The macros that the kernel is compiled with.
    pub(super) fn defines(self) -> String {
        let lanes = self.lanes;
        match self.scrypt {
            None => format!("-D VEC={lanes}"),
            Some(Scrypt { interleave, row_hashes, gap, piece, .. }) => format!(
                "-D VEC={lanes} -D INTERLEAVE={interleave} -D ROW_HASHES={row_hashes} -D LOOKUP_GAP={gap} \
                 -D SCRATCH_PER_ITEM={}",
                u32::from(piece)
            ),
        }
    }

    /// Nonces that a work item tries at a time.
    pub(super) fn nonces_per_item(self) -> u64 {
        u64::from(self.scrypt.map_or(self.lanes, Scrypt::hashes))
    }

    /// Work items of a launch over `count` nonces, in whole groups of `group` items.
    pub(super) fn items(self, count: u64, group: usize) -> usize {
        let items = usize::try_from(count.div_ceil(self.nonces_per_item())).expect("a launch's items are addressable");
        items.min(self.scrypt.map_or(usize::MAX, |scrypt| scrypt.items)).next_multiple_of(group)
    }

    /// Words of scratch memory that all items of a launch need together.
    pub(super) fn scratch_words(self) -> usize {
        self.scrypt.map_or(0, |shape| scratch::words(u64::from(shape.hashes()), shape.gap) * shape.items)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lanes, group, scrypt } = self;
        match scrypt {
            None => write!(f, "{lanes} lanes, groups of {group}"),
            Some(Scrypt { interleave, row_hashes, gap, items, .. }) => {
                write!(f, "{interleave} x {row_hashes} hashes, lookup gap {gap}, {items} items in groups of {group}")
            }
        }
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
