//! What the devices are to do now: written by the session's task, read by each device's thread.
//!
//! Each change has a generation. A device asks for the generation after every slice, which costs it one atomic load, and
//! sleeps on the condition variable while there is nothing to do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::work::{Job, Search};

/// What a device is to do.
#[derive(Debug, Clone)]
pub enum Task {
    /// Search, until the generation changes.
    Search {
        /// The order's generation.
        generation: u64,
        /// What to search.
        search: Arc<Search>,
    },
    /// End.
    Stop,
}

#[derive(Debug, Default)]
enum Order {
    #[default]
    Idle,
    Search(Arc<Search>),
    Stop,
}

#[derive(Debug, Default)]
struct State {
    order: Order,
    /// The last search, to go on with if its job comes again.
    last: Option<Arc<Search>>,
}

/// The cell.
#[derive(Debug, Default)]
pub struct Board {
    /// Held for a few assignments, never across a wait of anything else; so a plain mutex.
    state: Mutex<State>,
    changed: Condvar,
    /// Changed only under the mutex.
    generation: AtomicU64,
    /// Hits of generations before this one are worth nothing. Changed only under the mutex.
    oldest_live: AtomicU64,
}

impl Board {
    /// Puts up a job. `start` should be random; see [`Search::new`].
    pub fn publish(&self, job: Arc<Job>, start: u64) {
        let mut state = self.lock();
        let clean = job.clean;
        let search = Arc::new(match &state.last {
            Some(last) => last.then(job, start),
            None => Search::new(job, start),
        });
        state.last = Some(Arc::clone(&search));
        self.change(&mut state, Order::Search(search), clean);
    }

    /// Takes all work away: what is found of it cannot be submitted any more.
    pub fn clear(&self) {
        self.change(&mut self.lock(), Order::Idle, true);
    }

    /// Has all devices end; what their last slices found is still good.
    pub fn stop(&self) {
        self.change(&mut self.lock(), Order::Stop, false);
    }

    /// Blocks until there is something to do other than the generation `seen`.
    #[must_use]
    pub fn wait(&self, seen: Option<u64>) -> Task {
        let mut state = self.lock();
        loop {
            let generation = self.generation.load(Ordering::Acquire);
            match &state.order {
                Order::Stop => return Task::Stop,
                Order::Search(search) if seen != Some(generation) => {
                    return Task::Search { generation, search: Arc::clone(search) };
                }
                Order::Search(_) | Order::Idle => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether `generation` is still what is to be done.
    #[must_use]
    pub fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// Whether hits of `generation` may still be submitted.
    #[must_use]
    pub fn is_live(&self, generation: u64) -> bool {
        self.oldest_live.load(Ordering::Acquire) <= generation
    }

    fn change(&self, state: &mut State, order: Order, ends_older: bool) {
        if matches!(state.order, Order::Stop) {
            return;
        }
        state.order = order;
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        if ends_older {
            self.oldest_live.store(generation, Ordering::Release);
        }
        self.generation.store(generation, Ordering::Release);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, and its state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::tests::job;

    fn generation(board: &Board, seen: Option<u64>) -> u64 {
        let Task::Search { generation, .. } = board.wait(seen) else { panic!("stopped") };
        generation
    }

    #[test]
    fn a_plain_job_leaves_older_hits_good_and_a_clean_one_does_not() {
        let board = Board::default();
        board.publish(Arc::new(Job { clean: false, ..job(4) }), 0);
        let first = generation(&board, None);
        board.publish(Arc::new(Job { clean: false, ..job(4) }), 0);
        assert!(!board.is_current(first) && board.is_live(first));
        let second = generation(&board, Some(first));
        board.publish(Arc::new(job(4)), 0);
        assert!(!board.is_live(first) && !board.is_live(second));
        let third = generation(&board, Some(second));
        assert!(board.is_current(third) && board.is_live(third));
        board.clear();
        assert!(!board.is_live(third));
    }

    #[test]
    fn stop_wakes_a_sleeper_is_final_and_leaves_hits_good() {
        let board = Arc::new(Board::default());
        board.publish(Arc::new(job(4)), 0);
        let seen = generation(&board, None);
        let sleeper = std::thread::spawn({
            let board = Arc::clone(&board);
            move || matches!(board.wait(Some(seen)), Task::Stop)
        });
        board.stop();
        assert!(sleeper.join().unwrap());
        board.publish(Arc::new(job(4)), 0);
        assert!(matches!(board.wait(None), Task::Stop) && board.is_live(seen));
    }
}
