//! Where a device sits in the machine, by which other parts of the system know it.

use lode_kernels::DeviceInfo;

/// A device's place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Location {
    /// Its PCI address, `0000:01:00.0`, where its driver tells.
    pub pci: Option<String>,
    /// Whether it is the host's own cores.
    pub is_cpu: bool,
}

impl Location {
    /// What is known of a device's place.
    #[must_use]
    pub fn of(info: &DeviceInfo) -> Location {
        Location { pci: info.pci.map(|pci| pci.to_string()), is_cpu: info.is_cpu }
    }
}
