//! The members of a JSON object, each taken once, wrong ones collected.

use std::fmt;

use serde_json::{Map, Value};

/// A field that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the spec.
    pub field: String,
    /// What was found there.
    pub found: String,
    /// What is accepted there.
    pub accepts: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; accepted is {}", self.field, self.found, self.accepts)
    }
}

impl std::error::Error for FieldError {}

/// The members of an object, taken one after another.
pub(super) struct Fields<'a> {
    map: Map<String, Value>,
    path: &'a str,
    known: Vec<&'static str>,
    pub(super) errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    pub(super) fn of(value: &Value, path: &'a str) -> Self {
        let mut fields = Self { map: Map::new(), path, known: Vec::new(), errors: Vec::new() };
        match value {
            Value::Object(map) => fields.map.clone_from(map),
            other => {
                let field = if path.is_empty() { "spec" } else { path.trim_end_matches('.') };
                fields.errors.push(error(field.to_owned(), Some(other), "an object"));
            }
        }
        fields
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, found: Option<&Value>, accepts: &str) {
        self.errors.push(error(format!("{}{name}", self.path), found, accepts));
    }

    /// A field as `read` understands it; wrong ones become errors.
    pub(super) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
        accepts: &str,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.wrong(name, Some(&value), accepts);
        }
        read
    }

    pub(super) fn required<T: Default>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Value) -> Option<T>,
        accepts: &str,
    ) -> T {
        let before = self.errors.len();
        let value = self.optional(name, read, accepts);
        if value.is_none() && self.errors.len() == before {
            self.wrong(name, None, accepts);
        }
        value.unwrap_or_default()
    }

    pub(super) fn integer(&mut self, name: &'static str, min: u32, max: u32, default: Option<u32>) -> u32 {
        let accepts = format!("a whole number from {min} to {max}");
        let read = |value: &Value| {
            let value = value.as_u64().and_then(|value| u32::try_from(value).ok());
            value.filter(|value| (min..=max).contains(value))
        };
        match default {
            Some(default) => self.optional(name, read, &accepts).unwrap_or(default),
            None => self.required(name, read, &accepts),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, min: f32, max: f32) -> Option<f32> {
        self.optional(name, |value| number(value, min, max), &format!("a number from {min} to {max}"))
    }

    pub(super) fn object(&mut self, name: &'static str) -> Option<Fields<'static>> {
        let value = self.take(name)?;
        let path = match name {
            "lens" => "lens.",
            _ => "",
        };
        Some(Fields::of(&value, path))
    }

    pub(super) fn choice<T>(
        &mut self,
        name: &'static str,
        read: fn(&Value) -> Result<T, Vec<FieldError>>,
    ) -> Option<T> {
        let value = self.take(name)?;
        read(&value).map_err(|errors| self.errors.extend(errors)).ok()
    }

    /// All errors; fields that nobody asked for are among them.
    pub(super) fn finish(mut self) -> Vec<FieldError> {
        let accepts = format!("one of {}", self.known.join(", "));
        for name in self.map.keys() {
            let name: String = name.chars().take(64).collect();
            let field = format!("{}{name}", self.path);
            self.errors.push(FieldError { field, found: "no such field".to_owned(), accepts: accepts.clone() });
        }
        self.errors
    }
}

pub(super) fn error(field: String, found: Option<&Value>, accepts: &str) -> FieldError {
    let found = match found {
        None => "missing".to_owned(),
        Some(value) => {
            let text = value.to_string();
            if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
        }
    };
    FieldError { field, found, accepts: accepts.to_owned() }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to single precision, within the bounds")]
fn number(value: &Value, min: f32, max: f32) -> Option<f32> {
    let value = value.as_f64()? as f32;
    (min..=max).contains(&value).then_some(value)
}

pub(super) fn vector(value: &Value, min: f32, max: f32) -> Option<[f32; 3]> {
    let [x, y, z] = value.as_array()?.as_slice() else { return None };
    Some([number(x, min, max)?, number(y, min, max)?, number(z, min, max)?])
}

pub(super) fn word<T: Copy>(value: &Value, words: &[(&str, T)]) -> Option<T> {
    let found = value.as_str()?;
    words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning)
}
