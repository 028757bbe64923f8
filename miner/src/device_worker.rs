//! One device's thread: self-test, then slice after slice of the board's work until it is told to stop.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lode_kernels::measure::Pace;
use lode_kernels::{Device, self_test};
use lode_kinds::hash::Algorithm;
use tokio::sync::mpsc;

use crate::board::{Board, Task};
use crate::gate::Gate;
use crate::gauge::{DeviceState, Gauge};
use crate::limits::Intensity;
use crate::work::{Cursor, Search, Share, Slice};

/// Words of a device's thread to the session's task.
#[derive(Debug)]
pub enum Found {
    /// The self-test passed.
    Ready(usize),
    /// A share to submit.
    Share(Share),
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

/// A device with all that its thread needs.
pub struct DeviceWorker {
    /// Its place in the fleet.
    pub number: usize,
    /// The device.
    pub device: Box<dyn Device>,
    /// What it is to hash with, and must show that it can.
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
        self_test(self.device.as_mut(), self.algorithm).map_err(|error| error.to_string())?;
        if self.send(Found::Ready(self.number)).is_err() {
            return Ok(());
        }
        let mut pace = Pace::new(self.algorithm);
        let mut rest = Duration::ZERO;
        let mut seen = None;
        loop {
            self.gauge.set_state(DeviceState::Idle);
            let Task::Search { generation, search } = self.board.wait(seen) else { return Ok(()) };
            self.gauge.set_state(DeviceState::Mining);
            seen = Some(generation);
            if self.search(generation, search, &mut pace, &mut rest)?.is_err() {
                return Ok(());
            }
        }
    }

    /// Searches until the generation changes or the job is exhausted. `rest` is what the last slice left to rest.
    fn search(
        &mut self,
        generation: u64,
        search: Arc<Search>,
        pace: &mut Pace,
        rest: &mut Duration,
    ) -> Result<Result<(), Abandoned>, String> {
        let mut cursor = Cursor::new(search);
        let mut hits = Vec::new();
        // An end is told by the board as well.
        while self.gate.pass(std::mem::take(rest)).is_ok() && self.board.is_current(generation) {
            let Some(slice) = cursor.next(pace.next_count()) else { break };
            hits.clear();
            let worked = self.scan(&slice, &mut hits, pace)?;
            *rest = self.intensity.rest_after(worked);
            for &nonce in &hits {
                if self.offer(generation, cursor.share(self.number, &slice, nonce)).is_err() {
                    return Ok(Err(Abandoned));
                }
            }
        }
        Ok(Ok(()))
    }

    fn scan(&mut self, slice: &Slice, hits: &mut Vec<u32>, pace: &mut Pace) -> Result<Duration, String> {
        let begin = Instant::now();
        let scanned = self.device.scan(&slice.scan, slice.nonces, hits);
        self.gauge.hardware_errors.set(self.device.hardware_errors());
        scanned.map_err(|error| error.reason)?;
        let worked = begin.elapsed();
        pace.record(slice.nonces.count(), worked);
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
