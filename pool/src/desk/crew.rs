//! Threads for long computations: few, of low priority, with a bounded queue. What panics on one of them ends by
//! itself alone.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// What these threads are nicer by than the pool's others.
const NICENESS: i32 = 10;

type Task = Box<dyn FnOnce() + Send>;

/// A handle to the threads; they end once every handle is gone.
#[derive(Clone)]
pub struct Crew(SyncSender<Task>);

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Crew")
    }
}

/// Why a computation came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrewError {
    /// As many wait as may.
    #[error("too much of this kind waits already")]
    Full,
    /// The program failed on it; the log has the place.
    #[error("the program failed on it; its log has the place")]
    Panicked,
}

/// Half of the machine's cores, at least one.
#[must_use]
pub fn half_the_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    be_nice();
    loop {
        // Held only while waiting: whoever gets the next task lets the next one wait.
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // Its channel is dropped with it, which tells whoever waits; nothing of it is used again.
        if catch_unwind(AssertUnwindSafe(task)).is_err() {
            tracing::error!("a computation panicked");
        }
    }
}

/// Lowers this thread's priority, so that the network's and the ledger's threads come first.
fn be_nice() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "a computing thread keeps the usual priority");
    }
}

impl Crew {
    /// Starts `threads` threads with a queue of `waiting`.
    ///
    /// # Panics
    /// The system cannot start a thread.
    #[must_use]
    pub fn start(name: &str, threads: usize, waiting: usize) -> Crew {
        let (queue, tasks) = sync_channel::<Task>(waiting);
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..threads {
            let tasks = tasks.clone();
            let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&tasks));
            drop(thread.expect("the system can start one more thread"));
        }
        Crew(queue)
    }

    /// Hands a computation to the next free thread. What it gives comes by the receiver, which fails where it panics.
    ///
    /// # Errors
    /// The queue is full.
    pub fn hand<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<T>, CrewError> {
        let (sender, receiver) = oneshot::channel();
        let task = move || {
            let computed = compute();
            if sender.send(computed).is_err() {
                tracing::trace!("whoever asked for a computation has gone");
            }
        };
        match self.0.try_send(Box::new(task)) {
            Ok(()) => Ok(receiver),
            Err(TrySendError::Full(_)) => Err(CrewError::Full),
            Err(TrySendError::Disconnected(_)) => unreachable!("the threads wait as long as there is a handle"),
        }
    }

    /// Hands a computation over and waits for it.
    ///
    /// # Errors
    /// The queue is full, or the computation panicked.
    pub async fn run<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> Result<T, CrewError> {
        self.hand(compute)?.await.map_err(|_| CrewError::Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_told_and_the_thread_goes_on() {
        let crew = Crew::start("test", 1, 4);
        assert_eq!(crew.run(|| -> u8 { panic!("on purpose") }).await, Err(CrewError::Panicked));
        assert_eq!(crew.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn more_than_may_wait_is_refused_and_what_waits_is_done() {
        let crew = Crew::start("test", 1, 2);
        let (open, gate) = std::sync::mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let first = crew.hand(move || {
            begun.send(()).unwrap();
            gate.recv().unwrap();
        });
        has_begun.await.unwrap();
        let waiting = [crew.hand(|| 1).unwrap(), crew.hand(|| 2).unwrap()];
        assert_eq!(crew.hand(|| 3).map(drop), Err(CrewError::Full));
        open.send(()).unwrap();
        first.unwrap().await.unwrap();
        for (at, done) in waiting.into_iter().enumerate() {
            assert_eq!(done.await, Ok(at + 1));
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_are_of_low_priority() {
        let niceness = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let own = niceness();
        let theirs = Crew::start("test", 1, 1).run(niceness).await.unwrap();
        assert_eq!(theirs, NICENESS.max(own));
        assert_eq!(niceness(), own, "the others keep theirs");
    }
}
