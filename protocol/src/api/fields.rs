//! Reading a JSON object field by field, so that an answer can name every field that is wrong.

use std::fmt::Display;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::integer;

/// One field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldError {
    /// Its path, e.g. `spec.target`.
    pub field: String,
    /// What is wrong and what would be right.
    pub detail: String,
}

/// An object being read. Each getter notes what is wrong and goes on; [`Fields::finish`] tells all.
#[derive(Debug)]
pub struct Fields {
    prefix: &'static str,
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    /// Starts reading `value`, whose fields are called `prefix` + name in errors.
    ///
    /// # Errors
    /// It is not an object.
    pub fn of(value: Value, prefix: &'static str) -> Result<Fields, Vec<FieldError>> {
        match value {
            Value::Object(object) => Ok(Fields { prefix, object, errors: Vec::new() }),
            _ => {
                let field = prefix.trim_end_matches('.').to_owned();
                Err(vec![FieldError { field, detail: "must be a JSON object".into() }])
            }
        }
    }

    /// Notes that `name` is wrong.
    pub fn fault(&mut self, name: &str, detail: impl Display) {
        self.errors.push(FieldError { field: format!("{}{name}", self.prefix), detail: detail.to_string() });
    }

    /// Takes a field as it is; null counts as absent.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    fn require(&mut self, name: &str) -> Option<Value> {
        let value = self.take(name);
        if value.is_none() {
            self.fault(name, "is missing");
        }
        value
    }

    /// A required field of any form.
    pub fn value(&mut self, name: &str) -> Option<Value> {
        self.require(name)
    }

    /// A required string, read by `read`.
    pub fn text_with<T, E: Display>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let value = self.require(name)?;
        let Some(text) = value.as_str() else {
            self.fault(name, "must be a string");
            return None;
        };
        read(text).map_err(|error| self.fault(name, error)).ok()
    }

    /// A required string of a type that reads itself.
    pub fn text<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        self.text_with(name, str::parse)
    }

    /// A string that may be absent; the outer `None` is a fault.
    pub fn optional_text<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<Option<T>> {
        if self.object.get(name).is_none_or(Value::is_null) {
            self.object.remove(name);
            return Some(None);
        }
        self.text(name).map(Some)
    }

    /// A required integer within `low..=high`, as a number or a decimal string.
    pub fn integer(&mut self, name: &str, low: u128, high: u128) -> Option<u128> {
        let value = self.require(name)?;
        let found = integer(&value).filter(|found| (low..=high).contains(found));
        if found.is_none() {
            self.fault(name, format_args!("must be an integer from {low} to {high}"));
        }
        found
    }

    /// An integer that may be absent; the outer `None` is a fault.
    pub fn optional_integer(&mut self, name: &str, low: u128, high: u128) -> Option<Option<u128>> {
        if self.object.get(name).is_none_or(Value::is_null) {
            self.object.remove(name);
            return Some(None);
        }
        self.integer(name, low, high).map(Some)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All that was noted, and every field that nothing asked for.
    pub fn finish(mut self) -> Result<(), Vec<FieldError>> {
        let left: Vec<String> = self.object.keys().map(|name| name.chars().take(64).collect()).collect();
        for name in left {
            self.fault(&name, "is not a field of this request");
        }
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}
