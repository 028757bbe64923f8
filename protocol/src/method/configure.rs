//! `mining.configure [extensions, values]` (BIP 310): what a client and a pool agree to beyond V1.

use serde_json::{Map, Value, json};

use super::{ParamError, Params};
use crate::algorithm::Algorithm;
use crate::difficulty::Difficulty;
use crate::hex;

/// Most extensions in one request.
pub const EXTENSIONS_MAX: usize = 16;

/// The version-rolling extension's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRolling {
    /// Bits that the client can roll.
    pub mask: u32,
    /// How many it needs.
    pub min_bit_count: u32,
}

/// A client's wishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Configure {
    /// `version-rolling`
    pub version_rolling: Option<VersionRolling>,
    /// `minimum-difficulty`
    pub minimum_difficulty: Option<Difficulty>,
    /// `subscribe-extranonce`
    pub subscribe_extranonce: bool,
    /// `info`
    pub info: bool,
    /// Extensions that are not known here; each is answered with `false`.
    pub unknown: Vec<String>,
}

impl Configure {
    /// The method's name.
    pub const METHOD: &str = "mining.configure";

    pub(super) fn from_params(params: &[Value], algorithm: Algorithm) -> Result<Configure, ParamError> {
        let params = Params::at_most(params, 2)?;
        let name = "extensions";
        let wanted = "an array of strings";
        let names = params.get(0, name)?.as_array().ok_or(ParamError::Type { name, wanted })?;
        if names.len() > EXTENSIONS_MAX {
            return Err(ParamError::TooMany { found: names.len(), most: EXTENSIONS_MAX });
        }
        let empty = Map::new();
        let values = match params.0.get(1) {
            None | Some(Value::Null) => &empty,
            Some(value) => {
                value.as_object().ok_or(ParamError::Type { name: "extension values", wanted: "an object" })?
            }
        };
        let mut configure = Configure::default();
        for extension in names {
            match extension.as_str().ok_or(ParamError::Type { name, wanted })? {
                "version-rolling" => configure.version_rolling = Some(version_rolling(values)?),
                "minimum-difficulty" => configure.minimum_difficulty = Some(minimum_difficulty(values, algorithm)?),
                "subscribe-extranonce" => configure.subscribe_extranonce = true,
                "info" => configure.info = true,
                other => configure.unknown.push(other.chars().take(64).collect()),
            }
        }
        Ok(configure)
    }

    /// As parameters, on a connection of `algorithm`.
    #[must_use]
    pub fn to_params(&self, algorithm: Algorithm) -> Value {
        let mut names = self.unknown.clone();
        let mut values = Map::new();
        if let Some(rolling) = self.version_rolling {
            names.push("version-rolling".into());
            values.insert("version-rolling.mask".into(), json!(format!("{:08x}", rolling.mask)));
            values.insert("version-rolling.min-bit-count".into(), json!(rolling.min_bit_count));
        }
        if let Some(minimum) = self.minimum_difficulty {
            names.push("minimum-difficulty".into());
            values.insert("minimum-difficulty.value".into(), minimum.to_json(algorithm));
        }
        if self.subscribe_extranonce {
            names.push("subscribe-extranonce".into());
        }
        if self.info {
            names.push("info".into());
        }
        json!([names, values])
    }
}

fn version_rolling(values: &Map<String, Value>) -> Result<VersionRolling, ParamError> {
    let name = "version-rolling.mask";
    let mask = match values.get(name) {
        None => u32::MAX,
        Some(value) => {
            let text = value.as_str().ok_or(ParamError::Type { name, wanted: "a string of eight hex digits" })?;
            hex::decode_u32_be(text).map_err(|source| ParamError::Hex { name, source })?
        }
    };
    let name = "version-rolling.min-bit-count";
    let min_bit_count = match values.get(name) {
        None => 0,
        Some(value) => value
            .as_u64()
            .and_then(|count| u32::try_from(count).ok())
            .filter(|&count| count <= 32)
            .ok_or(ParamError::Type { name, wanted: "a number from 0 to 32" })?,
    };
    Ok(VersionRolling { mask, min_bit_count })
}

fn minimum_difficulty(values: &Map<String, Value>, algorithm: Algorithm) -> Result<Difficulty, ParamError> {
    let name = "minimum-difficulty.value";
    let value = values.get(name).and_then(Value::as_f64).ok_or(ParamError::Type { name, wanted: "a number" })?;
    Difficulty::from_f64(value, algorithm).map_err(|error| ParamError::Value { name, what: format!("{error}") })
}

/// A pool's answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigureReply {
    /// The granted mask, where version rolling was asked for; `None` inside refuses it.
    pub version_rolling: Option<Option<u32>>,
    /// Whether the minimum is kept, where it was asked for.
    pub minimum_difficulty: Option<bool>,
    /// Whether `mining.set_extranonce` may be sent, where it was asked for.
    pub subscribe_extranonce: Option<bool>,
    /// Whether the client's description was taken, where it was given.
    pub info: Option<bool>,
    /// Extensions to refuse by name.
    pub unknown: Vec<String>,
}

impl ConfigureReply {
    /// As a result.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut result = Map::new();
        for name in &self.unknown {
            result.insert(name.clone(), json!(false));
        }
        if let Some(mask) = self.version_rolling {
            result.insert("version-rolling".into(), json!(mask.is_some()));
            if let Some(mask) = mask {
                result.insert("version-rolling.mask".into(), json!(format!("{mask:08x}")));
            }
        }
        for (name, granted) in [
            ("minimum-difficulty", self.minimum_difficulty),
            ("subscribe-extranonce", self.subscribe_extranonce),
            ("info", self.info),
        ] {
            if let Some(granted) = granted {
                result.insert(name.into(), json!(granted));
            }
        }
        Value::Object(result)
    }

    /// The mask that a pool granted, from its result; `None` where it granted none.
    ///
    /// # Errors
    /// The result claims a mask that is not eight hex digits.
    pub fn granted_mask(result: &Value) -> Result<Option<u32>, ParamError> {
        if result.get("version-rolling") != Some(&Value::Bool(true)) {
            return Ok(None);
        }
        let name = "version-rolling.mask";
        let text = result.get(name).and_then(Value::as_str).ok_or(ParamError::Type { name, wanted: "a string" })?;
        hex::decode_u32_be(text).map(Some).map_err(|source| ParamError::Hex { name, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_bip_310() {
        let params = json!([
            ["minimum-difficulty", "version-rolling", "x-other"],
            {"minimum-difficulty.value": 2048, "version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": 2}
        ]);
        for algorithm in Algorithm::ALL {
            round_trip(params.as_array().unwrap(), algorithm);
        }
    }

    fn round_trip(params: &[Value], algorithm: Algorithm) {
        let configure = Configure::from_params(params, algorithm).unwrap();
        assert_eq!(configure.version_rolling, Some(VersionRolling { mask: 0x1fff_e000, min_bit_count: 2 }));
        assert_eq!(configure.minimum_difficulty, Some(Difficulty::parse("2048", algorithm).unwrap()));
        assert_eq!(configure.unknown, ["x-other"]);
        let again = configure.to_params(algorithm);
        assert_eq!(Configure::from_params(again.as_array().unwrap(), algorithm).unwrap(), configure);
    }

    #[test]
    fn the_reply_round_trips_its_mask() {
        let reply = ConfigureReply { version_rolling: Some(Some(0x1800_0000)), ..ConfigureReply::default() }.to_json();
        assert_eq!(ConfigureReply::granted_mask(&reply), Ok(Some(0x1800_0000)));
        let refused = ConfigureReply { version_rolling: Some(None), ..ConfigureReply::default() }.to_json();
        assert_eq!(ConfigureReply::granted_mask(&refused), Ok(None));
    }

    #[test]
    fn wrong_types_are_named() {
        for bad in [json!([]), json!([5]), json!([[5]]), json!([["version-rolling"], {"version-rolling.mask": 5}])] {
            assert!(Configure::from_params(bad.as_array().unwrap(), Algorithm::Sha256d).is_err());
        }
    }
}
