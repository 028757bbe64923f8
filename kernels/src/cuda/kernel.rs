//! A kernel on a card: loaded, shaped, with its launches in flight.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaFunction};
use lode_kinds::hash::{Algorithm, Nonces};

use super::fault::Fault;
use super::shape::{Shape, Variant};
use super::slot::{Constants, Slot};
use super::{Found, image};
use crate::backend::OpenOptions;
use crate::search::{FOUND_WORDS, Launcher, SLOTS};

/// Nonces that one launch tries at most; the kernels count them in 32 bits.
pub(super) const LAUNCH_MAX: u64 = 1 << 30;

/// A loaded kernel and how it is launched.
pub(super) struct Loaded {
    pub(super) algorithm: Algorithm,
    pub(super) function: CudaFunction,
    pub(super) shape: Shape,
}

impl Loaded {
    /// The kernel in a shape that was found best before, if it can still run so.
    pub(super) fn kept(
        context: &Arc<CudaContext>,
        found: &Found,
        options: &OpenOptions,
        (algorithm, shape): (Algorithm, Shape),
        memory_bytes: u64,
    ) -> Result<Option<Self>, Fault> {
        let Some(shape) = shape.possible(algorithm).and_then(|shape| shape.within(memory_bytes)) else {
            return Ok(None);
        };
        let function = image::load(context, found, options, &(options.sources)(algorithm), &shape.defines())?;
        Ok(shape.suits(&function).then_some(Self { algorithm, function, shape }))
    }

    /// The kernel in every shape that may be the best.
    pub(super) fn candidates(
        context: &Arc<CudaContext>,
        found: &Found,
        options: &OpenOptions,
        algorithm: Algorithm,
        memory_bytes: u64,
    ) -> Result<Vec<Self>, Fault> {
        let mut candidates = Vec::new();
        let mut lacking = None;
        for variant in Variant::all(algorithm) {
            let source = (options.sources)(algorithm);
            let function = image::load(context, found, options, &source, &variant.defines())?;
            match Shape::candidates(&function, variant, memory_bytes) {
                Ok(shapes) => {
                    let loaded = |shape| Self { algorithm, function: function.clone(), shape };
                    candidates.extend(shapes.into_iter().map(loaded));
                }
                // Another variant may need less.
                Err(fault @ Fault::Memory { .. }) => lacking = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        match lacking {
            Some(fault) if candidates.is_empty() => Err(fault),
            _ => Ok(candidates),
        }
    }
}

/// A search in the making: a kernel with its constants on a card's slots.
pub(super) struct Search<'a> {
    pub(super) kernel: &'a Loaded,
    pub(super) constants: Constants,
    pub(super) slots: &'a mut [Slot; SLOTS],
}

impl Launcher for Search<'_> {
    type Error = Fault;

    fn launch_max(&self) -> u64 {
        LAUNCH_MAX
    }

    fn start(&mut self, slot: usize, nonces: Nonces) -> Result<(), Fault> {
        self.slots[slot].start(self.kernel, &self.constants, nonces)
    }

    fn finish(&mut self, slot: usize) -> Result<&[u32; FOUND_WORDS], Fault> {
        self.slots[slot].wait()?;
        self.slots[slot].words()
    }
}
