//! The driver's entry points, as programs find them in libcuda.so.1. These files alone touch foreign pointers;
//! what a pointer must be is what NVIDIA's driver asks of it.
//!
//! Handles are numbers here, of a pointer's size. No panic leaves an entry point.

mod device;
mod event;
mod launch;
mod memory;
mod module;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::context::Context;
use crate::driver::{Driver, Object, driver};
use crate::result::Code;
use crate::stream::{Event, Stream};

/// Whether `cuInit` was called.
static INITIALIZED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The handles of the contexts made current, the last one on top.
    static CURRENT: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn current_handle() -> usize {
    CURRENT.with_borrow(|stack| stack.last().copied().unwrap_or(0))
}

/// What an entry point needs before it begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Initialized,
    /// A context that has met no error.
    Context,
}

/// Runs an entry point: counts the call, lets it fail if a test asked for that, keeps panics inside.
fn enter(name: &str, need: Need, device: Option<i32>, body: impl FnOnce(&'static Driver) -> Result<(), Code>) -> u32 {
    let guarded = || {
        let driver = driver()?;
        if need != Need::Nothing && !INITIALIZED.load(SeqCst) {
            return Err(Code::NOT_INITIALIZED);
        }
        let context = context_of(driver, current_handle());
        let device = device.and_then(|ordinal| usize::try_from(ordinal).ok());
        let device = device.or_else(|| context.as_ref().ok().map(|context| context.device));
        driver.faults.call(name, device).inspect_err(|code| {
            if let (Ok(context), true) = (&context, code.is_sticky()) {
                context.fail(*code);
            }
        })?;
        if need == Need::Context {
            let context = context?;
            if driver.devices[context.device].is_gone() {
                context.fail(Code::UNKNOWN);
            }
            context.check()?;
        }
        body(driver)
    };
    match catch_unwind(AssertUnwindSafe(guarded)) {
        Ok(Ok(())) => 0,
        Ok(Err(code)) => code.0,
        Err(_) => {
            if let Ok(driver) = driver() {
                driver.report(&format!("{name}: the stand-in panicked"));
            }
            Code::UNKNOWN.0
        }
    }
}

fn context_of(driver: &Driver, handle: usize) -> Result<Arc<Context>, Code> {
    match driver.object(handle) {
        Some(Object::Context(context)) => Ok(context),
        _ if handle == 0 => Err(Code::INVALID_CONTEXT),
        _ => Err(Code::CONTEXT_IS_DESTROYED),
    }
}

fn current(driver: &Driver) -> Result<Arc<Context>, Code> {
    context_of(driver, current_handle())
}

/// A handle that names nothing, or something else.
fn bad_handle<T>(driver: &Driver, what: &str, handle: usize) -> Result<T, Code> {
    driver.report(&format!("{handle:#x} is no {what}"));
    Err(Code::INVALID_HANDLE)
}

/// A stream and its context; the default streams are those of the current context.
fn stream(driver: &Driver, handle: usize) -> Result<(Arc<Context>, Arc<Stream>), Code> {
    match (handle, driver.object(handle)) {
        (0 | 1, _) => current(driver).map(|context| (Arc::clone(&context), context.legacy_stream())),
        (2, _) => current(driver).map(|context| (Arc::clone(&context), context.per_thread_stream())),
        (_, Some(Object::Stream(context, stream))) => {
            let context = context_of(driver, context)?;
            context.check()?;
            Ok((context, stream))
        }
        _ => bad_handle(driver, "stream", handle),
    }
}

fn event(driver: &Driver, handle: usize) -> Result<(Arc<Context>, Arc<Event>), Code> {
    match driver.object(handle) {
        Some(Object::Event(context, event)) => {
            let context = context_of(driver, context)?;
            context.check()?;
            Ok((context, event))
        }
        _ => bad_handle(driver, "event", handle),
    }
}

/// Writes a result through a caller's pointer.
///
/// # Safety
/// The pointer is null or valid for a write of `T`.
#[allow(unsafe_code, reason = "an entry point's out parameter")]
unsafe fn put<T>(place: *mut T, value: T) -> Result<(), Code> {
    if place.is_null() {
        return Err(Code::INVALID_VALUE);
    }
    // SAFETY: the caller says that a pointer that is not null can be written.
    unsafe { place.write_unaligned(value) };
    Ok(())
}

/// Reads a caller's bytes.
///
/// # Safety
/// The pointer is null or valid for a read of `bytes`.
#[allow(unsafe_code, reason = "an entry point's in parameter")]
unsafe fn take(place: *const u8, bytes: usize) -> Result<Vec<u8>, Code> {
    if place.is_null() && bytes > 0 {
        return Err(Code::INVALID_VALUE);
    }
    let mut taken = vec![0; bytes];
    if bytes > 0 {
        // SAFETY: the caller says that so much can be read, and the vector has as much room.
        unsafe { std::ptr::copy_nonoverlapping(place, taken.as_mut_ptr(), bytes) };
    }
    Ok(taken)
}

/// Copies a name with its zero byte into a caller's buffer, cut to its length.
///
/// # Safety
/// The pointer is null or valid for a write of `room` bytes.
#[allow(unsafe_code, reason = "an entry point's out parameter")]
unsafe fn put_text(place: *mut u8, room: i32, text: &str) -> Result<(), Code> {
    let room = usize::try_from(room).map_err(|_| Code::INVALID_VALUE)?;
    if place.is_null() || room == 0 {
        return Err(Code::INVALID_VALUE);
    }
    let bytes = text.len().min(room - 1);
    // SAFETY: the caller says that `room` bytes can be written, and the text and its zero byte are no more.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), place, bytes);
        place.add(bytes).write(0);
    }
    Ok(())
}

/// Defines entry points: `need, fn cuName(parameters) on device { body }`.
macro_rules! entries {
    ($($(#[$doc:meta])* $need:ident fn $name:ident($($param:ident: $kind:ty),* $(,)?) $(on $device:ident)? |$driver:ident| $body:block)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// Pointers are what NVIDIA's driver asks of its caller.
            #[allow(non_snake_case, reason = "the driver's own name")]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($param: $kind),*) -> u32 {
                #[allow(unused_mut, unused_assignments, reason = "few entry points name a device")]
                let mut device = None;
                $(device = Some($device);)?
                super::enter(stringify!($name), super::Need::$need, device, |$driver| $body)
            }
        )+
    };
}
use entries;
