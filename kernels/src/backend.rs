//! What a device is to the rest of Lode, whatever runs it.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use serde::Serialize;

use crate::cache::Cache;
use crate::pci::PciAddress;
use crate::source::{RENDER, Source};

/// What runs a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NVIDIA's driver.
    Cuda,
    /// Any OpenCL 1.2 driver.
    OpenCl,
    /// This program's own threads.
    Cpu,
}

impl Backend {
    /// Every backend, in the order in which devices are listed.
    pub const ALL: [Self; 3] = [Self::Cuda, Self::OpenCl, Self::Cpu];

    /// The name used in device ids and selectors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cuda => "cuda",
            Self::OpenCl => "opencl",
            Self::Cpu => "cpu",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Backend {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|backend| backend.name() == name).ok_or(())
    }
}

/// What is known of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceInfo {
    /// What runs it.
    pub backend: Backend,
    /// Its place among the backend's devices, from 0.
    pub index: u32,
    /// Its maker's name for it.
    pub name: String,
    /// Its memory, where the driver tells.
    pub memory_bytes: Option<u64>,
    /// Its compute units: multiprocessors, or threads of a CPU.
    pub compute_units: u32,
    /// What drives it, with its version.
    pub driver: String,
    /// Whether it computes on the host's cores, which other such devices share.
    pub is_cpu: bool,
    /// Where it sits, where the driver tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci: Option<PciAddress>,
}

impl DeviceInfo {
    /// The name by which people select it: `opencl:0`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}:{}", self.backend, self.index)
    }
}

/// A device failed. It should be closed, and may be opened anew.
#[derive(Debug, thiserror::Error)]
#[error("{device}: {reason}")]
pub struct DeviceError {
    /// The device's id.
    pub device: String,
    /// What its driver says.
    pub reason: String,
}

/// How devices are opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// Where compiled kernels and tuning are kept between runs.
    pub cache: Cache,
    /// Whether a device is tuned even if the cache knows how.
    pub tune: bool,
    /// The device memory that may be used, in bytes; all of it where there is no limit.
    pub memory_max: Option<u64>,
    /// The kernels to run. Tests give broken ones, to see that what guards against them does.
    pub sources: fn(Algorithm) -> Source,
    /// The path tracer to run, as the above.
    pub renderer: Source,
}

impl OpenOptions {
    /// The usual ones, with the user's cache.
    #[must_use]
    pub fn of_user() -> Self {
        Self { cache: Cache::of_user(), ..Self::default() }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { cache: Cache::none(), tune: false, memory_max: None, sources: Source::of, renderer: RENDER }
    }
}

/// An open device, used from one thread at a time.
pub trait Device: Send {
    /// What is known of it.
    fn info(&self) -> &DeviceInfo;

    /// Makes ready for an algorithm: compiles its kernel and tunes it, unless the cache has both. May take seconds. A scan
    /// does this too where it was not done.
    ///
    /// # Errors
    /// When the kernel does not compile, or the device fails or has not enough memory.
    fn prepare(&mut self, _algorithm: Algorithm) -> Result<(), DeviceError> {
        Ok(())
    }

    /// Appends to `hits` every nonce of the range whose hash does not exceed the target, in order, and nothing else: each
    /// was rechecked on the host. Blocks until done, so the range should be as long as the caller is ready to wait; see
    /// [`crate::measure::Pace`].
    ///
    /// # Errors
    /// When the device fails; what `hits` holds then is true but not complete.
    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError>;

    /// Whether it can do work of this kind at all; what it computes has yet to be tested.
    ///
    /// # Errors
    /// Why it cannot.
    fn can(&self, kind: Kind) -> Result<(), String> {
        match kind {
            Kind::Hash => Ok(()),
            Kind::Render => Err("this device does hash only".to_owned()),
        }
    }

    /// Makes ready for a task's elements: compiles its kind's kernel, unless the cache has it, and copies what the task
    /// reads. What was loaded before is let go, unless it is this very task.
    ///
    /// # Errors
    /// When the kernel does not compile, or the device cannot do the kind, fails or has not enough memory.
    fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
        Err(self.cannot(task.kind()))
    }

    /// Appends the bytes of these elements of the task that was loaded. Blocks until done, so the range should be as long
    /// as the caller is ready to wait.
    ///
    /// # Errors
    /// When the device fails, or nothing is loaded; `out` is then as it was.
    ///
    /// # Panics
    /// If the task has no such elements.
    fn run(&mut self, elements: Range<u64>, _out: &mut Vec<u8>) -> Result<(), DeviceError> {
        let reason = format!("no task is loaded for elements {} to {}", elements.start, elements.end);
        Err(DeviceError { device: self.info().id(), reason })
    }

    /// The error of a device that is given a kind that it cannot do.
    fn cannot(&self, kind: Kind) -> DeviceError {
        let reason = self.can(kind).err().unwrap_or_else(|| format!("kind {kind} has no elements to load"));
        DeviceError { device: self.info().id(), reason }
    }

    /// How many nonces it reported, since it was opened, that its host's recheck refuted. A sound device has none.
    fn hardware_errors(&self) -> u64 {
        0
    }
}
