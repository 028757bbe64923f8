//! Other programs on NVIDIA cards, as the driver's management library lists them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use crate::health::sysfs::line;
use crate::location::Location;
use crate::nvidia::Nvidia;

/// A program that uses a card's processors for at least this part of the time keeps it busy. Desktops at rest use less.
const BUSY_PERCENT: u32 = 10;

/// The processors' use by one process since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    pid: u32,
    percent: u32,
}

/// What a card's driver tells of its processes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// How much each used the card.
    Uses(Vec<Use>),
    /// Only which processes compute on it.
    Computing(Vec<u32>),
}

/// The programs of others.
#[derive(Debug)]
pub(super) struct Foreign {
    nvidia: Nvidia,
    proc: PathBuf,
    own_pid: u32,
    /// Up to when each card's use is known, in the driver's microseconds.
    until: HashMap<String, u64>,
}

impl Foreign {
    /// Programs other than `own_pid`, named by what is below `proc`, which is `/proc`.
    pub(super) fn new(nvidia: Nvidia, proc: &Path, own_pid: u32) -> Foreign {
        Foreign { nvidia, proc: proc.to_owned(), own_pid, until: HashMap::new() }
    }

    /// The program that keeps a device busy, if one does and somebody can tell.
    pub(super) fn busy(&mut self, device: &Location) -> Option<String> {
        let pci = device.pci.as_deref()?;
        let card = self.nvidia.card(pci)?;
        let until = self.until.entry(pci.to_owned()).or_default();
        let told = ask(&card, until)?;
        busiest(&told, self.own_pid, |pid| line(&self.proc.join(pid.to_string()).join("comm")))
    }
}

/// Asks for use, and for mere presence where the driver cannot tell use.
fn ask(card: &Device<'_>, until: &mut u64) -> Option<Told> {
    match card.process_utilization_stats(*until) {
        Ok(samples) => {
            *until = samples.iter().map(|sample| sample.timestamp).max().unwrap_or(0).max(*until);
            let uses = samples.iter().map(|sample| Use { pid: sample.pid, percent: sample.sm_util });
            Some(Told::Uses(uses.collect()))
        }
        Err(NvmlError::NotFound) => Some(Told::Uses(Vec::new())),
        Err(NvmlError::NotSupported | NvmlError::NoPermission | NvmlError::FailedToLoadSymbol(_)) => {
            let computing = card.running_compute_processes().ok()?;
            Some(Told::Computing(computing.iter().map(|process| process.pid).collect()))
        }
        // A sample may come in between the driver's count and its answer; there is another look soon.
        Err(_) => None,
    }
}

/// The program that uses the card most, if that is enough to call the card busy.
///
/// A process that `name` does not know is passed over: in a container the driver tells the host's numbers, and it may be
/// ourselves.
fn busiest(told: &Told, own_pid: u32, name: impl Fn(u32) -> Option<String>) -> Option<String> {
    let mut uses: Vec<Use> = match told {
        Told::Uses(uses) => uses.iter().copied().filter(|used| used.percent >= BUSY_PERCENT).collect(),
        Told::Computing(pids) => pids.iter().map(|&pid| Use { pid, percent: 100 }).collect(),
    };
    uses.sort_by_key(|used| std::cmp::Reverse(used.percent));
    uses.into_iter().filter(|used| used.pid != own_pid).find_map(|used| name(used.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_is_busy_with_the_program_that_uses_it_most() {
        let name = |pid: u32| (pid < 100).then(|| format!("program-{pid}"));
        let uses = |uses: &[(u32, u32)]| Told::Uses(uses.iter().map(|&(pid, percent)| Use { pid, percent }).collect());
        for (told, program) in [
            (uses(&[]), None),
            (uses(&[(7, 99)]), None),
            (uses(&[(7, 60), (8, 9)]), None),
            (uses(&[(7, 60), (8, 10)]), Some("program-8")),
            (uses(&[(8, 20), (9, 30), (7, 50)]), Some("program-9")),
            (uses(&[(8, 20), (100, 80)]), Some("program-8")),
            (uses(&[(100, 80)]), None),
            (Told::Computing(vec![7]), None),
            (Told::Computing(vec![7, 9]), Some("program-9")),
        ] {
            assert_eq!(busiest(&told, 7, name).as_deref(), program, "{told:?}");
        }
    }

    #[test]
    fn nobody_tells_of_a_card_without_an_address_or_a_driver() {
        let nvidia = Nvidia::at("/nonexistent/libnvidia-ml.so.1");
        let mut foreign = Foreign::new(nvidia, Path::new("/proc"), 1);
        let at = |pci: Option<&str>| Location { pci: pci.map(str::to_owned), is_cpu: false };
        assert_eq!((foreign.busy(&at(None)), foreign.busy(&at(Some("0000:01:00.0")))), (None, None));
    }
}
