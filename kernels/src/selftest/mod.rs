//! Whether a device computes what the reference defines: the vectors that it must reproduce before it is given work.

mod hash;
mod render;

use lode_kinds::Kind;
use lode_kinds::hash::Algorithm;

pub use self::hash::self_test;
use crate::backend::{Device, DeviceError};

/// Nonces that a failure's message lists at most.
const LISTED_MAX: usize = 8;

/// Why a device gets no work.
#[derive(Debug, thiserror::Error)]
pub enum SelfTestFailure {
    /// It cannot do the kind at all.
    #[error("{0}")]
    Cannot(String),
    /// It failed to compute at all.
    #[error("self-test vector {vector:?}: {error}")]
    Device {
        /// The vector's name.
        vector: String,
        /// What the device's driver says.
        #[source]
        error: DeviceError,
    },
    /// It found other nonces than the reference.
    #[error("self-test vector {vector:?}: expected {}, found {}", list(expected), list(found))]
    Wrong {
        /// The vector's name.
        vector: String,
        /// The nonces that the reference finds.
        expected: Vec<u32>,
        /// The nonces that the device found.
        found: Vec<u32>,
    },
    /// It reported nonces that the host's recheck refuted.
    #[error("self-test vector {vector:?}: the device reported {count} nonces that are no hits")]
    Refuted {
        /// The vector's name.
        vector: String,
        /// How many.
        count: u64,
    },
    /// It made another element than the reference.
    #[error("self-test vector {vector:?}: element {element} has digest {found}, expected {expected}")]
    Element {
        /// The vector's name.
        vector: String,
        /// The first element that differs.
        element: u64,
        /// BLAKE3 of what the reference makes of it.
        expected: String,
        /// BLAKE3 of what the device makes of it.
        found: String,
    },
}

fn list(nonces: &[u32]) -> String {
    let listed: Vec<String> = nonces.iter().take(LISTED_MAX).map(u32::to_string).collect();
    let more = if nonces.len() > LISTED_MAX { ", ..." } else { "" };
    format!("{} nonces [{}{more}]", nonces.len(), listed.join(", "))
}

/// Runs every vector of the kind on the device.
///
/// # Errors
/// When the device cannot do the kind, or at the first vector that it does not reproduce.
pub fn self_test_kind(device: &mut dyn Device, kind: Kind) -> Result<(), SelfTestFailure> {
    device.can(kind).map_err(SelfTestFailure::Cannot)?;
    match kind {
        Kind::Hash => Algorithm::ALL.iter().try_for_each(|algorithm| self_test(device, *algorithm)),
        Kind::Render => render::self_test(device),
    }
}
