//! Why a request of a miner is refused: stratum's codes 20 to 25 and their texts.

use serde_json::{Value, json};

use crate::algorithm::Algorithm;
use crate::difficulty::Difficulty;

/// A refused request, as the wire has it: `[code, text, null]`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// Anything without a code of its own: a malformed field, a limit, a fault of the pool.
    #[error("{0}")]
    Other(String),
    /// The share is for work that is over, or that this connection was never given.
    #[error("stale or unknown job")]
    Stale,
    /// The same header was accepted before.
    #[error("duplicate share")]
    Duplicate,
    /// The hash does not reach the difficulty that the job was issued with.
    #[error("low difficulty share of {}, wanted {}", got.to_f64(*algorithm), want.to_f64(*algorithm))]
    LowDifficulty {
        /// How they are written.
        algorithm: Algorithm,
        /// What the hash reaches.
        got: Difficulty,
        /// What the job was issued with.
        want: Difficulty,
    },
    /// No such worker was authorized on this connection.
    #[error("unauthorized worker")]
    Unauthorized,
    /// The signature of a `work.prove` is not one of the key that was offered, or no key was.
    #[error("the key is not proven")]
    Unproven,
    /// The miner's key returned wrong results before.
    #[error("this key is banned")]
    Banned,
    /// `mining.subscribe` comes first.
    #[error("not subscribed")]
    NotSubscribed,
}

impl Rejection {
    /// The code on the wire.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Rejection::Other(_) => 20,
            Rejection::Stale => 21,
            Rejection::Duplicate => 22,
            Rejection::LowDifficulty { .. } => 23,
            Rejection::Unauthorized | Rejection::Unproven | Rejection::Banned => 24,
            Rejection::NotSubscribed => 25,
        }
    }

    /// The reason as a metric label and an API key.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Rejection::Other(_) => "other",
            Rejection::Stale => "stale",
            Rejection::Duplicate => "duplicate",
            Rejection::LowDifficulty { .. } => "low_difficulty",
            Rejection::Unauthorized => "unauthorized",
            Rejection::Unproven => "unproven",
            Rejection::Banned => "banned",
            Rejection::NotSubscribed => "not_subscribed",
        }
    }

    /// The wire's error member.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!([self.code(), self.to_string(), null])
    }
}
