//! What the devices are to do now: written by the session's task, read by each device's thread.
//!
//! Units of range work go first; while there are none that a device may do, it searches. Each change of the search has a
//! generation. A device looks after every slice whether all is as it was, which costs it two atomic loads, and sleeps on
//! the condition variable while there is nothing to do.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use lode_kinds::range;
use lode_protocol::ids::UnitId;

use crate::queue::Queue;
use crate::unit::Unit;
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
    /// Compute a unit.
    Unit(Arc<Unit>),
    /// End.
    Stop,
}

/// A device that asks what to do.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Its place in the fleet.
    pub device: usize,
    /// Whether it searches at all.
    pub searches: bool,
    /// The generation that it is through with.
    pub seen: Option<u64>,
    /// The task that it has loaded.
    pub loaded: Option<&'a Arc<range::Task>>,
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
    units: Queue,
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
    /// Units that wait. Changed only under the mutex.
    waiting: AtomicUsize,
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

    /// Blocks until there is something to do.
    #[must_use]
    pub fn wait(&self, asker: Asker<'_>) -> Task {
        let mut state = self.lock();
        loop {
            if matches!(state.order, Order::Stop) {
                return Task::Stop;
            }
            if let Some(unit) = self.change_units(&mut state, |units| units.take(asker.device, asker.loaded)) {
                return Task::Unit(unit);
            }
            let generation = self.generation.load(Ordering::Acquire);
            match &state.order {
                Order::Search(search) if asker.searches && asker.seen != Some(generation) => {
                    return Task::Search { generation, search: Arc::clone(search) };
                }
                Order::Search(_) | Order::Idle | Order::Stop => {}
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts up a unit for the devices `able`, of which there must be one.
    pub fn add_unit(&self, unit: Arc<Unit>, able: Vec<usize>) {
        self.change_units(&mut self.lock(), |units| units.add(unit, able));
        self.changed.notify_all();
    }

    /// Takes a unit that still waits away again.
    pub fn withdraw_unit(&self, unit: &UnitId) {
        self.change_units(&mut self.lock(), |units| units.withdraw(unit));
    }

    /// A device is done with the unit that it had in hand.
    pub fn unit_done(&self, device: usize) {
        self.change_units(&mut self.lock(), |units| units.done(device));
    }

    /// A device could not do the unit that it had in hand: another shall. Gives it back if there is none.
    pub fn unit_failed(&self, device: usize) -> Option<Arc<Unit>> {
        let orphan = self.change_units(&mut self.lock(), |units| units.put_back(device));
        self.changed.notify_all();
        orphan
    }

    /// A device does no more units of which `which` holds; gives those that nobody is left for.
    pub fn exclude(&self, device: usize, which: impl Fn(&Unit) -> bool) -> Vec<Arc<Unit>> {
        self.change_units(&mut self.lock(), |units| units.exclude(device, which))
    }

    /// Whether a unit waits that this device may do.
    #[must_use]
    pub fn has_unit_for(&self, device: usize) -> bool {
        self.waiting.load(Ordering::Acquire) > 0 && self.lock().units.has_for(device)
    }

    fn change_units<T>(&self, state: &mut State, change: impl FnOnce(&mut Queue) -> T) -> T {
        let changed = change(&mut state.units);
        self.waiting.store(state.units.waiting(), Ordering::Release);
        changed
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
    use crate::queue::tests::{task, unit};
    use crate::work::tests::job;

    fn generation(board: &Board, seen: Option<u64>) -> u64 {
        let Task::Search { generation, .. } = board.wait(asker(seen)) else { panic!("no search") };
        generation
    }

    fn asker(seen: Option<u64>) -> Asker<'static> {
        Asker { device: 0, searches: true, seen, loaded: None }
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
            move || matches!(board.wait(asker(Some(seen))), Task::Stop)
        });
        board.stop();
        assert!(sleeper.join().unwrap());
        board.publish(Arc::new(job(4)), 0);
        assert!(matches!(board.wait(asker(None)), Task::Stop) && board.is_live(seen));
    }

    #[test]
    fn units_go_first_and_to_those_who_may_have_them() {
        let board = Arc::new(Board::default());
        board.publish(Arc::new(job(4)), 0);
        let seen = generation(&board, None);
        let task = task();
        board.add_unit(unit("a", &task), vec![0]);
        assert!(board.has_unit_for(0) && !board.has_unit_for(1) && board.is_current(seen));
        let other = Asker { device: 1, ..asker(None) };
        assert!(matches!(board.wait(other), Task::Search { .. }));
        let Task::Unit(unit) = board.wait(asker(None)) else { panic!("no unit") };
        assert!(!board.has_unit_for(0) && unit.id.as_str() == "a");
        board.unit_done(0);
        assert_eq!(generation(&board, None), seen, "the search goes on");
        let waiter = std::thread::spawn({
            let board = Arc::clone(&board);
            move || matches!(board.wait(Asker { searches: false, ..asker(None) }), Task::Unit(_))
        });
        board.add_unit(crate::queue::tests::unit("b", &task), vec![0]);
        assert!(waiter.join().unwrap(), "who does not search waits for units");
        assert!(board.unit_failed(0).is_some_and(|unit| unit.id.as_str() == "b"));
    }
}
