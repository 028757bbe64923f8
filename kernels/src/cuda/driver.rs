//! NVIDIA's driver: whether it is here with all that is used of it, and what it tells of its cards.

use std::fmt;

use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute, CUresult};
use cudarc::driver::{CudaContext, result};

use super::fault::{Doing as _, Fault, text};

/// Every function of the driver that this backend calls. The bindings look each one up at its first call and panic where it
/// is missing, so a driver without one of them is never called at all.
const FUNCTIONS: &[&str] = &[
    "cuCtxCreate_v3",
    "cuCtxDestroy_v2",
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuCtxSynchronize",
    "cuDeviceGet",
    "cuDeviceGetAttribute",
    "cuDeviceGetCount",
    "cuDeviceGetName",
    "cuDeviceTotalMem_v2",
    "cuDriverGetVersion",
    "cuEventCreate",
    "cuEventDestroy_v2",
    "cuEventQuery",
    "cuEventRecord",
    "cuEventSynchronize",
    "cuFuncGetAttribute",
    "cuGetErrorString",
    "cuInit",
    "cuLaunchKernel",
    "cuMemAllocAsync",
    "cuMemAlloc_v2",
    "cuMemFreeAsync",
    "cuMemFreeHost",
    "cuMemFree_v2",
    "cuMemGetInfo_v2",
    "cuMemHostAlloc",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyHtoDAsync_v2",
    "cuMemsetD8Async",
    "cuModuleGetFunction",
    "cuModuleLoadData",
    "cuModuleUnload",
    "cuOccupancyMaxPotentialBlockSizeWithFlags",
    "cuStreamCreate",
    "cuStreamDestroy_v2",
    "cuStreamSynchronize",
    "cuStreamWaitEvent",
];

/// A card's place in the driver's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ordinal(i32);

impl Ordinal {
    /// From 0.
    pub(super) const fn number(self) -> u32 {
        self.0.unsigned_abs()
    }
}

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The places of `count` cards.
pub(super) fn ordinals(count: i32) -> impl Iterator<Item = Ordinal> {
    (0..count).map(Ordinal)
}

/// Starts the driver, and counts its cards: at least one.
///
/// # Errors
/// The reason why there is none.
pub(super) fn start() -> Result<i32, String> {
    // SAFETY: the driver's library is opened and closed, and nothing of it is called; it is made for being opened so.
    if !unsafe { sys::is_culib_present() } {
        return Err("no NVIDIA driver (libcuda.so.1) on this machine".to_owned());
    }
    // SAFETY: the library is there, as was just seen, so this opens it and keeps it open.
    let library = unsafe { sys::culib() };
    for function in FUNCTIONS {
        // SAFETY: the address is not used.
        if unsafe { library.get::<*const ()>(*function) }.is_err() {
            return Err(format!("the NVIDIA driver is too old: it lacks {function}, which R470 and later have"));
        }
    }
    match CudaContext::device_count() {
        Ok(count @ 1..) => Ok(count),
        Ok(_) => Err("an NVIDIA driver but no NVIDIA card on this machine".to_owned()),
        Err(error) if error.0 == CUresult::CUDA_ERROR_NO_DEVICE => {
            Err("an NVIDIA driver but no NVIDIA card on this machine".to_owned())
        }
        Err(error) => Err(format!("the NVIDIA driver does not start: {}", text(error))),
    }
}

/// The newest CUDA that the driver knows.
pub(super) fn version() -> String {
    let mut version = 0;
    // SAFETY: the place for the number is ours; the driver was started.
    match unsafe { sys::cuDriverGetVersion(&raw mut version) }.result() {
        Ok(()) => format!("CUDA driver API {}.{}", version / 1000, version % 1000 / 10),
        Err(_) => "CUDA driver API of unknown version".to_owned(),
    }
}

/// A card as the driver describes it, without a context.
pub(super) struct Card(CUdevice);

impl Card {
    /// The card at a place of the list.
    pub(super) fn new(ordinal: Ordinal) -> Result<Self, Fault> {
        result::device::get(ordinal.0).doing("asking for the card").map(Self)
    }

    /// Its maker's name for it.
    pub(super) fn name(&self) -> Result<String, Fault> {
        Ok(result::device::get_name(self.0).doing("asking for the card's name")?.trim().to_owned())
    }

    /// Its memory.
    pub(super) fn memory_bytes(&self) -> Result<u64, Fault> {
        // SAFETY: the driver gave this card.
        let bytes = unsafe { result::device::total_mem(self.0) }.doing("asking for the card's memory")?;
        Ok(bytes as u64)
    }

    /// One of its attributes.
    pub(super) fn attribute(&self, attribute: CUdevice_attribute) -> Result<i32, Fault> {
        // SAFETY: the driver gave this card.
        unsafe { result::device::get_attribute(self.0, attribute) }.doing("asking for the card's attributes")
    }
}

/// Makes no context the calling thread's: a card is opened on one thread and used from another, which may end its context.
pub(super) fn leave_context() -> Result<(), Fault> {
    // SAFETY: no context is a value that the driver takes.
    unsafe { result::ctx::set_current(std::ptr::null_mut()) }.doing("leaving the card's context")
}
