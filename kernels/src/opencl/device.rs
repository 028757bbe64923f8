//! An open OpenCL device.

use std::time::Duration;

use lode_kinds::hash::{Algorithm, Nonces, Scan};
use ocl::Result;

use super::kernel::Loaded;
use super::shape::Shape;
use super::{Found, Handles, one_at_a_time, one_line};
use crate::backend::{Device, DeviceError, DeviceInfo, OpenOptions};
use crate::cache::Key;
use crate::search::{recheck, search};
use crate::tune;

/// What a measurement of one shape takes at least.
const TUNING_RUN: Duration = Duration::from_millis(60);

/// An open OpenCL device with the kernels that were needed so far.
pub struct OpenCl {
    found: Found,
    handles: Handles,
    options: OpenOptions,
    loaded: Vec<(Algorithm, Loaded)>,
    /// How the kernels that were needed so far are shaped, in whatever context.
    shapes: Vec<(Algorithm, Shape)>,
    errors: u64,
}

impl OpenCl {
    pub(super) fn open(found: Found, options: OpenOptions) -> Result<Self> {
        let handles = Handles::new(&found, options.memory_max)?;
        Ok(Self { found, handles, options, loaded: Vec::new(), shapes: Vec::new(), errors: 0 })
    }

    fn load(&mut self, algorithm: Algorithm) -> Result<&mut Loaded> {
        let index = match self.loaded.iter().position(|(of, _)| *of == algorithm) {
            Some(index) => index,
            None => {
                let _setup = one_at_a_time();
                let shape = self.shape(algorithm)?;
                let kernel = Loaded::new(&self.handles, algorithm, shape, &self.options)?;
                self.shapes.retain(|(of, _)| *of != algorithm);
                self.shapes.push((algorithm, shape));
                self.loaded.push((algorithm, kernel));
                self.loaded.len() - 1
            }
        };
        Ok(&mut self.loaded[index].1)
    }

    /// The shape that suits the device best: as tuned in this run, now or at an earlier start, or as its kind usually
    /// likes it.
    fn shape(&self, algorithm: Algorithm) -> Result<Shape> {
        if let Some((_, shape)) = self.shapes.iter().find(|(of, _)| *of == algorithm) {
            return Ok(*shape);
        }
        let Handles { info, traits, .. } = &self.handles;
        let source = (self.options.sources)(algorithm);
        let limit = format!("{:?}", self.options.memory_max);
        let key = Key::new("opencl-shape").with(source.text).with(&info.name).with(&info.driver).with(limit);
        if !self.options.tune {
            let kept = self.options.cache.get(&key).and_then(|kept| serde_json::from_slice(&kept).ok());
            // A shape of a card with other memory, or of another version, is found anew.
            if let Some(shape) = kept.filter(|shape| Shape::candidates(algorithm, traits).contains(shape)) {
                return Ok(shape);
            }
            // Compilers for CPUs take seconds for each shape, and the width of the CPU's registers says enough.
            if info.is_cpu {
                return Ok(Shape::usual(algorithm, traits));
            }
        }
        let shapes = Shape::candidates(algorithm, traits);
        let shape = tune::fastest(&info.id(), &shapes, |shape| self.hashes_a_second(algorithm, shape))?;
        self.options.cache.put(&key, &serde_json::to_vec(&shape).expect("a shape is plain data"));
        Ok(shape)
    }

    fn hashes_a_second(&self, algorithm: Algorithm, shape: Shape) -> Result<f64> {
        let mut kernel = Loaded::new(&self.handles, algorithm, shape, &self.options)?;
        kernel.load(&Scan::new(algorithm, &[0x5a; 80], [0; 32]))?;
        let run = tune::Run { first: kernel.launch_min(), filling: 0, least: TUNING_RUN, most: Duration::MAX };
        tune::rate(&mut kernel, &run)
    }

    fn scan_once(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<()> {
        let kernel = self.load(scan.algorithm())?;
        let job = kernel.load(scan)?;
        let mut candidates = Vec::new();
        search(kernel, nonces, &mut candidates)?;
        self.errors += recheck(scan, nonces, &candidates, |hash| job.passes(hash), hits);
        Ok(())
    }

    /// Lets go of everything that was made on the device, and makes it anew.
    fn reopen(&mut self) -> Result<()> {
        self.loaded.clear();
        let _setup = one_at_a_time();
        self.handles = Handles::new(&self.found, self.options.memory_max)?;
        Ok(())
    }

    fn error(&self, error: &ocl::Error) -> DeviceError {
        DeviceError { device: self.handles.info.id(), reason: one_line(error) }
    }
}

impl Device for OpenCl {
    fn info(&self) -> &DeviceInfo {
        &self.handles.info
    }

    fn prepare(&mut self, algorithm: Algorithm) -> std::result::Result<(), DeviceError> {
        self.load(algorithm).map(drop).map_err(|error| self.error(&error))
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> std::result::Result<(), DeviceError> {
        self.prepare(scan.algorithm())?;
        let begin = hits.len();
        let Err(first) = self.scan_once(scan, nonces, hits) else { return Ok(()) };
        // A driver that failed once may only have lost its context.
        hits.truncate(begin);
        tracing::warn!("{}; it is opened anew", self.error(&first));
        let again = self.reopen().and_then(|()| self.scan_once(scan, nonces, hits));
        again.map_err(|error| self.error(&error))
    }

    fn hardware_errors(&self) -> u64 {
        self.errors
    }
}
