//! `mining.set_extranonce [extranonce1, extranonce2 size]`: holds from the next notify on.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::header::EXTRANONCE_BYTES_MAX;
use crate::hex;

/// Another search space for this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetExtranonce {
    /// The pool's part.
    pub extranonce1: Vec<u8>,
    /// Bytes of the miner's part.
    pub extranonce2_bytes: usize,
}

impl SetExtranonce {
    /// The method's name.
    pub const METHOD: &str = "mining.set_extranonce";

    pub(super) fn from_params(params: &[Value]) -> Result<SetExtranonce, ParamError> {
        let params = Params::at_most(params, 2)?;
        let name = "extranonce1";
        let extranonce1 = hex::decode(params.text(0, name)?, EXTRANONCE_BYTES_MAX);
        let extranonce1 = extranonce1.map_err(|source| ParamError::Hex { name, source })?;
        let extranonce2_bytes = extranonce2_bytes(params.get(1, "extranonce2 size")?)?;
        Ok(SetExtranonce { extranonce1, extranonce2_bytes })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([hex::encode(&self.extranonce1), self.extranonce2_bytes])
    }
}

/// Reads a size of the miner's extranonce part.
pub(super) fn extranonce2_bytes(value: &Value) -> Result<usize, ParamError> {
    value
        .as_u64()
        .and_then(|bytes| usize::try_from(bytes).ok())
        .filter(|&bytes| bytes <= EXTRANONCE_BYTES_MAX)
        .ok_or(ParamError::Type { name: "extranonce2 size", wanted: "a number of bytes up to 64" })
}
