//! The OpenCL backend: any device of any OpenCL 1.2 driver on the machine.
//!
//! The library is looked for when the program runs ([`loader`]); a machine without it, without a platform or without a
//! device gets a reason, quickly.
#![allow(unsafe_code)] // calls into the driver

mod device;
mod kernel;
pub mod loader;
mod program;
mod render;
mod shape;
mod traits;

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ocl::core::{self, DeviceId, DeviceInfo as Ask, DeviceInfoResult as Answer, PlatformId, PlatformInfo};

pub use self::device::OpenCl;
use self::traits::Traits;
use crate::backend::{Backend, DeviceError, DeviceInfo, OpenOptions};
use crate::search::Unsound;

/// What the platforms answer when there is none.
const PLATFORM_NOT_FOUND: i32 = -1001;

/// Held while drivers are asked for devices and while a device is opened: not every driver does this safely on two
/// threads (PoCL 3.1 crashes).
fn one_at_a_time() -> MutexGuard<'static, ()> {
    static SETUP: Mutex<()> = Mutex::new(());
    SETUP.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An OpenCL device that was found, not yet opened.
#[derive(Clone, Debug)]
pub struct Found {
    info: DeviceInfo,
    platform: PlatformId,
    device: DeviceId,
}

/// Every device of every platform, in the drivers' order.
///
/// # Errors
/// The reason why there is none.
pub fn find() -> Result<Vec<Found>, String> {
    let _setup = one_at_a_time();
    loader::load().map_err(|error| error.to_string())?;
    let mut platforms = 0;
    // The bindings' own list waits ten seconds for a platform and then panics, so ask for the number first.
    // SAFETY: the library is loaded; null and a place for the count is the documented way to ask for it.
    let status = unsafe { ocl::ffi::clGetPlatformIDs(0, std::ptr::null_mut(), &raw mut platforms) };
    match status {
        0 if platforms > 0 => {}
        0 | PLATFORM_NOT_FOUND => {
            return Err("an OpenCL library but no OpenCL driver on this machine".to_owned());
        }
        _ => {
            return Err(format!("the OpenCL library cannot list its drivers (error {status})"));
        }
    }
    let platforms = core::get_platform_ids().map_err(|error| one_line(&error))?;
    let mut found = Vec::new();
    for platform in platforms {
        // A platform without devices answers with an error, which is no reason to leave the others out.
        for device in core::get_device_ids(platform, None, None).unwrap_or_default() {
            if matches!(core::get_device_info(device, Ask::Available), Ok(Answer::Available(true))) {
                let index = u32::try_from(found.len()).expect("no machine has 2^32 devices");
                found.push(Found { info: describe(index, platform, device), platform, device });
            }
        }
    }
    if found.is_empty() {
        return Err("OpenCL drivers but no OpenCL device on this machine".to_owned());
    }
    Ok(found)
}

impl Found {
    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Opens it. Its kernels are compiled when they are first needed.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(self, options: &OpenOptions) -> Result<OpenCl, DeviceError> {
        let id = self.info.id();
        let _setup = one_at_a_time();
        OpenCl::open(self, options.clone()).map_err(|error| DeviceError { device: id, reason: one_line(&error) })
    }
}

/// What every call to an open device needs.
#[derive(Clone)]
struct Handles {
    info: DeviceInfo,
    traits: Traits,
    device: DeviceId,
    context: core::Context,
    /// In order: what is queued later begins when what was queued earlier has ended.
    queue: core::CommandQueue,
}

impl Handles {
    fn new(found: &Found, memory_max: Option<u64>) -> ocl::Result<Self> {
        let Found { info, platform, device } = found;
        let properties = core::ContextProperties::new().platform(*platform);
        let context = core::create_context(Some(&properties), &[*device], None, None)?;
        let queue = core::create_command_queue(&context, device, None)?;
        let mut traits = Traits::of(*device);
        traits.memory_bytes = traits.memory_bytes.min(memory_max.unwrap_or(u64::MAX));
        Ok(Self { info: info.clone(), traits, device: *device, context, queue })
    }
}

fn describe(index: u32, platform: PlatformId, device: DeviceId) -> DeviceInfo {
    let text = |what, missing: &str| {
        core::get_device_info(device, what).map_or_else(|_| missing.to_owned(), |answer| answer.to_string())
    };
    let traits = Traits::of(device);
    let platform = core::get_platform_info(platform, PlatformInfo::Name);
    let platform = platform.map_or_else(|_| "unnamed platform".to_owned(), |name| name.to_string());
    DeviceInfo {
        backend: Backend::OpenCl,
        index,
        name: text(Ask::Name, "unnamed device").trim().to_owned(),
        memory_bytes: Some(traits.memory_bytes).filter(|bytes| *bytes > 0),
        compute_units: traits.compute_units,
        driver: format!("{} {}", platform.trim(), text(Ask::DriverVersion, "?").trim()),
        is_cpu: traits.is_cpu,
        pci: traits::pci(device),
    }
}

impl From<Unsound> for ocl::Error {
    fn from(unsound: Unsound) -> Self {
        unsound.to_string().into()
    }
}

/// The bindings decorate their errors with boxes of many lines; a log line holds what they say.
fn one_line(error: &impl Display) -> String {
    let text = error.to_string();
    let words = text.split_whitespace().filter(|word| word.chars().any(|c| !"#!-|=".contains(c)));
    words.collect::<Vec<_>>().join(" ")
}
