//! A kernel on a card: loaded, shaped, with its launches in flight.

use cudarc::driver::CudaFunction;
use lode_kinds::hash::{Algorithm, Nonces};

use super::fault::Fault;
use super::shape::Shape;
use super::slot::{Constants, Slot};
use crate::search::{FOUND_WORDS, Launcher, SLOTS};

/// Nonces that one launch tries at most; the kernels count them in 32 bits.
pub(super) const LAUNCH_MAX: u64 = 1 << 30;

/// A loaded kernel and how it is launched.
pub(super) struct Loaded {
    pub(super) algorithm: Algorithm,
    pub(super) function: CudaFunction,
    pub(super) shape: Shape,
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
        let Loaded { algorithm, function, shape } = self.kernel;
        let last_offset = u32::try_from(nonces.count() - 1).expect("a launch is no longer than LAUNCH_MAX");
        let grid = (shape.blocks(*algorithm, nonces.count()), shape.block);
        self.slots[slot].start(function, grid, &self.constants, nonces.start(), last_offset)
    }

    fn finish(&mut self, slot: usize) -> Result<&[u32; FOUND_WORDS], Fault> {
        self.slots[slot].wait()?;
        self.slots[slot].words()
    }
}
