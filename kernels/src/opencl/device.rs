//! An open OpenCL device.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use ocl::Result;

use super::kernel::Loaded;
use super::render::{self, Compiled, Renderer};
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
    /// The renderer's kernel, once it was needed.
    compiled: Option<Compiled>,
    /// The task that was loaded last.
    renderer: Option<Renderer>,
}

impl OpenCl {
    pub(super) fn open(found: Found, options: OpenOptions) -> Result<Self> {
        let handles = Handles::new(&found, options.memory_max)?;
        Ok(Self {
            found,
            handles,
            options,
            loaded: Vec::new(),
            shapes: Vec::new(),
            errors: 0,
            compiled: None,
            renderer: None,
        })
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

    fn renderer(&mut self, task: &Arc<Task>) -> Result<&mut Renderer> {
        if !self.renderer.as_ref().is_some_and(|renderer| renderer.has(task)) {
            self.renderer = None;
            let _setup = one_at_a_time();
            let compiled = match self.compiled.take() {
                Some(compiled) => compiled,
                None => Compiled::new(&self.handles, &self.options)?,
            };
            let renderer = Renderer::new(&compiled, task);
            self.compiled = Some(compiled);
            self.renderer = Some(renderer?);
        }
        Ok(self.renderer.as_mut().expect("it was just made"))
    }

    /// Lets go of everything that was made on the device, and makes it anew.
    fn reopen(&mut self) -> Result<()> {
        self.loaded.clear();
        (self.compiled, self.renderer) = (None, None);
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

    fn can(&self, kind: Kind) -> std::result::Result<(), String> {
        match kind {
            Kind::Hash => Ok(()),
            Kind::Render => match render::missing(self.handles.device) {
                None => Ok(()),
                Some(missing) => Err(format!("the device has no {missing} in single precision")),
            },
        }
    }

    fn load(&mut self, task: &Arc<Task>) -> std::result::Result<(), DeviceError> {
        if self.can(task.kind()).is_err() {
            return Err(self.cannot(task.kind()));
        }
        self.renderer(task).map(drop).map_err(|error| self.error(&error))
    }

    fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> std::result::Result<(), DeviceError> {
        let id = self.handles.info.id();
        let Some(renderer) = &mut self.renderer else {
            return Err(DeviceError { device: id, reason: "no task is loaded".to_owned() });
        };
        let task = Arc::clone(renderer.task());
        let place = |element: u64| u32::try_from(element).ok().filter(|_| element <= task.elements());
        let (Some(first), Some(end)) = (place(elements.start), place(elements.end)) else {
            panic!("elements {elements:?} of {}", task.elements());
        };
        let begin = out.len();
        let Err(lost) = renderer.run(first..end, out) else { return Ok(()) };
        // A driver that failed once may only have lost its context.
        out.truncate(begin);
        tracing::warn!("{}; it is opened anew", self.error(&lost));
        let again = self.reopen().and_then(|()| self.renderer(&task)?.run(first..end, out));
        again.map_err(|error| {
            out.truncate(begin);
            self.error(&error)
        })
    }

    fn hardware_errors(&self) -> u64 {
        self.errors
    }
}
