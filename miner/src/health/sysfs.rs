//! What Linux tells of sensors, as files: `hwmon` below a PCI device, and below `class` for the processor.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Health;

/// Most bytes of a file that are read; sensors have a line of a few digits.
const FILE_BYTES_MAX: u64 = 256;
/// Most sensors of one chip, and most chips of one device.
const SENSORS_MAX: usize = 64;
/// The chips that measure a processor.
const CPU_CHIPS: [&str; 4] = ["k10temp", "zenpower", "coretemp", "cpu_thermal"];

/// The kernel's files.
#[derive(Debug, Clone)]
pub struct Sysfs {
    root: PathBuf,
}

impl Sysfs {
    /// The files below `root`, which is `/sys`.
    #[must_use]
    pub fn new(root: &Path) -> Sysfs {
        Sysfs { root: root.to_owned() }
    }

    /// The card at a PCI address.
    #[must_use]
    pub fn card(&self, pci: &str) -> Health {
        let device = self.root.join("bus/pci/devices").join(pci);
        let chip = entries(&device.join("hwmon")).into_iter().next().unwrap_or_default();
        Health {
            temperature_c: labelled(&chip, |label| label == "edge").or_else(|| temperature(&chip.join("temp1_input"))),
            power_mw: number(&chip.join("power1_average"))
                .or_else(|| number(&chip.join("power1_input")))
                .map(|microwatts: u64| microwatts / 1000),
            fan_percent: fan(&chip),
            clock_mhz: number(&chip.join("freq1_input")).and_then(|hertz: u64| u32::try_from(hertz / 1_000_000).ok()),
            utilisation_percent: number(&device.join("gpu_busy_percent")).filter(|percent| *percent <= 100),
        }
    }

    /// The processor; of several, the hottest.
    #[must_use]
    pub fn cpu(&self) -> Health {
        let chips = entries(&self.root.join("class/hwmon"));
        let chips = chips.into_iter().filter(|chip| line(&chip.join("name")).is_some_and(|name| is_cpu_chip(&name)));
        Health { temperature_c: chips.filter_map(|chip| package(&chip)).max(), ..Health::default() }
    }
}

fn is_cpu_chip(name: &str) -> bool {
    CPU_CHIPS.contains(&name)
}

/// A processor's temperature as a whole, rather than that of one core.
fn package(chip: &Path) -> Option<i32> {
    labelled(chip, |label| label == "Tdie" || label.starts_with("Package id"))
        .or_else(|| labelled(chip, |label| label == "Tctl"))
        .or_else(|| temperature(&chip.join("temp1_input")))
}

/// The temperature of the first sensor with a label that is asked for.
fn labelled(chip: &Path, wanted: impl Fn(&str) -> bool) -> Option<i32> {
    let labels = entries(chip).into_iter().filter_map(|path| {
        let sensor = path.file_name()?.to_str()?.strip_suffix("_label")?.to_owned();
        (sensor.starts_with("temp") && wanted(&line(&path)?)).then_some(sensor)
    });
    labels.filter_map(|sensor| temperature(&chip.join(format!("{sensor}_input")))).next()
}

/// A temperature in degrees; the file has thousandths.
fn temperature(file: &Path) -> Option<i32> {
    number(file).map(|thousandths: i32| thousandths.div_euclid(1000))
}

/// How fast the fan is set to run, of what it is set to at most.
fn fan(chip: &Path) -> Option<u32> {
    let set: u32 = number(&chip.join("pwm1"))?;
    let most = number(&chip.join("pwm1_max")).filter(|most| *most > 0).unwrap_or(255);
    (set <= most).then(|| set * 100 / most)
}

/// A directory's entries in the order of their names, so that readings do not jump between sensors.
fn entries(directory: &Path) -> Vec<PathBuf> {
    let Ok(listing) = fs::read_dir(directory) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = listing.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    entries.sort();
    entries.truncate(SENSORS_MAX);
    entries
}

fn number<T: FromStr>(file: &Path) -> Option<T> {
    line(file)?.parse().ok()
}

/// What a file says.
pub(crate) fn line(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
pub(crate) mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A tree of files as the kernel has them.
    pub(crate) fn tree(files: &[(&str, &str)]) -> TempDir {
        let root = TempDir::new().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        root
    }

    const CARD: &str = "bus/pci/devices/0000:03:00.0";

    fn card(files: &[(&str, &str)]) -> Health {
        let files: Vec<(String, &str)> = files.iter().map(|(path, text)| (format!("{CARD}/{path}"), *text)).collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let root = tree(&files);
        Sysfs::new(root.path()).card("0000:03:00.0")
    }

    #[test]
    fn a_card_of_amdgpu() {
        let health = card(&[
            ("gpu_busy_percent", "97"),
            ("hwmon/hwmon3/name", "amdgpu"),
            ("hwmon/hwmon3/temp1_label", "junction"),
            ("hwmon/hwmon3/temp1_input", "88000"),
            ("hwmon/hwmon3/temp2_label", "edge"),
            ("hwmon/hwmon3/temp2_input", "71900"),
            ("hwmon/hwmon3/power1_average", "203000000"),
            ("hwmon/hwmon3/pwm1", "128"),
            ("hwmon/hwmon3/pwm1_max", "255"),
            ("hwmon/hwmon3/freq1_input", "2475000000"),
        ]);
        let expected = Health {
            temperature_c: Some(71),
            power_mw: Some(203_000),
            fan_percent: Some(50),
            clock_mhz: Some(2475),
            utilisation_percent: Some(97),
        };
        assert_eq!(health, expected);
    }

    #[test]
    fn what_is_missing_or_makes_no_sense_is_unknown_and_the_rest_is_told() {
        assert_eq!(Sysfs::new(Path::new("/nonexistent")).card("0000:03:00.0"), Health::default());
        assert_eq!(card(&[("vendor", "0x8086")]), Health::default());
        let health = card(&[
            ("gpu_busy_percent", "101"),
            ("hwmon/hwmon0/temp1_input", "45000"),
            ("hwmon/hwmon0/power1_input", "many"),
            ("hwmon/hwmon0/pwm1", "300"),
            ("hwmon/hwmon0/freq1_input", ""),
        ]);
        assert_eq!(health, Health { temperature_c: Some(45), ..Health::default() });
    }

    #[test]
    fn a_processor_is_as_hot_as_its_hottest_package() {
        let temperature = |files: &[(&str, &str)]| Sysfs::new(tree(files).path()).cpu().temperature_c;
        let intel = [
            ("class/hwmon/hwmon0/name", "nvme"),
            ("class/hwmon/hwmon0/temp1_input", "99000"),
            ("class/hwmon/hwmon1/name", "coretemp"),
            ("class/hwmon/hwmon1/temp1_label", "Core 0"),
            ("class/hwmon/hwmon1/temp1_input", "80000"),
            ("class/hwmon/hwmon1/temp2_label", "Package id 0"),
            ("class/hwmon/hwmon1/temp2_input", "61000"),
            ("class/hwmon/hwmon2/name", "coretemp"),
            ("class/hwmon/hwmon2/temp1_label", "Package id 1"),
            ("class/hwmon/hwmon2/temp1_input", "64000"),
        ];
        assert_eq!(temperature(&intel), Some(64));
        let amd = [
            ("class/hwmon/hwmon0/name", "k10temp"),
            ("class/hwmon/hwmon0/temp1_label", "Tctl"),
            ("class/hwmon/hwmon0/temp1_input", "75500"),
            ("class/hwmon/hwmon0/temp2_label", "Tdie"),
            ("class/hwmon/hwmon0/temp2_input", "55500"),
        ];
        assert_eq!(temperature(&amd), Some(55));
        assert_eq!(temperature(&amd[..3]), Some(75));
        assert_eq!(temperature(&intel[..2]), None);
    }
}
