//! A stand-in for NVIDIA's management library: the entry points that the miner uses, by the signatures of NVIDIA's nvml.h,
//! for three cards whose readings are fixed. Built as a shared library by the test beside it.

#![crate_type = "cdylib"]

use std::ffi::{CStr, c_char, c_uint, c_ulonglong, c_void};

type Code = c_uint;
const SUCCESS: Code = 0;
const INVALID_ARGUMENT: Code = 2;
const NOT_SUPPORTED: Code = 3;
const NOT_FOUND: Code = 6;
const INSUFFICIENT_SIZE: Code = 7;

/// A card is known by its number: 1 is busy with another program, 2 tells little, 3 is used by number 7 alone.
type Card = *mut c_void;
const OWN_PID: c_uint = 7;
const OTHER_PID: c_uint = 4242;

#[repr(C)]
pub struct Utilisation {
    gpu: c_uint,
    memory: c_uint,
}

#[repr(C)]
pub struct Sample {
    pid: c_uint,
    timestamp: c_ulonglong,
    sm: c_uint,
    memory: c_uint,
    encoder: c_uint,
    decoder: c_uint,
}

#[repr(C)]
pub struct Process {
    pid: c_uint,
    memory: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

fn answer<T>(to: *mut T, value: Option<T>) -> Code {
    let Some(value) = value else { return NOT_SUPPORTED };
    // SAFETY: the caller passes a pointer to a value of its own.
    unsafe { to.write(value) };
    SUCCESS
}

/// As NVML gives lists: their length where there is no room, else the list.
fn list<T>(count: *mut c_uint, to: *mut T, values: Vec<T>) -> Code {
    let length = c_uint::try_from(values.len()).unwrap();
    // SAFETY: the caller passes its list's room, and a list of that many or none.
    unsafe {
        let room = count.replace(length);
        if room < length {
            return INSUFFICIENT_SIZE;
        }
        for (place, value) in values.into_iter().enumerate() {
            to.add(place).write(value);
        }
    }
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> Code {
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> Code {
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(id: *const c_char, card: *mut Card) -> Code {
    // SAFETY: the caller passes a text of C's.
    let id = unsafe { CStr::from_ptr(id) }.to_str().unwrap_or_default();
    let Some(place) = id.strip_suffix(":00.0") else { return INVALID_ARGUMENT };
    let number: usize = match place {
        "0000:01" => 1,
        "0000:02" => 2,
        "0000:03" => 3,
        _ => return NOT_FOUND,
    };
    answer(card, Some(std::ptr::without_provenance_mut(number)))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetTemperature(card: Card, sensor: c_uint, to: *mut c_uint) -> Code {
    if sensor != 0 { INVALID_ARGUMENT } else { answer(to, Some(60 + c_uint::try_from(card.addr()).unwrap())) }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetPowerUsage(card: Card, to: *mut c_uint) -> Code {
    answer(to, (card.addr() != 2).then_some(251_300))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetFanSpeed_v2(card: Card, fan: c_uint, to: *mut c_uint) -> Code {
    answer(to, (card.addr() != 2 && fan == 0).then_some(45))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetClockInfo(card: Card, clock: c_uint, to: *mut c_uint) -> Code {
    answer(to, (card.addr() != 2 && clock == 1).then_some(1755))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetUtilizationRates(card: Card, to: *mut Utilisation) -> Code {
    answer(to, (card.addr() != 2).then_some(Utilisation { gpu: 98, memory: 3 }))
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetProcessUtilization(
    card: Card,
    to: *mut Sample,
    count: *mut c_uint,
    since: c_ulonglong,
) -> Code {
    let sample = |pid, sm| Sample { pid, timestamp: 1_000_000, sm, memory: 0, encoder: 0, decoder: 0 };
    match card.addr() {
        2 => NOT_SUPPORTED,
        _ if since >= 1_000_000 => NOT_FOUND,
        1 => list(count, to, vec![sample(OWN_PID, 60), sample(OTHER_PID, 35)]),
        _ => list(count, to, vec![sample(OWN_PID, 99)]),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(_: Card, count: *mut c_uint, to: *mut Process) -> Code {
    let process = |pid| Process { pid, memory: 1 << 30, gpu_instance: c_uint::MAX, compute_instance: c_uint::MAX };
    list(count, to, vec![process(OWN_PID), process(OTHER_PID)])
}
