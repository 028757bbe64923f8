//! Initialisation, devices and contexts.
#![allow(unsafe_code, reason = "entry points of C")]

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use super::{CURRENT, INITIALIZED, context_of, current, current_handle, entries, put, put_text};
use crate::context::Context;
use crate::device::Primary;
use crate::driver::{Driver, Object};
use crate::result::{Code, describe};

/// Ends a primary context, with all that was made in it.
fn destroy(driver: &Driver, primary: &mut Primary) {
    if let Some(context) = primary.context.take() {
        context.shut_down();
        primary.next_address = context.memory.next_address();
        driver.remove_context(context.handle);
    }
    primary.retained = 0;
}

entries! {
    /// Begins; fails where there is no device.
    Nothing fn cuInit(flags: u32) |driver| {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if driver.devices.is_empty() {
            return Err(Code::NO_DEVICE);
        }
        INITIALIZED.store(true, SeqCst);
        Ok(())
    }

    /// The version, as 12090.
    Nothing fn cuDriverGetVersion(version: *mut i32) |driver| {
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(version, driver.config.version) }
    }

    /// The number of devices, which is 0 before `cuInit` too where there is none.
    Nothing fn cuDeviceGetCount(count: *mut i32) |driver| {
        if !driver.devices.is_empty() && !INITIALIZED.load(SeqCst) {
            return Err(Code::NOT_INITIALIZED);
        }
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(count, i32::try_from(driver.devices.len()).expect("few devices")) }
    }

    /// The handle of a device, which is its number.
    Initialized fn cuDeviceGet(handle: *mut i32, ordinal: i32) on ordinal |driver| {
        driver.device(ordinal)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, ordinal) }
    }

    /// A device's name.
    Initialized fn cuDeviceGetName(name: *mut u8, room: i32, device: i32) on device |driver| {
        // SAFETY: the caller's buffer of `room` bytes.
        unsafe { put_text(name, room, &driver.device(device)?.name()) }
    }

    /// A device's sixteen identifying bytes.
    Initialized fn cuDeviceGetUuid(uuid: *mut [u8; 16], device: i32) on device |driver| {
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(uuid, driver.device(device)?.uuid()) }
    }

    /// The same, under its newer name.
    Initialized fn cuDeviceGetUuid_v2(uuid: *mut [u8; 16], device: i32) on device |driver| {
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(uuid, driver.device(device)?.uuid()) }
    }

    /// An attribute of a device.
    Initialized fn cuDeviceGetAttribute(value: *mut i32, attribute: i32, device: i32) on device |driver| {
        let found = driver.device(device)?.attribute(attribute, &driver.config).ok_or(Code::INVALID_VALUE)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(value, found) }
    }

    /// Bytes of a device's memory.
    Initialized fn cuDeviceTotalMem_v2(bytes: *mut usize, device: i32) on device |driver| {
        driver.device(device)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(bytes, usize::try_from(driver.config.memory).expect("64-bit addresses")) }
    }

    /// A device's place on the bus, as `0000:01:00.0`.
    Initialized fn cuDeviceGetPCIBusId(id: *mut u8, room: i32, device: i32) on device |driver| {
        // SAFETY: the caller's buffer of `room` bytes.
        unsafe { put_text(id, room, &driver.device(device)?.pci_bus_id()) }
    }

    /// The primary context, made if need be.
    Initialized fn cuDevicePrimaryCtxRetain(handle: *mut usize, device: i32) on device |driver| {
        let device = driver.device(device)?;
        let mut primary = device.primary();
        if primary.context.is_none() {
            if device.is_gone() {
                return Err(Code::NO_DEVICE);
            }
            let context = Context::new(driver, device.ordinal, primary.next_address);
            driver.put(context.handle, Object::Context(Arc::clone(&context)));
            primary.context = Some(context);
        }
        primary.retained += 1;
        let context = primary.context.as_ref().expect("it was made above").handle;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, context) }
    }

    /// Gives a retained context back; the last one ends it.
    Initialized fn cuDevicePrimaryCtxRelease_v2(device: i32) on device |driver| {
        let mut primary = driver.device(device)?.primary();
        if primary.retained == 0 {
            driver.report("a primary context released more often than retained");
            return Err(Code::INVALID_CONTEXT);
        }
        primary.retained -= 1;
        if primary.retained == 0 {
            destroy(driver, &mut primary);
        }
        Ok(())
    }

    /// Ends the primary context, however often it is retained.
    Initialized fn cuDevicePrimaryCtxReset_v2(device: i32) on device |driver| {
        destroy(driver, &mut driver.device(device)?.primary());
        Ok(())
    }

    /// How waiting threads wait; kept, and of no effect.
    Initialized fn cuDevicePrimaryCtxSetFlags_v2(device: i32, flags: u32) on device |driver| {
        driver.device(device)?.primary().flags = flags;
        Ok(())
    }

    /// Flags of the primary context, and whether there is one.
    Initialized fn cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32) on device |driver| {
        let primary = driver.device(device)?.primary();
        // SAFETY: the caller's pointers, as the driver asks.
        unsafe {
            put(flags, primary.flags)?;
            put(active, i32::from(primary.context.is_some()))
        }
    }

    /// Makes a context of the caller's own, and makes it that of this thread. No limit of its share of the card can be set.
    Initialized fn cuCtxCreate_v3(handle: *mut usize, shares: *const u8, count: i32, flags: u32, device: i32) on device
    |driver| {
        let device = driver.device(device)?;
        if device.is_gone() {
            return Err(Code::NO_DEVICE);
        }
        if !shares.is_null() || count != 0 || flags >= 1 << 8 {
            return Err(Code::INVALID_VALUE);
        }
        let context = Context::new(driver, device.ordinal, device.primary().next_address);
        driver.put(context.handle, Object::Context(Arc::clone(&context)));
        CURRENT.with_borrow_mut(|stack| stack.push(context.handle));
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, context.handle) }
    }

    /// Ends a context of the caller's own, whatever error it has met.
    Initialized fn cuCtxDestroy_v2(handle: usize) |driver| {
        let context = context_of(driver, handle)?;
        let mut primary = driver.devices[context.device].primary();
        if primary.context.as_ref().is_some_and(|primary| primary.handle == handle) {
            driver.report("a primary context is released, not destroyed");
            return Err(Code::INVALID_CONTEXT);
        }
        context.shut_down();
        primary.next_address = primary.next_address.max(context.memory.next_address());
        driver.remove_context(handle);
        CURRENT.with_borrow_mut(|stack| {
            if stack.last() == Some(&handle) {
                stack.pop();
            }
        });
        Ok(())
    }

    /// The context of this thread; null for none.
    Initialized fn cuCtxGetCurrent(handle: *mut usize) |_driver| {
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, current_handle()) }
    }

    /// Makes a context, or none, that of this thread.
    Initialized fn cuCtxSetCurrent(handle: usize) |driver| {
        if handle != 0 {
            context_of(driver, handle)?;
        }
        CURRENT.with_borrow_mut(|stack| {
            stack.pop();
            if handle != 0 {
                stack.push(handle);
            }
        });
        Ok(())
    }

    /// Puts a context on top of this thread's.
    Initialized fn cuCtxPushCurrent_v2(handle: usize) |driver| {
        context_of(driver, handle)?;
        CURRENT.with_borrow_mut(|stack| stack.push(handle));
        Ok(())
    }

    /// Takes this thread's context off.
    Initialized fn cuCtxPopCurrent_v2(handle: *mut usize) |_driver| {
        let popped = CURRENT.with_borrow_mut(Vec::pop).ok_or(Code::INVALID_CONTEXT)?;
        if handle.is_null() {
            return Ok(());
        }
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, popped) }
    }

    /// The device of this thread's context.
    Context fn cuCtxGetDevice(device: *mut i32) |driver| {
        let ordinal = current(driver)?.device;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(device, i32::try_from(ordinal).expect("few devices")) }
    }

    /// How waiting threads wait; kept, and of no effect: here they always block.
    Context fn cuCtxSetFlags(flags: u32) |driver| {
        driver.devices[current(driver)?.device].primary().flags = flags;
        Ok(())
    }

    /// The flags set.
    Context fn cuCtxGetFlags(flags: *mut u32) |driver| {
        let kept = driver.devices[current(driver)?.device].primary().flags;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(flags, kept) }
    }

    /// Waits for all work of the context.
    Context fn cuCtxSynchronize() |driver| {
        current(driver)?.synchronize()
    }

    /// Stream priorities: there is one.
    Context fn cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) |_driver| {
        for place in [least, greatest] {
            if !place.is_null() {
                // SAFETY: the caller's pointer, as the driver asks.
                unsafe { put(place, 0)? };
            }
        }
        Ok(())
    }

    /// The name of a result code.
    Nothing fn cuGetErrorName(code: u32, text: *mut *const c_char) |_driver| {
        let found = describe(code);
        let name = found.map_or(std::ptr::null(), |(name, _)| name.as_ptr());
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(text, name)? };
        found.map(|_| ()).ok_or(Code::INVALID_VALUE)
    }

    /// The description of a result code.
    Nothing fn cuGetErrorString(code: u32, text: *mut *const c_char) |_driver| {
        let found = describe(code);
        let words = found.map_or(std::ptr::null(), |(_, words)| words.as_ptr());
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(text, words)? };
        found.map(|_| ()).ok_or(Code::INVALID_VALUE)
    }

    /// NVIDIA's own libraries ask for tables of functions; there are none.
    Nothing fn cuGetExportTable(table: *mut *const c_void, _id: *const c_void) |_driver| {
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(table, std::ptr::null())? };
        Err(Code::NOT_FOUND)
    }
}
