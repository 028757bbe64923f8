//! Streams and events.
#![allow(unsafe_code, reason = "entry points of C")]

use std::ffi::c_void;
use std::sync::Arc;

use super::{current, entries, event, put, stream};
use crate::driver::{Driver, Object};
use crate::result::Code;
use crate::stream::{Event, Work};

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;
/// `CU_EVENT_DISABLE_TIMING`.
const DISABLE_TIMING: u32 = 2;

fn create_stream(driver: &Driver, flags: u32) -> Result<usize, Code> {
    if flags & !NON_BLOCKING != 0 {
        return Err(Code::INVALID_VALUE);
    }
    let context = current(driver)?;
    let handle = driver.fresh_handle();
    driver.put(handle, Object::Stream(context.handle, context.new_stream(flags & NON_BLOCKING == 0)));
    Ok(handle)
}

/// A host function with its argument, on their way to a stream's thread.
struct HostCall(extern "C" fn(*mut c_void), *mut c_void);

// SAFETY: `cuLaunchHostFunc` says that the function is called on another thread.
unsafe impl Send for HostCall {}

impl HostCall {
    fn call(self) {
        (self.0)(self.1);
    }
}

/// Milliseconds between two events that have been reached.
fn elapsed(driver: &Driver, start: usize, end: usize) -> Result<f32, Code> {
    let ((_, start), (_, end)) = (event(driver, start)?, event(driver, end)?);
    if !start.timing || !end.timing || start.asked() == 0 || end.asked() == 0 {
        driver.report("the time between events that keep none, or were not recorded");
        return Err(Code::INVALID_HANDLE);
    }
    let (Some(from), Some(to)) = (start.time(), end.time()) else { return Err(Code::NOT_READY) };
    if !start.is_reached() || !end.is_reached() {
        return Err(Code::NOT_READY);
    }
    let forward = to.saturating_duration_since(from).as_secs_f32();
    let backward = from.saturating_duration_since(to).as_secs_f32();
    Ok((forward - backward) * 1000.0)
}

entries! {
    /// A new stream of the current context.
    Context fn cuStreamCreate(handle: *mut usize, flags: u32) |driver| {
        let made = create_stream(driver, flags)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// The same; all priorities are one.
    Context fn cuStreamCreateWithPriority(handle: *mut usize, flags: u32, _priority: i32) |driver| {
        let made = create_stream(driver, flags)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// The stream goes once its work is done.
    Initialized fn cuStreamDestroy_v2(handle: usize) |driver| {
        let (context, stream) = stream(driver, handle)?;
        if handle <= 2 {
            return Err(Code::INVALID_HANDLE);
        }
        driver.remove(handle);
        context.remove_stream(&stream);
        Ok(())
    }

    /// Waits for all that the stream was given.
    Context fn cuStreamSynchronize(handle: usize) |driver| {
        let (context, stream) = stream(driver, handle)?;
        if handle <= 1 {
            // The default stream comes after the work of the blocking ones.
            let ticket = context.submit(&stream, Work::Host(Box::new(|| ())));
            stream.wait(ticket);
        } else {
            stream.wait(stream.last_ticket());
        }
        context.check()
    }

    /// Whether all that the stream was given is done.
    Context fn cuStreamQuery(handle: usize) |driver| {
        let (context, stream) = stream(driver, handle)?;
        if !stream.is_done(stream.last_ticket()) {
            return Err(Code::NOT_READY);
        }
        context.check()
    }

    /// Lets a stream wait for an event as it was last recorded.
    Context fn cuStreamWaitEvent(handle: usize, awaited: usize, flags: u32) |driver| {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        let (context, stream) = stream(driver, handle)?;
        let (_, event) = event(driver, awaited)?;
        let recording = event.asked();
        if recording > 0 {
            context.submit(&stream, Work::Wait(event, recording));
        }
        Ok(())
    }

    /// Calls a function of the host in a stream's turn; it may not call the driver.
    Context fn cuLaunchHostFunc(handle: usize, function: Option<extern "C" fn(*mut c_void)>, argument: *mut c_void) |driver| {
        let call = HostCall(function.ok_or(Code::INVALID_VALUE)?, argument);
        let (context, stream) = stream(driver, handle)?;
        context.submit(&stream, Work::Host(Box::new(move || call.call())));
        Ok(())
    }

    /// A new event of the current context.
    Context fn cuEventCreate(handle: *mut usize, flags: u32) |driver| {
        if flags > 7 {
            return Err(Code::INVALID_VALUE);
        }
        let made = driver.fresh_handle();
        let event = Arc::new(Event::new(flags & DISABLE_TIMING == 0));
        driver.put(made, Object::Event(current(driver)?.handle, event));
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(handle, made) }
    }

    /// The event goes; work that waits for it still does.
    Initialized fn cuEventDestroy_v2(handle: usize) |driver| {
        event(driver, handle)?;
        driver.remove(handle);
        Ok(())
    }

    /// Records an event after all that a stream was given.
    Context fn cuEventRecord(recorded: usize, handle: usize) |driver| {
        let (context, stream) = stream(driver, handle)?;
        let (owner, event) = event(driver, recorded)?;
        if !Arc::ptr_eq(&context, &owner) {
            driver.report("an event recorded in a stream of another context");
            return Err(Code::INVALID_HANDLE);
        }
        let recording = event.ask();
        context.submit(&stream, Work::Record(event, recording));
        Ok(())
    }

    /// Whether an event's last recording was reached.
    Context fn cuEventQuery(handle: usize) |driver| {
        let (context, event) = event(driver, handle)?;
        if !event.is_reached() {
            return Err(Code::NOT_READY);
        }
        context.check()
    }

    /// Waits for an event's last recording.
    Context fn cuEventSynchronize(handle: usize) |driver| {
        let (context, event) = event(driver, handle)?;
        event.wait(event.asked());
        context.check()
    }

    /// Milliseconds between two events.
    Context fn cuEventElapsedTime(milliseconds: *mut f32, start: usize, end: usize) |driver| {
        let elapsed = elapsed(driver, start, end)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(milliseconds, elapsed) }
    }

    /// The same, under its newer name.
    Context fn cuEventElapsedTime_v2(milliseconds: *mut f32, start: usize, end: usize) |driver| {
        let elapsed = elapsed(driver, start, end)?;
        // SAFETY: the caller's pointer, as the driver asks.
        unsafe { put(milliseconds, elapsed) }
    }
}
