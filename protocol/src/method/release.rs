//! `work.release [user, unit, reason, text]`: a miner gives a unit back undone.

use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::ids::UnitId;

/// Most characters of a release's text.
pub const RELEASE_TEXT_CHARS_MAX: usize = 200;

/// Why a unit comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseReason {
    /// The miner stops.
    Stopping,
    /// No device of the miner does this kind.
    Unsupported,
    /// The task does not fit in the device's memory.
    Memory,
    /// The task has no result: its spec or its inputs are at fault.
    Impossible,
    /// A device or a transfer failed.
    Failed,
}

impl ReleaseReason {
    /// All of them.
    pub const ALL: [ReleaseReason; 5] = [
        ReleaseReason::Stopping,
        ReleaseReason::Unsupported,
        ReleaseReason::Memory,
        ReleaseReason::Impossible,
        ReleaseReason::Failed,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ReleaseReason::Stopping => "stopping",
            ReleaseReason::Unsupported => "unsupported",
            ReleaseReason::Memory => "memory",
            ReleaseReason::Impossible => "impossible",
            ReleaseReason::Failed => "failed",
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no reason; taken are stopping, unsupported, memory, impossible, failed")]
pub struct ReleaseReasonError(String);

impl FromStr for ReleaseReason {
    type Err = ReleaseReasonError;

    fn from_str(text: &str) -> Result<ReleaseReason, ReleaseReasonError> {
        let found = ReleaseReason::ALL.into_iter().find(|reason| reason.name() == text);
        found.ok_or_else(|| ReleaseReasonError(text.chars().take(32).collect()))
    }
}

/// A unit given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The user name as sent; it must be one that this connection authorized.
    pub user: String,
    /// Which unit.
    pub unit: UnitId,
    /// Why.
    pub reason: ReleaseReason,
    /// The same for people; may be empty. At most [`RELEASE_TEXT_CHARS_MAX`] characters are sent and kept.
    pub text: String,
}

impl Release {
    /// The method's name.
    pub const METHOD: &str = "work.release";

    pub(super) fn from_params(params: &[Value]) -> Result<Release, ParamError> {
        let params = Params::at_most(params, 4)?;
        let user = params.text(0, "user name")?.to_owned();
        let unit = params.parsed(1, "unit")?;
        let reason = params.parsed(2, "reason")?;
        let text = plain(params.optional_text(3, "text")?.unwrap_or_default());
        Ok(Release { user, unit, reason, text })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.user, self.unit, self.reason.name(), plain(&self.text)])
    }
}

/// A text cut to its bound and without control characters, fit for a log.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(RELEASE_TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_of_each_reason() {
        for reason in ReleaseReason::ALL {
            let release = Release { user: "a".into(), unit: "u".parse().unwrap(), reason, text: "why".into() };
            assert_eq!(Release::from_params(release.to_params().as_array().unwrap()), Ok(release));
        }
        for bad in [json!(["a", "u"]), json!(["a", "u", "bored"]), json!(["a", "u", "failed", 5])] {
            assert!(Release::from_params(bad.as_array().unwrap()).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_text_cannot_break_a_log() {
        let text = format!("one\u{1b}[2J\n{}", "x".repeat(500));
        let read = Release::from_params(json!(["a", "u", "failed", text]).as_array().unwrap()).unwrap().text;
        assert_eq!((read.chars().count(), &read[..7]), (RELEASE_TEXT_CHARS_MAX, "one[2Jx"));
    }
}
