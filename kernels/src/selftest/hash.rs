//! The vectors of kind hash. `vectors/hash.json` is made by the reference alone:
//! `LODE_WRITE_VECTORS=1 cargo test -p lode-kernels vectors` writes it anew, and without the variable the same test holds the
//! file against the reference.

use std::sync::LazyLock;

use lode_kinds::hash::{Algorithm, HEADER_BYTES, Nonces, Scan};
use serde::{Deserialize, Serialize};

use super::SelfTestFailure;
use crate::backend::Device;

/// Runs every vector of the algorithm on the device.
///
/// # Errors
/// At the first vector that the device does not reproduce.
pub fn self_test(device: &mut dyn Device, algorithm: Algorithm) -> Result<(), SelfTestFailure> {
    for vector in VECTORS.iter().filter(|vector| vector.algorithm() == algorithm) {
        let mut found = Vec::new();
        let errors_before = device.hardware_errors();
        let result = device.scan(&vector.scan(), vector.nonces(), &mut found);
        let name = || vector.name.clone();
        result.map_err(|error| SelfTestFailure::Device { vector: name(), error })?;
        if found != vector.hits {
            return Err(SelfTestFailure::Wrong { vector: name(), expected: vector.hits.clone(), found });
        }
        let count = device.hardware_errors() - errors_before;
        if count > 0 {
            return Err(SelfTestFailure::Refuted { vector: name(), count });
        }
    }
    Ok(())
}

static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../vectors/hash.json")).expect("the file's test reads it with the same code")
});

/// A scan with its outcome.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    algorithm: String,
    /// 80 bytes, hexadecimal.
    header: String,
    /// Big-endian, hexadecimal.
    target: String,
    start: u32,
    count: u64,
    /// Every nonce of the range that is a hit, in order.
    hits: Vec<u32>,
}

impl Vector {
    fn algorithm(&self) -> Algorithm {
        self.algorithm.parse().expect("the file's test reads it with the same code")
    }

    fn scan(&self) -> Scan {
        let header: [u8; HEADER_BYTES] = from_hex(&self.header);
        Scan::new(self.algorithm(), &header, from_hex(&self.target))
    }

    fn nonces(&self) -> Nonces {
        Nonces::new(self.start, self.count).expect("the file's test reads it with the same code")
    }
}

fn from_hex<const N: usize>(text: &str) -> [u8; N] {
    assert_eq!(text.len(), 2 * N, "the file's test reads it with the same code");
    std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hexadecimal digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{DeviceError, DeviceInfo};
    use crate::cpu::Cpu;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/hash.json");
    const GENESIS: &str = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e\
                           67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
    const LITECOIN_GENESIS: &str = "010000000000000000000000000000000000000000000000000000000000000000000000d9ced4ed1130f7b7\
                                    faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c";

    fn to_hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the reference makes of a scan.
    fn vector(algorithm: Algorithm, name: &str, header: &[u8; 80], target: [u8; 32], start: u32, count: u64) -> Vector {
        let scan = Scan::new(algorithm, header, target);
        let hits = Nonces::new(start, count).unwrap().iter().filter(|nonce| scan.meets(*nonce)).collect();
        let (header, target) = (to_hex(header), to_hex(&target));
        Vector { name: name.to_owned(), algorithm: algorithm.name().to_owned(), header, target, start, count, hits }
    }

    /// Bytes that look random: the reference's own hashes of a counter.
    fn header(number: u8) -> [u8; 80] {
        let halves = [0, 1, 2].map(|part| lode_kinds::hash::sha256d::reference::sha256d(&[number, part]));
        std::array::from_fn(|i| halves[i / 32][i % 32])
    }

    /// The greatest target with this many leading zero bits.
    fn target(zero_bits: usize) -> [u8; 32] {
        let mut target = [0xff; 32];
        for bit in 0..zero_bits {
            target[bit / 8] &= !(0x80 >> (bit % 8));
        }
        target
    }

    /// The hash of this nonce, and the number before it.
    fn equal_and_less(algorithm: Algorithm, header: &[u8; 80], nonce: u32) -> ([u8; 32], [u8; 32]) {
        let equal = Scan::new(algorithm, header, [0; 32]).header_hash(nonce);
        let mut less = equal;
        less[31] -= 1; // these hashes do not end in zero, or this would fail
        (equal, less)
    }

    fn of_sha256d() -> Vec<Vector> {
        let mut genesis_target = [0; 32];
        genesis_target[4..6].copy_from_slice(&[0xff, 0xff]);
        let (equal, less) = equal_and_less(Algorithm::Sha256d, &header(8), 77);
        let mut uneven = target(5);
        uneven[0] = 0x05;
        let vector =
            |name, header, target, start, count| vector(Algorithm::Sha256d, name, &header, target, start, count);
        vec![
            vector("genesis block", from_hex(GENESIS), genesis_target, 2_083_236_893 - 500, 1000),
            vector("half of all, from 0, odd count", header(1), target(1), 0, 1001),
            vector("3 zero bits", header(2), target(3), 0x0123_4567, 1000),
            vector("6 zero bits", header(3), target(6), 0x7fff_ff00, 2000),
            vector("9 zero bits", header(4), target(9), 0xdead_0000, 4000),
            vector("a target that is no power of two", header(5), uneven, 0x8000_0001, 1500),
            vector("every nonce", header(6), target(0), 0xffff, 33),
            vector("no nonce", header(7), target(256), 12_345, 4000),
            vector("a hash equal to the target", header(8), equal, 70, 15),
            vector("a hash one above the target", header(8), less, 70, 15),
            vector("up to the last nonce", header(9), target(5), u32::MAX - 998, 999),
            vector("one nonce, the last", header(10), target(0), u32::MAX, 1),
            vector("an empty range", header(11), target(0), 5, 0),
        ]
    }

    fn of_scrypt() -> Vec<Vector> {
        let mut genesis_target = [0; 32];
        genesis_target[2..5].copy_from_slice(&[0x0f, 0xff, 0xf0]);
        let (equal, less) = equal_and_less(Algorithm::Scrypt, &header(28), 77);
        let mut uneven = target(5);
        uneven[0] = 0x05;
        let vector =
            |name, header, target, start, count| vector(Algorithm::Scrypt, name, &header, target, start, count);
        vec![
            vector("Litecoin's first block", from_hex(LITECOIN_GENESIS), genesis_target, 2_084_524_493 - 100, 150),
            vector("half of all, from 0, odd count", header(21), target(1), 0, 65),
            vector("3 zero bits", header(22), target(3), 0x7fff_ffc0, 131),
            vector("a target that is no power of two", header(23), uneven, 0x8000_0001, 300),
            vector("every nonce", header(24), target(0), 0xffff, 7),
            vector("no nonce", header(25), target(256), 12_345, 64),
            vector("a hash equal to the target", header(28), equal, 70, 15),
            vector("a hash one above the target", header(28), less, 70, 15),
            vector("up to the last nonce", header(26), target(2), u32::MAX - 98, 99),
            vector("one nonce, the last", header(27), target(0), u32::MAX, 1),
            vector("an empty range", header(29), target(0), 5, 0),
        ]
    }

    fn made_by_the_reference() -> Vec<Vector> {
        of_sha256d().into_iter().chain(of_scrypt()).collect()
    }

    #[test]
    fn vectors_are_what_the_reference_finds() {
        let made = made_by_the_reference();
        if std::env::var_os("LODE_WRITE_VECTORS").is_some() {
            let mut text = serde_json::to_string_pretty(&made).unwrap();
            text.push('\n');
            std::fs::write(FILE, text).unwrap();
        }
        let text = std::fs::read_to_string(FILE).unwrap();
        let kept: Vec<Vector> = serde_json::from_str(&text).unwrap();
        assert_eq!(kept, made);
        for (algorithm, first_hit) in [(Algorithm::Sha256d, 2_083_236_893), (Algorithm::Scrypt, 2_084_524_493)] {
            let mut vectors = kept.iter().filter(|vector| vector.algorithm() == algorithm);
            assert_eq!(vectors.next().unwrap().hits, [first_hit], "{algorithm}");
            assert!(vectors.any(|vector| vector.count > 0 && vector.hits.is_empty()), "{algorithm}");
        }
    }

    #[test]
    fn the_cpu_passes() {
        for &algorithm in Algorithm::ALL {
            self_test(&mut Cpu::new(None), algorithm).unwrap();
        }
    }

    /// A CPU whose hits something else gets hold of before they are returned.
    struct Tampered<F> {
        cpu: Cpu,
        tamper: F,
    }

    impl<F: FnMut(&mut Vec<u32>) + Send> Device for Tampered<F> {
        fn info(&self) -> &DeviceInfo {
            self.cpu.info()
        }

        fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
            self.cpu.scan(scan, nonces, hits)?;
            (self.tamper)(hits);
            Ok(())
        }
    }

    fn failure(algorithm: Algorithm, tamper: impl FnMut(&mut Vec<u32>) + Send) -> String {
        self_test(&mut Tampered { cpu: Cpu::new(None), tamper }, algorithm).unwrap_err().to_string()
    }

    #[test]
    fn a_device_that_drops_a_nonce_fails() {
        let drop_last = |hits: &mut Vec<u32>| hits.truncate(hits.len().saturating_sub(1));
        let message = failure(Algorithm::Sha256d, drop_last);
        assert_eq!(message, "self-test vector \"genesis block\": expected 1 nonces [2083236893], found 0 nonces []");
        let message = failure(Algorithm::Scrypt, drop_last);
        assert!(message.contains("Litecoin's first block"), "{message}");
    }

    #[test]
    fn a_device_that_invents_a_nonce_fails() {
        for &algorithm in Algorithm::ALL {
            let message = failure(algorithm, |hits| {
                if hits.is_empty() {
                    hits.push(7);
                }
            });
            assert_eq!(message, "self-test vector \"no nonce\": expected 0 nonces [], found 1 nonces [7]");
        }
    }

    #[test]
    fn a_device_that_is_wrong_in_one_bit_fails() {
        for &algorithm in Algorithm::ALL {
            let message = failure(algorithm, |hits| {
                if let Some(last) = hits.last_mut() {
                    *last ^= 1;
                }
            });
            assert!(message.contains("block"), "{message}");
        }
    }
}
