//! What computes a section's elements.

use std::ops::Range;

use serde_json::Value;
use thiserror::Error;

use crate::Kind;
use crate::render::{RenderTask, RenderTaskError, Scene, Settings};

/// A section's spec and inputs, checked: from here on nothing can go wrong with them. Its elements are numbered from 0,
/// all have as many bytes and as many parts, and are the same wherever they are computed.
#[derive(Clone, Debug)]
pub struct Task(Work);

#[derive(Clone, Debug)]
enum Work {
    Render(RenderTask),
}

/// Why a spec and inputs are no task.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TaskError {
    /// The kind has no ranges.
    #[error("kind {0} is not cut into ranges")]
    NoRange(Kind),
    /// A render's.
    #[error(transparent)]
    Render(#[from] RenderTaskError),
}

impl Task {
    /// Checks a section: its spec, and its inputs in the order in which the section names them.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(kind: Kind, spec: &Value, inputs: Vec<Vec<u8>>) -> Result<Self, TaskError> {
        match kind {
            Kind::Hash => Err(TaskError::NoRange(kind)),
            Kind::Render => Ok(Self(Work::Render(RenderTask::parse(spec, inputs)?))),
        }
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self.0 {
            Work::Render(_) => Kind::Render,
        }
    }

    /// How many elements it has.
    #[must_use]
    pub fn elements(&self) -> u64 {
        match &self.0 {
            Work::Render(task) => u64::from(task.settings().elements()),
        }
    }

    /// Bytes of each element.
    #[must_use]
    pub fn element_bytes(&self) -> usize {
        match &self.0 {
            Work::Render(task) => task.element_bytes(),
        }
    }

    /// Parts of each element: the smallest pieces that can be computed alone.
    #[must_use]
    pub const fn parts(&self) -> u32 {
        match &self.0 {
            Work::Render(task) => task.parts(),
        }
    }

    /// Where a part lies within its element's bytes.
    ///
    /// # Panics
    /// If there is no such part.
    #[must_use]
    pub fn part_range(&self, part: u32) -> Range<usize> {
        assert!(part < self.parts(), "part {part} of {}", self.parts());
        match &self.0 {
            Work::Render(task) => task.part_range(part),
        }
    }

    /// The bytes of a part, computed on this thread.
    ///
    /// # Panics
    /// If there is no such element or part.
    #[must_use]
    pub fn part(&self, element: u64, part: u32) -> Vec<u8> {
        assert!(part < self.parts(), "part {part} of {}", self.parts());
        match &self.0 {
            Work::Render(task) => task.part(self.place(element), part),
        }
    }

    /// The bytes of an element, computed on this thread.
    ///
    /// # Panics
    /// If there is no such element.
    #[must_use]
    pub fn element(&self, element: u64) -> Vec<u8> {
        match &self.0 {
            Work::Render(task) => task.element(self.place(element)),
        }
    }

    /// What a device that renders reads; `None` if it is not a render's.
    #[must_use]
    pub const fn render(&self) -> Option<(&Scene, &Settings)> {
        match &self.0 {
            Work::Render(task) => Some((task.scene(), task.settings())),
        }
    }

    /// Device memory that its inputs take.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        match &self.0 {
            Work::Render(task) => task.memory_bytes(),
        }
    }

    fn place(&self, element: u64) -> u32 {
        let place = u32::try_from(element).ok().filter(|_| element < self.elements());
        place.unwrap_or_else(|| panic!("element {element} of {}", self.elements()))
    }
}
