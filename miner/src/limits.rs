//! What a device is held to: its share of the time, and its temperature.

use std::str::FromStr;
use std::time::Duration;

use lode_kernels::DeviceInfo;

use crate::per_device::PerDevice;

/// The temperature limit of GPUs where none is given. Drivers slow most cards down near it; CPUs guard themselves.
pub const GPU_LIMIT: Celsius = Celsius(90);
/// How far below its limit a device must cool before it goes on, where `--temp-resume` is not given.
pub const RESUME_BELOW: i32 = 10;

/// The part of the time that a device works, in percent: 1 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity(u32);

/// A text that is no intensity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("taken is a whole percentage from 1 to 100, or SEL=PERCENT as in opencl:0=50")]
pub struct IntensityError;

impl Intensity {
    /// All the time.
    pub const FULL: Intensity = Intensity(100);

    /// How long to rest after working for `worked`.
    #[must_use]
    pub fn rest_after(self, worked: Duration) -> Duration {
        worked.saturating_mul(100 - self.0) / self.0
    }
}

impl FromStr for Intensity {
    type Err = IntensityError;

    fn from_str(text: &str) -> Result<Intensity, IntensityError> {
        let percent = whole(text).ok_or(IntensityError)?;
        if (1..=100).contains(&percent) { Ok(Intensity(percent)) } else { Err(IntensityError) }
    }
}

/// A temperature that a limit may have, in degrees Celsius: 30 to 110.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Celsius(i32);

/// A text that is no such temperature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("taken is a whole number of degrees Celsius from 30 to 110")]
pub struct CelsiusError;

impl Celsius {
    /// Degrees.
    #[must_use]
    pub const fn degrees(self) -> i32 {
        self.0
    }
}

impl FromStr for Celsius {
    type Err = CelsiusError;

    fn from_str(text: &str) -> Result<Celsius, CelsiusError> {
        let degrees = whole(text).and_then(|degrees| i32::try_from(degrees).ok()).ok_or(CelsiusError)?;
        if (30..=110).contains(&degrees) { Ok(Celsius(degrees)) } else { Err(CelsiusError) }
    }
}

/// A temperature limit as it is written: degrees, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TempLimit(pub Option<Celsius>);

/// A text that is no temperature limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("taken is a whole number of degrees Celsius from 30 to 110, or off, or SEL=LIMIT as in cuda:0=80")]
pub struct TempLimitError;

impl FromStr for TempLimit {
    type Err = TempLimitError;

    fn from_str(text: &str) -> Result<TempLimit, TempLimitError> {
        if text == "off" {
            Ok(TempLimit(None))
        } else {
            text.parse().map(|c| TempLimit(Some(c))).map_err(|_| TempLimitError)
        }
    }
}

/// Digits alone, as a number.
fn whole(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// When a device pauses for its temperature, and when it goes on. In degrees Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heat {
    /// It pauses at this.
    pub pause_at: i32,
    /// It goes on at this, which should be less; see [`crate::config::Config::check_devices`].
    pub resume_at: i32,
}

/// The limits of all devices.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// `--intensity`
    pub intensity: PerDevice<Intensity>,
    /// `--temp-limit`
    pub temp_limit: PerDevice<TempLimit>,
    /// `--temp-resume`
    pub temp_resume: Option<Celsius>,
}

impl Limits {
    /// A device's share of the time.
    #[must_use]
    pub fn intensity(&self, device: &DeviceInfo) -> Intensity {
        self.intensity.get(device).unwrap_or(Intensity::FULL)
    }

    /// A device's temperatures; `None` for a device without a limit.
    #[must_use]
    pub fn heat(&self, device: &DeviceInfo) -> Option<Heat> {
        let given = self.temp_limit.get(device);
        let limit = given.map_or((!device.is_cpu).then_some(GPU_LIMIT), |TempLimit(limit)| limit)?;
        let pause_at = limit.degrees();
        let resume_at = self.temp_resume.map_or(pause_at - RESUME_BELOW, Celsius::degrees);
        Some(Heat { pause_at, resume_at })
    }
}

#[cfg(test)]
mod tests {
    use lode_kernels::Backend::{Cpu, OpenCl};

    use super::*;
    use crate::fleet::tests::info;

    #[test]
    fn rests_make_up_the_share_of_the_time() {
        let worked = Duration::from_millis(100);
        for (percent, rest_ms) in [("100", 0), ("50", 100), ("25", 300), ("1", 9900)] {
            let intensity: Intensity = percent.parse().unwrap();
            assert_eq!(intensity.rest_after(worked), Duration::from_millis(rest_ms), "{percent}");
        }
    }

    #[test]
    fn bounds_are_kept() {
        for text in ["", "0", "101", "-1", "+5", "5.0", "50%", "99999999999"] {
            assert!(text.parse::<Intensity>().is_err(), "{text}");
        }
        for text in ["", "29", "111", "off ", "-40", "80C"] {
            assert!(text.parse::<TempLimit>().is_err() && text.parse::<Celsius>().is_err(), "{text}");
        }
    }

    #[test]
    fn gpus_have_a_limit_of_their_own_and_cpus_have_none() {
        let limits = |limits: &[&str], resume: Option<&str>| Limits {
            temp_limit: PerDevice::new(limits.iter().map(|text| text.parse().unwrap()).collect()),
            temp_resume: resume.map(|text| text.parse().unwrap()),
            ..Limits::default()
        };
        let heat = |pause_at, resume_at| Some(Heat { pause_at, resume_at });
        let (gpu, cpu) = (info(OpenCl, 0), info(Cpu, 0));
        for (given, resume, for_gpu, for_cpu) in [
            (&[][..], None, heat(90, 80), None),
            (&[], Some("60"), heat(90, 60), None),
            (&["75"], None, heat(75, 65), heat(75, 65)),
            (&["off"], None, None, None),
            (&["off", "cpu=95"], Some("70"), None, heat(95, 70)),
        ] {
            let limits = limits(given, resume);
            assert_eq!((limits.heat(&gpu), limits.heat(&cpu)), (for_gpu, for_cpu), "{given:?}");
        }
    }
}
