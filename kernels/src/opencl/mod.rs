//! The OpenCL backend: any device of any OpenCL 1.2 driver on the machine.
//!
//! The library is looked for when the program runs ([`loader`]); a machine without it, without a platform or without a
//! device gets a reason, quickly.
#![allow(unsafe_code)] // calls into the driver

pub mod loader;

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lode_kinds::hash::sha256d::Prepared;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use ocl::core::{DeviceInfo as Ask, DeviceInfoResult as Answer};
use ocl::enums::{KernelWorkGroupInfo, KernelWorkGroupInfoResult};
use ocl::{Buffer, Context, Kernel, MemFlags, Platform, Program, Queue};

use crate::backend::{Backend, Device, DeviceError, DeviceInfo, OpenOptions};
use crate::source::SHA256D;

/// Candidates that one launch can report. A launch that finds more is split and repeated.
const FOUND_MAX: u32 = 1023;
/// Nonces that one launch tries at most; the kernel counts them in 32 bits.
const LAUNCH_MAX: u64 = 1 << 30;
/// Work items of a group, where the device allows as many.
const GROUP_ITEMS: usize = 256;

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
    platform: Platform,
    device: ocl::Device,
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
    let platforms = ocl::core::get_platform_ids().map_err(|error| one_line(&error))?;
    let mut found = Vec::new();
    for platform in platforms.into_iter().map(Platform::new) {
        // A platform without devices answers with an error, which is no reason to leave the others out.
        for device in ocl::Device::list_all(platform).unwrap_or_default() {
            if device.is_available().unwrap_or(false) {
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

    /// Opens it and compiles its kernel, which may take seconds where the driver has no cached one.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(self, _: &OpenOptions) -> Result<OpenCl, DeviceError> {
        let id = self.info.id();
        let _setup = one_at_a_time();
        let opened = self.open_unnamed().and_then(|mut device| {
            // Some drivers finish compiling only when they see the size of a group.
            device.launch(Nonces::new(0, 1).expect("one nonce"), &mut Vec::new())?;
            Ok(device)
        });
        opened.map_err(|error| DeviceError { device: id, reason: one_line(&error) })
    }

    fn open_unnamed(self) -> ocl::Result<OpenCl> {
        let Self { info, platform, device } = self;
        let lanes = lanes(device);
        let context = Context::builder().platform(platform).devices(device).build()?;
        let queue = Queue::new(&context, device, None)?;
        let options = format!("-cl-std=CL1.2 -D VEC={lanes} -D FOUND_MAX={FOUND_MAX}u");
        let program = Program::builder().src(SHA256D.text).devices(device).cmplr_opt(options).build(&context)?;
        let found = Buffer::builder()
            .queue(queue.clone())
            .flags(MemFlags::new().read_write().alloc_host_ptr())
            .len(1 + FOUND_MAX as usize)
            .build()?;
        let mut builder = Kernel::builder();
        builder.program(&program).name(SHA256D.entry).queue(queue.clone());
        let kernel = builder.arg(Job::default()).arg(0_u32).arg(0_u32).arg(&found).build()?;
        let group_max = match kernel.wg_info(device, KernelWorkGroupInfo::WorkGroupSize)? {
            KernelWorkGroupInfoResult::WorkGroupSize(items) => items.max(1),
            _ => 1,
        };
        Ok(OpenCl { info, lanes, group: group_max.min(GROUP_ITEMS), kernel, queue, found, current: None, errors: 0 })
    }
}

/// An open OpenCL device with its kernel.
pub struct OpenCl {
    info: DeviceInfo,
    /// Nonces that one work item tries.
    lanes: u32,
    /// Work items in a group.
    group: usize,
    kernel: Kernel,
    queue: Queue,
    /// The count of candidates, then the candidates.
    found: Buffer<u32>,
    /// The scan whose constants the kernel holds.
    current: Option<(Scan, Prepared)>,
    errors: u64,
}

/// `Prepared` as the kernel takes it: its fields in order.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
struct Job([u32; 23]);

// SAFETY: plain words, as in the kernel's struct of the same name.
unsafe impl ocl::OclPrm for Job {}

impl Job {
    fn new(fixed: &Prepared) -> Self {
        let mut words = [0; 23];
        words[..8].copy_from_slice(&fixed.midstate);
        words[8..16].copy_from_slice(&fixed.after_round_3);
        words[16..22].copy_from_slice(&[fixed.w16, fixed.w17, fixed.w18, fixed.w19, fixed.w31, fixed.w32]);
        words[22] = fixed.filter;
        Self(words)
    }
}

impl OpenCl {
    /// Launches once and appends the candidates, or answers `false` when they were more than fit.
    fn launch(&mut self, nonces: Nonces, candidates: &mut Vec<u32>) -> ocl::Result<bool> {
        let Some(last_offset) = nonces.count().checked_sub(1) else {
            return Ok(true);
        };
        let last_offset = u32::try_from(last_offset).expect("a launch is no longer than LAUNCH_MAX");
        let items = nonces.count().div_ceil(u64::from(self.lanes));
        let items = usize::try_from(items).expect("LAUNCH_MAX fits").next_multiple_of(self.group);
        self.kernel.set_arg(1, nonces.start())?;
        self.kernel.set_arg(2, last_offset)?;
        let mut count = [0_u32];
        self.found.write(&count[..]).len(1).enq()?;
        // SAFETY: the arguments are those of the kernel's signature, and it writes `found` only within FOUND_MAX.
        unsafe { self.kernel.cmd().global_work_size(items).local_work_size(self.group).enq()? };
        self.found.read(&mut count[..]).len(1).enq()?;
        let [count] = count;
        if count > FOUND_MAX {
            return Ok(false);
        }
        if count > 0 {
            let begin = candidates.len();
            candidates.resize(begin + count as usize, 0);
            self.found.read(&mut candidates[begin..]).offset(1).len(count as usize).enq()?;
            candidates[begin..].sort_unstable();
        }
        Ok(true)
    }

    /// Everything that the device reports of the range, however much it is.
    fn candidates(&mut self, nonces: Nonces, candidates: &mut Vec<u32>) -> ocl::Result<()> {
        // Halved ranges wait here, the next one last: at most one for each halving.
        let mut waiting = vec![nonces];
        while let Some(range) = waiting.pop() {
            if range.count() > LAUNCH_MAX || !self.launch(range, candidates)? {
                let (first, second) = range.split_at(range.count().div_ceil(2));
                waiting.extend([second, first]);
            }
        }
        Ok(())
    }
}

impl Device for OpenCl {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn prepare(&mut self, _: Algorithm) -> Result<(), DeviceError> {
        Ok(())
    }

    fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
        let mut candidates = Vec::new();
        let fixed = match self.current {
            Some((current, fixed)) if current == *scan => Ok(fixed),
            _ => {
                let fixed = Prepared::new(scan);
                self.current = None;
                self.kernel.set_arg(0, Job::new(&fixed)).map(|()| {
                    self.current = Some((*scan, fixed));
                    fixed
                })
            }
        };
        let result = fixed.and_then(|fixed| self.candidates(nonces, &mut candidates).map(|()| fixed));
        let fixed = result.map_err(|error| DeviceError { device: self.info.id(), reason: one_line(&error) })?;
        for nonce in candidates {
            let hash = scan.header_hash(nonce);
            if !nonces.contains(nonce) || !fixed.passes(Prepared::last_state_word(&hash)) {
                self.errors += 1;
            } else if hash <= *scan.target() {
                hits.push(nonce);
            }
        }
        Ok(())
    }

    fn hardware_errors(&self) -> u64 {
        self.errors
    }
}

impl Drop for OpenCl {
    fn drop(&mut self) {
        // A failed device cannot finish, and there is nobody left to tell.
        self.queue.finish().ok();
    }
}

/// Lanes that the device's compiler should be given: its native width, as far as the kernel knows it.
fn lanes(device: ocl::Device) -> u32 {
    match device.info(Ask::NativeVectorWidthInt) {
        Ok(Answer::NativeVectorWidthInt(width)) if width >= 8 => 8,
        Ok(Answer::NativeVectorWidthInt(width)) if width >= 4 => 4,
        Ok(Answer::NativeVectorWidthInt(2..)) => 2,
        _ => 1,
    }
}

fn describe(index: u32, platform: Platform, device: ocl::Device) -> DeviceInfo {
    let is_cpu = matches!(device.info(Ask::Type), Ok(Answer::Type(kind)) if kind.contains(ocl::flags::DEVICE_TYPE_CPU));
    let memory_bytes = match device.info(Ask::GlobalMemSize) {
        Ok(Answer::GlobalMemSize(bytes)) => Some(bytes),
        _ => None,
    };
    let compute_units = match device.info(Ask::MaxComputeUnits) {
        Ok(Answer::MaxComputeUnits(units)) => units,
        _ => 0,
    };
    let version = device.info(Ask::DriverVersion).map_or_else(|_| "?".to_owned(), |version| version.to_string());
    let platform = platform.name().unwrap_or_else(|_| "unnamed platform".to_owned());
    DeviceInfo {
        backend: Backend::OpenCl,
        index,
        name: device.name().unwrap_or_else(|_| "unnamed device".to_owned()).trim().to_owned(),
        memory_bytes,
        compute_units,
        driver: format!("{} {}", platform.trim(), version.trim()),
        is_cpu,
        pci: None,
    }
}

/// The bindings decorate their errors with boxes of many lines; a log line holds what they say.
fn one_line(error: &impl Display) -> String {
    let text = error.to_string();
    let words = text.split_whitespace().filter(|word| word.chars().any(|c| !"#!-|=".contains(c)));
    words.collect::<Vec<_>>().join(" ")
}
