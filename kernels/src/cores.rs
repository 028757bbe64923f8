//! The host's cores as one device: what hashes fastest on them need not render fastest.

use std::ops::Range;
use std::sync::Arc;

use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use lode_kinds::{Kind, Shape};

use crate::backend::{Device, DeviceError, DeviceInfo};

/// Two devices that compute on the same cores, never both at once: one for searches, by which it is known, and one for
/// ranges.
pub(crate) struct Cores {
    searches: Box<dyn Device>,
    ranges: Box<dyn Device>,
}

impl Cores {
    pub(crate) fn new(searches: Box<dyn Device>, ranges: Box<dyn Device>) -> Self {
        Self { searches, ranges }
    }
}

impl Device for Cores {
    fn info(&self) -> &DeviceInfo {
        self.searches.info()
    }

    fn prepare(&mut self, algorithm: Algorithm) -> Result<(), DeviceError> {
        self.searches.prepare(algorithm)
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        self.searches.scan(scan, nonces, hits)
    }

    fn can(&self, kind: Kind) -> Result<(), String> {
        match kind.shape() {
            Shape::Search => self.searches.can(kind),
            Shape::Range => self.ranges.can(kind),
        }
    }

    fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
        self.ranges.load(task)
    }

    fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        self.ranges.run(elements, out)
    }

    fn hardware_errors(&self) -> u64 {
        self.searches.hardware_errors() + self.ranges.hardware_errors()
    }
}
