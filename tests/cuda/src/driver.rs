//! The driver: its devices, and the handles it gave out.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::config::Config;
use crate::context::Context;
use crate::device::Device;
use crate::faults::Faults;
use crate::memory::Memory;
use crate::module::{Function, Module};
use crate::program::Program;
use crate::result::Code;
use crate::stream::{Event, Stream};

/// The one driver of a process.
#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) config: Config,
    pub(crate) devices: Vec<Device>,
    pub(crate) pinned: Memory,
    pub(crate) faults: Faults,
    objects: Mutex<HashMap<usize, Object>>,
    next_handle: AtomicUsize,
}

/// What a handle stands for; all but contexts with the handle of their context.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Context(Arc<Context>),
    Stream(usize, Arc<Stream>),
    Event(usize, Arc<Event>),
    Module(usize, Arc<Module>),
    Function(usize, Arc<Function>),
}

impl Object {
    fn context(&self) -> Option<usize> {
        match self {
            Self::Context(_) => None,
            Self::Stream(context, _)
            | Self::Event(context, _)
            | Self::Module(context, _)
            | Self::Function(context, _) => Some(*context),
        }
    }
}

/// The driver, made at the first call.
///
/// # Errors
/// The environment is not understood.
pub(crate) fn driver() -> Result<&'static Driver, Code> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    let made = DRIVER.get_or_init(|| match Config::read(|name| std::env::var(name).ok()) {
        Ok(config) => Some(Driver::new(config)),
        Err(reason) => {
            eprintln!("CUDA stand-in: {reason}");
            None
        }
    });
    made.as_ref().ok_or(Code::INVALID_VALUE)
}

impl Driver {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            devices: (0..config.devices).map(|ordinal| Device::new(ordinal, &config)).collect(),
            pinned: Memory::new(u64::MAX, 0),
            faults: Faults::new(&config.faults),
            objects: Mutex::default(),
            next_handle: AtomicUsize::new(0x5ca1_0000),
            config,
        }
    }

    fn objects(&self) -> MutexGuard<'_, HashMap<usize, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that was no handle before.
    pub(crate) fn fresh_handle(&self) -> usize {
        self.next_handle.fetch_add(16, Relaxed)
    }

    pub(crate) fn put(&self, handle: usize, object: Object) {
        self.objects().insert(handle, object);
    }

    /// What a handle stands for.
    pub(crate) fn object(&self, handle: usize) -> Option<Object> {
        self.objects().get(&handle).cloned()
    }

    pub(crate) fn remove(&self, handle: usize) {
        self.objects().remove(&handle);
    }

    /// Forgets the functions of a program.
    pub(crate) fn remove_functions(&self, program: &Arc<Program>) {
        let of_it = |object: &Object| matches!(object, Object::Function(_, own) if Arc::ptr_eq(&own.program, program));
        self.objects().retain(|_, object| !of_it(object));
    }

    /// Forgets a context and all that belongs to it.
    pub(crate) fn remove_context(&self, context: usize) {
        self.objects().retain(|&handle, object| handle != context && object.context() != Some(context));
    }

    /// Notes a programming error.
    pub(crate) fn report(&self, error: &str) {
        eprintln!("CUDA stand-in: {error}");
        let Some(path) = &self.config.log else { return };
        let written = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
            // One write, so that lines of several processes stay whole.
            file.write_all(format!("{error}\n").as_bytes())
        });
        if let Err(error) = written {
            eprintln!("CUDA stand-in: {}: {error}", path.display());
        }
    }

    /// A device by its number.
    pub(crate) fn device(&self, ordinal: i32) -> Result<&Device, Code> {
        usize::try_from(ordinal).ok().and_then(|ordinal| self.devices.get(ordinal)).ok_or(Code::INVALID_DEVICE)
    }
}
