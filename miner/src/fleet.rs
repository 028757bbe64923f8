//! All devices of this run, each with its thread and its gauge.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lode_kernels::{Device, DeviceInfo};
use lode_kinds::Kind;
use lode_kinds::hash::Algorithm;
use tokio::sync::mpsc;
use tracing::info;

use crate::board::Board;
use crate::device_worker::{DeviceWorker, Found};
use crate::gate::{Gate, Pause};
use crate::gauge::{DeviceState, Gauge};
use crate::limits::Limits;
use crate::location::Location;

/// Most devices of one run.
pub const DEVICES_MAX: usize = 64;
/// Shares that wait for the session's task; then the devices wait.
const FOUND_MAX: usize = 1024;

/// A device, as everyone but its own thread sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// What is known of it.
    pub info: DeviceInfo,
    /// Where it sits in the machine.
    pub location: Location,
    /// Its figures.
    pub gauge: Arc<Gauge>,
    /// What it passes before each slice.
    pub gate: Arc<Gate>,
    /// The kinds of work that it is to do, as far as is known before its self-tests.
    pub kinds: Vec<Kind>,
}

impl Member {
    /// A device before it works.
    #[must_use]
    pub fn new(info: DeviceInfo) -> Member {
        Member {
            location: Location::of(&info),
            info,
            gauge: Arc::default(),
            gate: Arc::default(),
            kinds: vec![Kind::Hash],
        }
    }

    /// Why it does not work though it could, if so.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        match self.gauge.state() {
            DeviceState::Idle | DeviceState::Mining => self.gate.pause(),
            DeviceState::Testing | DeviceState::Failed(_) | DeviceState::Stopped => None,
        }
    }
}

/// The devices.
#[derive(Debug)]
pub struct Fleet {
    /// In the order in which they were given.
    pub members: Vec<Member>,
    /// Where their work is put up.
    pub board: Arc<Board>,
    threads: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts a thread for each device, which does those of the `kinds` that it can, as much as `limits` lets it; what
    /// they find comes out of the receiver.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        devices: Vec<Box<dyn Device>>,
        kinds: &[Kind],
        algorithm: Algorithm,
        limits: &Limits,
    ) -> io::Result<(Fleet, mpsc::Receiver<Found>)> {
        let (found, receiver) = mpsc::channel(FOUND_MAX);
        let mut fleet = Fleet { members: Vec::new(), board: Arc::default(), threads: Vec::new() };
        for (number, device) in devices.into_iter().enumerate() {
            let (able, unable): (Vec<Kind>, Vec<Kind>) = kinds.iter().partition(|kind| device.can(**kind).is_ok());
            for kind in &unable {
                if let Err(reason) = device.can(*kind) {
                    info!("{} does no {kind}: {reason}", device.info().id());
                }
            }
            let member = Member { kinds: able, ..Member::new(device.info().clone()) };
            let worker = DeviceWorker {
                number,
                device,
                kinds: member.kinds.clone(),
                algorithm,
                board: Arc::clone(&fleet.board),
                gauge: Arc::clone(&member.gauge),
                gate: Arc::clone(&member.gate),
                intensity: limits.intensity(&member.info),
                found: found.clone(),
            };
            fleet.threads.push(thread::Builder::new().name(member.info.id()).spawn(move || worker.run())?);
            fleet.members.push(member);
        }
        Ok((fleet, receiver))
    }

    /// Has all devices end; what their last slices found is still good.
    pub fn stop(&self) {
        self.board.stop();
        for member in &self.members {
            member.gate.end();
        }
    }

    /// Whether every thread has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use lode_kernels::Backend;

    use super::*;

    /// A device of which little is known.
    pub(crate) fn info(backend: Backend, index: u32) -> DeviceInfo {
        let (name, driver, is_cpu) = (format!("device {index}"), String::new(), backend == Backend::Cpu);
        DeviceInfo { backend, index, name, memory_bytes: None, compute_units: 1, driver, is_cpu, pci: None }
    }
}
