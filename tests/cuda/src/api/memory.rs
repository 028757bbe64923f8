//! Memory: allocation, copies, fills.
#![allow(unsafe_code, reason = "entry points of C")]

use std::sync::Arc;

use super::{current, entries, put, stream, take};
use crate::context::Context;
use crate::driver::Driver;
use crate::memory::{Block, MemoryError, Sort, find};
use crate::result::Code;
use crate::stream::{Sink, Source, Stream, Work};

fn allocate(context: &Context, bytes: usize) -> Result<u64, Code> {
    if bytes == 0 {
        return Err(Code::INVALID_VALUE);
    }
    match context.memory.allocate(bytes, Sort::Device) {
        Ok(block) => Ok(block.base),
        Err(MemoryError::Full | MemoryError::Foreign) => Err(Code::OUT_OF_MEMORY),
    }
}

/// The device memory that an entry point names must be there.
fn expect_block(driver: &Driver, context: &Context, what: &str, address: u64, bytes: usize) -> Result<(), Code> {
    if bytes == 0 || context.block(address, bytes as u64).is_some() {
        return Ok(());
    }
    driver.report(&format!("{what}: {bytes} bytes at {address:#x} are not in one block of this device"));
    Err(Code::INVALID_VALUE)
}

/// Pinned memory at a host address, with the offset in its block.
fn pinned(driver: &Driver, address: usize, bytes: usize) -> Option<(Arc<Block>, usize)> {
    let blocks = driver.pinned.blocks();
    let block = find(&blocks, address as u64, bytes as u64)?;
    Some((Arc::clone(block), block.offset(address as u64, bytes as u64)?))
}

/// Gives a copy to the device to a stream.
///
/// # Safety
/// `from` is valid for a read of `bytes`.
unsafe fn copy_in(driver: &Driver, handle: usize, to: u64, from: *const u8, bytes: usize) -> Result<(), Code> {
    let (context, stream) = stream(driver, handle)?;
    expect_block(driver, &context, "copy to the device", to, bytes)?;
    if bytes == 0 {
        return Ok(());
    }
    let from = match pinned(driver, from.addr(), bytes) {
        Some((block, offset)) => Source::Pinned { block, offset, bytes },
        // SAFETY: the caller's memory, as the driver asks.
        None => Source::Staged(unsafe { take(from, bytes)? }),
    };
    context.submit(&stream, Work::CopyIn { to, from });
    Ok(())
}

/// Gives a copy from the device to a stream; one to pageable memory is waited for.
///
/// # Safety
/// `to` is valid for a write of `bytes`.
unsafe fn copy_out(driver: &Driver, handle: usize, to: *mut u8, from: u64, bytes: usize) -> Result<(), Code> {
    let (context, stream) = stream(driver, handle)?;
    expect_block(driver, &context, "copy from the device", from, bytes)?;
    if bytes == 0 {
        return Ok(());
    }
    if to.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    if let Some((block, offset)) = pinned(driver, to.addr(), bytes) {
        context.submit(&stream, Work::CopyOut { from, bytes: bytes as u64, to: Sink::Pinned { block, offset } });
        return Ok(());
    }
    let read = context.read(&stream, from, bytes as u64)?;
    // SAFETY: the caller's memory of `bytes`, which is as much as was read.
    unsafe { std::ptr::copy_nonoverlapping(read.as_ptr(), to, read.len()) };
    Ok(())
}

fn copy_within(driver: &Driver, handle: usize, to: u64, from: u64, bytes: usize) -> Result<(), Code> {
    let (context, stream) = stream(driver, handle)?;
    expect_block(driver, &context, "copy on the device", from, bytes)?;
    expect_block(driver, &context, "copy on the device", to, bytes)?;
    if bytes > 0 {
        context.submit(&stream, Work::CopyWithin { from, to, bytes: bytes as u64 });
    }
    Ok(())
}

fn fill(driver: &Driver, handle: usize, at: u64, pattern: &[u8], count: usize) -> Result<(), Code> {
    let (context, stream) = stream(driver, handle)?;
    if !at.is_multiple_of(pattern.len() as u64) {
        return Err(Code::INVALID_VALUE);
    }
    expect_block(driver, &context, "fill", at, count.saturating_mul(pattern.len()))?;
    if count > 0 {
        context.submit(&stream, Work::Fill { at, pattern: pattern.to_vec(), count: count as u64 });
    }
    Ok(())
}

/// Waits for the default stream, for the copies that return when they are done.
fn finish(driver: &Driver) -> Result<(), Code> {
    let context = current(driver)?;
    let stream: Arc<Stream> = context.legacy_stream();
    stream.wait(stream.last_ticket());
    context.check()
}

entries! {
    /// Free and total bytes of the current device.
    Context fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) |driver| {
        let bytes = |bytes: u64| usize::try_from(bytes).expect("64-bit addresses");
        // SAFETY: the caller's pointers, as the driver asks.
        unsafe {
            put(free, bytes(current(driver)?.memory.available()))?;
            put(total, bytes(driver.config.memory))
        }
    }

    /// Device memory.
    Context fn cuMemAlloc_v2(pointer: *mut u64, bytes: usize) |driver| {
        let made = allocate(&*current(driver)?, bytes)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(pointer, made) }
    }

    /// Device memory, which may be used in the stream's order; here it is there at once.
    Context fn cuMemAllocAsync(pointer: *mut u64, bytes: usize, handle: usize) |driver| {
        let (context, _) = stream(driver, handle)?;
        let made = allocate(&context, bytes)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(pointer, made) }
    }

    /// Gives device memory back, after all work of the context.
    Context fn cuMemFree_v2(pointer: u64) |driver| {
        if pointer == 0 {
            return Ok(());
        }
        let context = current(driver)?;
        context.synchronize()?;
        context.memory.free(pointer, &[Sort::Device]).map(drop).map_err(|_| {
            driver.report(&format!("cuMemFree of {pointer:#x}, where no memory begins"));
            Code::INVALID_VALUE
        })
    }

    /// Gives device memory back in a stream's turn.
    Context fn cuMemFreeAsync(pointer: u64, handle: usize) |driver| {
        if pointer == 0 {
            return Ok(());
        }
        let (context, stream) = stream(driver, handle)?;
        if context.block(pointer, 1).is_none_or(|block| block.base != pointer || block.sort != Sort::Device) {
            driver.report(&format!("cuMemFreeAsync of {pointer:#x}, where no memory begins"));
            return Err(Code::INVALID_VALUE);
        }
        context.submit(&stream, Work::Free(pointer));
        Ok(())
    }

    /// Memory of the host that copies read and write by themselves.
    Context fn cuMemHostAlloc(pointer: *mut *mut u8, bytes: usize, flags: u32) |driver| {
        if bytes == 0 || flags > 7 {
            return Err(Code::INVALID_VALUE);
        }
        let block = driver.pinned.allocate(bytes, Sort::Pinned).map_err(|_| Code::OUT_OF_MEMORY)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(pointer, block.host_pointer()) }
    }

    /// The device address of pinned memory, which is the host's.
    Context fn cuMemHostGetDevicePointer_v2(pointer: *mut u64, host: *mut u8, _flags: u32) |driver| {
        let (block, offset) = pinned(driver, host.addr(), 1).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(pointer, block.base + offset as u64) }
    }

    /// Gives pinned memory back.
    Initialized fn cuMemFreeHost(pointer: *mut u8) |driver| {
        driver.pinned.free(pointer.addr() as u64, &[Sort::Pinned]).map(drop).map_err(|_| {
            driver.report(&format!("cuMemFreeHost of {pointer:p}, where no pinned memory begins"));
            Code::INVALID_VALUE
        })
    }

    /// Copies to the device in a stream's turn.
    Context fn cuMemcpyHtoDAsync_v2(to: u64, from: *const u8, bytes: usize, handle: usize) |driver| {
        // SAFETY: the caller's memory, as the driver asks.
        unsafe { copy_in(driver, handle, to, from, bytes) }
    }

    /// Copies to the device.
    Context fn cuMemcpyHtoD_v2(to: u64, from: *const u8, bytes: usize) |driver| {
        // SAFETY: the caller's memory, as the driver asks.
        unsafe { copy_in(driver, 0, to, from, bytes)? };
        finish(driver)
    }

    /// Copies from the device in a stream's turn.
    Context fn cuMemcpyDtoHAsync_v2(to: *mut u8, from: u64, bytes: usize, handle: usize) |driver| {
        // SAFETY: the caller's memory, as the driver asks.
        unsafe { copy_out(driver, handle, to, from, bytes) }
    }

    /// Copies from the device.
    Context fn cuMemcpyDtoH_v2(to: *mut u8, from: u64, bytes: usize) |driver| {
        // SAFETY: the caller's memory, as the driver asks.
        unsafe { copy_out(driver, 0, to, from, bytes)? };
        finish(driver)
    }

    /// Copies on the device in a stream's turn.
    Context fn cuMemcpyDtoDAsync_v2(to: u64, from: u64, bytes: usize, handle: usize) |driver| {
        copy_within(driver, handle, to, from, bytes)
    }

    /// Copies on the device.
    Context fn cuMemcpyDtoD_v2(to: u64, from: u64, bytes: usize) |driver| {
        copy_within(driver, 0, to, from, bytes)?;
        finish(driver)
    }

    /// Fills with a byte in a stream's turn.
    Context fn cuMemsetD8Async(at: u64, value: u8, count: usize, handle: usize) |driver| {
        fill(driver, handle, at, &[value], count)
    }

    /// Fills with a byte.
    Context fn cuMemsetD8_v2(at: u64, value: u8, count: usize) |driver| {
        fill(driver, 0, at, &[value], count)?;
        finish(driver)
    }

    /// Fills with a word in a stream's turn.
    Context fn cuMemsetD32Async(at: u64, value: u32, count: usize, handle: usize) |driver| {
        fill(driver, handle, at, &value.to_le_bytes(), count)
    }

    /// Fills with a word.
    Context fn cuMemsetD32_v2(at: u64, value: u32, count: usize) |driver| {
        fill(driver, 0, at, &value.to_le_bytes(), count)?;
        finish(driver)
    }
}
