//! `mining.suggest_difficulty [difficulty]` and `mining.suggest_target [target]`: where vardiff may start.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::algorithm::Algorithm;
use crate::difficulty::{Difficulty, Target};
use crate::header::HeaderHash;

/// The difficulty a client would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuggestDifficulty(pub Difficulty);

impl SuggestDifficulty {
    /// The method's name.
    pub const METHOD: &str = "mining.suggest_difficulty";

    pub(super) fn from_params(params: &[Value], algorithm: Algorithm) -> Result<SuggestDifficulty, ParamError> {
        let name = "difficulty";
        // cpuminer-opt writes it as text.
        let difficulty = match Params::at_most(params, 4)?.get(0, name)? {
            Value::String(text) => Difficulty::parse(text.trim(), algorithm),
            value => {
                let value = value.as_f64().ok_or(ParamError::Type { name, wanted: "a number" })?;
                Difficulty::from_f64(value, algorithm)
            }
        };
        difficulty.map(SuggestDifficulty).map_err(|error| ParamError::Value { name, what: error.to_string() })
    }

    pub(super) fn from_target_params(params: &[Value]) -> Result<SuggestDifficulty, ParamError> {
        let name = "target";
        let text = Params::at_most(params, 1)?.text(0, name)?;
        let target = Target::from_be_hex(text).map_err(|source| ParamError::Hex { name, source })?;
        let hash = HeaderHash::from_be_bytes(target.to_be_bytes());
        Ok(SuggestDifficulty(Difficulty::of_hash(&hash)))
    }

    /// As parameters, on a connection of `algorithm`.
    #[must_use]
    pub fn to_params(self, algorithm: Algorithm) -> Value {
        json!([self.0.to_json(algorithm)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_text_and_targets() {
        for algorithm in Algorithm::ALL {
            let wanted = Difficulty::parse("0.25", algorithm).unwrap();
            for params in [json!([0.25]), json!(["0.250000"])] {
                let read = SuggestDifficulty::from_params(params.as_array().unwrap(), algorithm);
                assert_eq!(read, Ok(SuggestDifficulty(wanted)));
            }
            assert!(SuggestDifficulty::from_params(&[json!(0)], algorithm).is_err());
            let one = Difficulty::one(algorithm);
            let target = Target::from_difficulty(one).to_string();
            assert_eq!(SuggestDifficulty::from_target_params(&[json!(target)]), Ok(SuggestDifficulty(one)));
        }
    }
}
