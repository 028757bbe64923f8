//! `client.show_message [text]`: something for the miner's owner to read.

use serde_json::{Value, json};

use super::{ParamError, Params};

/// Most characters shown.
pub const MESSAGE_CHARS_MAX: usize = 256;

/// The text, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowMessage(pub String);

impl ShowMessage {
    /// The method's name.
    pub const METHOD: &str = "client.show_message";

    pub(super) fn from_params(params: &[Value]) -> Result<ShowMessage, ParamError> {
        let text = Params::at_most(params, 1)?.text(0, "message")?;
        // A pool must not be able to move the cursor of a miner's terminal.
        Ok(ShowMessage(text.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect()))
    }

    /// As parameters.
    #[must_use]
    pub fn to_params(&self) -> Value {
        json!([self.0])
    }
}
