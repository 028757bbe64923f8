//! What a driver tells of a device beyond what people are shown.

use ocl::core::{self, DeviceId, DeviceInfo as Ask, DeviceInfoResult as Answer};

use crate::pci::PciAddress;

/// `CL_DEVICE_PCI_BUS_INFO_KHR` of `cl_khr_pci_bus_info`: domain, bus, device, function.
const PCI_BUS_INFO_KHR: u32 = 0x410f;
/// `CL_DEVICE_PCI_BUS_ID_NV`, `CL_DEVICE_PCI_SLOT_ID_NV` (device and function) and `CL_DEVICE_PCI_DOMAIN_ID_NV`.
const PCI_NV: [u32; 3] = [0x4008, 0x4009, 0x400a];
/// `CL_DEVICE_TOPOLOGY_AMD`: a type (1 is PCI Express), 17 bytes of nothing, bus, device, function.
const TOPOLOGY_AMD: u32 = 0x4037;

/// What a device's kernels are shaped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traits {
    /// Whether it computes on the host's cores.
    pub(super) is_cpu: bool,
    /// 32-bit words that its registers hold side by side.
    pub(super) native_width: u32,
    /// Its compute units.
    pub(super) compute_units: u32,
    /// Most bytes of one buffer.
    pub(super) buffer_bytes_max: u64,
    /// Most bytes of all buffers, as far as this program may use them.
    pub(super) memory_bytes: u64,
}

impl Traits {
    /// What the driver tells of `device`.
    pub(super) fn of(device: DeviceId) -> Self {
        let ask = |what| core::get_device_info(device, what);
        let is_cpu = matches!(ask(Ask::Type), Ok(Answer::Type(kind)) if kind.contains(ocl::flags::DEVICE_TYPE_CPU));
        let native_width = match ask(Ask::NativeVectorWidthInt) {
            Ok(Answer::NativeVectorWidthInt(width)) => width,
            _ => 1,
        };
        let compute_units = match ask(Ask::MaxComputeUnits) {
            Ok(Answer::MaxComputeUnits(units)) => units,
            _ => 0,
        };
        let buffer_bytes_max = match ask(Ask::MaxMemAllocSize) {
            Ok(Answer::MaxMemAllocSize(bytes)) => bytes,
            _ => 0,
        };
        let memory_bytes = match ask(Ask::GlobalMemSize) {
            Ok(Answer::GlobalMemSize(bytes)) => bytes,
            _ => 0,
        };
        Self { is_cpu, native_width, compute_units, buffer_bytes_max, memory_bytes }
    }
}

/// Where `device` sits, by whichever extension its driver has.
pub(super) fn pci(device: DeviceId) -> Option<PciAddress> {
    let raw = |what| core::get_device_info_raw(device, what).ok();
    khr(&raw(PCI_BUS_INFO_KHR).unwrap_or_default())
        .or_else(|| nv(PCI_NV.map(|what| raw(what).unwrap_or_default())))
        .or_else(|| amd(&raw(TOPOLOGY_AMD).unwrap_or_default()))
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

fn byte(number: u32) -> Option<u8> {
    u8::try_from(number).ok()
}

fn khr(answer: &[u8]) -> Option<PciAddress> {
    let (numbers, []) = answer.as_chunks::<4>() else { return None };
    let [domain, bus, device, function] = numbers else { return None };
    let [domain, bus, device, function] = [domain, bus, device, function].map(|bytes| u32::from_ne_bytes(*bytes));
    Some(PciAddress { domain, bus: byte(bus)?, device: byte(device)?, function: byte(function)? })
}

fn nv([bus, slot, domain]: [Vec<u8>; 3]) -> Option<PciAddress> {
    let (bus, slot) = (number(&bus)?, number(&slot)?);
    // Older drivers do not tell the domain, and know one only.
    let domain = number(&domain).unwrap_or(0);
    Some(PciAddress { domain, bus: byte(bus)?, device: byte(slot >> 3)?, function: byte(slot & 7)? })
}

fn amd(answer: &[u8]) -> Option<PciAddress> {
    let (kind, rest) = answer.split_first_chunk::<4>()?;
    let &[bus, device, function] = rest.get(17..20)? else { return None };
    (u32::from_ne_bytes(*kind) == 1).then_some(PciAddress { domain: 0, bus, device, function })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_makers_answer_is_read() {
        let bytes = |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_ne_bytes()).collect() };
        let expected = PciAddress { domain: 0, bus: 0x65, device: 3, function: 1 };
        assert_eq!(khr(&bytes(&[0, 0x65, 3, 1])), Some(expected));
        assert_eq!(nv([bytes(&[0x65]), bytes(&[3 << 3 | 1]), Vec::new()]), Some(expected));
        let mut topology = vec![0; 24];
        topology[..4].copy_from_slice(&1_u32.to_ne_bytes());
        topology[21..].copy_from_slice(&[0x65, 3, 1]);
        assert_eq!(amd(&topology), Some(expected));
    }

    #[test]
    fn an_answer_of_another_form_is_none() {
        assert_eq!(khr(&[]), None);
        assert_eq!(khr(&[0; 12]), None);
        assert_eq!(khr(&[0xff; 16]), None);
        assert_eq!(nv([Vec::new(), vec![0; 4], vec![0; 4]]), None);
        assert_eq!(amd(&[0; 24]), None);
        assert_eq!(amd(&[1, 0, 0, 0]), None);
    }
}
