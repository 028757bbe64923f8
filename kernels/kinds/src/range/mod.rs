//! Jobs that are a range of elements: what a kind has to tell of them, and what it does for them.
//!
//! A job's elements are numbered from 0 to N. Consecutive ones that need the same things are a [`Section`]: a render's
//! frame. What computes a section's elements is a [`Task`], which anybody who has the section's spec and inputs can make.
//! The pool [`prepare`]s a job into sections and [`assemble`]s its elements' bytes into the sponsor's file.

mod job;
mod task;

pub use job::{FieldError, Input, Pilot, PrepareError, Prepared, ResultFile, Section, Store, WriteSeek};
pub use task::{Task, TaskError};
