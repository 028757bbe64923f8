//! Open jobs: what they are, which connection works on which, and when they end.

pub mod assign;
pub mod book;
pub mod range;
pub mod search;
