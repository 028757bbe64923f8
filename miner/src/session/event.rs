//! What a line of the pool means to the rest of the miner.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lode_protocol::Difficulty;
use lode_protocol::ids::UnitId;
use lode_protocol::method::configure::HttpAt;
use lode_protocol::method::{Assign, Reconnect, Revoke};
use serde_json::Value;

use crate::work::Job;

/// Most characters kept of a text of the pool's.
const TEXT_CHARS_MAX: usize = 160;

/// One thing to do or to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A line to send.
    Send(String),
    /// Subscribed and authorized: shares may be submitted.
    Ready,
    /// The pool will not have us.
    Refused(PoolError),
    /// Work for the devices.
    Job(Arc<Job>),
    /// A share's answer.
    Answer(Answer),
    /// The pool has range work for us, and takes blobs by this.
    Granted(Grant),
    /// The pool has no range work for us, for this reason; the rest of the session is not touched by it.
    NoRanges(PoolError),
    /// A unit of range work.
    Assign(Box<Assign>),
    /// A unit is taken back.
    Revoke(Revoke),
    /// A unit's answer.
    UnitAnswer(UnitAnswer),
    /// Something for the rig's owner to read.
    Message(String),
    /// The pool asks to connect again.
    Reconnect(Reconnect),
    /// A line that made no sense; nothing else follows from it.
    Malformed(String),
    /// Too many such lines: the connection is of no use.
    Broken,
}

/// What range work's blobs are moved by.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// Where they are.
    pub http: HttpAt,
    /// What opens the door.
    pub token: String,
}

/// Without the token, which is nobody's business.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("http", &self.http).finish_non_exhaustive()
    }
}

/// What became of a submitted unit.
#[derive(Debug, Clone, PartialEq)]
pub struct UnitAnswer {
    /// Which unit.
    pub unit: UnitId,
    /// From submit to answer.
    pub latency: Duration,
    /// How the pool decided.
    pub verdict: Verdict,
}

/// What became of a submitted share.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Which device found it.
    pub device: usize,
    /// Its difficulty.
    pub difficulty: Difficulty,
    /// From submit to answer.
    pub latency: Duration,
    /// How the pool decided.
    pub verdict: Verdict,
}

/// How a pool decided on a share.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Counted.
    Accepted,
    /// Not counted.
    Rejected(PoolError),
    /// No answer came in time.
    Unanswered,
}

/// A pool's error: `[code, text, ...]`, `{"code", "message"}` or anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolError {
    /// Its number, where it has one.
    pub code: Option<i64>,
    /// Its words, safe to print.
    pub text: String,
}

impl PoolError {
    /// Reads an error member, in any of the forms that pools use.
    #[must_use]
    pub fn from_json(error: &Value) -> PoolError {
        let (code, text) = match error {
            Value::Array(parts) => (parts.first(), parts.get(1)),
            Value::Object(parts) => (parts.get("code"), parts.get("message")),
            other => (None, Some(other)),
        };
        let text = match text {
            Some(Value::String(text)) => printable(text),
            Some(Value::Null) | None => "no reason given".to_owned(),
            Some(other) => printable(&other.to_string()),
        };
        PoolError { code: code.and_then(Value::as_i64), text }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(f, "{} (code {code})", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// A text of the pool's, cut short and without what moves a terminal's cursor.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_all_forms() {
        for (error, shown) in [
            (json!([21, "Job not found", null]), "Job not found (code 21)"),
            (json!({"code": -1, "message": "no\u{1b}[2J"}), "no[2J (code -1)"),
            (json!("plain"), "plain"),
            (json!([20]), "no reason given (code 20)"),
            (json!(false), "false"),
        ] {
            assert_eq!(PoolError::from_json(&error).to_string(), shown);
        }
        assert_eq!(PoolError::from_json(&json!("x".repeat(9999))).text.len(), TEXT_CHARS_MAX);
    }
}
