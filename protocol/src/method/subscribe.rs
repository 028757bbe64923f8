//! `mining.subscribe [agent?, session?]`: opens a session, or resumes one.

use serde_json::{Value, json};

use super::set_extranonce::extranonce2_bytes;
use super::{ParamError, Params};
use crate::header::EXTRANONCE_BYTES_MAX;
use crate::hex;

/// Most characters kept of a client's name.
pub const AGENT_CHARS_MAX: usize = 128;
/// Most characters of a session's id.
pub const SESSION_CHARS_MAX: usize = 128;

/// A client opens its session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscribe {
    /// What the client calls itself, cut to [`AGENT_CHARS_MAX`].
    pub agent: String,
    /// A session of before that it wants back.
    pub session: Option<String>,
}

impl Subscribe {
    /// The method's name.
    pub const METHOD: &str = "mining.subscribe";

    pub(super) fn from_params(params: &[Value]) -> Result<Subscribe, ParamError> {
        // Some clients add host and port.
        let params = Params::at_most(params, 8)?;
        let agent = params.optional_text(0, "agent")?.unwrap_or_default();
        let session = params.optional_text(1, "session id")?.filter(|id| id.len() <= SESSION_CHARS_MAX);
        Ok(Subscribe { agent: agent.chars().take(AGENT_CHARS_MAX).collect(), session: session.map(str::to_owned) })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        match &self.session {
            None => json!([self.agent]),
            Some(session) => json!([self.agent, session]),
        }
    }
}

/// What the pool answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeReply {
    /// The id to resume this session by.
    pub session: String,
    /// The pool's part of the extranonce.
    pub extranonce1: Vec<u8>,
    /// Bytes of the miner's part.
    pub extranonce2_bytes: usize,
}

impl SubscribeReply {
    /// As a result: `[[["mining.set_difficulty", id], ["mining.notify", id]], extranonce1, size]`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!([
            [["mining.set_difficulty", self.session], ["mining.notify", self.session]],
            hex::encode(&self.extranonce1),
            self.extranonce2_bytes
        ])
    }

    /// From a result.
    ///
    /// # Errors
    /// The result has another form. A missing session id is none.
    pub fn from_json(result: &Value) -> Result<(Option<String>, Vec<u8>, usize), ParamError> {
        let wanted = "an array of three";
        let parts = result.as_array().ok_or(ParamError::Type { name: "subscribe result", wanted })?;
        let params = Params::at_most(parts, 8)?;
        let pairs = params.get(0, "subscriptions")?;
        let session = pairs
            .as_array()
            .and_then(|pairs| pairs.iter().find(|pair| pair.get(0).and_then(Value::as_str) == Some("mining.notify")))
            .and_then(|pair| pair.get(1))
            .and_then(Value::as_str)
            .filter(|id| id.len() <= SESSION_CHARS_MAX);
        let name = "extranonce1";
        let extranonce1 = hex::decode(params.text(1, name)?, EXTRANONCE_BYTES_MAX);
        let extranonce1 = extranonce1.map_err(|source| ParamError::Hex { name, source })?;
        Ok((session.map(str::to_owned), extranonce1, extranonce2_bytes(params.get(2, "extranonce2 size")?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_round_trips() {
        let reply = SubscribeReply { session: "s1".into(), extranonce1: vec![8, 0, 0, 2], extranonce2_bytes: 4 };
        let read = SubscribeReply::from_json(&reply.to_json()).unwrap();
        assert_eq!(read, (Some("s1".into()), vec![8, 0, 0, 2], 4));
    }

    #[test]
    fn agents_are_cut_and_wrong_types_named() {
        let long = json!(["x".repeat(1000)]);
        assert_eq!(Subscribe::from_params(long.as_array().unwrap()).unwrap().agent.len(), AGENT_CHARS_MAX);
        assert!(Subscribe::from_params(&[json!(5)]).is_err());
        assert_eq!(Subscribe::from_params(&[]), Ok(Subscribe::default()));
    }
}
