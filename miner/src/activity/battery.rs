//! Whether the machine runs on its battery, as Linux tells below `/sys/class/power_supply`.

use std::fs;
use std::path::Path;

use crate::health::sysfs::line;

/// Most supplies that are looked at.
const SUPPLIES_MAX: usize = 64;

/// Whether a battery of the machine feeds it: one discharges, and nothing that is plugged in is live.
pub(super) fn on_battery(sysfs: &Path) -> bool {
    let Ok(listing) = fs::read_dir(sysfs.join("class/power_supply")) else { return false };
    let (mut discharging, mut plugged_in) = (false, false);
    for supply in listing.filter_map(Result::ok).take(SUPPLIES_MAX) {
        let read = |name: &str| line(&supply.path().join(name));
        match read("type").as_deref() {
            // The batteries of mice and keyboards say that they are of a device.
            Some("Battery" | "UPS") if read("scope").as_deref() != Some("Device") => {
                discharging |= read("status").as_deref() == Some("Discharging");
            }
            Some("Mains" | "USB" | "Wireless") => plugged_in |= read("online").as_deref() == Some("1"),
            _ => {}
        }
    }
    discharging && !plugged_in
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::sysfs::tests::tree;

    #[test]
    fn only_a_discharging_battery_of_the_machine_with_nothing_plugged_in_counts() {
        let battery =
            |status| vec![("class/power_supply/BAT0/type", "Battery"), ("class/power_supply/BAT0/status", status)];
        let mains = |online| [("class/power_supply/AC/type", "Mains"), ("class/power_supply/AC/online", online)];
        let mouse = [
            ("class/power_supply/hid-1/type", "Battery"),
            ("class/power_supply/hid-1/scope", "Device"),
            ("class/power_supply/hid-1/status", "Discharging"),
        ];
        let with = |mut files: Vec<(&'static str, &'static str)>, more: &[(&'static str, &'static str)]| {
            files.extend_from_slice(more);
            files
        };
        for (files, expected) in [
            (vec![("class/other", "")], false),
            (battery("Discharging"), true),
            (battery("Charging"), false),
            (battery("Full"), false),
            (with(battery("Discharging"), &mains("0")), true),
            (with(battery("Discharging"), &mains("1")), false),
            (mouse.to_vec(), false),
            (with(battery("Full"), &mouse), false),
        ] {
            assert_eq!(on_battery(tree(&files).path()), expected, "{files:?}");
        }
    }
}
