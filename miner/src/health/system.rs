//! This machine's sensors: NVIDIA's library for its cards, else what the kernel tells.

use std::path::Path;

use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};

use super::sysfs::Sysfs;
use super::{Health, Sensors};
use crate::location::Location;
use crate::nvidia::Nvidia;

/// The sensors.
#[derive(Debug)]
pub struct SystemSensors {
    nvidia: Nvidia,
    sysfs: Sysfs,
}

impl SystemSensors {
    /// Sensors of which the kernel tells below `sysfs`, which is `/sys`.
    #[must_use]
    pub fn new(nvidia: Nvidia, sysfs: &Path) -> SystemSensors {
        SystemSensors { nvidia, sysfs: Sysfs::new(sysfs) }
    }
}

impl Sensors for SystemSensors {
    fn read(&mut self, device: &Location) -> Health {
        match &device.pci {
            _ if device.is_cpu => self.sysfs.cpu(),
            Some(pci) => self.nvidia.card(pci).map_or_else(|| self.sysfs.card(pci), |card| read(&card)),
            None => Health::default(),
        }
    }
}

/// Cards lack one sensor or another: a passively cooled one has no fan.
fn read(card: &nvml_wrapper::Device<'_>) -> Health {
    Health {
        temperature_c: card.temperature(TemperatureSensor::Gpu).ok().and_then(|degrees| i32::try_from(degrees).ok()),
        power_mw: card.power_usage().ok().map(u64::from),
        fan_percent: card.fan_speed(0).ok(),
        clock_mhz: card.clock_info(Clock::SM).ok(),
        utilisation_percent: card.utilization_rates().ok().map(|rates| rates.gpu),
    }
}
