//! From a stratum template to an 80-byte block header.
//!
//! Layout (Bitcoin protocol, "block headers"): version, previous hash, merkle root, time, bits and
//! nonce, numbers little-endian. Stratum writes the previous hash with each 4-byte word reversed;
//! the coinbase transaction is `coinbase1 || extranonce1 || extranonce2 || coinbase2`.

use std::fmt;

use sha2::{Digest, Sha256};

/// Bytes of a block header.
pub const HEADER_BYTES: usize = 80;
/// Most coinbase bytes of a template (both parts): with all else a notify stays below the line limit.
pub const COINBASE_BYTES_MAX: usize = 6 * 1024;
/// Most hashes of a merkle branch: 2^32 transactions.
pub const MERKLE_BRANCH_MAX: usize = 32;
/// Most extranonce bytes (both parts) that a template may leave open.
pub const EXTRANONCE_BYTES_MAX: usize = 64;
/// How far ahead of the template's time a share's may run, as pools have it.
pub const NTIME_ROLL_MAX: u32 = 7000;

/// SHA-256 of SHA-256.
#[must_use]
pub fn sha256d(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(Sha256::digest(bytes)).into()
}

/// A header's hash by the algorithm of its job, kept in the order in which it is compared and shown:
/// most significant byte first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderHash([u8; 32]);

impl HeaderHash {
    /// Double SHA-256 of a header.
    #[must_use]
    pub fn sha256d(header: &[u8; HEADER_BYTES]) -> HeaderHash {
        let mut digest = sha256d(header);
        digest.reverse();
        HeaderHash(digest)
    }

    /// From the order in which a hash is shown.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> HeaderHash {
        HeaderHash(bytes)
    }

    /// The order in which a hash is shown.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0
    }
}

impl fmt::Display for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex::encode(&self.0))
    }
}

impl fmt::Debug for HeaderHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderHash({self})")
    }
}

/// The previous block's hash, kept in header order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrevHash([u8; 32]);

impl PrevHash {
    fn reverse_words(mut bytes: [u8; 32]) -> [u8; 32] {
        for word in bytes.chunks_exact_mut(4) {
            word.reverse();
        }
        bytes
    }

    /// From stratum's order (each 4-byte word reversed).
    #[must_use]
    pub fn from_stratum_bytes(bytes: [u8; 32]) -> PrevHash {
        PrevHash(Self::reverse_words(bytes))
    }

    /// In stratum's order.
    #[must_use]
    pub fn to_stratum_bytes(self) -> [u8; 32] {
        Self::reverse_words(self.0)
    }

    /// In the order of the header.
    #[must_use]
    pub fn to_header_bytes(self) -> [u8; 32] {
        self.0
    }
}

/// The fields of a `mining.notify`, as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Block version before rolling.
    pub version: u32,
    /// Previous block.
    pub prev_hash: PrevHash,
    /// Coinbase transaction up to the extranonce.
    pub coinbase1: Vec<u8>,
    /// Coinbase transaction after the extranonce.
    pub coinbase2: Vec<u8>,
    /// Hashes to fold the coinbase's hash with, in header order.
    pub merkle_branch: Vec<[u8; 32]>,
    /// Compact target of the chain.
    pub nbits: u32,
    /// Time of the template; shares may roll it forward by [`NTIME_ROLL_MAX`] seconds.
    pub ntime: u32,
}

/// What a share chose within a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roll<'a> {
    /// The connection's part of the coinbase.
    pub extranonce1: &'a [u8],
    /// The miner's part of the coinbase.
    pub extranonce2: &'a [u8],
    /// Rolled time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Block version after rolling, see [`roll_version`].
    pub version: u32,
}

impl Template {
    /// The whole coinbase transaction.
    #[must_use]
    pub fn coinbase(&self, extranonce1: &[u8], extranonce2: &[u8]) -> Vec<u8> {
        [&self.coinbase1[..], extranonce1, extranonce2, &self.coinbase2[..]].concat()
    }

    /// The merkle root, in header order.
    #[must_use]
    pub fn merkle_root(&self, extranonce1: &[u8], extranonce2: &[u8]) -> [u8; 32] {
        fold_merkle(sha256d(&self.coinbase(extranonce1, extranonce2)), &self.merkle_branch)
    }

    /// The header of `roll`.
    #[must_use]
    pub fn header(&self, roll: &Roll<'_>) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[0..4].copy_from_slice(&roll.version.to_le_bytes());
        header[4..36].copy_from_slice(&self.prev_hash.to_header_bytes());
        header[36..68].copy_from_slice(&self.merkle_root(roll.extranonce1, roll.extranonce2));
        header[68..72].copy_from_slice(&roll.ntime.to_le_bytes());
        header[72..76].copy_from_slice(&self.nbits.to_le_bytes());
        header[76..80].copy_from_slice(&roll.nonce.to_le_bytes());
        header
    }

    /// Whether a share's time is one this template allows.
    #[must_use]
    pub fn allows_ntime(&self, ntime: u32) -> bool {
        ntime >= self.ntime && ntime - self.ntime <= NTIME_ROLL_MAX
    }

    /// The extranonce sizes for which `coinbase1 || extranonce || coinbase2` is a well-formed
    /// transaction whose extranonce lies in the first input's script, smallest first.
    #[must_use]
    pub fn open_coinbase_bytes(&self) -> Vec<usize> {
        open_coinbase_bytes(&self.coinbase1, &self.coinbase2)
    }
}

/// Folds a transaction's hash with its merkle branch.
#[must_use]
pub fn fold_merkle(leaf: [u8; 32], branch: &[[u8; 32]]) -> [u8; 32] {
    branch.iter().fold(leaf, |root, hash| {
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(&root);
        pair[32..].copy_from_slice(hash);
        sha256d(&pair)
    })
}

/// Version bits outside the negotiated mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("version bits {bits:08x} are outside the mask {mask:08x}")]
pub struct OutsideMask {
    /// Bits that were submitted.
    pub bits: u32,
    /// Bits that may be rolled.
    pub mask: u32,
}

/// Replaces the masked bits of a job's version (BIP 320): `(version & !mask) | bits`.
///
/// # Errors
/// `bits` has a bit outside `mask`.
pub fn roll_version(version: u32, bits: u32, mask: u32) -> Result<u32, OutsideMask> {
    if bits & !mask != 0 {
        return Err(OutsideMask { bits, mask });
    }
    Ok(version & !mask | bits)
}

/// Reads a compact size (the protocol's variable-length integer) at `at`: value and next position.
fn compact_size(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let read = |len: usize| -> Option<usize> {
        let mut le = [0; 8];
        le[..len].copy_from_slice(bytes.get(at + 1..at + 1 + len)?);
        usize::try_from(u64::from_le_bytes(le)).ok()
    };
    match *bytes.get(at)? {
        0xfd => Some((read(2)?, at + 3)),
        0xfe => Some((read(4)?, at + 5)),
        0xff => Some((read(8)?, at + 9)),
        small => Some((usize::from(small), at + 1)),
    }
}

/// Whether `bytes` are what follows an input's script: sequence, outputs, lock time.
fn is_transaction_tail(bytes: &[u8]) -> bool {
    let parse = || -> Option<usize> {
        let (outputs, mut at) = compact_size(bytes, 4)?;
        // An output takes at least nine bytes, which bounds the loop by the input's length.
        if outputs == 0 || outputs > bytes.len() / 9 {
            return None;
        }
        for _ in 0..outputs {
            let (script, next) = compact_size(bytes, at.checked_add(8)?)?;
            at = next.checked_add(script)?;
        }
        at.checked_add(4)
    };
    parse() == Some(bytes.len())
}

fn open_coinbase_bytes(coinbase1: &[u8], coinbase2: &[u8]) -> Vec<usize> {
    // version 4, one input, previous output 36, script length, script
    if coinbase1.get(4) != Some(&1) {
        return Vec::new();
    }
    let Some((script, start)) = compact_size(coinbase1, 41) else { return Vec::new() };
    let Some(open) = coinbase1.len().checked_sub(start).and_then(|have| script.checked_sub(have)) else {
        return Vec::new();
    };
    (0..=open.min(EXTRANONCE_BYTES_MAX))
        .filter(|&extranonce| coinbase2.get(open - extranonce..).is_some_and(is_transaction_tail))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_bits_are_replaced_not_merged() {
        // The job's version already has a bit inside the mask: OR and XOR both go wrong here.
        assert_eq!(roll_version(0x2000_2000, 0x0000_4000, 0x1fff_e000), Ok(0x2000_4000));
        assert_eq!(roll_version(0x2000_2000, 0, 0x1fff_e000), Ok(0x2000_0000));
        assert!(roll_version(0x2000_0000, 0x0000_0001, 0x1fff_e000).is_err());
    }

    #[test]
    fn main_net_block_125552() {
        let header: [u8; 80] = crate::hex::decode_array(concat!(
            "0100000081cd02ab7e569e8bcd9317e2fe99f2de44d49ab2b8851ba4a308000000000000e320b6c2",
            "fffc8d750423db8b1eb942ae710e951ed797f7affc8892b0f1fc122bc7f5d74df2b9441a42a14695",
        ))
        .unwrap();
        assert_eq!(
            HeaderHash::sha256d(&header).to_string(),
            "00000000000000001e8d6829a8a21adc5d38d0a473b144b6765798e61f98bd1d"
        );
    }

    #[test]
    fn a_broken_coinbase_leaves_nothing_open() {
        assert!(open_coinbase_bytes(&[], &[]).is_empty());
        assert!(open_coinbase_bytes(&[1; 60], &[0xff; 40]).is_empty());
        // The next output would begin four bytes before the end of all positions.
        let length = (u64::MAX - 26).to_le_bytes();
        let endless_script = [&[0, 0, 0, 0, 2][..], &[0; 8], &[0xff], &length, &[0; 18]].concat();
        assert!(!is_transaction_tail(&endless_script));
        let mut one_input = vec![0; 41];
        one_input[4] = 1;
        one_input.push(0xff);
        assert!(open_coinbase_bytes(&one_input, &[]).is_empty());
    }
}
