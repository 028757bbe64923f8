//! The CPU backend: all cores as one device, each on the fastest path that the CPU has.

use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan, cpu};
use lode_kinds::range::Task;

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
    task: Option<Arc<Task>>,
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
        Self { info, threads, task: None }
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

    fn can(&self, _kind: Kind) -> Result<(), String> {
        Ok(())
    }

    fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
        self.task = Some(Arc::clone(task));
        Ok(())
    }

    fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let Some(task) = &self.task else {
            return Err(DeviceError { device: self.info.id(), reason: "no task is loaded".to_owned() });
        };
        assert!(elements.end <= task.elements(), "elements {elements:?} of {}", task.elements());
        let count = elements.end.saturating_sub(elements.start);
        // Elements differ in cost, so each thread takes the next one when it is done with one.
        let next = AtomicU64::new(elements.start);
        let work = || {
            let mut done = Vec::new();
            loop {
                let element = next.fetch_add(1, Ordering::Relaxed);
                if element >= elements.end {
                    return done;
                }
                done.push((element, task.element(element)));
            }
        };
        let threads = u64::from(self.threads.get()).min(count);
        let mut done: Vec<(u64, Vec<u8>)> = thread::scope(|scope| {
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let joined = running.into_iter().map(|thread| thread.join());
            joined
                .flat_map(|done| done.expect("rendering panics only on a bug, which ends the device's thread"))
                .collect()
        });
        done.sort_unstable_by_key(|(element, _)| *element);
        out.extend(done.into_iter().flat_map(|(_, bytes)| bytes));
        Ok(())
    }
}
