//! The table of hash algorithms: one row each.

use std::fmt;
use std::str::FromStr;

use super::{HEADER_BYTES, scrypt, sha256d};

/// What a header's proof of work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256 of SHA-256 ([`sha256d`]).
    Sha256d,
    /// scrypt with N = 1024, r = 1, p = 1 ([`mod@scrypt`]).
    Scrypt,
}

impl Algorithm {
    /// Every algorithm, in the order in which they are listed to people.
    pub const ALL: &'static [Self] = &[Self::Sha256d, Self::Scrypt];

    /// The name used on the wire, in options and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256d => "sha256d",
            Self::Scrypt => "scrypt",
        }
    }

    /// The hash of a header, big-endian as people read it, computed by the reference.
    #[must_use]
    pub fn hash(self, header: &[u8; HEADER_BYTES]) -> [u8; 32] {
        let mut hash = match self {
            Self::Sha256d => sha256d::reference::sha256d(header),
            Self::Scrypt => scrypt::reference::scrypt(header),
        };
        hash.reverse();
        hash
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no algorithm has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown algorithm {0:?}: expected sha256d or scrypt")]
pub struct UnknownAlgorithm(pub String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let algorithm = Self::ALL.iter().find(|algorithm| algorithm.name() == name);
        algorithm.copied().ok_or_else(|| UnknownAlgorithm(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back_and_is_in_the_message() {
        let message = "sha256".parse::<Algorithm>().unwrap_err().to_string();
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(*algorithm));
            assert!(message.contains(algorithm.name()), "{message}");
        }
    }
}
