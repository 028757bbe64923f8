//! `work.revoke [unit, reason]`: a unit is taken back; its result would be stale.

use serde_json::{Value, json};

use super::release::plain;
use super::{ParamError, Params};
use crate::ids::UnitId;

/// A unit that its miner shall drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoke {
    /// Which unit.
    pub unit: UnitId,
    /// Why, for people; may be empty, and is cut like a release's text.
    pub reason: String,
}

impl Revoke {
    /// The method's name.
    pub const METHOD: &str = "work.revoke";

    pub(super) fn from_params(params: &[Value]) -> Result<Revoke, ParamError> {
        let params = Params::at_most(params, 2)?;
        let unit = params.parsed(0, "unit")?;
        let reason = plain(params.optional_text(1, "reason")?.unwrap_or_default());
        Ok(Revoke { unit, reason })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.unit, plain(&self.reason)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let revoke = Revoke { unit: "j1-0".parse().unwrap(), reason: "the job ended".into() };
        assert_eq!(Revoke::from_params(revoke.to_params().as_array().unwrap()), Ok(revoke));
        assert_eq!(Revoke::from_params(&[json!("j1-0")]).unwrap().reason, "");
        assert!(Revoke::from_params(&[json!("J1")]).is_err());
        assert!(Revoke::from_params(&[]).is_err());
    }
}
