//! The hash algorithms of the pool's searches, and the scale of each one's difficulties.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a header's proof of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// SHA-256 of SHA-256.
    Sha256d,
    /// scrypt with N = 1024, r = 1, p = 1.
    Scrypt,
}

impl Algorithm {
    /// Every algorithm, in the order in which they are listed to people.
    pub const ALL: [Algorithm; 2] = [Algorithm::Sha256d, Algorithm::Scrypt];

    /// The name used on the wire, in options and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256d => "sha256d",
            Algorithm::Scrypt => "scrypt",
        }
    }

    /// Expected hashes behind difficulty 1, as miners and pools of this algorithm write it. A scrypt difficulty is
    /// 65,536 times easier than a sha256d difficulty of the same number: its 1 is the target `0xffff * 2^224`.
    #[must_use]
    pub const fn hashes_per_difficulty(self) -> u128 {
        match self {
            Algorithm::Sha256d => 1 << 32,
            Algorithm::Scrypt => 1 << 16,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no algorithm has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hash algorithm; there are sha256d and scrypt")]
pub struct UnknownAlgorithm(String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Algorithm, UnknownAlgorithm> {
        let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or_else(|| UnknownAlgorithm(name.chars().take(32).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_everywhere() {
        let message = "sha256".parse::<Algorithm>().unwrap_err().to_string();
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(serde_json::to_value(algorithm).unwrap(), algorithm.name());
            assert_eq!(algorithm.to_string(), algorithm.name());
            assert!(message.contains(algorithm.name()), "{message}");
        }
    }
}
