//! Reading PTX: text to tokens, tokens to a syntax tree. What the instructions mean is decided in
//! [`crate::program`].

mod lexer;
pub(crate) mod parser;
pub(crate) mod syntax;

use std::fmt;

pub(crate) use parser::parse;

/// Why a PTX text is not accepted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The line, counted from 1; 0 where no line is to blame.
    pub(crate) line: u32,
    /// What is wrong there.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(line: u32, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PTX line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for Refusal {}
