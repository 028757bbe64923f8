//! NVIDIA's management library, loaded at first use. A machine without it is one without NVIDIA cards.

use std::cell::OnceCell;
use std::ffi::OsString;

use nvml_wrapper::{Device, Nvml};
use tracing::debug;

/// The library, or its absence. Its calls may block for as long as the driver does.
#[derive(Debug, Default)]
pub struct Nvidia {
    /// Where to look for it, instead of where the system does.
    path: Option<OsString>,
    loaded: OnceCell<Option<Nvml>>,
}

impl Nvidia {
    /// The library of this file.
    #[must_use]
    pub fn at(path: impl Into<OsString>) -> Nvidia {
        Nvidia { path: Some(path.into()), loaded: OnceCell::new() }
    }

    /// The card at a PCI address; `None` where that is no card of NVIDIA's, or nobody can tell.
    #[must_use]
    pub fn card(&self, pci: &str) -> Option<Device<'_>> {
        self.loaded.get_or_init(|| self.load()).as_ref()?.device_by_pci_bus_id(pci).ok()
    }

    fn load(&self) -> Option<Nvml> {
        let loaded = match &self.path {
            Some(path) => Nvml::builder().lib_path(path).init(),
            None => Nvml::init(),
        };
        loaded.inspect_err(|error| debug!("no readings of NVIDIA cards: {error}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_library_there_is_no_card() {
        let nvidia = Nvidia::at("/nonexistent/libnvidia-ml.so.1");
        assert!(nvidia.card("0000:01:00.0").is_none() && nvidia.card("0000:01:00.0").is_none());
    }
}
