//! A kernel on a device: compiled for a shape, with its arguments, its buffers and its launches in flight.

use lode_kinds::hash::{Algorithm, Nonces, Scan};
use ocl::Result;
use ocl::core::{self, ArgVal, Event, Kernel, KernelWorkGroupInfo, KernelWorkGroupInfoResult, MemFlags};

use super::Handles;
use super::program::Built;
use super::shape::Shape;
use crate::backend::OpenOptions;
use crate::cache::Cache;
use crate::job::Job;
use crate::search::{FOUND_MAX, FOUND_WORDS, Launcher, SLOTS};

/// Nonces that one launch tries at most; the kernels count them in 32 bits.
const LAUNCH_MAX: u64 = 1 << 30;

/// A launch in flight, or none: where its words arrive, and the event of their arrival.
struct Slot {
    found: core::Mem,
    words: Box<[u32; FOUND_WORDS]>,
    arrival: Option<Event>,
}

/// A compiled kernel, ready to search.
pub(super) struct Loaded {
    kernel: Kernel,
    shape: Shape,
    /// Work items in a group: the shape's, or fewer where the compiled kernel allows no more.
    group: usize,
    slots: [Slot; SLOTS],
    scratch: Option<core::Mem>,
    current: Option<(Scan, Job)>,
    handles: Handles,
}

impl Loaded {
    /// Compiles the algorithm's kernel for `shape`, or takes it from the cache, and makes its buffers.
    pub(super) fn new(handles: &Handles, algorithm: Algorithm, shape: Shape, options: &OpenOptions) -> Result<Self> {
        match Self::with_cache(handles, algorithm, shape, options) {
            // What a cache kept may build and yet not run; the source has the last word.
            Err(error) if options.cache.is_some() => {
                tracing::debug!("{}: {}; once more from the source", handles.info.id(), super::one_line(&error));
                let options = OpenOptions { cache: Cache::none(), ..options.clone() };
                Self::with_cache(handles, algorithm, shape, &options)
            }
            made => made,
        }
    }

    fn with_cache(handles: &Handles, algorithm: Algorithm, shape: Shape, options: &OpenOptions) -> Result<Self> {
        let (source, cache) = ((options.sources)(algorithm), &options.cache);
        let built = Built::new(handles, source, &flags(&shape.defines()), cache)?;
        let kernel = core::create_kernel(&built.program, source.entry)?;
        let asked = core::get_kernel_work_group_info(&kernel, handles.device, KernelWorkGroupInfo::WorkGroupSize)?;
        let group = match asked {
            KernelWorkGroupInfoResult::WorkGroupSize(items) => shape.group.min(items.max(1)),
            _ => 1,
        };
        let scratch = match shape.scratch_words(group) {
            0 => None,
            words => Some(buffer(handles, words)?),
        };
        let slot = || -> Result<Slot> {
            let words = Box::new([0; FOUND_WORDS]);
            Ok(Slot { found: buffer(handles, FOUND_WORDS)?, words, arrival: None })
        };
        let slots = [slot()?, slot()?];
        let handles = handles.clone();
        let mut loaded = Self { kernel, shape, group, slots, scratch, current: None, handles };
        // Some drivers finish compiling only when they see the size of a group.
        loaded.load(&Scan::new(algorithm, &[0; 80], [0; 32]))?;
        loaded.start(0, Nonces::new(0, 1).expect("one nonce"))?;
        loaded.finish(0)?;
        built.keep(cache);
        Ok(loaded)
    }

    /// A launch that is worth measuring: a few nonces an item that the device runs at once.
    pub(super) fn launch_min(&self) -> u64 {
        self.shape.nonces_per_item() * 64
    }

    /// Sets the search's constants, unless the kernel holds them already.
    pub(super) fn load(&mut self, scan: &Scan) -> Result<Job> {
        if let Some((current, job)) = &self.current
            && current == scan
        {
            return Ok(job.clone());
        }
        self.current = None;
        let job = Job::new(scan);
        let words = job.words();
        // SAFETY: the kernel's first argument is a struct of exactly these words; the driver copies them.
        let argument = unsafe { ArgVal::from_raw(size_of_val(words), words.as_ptr().cast(), false) };
        core::set_kernel_arg(&self.kernel, 0, argument)?;
        if let Some(scratch) = &self.scratch {
            core::set_kernel_arg(&self.kernel, 4, ArgVal::mem(scratch))?;
        }
        self.current = Some((*scan, job.clone()));
        Ok(job)
    }
}

impl Launcher for Loaded {
    type Error = ocl::Error;

    fn launch_max(&self) -> u64 {
        LAUNCH_MAX
    }

    fn start(&mut self, slot: usize, nonces: Nonces) -> Result<()> {
        let last_offset = u32::try_from(nonces.count() - 1).expect("a launch is no longer than LAUNCH_MAX");
        let items = self.shape.items(nonces.count(), self.group);
        let Slot { found, words, arrival } = &mut self.slots[slot];
        core::set_kernel_arg(&self.kernel, 1, ArgVal::scalar(&nonces.start()))?;
        core::set_kernel_arg(&self.kernel, 2, ArgVal::scalar(&last_offset))?;
        core::set_kernel_arg(&self.kernel, 3, ArgVal::mem(found))?;
        let queue = &self.handles.queue;
        core::enqueue_fill_buffer(queue, &*found, 0_u32, 0, 1, None::<()>, None::<()>, None)?;
        // SAFETY: the arguments are those of the kernel's signature; it writes `found` only within FOUND_MAX, and
        // `scratch` only within its items' lanes.
        unsafe {
            core::enqueue_kernel(
                queue,
                &self.kernel,
                1,
                None,
                &[items, 1, 1],
                Some([self.group, 1, 1]),
                None::<()>,
                None::<()>,
            )?;
        }
        let mut event = Event::null();
        // SAFETY: the words are on the heap, and stay there untouched until the event's end: `finish` waits for it, and
        // so does `drop` for all that is queued.
        unsafe {
            core::enqueue_read_buffer(queue, &*found, false, 0, &mut words[..], None::<()>, Some(&mut event))?;
        }
        *arrival = Some(event);
        core::flush(queue)?;
        Ok(())
    }

    fn finish(&mut self, slot: usize) -> Result<&[u32; FOUND_WORDS]> {
        let Slot { words, arrival, .. } = &mut self.slots[slot];
        if let Some(event) = arrival.take() {
            core::wait_for_event(&event)?;
        }
        Ok(words)
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        if core::finish(&self.handles.queue).is_err() {
            // A failed device may still write where its launches were to report, so that memory is never given back.
            for slot in &mut self.slots {
                Box::leak(std::mem::replace(&mut slot.words, Box::new([0; FOUND_WORDS])));
            }
        }
    }
}

/// A buffer of words that only the device reads and writes, or that it copies to the host.
fn buffer(handles: &Handles, words: usize) -> Result<core::Mem> {
    // SAFETY: no host memory is given.
    let made = unsafe { core::create_buffer::<_, u32>(&handles.context, MemFlags::new().read_write(), words, None) };
    Ok(made?)
}

fn flags(defines: &str) -> String {
    format!("-cl-std=CL1.2 -D FOUND_MAX={FOUND_MAX}u {defines}")
}
