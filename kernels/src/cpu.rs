//! The CPU backend: all cores as one device, each on the fastest path that the CPU has.

use std::num::NonZero;
use std::thread;

use lode_kinds::hash::{Algorithm, Nonces, Scan, cpu};

use crate::backend::{Backend, Device, DeviceError, DeviceInfo};

/// The fewest nonces for which starting a thread costs less than it saves.
const fn nonces_per_thread_min(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::Sha256d => 1 << 14,
        Algorithm::Scrypt => 24, // what a thread does in one go, a millisecond
    }
}

/// The host's cores.
#[derive(Debug)]
pub struct Cpu {
    info: DeviceInfo,
    threads: NonZero<u32>,
}

impl Cpu {
    /// The device that hashes on `threads` threads; `None` means as many as there are cores to run on.
    #[must_use]
    pub fn new(threads: Option<NonZero<u32>>) -> Self {
        let cores = || thread::available_parallelism().ok().and_then(|cores| NonZero::<u32>::try_from(cores).ok());
        let threads = threads.or_else(cores).unwrap_or(NonZero::<u32>::MIN);
        let info = DeviceInfo {
            backend: Backend::Cpu,
            index: 0,
            name: model_name().unwrap_or_else(|| format!("{} CPU", std::env::consts::ARCH)),
            memory_bytes: None,
            compute_units: threads.get(),
            driver: format!("lode {} ({})", env!("CARGO_PKG_VERSION"), cpu::path_names()),
            is_cpu: true,
            pci: None,
        };
        Self { info, threads }
    }
}

/// What Linux calls the processor.
fn model_name() -> Option<String> {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Device for Cpu {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        let threads = u64::from(self.threads.get());
        let share = nonces.count().div_ceil(threads).max(nonces_per_thread_min(scan.algorithm()));
        if share >= nonces.count() {
            cpu::scan(scan, nonces, hits);
            return Ok(());
        }
        thread::scope(|scope| {
            let spawn = |piece: Nonces| {
                scope.spawn(move || {
                    let mut found = Vec::new();
                    cpu::scan(scan, piece, &mut found);
                    found
                })
            };
            let running: Vec<_> = nonces.pieces(share).map(spawn).collect();
            for thread in running {
                hits.extend(thread.join().expect("a scan panics only on a bug, which ends the device's thread"));
            }
        });
        Ok(())
    }
}
