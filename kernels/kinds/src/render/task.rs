//! The elements of a frame: a scene, and what is asked of it.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::assemble::element_bytes;
use super::grid::PASS_SAMPLES;
use super::reference::{render_element, render_pixel};
use super::scene::{Scene, SceneError};
use super::settings::{Aovs, BLOCK_PIXELS, Settings, SettingsError};
use super::spec::{DEPTH_MAX, ELEMENTS_MAX, SIDE_MAX};

/// What a frame's section is told: the settings, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionSpec {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) samples: u32,
    pub(super) pass_samples: u32,
    pub(super) max_depth: u32,
    pub(super) seed: u32,
    pub(super) albedo: bool,
    pub(super) normal: bool,
    pub(super) depth: bool,
}

impl SectionSpec {
    pub(super) fn settings(&self) -> Result<Settings, RenderTaskError> {
        let Self { width, height, samples, pass_samples, max_depth, seed, albedo, normal, depth } = *self;
        let aovs = Aovs { albedo, normal, depth };
        for (name, value, max) in [
            ("width", width, SIDE_MAX),
            ("height", height, SIDE_MAX),
            ("pass_samples", pass_samples, PASS_SAMPLES),
            ("max_depth", max_depth, DEPTH_MAX),
        ] {
            if value > max {
                return Err(SettingsError { name, value, min: 1, max }.into());
            }
        }
        let settings = Settings::new([width, height], samples, pass_samples, max_depth, seed, aovs)?;
        match u64::from(settings.elements()) {
            0..=ELEMENTS_MAX => Ok(settings),
            elements => Err(RenderTaskError::Elements(elements)),
        }
    }
}

/// A scene, and what is asked of it.
#[derive(Clone, Debug)]
pub struct RenderTask {
    scene: Scene,
    settings: Settings,
}

/// Why a spec and inputs are no frame.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RenderTaskError {
    /// Not the spec of a section.
    #[error("section: {0}")]
    Spec(String),
    /// A setting out of its range.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// More than a job may have.
    #[error("{0} elements, at most {ELEMENTS_MAX} are accepted")]
    Elements(u64),
    /// A frame has one input: the scene.
    #[error("{0} inputs instead of 1")]
    Inputs(usize),
    /// What the input is not.
    #[error(transparent)]
    Scene(#[from] SceneError),
}

impl RenderTask {
    /// Checks a section.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(spec: &Value, inputs: Vec<Vec<u8>>) -> Result<Self, RenderTaskError> {
        let spec = SectionSpec::deserialize(spec).map_err(|error| RenderTaskError::Spec(error.to_string()))?;
        let settings = spec.settings()?;
        let [scene] = <[Vec<u8>; 1]>::try_from(inputs).map_err(|inputs| RenderTaskError::Inputs(inputs.len()))?;
        Ok(Self { scene: Scene::parse(&scene)?, settings })
    }

    /// The scene.
    #[must_use]
    pub const fn scene(&self) -> &Scene {
        &self.scene
    }

    /// What is asked of it.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn element_bytes(&self) -> usize {
        element_bytes(self.settings.aovs())
    }

    /// One for each pixel of the block, those beyond the picture included.
    pub(crate) const fn parts(&self) -> u32 {
        BLOCK_PIXELS
    }

    pub(crate) fn part_range(&self, part: u32) -> Range<usize> {
        let bytes = 4 * self.settings.aovs().channels();
        let first = part as usize * bytes;
        first..first + bytes
    }

    pub(crate) fn part(&self, element: u32, part: u32) -> Vec<u8> {
        bytes(&render_pixel(&self.scene, &self.settings, element, part))
    }

    pub(crate) fn element(&self, element: u32) -> Vec<u8> {
        bytes(&render_element(&self.scene, &self.settings, element))
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        size_of_val(self.scene.words()) as u64
    }
}

/// An element's numbers as they go over the wire: little-endian.
fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{build, samples};
    use super::*;
    use crate::Kind;
    use crate::range::{Task, TaskError};

    fn spec() -> Value {
        json!({
            "width": 40, "height": 24, "samples": 5, "pass_samples": 2, "max_depth": 6, "seed": 11,
            "albedo": true, "normal": false, "depth": true,
        })
    }

    fn scene() -> Vec<u8> {
        build(&samples::every_feature()).expect("it can be built")
    }

    #[test]
    fn parts_are_where_the_element_has_them() {
        let task = Task::parse(Kind::Render, &spec(), vec![scene()]).expect("a task");
        assert_eq!((task.kind(), task.elements(), task.parts()), (Kind::Render, 18, 256));
        assert_eq!((task.element_bytes(), task.memory_bytes()), (256 * 7 * 4, scene().len() as u64));
        for element in [0, 5, 17] {
            let whole = task.element(element);
            assert_eq!(whole.len(), task.element_bytes());
            for part in (0..task.parts()).step_by(37) {
                assert_eq!(task.part(element, part), whole[task.part_range(part)], "{element}, {part}");
            }
        }
        assert_eq!(task.part_range(255).end, task.element_bytes());
        assert!(task.element(0).iter().any(|byte| *byte != 0));
    }

    #[test]
    fn what_is_no_section_is_refused_by_name() {
        let parse = |spec: &Value, inputs| Task::parse(Kind::Render, spec, inputs).map(drop).map_err(|e| e.to_string());
        let with = |name: &str, value: Value| {
            let mut spec = spec();
            spec[name] = value;
            parse(&spec, vec![scene()]).expect_err("it is wrong")
        };
        assert_eq!(with("width", json!(8193)), "width is 8193, expected 1 to 8192");
        assert_eq!(with("samples", json!(0)), "samples is 0, expected 1 to 1048576");
        assert_eq!(with("pass_samples", json!(65)), "pass_samples is 65, expected 1 to 64");
        assert_eq!(with("max_depth", json!(65)), "max_depth is 65, expected 1 to 64");
        assert!(with("seed", json!("1")).starts_with("section: "));
        assert!(with("sead", json!(1)).contains("sead"));
        assert_eq!(parse(&spec(), Vec::new()).unwrap_err(), "0 inputs instead of 1");
        assert_eq!(parse(&spec(), vec![scene(), scene()]).unwrap_err(), "2 inputs instead of 1");
        assert_eq!(parse(&spec(), vec![vec![1, 2, 3]]).unwrap_err(), "not a scene blob");
        let huge = json!({
            "width": 8192, "height": 8192, "samples": 65, "pass_samples": 1, "max_depth": 1, "seed": 0,
            "albedo": false, "normal": false, "depth": false,
        });
        assert_eq!(parse(&huge, vec![scene()]).unwrap_err(), "17039360 elements, at most 16777216 are accepted");
        assert_eq!(
            Task::parse(Kind::Hash, &spec(), Vec::new()).unwrap_err().to_string(),
            TaskError::NoRange(Kind::Hash).to_string()
        );
    }
}
