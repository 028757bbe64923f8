//! `client.reconnect [host, port, wait seconds]`: all optional; without a host, the same pool again.

use serde_json::{Value, json};

use super::{ParamError, Params};

/// Most seconds that a pool may ask a client to wait.
pub const WAIT_S_MAX: u64 = 3600;

/// Where and when to connect again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconnect {
    /// Another host; `None` keeps the present one.
    pub host: Option<String>,
    /// Another port.
    pub port: Option<u16>,
    /// Seconds to wait first.
    pub wait_s: u64,
}

impl Reconnect {
    /// The method's name.
    pub const METHOD: &str = "client.reconnect";

    pub(super) fn from_params(params: &[Value]) -> Result<Reconnect, ParamError> {
        let params = Params::at_most(params, 3)?;
        // Ports and waits are written as numbers by some pools and as text by others.
        let number = |index, name| -> Result<Option<u64>, ParamError> {
            let number = match params.0.get(index) {
                None | Some(Value::Null) => return Ok(None),
                Some(Value::String(text)) if text.is_empty() => return Ok(None),
                Some(Value::String(text)) => text.parse().ok(),
                Some(value) => value.as_u64(),
            };
            number.map(Some).ok_or(ParamError::Type { name, wanted: "a number" })
        };
        let port = number(1, "port")?
            .map(|port| u16::try_from(port).map_err(|_| ParamError::Type { name: "port", wanted: "below 65536" }))
            .transpose()?;
        let host = params.optional_text(0, "host")?.filter(|host| !host.is_empty());
        let wait_s = number(2, "wait")?.unwrap_or(0).min(WAIT_S_MAX);
        Ok(Reconnect { host: host.map(str::to_owned), port, wait_s })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        match (&self.host, self.port) {
            (None, None) if self.wait_s == 0 => json!([]),
            (host, port) => json!([host.as_deref().unwrap_or(""), port, self.wait_s]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_text_and_nothing_at_all() {
        let read = |value: Value| Reconnect::from_params(value.as_array().unwrap());
        assert_eq!(read(json!([])), Ok(Reconnect::default()));
        let wanted = Reconnect { host: Some("pool.test".into()), port: Some(3333), wait_s: 5 };
        assert_eq!(read(json!(["pool.test", "3333", "5"])), Ok(wanted.clone()));
        assert_eq!(read(wanted.to_params()), Ok(wanted));
        assert!(read(json!(["pool.test", 70000])).is_err());
    }
}
