//! A stream with an event that marks its end, and memory allocated in it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cudarc::driver::sys::{CUevent_flags, CUresult};
use cudarc::driver::{CudaContext, CudaEvent, CudaSlice, CudaStream, DriverError};

use super::fault::{Doing as _, Fault};

/// How long a launch may take. It is given about a tenth of a second of work.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(60);
/// What a wait sleeps at least and at most before it asks again.
const NAP_MIN: Duration = Duration::from_micros(20);
const NAP_MAX: Duration = Duration::from_millis(1);

/// A stream with an event that marks its end.
pub(super) struct Queue {
    stream: Arc<CudaStream>,
    end: CudaEvent,
}

impl Queue {
    /// A new stream of `context`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, Fault> {
        let stream = context.new_stream().doing("making a stream")?;
        let end = context.new_event(Some(CUevent_flags::CU_EVENT_BLOCKING_SYNC)).doing("making an event")?;
        Ok(Self { stream, end })
    }

    /// What work is queued in.
    pub(super) const fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Marks the end of what was queued so far, for [`Self::wait`].
    ///
    /// # Errors
    /// When the driver refuses.
    pub(super) fn mark(&self) -> Result<(), Fault> {
        self.end.record(&self.stream).doing("recording an event")
    }

    /// Waits for what was queued before the last mark, asleep and not for ever.
    ///
    /// # Errors
    /// When the card fails at it, which is told as failing at `doing`, or does not answer.
    pub(super) fn wait(&self, doing: &'static str) -> Result<(), Fault> {
        let begin = Instant::now();
        while !self.end.try_is_complete().doing(doing)? {
            let waited = begin.elapsed();
            if waited > ANSWER_MAX {
                return Err(Fault::Silent(ANSWER_MAX));
            }
            thread::sleep((waited / 32).clamp(NAP_MIN, NAP_MAX));
        }
        Ok(())
    }

    /// Words of the card's memory, with anything in them.
    ///
    /// # Errors
    /// When they lack, which says how many are free.
    pub(super) fn allocate(&self, words: u64, what: &'static str) -> Result<CudaSlice<u32>, Fault> {
        let length = usize::try_from(words).expect("memory is addressable");
        // SAFETY: kernels write what they read, and the host looks only at what was written.
        match unsafe { self.stream.alloc(length) } {
            Err(DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY)) => {
                let free_bytes = self.stream.context().mem_get_info().ok().map(|(free, _)| free as u64);
                Err(Fault::Memory { what, needed_bytes: 4 * words, free_bytes })
            }
            made => made.doing("allocating memory"),
        }
    }
}
