//! Targets, difficulties, hashes and work, in exact integers.
//!
//! A [`Difficulty`] is kept as the number of hashes that one share of it takes on average, so
//! fractional difficulties lose nothing, and its target is the same for every algorithm:
//! `0xffff * 2^240 / hashes`. Only how it is written depends on the [`Algorithm`]: sha256d's
//! difficulty 1 is 2^32 hashes (the target `0xffff * 2^208`, as in every stratum pool), scrypt's is
//! 2^16. What hashes are worth is for the [rate card](crate::ratecard) to say.

use std::fmt;

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

use crate::algorithm::Algorithm;
use crate::header::HeaderHash;
use crate::hex::{self, HexError};

/// `0xffff * 2^240`: the target of a difficulty, times its expected hashes.
const TARGET_TIMES_HASHES: U256 = U256::from_limbs([0, 0, 0, 0xffff << 48]);

/// A count of hashes of one algorithm. It is no work: see [`crate::ratecard::Rate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hashes(pub u128);

impl fmt::Display for Hashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Proven or expected work: a count of hash-equivalents, each worth one sha256d hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(pub u128);

impl Work {
    /// The sum, or the largest value: a counter of work saturates rather than wraps.
    #[must_use]
    pub fn saturating_add(self, other: Work) -> Work {
        Work(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a number is not a difficulty.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DifficultyError {
    /// Zero, negative, infinite, or not a number.
    #[error("difficulty {0} is not a positive number")]
    NotPositive(f64),
    /// Not a decimal number at all.
    #[error("difficulty {0:?} is not a decimal number")]
    NotNumber(String),
}

/// Share difficulty as its expected hashes; at least one, at most [`Difficulty::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u128);

impl Difficulty {
    /// Every hash is a share.
    pub const MIN: Difficulty = Difficulty(1);
    /// 2^96 hashes, far above any network's.
    pub const MAX: Difficulty = Difficulty(1 << 96);
    /// Bits of precision that a JSON number (an IEEE double) carries.
    const WIRE_BITS: u32 = f64::MANTISSA_DIGITS;

    /// The difficulty of so many expected hashes, brought into `MIN..=MAX`.
    #[must_use]
    pub fn from_hashes(hashes: Hashes) -> Difficulty {
        Difficulty(hashes.0.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// Difficulty 1 of `algorithm`.
    #[must_use]
    pub const fn one(algorithm: Algorithm) -> Difficulty {
        Difficulty(algorithm.hashes_per_difficulty())
    }

    /// The difficulty nearest below `value` as `algorithm` writes it, brought into `MIN..=MAX`. Exact for every double
    /// that is a whole number of hashes.
    ///
    /// # Errors
    /// `value` is not a finite number above zero.
    pub fn from_f64(value: f64, algorithm: Algorithm) -> Result<Difficulty, DifficultyError> {
        if !value.is_finite() || value <= 0.0 {
            return Err(DifficultyError::NotPositive(value));
        }
        // Multiplying by a power of two is exact, and `as` floors and saturates.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floor and saturation are meant")]
        let hashes = (value * scale(algorithm)) as u128;
        Ok(Difficulty::from_hashes(Hashes(hashes)))
    }

    /// The difficulty nearest above `value` as `algorithm` writes it, brought into `MIN..=MAX`: for a miner, whose
    /// shares must not fall short of a pool's difficulty that lies between two.
    ///
    /// # Errors
    /// `value` is not a finite number above zero.
    pub fn from_f64_up(value: f64, algorithm: Algorithm) -> Result<Difficulty, DifficultyError> {
        let below = Difficulty::from_f64(value, algorithm)?;
        let falls_short = below.to_f64(algorithm) < value;
        Ok(Difficulty::from_hashes(Hashes(below.0 + u128::from(falls_short))))
    }

    /// Reads a decimal text such as `0.001` or `512`, as in a password's `d=`.
    ///
    /// # Errors
    /// Not a decimal number, or not above zero.
    pub fn parse(text: &str, algorithm: Algorithm) -> Result<Difficulty, DifficultyError> {
        let value: f64 = text.parse().map_err(|_| DifficultyError::NotNumber(text.chars().take(32).collect()))?;
        Difficulty::from_f64(value, algorithm)
    }

    /// The same difficulty cut to what a JSON number carries exactly, so that both ends of a
    /// connection mean the same integer.
    #[must_use]
    pub fn for_wire(self) -> Difficulty {
        let bits = 128 - self.0.leading_zeros();
        let drop = bits.saturating_sub(Self::WIRE_BITS);
        Difficulty(self.0 >> drop << drop)
    }

    /// As a double, as `algorithm` writes it; exact after [`Difficulty::for_wire`]. For the wire and for people, never
    /// for money.
    #[must_use]
    pub fn to_f64(self, algorithm: Algorithm) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact after for_wire, display otherwise")]
        let hashes = self.0 as f64;
        hashes / scale(algorithm)
    }

    /// As a JSON number, as `algorithm` writes it: an integer where it is whole, since some clients read no other.
    #[must_use]
    pub fn to_json(self, algorithm: Algorithm) -> serde_json::Value {
        let wire = self.for_wire();
        let one = algorithm.hashes_per_difficulty();
        match u64::try_from(wire.0 / one) {
            Ok(whole) if wire.0.is_multiple_of(one) => whole.into(),
            _ => wire.to_f64(algorithm).into(),
        }
    }

    /// Expected hashes behind one share of this difficulty.
    #[must_use]
    pub fn hashes(self) -> Hashes {
        Hashes(self.0)
    }

    /// The difficulty that `hash` reaches, rounded down.
    #[must_use]
    pub fn of_hash(hash: &HeaderHash) -> Difficulty {
        let value = U256::from_be_bytes(hash.to_be_bytes());
        let hashes = TARGET_TIMES_HASHES.checked_div(value).unwrap_or(U256::MAX);
        Difficulty::from_hashes(Hashes(u128::try_from(hashes).unwrap_or(u128::MAX)))
    }
}

/// Hashes in difficulty 1, as a factor.
#[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
fn scale(algorithm: Algorithm) -> f64 {
    algorithm.hashes_per_difficulty() as f64
}

/// A 256-bit bound that a header hash, read as a number, must not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

impl Target {
    /// The easiest target: every hash meets it.
    pub const MAX: Target = Target(U256::MAX);

    /// `0xffff * 2^240 / hashes`, rounded down.
    #[must_use]
    pub fn from_difficulty(difficulty: Difficulty) -> Target {
        Target(TARGET_TIMES_HASHES / U256::from(difficulty.0))
    }

    /// From 32 bytes, most significant first.
    #[must_use]
    pub fn from_be_bytes(bytes: [u8; 32]) -> Target {
        Target(U256::from_be_bytes(bytes))
    }

    /// 32 bytes, most significant first.
    #[must_use]
    pub fn to_be_bytes(self) -> [u8; 32] {
        self.0.to_be_bytes()
    }

    /// From 64 hex digits, most significant first.
    ///
    /// # Errors
    /// The text is not 64 hex digits.
    pub fn from_be_hex(text: &str) -> Result<Target, HexError> {
        hex::decode_array(text).map(Target::from_be_bytes)
    }

    /// From a header's `nbits` (compact form). `None` where it is negative, zero or overflows,
    /// which no valid header has.
    #[must_use]
    pub fn from_compact(nbits: u32) -> Option<Target> {
        let exponent = nbits >> 24;
        let mantissa = nbits & 0x007f_ffff;
        if nbits & 0x0080_0000 != 0 || mantissa == 0 {
            return None;
        }
        let value = if exponent <= 3 {
            U256::from(mantissa >> (8 * (3 - exponent)))
        } else {
            let shift = 8 * (exponent as usize - 3);
            U256::from(mantissa).checked_shl(shift)?
        };
        (!value.is_zero()).then_some(Target(value))
    }

    /// Whether `hash`, read as a number, does not exceed this target.
    #[must_use]
    pub fn is_met_by(self, hash: &HeaderHash) -> bool {
        U256::from_be_bytes(hash.to_be_bytes()) <= self.0
    }

    /// Expected hashes until one meets this target: `2^256 / (target + 1)`, rounded down.
    /// `None` where that passes 128 bits.
    #[must_use]
    pub fn expected_hashes(self) -> Option<Hashes> {
        let Some(divisor) = self.0.checked_add(U256::from(1)) else {
            return Some(Hashes(1));
        };
        // 2^256 / d = (2^256 - d) / d + 1, and 2^256 - d is the wrapping negation of d.
        let quotient = divisor.wrapping_neg() / divisor;
        u128::try_from(quotient).ok()?.checked_add(1).map(Hashes)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.to_be_bytes()))
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Target, D::Error> {
        let text = String::deserialize(deserializer)?;
        Target::from_be_hex(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Algorithm::{Scrypt, Sha256d};
    use super::*;
    use proptest::prelude::*;

    const ONE: Difficulty = Difficulty::one(Sha256d);

    #[test]
    fn difficulty_one_is_the_classic_target() {
        let text = Target::from_difficulty(ONE).to_string();
        assert_eq!(text, format!("00000000ffff{}", "0".repeat(52)));
        assert_eq!(Target::from_compact(0x1d00_ffff), Some(Target::from_difficulty(ONE)));
    }

    #[test]
    fn scrypt_writes_the_same_target_with_a_number_65536_times_as_large() {
        let one = Difficulty::one(Scrypt);
        assert_eq!(Target::from_difficulty(one).to_string(), format!("0000ffff{}", "0".repeat(56)));
        assert_eq!(Target::from_compact(0x1f00_ffff), Some(Target::from_difficulty(one)));
        assert_eq!((one.to_f64(Scrypt), one.to_f64(Sha256d)), (1.0, 2f64.powi(-16)));
        for (text, hashes) in [("1", 1 << 16), ("0.5", 1 << 15), ("0.0000152587890625", 1), ("65536", 1 << 32)] {
            let difficulty = Difficulty::parse(text, Scrypt).unwrap();
            assert_eq!(difficulty.hashes(), Hashes(hashes), "{text}");
            assert_eq!(difficulty.to_f64(Scrypt).to_string(), text);
        }
        assert_eq!(Difficulty::from_f64_up(1.5 * 2f64.powi(-16), Scrypt).unwrap().hashes(), Hashes(2));
        assert_eq!(Difficulty::from_f64(3.0, Scrypt).unwrap().to_json(Scrypt).to_string(), "3");
    }

    #[test]
    fn the_smallest_difficulty_is_one_hash() {
        assert_eq!(Difficulty::from_f64(2f64.powi(-32), Sha256d).unwrap(), Difficulty::MIN);
        assert_eq!(Difficulty::MIN.hashes(), Hashes(1));
        assert_eq!(Target::from_difficulty(Difficulty::MIN).to_string(), format!("ffff{}", "0".repeat(60)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Difficulty::from_f64(bad, Sha256d).is_err());
        }
        assert!(Difficulty::parse("many", Sha256d).is_err());
        assert_eq!(Difficulty::parse("1e300", Sha256d).unwrap(), Difficulty::MAX);
    }

    #[test]
    fn between_two_steps_a_miner_takes_the_harder_one() {
        let step = 2f64.powi(-32);
        for (value, steps) in [(429.0 * step, 429), (429.5 * step, 430), (0.5 * step, 1), (512.0, 512 << 32)] {
            assert_eq!(Difficulty::from_f64_up(value, Sha256d).unwrap().hashes().0, steps);
        }
        assert_eq!(Difficulty::from_f64_up(1e300, Sha256d), Ok(Difficulty::MAX));
        assert!(Difficulty::from_f64_up(0.0, Sha256d).is_err());
    }

    #[test]
    fn whole_difficulties_go_out_as_integers() {
        assert_eq!(Difficulty::parse("512", Sha256d).unwrap().to_json(Sha256d).to_string(), "512");
        assert_eq!(Difficulty::parse("0.5", Sha256d).unwrap().to_json(Sha256d).to_string(), "0.5");
    }

    #[test]
    fn expected_hashes_of_known_targets() {
        assert_eq!(Target::MAX.expected_hashes(), Some(Hashes(1)));
        assert_eq!(Target(U256::from(1) << 255).expected_hashes(), Some(Hashes(1)));
        assert_eq!(Target((U256::from(1) << 255) - U256::from(1)).expected_hashes(), Some(Hashes(2)));
        assert_eq!(Target(U256::ZERO).expected_hashes(), None);
        // Difficulty 1 is called 2^32; exactly, it is 2^48 / 0xffff.
        assert_eq!(Target::from_difficulty(ONE).expected_hashes(), Some(Hashes((1 << 48) / 0xffff)));
    }

    #[test]
    fn compact_edges() {
        assert_eq!(Target::from_compact(0), None);
        assert_eq!(Target::from_compact(0x1d80_ffff), None);
        assert_eq!(Target::from_compact(0xff7f_ffff), None);
        assert_eq!(Target::from_compact(0x0300_0001), Some(Target(U256::from(1))));
    }

    proptest! {
        #[test]
        fn wire_form_is_lossless(steps in 1u128..=Difficulty::MAX.0) {
            let wire = Difficulty::from_hashes(Hashes(steps)).for_wire();
            prop_assert!(wire.0 <= steps);
            for algorithm in Algorithm::ALL {
                prop_assert_eq!(Difficulty::from_f64(wire.to_f64(algorithm), algorithm).unwrap(), wire);
                let json = wire.to_json(algorithm).to_string();
                prop_assert_eq!(Difficulty::parse(&json, algorithm).unwrap(), wire);
            }
        }

        #[test]
        fn a_hash_meets_the_target_of_its_own_difficulty(bytes in any::<[u8; 32]>()) {
            let hash = HeaderHash::from_be_bytes(bytes);
            let difficulty = Difficulty::of_hash(&hash);
            prop_assume!(difficulty > Difficulty::MIN);
            prop_assert!(Target::from_difficulty(difficulty).is_met_by(&hash));
            let harder = Difficulty::from_hashes(Hashes(difficulty.0 + 1));
            prop_assume!(harder > difficulty);
            prop_assert!(!Target::from_difficulty(harder).is_met_by(&hash));
        }
    }
}
