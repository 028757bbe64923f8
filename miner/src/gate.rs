//! The gate that a device passes before each slice: open, shut for a reason, or at an end with the program.
//!
//! The governor shuts and opens it; the device's thread sleeps before it and goes on with whatever work is current then.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Why a device may not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pause {
    /// It is not known yet whether somebody uses the machine.
    Looking,
    /// It reached its limit with this temperature, in degrees Celsius.
    Hot(i32),
    /// Somebody uses the machine.
    UserActive,
    /// Another program, of this name, uses the device.
    CardBusy(String),
    /// The machine runs on its battery.
    OnBattery,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pause::Looking => f.write_str("paused: looking whether the machine is in use"),
            Pause::Hot(degrees) => write!(f, "hot, paused at {degrees} C"),
            Pause::UserActive => f.write_str("paused: user active"),
            Pause::CardBusy(program) => write!(f, "paused: card busy ({program})"),
            Pause::OnBattery => f.write_str("paused: on battery"),
        }
    }
}

/// The program ends: there is nothing behind the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

#[derive(Debug, Default)]
struct State {
    pause: Option<Pause>,
    ended: bool,
}

/// The gate.
#[derive(Debug, Default)]
pub struct Gate {
    /// Held for a few assignments, never across a wait of anything else; so a plain mutex.
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    /// Why it is shut, if it is.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        self.lock().pause.clone()
    }

    /// Shuts it for this reason, or opens it.
    pub fn set(&self, pause: Option<Pause>) {
        self.lock().pause = pause;
        self.changed.notify_all();
    }

    /// Lets nobody through any more and wakes who waits.
    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Blocks until the gate is open and `rest` is over.
    ///
    /// # Errors
    /// The program ends.
    pub fn pass(&self, rest: Duration) -> Result<(), Ended> {
        // A rest that overflows the clock never ends; none does, see `Intensity::rest_after`.
        let rested = Instant::now().checked_add(rest);
        let mut state = self.lock();
        loop {
            if state.ended {
                return Err(Ended);
            }
            let left = rested.map_or(rest, |rested| rested.saturating_duration_since(Instant::now()));
            let waited = match (&state.pause, left.is_zero()) {
                (None, true) => return Ok(()),
                (Some(_), true) => self.changed.wait(state),
                (_, false) => self.changed.wait_timeout(state, left).map(|(state, _)| state).map_err(|poisoned| {
                    let (state, _) = poisoned.into_inner();
                    PoisonError::new(state)
                }),
            };
            state = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it, and its state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;

    use super::*;

    const BRIEFLY: Duration = Duration::from_millis(30);

    #[test]
    fn an_open_gate_only_lets_rest() {
        let (gate, begin) = (Gate::default(), Instant::now());
        gate.pass(Duration::ZERO).unwrap();
        gate.pass(BRIEFLY).unwrap();
        assert!(begin.elapsed() >= BRIEFLY);
    }

    #[test]
    fn a_shut_gate_holds_until_it_opens_or_ends() {
        for (change, outcome) in [(Gate::end as fn(&Gate), Err(Ended)), (|gate: &Gate| gate.set(None), Ok(()))] {
            let gate = Arc::new(Gate::default());
            gate.set(Some(Pause::UserActive));
            let (passed, news) = channel();
            let waiter = thread::spawn({
                let gate = Arc::clone(&gate);
                move || passed.send(gate.pass(BRIEFLY)).unwrap()
            });
            assert_eq!(news.recv_timeout(2 * BRIEFLY), Err(RecvTimeoutError::Timeout));
            gate.set(Some(Pause::OnBattery));
            assert_eq!(news.recv_timeout(BRIEFLY), Err(RecvTimeoutError::Timeout), "another reason opens nothing");
            change(&gate);
            assert_eq!(news.recv().unwrap(), outcome);
            waiter.join().unwrap();
        }
    }

    #[test]
    fn the_end_cuts_a_rest_short() {
        let gate = Arc::new(Gate::default());
        let waiter = thread::spawn({
            let gate = Arc::clone(&gate);
            move || gate.pass(Duration::from_secs(3600))
        });
        gate.end();
        assert_eq!(waiter.join().unwrap(), Err(Ended));
    }
}
