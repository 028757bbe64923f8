//! The JSON of the HTTP API: what is sent to it and what it answers.
//!
//! Amounts are integers in the asset's smallest unit and work is a count of hash-equivalents; both
//! are decimal strings in answers, and a string or an integer in requests. Times are RFC 3339, UTC.

pub mod account;
pub mod blob;
pub mod fields;
pub mod job;
pub mod pool;
pub mod sponsor;

pub use account::{AccountView, BalanceView, EarningState, EarningView, LeaderView, PayoutView, WorkerView};
pub use blob::BlobView;
pub use fields::{FieldError, Fields};
pub use job::{AuditsView, HashRules, HashSpec, JobEvent, JobRequest, JobResult, JobState, JobView, Quote};
pub use pool::{LedgerView, ListenerView, PoolView, WorkWindows};
pub use sponsor::{DepositRequest, DepositView, NewSponsor, SponsorBalance, SponsorCreated, SponsorView};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::difficulty::Work;

/// Largest amount of an asset: far above any, and sums of many stay within 128 bits.
pub const AMOUNT_MAX: u128 = 1 << 96;
/// Rows of a page where `limit` is not given.
pub const PAGE_ROWS: usize = 50;
/// Most rows of a page.
pub const PAGE_ROWS_MAX: usize = 500;

/// An amount in the smallest unit of its asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(pub u128);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads a non-negative integer written as a number or as decimal digits.
fn integer(value: &serde_json::Value) -> Option<u128> {
    match value {
        serde_json::Value::Number(number) => number.as_u64().map(u128::from),
        serde_json::Value::String(text) => {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| text.parse().ok()).flatten()
        }
        _ => None,
    }
}

macro_rules! decimal {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                integer(&value)
                    .map($name)
                    .ok_or_else(|| serde::de::Error::custom("not a non-negative integer or decimal string"))
            }
        }
    };
}

decimal!(Amount);
decimal!(Work);

/// Rows of a list that can grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Give this as `cursor` for the next page; null at the end.
    pub next: Option<String>,
}

/// What a list request may carry.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// Rows wanted.
    pub limit: Option<usize>,
    /// Where to go on, from [`Page::next`].
    pub cursor: Option<String>,
}

impl PageQuery {
    /// The rows to answer with, within bounds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.limit.unwrap_or(PAGE_ROWS).clamp(1, PAGE_ROWS_MAX)
    }
}

/// An error as `application/problem+json` (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// A short name of the kind of error, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong here and what would be right.
    pub detail: String,
    /// The fields at fault, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_strings_out_and_either_in() {
        let big = Amount(1 << 90);
        let text = serde_json::to_string(&big).unwrap();
        assert_eq!(text, "\"1237940039285380274899124224\"");
        assert_eq!(serde_json::from_str::<Amount>(&text).unwrap(), big);
        assert_eq!(serde_json::from_str::<Work>("17").unwrap(), Work(17));
        for bad in ["-1", "1.5", "\"\"", "\"1e3\"", "\"-1\"", "\"0x10\"", "null", "1e40"] {
            assert!(serde_json::from_str::<Amount>(bad).is_err(), "{bad} was taken");
        }
    }
}
