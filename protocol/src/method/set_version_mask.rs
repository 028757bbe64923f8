//! `mining.set_version_mask [mask]` (BIP 310): the version bits that may be rolled from now on.

use serde_json::{Value, json};

use super::{ParamError, Params};

/// A new mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetVersionMask(pub u32);

impl SetVersionMask {
    /// The method's name.
    pub const METHOD: &str = "mining.set_version_mask";

    pub(super) fn from_params(params: &[Value]) -> Result<SetVersionMask, ParamError> {
        Params::at_most(params, 1)?.hex_u32(0, "version mask").map(SetVersionMask)
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(self) -> Value {
        json!([format!("{:08x}", self.0)])
    }
}
