//! How a device is doing: temperature, power, fan, clock, utilisation.

pub mod sysfs;
mod system;

pub use system::SystemSensors;

use crate::location::Location;

/// One reading of a device; what nobody tells is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Of its core, in degrees Celsius.
    pub temperature_c: Option<i32>,
    /// What it draws, in milliwatts.
    pub power_mw: Option<u64>,
    /// Of the fan's highest speed.
    pub fan_percent: Option<u32>,
    /// Of its core, in megahertz.
    pub clock_mhz: Option<u32>,
    /// The part of the time that it works, for anyone.
    pub utilisation_percent: Option<u32>,
}

/// What reads devices' health. The system's sensors are one way; tests have another.
pub trait Sensors: Send {
    /// Reads a device. May block for as long as a driver does, so it is asked from a thread of its own.
    fn read(&mut self, device: &Location) -> Health;
}
