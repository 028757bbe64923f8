//! The renderer's kernel on a card: one task's scene in its memory, and launches over strips of its elements.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use cudarc::driver::sys::CUdevice_attribute as Attribute;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, DeviceRepr, LaunchConfig, PinnedHostSlice, PushKernelArg as _,
};
use lode_kinds::range::Task;
use lode_kinds::render::BLOCK_PIXELS;

use super::fault::{Doing as _, Fault};
use super::queue::Queue;
use super::{Found, image};
use crate::backend::OpenOptions;
use crate::launches::{Launches, SLOTS};

/// Threads of a block: four rows of an element's pixels. Short blocks free their registers early where paths differ in length.
const BLOCK: u32 = 64;
/// Bytes that a launch yields at most, unless a single element has more.
const STRIP_BYTES_MAX: u64 = 8 << 20;

/// A card with the renderer's kernel and one task.
pub(super) struct Renderer {
    task: Arc<Task>,
    function: CudaFunction,
    scene: CudaSlice<u32>,
    settings: SettingsWords,
    strips: [Strip; SLOTS],
    launches: Launches,
    /// Elements of a launch at most: as many as a strip has room for.
    count_max: u32,
}

/// A picture's settings as the kernel's argument.
#[derive(Clone, Copy)]
#[repr(C)]
struct SettingsWords([u32; 8]);

// SAFETY: plain words.
unsafe impl DeviceRepr for SettingsWords {}

impl Renderer {
    /// Loads the kernel and copies the task's scene to the card, in the first queue.
    ///
    /// # Errors
    /// When the card fails, or all that the task takes there is more than `memory_bytes`.
    pub(super) fn new(
        context: &Arc<CudaContext>,
        queues: [&Queue; SLOTS],
        found: &Found,
        options: &OpenOptions,
        task: &Arc<Task>,
        memory_bytes: u64,
    ) -> Result<Self, Fault> {
        let Some((scene, settings)) = task.render() else {
            return Err(Fault::Kernel(format!("there is no kernel of kind {}", task.kind())));
        };
        let function = image::load(context, found, options, &options.renderer, &[])?;
        let limit = function.max_threads_per_block().doing("asking for the longest block")?;
        if u32::try_from(limit).unwrap_or(0) < BLOCK {
            return Err(Fault::Kernel(format!("the card runs {limit} threads of the renderer a block, not {BLOCK}")));
        }
        let element_words = settings.element_numbers() as u64;
        let count_max = (STRIP_BYTES_MAX / (4 * element_words)).clamp(1, task.elements());
        let words = scene.words();
        let strip_words = count_max * element_words;
        let needed_bytes = 4 * (words.len() as u64 + SLOTS as u64 * strip_words) + stack_bytes(context, &function)?;
        if needed_bytes > memory_bytes {
            let what = "the scene, its results and the kernel's stacks";
            return Err(Fault::Memory { what, needed_bytes, free_bytes: Some(memory_bytes) });
        }
        let mut copy = queues[0].allocate(words.len() as u64, "the scene")?;
        queues[0].stream().memcpy_htod(words, &mut copy).doing("copying the scene")?;
        queues[0].mark()?;
        let strips = [Strip::new(context, queues[0], strip_words)?, Strip::new(context, queues[1], strip_words)?];
        queues[0].wait("copying the scene")?;
        Ok(Self {
            task: Arc::clone(task),
            function,
            scene: copy,
            settings: SettingsWords(settings.words()),
            strips,
            launches: Launches::of(settings),
            count_max: u32::try_from(count_max).unwrap_or(u32::MAX),
        })
    }

    /// Whether this is the task that was loaded.
    pub(super) fn is_of(&self, task: &Arc<Task>) -> bool {
        Arc::ptr_eq(&self.task, task)
    }

    /// Appends the elements' bytes.
    ///
    /// # Errors
    /// When the card fails; some elements may be in `out` then.
    pub(super) fn run(
        &mut self,
        queues: [&Queue; SLOTS],
        elements: Range<u64>,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let place = |element: u64| u32::try_from(element).expect("a picture has less than 2^32 elements");
        let (mut next, end) = (place(elements.start), place(elements.end));
        let mut running = [None; SLOTS];
        let mut freed = Instant::now(); // when the card turned to the launch that is waited for
        for turn in (0..SLOTS).cycle() {
            // The one in this slot was started before the other.
            if let Some(count) = running[turn].take() {
                queues[turn].wait("rendering")?;
                let now = Instant::now();
                self.launches.record(count, now - freed);
                freed = now;
                self.strips[turn].give(self.task.element_bytes() * count as usize, out)?;
            }
            let count = self.launches.count().min(self.count_max).min(end - next);
            if count > 0 {
                self.start(turn, queues[turn], next, count)?;
                running[turn] = Some(count);
                next += count;
            } else if running.iter().all(Option::is_none) {
                break;
            }
        }
        Ok(())
    }

    /// Queues a launch over `count` elements and the copying after it.
    fn start(&mut self, slot: usize, queue: &Queue, first: u32, count: u32) -> Result<(), Fault> {
        let strip = &mut self.strips[slot];
        let blocks = count * (BLOCK_PIXELS / BLOCK);
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 };
        let mut launch = queue.stream().launch_builder(&self.function);
        launch.arg(&self.scene).arg(&self.settings).arg(&first).arg(&count).arg(&mut strip.out);
        // SAFETY: the arguments are those of the kernel's signature. Its threads read the scene, in which every index was
        // checked, and write the numbers of `count` elements, for which `out` has room.
        unsafe { launch.launch(config) }.doing("launching the kernel")?;
        let words = self.task.element_bytes() / 4 * count as usize;
        queue.stream().memcpy_dtoh(&strip.out.slice(..words), &mut strip.arrived).doing("copying what was rendered")?;
        queue.mark()
    }
}

/// Memory that the driver sets aside for the kernel's local variables: those of all threads that the card can hold.
fn stack_bytes(context: &CudaContext, function: &CudaFunction) -> Result<u64, Fault> {
    let of_thread = function.local_size_bytes().doing("asking for the kernel's local memory")?;
    let ask = |attribute| context.attribute(attribute).doing("asking for the card's attributes");
    let units = ask(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    let threads = ask(Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR)?;
    Ok([of_thread, units, threads].map(|number| u64::try_from(number).unwrap_or(0)).iter().product())
}

/// The results of one launch, on the card and in host memory that the card writes to itself.
struct Strip {
    out: CudaSlice<u32>,
    arrived: PinnedHostSlice<u32>,
}

impl Strip {
    fn new(context: &Arc<CudaContext>, queue: &Queue, words: u64) -> Result<Self, Fault> {
        let out = queue.allocate(words, "what is rendered")?;
        let length = out.len();
        // Plain pinned memory: write-combined memory would be slow to read.
        // SAFETY: nothing reads the words before they are set below.
        let mut arrived = unsafe { context.alloc_pinned_with_flags::<u32>(length, 0) }.doing("pinning host memory")?;
        let words = arrived.as_mut_ptr().doing("pinning host memory")?;
        // SAFETY: the memory has as many words and is ours alone.
        unsafe { words.write_bytes(0, length) };
        Ok(Self { out, arrived })
    }

    /// Appends the first bytes of what arrived.
    fn give(&self, bytes: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let words = &self.arrived.as_slice().doing("reading what was rendered")?[..bytes / 4];
        let before = out.len();
        out.resize(before + bytes, 0);
        for (place, word) in out[before..].as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::RENDER;

    #[test]
    fn the_kernel_takes_the_words_that_settings_have() {
        let ptx = crate::source::Ptx::of(&RENDER, &[]).expect("it is carried");
        let parameter = format!("render_param_1[{}]", size_of::<SettingsWords>());
        assert!(ptx.text.contains(&parameter), "{} has no {parameter}", ptx.file);
    }
}
