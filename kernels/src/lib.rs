//! Device kernels and the backends that run them.
//!
//! [`discover()`] finds the devices that a user selected; each is a [`Device`], whatever runs it. [`self_test`] decides
//! whether a device may be given work. `device/` holds the kernels' sources, `vectors/` what they must reproduce.

pub mod backend;
pub mod cache;
mod cores;
pub mod cpu;
pub mod cuda;
pub mod discover;
mod job;
mod launches;
pub mod measure;
pub mod opencl;
pub mod pci;
mod scratch;
mod search;
mod selftest;
pub mod source;
mod tune;

pub use backend::{Backend, Device, DeviceError, DeviceInfo, OpenOptions};
pub use discover::{Absent, Discovery, PassedOver, SelectError, Selector, UnknownSelector, discover};
pub use selftest::{SelfTestFailure, self_test, self_test_kind};
