//! `mining.submit [user, job, extranonce2, ntime, nonce, version bits?]`: a claim of a share.

use serde_json::{Value, json};

use super::notify::WIRE_JOB_CHARS_MAX;
use super::{ParamError, Params};
use crate::header::EXTRANONCE_BYTES_MAX;
use crate::hex::{self, HexError};

/// How a client writes a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NonceForm {
    /// Eight hex digits.
    #[default]
    Padded,
    /// One to eight hex digits: NerdMiner drops leading zeros, which would lose it every 16th share.
    Unpadded,
}

/// A claimed share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// The user name as sent; it must be one that this connection authorized.
    pub user: String,
    /// The job id that the notify had.
    pub job: String,
    /// The miner's part of the coinbase.
    pub extranonce2: Vec<u8>,
    /// Header time.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// Rolled version bits (BIP 310), where the client sends them.
    pub version_bits: Option<u32>,
}

impl Submit {
    /// The method's name.
    pub const METHOD: &str = "mining.submit";

    pub(super) fn from_params(params: &[Value], nonce_form: NonceForm) -> Result<Submit, ParamError> {
        let params = Params::at_most(params, 6)?;
        let user = params.text(0, "user name")?.to_owned();
        let job = params.text(1, "job id")?;
        if job.len() > WIRE_JOB_CHARS_MAX {
            return Err(ParamError::Value { name: "job id", what: format!("over {WIRE_JOB_CHARS_MAX} characters") });
        }
        let name = "extranonce2";
        let extranonce2 = hex::decode(params.text(2, name)?, EXTRANONCE_BYTES_MAX);
        let extranonce2 = extranonce2.map_err(|source| ParamError::Hex { name, source })?;
        let ntime = params.hex_u32(3, "ntime")?;
        let nonce = match nonce_form {
            NonceForm::Padded => params.hex_u32(4, "nonce")?,
            NonceForm::Unpadded => unpadded_nonce(params.text(4, "nonce")?)?,
        };
        let version_bits = match params.optional_text(5, "version bits")? {
            None => None,
            Some(_) => Some(params.hex_u32(5, "version bits")?),
        };
        Ok(Submit { user, job: job.to_owned(), extranonce2, ntime, nonce, version_bits })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        let mut params = vec![
            json!(self.user),
            json!(self.job),
            json!(hex::encode(&self.extranonce2)),
            json!(format!("{:08x}", self.ntime)),
            json!(format!("{:08x}", self.nonce)),
        ];
        params.extend(self.version_bits.map(|bits| json!(format!("{bits:08x}"))));
        Value::Array(params)
    }
}

fn unpadded_nonce(text: &str) -> Result<u32, ParamError> {
    let name = "nonce";
    if text.is_empty() || text.len() > 8 {
        return Err(ParamError::Hex { name, source: HexError::WrongLength { found: text.len(), wanted: 8 } });
    }
    hex::decode_u32_be(&format!("{text:0>8}")).map_err(|source| ParamError::Hex { name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(nonce: &str, form: NonceForm) -> Result<Submit, ParamError> {
        let params = json!(["a.b", "1", "c7080000", "64b3f3ec", nonce, "00002000"]);
        Submit::from_params(params.as_array().unwrap(), form)
    }

    #[test]
    fn round_trip() {
        let submit = read("ED460d91", NonceForm::Padded).unwrap();
        assert_eq!((submit.nonce, submit.version_bits), (0xed46_0d91, Some(0x2000)));
        let again = Submit::from_params(submit.to_params().as_array().unwrap(), NonceForm::Padded).unwrap();
        assert_eq!(again, submit);
    }

    #[test]
    fn short_nonces_only_where_the_client_is_known_for_them() {
        assert!(read("abc", NonceForm::Padded).is_err());
        assert_eq!(read("abc", NonceForm::Unpadded).unwrap().nonce, 0xabc);
        assert!(read("", NonceForm::Unpadded).is_err());
        assert!(read("123456789", NonceForm::Unpadded).is_err());
        assert!(read("é", NonceForm::Unpadded).is_err());
    }

    #[test]
    fn null_version_bits_are_none_and_trailing_junk_is_refused() {
        let params = json!(["a", "1", "00", "64b3f3ec", "00000000", null]);
        assert_eq!(Submit::from_params(params.as_array().unwrap(), NonceForm::Padded).unwrap().version_bits, None);
        let params = json!(["a", "1", "00", "64b3f3ec", "00000000", null, "x"]);
        assert!(Submit::from_params(params.as_array().unwrap(), NonceForm::Padded).is_err());
    }
}
