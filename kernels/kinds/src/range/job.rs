//! A job cut into sections, and what surrounds its making.

use std::fmt;
use std::io::{Seek, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// Consecutive elements of a job that share one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// What the task is told.
    pub spec: Value,
    /// What it reads, in the task's order.
    pub inputs: Vec<Input>,
    /// How many elements it has.
    pub elements: u64,
}

/// A blob that a task reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its BLAKE3 digest; 64 lower-case hex digits in JSON.
    #[serde(with = "hex")]
    pub digest: [u8; 32],
    /// Its length.
    pub bytes: u64,
}

mod hex {
    use std::fmt::Write as _;

    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(64);
        for byte in digest {
            write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = String::deserialize(deserializer)?;
        let digest = crate::render::spec::digest_of(&text);
        digest.ok_or_else(|| D::Error::custom("a digest is 64 lower-case hex digits"))
    }
}

/// What the elements of a job cost, counted on a sparse set of their parts: a table of cells. Every section has as many
/// elements and as many cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pilot {
    /// Elements of a section.
    pub section: u64,
    /// Elements of a section after which the same cells come again.
    pub period: u64,
    /// Consecutive elements that are one cell.
    pub run: u64,
    /// Of each cell, how often one element does each of the kind's [operations](crate::Kind::operations).
    pub counts: Vec<Vec<u64>>,
}

impl Pilot {
    /// Cells of a pilot at most.
    pub const CELLS_MAX: u64 = 8192;

    /// Cells of each section.
    #[must_use]
    pub const fn cells_per_section(&self) -> u64 {
        self.period.div_ceil(self.run)
    }

    /// The cell of an element.
    #[must_use]
    pub const fn cell(&self, element: u64) -> u64 {
        element / self.section * self.cells_per_section() + element % self.section % self.period / self.run
    }
}

/// A job as it can be issued.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Its sections in order, all with as many elements.
    pub sections: Vec<Section>,
    /// What its elements cost.
    pub pilot: Pilot,
    /// Bytes of each element.
    pub element_bytes: u64,
    /// Parts of each element.
    pub parts: u32,
    /// Parts to draw in each unit that is audited.
    pub audit_parts: u32,
    /// What of the inputs is left out, one sentence each, for the sponsor.
    pub notes: Vec<String>,
}

/// Where a job's inputs are had and what is made of them is kept.
pub trait Store {
    /// The bytes of a blob of the sponsor's; `None` if there is no such.
    ///
    /// # Errors
    /// The store's words, when it fails.
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String>;

    /// Keeps what a task will read, and answers its BLAKE3 digest. The same bytes may come more than once.
    ///
    /// # Errors
    /// The store's words, when it fails.
    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String>;
}

/// Why a job cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PrepareError {
    /// What the sponsor asks for cannot be done.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fields(Vec<FieldError>),
    /// The store failed, which is no fault of the sponsor's.
    #[error("store: {0}")]
    Store(String),
}

/// A field of a job that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its path, which begins with `spec`.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.detail)
    }
}

/// What the assembled file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultFile {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
}

/// Where a file is written to.
pub trait WriteSeek: Write + Seek {}

impl<T: Write + Seek> WriteSeek for T {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_the_same_after_json() {
        let input = Input { digest: std::array::from_fn(|at| u8::try_from(at * 7).expect("small")), bytes: 9 };
        let section = Section { spec: serde_json::json!({ "a": 1 }), inputs: vec![input], elements: 3 };
        let text = serde_json::to_string(&section).expect("plain data");
        assert!(text.contains("\"00070e151c"), "{text}");
        assert_eq!(serde_json::from_str::<Section>(&text).expect("its own text"), section);
        assert!(serde_json::from_str::<Section>(&text.replace("0007", "000G")).is_err());
    }

    #[test]
    fn cells_come_again_with_each_pass_and_differ_with_each_section() {
        let pilot = Pilot { section: 20, period: 10, run: 4, counts: Vec::new() };
        let cells: Vec<u64> = (0..40).map(|element| pilot.cell(element)).collect();
        let pass = |first: u64| [0, 0, 0, 0, 1, 1, 1, 1, 2, 2].map(|cell| first + cell);
        assert_eq!(cells, [pass(0), pass(0), pass(3), pass(3)].concat());
    }
}
