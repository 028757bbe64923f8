//! Names and numbers that identify people, rigs and jobs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Most characters of an account or worker name.
pub const NAME_CHARS_MAX: usize = 64;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or more than the bound.
    #[error("{what} has {chars} characters where 1 to {NAME_CHARS_MAX} are taken")]
    Length {
        /// Which name.
        what: &'static str,
        /// How long it is.
        chars: usize,
    },
    /// A character outside the set.
    #[error("{what} has the character {found:?}; taken are A-Z a-z 0-9 _ -")]
    Character {
        /// Which name.
        what: &'static str,
        /// The first one outside.
        found: char,
    },
}

fn check(what: &'static str, text: &str) -> Result<String, NameError> {
    if let Some(found) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
        return Err(NameError::Character { what, found });
    }
    if text.is_empty() || text.len() > NAME_CHARS_MAX {
        return Err(NameError::Length { what, chars: text.len() });
    }
    Ok(text.to_owned())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<$name, NameError> {
                check($what, text).map($name)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<$name, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Who is paid: 1 to 64 of `A-Z a-z 0-9 _ -`. Coin addresses in base58 or bech32 fit as they are.
    AccountName,
    "account name"
);
name!(
    /// One rig of an account, by the same rule.
    WorkerName,
    "worker name"
);
name!(
    /// Who submits and pays for jobs, by the same rule.
    SponsorName,
    "sponsor name"
);
name!(
    /// What amounts are counted in, e.g. `CREDIT`, by the same rule.
    AssetName,
    "asset name"
);

/// `ACCOUNT` or `ACCOUNT.WORKER`, as miners log in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName {
    /// Who is paid.
    pub account: AccountName,
    /// Which rig; `default` where the user name has none.
    pub worker: WorkerName,
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<UserName, NameError> {
        let (account, worker) = text.split_once('.').unwrap_or((text, "default"));
        Ok(UserName { account: account.parse()?, worker: worker.parse()? })
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.account, self.worker)
    }
}

/// A sponsor's job, numbered from 1 in the order of the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(pub u64);

/// A text that is not a job's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a job id; they look like j17")]
pub struct JobIdError(String);

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<JobId, JobIdError> {
        text.strip_prefix('j')
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0'))
            .and_then(|digits| digits.parse().ok())
            .map(JobId)
            .ok_or_else(|| JobIdError(text.chars().take(32).collect()))
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;
    fn try_from(text: String) -> Result<JobId, JobIdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.to_string()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0)
    }
}

/// Most characters of a unit's id.
pub const UNIT_CHARS_MAX: usize = 64;

/// A unit as the wire names it: 1 to 64 of `a-z 0-9 -`, chosen by the pool and opaque to a miner.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitId(String);

/// A text that is not a unit's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a unit id; they are 1 to {UNIT_CHARS_MAX} of a-z 0-9 -")]
pub struct UnitIdError(String);

impl UnitId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn takes(text: &str) -> bool {
        (1..=UNIT_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
}

impl FromStr for UnitId {
    type Err = UnitIdError;

    fn from_str(text: &str) -> Result<UnitId, UnitIdError> {
        if UnitId::takes(text) {
            Ok(UnitId(text.to_owned()))
        } else {
            Err(UnitIdError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for UnitId {
    type Error = UnitIdError;
    fn try_from(text: String) -> Result<UnitId, UnitIdError> {
        text.parse()
    }
}

impl From<UnitId> for String {
    fn from(id: UnitId) -> String {
        id.0
    }
}

impl fmt::Display for UnitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let user: UserName = "alice.rig-1".parse().unwrap();
        assert_eq!((user.account.as_str(), user.worker.as_str()), ("alice", "rig-1"));
        assert_eq!("bob".parse::<UserName>().unwrap().to_string(), "bob.default");
        for bad in ["", ".", "a.", ".b", "a.b.c", "a b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn job_ids() {
        assert_eq!("j17".parse(), Ok(JobId(17)));
        for bad in ["17", "j", "j017", "j0", "j-1", "j+1", "j99999999999999999999"] {
            assert!(bad.parse::<JobId>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn unit_ids() {
        for good in ["0", "j12-5-a0", &"z".repeat(UNIT_CHARS_MAX)] {
            assert_eq!(good.parse::<UnitId>().unwrap().as_str(), good);
        }
        for bad in ["", "A", "a b", "a/b", "é", "\"", &"z".repeat(UNIT_CHARS_MAX + 1)] {
            assert!(bad.parse::<UnitId>().is_err(), "{bad:?} was taken");
        }
    }
}
