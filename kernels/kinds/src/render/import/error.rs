//! Why a file is not rendered.

use thiserror::Error;

/// Why a file is not rendered. The text is shown to the sponsor: it names the place in the file and what is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Not a container of glTF 2.0.
    #[error("not a binary glTF 2.0 file: {0}")]
    Container(String),
    /// JSON that is broken, lacks something or has something of the wrong type.
    #[error("the scene's JSON at {at}: {why}")]
    Json {
        /// The path in the JSON.
        at: String,
        /// The parser's words.
        why: String,
    },
    /// A reference to something that is not there.
    #[error("{at} refers to {list}[{index}], but there are {len}")]
    Index {
        /// Who refers.
        at: String,
        /// The list that is referred to.
        list: &'static str,
        /// The place that is referred to.
        index: u64,
        /// Places that there are.
        len: usize,
    },
    /// Extensions without which the file cannot be read as it is meant.
    #[error("the scene requires {}, which is not supported; supported are {}", .0.join(", "), super::EXTENSIONS.join(", "))]
    Extensions(Vec<String>),
    /// Data that contradict themselves or the standard.
    #[error("{at}: {why}")]
    Invalid {
        /// Where.
        at: String,
        /// What is wrong.
        why: String,
    },
    /// More of something than is accepted.
    #[error("{at}: {found} {what}; at most {max} are accepted")]
    Limit {
        /// Where.
        at: String,
        /// What there is too much of.
        what: &'static str,
        /// How much there is.
        found: u64,
        /// How much is accepted.
        max: u64,
    },
}

impl ImportError {
    pub(super) fn invalid(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { at: at.into(), why: why.into() }
    }
}

/// Fails if there is more of something than is accepted.
pub(super) fn limit(at: &str, what: &'static str, found: usize, max: usize) -> Result<(), ImportError> {
    if found <= max {
        return Ok(());
    }
    Err(ImportError::Limit { at: at.to_owned(), what, found: found as u64, max: max as u64 })
}

/// The item that an index of the file refers to.
pub(super) fn item<'a, T>(items: &'a [T], list: &'static str, index: u32, at: &str) -> Result<&'a T, ImportError> {
    items.get(index as usize).ok_or_else(|| ImportError::Index {
        at: at.to_owned(),
        list,
        index: u64::from(index),
        len: items.len(),
    })
}

/// A number that is neither infinite nor NaN (JSON's 1e99 is infinite in single precision).
pub(super) fn finite(value: f32, at: &str) -> Result<f32, ImportError> {
    if value.is_finite() { Ok(value) } else { Err(ImportError::invalid(at, format!("{value} is not a finite number"))) }
}
