//! Targets, difficulties and work, in exact integers.
//!
//! Difficulty 1 is the target `0xffff * 2^208`, as in every stratum pool, and stands for 2^32
//! hash-equivalents of work. A [`Difficulty`] is kept in steps of 2^-32, so its integer *is* the
//! work that one share of it proves, and fractional difficulties lose nothing.

use std::fmt;

use ruint::aliases::U256;
use serde::{Deserialize, Serialize};

use crate::header::HeaderHash;
use crate::hex::{self, HexError};

/// Hash-equivalents in one unit of difficulty.
pub const WORK_PER_DIFFICULTY: u128 = 1 << 32;

/// `0xffff * 2^208`, the target of difficulty 1, times the 2^32 steps of a difficulty.
const DIFFICULTY_ONE_STEPS: U256 = U256::from_limbs([0, 0, 0, 0xffff << 48]);

/// Proven or expected work: a count of hash-equivalents (2^32 = difficulty 1).
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

/// Share difficulty in steps of 2^-32; at least one step, at most [`Difficulty::MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Difficulty(u128);

impl Difficulty {
    /// 2^-32: every hash is a share.
    pub const MIN: Difficulty = Difficulty(1);
    /// 2^64, far above any network's.
    pub const MAX: Difficulty = Difficulty(1 << 96);
    /// Difficulty 1, 2^32 hash-equivalents.
    pub const ONE: Difficulty = Difficulty(WORK_PER_DIFFICULTY);
    /// Bits of precision that a JSON number (an IEEE double) carries.
    const WIRE_BITS: u32 = f64::MANTISSA_DIGITS;

    /// A difficulty of `steps` times 2^-32, brought into `MIN..=MAX`.
    #[must_use]
    pub fn from_steps(steps: u128) -> Difficulty {
        Difficulty(steps.clamp(Self::MIN.0, Self::MAX.0))
    }

    /// The difficulty nearest below `value`, brought into `MIN..=MAX`. Exact for every double that
    /// is a multiple of 2^-32.
    ///
    /// # Errors
    /// `value` is not a finite number above zero.
    pub fn from_f64(value: f64) -> Result<Difficulty, DifficultyError> {
        if !value.is_finite() || value <= 0.0 {
            return Err(DifficultyError::NotPositive(value));
        }
        // Multiplying by a power of two is exact, and `as` floors and saturates.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "floor and saturation are meant")]
        let steps = (value * 4_294_967_296.0) as u128;
        Ok(Difficulty::from_steps(steps))
    }

    /// The difficulty nearest above `value`, brought into `MIN..=MAX`: for a miner, whose shares must not fall short of
    /// a pool's difficulty that lies between two steps.
    ///
    /// # Errors
    /// `value` is not a finite number above zero.
    pub fn from_f64_up(value: f64) -> Result<Difficulty, DifficultyError> {
        let below = Difficulty::from_f64(value)?;
        let falls_short = below.to_f64() < value;
        Ok(Difficulty::from_steps(below.0 + u128::from(falls_short)))
    }

    /// Reads a decimal text such as `0.001` or `512`, as in a password's `d=`.
    ///
    /// # Errors
    /// Not a decimal number, or not above zero.
    pub fn parse(text: &str) -> Result<Difficulty, DifficultyError> {
        let value: f64 = text.parse().map_err(|_| DifficultyError::NotNumber(text.chars().take(32).collect()))?;
        Difficulty::from_f64(value)
    }

    /// The same difficulty cut to what a JSON number carries exactly, so that both ends of a
    /// connection mean the same integer.
    #[must_use]
    pub fn for_wire(self) -> Difficulty {
        let bits = 128 - self.0.leading_zeros();
        let drop = bits.saturating_sub(Self::WIRE_BITS);
        Difficulty(self.0 >> drop << drop)
    }

    /// As a double, exact after [`Difficulty::for_wire`]. For the wire and for people, never for money.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "exact after for_wire, display otherwise")]
        let steps = self.0 as f64;
        steps / 4_294_967_296.0
    }

    /// As a JSON number: an integer where the difficulty is whole, since some clients read no other.
    #[must_use]
    pub fn to_json(self) -> serde_json::Value {
        let wire = self.for_wire();
        match u64::try_from(wire.0 >> 32) {
            Ok(whole) if wire.0.is_multiple_of(WORK_PER_DIFFICULTY) => whole.into(),
            _ => wire.to_f64().into(),
        }
    }

    /// Expected hashes behind one share of this difficulty.
    #[must_use]
    pub fn work(self) -> Work {
        Work(self.0)
    }

    /// Steps of 2^-32.
    #[must_use]
    pub fn steps(self) -> u128 {
        self.0
    }

    /// The difficulty that `hash` reaches, rounded down.
    #[must_use]
    pub fn of_hash(hash: &HeaderHash) -> Difficulty {
        let value = U256::from_be_bytes(hash.to_be_bytes());
        let steps = DIFFICULTY_ONE_STEPS.checked_div(value).unwrap_or(U256::MAX);
        Difficulty::from_steps(u128::try_from(steps).unwrap_or(u128::MAX))
    }
}

impl fmt::Display for Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_f64().fmt(f)
    }
}

/// A 256-bit bound that a header hash, read as a number, must not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target(U256);

impl Target {
    /// The easiest target: every hash meets it.
    pub const MAX: Target = Target(U256::MAX);

    /// `0xffff * 2^208 / difficulty`, rounded down.
    #[must_use]
    pub fn from_difficulty(difficulty: Difficulty) -> Target {
        Target(DIFFICULTY_ONE_STEPS / U256::from(difficulty.0))
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
    pub fn expected_work(self) -> Option<Work> {
        let Some(divisor) = self.0.checked_add(U256::from(1)) else {
            return Some(Work(1));
        };
        // 2^256 / d = (2^256 - d) / d + 1, and 2^256 - d is the wrapping negation of d.
        let quotient = divisor.wrapping_neg() / divisor;
        u128::try_from(quotient).ok()?.checked_add(1).map(Work)
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
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn difficulty_one_is_the_classic_target() {
        let text = Target::from_difficulty(Difficulty::ONE).to_string();
        assert_eq!(text, format!("00000000ffff{}", "0".repeat(52)));
        assert_eq!(Target::from_compact(0x1d00_ffff), Some(Target::from_difficulty(Difficulty::ONE)));
    }

    #[test]
    fn the_smallest_difficulty_is_one_hash() {
        assert_eq!(Difficulty::from_f64(2f64.powi(-32)).unwrap(), Difficulty::MIN);
        assert_eq!(Difficulty::MIN.work(), Work(1));
        assert_eq!(Target::from_difficulty(Difficulty::MIN).to_string(), format!("ffff{}", "0".repeat(60)));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Difficulty::from_f64(bad).is_err());
        }
        assert!(Difficulty::parse("many").is_err());
        assert_eq!(Difficulty::parse("1e300").unwrap(), Difficulty::MAX);
    }

    #[test]
    fn between_two_steps_a_miner_takes_the_harder_one() {
        let step = 2f64.powi(-32);
        for (value, steps) in [(429.0 * step, 429), (429.5 * step, 430), (0.5 * step, 1), (512.0, 512 << 32)] {
            assert_eq!(Difficulty::from_f64_up(value).unwrap().steps(), steps);
        }
        assert_eq!(Difficulty::from_f64_up(1e300), Ok(Difficulty::MAX));
        assert!(Difficulty::from_f64_up(0.0).is_err());
    }

    #[test]
    fn whole_difficulties_go_out_as_integers() {
        assert_eq!(Difficulty::parse("512").unwrap().to_json().to_string(), "512");
        assert_eq!(Difficulty::parse("0.5").unwrap().to_json().to_string(), "0.5");
    }

    #[test]
    fn expected_work_of_known_targets() {
        assert_eq!(Target::MAX.expected_work(), Some(Work(1)));
        assert_eq!(Target(U256::from(1) << 255).expected_work(), Some(Work(1)));
        assert_eq!(Target((U256::from(1) << 255) - U256::from(1)).expected_work(), Some(Work(2)));
        assert_eq!(Target(U256::ZERO).expected_work(), None);
        // Difficulty 1 is called 2^32; exactly, it is 2^48 / 0xffff.
        assert_eq!(Target::from_difficulty(Difficulty::ONE).expected_work(), Some(Work((1 << 48) / 0xffff)));
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
            let wire = Difficulty::from_steps(steps).for_wire();
            prop_assert!(wire.0 <= steps);
            prop_assert_eq!(Difficulty::from_f64(wire.to_f64()).unwrap(), wire);
            let json = wire.to_json().to_string();
            prop_assert_eq!(Difficulty::parse(&json).unwrap(), wire);
        }

        #[test]
        fn a_hash_meets_the_target_of_its_own_difficulty(bytes in any::<[u8; 32]>()) {
            let hash = HeaderHash::from_be_bytes(bytes);
            let difficulty = Difficulty::of_hash(&hash);
            prop_assume!(difficulty > Difficulty::MIN);
            prop_assert!(Target::from_difficulty(difficulty).is_met_by(&hash));
            let harder = Difficulty::from_steps(difficulty.steps() + 1);
            prop_assume!(harder > difficulty);
            prop_assert!(!Target::from_difficulty(harder).is_met_by(&hash));
        }
    }
}
