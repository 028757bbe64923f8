//! NVIDIA's management library as the miner uses it, on a stand-in that is built here: no card is needed, and none was met.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lode_miner::activity::{Activity as _, Presence, Seen, Surroundings, SystemActivity};
use lode_miner::health::{Health, Sensors as _, SystemSensors};
use lode_miner::location::Location;
use lode_miner::nvidia::Nvidia;
use tempfile::TempDir;

/// Builds the stand-in.
fn stand_in(directory: &Path) -> PathBuf {
    let library = directory.join("libnvidia-ml.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nvml/stand_in.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc).args(["--edition", "2024", "-o"]).args([&library, &source]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    library
}

fn at(pci: &str) -> Location {
    Location { pci: Some(pci.to_owned()), is_cpu: false }
}

#[test]
fn cards_are_read_and_other_programs_on_them_seen() {
    let directory = TempDir::new().unwrap();
    let library = stand_in(directory.path());
    let root = directory.path().join("root");
    let hwmon = root.join("bus/pci/devices/0000:09:00.0/hwmon/hwmon0");
    let process = root.join("4242");
    for (folder, file, text) in [(&hwmon, "temp1_input", "50000"), (&process, "comm", "blender")] {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(file), text).unwrap();
    }

    let mut sensors = SystemSensors::new(Nvidia::at(&library), &root);
    let full = Health {
        temperature_c: Some(61),
        power_mw: Some(251_300),
        fan_percent: Some(45),
        clock_mhz: Some(1755),
        utilisation_percent: Some(98),
    };
    assert_eq!(sensors.read(&at("0000:01:00.0")), full);
    let little = Health { temperature_c: Some(62), ..Health::default() };
    assert_eq!(sensors.read(&at("0000:02:00.0")), little, "what a card does not tell is unknown");
    let other = Health { temperature_c: Some(50), ..Health::default() };
    assert_eq!(sensors.read(&at("0000:09:00.0")), other, "a card of another maker is read from the kernel");

    let surroundings = Surroundings {
        display: None,
        wayland: false,
        bus: root.join("bus-that-is-not-there"),
        sysfs: root.clone(),
        proc: root,
        own_pid: 7,
    };
    let mut activity = SystemActivity::new(surroundings, Nvidia::at(&library), Duration::from_secs(60));
    let cards = ["0000:01:00.0", "0000:02:00.0", "0000:03:00.0", "0000:09:00.0"].map(at);
    let seen = |busy: [Option<&str>; 4]| Seen {
        user: Presence::Unknown,
        on_battery: false,
        busy: busy.map(|program| program.map(str::to_owned)).to_vec(),
    };
    assert_eq!(activity.look(&cards), seen([Some("blender"), Some("blender"), None, None]));
    // The use of before is not told again; a card that tells no use is busy while others compute on it.
    assert_eq!(activity.look(&cards), seen([None, Some("blender"), None, None]));
}
