//! What the tests of this kind share: a seeded generator and the first blocks of Bitcoin and Litecoin.

use super::{Algorithm, Scan};

/// SplitMix64: small, seeded, the same everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) const fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(crate) fn header(&mut self) -> [u8; 80] {
        std::array::from_fn(|_| self.byte())
    }

    /// A target with about `zero_bits` leading zeros and random bits after them.
    pub(crate) fn target(&mut self, zero_bits: usize) -> [u8; 32] {
        let mut target: [u8; 32] = std::array::from_fn(|_| self.byte());
        for bit in 0..zero_bits {
            target[bit / 8] &= !(0x80 >> (bit % 8));
        }
        target
    }
}

/// The nonce that the genesis block's header carries.
pub(crate) const GENESIS_NONCE: u32 = 2_083_236_893;

/// The genesis block's header (its nonce is of no account) with the target that its bits 1d00ffff stand for.
pub(crate) fn genesis() -> Scan {
    let mut header = [0; 80];
    header[0] = 1;
    let root = "3ba3edfd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a";
    hex(root, &mut header[36..68]);
    header[68..72].copy_from_slice(&1_231_006_505_u32.to_le_bytes());
    header[72..76].copy_from_slice(&0x1d00_ffff_u32.to_le_bytes());
    let mut target = [0; 32];
    target[4..6].copy_from_slice(&[0xff, 0xff]);
    Scan::new(Algorithm::Sha256d, &header, target)
}

/// The header of Litecoin's first block (its nonce is of no account) with the target that its bits 1e0ffff0 stand for, and
/// the nonce that it carries.
pub(crate) fn litecoin_genesis() -> (Scan, u32) {
    let mut header = [0; 80];
    header[0] = 1;
    let rest = "d9ced4ed1130f7b7faad9be25323ffafa33232a17c3edf6cfd97bee6bafbdd97b9aa8e4ef0ff0f1ecd513f7c";
    hex(rest, &mut header[36..]);
    let nonce = u32::from_le_bytes([header[76], header[77], header[78], header[79]]);
    let mut target = [0; 32];
    target[2..5].copy_from_slice(&[0x0f, 0xff, 0xf0]);
    (Scan::new(Algorithm::Scrypt, &header, target), nonce)
}

/// Fills `bytes` from hexadecimal digits.
pub(crate) fn hex(digits: &str, bytes: &mut [u8]) {
    assert_eq!(digits.len(), 2 * bytes.len());
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    }
}
