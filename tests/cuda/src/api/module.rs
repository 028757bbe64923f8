//! Modules and functions.
#![allow(unsafe_code, reason = "entry points of C")]

use std::ffi::{CStr, c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::{bad_handle, context_of, current, entries, put};
use crate::device::SHARED_PER_BLOCK_OPTIN;
use crate::driver::{Driver, Object};
use crate::module::{Function, Module};
use crate::result::Code;

/// First bytes of images that hold machine code.
const ELF: [u8; 4] = [0x7f, b'E', b'L', b'F'];
const FATBIN: [u8; 4] = 0xba55_ed50_u32.to_le_bytes();
const FATBIN_WRAPPER: [u8; 4] = 0x4662_43b1_u32.to_le_bytes();

/// Loads an image: a PTX text with a zero byte at its end.
///
/// # Safety
/// The image is null, or has at least four bytes and, unless they say that it is machine code, a zero byte.
unsafe fn load(driver: &Driver, image: *const c_void) -> Result<usize, Code> {
    let context = current(driver)?;
    if image.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: an image has four bytes, or is a shorter text.
    let first = unsafe { std::ptr::read_unaligned(image.cast::<[u8; 4]>()) };
    if [ELF, FATBIN, FATBIN_WRAPPER].contains(&first) {
        eprintln!("CUDA stand-in: machine code cannot be loaded here, only PTX");
        return Err(Code::NO_BINARY_FOR_GPU);
    }
    // SAFETY: what is not machine code is a text with a zero byte.
    let text = unsafe { CStr::from_ptr(image.cast::<c_char>()) };
    let text = text.to_str().map_err(|_| Code::INVALID_IMAGE)?;
    let patched = driver.config.patch.as_ref().map(|(from, to)| text.replace(from, to));
    let text = patched.as_deref().unwrap_or(text);
    let module = Module::load(text, &context.memory, &driver.config).map_err(|(code, reason)| {
        if code == Code::INVALID_PTX {
            driver.report(&reason);
        } else {
            eprintln!("CUDA stand-in: {reason}");
        }
        code
    })?;
    let handle = driver.fresh_handle();
    driver.put(handle, Object::Module(context.handle, Arc::new(module)));
    Ok(handle)
}

fn module(driver: &Driver, handle: usize) -> Result<(usize, Arc<Module>), Code> {
    match driver.object(handle) {
        Some(Object::Module(context, module)) => Ok((context, module)),
        _ => bad_handle(driver, "module", handle),
    }
}

pub(super) fn function(driver: &Driver, handle: usize) -> Result<(usize, Arc<Function>), Code> {
    match driver.object(handle) {
        Some(Object::Function(context, function)) => Ok((context, function)),
        _ => bad_handle(driver, "function", handle),
    }
}

/// Reads a name.
///
/// # Safety
/// The pointer is null or a text with a zero byte at its end.
unsafe fn name<'a>(place: *const c_char) -> Result<&'a str, Code> {
    if place.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: the caller's text, as the driver asks.
    unsafe { CStr::from_ptr(place) }.to_str().map_err(|_| Code::NOT_FOUND)
}

type BlockSizeToShared = Option<extern "C" fn(i32) -> usize>;

fn best_block(
    driver: &Driver,
    handle: usize,
    by_size: BlockSizeToShared,
    shared: usize,
    limit: i32,
) -> Result<(i32, i32), Code> {
    let (_, function) = function(driver, handle)?;
    let limit = u32::try_from(limit).map_err(|_| Code::INVALID_VALUE)?;
    let dynamic = |threads: u32| by_size.map_or(shared, |by_size| by_size(threads.cast_signed())) as u64;
    let (threads, blocks) = function.best_block(limit, dynamic);
    Ok((blocks.cast_signed() * driver.config.multiprocessors, threads.cast_signed()))
}

fn active_blocks(driver: &Driver, handle: usize, threads: i32, shared: usize) -> Result<i32, Code> {
    let (_, function) = function(driver, handle)?;
    let threads = u32::try_from(threads).ok().filter(|&threads| threads > 0).ok_or(Code::INVALID_VALUE)?;
    Ok(function.blocks_per_multiprocessor(threads, shared as u64).cast_signed())
}

entries! {
    /// Loads a PTX text.
    Context fn cuModuleLoadData(handle: *mut usize, image: *const c_void) |driver| {
        // SAFETY: the caller's image, as the driver asks.
        let made = unsafe { load(driver, image)? };
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// The same; the options, which concern the hardware's compiler, are not looked at.
    Context fn cuModuleLoadDataEx(
        handle: *mut usize,
        image: *const c_void,
        _count: u32,
        _options: *mut u32,
        _values: *mut *mut c_void,
    ) |driver| {
        // SAFETY: the caller's image, as the driver asks.
        let made = unsafe { load(driver, image)? };
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// Loads a PTX file.
    Context fn cuModuleLoad(handle: *mut usize, path: *const c_char) |driver| {
        // SAFETY: the caller's text, as the driver asks.
        let path = unsafe { name(path)? };
        let mut image = std::fs::read(path).map_err(|_| Code::FILE_NOT_FOUND)?;
        image.extend([0; 4]);
        // SAFETY: the image was given its zero bytes above.
        let made = unsafe { load(driver, image.as_ptr().cast())? };
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// Unloads a module; its functions go with it.
    Context fn cuModuleUnload(handle: usize) |driver| {
        let (context, module) = module(driver, handle)?;
        let context = context_of(driver, context)?;
        context.synchronize()?;
        driver.remove(handle);
        driver.remove_functions(&module.program);
        module.unload(&context.memory);
        Ok(())
    }

    /// A kernel by its name.
    Context fn cuModuleGetFunction(handle: *mut usize, from: usize, text: *const c_char) |driver| {
        let (context, module) = module(driver, from)?;
        // SAFETY: the caller's text, as the driver asks.
        let &number = module.program.kernels.get(unsafe { name(text)? }).ok_or(Code::NOT_FOUND)?;
        let made = driver.fresh_handle();
        driver.put(made, Object::Function(context, Arc::new(Function::new(&module, number))));
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// Where a module's variable is, and its bytes.
    Context fn cuModuleGetGlobal_v2(pointer: *mut u64, bytes: *mut usize, from: usize, text: *const c_char) |driver| {
        let (_, module) = module(driver, from)?;
        // SAFETY: the caller's text, as the driver asks.
        let block = module.variables.get(unsafe { name(text)? }).ok_or(Code::NOT_FOUND)?;
        // SAFETY: the caller's pointers, as the driver asks.
        unsafe {
            if !pointer.is_null() {
                put(pointer, block.base)?;
            }
            if !bytes.is_null() {
                put(bytes, usize::try_from(block.bytes).expect("64-bit addresses"))?;
            }
        }
        Ok(())
    }

    /// An attribute of a kernel.
    Context fn cuFuncGetAttribute(value: *mut i32, attribute: i32, handle: usize) |driver| {
        let (_, function) = function(driver, handle)?;
        let found = function.attribute(attribute, &driver.config).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(value, found) }
    }

    /// Sets how much shared memory launches may choose, or the share of it, which has no effect here.
    Context fn cuFuncSetAttribute(handle: usize, attribute: i32, value: i32) |driver| {
        let (_, function) = function(driver, handle)?;
        let value = u32::try_from(value).map_err(|_| Code::INVALID_VALUE);
        match attribute {
            8 => {
                let value = value?;
                if function.code().shared + u64::from(value) > SHARED_PER_BLOCK_OPTIN {
                    return Err(Code::INVALID_VALUE);
                }
                function.dynamic_shared_max.store(value, Relaxed);
                Ok(())
            }
            9 => Ok(()),
            _ => Err(Code::INVALID_VALUE),
        }
    }

    /// A preference for caches, which are not simulated.
    Context fn cuFuncSetCacheConfig(handle: usize, _config: u32) |driver| {
        function(driver, handle).map(drop)
    }

    /// Blocks of a size that a multiprocessor holds.
    Context fn cuOccupancyMaxActiveBlocksPerMultiprocessor(count: *mut i32, handle: usize, threads: i32, shared: usize) |driver| {
        let found = active_blocks(driver, handle, threads, shared)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(count, found) }
    }

    /// The same; the flags concern caches.
    Context fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        count: *mut i32,
        handle: usize,
        threads: i32,
        shared: usize,
        _flags: u32,
    ) |driver| {
        let found = active_blocks(driver, handle, threads, shared)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(count, found) }
    }

    /// The block size that keeps the device busiest, and how many blocks that takes.
    Context fn cuOccupancyMaxPotentialBlockSize(
        blocks: *mut i32,
        threads: *mut i32,
        handle: usize,
        by_size: BlockSizeToShared,
        shared: usize,
        limit: i32,
    ) |driver| {
        let best = best_block(driver, handle, by_size, shared, limit)?;
        // SAFETY: the caller's pointers, as the driver asks.
        unsafe {
            put(blocks, best.0)?;
            put(threads, best.1)
        }
    }

    /// The same; the flags concern caches.
    Context fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        blocks: *mut i32,
        threads: *mut i32,
        handle: usize,
        by_size: BlockSizeToShared,
        shared: usize,
        limit: i32,
        _flags: u32,
    ) |driver| {
        let best = best_block(driver, handle, by_size, shared, limit)?;
        // SAFETY: the caller's pointers, as the driver asks.
        unsafe {
            put(blocks, best.0)?;
            put(threads, best.1)
        }
    }
}
