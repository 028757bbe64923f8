//! One device's thread: self-tests, then slice after slice of the board's work until it is told to stop.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lode_kernels::measure::Pace;
use lode_kernels::{Device, self_test, self_test_kind};
use lode_kinds::hash::Algorithm;
use lode_kinds::{Kind, range};
use tokio::sync::mpsc;

use crate::board::{Asker, Board, Task};
use crate::compute::{Bounds, Outcome, compute};
use crate::gate::Gate;
use crate::gauge::{DeviceState, Gauge};
use crate::limits::Intensity;
use crate::unit::Unit;
use crate::work::{Cursor, Search, Share, Slice};

/// So many units in a row that were wrong, and a device does no more.
pub const WRONG_MAX: u32 = 3;

/// Words of a device's thread to the session's task.
#[derive(Debug)]
pub enum Found {
    /// The self-test of a kind at least passed.
    Ready(usize),
    /// The device does not do a kind that it was thought to do.
    Cannot {
        /// Which device.
        device: usize,
        /// Which kind.
        kind: Kind,
        /// Why.
        reason: String,
    },
    /// A share to submit.
    Share(Share),
    /// A unit's result.
    Computed {
        /// Which device computed it.
        device: usize,
        /// The unit.
        unit: Arc<Unit>,
        /// The bytes of its elements.
        bytes: Vec<u8>,
    },
    /// The device's result of the unit in hand was wrong.
    Wrong {
        /// Which device.
        device: usize,
        /// Which unit, and what was wrong.
        what: String,
        /// The unit, if no other device can do it.
        orphan: Option<Arc<Unit>>,
    },
    /// The device does no more work.
    Failed {
        /// Which device.
        device: usize,
        /// Why.
        reason: String,
    },
}

/// The session's task is gone: there is nobody to work for.
struct Abandoned;

/// What a device goes on with after a turn.
#[derive(Debug)]
struct Thread {
    pace: Pace,
    /// What the last slice left to rest.
    rest: Duration,
    /// The search that it is in the midst of.
    cursor: Option<(u64, Cursor)>,
    /// The search that it is through with.
    seen: Option<u64>,
    /// The task that it has loaded, and how fast it is at it.
    loaded: Option<(Arc<range::Task>, Pace)>,
    /// Units that were wrong: in a row, and in all.
    wrong: (u32, u64),
}

/// A device with all that its thread needs.
pub struct DeviceWorker {
    /// Its place in the fleet.
    pub number: usize,
    /// The device.
    pub device: Box<dyn Device>,
    /// What it is to do, and must show that it can.
    pub kinds: Vec<Kind>,
    /// What it hashes with.
    pub algorithm: Algorithm,
    /// Where its work is put up.
    pub board: Arc<Board>,
    /// Where its work is counted.
    pub gauge: Arc<Gauge>,
    /// What it passes before each slice.
    pub gate: Arc<Gate>,
    /// The part of the time that it works.
    pub intensity: Intensity,
    /// Where its shares go; bounded, so an overfed pool slows the device down.
    pub found: mpsc::Sender<Found>,
}

impl DeviceWorker {
    /// Works until told to stop, or until the device fails, which is told.
    pub fn run(mut self) {
        let outcome = catch_unwind(AssertUnwindSafe(|| self.work()));
        let ended = match outcome {
            Ok(Ok(())) => DeviceState::Stopped,
            Ok(Err(reason)) => DeviceState::Failed(reason),
            Err(panic) => DeviceState::Failed(format!("crashed: {}", panic_text(panic.as_ref()))),
        };
        self.gauge.set_progress(None);
        self.gauge.set_state(ended.clone());
        if let DeviceState::Failed(reason) = ended {
            let told = self.found.blocking_send(Found::Failed { device: self.number, reason });
            drop(told); // Fails only when the session's task is gone, and then nobody wants to know.
        }
    }

    fn work(&mut self) -> Result<(), String> {
        // Who must not work yet does not show either that it could.
        self.gauge.set_state(DeviceState::Idle);
        if self.gate.pass(Duration::ZERO).is_err() {
            return Ok(());
        }
        self.gauge.set_state(DeviceState::Testing);
        if self.test()?.is_err() || self.send(Found::Ready(self.number)).is_err() {
            return Ok(());
        }
        let (pace, rest) = (Pace::new(self.algorithm), Duration::ZERO);
        let mut thread = Thread { pace, rest, cursor: None, seen: None, loaded: None, wrong: (0, 0) };
        loop {
            self.gauge.set_state(DeviceState::Idle);
            let asker = Asker {
                device: self.number,
                searches: self.kinds.contains(&Kind::Hash),
                seen: thread.seen,
                loaded: thread.loaded.as_ref().map(|(task, _)| task),
            };
            let task = self.board.wait(asker);
            self.gauge.set_state(DeviceState::Mining);
            let turn = match task {
                Task::Search { generation, search } => self.search(generation, search, &mut thread)?,
                Task::Unit(unit) => self.unit(&unit, &mut thread)?,
                Task::Stop => return Ok(()),
            };
            if turn.is_err() {
                return Ok(());
            }
        }
    }

    /// Tests the device with each kind; those that it fails are told and left out.
    fn test(&mut self) -> Result<Result<(), Abandoned>, String> {
        let mut failures = Vec::new();
        for kind in std::mem::take(&mut self.kinds) {
            let tested = match kind {
                Kind::Hash => self_test(self.device.as_mut(), self.algorithm).map_err(|error| error.to_string()),
                kind => self_test_kind(self.device.as_mut(), kind).map_err(|error| error.to_string()),
            };
            match tested {
                Ok(()) => self.kinds.push(kind),
                Err(reason) => failures.push((kind, reason)),
            }
        }
        if self.kinds.is_empty() {
            let reasons: Vec<String> = failures.into_iter().map(|(_, reason)| reason).collect();
            let none = "it does none of the kinds asked for".to_owned();
            return Err(if reasons.is_empty() { none } else { reasons.join("; ") });
        }
        for (kind, reason) in failures {
            if self.send(Found::Cannot { device: self.number, kind, reason }).is_err() {
                return Ok(Err(Abandoned));
            }
        }
        Ok(Ok(()))
    }

    /// Searches until the generation changes, the job is exhausted or there is a unit to do.
    fn search(
        &mut self,
        generation: u64,
        search: Arc<Search>,
        thread: &mut Thread,
    ) -> Result<Result<(), Abandoned>, String> {
        let going_on = thread.cursor.take().filter(|(of, _)| *of == generation);
        let mut cursor = going_on.map_or_else(|| Cursor::new(search), |(_, cursor)| cursor);
        let mut hits = Vec::new();
        // An end is told by the board as well.
        while self.gate.pass(std::mem::take(&mut thread.rest)).is_ok() && self.board.is_current(generation) {
            if self.board.has_unit_for(self.number) {
                thread.cursor = Some((generation, cursor));
                return Ok(Ok(()));
            }
            let Some(slice) = cursor.next(thread.pace.next_count()) else { break };
            hits.clear();
            let worked = self.scan(&slice, &mut hits, thread)?;
            thread.rest = self.intensity.rest_after(worked);
            for &nonce in &hits {
                if self.offer(generation, cursor.share(self.number, &slice, nonce)).is_err() {
                    return Ok(Err(Abandoned));
                }
            }
        }
        thread.seen = Some(generation);
        Ok(Ok(()))
    }

    /// Computes a unit and hands it on.
    fn unit(&mut self, unit: &Arc<Unit>, thread: &mut Thread) -> Result<Result<(), Abandoned>, String> {
        let same = thread.loaded.take().filter(|(task, _)| Arc::ptr_eq(task, &unit.task));
        let mut pace = same.map_or_else(Pace::of_elements, |(_, pace)| pace);
        let bounds = Bounds { gate: &self.gate, intensity: self.intensity, gauge: &self.gauge };
        let computed = compute(self.device.as_mut(), unit, &mut pace, &mut thread.rest, &bounds);
        self.gauge.set_progress(None);
        let outcome = computed.map_err(|error| error.reason)?;
        thread.loaded = Some((Arc::clone(&unit.task), pace));
        match outcome {
            Outcome::Dropped => {
                self.board.unit_done(self.number);
                Ok(Ok(()))
            }
            Outcome::Done(bytes) => {
                thread.wrong.0 = 0;
                self.board.unit_done(self.number);
                Ok(self.send(Found::Computed { device: self.number, unit: Arc::clone(unit), bytes }))
            }
            Outcome::Wrong { element, part } => {
                thread.wrong = (thread.wrong.0 + 1, thread.wrong.1 + 1);
                self.count_errors(thread);
                let what = format!("unit {}: element {element}, part {part}", unit.id);
                let orphan = self.board.unit_failed(self.number);
                let sent = self.send(Found::Wrong { device: self.number, what, orphan });
                if thread.wrong.0 >= WRONG_MAX {
                    return Err(format!("{WRONG_MAX} units in a row were wrong"));
                }
                Ok(sent)
            }
        }
    }

    fn count_errors(&self, thread: &Thread) {
        self.gauge.hardware_errors.set(self.device.hardware_errors() + thread.wrong.1);
    }

    fn scan(&mut self, slice: &Slice, hits: &mut Vec<u32>, thread: &mut Thread) -> Result<Duration, String> {
        let begin = Instant::now();
        let scanned = self.device.scan(&slice.scan, slice.nonces, hits);
        self.count_errors(thread);
        scanned.map_err(|error| error.reason)?;
        let worked = begin.elapsed();
        thread.pace.record(slice.nonces.count(), worked);
        self.gauge.hashes.add(slice.nonces.count());
        Ok(worked)
    }

    /// Hands a share on, unless its job is known to be over.
    fn offer(&self, generation: u64, share: Share) -> Result<(), Abandoned> {
        if !self.board.is_live(generation) {
            self.gauge.stale.add(1);
            return Ok(());
        }
        self.send(Found::Share(share))
    }

    fn send(&self, found: Found) -> Result<(), Abandoned> {
        self.found.blocking_send(found).map_err(|_| Abandoned)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no reason given".to_owned())
}
