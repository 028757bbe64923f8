//! The messages of stratum V1, one type a message, one file a type.
//!
//! Each reads itself from JSON parameters (`from_params`) and writes itself (`to_params`), so that
//! pool and miner share one definition. [`ClientCall`] is what a pool can be asked, [`ServerCall`]
//! what a miner can be told.

pub mod authorize;
pub mod configure;
pub mod get_version;
pub mod notify;
pub mod reconnect;
pub mod set_difficulty;
pub mod set_extranonce;
pub mod set_version_mask;
pub mod show_message;
pub mod submit;
pub mod subscribe;
pub mod suggest_difficulty;

pub use authorize::{Authorize, PasswordOptions};
pub use configure::{Configure, ConfigureReply, VersionRolling};
pub use get_version::GetVersion;
pub use notify::{Notify, NotifyParts};
pub use reconnect::Reconnect;
pub use set_difficulty::SetDifficulty;
pub use set_extranonce::SetExtranonce;
pub use set_version_mask::SetVersionMask;
pub use show_message::ShowMessage;
pub use submit::{NonceForm, Submit};
pub use subscribe::{Subscribe, SubscribeReply};
pub use suggest_difficulty::SuggestDifficulty;

use serde_json::Value;

use crate::algorithm::Algorithm;
use crate::hex::{self, HexError};
use crate::rpc::Request;

/// Why parameters are not those of a message.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParamError {
    /// A parameter that must be there is not.
    #[error("{name} (parameter {index}) is missing")]
    Missing {
        /// Its name in the documentation.
        name: &'static str,
        /// Its position from 0.
        index: usize,
    },
    /// A parameter of another JSON type.
    #[error("{name} is not {wanted}")]
    Type {
        /// Its name.
        name: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// Hex that is malformed or of the wrong size.
    #[error("{name}: {source}")]
    Hex {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        source: HexError,
    },
    /// A value outside its range, or text that means nothing.
    #[error("{name}: {what}")]
    Value {
        /// Its name.
        name: &'static str,
        /// What is wrong and what would be right.
        what: String,
    },
    /// More parameters than the message has.
    #[error("{found} parameters where at most {most} are taken")]
    TooMany {
        /// How many came.
        found: usize,
        /// How many it has.
        most: usize,
    },
}

/// Positional parameters, with names for the errors.
struct Params<'a>(&'a [Value]);

impl<'a> Params<'a> {
    fn at_most(params: &'a [Value], most: usize) -> Result<Params<'a>, ParamError> {
        if params.len() > most {
            return Err(ParamError::TooMany { found: params.len(), most });
        }
        Ok(Params(params))
    }

    fn get(&self, index: usize, name: &'static str) -> Result<&'a Value, ParamError> {
        self.0.get(index).ok_or(ParamError::Missing { name, index })
    }

    fn text(&self, index: usize, name: &'static str) -> Result<&'a str, ParamError> {
        self.get(index, name)?.as_str().ok_or(ParamError::Type { name, wanted: "a string" })
    }

    /// A text that may be absent or null.
    fn optional_text(&self, index: usize, name: &'static str) -> Result<Option<&'a str>, ParamError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(_) => self.text(index, name).map(Some),
        }
    }

    fn hex_u32(&self, index: usize, name: &'static str) -> Result<u32, ParamError> {
        hex::decode_u32_be(self.text(index, name)?).map_err(|source| ParamError::Hex { name, source })
    }
}

/// A call that a client may make of a pool.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientCall {
    /// `mining.configure`
    Configure(Configure),
    /// `mining.subscribe`
    Subscribe(Subscribe),
    /// `mining.authorize`
    Authorize(Authorize),
    /// `mining.submit`
    Submit(Submit),
    /// `mining.suggest_difficulty` or `mining.suggest_target`
    SuggestDifficulty(SuggestDifficulty),
    /// `mining.extranonce.subscribe`
    ExtranonceSubscribe,
    /// `mining.ping`
    Ping,
    /// `mining.get_transactions`, which some clients send after each job
    GetTransactions,
    /// Anything else, by name
    Unknown(String),
}

impl ClientCall {
    /// Reads a client's request on a connection of `algorithm`; `nonce_form` says how this client writes nonces.
    ///
    /// # Errors
    /// The parameters are not those of the method.
    pub fn from_request(
        request: &Request,
        algorithm: Algorithm,
        nonce_form: NonceForm,
    ) -> Result<ClientCall, ParamError> {
        let params = &request.params[..];
        Ok(match request.method.as_str() {
            "mining.configure" => ClientCall::Configure(Configure::from_params(params, algorithm)?),
            "mining.subscribe" => ClientCall::Subscribe(Subscribe::from_params(params)?),
            "mining.authorize" => ClientCall::Authorize(Authorize::from_params(params)?),
            "mining.submit" => ClientCall::Submit(Submit::from_params(params, nonce_form)?),
            "mining.suggest_difficulty" => {
                ClientCall::SuggestDifficulty(SuggestDifficulty::from_params(params, algorithm)?)
            }
            "mining.suggest_target" => ClientCall::SuggestDifficulty(SuggestDifficulty::from_target_params(params)?),
            "mining.extranonce.subscribe" => ClientCall::ExtranonceSubscribe,
            "mining.ping" => ClientCall::Ping,
            "mining.get_transactions" => ClientCall::GetTransactions,
            other => ClientCall::Unknown(other.chars().take(64).collect()),
        })
    }
}

/// A call that a pool may make of a client.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerCall {
    /// `mining.set_difficulty`
    SetDifficulty(SetDifficulty),
    /// `mining.notify`
    Notify(Box<Notify>),
    /// `mining.set_version_mask`
    SetVersionMask(SetVersionMask),
    /// `mining.set_extranonce`
    SetExtranonce(SetExtranonce),
    /// `client.reconnect`
    Reconnect(Reconnect),
    /// `client.show_message`
    ShowMessage(ShowMessage),
    /// `client.get_version`
    GetVersion,
    /// `mining.ping`
    Ping,
    /// Anything else, by name
    Unknown(String),
}

impl ServerCall {
    /// Reads a pool's request on a connection of `algorithm`.
    ///
    /// # Errors
    /// The parameters are not those of the method.
    pub fn from_request(request: &Request, algorithm: Algorithm) -> Result<ServerCall, ParamError> {
        let params = &request.params[..];
        Ok(match request.method.as_str() {
            "mining.set_difficulty" => ServerCall::SetDifficulty(SetDifficulty::from_params(params, algorithm)?),
            "mining.notify" => ServerCall::Notify(Box::new(Notify::from_params(params)?)),
            "mining.set_version_mask" => ServerCall::SetVersionMask(SetVersionMask::from_params(params)?),
            "mining.set_extranonce" => ServerCall::SetExtranonce(SetExtranonce::from_params(params)?),
            "client.reconnect" => ServerCall::Reconnect(Reconnect::from_params(params)?),
            "client.show_message" => ServerCall::ShowMessage(ShowMessage::from_params(params)?),
            "client.get_version" => ServerCall::GetVersion,
            "mining.ping" => ServerCall::Ping,
            other => ServerCall::Unknown(other.chars().take(64).collect()),
        })
    }
}
