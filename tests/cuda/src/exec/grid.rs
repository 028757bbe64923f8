//! A launch: blocks handed out to threads of this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

use super::Fault;
use super::block::Executor;
use crate::memory::View;
use crate::program::Program;

/// A kernel with all that it was launched with.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) program: Arc<Program>,
    pub(crate) function: usize,
    pub(crate) blocks: [u32; 3],
    pub(crate) threads: [u32; 3],
    pub(crate) params: Vec<u8>,
    /// Bytes of shared memory beyond the kernel's own.
    pub(crate) dynamic_shared: u64,
    pub(crate) view: View,
}

impl Launch {
    /// The first address of the shared memory whose size the launch chose.
    pub(crate) fn dynamic_base(&self) -> u64 {
        self.program.functions[self.function].shared.next_multiple_of(16)
    }
}

/// A launch while it runs.
struct Running {
    launch: Launch,
    next: AtomicU64,
    total: u64,
    stop: AtomicBool,
    fault: Mutex<Option<Fault>>,
    helpers: Mutex<Helpers>,
    left: Condvar,
}

/// The pool's threads that work on a launch.
#[derive(Default)]
struct Helpers {
    inside: usize,
    /// No further one may begin: it would find nothing to do, and nobody waits for it.
    closed: bool,
    panicked: bool,
}

impl Running {
    /// Takes blocks until none is left.
    fn work(&self) {
        let mut executor = Executor::new(&self.launch);
        while !self.stop.load(Relaxed) {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= self.total {
                break;
            }
            if let Err(fault) = executor.run(number) {
                self.stop.store(true, Relaxed);
                self.fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(fault);
            }
        }
    }
}

/// Runs a launch to its end, on this thread and those of the pool.
///
/// # Errors
/// The first fault found; the rest of the grid is not run.
///
/// # Panics
/// The interpreter has a bug.
pub(crate) fn run(launch: Launch) -> Result<(), Fault> {
    let total = launch.blocks.iter().map(|&blocks| u64::from(blocks)).product();
    let running = Arc::new(Running {
        launch,
        next: AtomicU64::new(0),
        total,
        stop: AtomicBool::new(false),
        fault: Mutex::default(),
        helpers: Mutex::default(),
        left: Condvar::new(),
    });
    let helpers = pool().len().min(usize::try_from(total - 1).unwrap_or(usize::MAX));
    for worker in &pool()[..helpers] {
        worker.send(Arc::clone(&running)).expect("the pool's threads do not end");
    }
    running.work();
    let mut helpers = running.helpers.lock().unwrap_or_else(PoisonError::into_inner);
    helpers.closed = true;
    while helpers.inside > 0 {
        helpers = running.left.wait(helpers).unwrap_or_else(PoisonError::into_inner);
    }
    assert!(!helpers.panicked, "a thread of the pool panicked");
    let mut fault = running.fault.lock().unwrap_or_else(PoisonError::into_inner);
    fault.take().map_or(Ok(()), Err)
}

/// Threads besides the one that runs the launch.
fn pool() -> &'static [Sender<Arc<Running>>] {
    static POOL: OnceLock<Vec<Sender<Arc<Running>>>> = OnceLock::new();
    POOL.get_or_init(|| {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (1..threads).map(|_| worker()).collect()
    })
}

fn worker() -> Sender<Arc<Running>> {
    let (sender, launches): (Sender<Arc<Running>>, Receiver<Arc<Running>>) = channel();
    thread::spawn(move || launches.iter().for_each(|running| help(&running)));
    sender
}

fn help(running: &Running) {
    let helpers = || running.helpers.lock().unwrap_or_else(PoisonError::into_inner);
    {
        let mut helpers = helpers();
        if helpers.closed {
            return;
        }
        helpers.inside += 1;
    }
    let sound = catch_unwind(AssertUnwindSafe(|| running.work())).is_ok();
    let mut helpers = helpers();
    helpers.inside -= 1;
    helpers.panicked |= !sound;
    running.left.notify_all();
}
