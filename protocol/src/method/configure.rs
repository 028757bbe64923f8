//! `mining.configure [extensions, values]` (BIP 310): what a client and a pool agree to beyond V1.

use serde_json::{Map, Value, json};

use super::assign::is_kind;
use super::{ParamError, Params};
use crate::algorithm::Algorithm;
use crate::difficulty::Difficulty;
use crate::hex;
use crate::key::PublicKey;

/// Most extensions in one request.
pub const EXTENSIONS_MAX: usize = 16;
/// Most kinds of work that a client names.
pub const KINDS_MAX: usize = 8;
/// Most units that a client holds at once.
pub const SLOTS_MAX: u32 = 64;
/// Most characters of the address that blobs are had from.
pub const HTTP_CHARS_MAX: usize = 256;

/// The version-rolling extension's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRolling {
    /// Bits that the client can roll.
    pub mask: u32,
    /// How many it needs.
    pub min_bit_count: u32,
}

/// The lode-work extension's values: what a client offers to do besides hashing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LodeWork {
    /// The miner's key, to be proven by `work.prove`.
    pub key: PublicKey,
    /// Kinds of work that it does, 1 to [`KINDS_MAX`]. A pool ignores those that it does not have.
    pub kinds: Vec<String>,
    /// How many units it wants to hold at once, 1 to [`SLOTS_MAX`].
    pub slots: u32,
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
    /// `lode-work`
    pub lode_work: Option<LodeWork>,
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
                "lode-work" => configure.lode_work = Some(lode_work(values)?),
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
        if let Some(work) = &self.lode_work {
            names.push("lode-work".into());
            values.insert("lode-work.key".into(), json!(work.key));
            values.insert("lode-work.kinds".into(), json!(work.kinds));
            values.insert("lode-work.slots".into(), json!(work.slots));
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

fn lode_work(values: &Map<String, Value>) -> Result<LodeWork, ParamError> {
    let key = PublicKey(hex_of(values, "lode-work.key")?);
    let name = "lode-work.kinds";
    let wanted = "an array of 1 to 8 names of kinds";
    let kinds = values.get(name).and_then(Value::as_array).ok_or(ParamError::Type { name, wanted })?;
    if !(1..=KINDS_MAX).contains(&kinds.len()) {
        return Err(ParamError::Type { name, wanted });
    }
    let kinds = kinds.iter().map(|kind| kind.as_str().filter(|kind| is_kind(kind)).map(str::to_owned));
    let kinds = kinds.collect::<Option<Vec<_>>>().ok_or(ParamError::Type { name, wanted })?;
    let name = "lode-work.slots";
    let slots = values.get(name).and_then(Value::as_u64).and_then(|slots| u32::try_from(slots).ok());
    let slots = slots.filter(|slots| (1..=SLOTS_MAX).contains(slots));
    let slots = slots.ok_or(ParamError::Type { name, wanted: "a number from 1 to 64" })?;
    Ok(LodeWork { key, kinds, slots })
}

fn hex_of<const N: usize>(values: &Map<String, Value>, name: &'static str) -> Result<[u8; N], ParamError> {
    let text = values.get(name).and_then(Value::as_str);
    let text = text.ok_or(ParamError::Type { name, wanted: "a string of hex digits" })?;
    hex::decode_array(text).map_err(|source| ParamError::Hex { name, source })
}

/// Where a pool's blobs are had over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAt {
    /// At this base URL, without a slash at its end; `/api/v1/blobs/...` follows it.
    Url(String),
    /// At this port of the host that the miner reached the pool at, over plain HTTP.
    Port(u16),
}

/// What a pool answers where it grants lode-work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LodeWorkReply {
    /// What the miner signs, new for each connection.
    pub nonce: [u8; 32],
    /// The id of the pool's ledger, signed with it.
    pub pool: [u8; 16],
    /// Where its blobs are.
    pub http: HttpAt,
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
    /// What lode-work needs next, where it was asked for; `None` inside refuses it.
    pub lode_work: Option<Option<LodeWorkReply>>,
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
        if let Some(work) = &self.lode_work {
            result.insert("lode-work".into(), json!(work.is_some()));
            if let Some(LodeWorkReply { nonce, pool, http }) = work {
                result.insert("lode-work.nonce".into(), json!(hex::encode(nonce)));
                result.insert("lode-work.pool".into(), json!(hex::encode(pool)));
                let http = match http {
                    HttpAt::Url(url) => json!(url),
                    HttpAt::Port(port) => json!(port),
                };
                result.insert("lode-work.http".into(), http);
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

    /// What a pool that grants lode-work needs next, from its result; `None` where it does not grant it.
    ///
    /// # Errors
    /// The result grants it and lacks a value, or has one that is malformed.
    pub fn granted_lode_work(result: &Value) -> Result<Option<LodeWorkReply>, ParamError> {
        let Some(values) = result.as_object().filter(|values| values.get("lode-work") == Some(&Value::Bool(true)))
        else {
            return Ok(None);
        };
        let nonce = hex_of(values, "lode-work.nonce")?;
        let pool = hex_of(values, "lode-work.pool")?;
        Ok(Some(LodeWorkReply { nonce, pool, http: http_at(values)? }))
    }
}

fn http_at(values: &Map<String, Value>) -> Result<HttpAt, ParamError> {
    let name = "lode-work.http";
    let at = match values.get(name) {
        Some(Value::Number(port)) => {
            let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
            port.filter(|&port| port > 0).map(HttpAt::Port)
        }
        Some(Value::String(url)) => {
            let web = url.starts_with("http://") || url.starts_with("https://");
            let plain = url.len() <= HTTP_CHARS_MAX && url.bytes().all(|byte| byte.is_ascii_graphic());
            (web && plain).then(|| HttpAt::Url(url.trim_end_matches('/').to_owned()))
        }
        _ => None,
    };
    at.ok_or(ParamError::Type { name, wanted: "a port or an http(s) URL of at most 256 characters" })
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

    #[test]
    fn lode_work_round_trips_and_its_bounds_are_kept() {
        let work = LodeWork { key: PublicKey([7; 32]), kinds: vec!["render".into(); KINDS_MAX], slots: SLOTS_MAX };
        let configure = Configure { lode_work: Some(work), ..Configure::default() };
        let params = configure.to_params(Algorithm::Sha256d);
        let read = |params: &Value| Configure::from_params(params.as_array().unwrap(), Algorithm::Sha256d);
        assert_eq!(read(&params), Ok(configure));
        for (name, bad) in [
            ("lode-work.key", json!("00")),
            ("lode-work.key", json!(null)),
            ("lode-work.kinds", json!([])),
            ("lode-work.kinds", json!(vec!["render"; KINDS_MAX + 1])),
            ("lode-work.kinds", json!(["Render"])),
            ("lode-work.kinds", json!(["x".repeat(33)])),
            ("lode-work.slots", json!(0)),
            ("lode-work.slots", json!(SLOTS_MAX + 1)),
            ("lode-work.slots", json!("4")),
        ] {
            let mut params = params.clone();
            params[1][name] = bad;
            assert!(read(&params).unwrap_err().to_string().contains(name), "{params}");
        }
    }

    #[test]
    fn the_grant_of_lode_work_round_trips_and_a_refusal_is_one() {
        let url = HttpAt::Url("https://pool.example/lode".into());
        for http in [url, HttpAt::Port(8080)] {
            let work = LodeWorkReply { nonce: [1; 32], pool: [2; 16], http };
            let reply = ConfigureReply { lode_work: Some(Some(work.clone())), ..ConfigureReply::default() };
            let json = reply.to_json();
            assert_eq!(ConfigureReply::granted_lode_work(&json), Ok(Some(work)));
            for (name, bad) in [
                ("lode-work.nonce", json!("00")),
                ("lode-work.pool", json!(1)),
                ("lode-work.http", json!(0)),
                ("lode-work.http", json!(65_536)),
                ("lode-work.http", json!("ftp://x")),
                ("lode-work.http", json!(format!("http://{}", "x".repeat(HTTP_CHARS_MAX)))),
                ("lode-work.http", json!("http://x y")),
            ] {
                let mut json = json.clone();
                json[name] = bad;
                assert!(ConfigureReply::granted_lode_work(&json).is_err(), "{json}");
            }
        }
        let refused = ConfigureReply { lode_work: Some(None), ..ConfigureReply::default() }.to_json();
        assert_eq!(ConfigureReply::granted_lode_work(&refused), Ok(None));
        for other in [json!({}), json!(true), json!(null), json!([])] {
            assert_eq!(ConfigureReply::granted_lode_work(&other), Ok(None));
        }
    }
}
