//! The table of kinds: one row each.

use std::fmt;
use std::str::FromStr;

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A search for a nonce whose header hash meets a target ([`crate::hash`]).
    Hash,
    /// Pictures of a scene, path traced ([`crate::render`]).
    Render,
}

/// How a kind's jobs are cut into units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// An endless space of nonces; a share is a lucky find that proves itself.
    Search,
    /// Elements from 0 to N, each done exactly once ([`crate::range`]); a share is a finished unit of them.
    Range,
}

impl Kind {
    /// Every kind, in the order in which they are listed to people.
    pub const ALL: &'static [Self] = &[Self::Hash, Self::Render];

    /// The name used on the wire, in options and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Render => "render",
        }
    }

    /// How its jobs are cut.
    #[must_use]
    pub const fn shape(self) -> Shape {
        match self {
            Self::Hash => Shape::Search,
            Self::Render => Shape::Range,
        }
    }

    /// The operations that its elements' work is counted in, in the order of [`crate::range::Pilot::counts`]; none for a
    /// search, whose work is counted in hashes.
    #[must_use]
    pub const fn operations(self) -> &'static [&'static str] {
        match self {
            Self::Hash => &[],
            Self::Render => &crate::render::OPERATIONS,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no kind has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind {0:?}: expected one of {names}", names = names())]
pub struct UnknownKind(pub String);

fn names() -> String {
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    names.join(", ")
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let kind = Self::ALL.iter().find(|kind| kind.name() == name);
        kind.copied().ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_back() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
            assert_eq!(kind.operations().is_empty(), kind.shape() == Shape::Search, "{kind}");
        }
        let error = "Hash".parse::<Kind>().unwrap_err();
        assert_eq!(error.to_string(), "unknown kind \"Hash\": expected one of hash, render");
    }
}
