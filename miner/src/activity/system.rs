//! This machine's user, cards and battery.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::battery::on_battery;
use super::foreign::Foreign;
use super::logind::Logind;
use super::x11::X11;
use super::{Activity, Presence, Seen};
use crate::location::Location;
use crate::nvidia::Nvidia;

/// Where the machine's parts are found.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The X server's name, as in the variable `DISPLAY`.
    pub display: Option<String>,
    /// Whether that server is a guest of a Wayland compositor, and so sees only a part of the user's input.
    pub wayland: bool,
    /// The system's message bus.
    pub bus: PathBuf,
    /// The kernel's devices.
    pub sysfs: PathBuf,
    /// The kernel's processes.
    pub proc: PathBuf,
    /// Our own process.
    pub own_pid: u32,
}

/// The machine.
pub struct SystemActivity {
    x11: Option<X11>,
    logind: Logind,
    foreign: Foreign,
    sysfs: PathBuf,
}

impl SystemActivity {
    /// A user without input for `idle_after` is absent, where the X server tells; where logind does, it has its own time.
    #[must_use]
    pub fn new(surroundings: Surroundings, nvidia: Nvidia, idle_after: Duration) -> SystemActivity {
        let display = surroundings.display.filter(|_| !surroundings.wayland);
        SystemActivity {
            x11: display.and_then(|display| X11::new(&display, idle_after)),
            logind: Logind::new(&surroundings.bus),
            foreign: Foreign::new(nvidia, &surroundings.proc, surroundings.own_pid),
            sysfs: surroundings.sysfs,
        }
    }

    /// The X server knows to the millisecond; logind knows only what desktops choose to tell it.
    fn user(&mut self) -> Presence {
        let now = Instant::now();
        match self.x11.as_mut().map_or(Presence::Unknown, |x11| x11.look(now)) {
            Presence::Unknown => self.logind.look(now),
            known => known,
        }
    }
}

impl Activity for SystemActivity {
    fn look(&mut self, devices: &[Location]) -> Seen {
        Seen {
            user: self.user(),
            on_battery: on_battery(&self.sysfs),
            busy: devices.iter().map(|device| self.foreign.busy(device)).collect(),
        }
    }
}
