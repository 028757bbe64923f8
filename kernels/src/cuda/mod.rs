//! The CUDA backend: NVIDIA's cards, through their driver alone.
//!
//! Nothing is linked: the driver is looked for when the program runs, and every function of it that is used is known to be
//! there before the first is called (`driver`). A card has a context of its own with two streams (`queue`). Searches
//! (`kernel`, `slot`) and pictures (`render`) take turns on them. Kernels come as PTX that the driver compiles, or from NVRTC
//! for the exact chip where that is installed (`image`).
//! A card that fails gets a new context and repeats what it was at; one that fails again is given up (`device`).
#![allow(unsafe_code)] // calls into the driver

mod device;
mod driver;
mod fault;
mod image;
mod kernel;
mod nvrtc;
mod queue;
mod render;
mod shape;
mod slot;

pub use device::Cuda;

use cudarc::driver::sys::CUdevice_attribute as Attribute;

use crate::backend::{Backend, DeviceError, DeviceInfo, OpenOptions};
use crate::pci::PciAddress;
use driver::Ordinal;
use fault::Fault;

/// A card that was found, not yet opened.
#[derive(Clone, Debug)]
pub struct Found {
    info: DeviceInfo,
    ordinal: Ordinal,
    chip: Chip,
    /// Why it cannot be opened, where it did not even tell what it is.
    failure: Option<String>,
}

/// A compute capability, by which kernels are compiled: 8.9 is major 8, minor 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Chip {
    major: i32,
    minor: i32,
}

/// Every NVIDIA card, in the driver's order.
///
/// # Errors
/// The reason why there is none.
pub fn find() -> Result<Vec<Found>, String> {
    let count = driver::start()?;
    let version = driver::version();
    Ok(driver::ordinals(count).map(|ordinal| describe(ordinal, &version)).collect())
}

/// What a card tells of itself. One that fails at it is listed with the others, and says why when it is to be opened.
fn describe(ordinal: Ordinal, version: &str) -> Found {
    let info = DeviceInfo {
        backend: Backend::Cuda,
        index: ordinal.number(),
        name: "unnamed card".to_owned(),
        memory_bytes: None,
        compute_units: 0,
        driver: version.to_owned(),
        is_cpu: false,
        pci: None,
    };
    let mut found = Found { info, ordinal, chip: Chip { major: 0, minor: 0 }, failure: None };
    found.failure = ask(&mut found).err().map(|fault| fault.to_string());
    found
}

fn ask(found: &mut Found) -> Result<(), Fault> {
    let card = driver::Card::new(found.ordinal)?;
    let info = &mut found.info;
    info.name = card.name()?;
    info.memory_bytes = Some(card.memory_bytes()?);
    let units = card.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
    info.compute_units = u32::try_from(units).unwrap_or(0);
    info.pci = pci(&card);
    let major = card.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = card.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    found.chip = Chip { major, minor };
    info.driver = format!("{}, compute capability {major}.{minor}", info.driver);
    Ok(())
}

fn pci(card: &driver::Card) -> Option<PciAddress> {
    let ask = |attribute| card.attribute(attribute).ok();
    Some(PciAddress {
        domain: u32::try_from(ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID)?).ok()?,
        bus: u8::try_from(ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_BUS_ID)?).ok()?,
        device: u8::try_from(ask(Attribute::CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID)?).ok()?,
        function: 0, // the driver does not tell; a card's first function is the one that computes
    })
}

impl Found {
    /// What is known of it.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// Opens it. Its kernels are loaded when they are first needed.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn open(self, options: &OpenOptions) -> Result<Cuda, DeviceError> {
        let id = self.info.id();
        if let Some(reason) = self.failure {
            return Err(DeviceError { device: id, reason });
        }
        Cuda::open(self, options.clone()).map_err(|fault| DeviceError { device: id, reason: fault.to_string() })
    }
}
