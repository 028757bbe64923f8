//! The renderer's kernel on a device: compiled for its kind, holding one scene, rendering elements of one picture.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use lode_kinds::range::Task;
use lode_kinds::render::BLOCK_PIXELS;
use ocl::Result;
use ocl::core::{self, ArgVal, DeviceId, DeviceInfo as Ask, DeviceInfoResult as Answer, Event, Kernel, MemFlags};
use ocl::flags::DeviceFpConfig;

use super::Handles;
use super::program::Built;
use crate::backend::OpenOptions;
use crate::cache::Cache;
use crate::launches::{Launches, SLOTS};

/// Work items in a group.
const GROUP: usize = 64;

/// What single precision has to be like for the kernel to compute what the reference computes.
const NEEDED: [(DeviceFpConfig, &str); 3] = [
    (DeviceFpConfig::FMA, "fused multiply-add"),
    (DeviceFpConfig::DENORM, "denormal numbers"),
    (DeviceFpConfig::CORRECTLY_ROUNDED_DIVIDE_SQRT, "correctly rounded division"),
];

/// What the device's single precision lacks.
pub(super) fn missing(device: DeviceId) -> Option<&'static str> {
    let has = match core::get_device_info(device, Ask::SingleFpConfig) {
        Ok(Answer::SingleFpConfig(has)) => has,
        _ => DeviceFpConfig::empty(),
    };
    NEEDED.iter().find(|(need, _)| !has.contains(*need)).map(|(_, name)| *name)
}

/// The renderer's kernel, compiled for a device.
#[derive(Clone)]
pub(super) struct Compiled {
    handles: Handles,
    kernel: Kernel,
}

impl Compiled {
    /// Compiles it, or takes it from the cache. A ray is tested against eight boxes or triangles at once, as CPUs like it,
    /// or against one after the other; the results do not depend on it.
    pub(super) fn new(handles: &Handles, options: &OpenOptions) -> Result<Self> {
        match Self::with_cache(handles, options, &options.cache) {
            // What a cache kept may build and yet not run; the source has the last word.
            Err(error) if options.cache.is_some() => {
                tracing::debug!("{}: {}; once more from the source", handles.info.id(), super::one_line(&error));
                Self::with_cache(handles, options, &Cache::none())
            }
            made => made,
        }
    }

    fn with_cache(handles: &Handles, options: &OpenOptions, cache: &Cache) -> Result<Self> {
        let lanes = if handles.traits.is_cpu { 8 } else { 1 };
        let flags = format!("-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt -D VEC={lanes}");
        let built = Built::new(handles, options.renderer, &flags, cache)?;
        let kernel = core::create_kernel(&built.program, options.renderer.entry)?;
        let compiled = Self { handles: handles.clone(), kernel };
        // Some drivers finish compiling only when they see the size of a group: one of items that all are beyond the end.
        let nothing = buffer(handles, 64)?;
        compiled.tell(&nothing, &[0; 8])?;
        compiled.enqueue(0, 0, &nothing)?;
        core::finish(&handles.queue)?;
        built.keep(cache);
        Ok(compiled)
    }

    fn tell(&self, scene: &core::Mem, settings: &[u32; 8]) -> Result<()> {
        core::set_kernel_arg(&self.kernel, 0, ArgVal::mem(scene))?;
        // SAFETY: the kernel's second argument is a struct of exactly these words; the driver copies them.
        let argument = unsafe { ArgVal::from_raw(size_of_val(settings), settings.as_ptr().cast(), false) };
        Ok(core::set_kernel_arg(&self.kernel, 1, argument)?)
    }

    /// Queues elements; `out` has room for their numbers.
    fn enqueue(&self, first: u32, count: u32, out: &core::Mem) -> Result<()> {
        core::set_kernel_arg(&self.kernel, 2, ArgVal::scalar(&first))?;
        core::set_kernel_arg(&self.kernel, 3, ArgVal::scalar(&count))?;
        core::set_kernel_arg(&self.kernel, 4, ArgVal::mem(out))?;
        let items = (count as usize * BLOCK_PIXELS as usize).max(GROUP);
        let group = Some([GROUP, 1, 1]);
        // SAFETY: the arguments are those of the kernel's signature. Each of its items reads the scene, in which every
        // index was checked, and writes its own numbers, for which `out` has room; items beyond `count` do nothing.
        unsafe {
            core::enqueue_kernel(
                &self.handles.queue,
                &self.kernel,
                1,
                None,
                &[items, 1, 1],
                group,
                None::<()>,
                None::<()>,
            )?;
        }
        Ok(())
    }
}

/// A launch in flight, or none: where its numbers are, and where they arrive.
struct Slot {
    out: core::Mem,
    out_bytes: usize,
    bytes: Vec<u8>,
    arrival: Option<Event>,
}

/// A device with a scene.
pub(super) struct Renderer {
    compiled: Compiled,
    task: Arc<Task>,
    launches: Launches,
    slots: [Slot; SLOTS],
    /// Held as long as the kernel may read it.
    _scene: core::Mem,
}

impl Renderer {
    /// Copies a task's scene to the device.
    pub(super) fn new(compiled: &Compiled, task: &Arc<Task>) -> Result<Self> {
        let Some((scene, settings)) = task.render() else {
            return Err(format!("a task of kind {} has no scene", task.kind()).into());
        };
        let Compiled { handles, .. } = compiled;
        let (takes, has) = (task.memory_bytes(), handles.traits.memory_bytes);
        let most = handles.traits.buffer_bytes_max.min(has / 10 * 9);
        if takes > most {
            return Err(format!("the scene takes {takes} bytes of memory; the device has room for {most}").into());
        }
        let words = scene.words();
        let flags = MemFlags::new().read_only().copy_host_ptr();
        // SAFETY: the driver copies the words, and as many as there are, before it returns.
        let scene = unsafe { core::create_buffer(&handles.context, flags, words.len(), Some(words))? };
        compiled.tell(&scene, &settings.words())?;
        let slot =
            || Ok::<_, ocl::Error>(Slot { out: buffer(handles, 4)?, out_bytes: 4, bytes: Vec::new(), arrival: None });
        Ok(Self {
            compiled: compiled.clone(),
            task: Arc::clone(task),
            launches: Launches::of(settings),
            slots: [slot()?, slot()?],
            _scene: scene,
        })
    }

    /// The task that is loaded.
    pub(super) const fn task(&self) -> &Arc<Task> {
        &self.task
    }

    /// Whether this very task is loaded.
    pub(super) fn has(&self, task: &Arc<Task>) -> bool {
        Arc::ptr_eq(&self.task, task)
    }

    /// Appends the bytes of elements.
    pub(super) fn run(&mut self, elements: Range<u32>, out: &mut Vec<u8>) -> Result<()> {
        let mut next = elements.start;
        let mut flying = std::collections::VecDeque::with_capacity(SLOTS);
        let mut before = Instant::now();
        loop {
            while flying.len() < SLOTS && next < elements.end {
                let count = self.launches.count().min(elements.end - next);
                // Of few elements, both slots get a part.
                let count = if flying.is_empty() { count.min((elements.end - next).div_ceil(2)) } else { count };
                let slot = (0..SLOTS).find(|slot| self.slots[*slot].arrival.is_none()).expect("one of them is free");
                self.start(slot, next, count)?;
                flying.push_back((slot, count));
                next += count;
            }
            let Some((slot, count)) = flying.pop_front() else { return Ok(()) };
            let Slot { arrival, bytes, .. } = &mut self.slots[slot];
            if let Some(event) = arrival.take() {
                core::wait_for_event(&event)?;
            }
            out.extend_from_slice(bytes);
            let now = Instant::now();
            self.launches.record(count, now - before);
            before = now;
        }
    }

    fn start(&mut self, slot: usize, first: u32, count: u32) -> Result<()> {
        let Slot { out, out_bytes, bytes, arrival } = &mut self.slots[slot];
        let length = count as usize * self.task.element_bytes();
        if *out_bytes < length {
            *out = buffer(&self.compiled.handles, length)?;
            *out_bytes = length;
        }
        bytes.resize(length, 0);
        self.compiled.enqueue(first, count, out)?;
        let queue = &self.compiled.handles.queue;
        let mut event = Event::null();
        // SAFETY: the bytes are on the heap, and stay there untouched until the event's end: `run` waits for it before it
        // uses the slot again, and so does `drop` for all that is queued.
        unsafe { core::enqueue_read_buffer(queue, &*out, false, 0, &mut bytes[..], None::<()>, Some(&mut event))? };
        *arrival = Some(event);
        core::flush(queue)?;
        Ok(())
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        if core::finish(&self.compiled.handles.queue).is_err() {
            // A failed device may still write where its launches were to report, so that memory is never given back.
            for slot in &mut self.slots {
                Vec::leak(std::mem::take(&mut slot.bytes));
            }
        }
    }
}

/// A buffer that only the device reads and writes, or that it copies to the host.
fn buffer(handles: &Handles, bytes: usize) -> Result<core::Mem> {
    // SAFETY: no host memory is given.
    let made = unsafe { core::create_buffer::<_, u8>(&handles.context, MemFlags::new().read_write(), bytes, None) };
    Ok(made?)
}
