//! A rig's figures in Prometheus's text form.

use std::fmt::{Display, Write as _};

use super::figures::{DEVICE_STATES, Device, Figures};

/// One metric's name after the prefix, its type, and what it is.
type Family = (&'static str, &'static str, &'static str);

const INFO: Family = ("info", "gauge", "1; the label is the program's version.");
const UPTIME: Family = ("uptime_seconds", "gauge", "Time since the start.");
const CONNECTED: Family = ("pool_connected", "gauge", "Whether a pool has let us in.");
const HASHES: Family = ("hashes_total", "counter", "Hashes tried.");
const RATE: Family = ("hash_rate", "gauge", "Hashes a second over a window.");
const SHARES: Family = ("shares_total", "counter", "Shares by what became of them.");
const HELD: Family = ("units_held", "gauge", "Units of range work that are held.");
const UNITS: Family = ("units_total", "counter", "Units of range work that the pool counted.");
const WORK: Family = ("unit_work_total", "counter", "What those units were worth, in hashes.");
const ELEMENTS: Family = ("elements_total", "counter", "Elements of units computed, counted or not.");
const ERRORS: Family = ("hardware_errors_total", "counter", "Hits and units of a device that its host refuted.");
const STATE: Family = ("device_state", "gauge", "1 for the state that the device is in.");
const TEMPERATURE: Family = ("temperature_celsius", "gauge", "Temperature of the core.");
const POWER: Family = ("power_watts", "gauge", "Power drawn.");
const FAN: Family = ("fan_percent", "gauge", "Fan speed, of its highest.");
const CLOCK: Family = ("clock_megahertz", "gauge", "Clock of the core.");
const UTILISATION: Family = ("utilisation_percent", "gauge", "Part of the time that the device works, for anyone.");

/// All metrics.
pub(super) fn text(figures: &Figures) -> String {
    let mut text = Text(String::new());
    text.family(INFO, [(format!("version=\"{}\"", figures.version), 1)]);
    text.family(UPTIME, [(String::new(), figures.uptime_s)]);
    text.family(CONNECTED, [(String::new(), u8::from(figures.pool.state == "connected"))]);
    let devices = &figures.devices;
    text.family(HASHES, devices.iter().map(|device| (label(device), device.hashes)));
    text.family(RATE, devices.iter().flat_map(rates));
    text.family(SHARES, devices.iter().flat_map(shares));
    text.family(HELD, [(String::new(), figures.pool.units)]);
    text.family(UNITS, devices.iter().map(|device| (label(device), device.units.done)));
    text.family(WORK, devices.iter().map(|device| (label(device), device.units.work)));
    text.family(ELEMENTS, devices.iter().map(|device| (label(device), device.units.elements)));
    text.family(ERRORS, devices.iter().map(|device| (label(device), device.shares.hardware_errors)));
    text.family(STATE, devices.iter().flat_map(states));
    text.known(TEMPERATURE, devices, |device| device.temperature_c);
    text.known(POWER, devices, |device| device.power_w);
    text.known(FAN, devices, |device| device.fan_percent);
    text.known(CLOCK, devices, |device| device.clock_mhz);
    text.known(UTILISATION, devices, |device| device.utilisation_percent);
    text.0
}

struct Text(String);

impl Text {
    /// A metric with its samples: labels and value. One without samples is left out.
    fn family<T: Display>(&mut self, (name, kind, help): Family, samples: impl IntoIterator<Item = (String, T)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        let mut write = |line: String| writeln!(self.0, "{line}").expect("writing to a String cannot fail");
        write(format!("# HELP lode_miner_{name} {help}"));
        write(format!("# TYPE lode_miner_{name} {kind}"));
        for (labels, value) in samples {
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            write(format!("lode_miner_{name}{labels} {value}"));
        }
    }

    /// A metric of those devices that tell it.
    fn known<T: Display>(&mut self, family: Family, devices: &[Device], value: impl Fn(&Device) -> Option<T>) {
        self.family(family, devices.iter().filter_map(|device| value(device).map(|value| (label(device), value))));
    }
}

/// A device's id has no character that would need an escape.
fn label(device: &Device) -> String {
    format!("device=\"{}\"", device.id)
}

fn rates(device: &Device) -> impl Iterator<Item = (String, f64)> + use<> {
    let (label, rate) = (label(device), device.rate);
    let windows = [("10s", rate.ten_s), ("60s", rate.sixty_s), ("15m", rate.fifteen_m)];
    windows.into_iter().map(move |(window, rate)| (format!("{label},window=\"{window}\""), rate))
}

fn shares(device: &Device) -> impl Iterator<Item = (String, u64)> + use<> {
    let (label, shares) = (label(device), device.shares);
    let results = [
        ("accepted", shares.accepted),
        ("rejected", shares.rejected),
        ("stale", shares.stale),
        ("unanswered", shares.unanswered),
    ];
    results.into_iter().map(move |(result, count)| (format!("{label},result=\"{result}\""), count))
}

fn states(device: &Device) -> impl Iterator<Item = (String, u8)> + use<> {
    let (label, now) = (label(device), device.state);
    DEVICE_STATES.into_iter().map(move |state| (format!("{label},state=\"{state}\""), u8::from(state == now)))
}

#[cfg(test)]
mod tests {
    use super::super::figures::tests::figures;
    use super::*;

    #[test]
    fn every_sample_belongs_to_a_family_that_is_declared_once() {
        let text = text(&figures());
        let mut family = String::new();
        let mut declared = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap().to_owned();
                assert!(declared.insert(family.clone()), "{line}");
            } else if !line.starts_with("# TYPE ") {
                let name = line.split(['{', ' ']).next().unwrap();
                assert_eq!(name, family, "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
        for line in [
            "lode_miner_pool_connected 1",
            "lode_miner_uptime_seconds 10",
            "lode_miner_hashes_total{device=\"opencl:0\"} 10020000",
            "lode_miner_hash_rate{device=\"opencl:0\",window=\"10s\"} 1002000",
            "lode_miner_shares_total{device=\"cpu:0\",result=\"accepted\"} 2",
            "lode_miner_units_held 0",
            "lode_miner_units_total{device=\"opencl:0\"} 1",
            "lode_miner_unit_work_total{device=\"opencl:0\"} 1180591620717411303424",
            "lode_miner_elements_total{device=\"opencl:0\"} 45",
            "lode_miner_hardware_errors_total{device=\"cpu:0\"} 1",
            "lode_miner_device_state{device=\"cpu:0\",state=\"paused\"} 1",
            "lode_miner_device_state{device=\"opencl:0\",state=\"paused\"} 0",
            "lode_miner_temperature_celsius{device=\"opencl:0\"} 71",
            "lode_miner_power_watts{device=\"opencl:0\"} 250.5",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("clock_megahertz"), "what nobody tells is left out");
    }
}
