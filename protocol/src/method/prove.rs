//! `work.prove [signature]`: a miner proves its key by signing the pool's nonce; the answer is its token for transfers.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::hex;
use crate::key::Signature;

/// Most characters of a token.
pub const TOKEN_CHARS_MAX: usize = 128;

/// The proof: a signature over [`statement`](crate::key::statement).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prove {
    /// By the key that `mining.configure` offered.
    pub signature: Signature,
}

impl Prove {
    /// The method's name.
    pub const METHOD: &str = "work.prove";

    pub(super) fn from_params(params: &[Value]) -> Result<Prove, ParamError> {
        let params = Params::at_most(params, 1)?;
        let name = "signature";
        let signature = hex::decode_array(params.text(0, name)?).map_err(|source| ParamError::Hex { name, source })?;
        Ok(Prove { signature: Signature(signature) })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.signature.to_string()])
    }
}

/// The answer to a proof that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProveReply {
    /// The bearer token of this connection's transfers over HTTP.
    pub token: String,
}

impl ProveReply {
    /// Reads a result.
    ///
    /// # Errors
    /// There is no token, or not one that fits in a header.
    pub fn from_json(result: &Value) -> Result<ProveReply, ParamError> {
        let name = "token";
        let token = result.get(name).and_then(Value::as_str).ok_or(ParamError::Type { name, wanted: "a string" })?;
        let fits = (1..=TOKEN_CHARS_MAX).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            let what = format!("must have 1 to {TOKEN_CHARS_MAX} printable characters without spaces");
            return Err(ParamError::Value { name, what });
        }
        Ok(ProveReply { token: token.to_owned() })
    }

    /// As a result.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({"token": self.token})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SecretKey;

    #[test]
    fn round_trip() {
        let prove = Prove { signature: SecretKey::from_bytes(&[3; 32]).sign(b"x") };
        assert_eq!(Prove::from_params(prove.to_params().as_array().unwrap()), Ok(prove));
        for bad in [json!([]), json!([5]), json!(["00"]), json!(["0".repeat(128), "more"])] {
            assert!(Prove::from_params(bad.as_array().unwrap()).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_token_fits_in_a_header() {
        let reply = ProveReply { token: "f".repeat(TOKEN_CHARS_MAX) };
        assert_eq!(ProveReply::from_json(&reply.to_json()), Ok(reply));
        for bad in ["", "a b", "a\r\nHost: x", "é", &"f".repeat(TOKEN_CHARS_MAX + 1)] {
            assert!(ProveReply::from_json(&json!({"token": bad})).is_err(), "{bad:?} was taken");
        }
        assert!(ProveReply::from_json(&json!(true)).is_err());
    }
}
