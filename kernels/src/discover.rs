//! Which devices are on this machine, and which of them a user selected.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use lode_kinds::Kind;
use lode_kinds::hash::Algorithm;
use serde::Serialize;

use crate::backend::{Backend, Device, DeviceError, DeviceInfo, OpenOptions};
use crate::cores::Cores;
use crate::cpu::Cpu;
use crate::cuda;
use crate::measure::{HashRate, rate};
use crate::opencl;
use crate::pci::PciAddress;

/// How long each of the devices that share the host's cores is measured, after its warm-up, to find the faster one.
const CONTEST: Duration = Duration::from_millis(150);

/// Which devices a user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Every GPU, and of the devices that share the host's cores the fastest one.
    All,
    /// Every device of a backend.
    Backend(Backend),
    /// One device of a backend.
    One(Backend, u32),
}

/// A text that selects no device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown device {0:?}: expected all, cuda, opencl, cpu, or a backend with an index as in opencl:0")]
pub struct UnknownSelector(pub String);

impl FromStr for Selector {
    type Err = UnknownSelector;

    fn from_str(text: &str) -> Result<Self, UnknownSelector> {
        let unknown = || UnknownSelector(text.to_owned());
        if text == "all" {
            return Ok(Self::All);
        }
        let Some((backend, index)) = text.split_once(':') else {
            return text.parse().map(Self::Backend).map_err(|()| unknown());
        };
        let backend = backend.parse().map_err(|()| unknown())?;
        let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        let index = index.parse().ok().filter(|_| digits).ok_or_else(unknown)?;
        Ok(Self::One(backend, index))
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Backend(backend) => write!(f, "{backend}"),
            Self::One(backend, index) => write!(f, "{backend}:{index}"),
        }
    }
}

/// A backend with no device, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Absent {
    /// The backend.
    pub backend: Backend,
    /// Why it has no device here.
    pub reason: String,
}

/// A device that was found and could be opened.
#[derive(Debug)]
pub struct Candidate(Driver);

#[derive(Debug)]
enum Driver {
    Cuda(cuda::Found),
    OpenCl(opencl::Found),
    Cpu(Cpu),
}

impl Candidate {
    /// What is known of the device.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        match &self.0 {
            Driver::Cuda(found) => found.info(),
            Driver::OpenCl(found) => found.info(),
            Driver::Cpu(cpu) => cpu.info(),
        }
    }

    /// Opens the device. Its kernels are made when they are first needed, see [`Device::prepare`].
    ///
    /// # Errors
    /// When its driver refuses.
    pub fn open(self, options: &OpenOptions) -> Result<Box<dyn Device>, DeviceError> {
        Ok(match self.0 {
            Driver::Cuda(found) => Box::new(found.open(options)?),
            Driver::OpenCl(found) => Box::new(found.open(options)?),
            Driver::Cpu(cpu) => Box::new(cpu),
        })
    }
}

/// Everything on this machine.
#[derive(Debug)]
pub struct Survey {
    /// Every device, in the order of backends.
    pub found: Vec<Candidate>,
    /// The backends without a device.
    pub absent: Vec<Absent>,
}

/// Looks for every device of every backend, and opens none.
#[must_use]
pub fn survey() -> Survey {
    let mut found = Vec::new();
    let mut absent = Vec::new();
    match cuda::find() {
        Ok(devices) => found.extend(devices.into_iter().map(|device| Candidate(Driver::Cuda(device)))),
        Err(reason) => absent.push(Absent { backend: Backend::Cuda, reason }),
    }
    match opencl::find() {
        Ok(devices) => found.extend(devices.into_iter().map(|device| Candidate(Driver::OpenCl(device)))),
        Err(reason) => absent.push(Absent { backend: Backend::OpenCl, reason }),
    }
    found.push(Candidate(Driver::Cpu(Cpu::new(None))));
    Survey { found, absent }
}

/// A device that was selected with others and is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// The device.
    pub info: DeviceInfo,
    /// Why it is not used.
    pub reason: String,
}

/// The devices that a user selected, opened.
pub struct Discovery {
    /// The devices to use, each once.
    pub devices: Vec<Box<dyn Device>>,
    /// The backends without a device on this machine.
    pub absent: Vec<Absent>,
    /// The devices that `all` would include but for a reason.
    pub passed_over: Vec<PassedOver>,
}

/// Why a selection cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// A selector matches nothing here.
    #[error("no device {selector} on this machine: it has {}{}", existing.join(", "), because(reason.as_deref()))]
    NoMatch {
        /// The selector.
        selector: Selector,
        /// The ids of the devices that exist.
        existing: Vec<String>,
        /// Why the backend that it names has no device, if so.
        reason: Option<String>,
    },
    /// A device that was asked for by its name or backend cannot be opened.
    #[error("cannot open {0}")]
    CannotOpen(#[from] DeviceError),
}

fn because(reason: Option<&str>) -> String {
    reason.map(|reason| format!(" ({reason})")).unwrap_or_default()
}

/// Finds and opens the devices selected, each card once: CUDA before OpenCL, which gets a card that CUDA cannot use. No
/// selector at all means [`Selector::All`]. Of the devices that share the host's cores, `all` takes the one that is the
/// fastest at `algorithm`.
///
/// # Errors
/// When a selector matches nothing, or a device that was asked for by name or backend cannot be opened.
pub fn discover(selectors: &[Selector], algorithm: Algorithm, options: &OpenOptions) -> Result<Discovery, SelectError> {
    let Survey { found, absent } = survey();
    let infos: Vec<_> = found.iter().map(Candidate::info).collect();
    let choices = choose(selectors, &infos, &absent)?;

    let mut discovery = Discovery { devices: Vec::new(), absent, passed_over: Vec::new() };
    let mut contestants = Vec::new();
    let mut cards = Cards::default();
    for (candidate, choice) in found.into_iter().zip(choices) {
        let info = candidate.info().clone();
        if choice != Choice::Unselected
            && let Some(other) = cards.holder(&info)
        {
            let reason = format!("the same card as {other}");
            discovery.passed_over.push(PassedOver { info, reason });
            continue;
        }
        match choice {
            Choice::Unselected => {}
            Choice::Wanted => {
                let mut device = candidate.open(options)?;
                // A card that cannot run the kernel is left to the other backend; why is told when it shows that it cannot.
                if device.prepare(algorithm).is_ok() {
                    cards.take(&info);
                }
                discovery.devices.push(device);
            }
            Choice::Welcome | Choice::Contestant => match open_ready(candidate, algorithm, options) {
                Ok(device) if choice == Choice::Welcome => {
                    discovery.devices.push(device);
                    cards.take(&info);
                }
                Ok(device) => contestants.push(device),
                Err(error) => discovery.passed_over.push(PassedOver { info, reason: error.reason }),
            },
        }
    }
    let passed_over = &mut discovery.passed_over;
    discovery.devices.extend(fastest(contestants, algorithm, passed_over));
    Ok(discovery)
}

/// Opens a device and sees that it has the algorithm's kernel, so that a contest measures the kernel alone.
fn open_ready(
    candidate: Candidate,
    algorithm: Algorithm,
    options: &OpenOptions,
) -> Result<Box<dyn Device>, DeviceError> {
    let mut device = candidate.open(options)?;
    device.prepare(algorithm)?;
    Ok(device)
}

/// The cards in use, by their place on the PCI bus, with the id of the device that uses each.
#[derive(Debug, Default)]
struct Cards(Vec<(PciAddress, String)>);

impl Cards {
    fn holder(&self, info: &DeviceInfo) -> Option<&str> {
        let held = self.0.iter().find(|(pci, _)| Some(*pci) == info.pci);
        held.map(|(_, id)| id.as_str())
    }

    fn take(&mut self, info: &DeviceInfo) {
        self.0.extend(info.pci.map(|pci| (pci, info.id())));
    }
}

/// What a selection means for a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Unselected,
    /// Asked for by name or backend.
    Wanted,
    /// One of `all`.
    Welcome,
    /// One of those of `all` that share the host's cores: only the fastest of them is used.
    Contestant,
}

fn choose(selectors: &[Selector], devices: &[&DeviceInfo], absent: &[Absent]) -> Result<Vec<Choice>, SelectError> {
    let selectors = if selectors.is_empty() { &[Selector::All] } else { selectors };
    let mut choices = vec![Choice::Unselected; devices.len()];
    for selector in selectors {
        let mut matched = false;
        for (choice, device) in choices.iter_mut().zip(devices) {
            let selected = match *selector {
                Selector::All if device.is_cpu => Choice::Contestant,
                Selector::All => Choice::Welcome,
                Selector::Backend(backend) if backend == device.backend => Choice::Wanted,
                Selector::One(backend, index) if (backend, index) == (device.backend, device.index) => Choice::Wanted,
                _ => continue,
            };
            matched = true;
            if *choice != Choice::Wanted {
                *choice = selected;
            }
        }
        if !matched {
            return Err(no_match(*selector, devices, absent));
        }
    }
    // A device of the host's cores that was asked for by name keeps the others off them.
    let taken = |(choice, device): (&Choice, &&DeviceInfo)| *choice == Choice::Wanted && device.is_cpu;
    if choices.iter().zip(devices).any(taken) {
        for choice in choices.iter_mut().filter(|choice| **choice == Choice::Contestant) {
            *choice = Choice::Unselected;
        }
    }
    Ok(choices)
}

fn no_match(selector: Selector, devices: &[&DeviceInfo], absent: &[Absent]) -> SelectError {
    let existing = devices.iter().map(|device| device.id()).collect();
    let named = match selector {
        Selector::All => None,
        Selector::Backend(backend) | Selector::One(backend, _) => Some(backend),
    };
    let reason = absent.iter().find(|absent| Some(absent.backend) == named).map(|absent| absent.reason.clone());
    SelectError::NoMatch { selector, existing, reason }
}

/// Measures the contestants, if there are several, and passes over all but the fastest. Where that is the CPU backend, an
/// OpenCL device that can render does so for it: compiled for the CPU that it is on, it is the faster at that.
fn fastest(
    contestants: Vec<Box<dyn Device>>,
    algorithm: Algorithm,
    passed_over: &mut Vec<PassedOver>,
) -> Option<Box<dyn Device>> {
    if contestants.len() < 2 {
        return contestants.into_iter().next();
    }
    let mut measured: Vec<(HashRate, Box<dyn Device>)> = Vec::new();
    for mut device in contestants {
        match rate(device.as_mut(), algorithm, CONTEST) {
            Ok(rate) => measured.push((rate, device)),
            Err(error) => passed_over.push(PassedOver { info: device.info().clone(), reason: error.reason }),
        }
    }
    measured.sort_by(|(a, _), (b, _)| b.per_second().total_cmp(&a.per_second()));
    let mut measured = measured.into_iter();
    let (faster, winner) = measured.next()?;
    let id = winner.info().id();
    let mut renderer = None;
    for (slower, loser) in measured {
        let info = loser.info().clone();
        let mut reason = format!("shares the host's cores with {id}, which is faster: {faster} against {slower}");
        let renders = winner.info().backend == Backend::Cpu && info.backend == Backend::OpenCl;
        if renders && renderer.is_none() && loser.can(Kind::Render).is_ok() {
            renderer = Some(loser);
            reason += "; it renders for it";
        }
        passed_over.push(PassedOver { info, reason });
    }
    match renderer {
        Some(renderer) => Some(Box::new(Cores::new(winner, renderer))),
        None => Some(winner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(backend: Backend, index: u32, is_cpu: bool) -> DeviceInfo {
        let (name, driver) = (String::new(), String::new());
        DeviceInfo { backend, index, name, memory_bytes: None, compute_units: 1, driver, is_cpu, pci: None }
    }

    /// Two GPUs around a CPU-type device, and the CPU backend.
    fn machine() -> [DeviceInfo; 4] {
        use Backend::{Cpu, OpenCl};
        [info(OpenCl, 0, false), info(OpenCl, 1, true), info(OpenCl, 2, false), info(Cpu, 0, true)]
    }

    fn chosen(selectors: &[&str]) -> Result<Vec<Choice>, SelectError> {
        let selectors: Vec<Selector> = selectors.iter().map(|text| text.parse().unwrap()).collect();
        let machine = machine();
        let absent = [Absent { backend: Backend::Cuda, reason: "no driver".to_owned() }];
        choose(&selectors, &machine.each_ref(), &absent)
    }

    #[test]
    fn selectors_parse_to_what_they_print() {
        for text in ["all", "cuda", "opencl", "cpu", "cuda:0", "opencl:17"] {
            assert_eq!(text.parse::<Selector>().unwrap().to_string(), text);
        }
        for text in ["", "gpu", "All", "opencl:", "opencl:+1", "opencl:-1", "opencl:x", "all:0", "cpu:99999999999"] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains("expected all, cuda, opencl, cpu"), "{error}");
        }
    }

    #[test]
    fn all_means_every_gpu_and_a_contest_for_the_cores() {
        use Choice::{Contestant, Unselected, Wanted, Welcome};
        assert_eq!(chosen(&[]).unwrap(), [Welcome, Contestant, Welcome, Contestant]);
        assert_eq!(chosen(&["all"]).unwrap(), [Welcome, Contestant, Welcome, Contestant]);
        assert_eq!(chosen(&["all", "cpu"]).unwrap(), [Welcome, Unselected, Welcome, Wanted]);
        assert_eq!(chosen(&["opencl:2", "opencl:2"]).unwrap(), [Unselected, Unselected, Wanted, Unselected]);
        assert_eq!(chosen(&["opencl", "cpu"]).unwrap(), [Wanted; 4]);
    }

    #[test]
    fn a_card_belongs_to_the_first_device_that_opens_it() {
        let at = |bus| Some(PciAddress { domain: 0, bus, device: 0, function: 0 });
        let cuda = DeviceInfo { pci: at(1), ..info(Backend::Cuda, 0, false) };
        let twin = DeviceInfo { pci: at(1), ..info(Backend::OpenCl, 0, false) };
        let other = DeviceInfo { pci: at(2), ..info(Backend::OpenCl, 1, false) };
        let unknown = info(Backend::OpenCl, 2, false);
        let mut cards = Cards::default();
        assert_eq!(cards.holder(&cuda), None);
        cards.take(&cuda);
        cards.take(&unknown);
        assert_eq!([&twin, &other, &unknown].map(|info| cards.holder(info)), [Some("cuda:0"), None, None]);
    }

    #[test]
    fn a_selector_without_a_match_names_what_exists_and_why() {
        let error = chosen(&["opencl:0", "cuda:0"]).unwrap_err().to_string();
        assert_eq!(error, "no device cuda:0 on this machine: it has opencl:0, opencl:1, opencl:2, cpu:0 (no driver)");
        let error = chosen(&["opencl:3"]).unwrap_err().to_string();
        assert!(error.ends_with("it has opencl:0, opencl:1, opencl:2, cpu:0"), "{error}");
    }
}
