//! What the environment asks the driver to be.

use std::path::PathBuf;
use std::time::Duration;

use crate::faults::{Fault, parse_faults};

/// The simulated machine.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `LODE_CUDA_DEVICES`: number of devices.
    pub(crate) devices: usize,
    /// `LODE_CUDA_CC`: compute capability, as 86 for 8.6.
    pub(crate) capability: u32,
    /// `LODE_CUDA_MEM_MIB`: memory of each device, in bytes.
    pub(crate) memory: u64,
    /// `LODE_CUDA_SM`: multiprocessors of each device.
    pub(crate) multiprocessors: i32,
    /// `LODE_CUDA_PCI`: bus number of the first device; each further device's is one more.
    pub(crate) pci_bus: i32,
    /// `LODE_CUDA_DRIVER`: version, as 12090 for 12.9.
    pub(crate) version: i32,
    /// `LODE_CUDA_POOLS`: whether devices have stream-ordered allocation.
    pub(crate) pools: bool,
    /// `LODE_CUDA_LAUNCH_LATENCY_US`: waited before each launch.
    pub(crate) latency: Duration,
    /// `LODE_CUDA_FAIL`: calls that fail.
    pub(crate) faults: Vec<Fault>,
    /// `LODE_CUDA_VANISH`: a device, and how many launches it still does.
    pub(crate) vanish: Option<(usize, u64)>,
    /// `LODE_CUDA_PATCH`: a text in modules, and with `=>` between them what is loaded instead: a card that computes wrongly.
    pub(crate) patch: Option<(String, String)>,
    /// `LODE_CUDA_LOG`: where programming errors are noted besides standard error.
    pub(crate) log: Option<PathBuf>,
}

impl Config {
    /// Reads the variables that `get` knows.
    ///
    /// # Errors
    /// The first variable that does not have the form it should.
    pub(crate) fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let number = |name: &str, default: u64| match get(name) {
            None => Ok(default),
            Some(text) => text.trim().parse().map_err(|_| format!("{name} is {text:?}, not a number")),
        };
        let small = |name: &str, default: u64| -> Result<i32, String> {
            i32::try_from(number(name, default)?).map_err(|_| format!("{name} is too large"))
        };
        let pair = |name: &str, text: &str, mark: char| -> Result<(u64, u64), String> {
            let parts = text.split_once(mark).and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
            parts.ok_or_else(|| format!("{name} is {text:?}, not two numbers with {mark:?} between them"))
        };
        let (major, minor) = pair("LODE_CUDA_CC", &get("LODE_CUDA_CC").unwrap_or_else(|| "8.6".to_owned()), '.')?;
        let vanish = get("LODE_CUDA_VANISH").map(|text| pair("LODE_CUDA_VANISH", &text, ':')).transpose()?;
        let patch = get("LODE_CUDA_PATCH").map(|text| match text.split_once("=>") {
            Some((from, to)) if !from.is_empty() => Ok((from.to_owned(), to.to_owned())),
            _ => Err(format!("LODE_CUDA_PATCH is {text:?}, not two texts with => between them")),
        });
        let index = |value: u64| usize::try_from(value).map_err(|_| format!("{value} is too large"));
        Ok(Self {
            devices: index(number("LODE_CUDA_DEVICES", 1)?.min(64))?,
            capability: u32::try_from(major * 10 + minor).map_err(|_| "LODE_CUDA_CC is too large".to_owned())?,
            memory: number("LODE_CUDA_MEM_MIB", 4096)?.min(1 << 19) << 20,
            multiprocessors: small("LODE_CUDA_SM", 4)?.max(1),
            pci_bus: small("LODE_CUDA_PCI", 1)?,
            version: small("LODE_CUDA_DRIVER", 12090)?,
            pools: number("LODE_CUDA_POOLS", 1)? != 0,
            latency: Duration::from_micros(number("LODE_CUDA_LAUNCH_LATENCY_US", 0)?),
            faults: parse_faults(&get("LODE_CUDA_FAIL").unwrap_or_default())?,
            vanish: vanish.map(|(device, launches)| Ok::<_, String>((index(device)?, launches))).transpose()?,
            patch: patch.transpose()?,
            log: get("LODE_CUDA_LOG").filter(|path| !path.is_empty()).map(PathBuf::from),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_one_card_and_variables_change_it() {
        let plain = Config::read(|_| None).unwrap();
        assert_eq!((plain.devices, plain.capability, plain.memory), (1, 86, 4 << 30));
        let get = |name: &str| match name {
            "LODE_CUDA_DEVICES" => Some("3".to_owned()),
            "LODE_CUDA_CC" => Some("12.0".to_owned()),
            "LODE_CUDA_VANISH" => Some("1:20".to_owned()),
            "LODE_CUDA_PATCH" => Some("add.s32=>sub.s32".to_owned()),
            _ => None,
        };
        let config = Config::read(get).unwrap();
        assert_eq!(config.patch, Some(("add.s32".to_owned(), "sub.s32".to_owned())));
        assert_eq!((config.devices, config.capability, config.vanish), (3, 120, Some((1, 20))));
        for (wrong, value) in [("LODE_CUDA_CC", "8"), ("LODE_CUDA_PATCH", "add.s32")] {
            assert!(Config::read(|name| (name == wrong).then(|| value.to_owned())).is_err(), "{wrong}");
        }
    }
}
