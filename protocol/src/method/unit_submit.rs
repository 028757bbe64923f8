//! `work.submit [user, unit, digest]`: a unit is done, and its result has been uploaded.

use serde_json::{Value, json};

use super::{ParamError, Params};
use crate::digest::Digest;
use crate::ids::UnitId;

/// A finished unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSubmit {
    /// The user name as sent; it must be one that this connection authorized.
    pub user: String,
    /// Which unit.
    pub unit: UnitId,
    /// Names the result: the bytes of the unit's elements, one after the other.
    pub digest: Digest,
}

impl UnitSubmit {
    /// The method's name.
    pub const METHOD: &str = "work.submit";

    pub(super) fn from_params(params: &[Value]) -> Result<UnitSubmit, ParamError> {
        let params = Params::at_most(params, 3)?;
        let user = params.text(0, "user name")?.to_owned();
        let unit = params.parsed(1, "unit")?;
        let digest = params.parsed(2, "digest")?;
        Ok(UnitSubmit { user, unit, digest })
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.user, self.unit, self.digest])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let submit = UnitSubmit { user: "a.b".into(), unit: "j1-0".parse().unwrap(), digest: Digest([1; 32]) };
        assert_eq!(UnitSubmit::from_params(submit.to_params().as_array().unwrap()), Ok(submit));
        let digest = "0".repeat(64);
        for bad in [
            json!(["a", "j1-0"]),
            json!(["a", "J1", digest]),
            json!(["a", "j1-0", "00"]),
            json!([1, "j1-0", digest]),
            json!(["a", "j1-0", digest, null]),
        ] {
            assert!(UnitSubmit::from_params(bad.as_array().unwrap()).is_err(), "{bad} was taken");
        }
    }
}
