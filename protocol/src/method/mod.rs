//! The messages of stratum V1 and of the extension `lode-work`, one type a message, one file a type.
//!
//! Each reads itself from JSON parameters (`from_params`) and writes itself (`to_params`), so that
//! pool and miner share one definition. [`ClientCall`] is what a pool can be asked, [`ServerCall`]
//! what a miner can be told.

pub mod assign;
pub mod authorize;
pub mod configure;
pub mod get_version;
pub mod notify;
pub mod prove;
pub mod reconnect;
pub mod release;
pub mod revoke;
pub mod set_difficulty;
pub mod set_extranonce;
pub mod set_version_mask;
pub mod show_message;
pub mod submit;
pub mod subscribe;
pub mod suggest_difficulty;
pub mod unit_submit;

pub use assign::{Assign, AssignInput};
pub use authorize::{Authorize, PasswordOptions};
pub use configure::{Configure, ConfigureReply, HttpAt, LodeWork, LodeWorkReply, VersionRolling};
pub use get_version::GetVersion;
pub use notify::{Notify, NotifyParts};
pub use prove::{Prove, ProveReply};
pub use reconnect::Reconnect;
pub use release::{Release, ReleaseReason};
pub use revoke::Revoke;
pub use set_difficulty::SetDifficulty;
pub use set_extranonce::SetExtranonce;
pub use set_version_mask::SetVersionMask;
pub use show_message::ShowMessage;
pub use submit::{NonceForm, Submit};
pub use subscribe::{Subscribe, SubscribeReply};
pub use suggest_difficulty::SuggestDifficulty;
pub use unit_submit::UnitSubmit;

use std::fmt::Display;
use std::str::FromStr;

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

    /// A text of a type that reads itself.
    fn parsed<T: FromStr<Err: Display>>(&self, index: usize, name: &'static str) -> Result<T, ParamError> {
        let text = self.text(index, name)?;
        text.parse().map_err(|error: T::Err| ParamError::Value { name, what: error.to_string() })
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
    /// `work.prove`
    Prove(Prove),
    /// `work.submit`
    UnitSubmit(UnitSubmit),
    /// `work.release`
    Release(Release),
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
            Prove::METHOD => ClientCall::Prove(Prove::from_params(params)?),
            UnitSubmit::METHOD => ClientCall::UnitSubmit(UnitSubmit::from_params(params)?),
            Release::METHOD => ClientCall::Release(Release::from_params(params)?),
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
    /// `work.assign`
    Assign(Box<Assign>),
    /// `work.revoke`
    Revoke(Revoke),
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
            Assign::METHOD => ServerCall::Assign(Box::new(Assign::from_params(params)?)),
            Revoke::METHOD => ServerCall::Revoke(Revoke::from_params(params)?),
            other => ServerCall::Unknown(other.chars().take(64).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Message;
    use proptest::prelude::*;

    /// A well-formed line of each method, of either side.
    const LINES: [&str; 17] = [
        r#"{"id":1,"method":"mining.configure","params":[["version-rolling","lode-work"],{"version-rolling.mask":"1fffe000","lode-work.key":"0000000000000000000000000000000000000000000000000000000000000000","lode-work.kinds":["render"],"lode-work.slots":4}]}"#,
        r#"{"id":1,"method":"mining.subscribe","params":["agent/1","00000001"]}"#,
        r#"{"id":1,"method":"mining.authorize","params":["a.b","d=1"]}"#,
        r#"{"id":1,"method":"mining.submit","params":["a.b","1","00000000","64b3f3ec","00000000","00002000"]}"#,
        r#"{"id":1,"method":"mining.suggest_difficulty","params":[1.5]}"#,
        r#"{"id":1,"method":"mining.suggest_target","params":["00000000ffff0000000000000000000000000000000000000000000000000000"]}"#,
        r#"{"id":1,"method":"work.prove","params":["00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"]}"#,
        r#"{"id":1,"method":"work.submit","params":["a.b","j1-0","0000000000000000000000000000000000000000000000000000000000000000"]}"#,
        r#"{"id":1,"method":"work.release","params":["a.b","j1-0","failed","why"]}"#,
        r#"{"id":null,"method":"mining.set_difficulty","params":[1.5]}"#,
        r#"{"id":null,"method":"mining.notify","params":["1","0000000000000000000000000000000000000000000000000000000000000000","01","02",["0000000000000000000000000000000000000000000000000000000000000000"],"20000000","1d00ffff","64b3f3ec",true]}"#,
        r#"{"id":null,"method":"mining.set_version_mask","params":["1fffe000"]}"#,
        r#"{"id":null,"method":"mining.set_extranonce","params":["00000001",4]}"#,
        r#"{"id":null,"method":"client.reconnect","params":["host",3333,5]}"#,
        r#"{"id":null,"method":"client.show_message","params":["text"]}"#,
        r#"{"id":null,"method":"work.assign","params":[{"unit":"j1-0","job":"j1","section":0,"kind":"render","spec":{},"inputs":[{"digest":"0000000000000000000000000000000000000000000000000000000000000000","bytes":1}],"first":0,"count":1,"work":"1","ttl_s":30}]}"#,
        r#"{"id":null,"method":"work.revoke","params":["j1-0","ended"]}"#,
    ];

    /// Whether a line is a call of one side or the other.
    fn is_a_call(line: &[u8]) -> bool {
        let Ok(Message::Request(request)) = Message::parse(line) else { return false };
        let known = |algorithm| {
            let asked = ClientCall::from_request(&request, algorithm, NonceForm::Unpadded);
            let told = ServerCall::from_request(&request, algorithm);
            let asked = asked.is_ok_and(|call| !matches!(call, ClientCall::Unknown(_)));
            asked || told.is_ok_and(|call| !matches!(call, ServerCall::Unknown(_)))
        };
        Algorithm::ALL.map(known).into_iter().all(|known| known)
    }

    #[test]
    fn each_line_is_read() {
        for line in LINES {
            assert!(is_a_call(line.as_bytes()), "{line}");
        }
    }

    /// JSON values of every type, with the ends of their ranges.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9a-z]{0,130}".prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The `index`-th value within `value`, itself and containers counted.
    fn nth<'a>(value: &'a mut Value, index: &mut usize) -> Option<&'a mut Value> {
        if *index == 0 {
            return Some(value);
        }
        *index -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| nth(item, index)),
            Value::Object(items) => items.values_mut().find_map(|item| nth(item, index)),
            _ => None,
        }
    }

    proptest! {
        #[test]
        fn bent_bytes_are_read_or_refused(
            line in prop::sample::select(&LINES[..]),
            bends in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = line.as_bytes().to_vec();
            for (at, byte) in bends {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            is_a_call(&bytes);
        }

        #[test]
        fn other_values_are_read_or_refused(
            line in prop::sample::select(&LINES[..]),
            at in 0usize..24,
            value in values(),
        ) {
            let mut json: Value = serde_json::from_str(line).unwrap();
            if let Some(place) = nth(&mut json["params"], &mut at.clone()) {
                *place = value;
            }
            is_a_call(json.to_string().as_bytes());
        }
    }
}
