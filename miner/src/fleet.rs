//! All devices of this run, each with its thread and its gauge.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use lode_kernels::{Device, DeviceInfo};
use tokio::sync::mpsc;

use crate::board::Board;
use crate::device_worker::{DeviceWorker, Found};
use crate::gauge::Gauge;

/// Most devices of one run.
pub const DEVICES_MAX: usize = 64;
/// Shares that wait for the session's task; then the devices wait.
const FOUND_MAX: usize = 1024;

/// A device, as everyone but its own thread sees it.
#[derive(Debug, Clone)]
pub struct Member {
    /// What is known of it.
    pub info: DeviceInfo,
    /// Its figures.
    pub gauge: Arc<Gauge>,
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
    /// Starts a thread for each device; what they find comes out of the receiver.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(devices: Vec<Box<dyn Device>>) -> io::Result<(Fleet, mpsc::Receiver<Found>)> {
        let (found, receiver) = mpsc::channel(FOUND_MAX);
        let mut fleet = Fleet { members: Vec::new(), board: Arc::default(), threads: Vec::new() };
        for (number, device) in devices.into_iter().enumerate() {
            let (info, gauge) = (device.info().clone(), Arc::new(Gauge::default()));
            let worker = DeviceWorker {
                number,
                device,
                board: Arc::clone(&fleet.board),
                gauge: Arc::clone(&gauge),
                found: found.clone(),
            };
            fleet.threads.push(thread::Builder::new().name(info.id()).spawn(move || worker.run())?);
            fleet.members.push(Member { info, gauge });
        }
        Ok((fleet, receiver))
    }

    /// Whether every thread has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }
}
