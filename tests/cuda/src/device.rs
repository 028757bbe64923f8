//! A device and what it says of itself.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Config;
use crate::context::Context;
use crate::memory::{DEVICE_BASE, DEVICE_SPAN};

/// Threads of a multiprocessor.
pub(crate) const THREADS_PER_MULTIPROCESSOR: u32 = 1536;
/// Blocks of a multiprocessor.
pub(crate) const BLOCKS_PER_MULTIPROCESSOR: u32 = 16;
/// Registers of a multiprocessor.
pub(crate) const REGISTERS_PER_MULTIPROCESSOR: u32 = 65536;
/// Bytes of shared memory of a multiprocessor, and of it those that the driver keeps for itself a block.
pub(crate) const SHARED_PER_MULTIPROCESSOR: u64 = 100 << 10;
pub(crate) const SHARED_RESERVED: u64 = 1 << 10;
/// Bytes of shared memory of a block, and those that it may have if asked for.
pub(crate) const SHARED_PER_BLOCK: u64 = 48 << 10;
pub(crate) const SHARED_PER_BLOCK_OPTIN: u64 = 99 << 10;
/// Threads of a block.
pub(crate) const THREADS_PER_BLOCK: u32 = 1024;

/// One simulated card.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) ordinal: usize,
    pub(crate) bus: i32,
    primary: Mutex<Primary>,
    launches: AtomicU64,
    /// Launches until the card falls off the bus.
    vanish_after: Option<u64>,
    gone: AtomicBool,
}

/// The primary context while it is retained.
#[derive(Debug, Default)]
pub(crate) struct Primary {
    pub(crate) retained: u32,
    pub(crate) flags: u32,
    pub(crate) context: Option<Arc<Context>>,
    /// The first address that no context of the device has used.
    pub(crate) next_address: u64,
}

impl Device {
    pub(crate) fn new(ordinal: usize, config: &Config) -> Self {
        let next_address = DEVICE_BASE + DEVICE_SPAN * ordinal as u64;
        Self {
            ordinal,
            bus: config.pci_bus + i32::try_from(ordinal).expect("few devices"),
            primary: Mutex::new(Primary { next_address, ..Primary::default() }),
            launches: AtomicU64::new(0),
            vanish_after: config.vanish.filter(|(device, _)| *device == ordinal).map(|(_, launches)| launches),
            gone: AtomicBool::new(false),
        }
    }

    pub(crate) fn primary(&self) -> MutexGuard<'_, Primary> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a launch; true if the device is still there to do it.
    pub(crate) fn count_launch(&self) -> bool {
        let launches = self.launches.fetch_add(1, Relaxed);
        if self.vanish_after.is_some_and(|limit| launches >= limit) {
            self.gone.store(true, Relaxed);
        }
        !self.is_gone()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Relaxed)
    }

    pub(crate) fn name(&self) -> String {
        "Lode CUDA stand-in".to_owned()
    }

    /// Sixteen bytes that say which card it is: two cards on one bus number are the same card.
    pub(crate) fn uuid(&self) -> [u8; 16] {
        let mut uuid = *b"lode-standin\0\0\0\0";
        uuid[12..].copy_from_slice(&self.bus.to_be_bytes());
        uuid
    }

    pub(crate) fn pci_bus_id(&self) -> String {
        format!("0000:{:02X}:00.0", self.bus)
    }

    /// An attribute by its number; those of features that it lacks are 0.
    pub(crate) fn attribute(&self, number: i32, config: &Config) -> Option<i32> {
        let int = |value: u64| i32::try_from(value).expect("a property of a card");
        Some(match number {
            1..=3 => THREADS_PER_BLOCK.cast_signed(),
            4 => 64,
            5 => i32::MAX,
            6 | 7 => 65535,
            8 => int(SHARED_PER_BLOCK),
            9 => 65536,
            10 => 32,
            11 => i32::MAX,
            12 => REGISTERS_PER_MULTIPROCESSOR.cast_signed(),
            13 => 1_500_000,
            14 => 512,
            15 | 19 | 31 | 41 | 78 | 79 | 80 | 90 | 95 | 99 => 1,
            16 => config.multiprocessors,
            33 => self.bus,
            36 => 7_000_000,
            37 => 256,
            38 => 4 << 20,
            39 => THREADS_PER_MULTIPROCESSOR.cast_signed(),
            40 => 2,
            75 => (config.capability / 10).cast_signed(),
            76 => (config.capability % 10).cast_signed(),
            81 => int(SHARED_PER_MULTIPROCESSOR),
            82 => REGISTERS_PER_MULTIPROCESSOR.cast_signed(),
            87 => 32,
            97 => int(SHARED_PER_BLOCK_OPTIN),
            106 => BLOCKS_PER_MULTIPROCESSOR.cast_signed(),
            111 => int(SHARED_RESERVED),
            115 => i32::from(config.pools),
            other if (1..=150).contains(&other) => 0,
            _ => return None,
        })
    }
}
