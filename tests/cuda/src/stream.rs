//! Streams and events: queues of work, each with a thread of its own.

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::exec::Launch;
use crate::memory::Block;

/// Work of a stream.
pub(crate) enum Work {
    CopyIn {
        to: u64,
        from: Source,
    },
    CopyOut {
        from: u64,
        bytes: u64,
        to: Sink,
    },
    CopyWithin {
        from: u64,
        to: u64,
        bytes: u64,
    },
    /// `count` times the pattern.
    Fill {
        at: u64,
        pattern: Vec<u8>,
        count: u64,
    },
    Launch(Box<Launch>),
    Record(Arc<Event>, u64),
    /// Waits for a recording of an event.
    Wait(Arc<Event>, u64),
    /// Waits for what another stream was given up to a ticket.
    After(Arc<Stream>, u64),
    Host(Box<dyn FnOnce() + Send>),
    Free(u64),
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CopyIn { .. } => "CopyIn",
            Self::CopyOut { .. } => "CopyOut",
            Self::CopyWithin { .. } => "CopyWithin",
            Self::Fill { .. } => "Fill",
            Self::Launch(_) => "Launch",
            Self::Record(..) => "Record",
            Self::Wait(..) => "Wait",
            Self::After(..) => "After",
            Self::Host(_) => "Host",
            Self::Free(_) => "Free",
        })
    }
}

/// Where a copy to a device reads.
#[derive(Debug)]
pub(crate) enum Source {
    /// Pageable memory, copied at the call.
    Staged(Vec<u8>),
    /// Pinned memory, read when the copy is done.
    Pinned { block: Arc<Block>, offset: usize, bytes: usize },
}

/// Where a copy from a device writes.
#[derive(Debug)]
pub(crate) enum Sink {
    /// To the caller, who waits.
    Caller(Sender<Vec<u8>>),
    Pinned {
        block: Arc<Block>,
        offset: usize,
    },
}

/// A queue of work.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Whether it waits for the default stream and the default stream for it.
    pub(crate) blocking: bool,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    work: VecDeque<Work>,
    given: u64,
    done: u64,
    closed: bool,
}

impl Stream {
    /// A stream whose work is done by `perform`, on a thread that ends once the stream is closed and empty.
    pub(crate) fn start(blocking: bool, perform: impl Fn(Work) + Send + 'static) -> Arc<Self> {
        let stream = Arc::new(Self { blocking, queue: Mutex::default(), changed: Condvar::new() });
        let own = Arc::clone(&stream);
        std::thread::spawn(move || {
            while let Some(work) = own.next() {
                perform(work);
                own.queue().done += 1;
                own.changed.notify_all();
            }
        });
        stream
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that holds it panics half-way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Work> {
        let mut queue = self.queue();
        loop {
            if let Some(work) = queue.work.pop_front() {
                return Some(work);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Adds work, and gives its ticket.
    pub(crate) fn give(&self, work: Work) -> u64 {
        let mut queue = self.queue();
        queue.work.push_back(work);
        queue.given += 1;
        self.changed.notify_all();
        queue.given
    }

    /// The ticket of the last work given.
    pub(crate) fn last_ticket(&self) -> u64 {
        self.queue().given
    }

    pub(crate) fn is_done(&self, ticket: u64) -> bool {
        self.queue().done >= ticket
    }

    pub(crate) fn wait(&self, ticket: u64) {
        let mut queue = self.queue();
        while queue.done < ticket {
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more work comes.
    pub(crate) fn close(&self) {
        self.queue().closed = true;
        self.changed.notify_all();
    }
}

/// A point in a stream's work.
#[derive(Debug, Default)]
pub(crate) struct Event {
    /// Whether its time can be asked for.
    pub(crate) timing: bool,
    state: Mutex<Recording>,
    reached: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Recording {
    /// Recordings that were asked for, and the last one whose turn came.
    asked: u64,
    reached: u64,
    at: Option<Instant>,
}

impl Event {
    pub(crate) fn new(timing: bool) -> Self {
        Self { timing, ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, Recording> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a recording, and gives its number.
    pub(crate) fn ask(&self) -> u64 {
        let mut state = self.state();
        state.asked += 1;
        state.asked
    }

    /// The last recording that was asked for; 0 if none was.
    pub(crate) fn asked(&self) -> u64 {
        self.state().asked
    }

    pub(crate) fn reach(&self, recording: u64) {
        let mut state = self.state();
        if recording > state.reached {
            state.reached = recording;
            state.at = Some(Instant::now());
        }
        self.reached.notify_all();
    }

    pub(crate) fn is_reached(&self) -> bool {
        let state = self.state();
        state.reached >= state.asked
    }

    pub(crate) fn wait(&self, recording: u64) {
        let mut state = self.state();
        while state.reached < recording {
            state = self.reached.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// When the last recording was reached.
    pub(crate) fn time(&self) -> Option<Instant> {
        self.state().at
    }
}
