//! Launches.
#![allow(unsafe_code, reason = "entry points of C")]

use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::module::function;
use super::{entries, stream, take};
use crate::driver::Driver;
use crate::exec::Launch;
use crate::memory::View;
use crate::module::Function;
use crate::result::Code;
use crate::stream::Work;

/// Blocks along the second and third axis.
const GRID_MAX: u32 = 65535;

/// Why a launch is wrong.
fn check(function: &Function, blocks: [u32; 3], threads: [u32; 3], shared: u32) -> Result<(), (Code, String)> {
    let wrong = |reason: String| Err((Code::INVALID_VALUE, reason));
    let [x, y, z] = blocks;
    if x == 0 || y == 0 || z == 0 || x > i32::MAX.unsigned_abs() || y > GRID_MAX || z > GRID_MAX {
        return wrong(format!("a grid of {blocks:?}"));
    }
    let [x, y, z] = threads;
    if x == 0 || y == 0 || z == 0 || x > 1024 || y > 1024 || z > 64 || x * y * z > 1024 {
        return wrong(format!("blocks of {threads:?} threads"));
    }
    if x * y * z > function.threads_max() {
        return wrong(format!("blocks of {} threads where {} are bound", x * y * z, function.threads_max()));
    }
    if shared > function.dynamic_shared_max.load(Relaxed) {
        return wrong(format!("{shared} bytes of dynamic shared memory"));
    }
    if function.registers() * x * y * z > crate::device::REGISTERS_PER_MULTIPROCESSOR {
        return Err((Code::LAUNCH_OUT_OF_RESOURCES, format!("registers for blocks of {threads:?} threads")));
    }
    Ok(())
}

/// Reads the values of a kernel's parameters.
///
/// # Safety
/// The pointer is null or an array of as many pointers as the kernel has parameters, each to its value.
unsafe fn params(function: &Function, values: *const *const u8) -> Result<Vec<u8>, Code> {
    let code = function.code();
    let mut bytes = vec![0; code.param_bytes];
    if values.is_null() && !code.params.is_empty() {
        return Err(Code::INVALID_VALUE);
    }
    for (number, &(offset, size)) in code.params.iter().enumerate() {
        // SAFETY: the array has a pointer for each parameter, and the value behind it has the parameter's size.
        let value = unsafe { take(*values.add(number), size)? };
        bytes[offset..offset + size].copy_from_slice(&value);
    }
    Ok(bytes)
}

fn submit(driver: &Driver, (handle, owner): (usize, usize), function: &Function, launch: Launch) -> Result<(), Code> {
    let (context, stream) = stream(driver, handle)?;
    let name = &function.code().name;
    if context.handle != owner {
        driver.report(&format!("kernel {name} launched in a stream of another context"));
        return Err(Code::INVALID_HANDLE);
    }
    if !driver.devices[context.device].count_launch() {
        eprintln!("CUDA stand-in: device {} has fallen off the bus", context.device);
        context.fail(Code::UNKNOWN);
        return Err(Code::UNKNOWN);
    }
    context.submit(&stream, Work::Launch(Box::new(launch)));
    Ok(())
}

entries! {
    /// Launches a kernel in a stream's turn.
    Context fn cuLaunchKernel(
        kernel: usize,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        handle: usize,
        values: *const *const u8,
        extra: *const *const c_void,
    ) |driver| {
        let (owner, function) = function(driver, kernel)?;
        if !extra.is_null() {
            eprintln!("CUDA stand-in: parameters are taken from kernelParams only");
            return Err(Code::NOT_SUPPORTED);
        }
        let (blocks, threads) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        check(&function, blocks, threads, shared).map_err(|(code, reason)| {
            driver.report(&format!("launch of {}: {reason}", function.code().name));
            code
        })?;
        // SAFETY: the caller's array, as the driver asks.
        let params = unsafe { params(&function, values)? };
        let launch = Launch {
            program: Arc::clone(&function.program),
            function: function.number,
            blocks,
            threads,
            params,
            dynamic_shared: u64::from(shared),
            view: View::default(),
        };
        submit(driver, (handle, owner), &function, launch)
    }
}
