//! Jobs that are a range of elements: what a kind has to tell of them, and what it does for them.
//!
//! A job's elements are numbered from 0 to N. Consecutive ones that need the same things are a [`Section`]: a render's
//! frame. What computes a section's elements is a [`Task`], which anybody who has the section's spec and inputs can make.
//! The pool [`prepare`]s a job into sections and [`assemble`]s its elements' bytes into the sponsor's file.

mod job;
mod task;

use serde_json::Value;

use crate::Kind;
use crate::render;

pub use job::{FieldError, Input, Pilot, PrepareError, Prepared, ResultFile, Section, Store, WriteSeek};
pub use task::{Task, TaskError};

/// Cuts a job into sections, makes their inputs, and counts what its elements cost. The same spec and inputs give the same
/// again.
///
/// # Errors
/// Every field that cannot be done, or the store's failure.
pub fn prepare(kind: Kind, spec: &Value, store: &mut dyn Store) -> Result<Prepared, PrepareError> {
    match kind {
        Kind::Hash => Err(no_range(kind)),
        Kind::Render => render::prepare(spec, store),
    }
}

/// Writes the file of a job, all of whose elements `read` has by their numbers in the job.
///
/// # Errors
/// An element that is missing or of a wrong size, or the words of `read` or of what writes.
pub fn assemble(
    kind: Kind,
    spec: &Value,
    read: &mut dyn FnMut(u64) -> Result<Option<Vec<u8>>, String>,
    out: &mut dyn WriteSeek,
) -> Result<ResultFile, String> {
    match kind {
        Kind::Hash => Err(no_range(kind).to_string()),
        Kind::Render => render::assemble_file(spec, read, out),
    }
}

/// A PNG of those elements that `read` has, or `None` where the kind has no picture.
///
/// # Errors
/// An element of a wrong size, or the words of `read` or of what writes.
pub fn preview(
    kind: Kind,
    spec: &Value,
    read: &mut dyn FnMut(u64) -> Result<Option<Vec<u8>>, String>,
) -> Result<Option<Vec<u8>>, String> {
    match kind {
        Kind::Hash => Ok(None),
        Kind::Render => render::preview(spec, read).map(Some),
    }
}

fn no_range(kind: Kind) -> PrepareError {
    let detail = format!("kind {kind} is not cut into ranges");
    PrepareError::Fields(vec![FieldError { field: "spec".to_owned(), detail }])
}
