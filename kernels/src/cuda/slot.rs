//! A stream with the buffers of one launch: what it finds, on the card and in host memory that the card writes to itself.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cudarc::driver::sys::{CUevent_flags, CUresult};
use cudarc::driver::{
    CudaContext, CudaEvent, CudaFunction, CudaSlice, CudaStream, DeviceRepr, DriverError, LaunchConfig,
    PinnedHostSlice, PushKernelArg as _,
};

use super::fault::{Doing as _, Fault};
use crate::job::Job;
use crate::search::FOUND_WORDS;

/// How long a launch may take. It is given about a tenth of a second of work.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(60);
/// What a wait sleeps at least and at most before it asks again.
const NAP_MIN: Duration = Duration::from_micros(20);
const NAP_MAX: Duration = Duration::from_millis(1);

/// The longest struct by which a kernel takes its search's constants.
const JOB_WORDS_MAX: usize = 32;

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
    stream: Arc<CudaStream>,
    found: CudaSlice<u32>,
    arrived: PinnedHostSlice<u32>,
    arrival: CudaEvent,
}

impl Slot {
    /// A stream of `context` and its buffers.
    ///
    /// # Errors
    /// When the driver refuses, or memory lacks.
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, Fault> {
        let stream = context.new_stream().doing("making a stream")?;
        let found = allocate(&stream, FOUND_WORDS, "what a launch finds")?;
        // Plain pinned memory: write-combined memory would be slow to read.
        // SAFETY: nothing reads the words before they are set below.
        let mut arrived =
            unsafe { context.alloc_pinned_with_flags::<u32>(FOUND_WORDS, 0) }.doing("pinning host memory")?;
        let words = arrived.as_mut_ptr().doing("pinning host memory")?;
        // SAFETY: the memory has as many words and is ours alone.
        unsafe { words.write_bytes(0, FOUND_WORDS) };
        let flags = CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let arrival = context.new_event(Some(flags)).doing("making an event")?;
        Ok(Self { stream, found, arrived, arrival })
    }

    /// Queues a launch, the clearing before it and the copying after it, and waits for none of them.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn start(
        &mut self,
        function: &CudaFunction,
        (blocks, block): (u32, u32),
        constants: &Constants,
        first: u32,
        last_offset: u32,
    ) -> Result<(), Fault> {
        self.stream.memset_zeros(&mut self.found.slice_mut(..1)).doing("clearing the count")?;
        let config = LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (block, 1, 1), shared_mem_bytes: 0 };
        let mut launch = self.stream.launch_builder(function);
        launch.arg(constants).arg(&first).arg(&last_offset).arg(&mut self.found);
        // SAFETY: the arguments are those of the kernel's signature, and it writes `found` only within FOUND_MAX.
        unsafe { launch.launch(config) }.doing("launching the kernel")?;
        self.stream.memcpy_dtoh(&self.found, &mut self.arrived).doing("copying what was found")?;
        self.arrival.record(&self.stream).doing("recording an event")
    }

    /// Waits for all that was queued, asleep and not for ever.
    ///
    /// # Errors
    /// When the card fails at it, or does not answer.
    pub(super) fn wait(&self) -> Result<(), Fault> {
        let begin = Instant::now();
        while !self.arrival.try_is_complete().doing("searching")? {
            let waited = begin.elapsed();
            if waited > ANSWER_MAX {
                return Err(Fault::Silent(ANSWER_MAX));
            }
            thread::sleep((waited / 32).clamp(NAP_MIN, NAP_MAX));
        }
        Ok(())
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

/// Words of the card's memory, all zero.
///
/// # Errors
/// When they lack, which says how many are free.
pub(super) fn allocate(stream: &Arc<CudaStream>, words: usize, what: &'static str) -> Result<CudaSlice<u32>, Fault> {
    match stream.alloc_zeros(words) {
        Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
            let free_bytes = stream.context().mem_get_info().ok().map(|(free, _)| free as u64);
            Err(Fault::Memory { what, needed_bytes: 4 * words as u64, free_bytes })
        }
        made => made.doing("allocating memory"),
    }
}
