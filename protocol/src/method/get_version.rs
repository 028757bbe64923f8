//! `client.get_version []`: the pool asks what software a client runs.

use serde_json::{Value, json};

/// The question; its answer is a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetVersion;

impl GetVersion {
    /// The method's name.
    pub const METHOD: &str = "client.get_version";

    /// As parameters.
    #[must_use]
    pub fn to_params(self) -> Value {
        json!([])
    }
}
