//! An open card, and what becomes of it when it fails.

use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use cudarc::driver::CudaContext;
use cudarc::driver::sys::CUctx_flags;
use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;

use super::fault::{Doing as _, Fault};
use super::kernel::{Loaded, Search};
use super::render::Renderer;
use super::shape::{Shape, Variant};
use super::slot::{Constants, Slot};
use super::{Found, driver, image};
use crate::backend::{Device, DeviceError, DeviceInfo, OpenOptions};
use crate::cache::Key;
use crate::job::Job;
use crate::search::{SLOTS, recheck, search};
use crate::tune;

/// What a measurement of one shape takes at least.
const TUNING_RUN: Duration = Duration::from_millis(20);
/// What ends it, even if it did not keep all of the card busy.
const TUNING_RUN_MAX: Duration = Duration::from_millis(250);
/// Slices one after another that needed a new context, until the card is given up.
const RENEWALS_MAX: u32 = 3;

/// An open card with the kernels that were needed so far.
pub struct Cuda {
    found: Found,
    options: OpenOptions,
    session: Option<Session>,
    /// What was loaded last. A new context, or one that searched in between, loads it again.
    task: Option<Arc<Task>>,
    renewals_in_a_row: u32,
    errors: u64,
}

impl Cuda {
    pub(super) fn open(found: Found, options: OpenOptions) -> Result<Self, Fault> {
        let session = Session::new(&found)?;
        driver::leave_context()?;
        Ok(Self { found, options, session: Some(session), task: None, renewals_in_a_row: 0, errors: 0 })
    }

    /// The context, a new one if the last one was given up.
    fn session(&mut self) -> Result<&mut Session, Fault> {
        let session = match self.session.take() {
            Some(session) => session,
            None => Session::new(&self.found)?,
        };
        Ok(self.session.insert(session))
    }

    fn load(&mut self, algorithm: Algorithm) -> Result<(), Fault> {
        let (found, options) = (self.found.clone(), self.options.clone());
        self.session()?.load(algorithm, &found, &options)?;
        if self.options.cache.is_some() {
            self.options.tune = false; // once a run; a new context takes what was kept
        }
        Ok(())
    }

    fn scan_once(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), Fault> {
        self.load(scan.algorithm())?;
        let job = Job::new(scan);
        let mut candidates = Vec::new();
        self.session()?.search(scan.algorithm(), &job, nonces, &mut candidates)?;
        self.errors += recheck(scan, nonces, &candidates, |hash| job.passes(hash), hits);
        Ok(())
    }

    fn renderer(&mut self, task: &Arc<Task>) -> Result<(), Fault> {
        let (found, options) = (self.found.clone(), self.options.clone());
        self.session()?.load_task(task, &found, &options)
    }

    fn run_once(&mut self, task: &Arc<Task>, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.renderer(task)?;
        self.session()?.render(elements, out)
    }

    /// Does it, and once more in a new context where the card failed at it and may yet work.
    fn renewing(&mut self, mut done: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        let first = match done(self) {
            Ok(()) => {
                self.renewals_in_a_row = 0;
                return Ok(());
            }
            Err(fault) => fault,
        };
        self.close(&first);
        if !first.may_pass() || self.renewals_in_a_row >= RENEWALS_MAX {
            return Err(first);
        }
        self.renewals_in_a_row += 1;
        tracing::warn!("{}: {first}; it gets a new context", self.found.info.id());
        done(self).map_err(|again| {
            self.close(&again);
            Fault::Twice { first: Box::new(first), again: Box::new(again) }
        })
    }

    /// Lets go of the context that failed so and of all that was made in it.
    fn close(&mut self, fault: &Fault) {
        let Some(session) = self.session.take() else { return };
        let is_silent = |fault: &Fault| matches!(fault, Fault::Silent(_));
        // The driver waits without end for a card that does not answer, so what such a card holds is left to it.
        if is_silent(fault) || session.slots.iter().any(|slot| slot.wait().is_err_and(|fault| is_silent(&fault))) {
            mem::forget(session);
        }
    }

    fn error(&self, fault: &Fault) -> DeviceError {
        DeviceError { device: self.found.info.id(), reason: fault.to_string() }
    }
}

impl Device for Cuda {
    fn info(&self) -> &DeviceInfo {
        &self.found.info
    }

    fn prepare(&mut self, algorithm: Algorithm) -> Result<(), DeviceError> {
        self.renewing(|card| card.load(algorithm)).map_err(|fault| self.error(&fault))
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        self.renewing(|card| card.scan_once(scan, nonces, hits)).map_err(|fault| self.error(&fault))
    }

    fn can(&self, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Hash | Kind::Render => image::can(&self.found),
        }
    }

    fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
        self.can(task.kind()).map_err(|reason| DeviceError { device: self.found.info.id(), reason })?;
        self.task = None;
        self.renewing(|card| card.renderer(task)).map_err(|fault| self.error(&fault))?;
        self.task = Some(Arc::clone(task));
        Ok(())
    }

    fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let Some(task) = self.task.clone() else {
            return Err(DeviceError { device: self.found.info.id(), reason: "no task is loaded".to_owned() });
        };
        let (first, last) = (elements.start, elements.end);
        assert!(first <= last && last <= task.elements(), "elements {first} to {last} of {}", task.elements());
        let before = out.len();
        self.renewing(|card| {
            let done = card.run_once(&task, first..last, out);
            if done.is_err() {
                out.truncate(before);
            }
            done
        })
        .map_err(|fault| self.error(&fault))
    }

    fn hardware_errors(&self) -> u64 {
        self.errors
    }
}

/// A context and all that was made in it.
struct Session {
    context: Arc<CudaContext>,
    slots: [Slot; SLOTS],
    kernels: Vec<Loaded>,
    renderer: Option<Renderer>,
}

impl Session {
    /// A context of this program's own on the card, in which waiting threads sleep, with its streams.
    fn new(found: &Found) -> Result<Self, Fault> {
        let ordinal = usize::try_from(found.ordinal.number()).expect("a list's length is an address");
        // The driver takes its flags as a number.
        let flags = CUctx_flags::CU_CTX_SCHED_BLOCKING_SYNC as u32;
        let context = CudaContext::new_non_primary(ordinal, flags).doing("making a context")?;
        let slots = [Slot::new(&context)?, Slot::new(&context)?];
        Ok(Self { context, slots, kernels: Vec::new(), renderer: None })
    }

    /// Loads and shapes an algorithm's kernel, unless it is. One that wants all the memory there is gets a scene's too.
    fn load(&mut self, algorithm: Algorithm, found: &Found, options: &OpenOptions) -> Result<(), Fault> {
        if Variant::is_hungry(algorithm) {
            self.release_renderer()?;
        }
        if self.kernels.iter().any(|kernel| kernel.algorithm == algorithm) {
            return Ok(());
        }
        let memory_bytes = self.memory_bytes(options)?;
        let text = (options.sources)(algorithm).text;
        let limit = format!("{:?}", options.memory_max);
        let key = Key::new("cuda-shape").with(text).with(&found.info.name).with(&found.info.driver).with(limit);
        if let Some(kept) = options.cache.get(&key).filter(|_| !options.tune)
            && let Ok(shape) = serde_json::from_slice(&kept)
            && let Some(kernel) = Loaded::kept(&self.context, found, options, (algorithm, shape), memory_bytes)?
        {
            self.kernels.push(kernel);
            return Ok(());
        }
        let mut candidates = Loaded::candidates(&self.context, found, options, algorithm, memory_bytes)?;
        let shape = self.tune(&candidates, &found.info.id())?;
        // The hungriest shape that was tried may want more than the one that is kept.
        self.slots.iter_mut().for_each(Slot::release_scratch);
        options.cache.put(&key, &serde_json::to_vec(&shape).expect("a shape is plain data"));
        candidates.retain(|kernel| kernel.shape == shape);
        self.kernels.extend(candidates.pop());
        Ok(())
    }

    /// Makes ready to render a task, unless it is. What another task or searches hold of the card's memory is freed before.
    fn load_task(&mut self, task: &Arc<Task>, found: &Found, options: &OpenOptions) -> Result<(), Fault> {
        if self.renderer.as_ref().is_some_and(|renderer| renderer.is_of(task)) {
            return Ok(());
        }
        self.slots.iter_mut().for_each(Slot::release_scratch);
        self.release_renderer()?;
        let memory_bytes = self.memory_bytes(options)?;
        let queues = self.slots.each_ref().map(Slot::queue);
        self.renderer = Some(Renderer::new(&self.context, queues, found, options, task, memory_bytes)?);
        Ok(())
    }

    /// Gives back what a task's scene and results take, and waits until the card has it again.
    fn release_renderer(&mut self) -> Result<(), Fault> {
        if self.renderer.take().is_none() {
            return Ok(());
        }
        for queue in self.slots.each_ref().map(Slot::queue) {
            queue.mark()?;
            queue.wait("freeing memory")?;
            queue.stream().synchronize().doing("freeing memory")?; // at which freed memory is the card's again
        }
        Ok(())
    }

    fn render(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let renderer = self.renderer.as_mut().expect("a task is loaded before its elements are rendered");
        renderer.run(self.slots.each_ref().map(Slot::queue), elements, out)
    }

    /// The card's memory that scratch or a scene may take: what is free but a tenth, which the driver and others want, and no more than
    /// the user allows.
    fn memory_bytes(&self, options: &OpenOptions) -> Result<u64, Fault> {
        let (free, _) = self.context.mem_get_info().doing("asking for free memory")?;
        Ok((free as u64 / 10 * 9).min(options.memory_max.unwrap_or(u64::MAX)))
    }

    /// Finds the fastest shape. A card that breaks at it has no fastest one.
    fn tune(&mut self, candidates: &[Loaded], id: &str) -> Result<Shape, Fault> {
        let shapes: Vec<Shape> = candidates.iter().map(|kernel| kernel.shape).collect();
        let mut broken = None;
        let shape = tune::fastest(id, &shapes, |shape| {
            if broken.is_some() {
                return Err("not tried".to_owned());
            }
            let kernel = candidates.iter().find(|kernel| kernel.shape == shape).expect("a candidate's shape");
            self.hashes_a_second(kernel).map_err(|fault| {
                let text = fault.to_string();
                broken = Some(fault).filter(|fault| !fault.is_refusal());
                text
            })
        });
        match broken {
            Some(fault) => Err(fault),
            None => shape.map_err(Fault::Kernel),
        }
    }

    fn hashes_a_second(&mut self, kernel: &Loaded) -> Result<f64, Fault> {
        let job = Job::new(&Scan::new(kernel.algorithm, &[0x5a; 80], [0; 32]));
        let mut run = Search { kernel, constants: Constants::new(&job), slots: &mut self.slots };
        let (first, filling) = kernel.shape.measured();
        tune::rate(&mut run, &tune::Run { first, filling, least: TUNING_RUN, most: TUNING_RUN_MAX })
    }

    fn search(
        &mut self,
        algorithm: Algorithm,
        job: &Job,
        nonces: Nonces,
        candidates: &mut Vec<u32>,
    ) -> Result<(), Fault> {
        let kernel = self.kernels.iter().find(|kernel| kernel.algorithm == algorithm);
        let kernel = kernel.expect("a search's kernel was loaded before it");
        let mut run = Search { kernel, constants: Constants::new(job), slots: &mut self.slots };
        search(&mut run, nonces, candidates)
    }
}
