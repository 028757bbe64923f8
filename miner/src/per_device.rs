//! An option's value for each device: `80` for all of them, `opencl:0=50` for one, `cuda=60` for those of a backend.

use std::fmt::Display;
use std::str::FromStr;

use lode_kernels::{DeviceInfo, Selector};

/// One value as it is written: `VALUE` or `SEL=VALUE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting<T> {
    /// Which devices it is for.
    pub selector: Selector,
    /// The value.
    pub value: T,
}

impl<T: FromStr<Err: Display>> FromStr for Setting<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting<T>, String> {
        let (selector, value) = match text.split_once('=') {
            Some((selector, value)) => (selector.parse().map_err(|error| format!("{error}"))?, value),
            None => (Selector::All, text),
        };
        Ok(Setting { selector, value: value.parse().map_err(|error: T::Err| error.to_string())? })
    }
}

/// All values of one option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerDevice<T>(Vec<Setting<T>>);

impl<T> Default for PerDevice<T> {
    fn default() -> PerDevice<T> {
        PerDevice(Vec::new())
    }
}

impl<T: Copy> PerDevice<T> {
    /// These values; of two for the same devices the later one holds.
    #[must_use]
    pub fn new(settings: Vec<Setting<T>>) -> PerDevice<T> {
        PerDevice(settings)
    }

    /// The value for a device: its own before its backend's before everyone's.
    #[must_use]
    pub fn get(&self, device: &DeviceInfo) -> Option<T> {
        let fitting = self.0.iter().filter(|setting| matches(setting.selector, device));
        // The last of several maxima, as `max_by_key` gives it, is the one written last.
        fitting.max_by_key(|setting| closeness(setting.selector)).map(|setting| setting.value)
    }

    /// The first selector that is for none of these devices.
    #[must_use]
    pub fn unmatched(&self, devices: &[DeviceInfo]) -> Option<Selector> {
        let is_idle = |selector: &Selector| !devices.iter().any(|device| matches(*selector, device));
        self.0.iter().map(|setting| setting.selector).find(is_idle)
    }
}

fn matches(selector: Selector, device: &DeviceInfo) -> bool {
    match selector {
        Selector::All => true,
        Selector::Backend(backend) => backend == device.backend,
        Selector::One(backend, index) => (backend, index) == (device.backend, device.index),
    }
}

fn closeness(selector: Selector) -> u8 {
    match selector {
        Selector::All => 0,
        Selector::Backend(_) => 1,
        Selector::One(..) => 2,
    }
}

#[cfg(test)]
mod tests {
    use lode_kernels::Backend::{self, Cpu, OpenCl};

    use super::*;
    use crate::fleet::tests::info;

    fn values(texts: &[&str]) -> PerDevice<u8> {
        PerDevice::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn the_closest_value_holds_and_of_equals_the_last() {
        for (texts, device, value) in [
            (&[][..], (Cpu, 0), None),
            (&["80"], (Cpu, 0), Some(80)),
            (&["80", "70"], (Cpu, 0), Some(70)),
            (&["opencl=60", "80"], (OpenCl, 1), Some(60)),
            (&["opencl:1=50", "opencl=60", "all=80"], (OpenCl, 1), Some(50)),
            (&["opencl:1=50", "opencl=60", "all=80"], (OpenCl, 0), Some(60)),
            (&["opencl:1=50", "opencl=60", "all=80"], (Cpu, 0), Some(80)),
            (&["opencl:1=50"], (OpenCl, 0), None),
        ] {
            let (backend, index): (Backend, u32) = device;
            assert_eq!(values(texts).get(&info(backend, index)), value, "{texts:?} {device:?}");
        }
    }

    #[test]
    fn a_selector_for_no_device_is_found() {
        let devices = [info(OpenCl, 0), info(Cpu, 0)];
        let unmatched = |texts: &[&str]| values(texts).unmatched(&devices).map(|selector| selector.to_string());
        assert_eq!(unmatched(&["80", "cpu=1", "opencl:0=2"]), None);
        assert_eq!(unmatched(&["80", "opencl:1=2"]).as_deref(), Some("opencl:1"));
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for text in ["", "x", "gpu=4", "cpu=", "cpu=x", "=4"] {
            assert!(text.parse::<Setting<u8>>().is_err(), "{text}");
        }
    }
}
