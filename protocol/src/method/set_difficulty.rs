//! `mining.set_difficulty [difficulty]`: holds from the next notify on.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::algorithm::Algorithm;
use crate::difficulty::Difficulty;

/// The difficulty of shares to come. Read, it is rounded up to whole hashes: a share just below what a pool meant is
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetDifficulty(pub Difficulty);

impl SetDifficulty {
    /// The method's name.
    pub const METHOD: &str = "mining.set_difficulty";

    pub(super) fn from_params(params: &[Value], algorithm: Algorithm) -> Result<SetDifficulty, ParamError> {
        let name = "difficulty";
        let value = Params::at_most(params, 1)?.get(0, name)?;
        let value = value.as_f64().ok_or(ParamError::Type { name, wanted: "a number" })?;
        let difficulty = Difficulty::from_f64_up(value, algorithm);
        difficulty.map(SetDifficulty).map_err(|error| ParamError::Value { name, what: error.to_string() })
    }

    /// As parameters, on a connection of `algorithm`.
    #[must_use]
    pub fn to_params(self, algorithm: Algorithm) -> Value {
        json!([self.0.to_json(algorithm)])
    }
}
