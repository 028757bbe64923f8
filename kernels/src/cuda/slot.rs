//! A stream with the buffers of one launch: what it finds, on the card and in host memory that the card writes to itself.

use std::sync::Arc;

use cudarc::driver::{CudaContext, CudaSlice, DeviceRepr, LaunchConfig, PinnedHostSlice, PushKernelArg as _};
use lode_kinds::hash::Nonces;

use super::fault::{Doing as _, Fault};
use super::kernel::Loaded;
use super::queue::Queue;
use crate::job::Job;
use crate::search::FOUND_WORDS;

/// The longest struct by which a kernel takes its search's constants.
const JOB_WORDS_MAX: usize = 64;

/// A search's constants as a kernel's argument: the driver reads as many words as the kernel's struct has.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Constants([u32; JOB_WORDS_MAX]);

// SAFETY: plain words.
unsafe impl DeviceRepr for Constants {}

impl Constants {
    /// Those of a job.
    pub(super) fn new(job: &Job) -> Self {
        let mut words = [0; JOB_WORDS_MAX];
        words[..job.words().len()].copy_from_slice(job.words());
        Self(words)
    }
}

/// A stream with its buffers.
pub(super) struct Slot {
    queue: Queue,
    found: CudaSlice<u32>,
    /// As much as the longest launch so far needed.
    scratch: Option<CudaSlice<u32>>,
    arrived: PinnedHostSlice<u32>,
}

impl Slot {
    /// A stream of `context` and its buffers.
    ///
    /// # Errors
    /// When the driver refuses, or memory lacks.
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, Fault> {
        let queue = Queue::new(context)?;
        let mut found = queue.allocate(FOUND_WORDS as u64, "what a launch finds")?;
        queue.stream().memset_zeros(&mut found).doing("clearing memory")?; // all of it is copied to the host
        // Plain pinned memory: write-combined memory would be slow to read.
        // SAFETY: nothing reads the words before they are set below.
        let mut arrived =
            unsafe { context.alloc_pinned_with_flags::<u32>(FOUND_WORDS, 0) }.doing("pinning host memory")?;
        let words = arrived.as_mut_ptr().doing("pinning host memory")?;
        // SAFETY: the memory has as many words and is ours alone.
        unsafe { words.write_bytes(0, FOUND_WORDS) };
        Ok(Self { queue, found, scratch: None, arrived })
    }

    /// The stream, for other work than a search.
    pub(super) const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Queues a launch, the clearing before it and the copying after it, and waits for none of them.
    ///
    /// # Errors
    /// When the driver refuses, or scratch memory lacks.
    pub(super) fn start(&mut self, kernel: &Loaded, constants: &Constants, nonces: Nonces) -> Result<(), Fault> {
        let first = nonces.start();
        let last_offset = u32::try_from(nonces.count() - 1).expect("a launch is no longer than LAUNCH_MAX");
        let (blocks, block) = kernel.shape.grid(nonces.count());
        if let Some((words, words_max)) = kernel.shape.scratch_words(blocks) {
            self.need_scratch(words, words_max)?;
        }
        let stream = self.queue.stream();
        stream.memset_zeros(&mut self.found.slice_mut(..1)).doing("clearing the count")?;
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (block, 1, 1), shared_mem_bytes: 0 };
        let mut launch = stream.launch_builder(&kernel.function);
        launch.arg(constants).arg(&first).arg(&last_offset).arg(&mut self.found);
        if let (Some(scratch), Some(_)) = (&mut self.scratch, kernel.shape.scratch_words(blocks)) {
            launch.arg(scratch);
        }
        // SAFETY: the arguments are those of the kernel's signature; it writes `found` only within FOUND_MAX, and `scratch`
        // only within what its threads need, which is there.
        unsafe { launch.launch(config) }.doing("launching the kernel")?;
        stream.memcpy_dtoh(&self.found, &mut self.arrived).doing("copying what was found")?;
        self.queue.mark()
    }

    /// Sees to it that there are so many words of scratch memory. They grow with what is asked for, to at most `words_max`:
    /// short launches shall not take the memory of long ones.
    fn need_scratch(&mut self, words: u64, words_max: u64) -> Result<(), Fault> {
        if self.scratch.as_ref().is_some_and(|scratch| scratch.len() as u64 >= words) {
            return Ok(());
        }
        self.scratch = None;
        let words = words.next_power_of_two().min(words_max).max(words);
        self.scratch = Some(self.queue.allocate(words, "scratch")?);
        Ok(())
    }

    /// Gives scratch memory back.
    pub(super) fn release_scratch(&mut self) {
        self.scratch = None;
    }

    /// Waits for all that was queued.
    ///
    /// # Errors
    /// When the card fails at it, or does not answer.
    pub(super) fn wait(&self) -> Result<(), Fault> {
        self.queue.wait("searching")
    }

    /// The words that the last launch reported, once it has ended.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn words(&self) -> Result<&[u32; FOUND_WORDS], Fault> {
        let words = self.arrived.as_slice().doing("reading what was found")?;
        Ok(words.try_into().expect("as many as were pinned"))
    }
}

#[cfg(test)]
mod tests {
    use lode_kinds::hash::{Algorithm, Scan};

    use super::*;
    use crate::source::Ptx;

    #[test]
    fn every_kernel_takes_the_words_that_its_job_has() {
        for algorithm in Algorithm::ALL {
            let job = Job::new(&Scan::new(*algorithm, &[7; 80], [7; 32]));
            let words = job.words().len();
            assert_eq!(Constants::new(&job).0[..words], *job.words());
            let entry = crate::source::Source::of(*algorithm).entry;
            for ptx in Ptx::ALL.iter().filter(|ptx| ptx.source.entry == entry) {
                let parameter = format!("{entry}_param_0[{}]", 4 * words);
                assert!(ptx.text.contains(&parameter), "{} has no {parameter}", ptx.file);
            }
        }
    }
}
