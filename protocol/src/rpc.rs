//! The JSON-RPC envelope of stratum V1: requests, notifications and responses, one a line.

use serde_json::{Map, Value, json};

use crate::rejection::Rejection;

/// What a request is answered by. Clients use numbers, strings and null, and some use one for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Id {
    /// Null or absent: a notification, which is still answered where the method has an answer.
    #[default]
    Null,
    /// A number, echoed as it came.
    Number(serde_json::Number),
    /// A text, echoed as it came.
    Text(String),
}

impl Id {
    fn from_json(value: Option<&Value>) -> Result<Id, RequestError> {
        match value {
            None | Some(Value::Null) => Ok(Id::Null),
            Some(Value::Number(number)) => Ok(Id::Number(number.clone())),
            Some(Value::String(text)) => Ok(Id::Text(text.clone())),
            Some(_) => Err(RequestError { id: Id::Null, what: "id is not a number, a string or null" }),
        }
    }

    /// As JSON.
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Id::Null => Value::Null,
            Id::Number(number) => Value::Number(number.clone()),
            Id::Text(text) => Value::String(text.clone()),
        }
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Id {
        Id::Number(number.into())
    }
}

/// A call of a method, from either side.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What to answer by.
    pub id: Id,
    /// The method's name.
    pub method: String,
    /// Its positional parameters; absent and null count as none.
    pub params: Vec<Value>,
}

/// An answer to a request that we sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Which request.
    pub id: Id,
    /// The result, or the error as it came.
    pub outcome: Result<Value, Value>,
}

/// One line, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// The peer asks.
    Request(Request),
    /// The peer answers.
    Response(Response),
}

/// A line that is not a message; `id` is what could still be read of its id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct RequestError {
    /// What to answer by.
    pub id: Id,
    /// What is wrong.
    pub what: &'static str,
}

impl Message {
    /// Reads one line.
    ///
    /// # Errors
    /// Not UTF-8, not JSON, not an object, or neither a request nor a response.
    pub fn parse(line: &[u8]) -> Result<Message, RequestError> {
        let fail = |id, what| RequestError { id, what };
        let text = std::str::from_utf8(line).map_err(|_| fail(Id::Null, "line is not UTF-8"))?;
        let value: Value = serde_json::from_str(text).map_err(|_| fail(Id::Null, "line is not JSON"))?;
        let Value::Object(mut object) = value else {
            return Err(fail(Id::Null, "line is not a JSON object"));
        };
        let id = Id::from_json(object.get("id"))?;
        match object.remove("method") {
            Some(Value::String(method)) => {
                let params = match object.remove("params") {
                    None | Some(Value::Null) => Vec::new(),
                    Some(Value::Array(params)) => params,
                    Some(_) => return Err(fail(id, "params is not an array")),
                };
                Ok(Message::Request(Request { id, method, params }))
            }
            Some(_) => Err(fail(id, "method is not a string")),
            None => Message::parse_response(id, object),
        }
    }

    fn parse_response(id: Id, mut object: Map<String, Value>) -> Result<Message, RequestError> {
        let result = object.remove("result");
        let error = object.remove("error").filter(|error| !error.is_null());
        let outcome = match (result, error) {
            (_, Some(error)) => Err(error),
            (Some(result), None) => Ok(result),
            (None, None) => return Err(RequestError { id, what: "neither method, result nor error" }),
        };
        Ok(Message::Response(Response { id, outcome }))
    }
}

/// A request as a line.
#[must_use]
pub fn request_line(id: &Id, method: &str, params: &Value) -> String {
    json!({"id": id.to_json(), "method": method, "params": params}).to_string()
}

/// A notification (id null) as a line.
#[must_use]
pub fn notification_line(method: &str, params: &Value) -> String {
    request_line(&Id::Null, method, params)
}

/// A successful answer as a line.
#[must_use]
pub fn result_line(id: &Id, result: &Value) -> String {
    json!({"id": id.to_json(), "result": result, "error": null}).to_string()
}

/// A refusal as a line.
#[must_use]
pub fn rejection_line(id: &Id, rejection: &Rejection) -> String {
    json!({"id": id.to_json(), "result": null, "error": rejection.to_json()}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn envelopes_of_real_clients() {
        let read = |text: &str| Message::parse(text.as_bytes());
        let Ok(Message::Request(request)) = read(r#"{"id":"auth","method":"mining.authorize","params":["a","x"]}"#)
        else {
            panic!("a request with a string id")
        };
        assert_eq!((request.id, request.params.len()), (Id::Text("auth".into()), 2));
        let Ok(Message::Request(request)) = read(r#"{"method":"mining.ping"}"#) else { panic!("no id, no params") };
        assert_eq!((request.id, request.params.len()), (Id::Null, 0));
        let Ok(Message::Response(response)) = read(r#"{"id":7,"result":"cpuminer/2.5.1","error":null}"#) else {
            panic!("an answer")
        };
        assert_eq!(response.outcome, Ok("cpuminer/2.5.1".into()));
    }

    #[test]
    fn what_is_no_request_is_named() {
        for (line, what) in [
            (&b"\xff\xfe"[..], "line is not UTF-8"),
            (b"{", "line is not JSON"),
            (b"[]", "line is not a JSON object"),
            (br#"{"id":1}"#, "neither method, result nor error"),
            (br#"{"id":1,"method":5}"#, "method is not a string"),
            (br#"{"id":1,"method":"m","params":{"a":1}}"#, "params is not an array"),
            (br#"{"id":[],"method":"m"}"#, "id is not a number, a string or null"),
        ] {
            assert_eq!(Message::parse(line).unwrap_err().what, what);
        }
        let deep = "[".repeat(10_000);
        assert!(Message::parse(deep.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(Message::parse(&bytes));
        }
    }
}
