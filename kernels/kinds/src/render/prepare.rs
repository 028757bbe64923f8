//! A render job becomes sections: one for each frame, with its scene.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;

use super::assemble::element_bytes;
use super::environment::{self, EnvironmentError};
use super::grid::Grid;
use super::import::{Import, ImportError, View};
use super::model::{Environment, Model};
use super::pilot::Plan;
use super::scene::Scene;
use super::settings::BLOCK_PIXELS;
use super::spec::{EnvironmentChoice, Spec};
use super::task::SectionSpec;
use super::{build, spec};
use crate::range::{FieldError, Input, Pilot, PrepareError, Prepared, Section, Store};

/// Bytes of all of a job's scenes together.
pub const BYTES_MAX: u64 = 2 << 30;
/// Pixels within the picture to recompute of a unit that is audited, in the mean.
const AUDIT_PIXELS: u64 = 16;
/// Notes that are told at most.
const NOTES_MAX: usize = 100;

/// What is made of a frame: its scene and what its elements cost.
#[derive(Clone)]
struct Made {
    input: Input,
    counts: Vec<Vec<u64>>,
}

/// Cuts a render job into sections and counts what they cost.
///
/// # Errors
/// The fields that cannot be done, or the store's failure.
pub(crate) fn prepare(spec: &Value, store: &mut dyn Store) -> Result<Prepared, PrepareError> {
    let spec = read(spec)?;
    let file = open(store, "scene", &spec.scene)?;
    let surroundings = match &spec.environment {
        EnvironmentChoice::Picture { digest, .. } => Some(open(store, "environment", digest)?),
        _ => None,
    };
    let import = Import::open(&file).map_err(|error| of_import(&error))?;
    let mut frames = Frames { spec: &spec, surroundings, plan: Plan::of(&spec), made: HashMap::new(), bytes: 0 };
    let mut notes = Vec::new();
    let mut sections = Vec::new();
    let mut pilot = frames.pilot();
    let mut last: Option<(Model, Made)> = None;
    let [first_frame, last_frame] = spec.frames;
    for frame in first_frame..=last_frame {
        let imported = import.at(&frames.view(frame)).map_err(|error| of_import(&error))?;
        for note in imported.notes {
            if notes.len() < NOTES_MAX && !notes.contains(&note) {
                notes.push(note);
            }
        }
        // Where nothing moves, nothing is made anew.
        let made = match last.take().filter(|(model, _)| *model == imported.model) {
            Some((_, made)) => made,
            None => frames.make(imported.model.clone(), frame, store)?,
        };
        pilot.counts.extend(made.counts.iter().cloned());
        sections.push(frames.section(frame, made.input));
        last = Some((imported.model, made));
    }
    let element_bytes = element_bytes(spec.layers()) as u64;
    Ok(Prepared { sections, pilot, element_bytes, parts: BLOCK_PIXELS, audit_parts: audit_parts(&spec), notes })
}

/// Parts beyond the picture are 0 for everybody and catch nobody, so where there are many of them more are drawn.
fn audit_parts(spec: &Spec) -> u32 {
    let all = Grid::of(spec).blocks() * u64::from(BLOCK_PIXELS);
    let parts = (AUDIT_PIXELS * all).div_ceil(u64::from(spec.width) * u64::from(spec.height));
    u32::try_from(parts).expect("a block has at least one pixel")
}

/// Frames in the making.
struct Frames<'a> {
    spec: &'a Spec,
    /// The environment's file.
    surroundings: Option<Vec<u8>>,
    plan: Plan,
    /// By the digest of its scene.
    made: HashMap<[u8; 32], Made>,
    /// Of all scenes so far.
    bytes: u64,
}

impl Frames<'_> {
    fn pilot(&self) -> Pilot {
        let grid = Grid::of(self.spec);
        let (blocks, passes) = (grid.blocks(), u64::from(grid.passes));
        Pilot { section: blocks * passes, period: blocks, run: self.plan.run, counts: Vec::new() }
    }

    fn view(&self, frame: u32) -> View<'_> {
        let Spec { width, height, camera, aperture, focus, .. } = self.spec;
        #[expect(clippy::cast_precision_loss, reason = "sides are below 2^24")]
        let aspect = *width as f32 / *height as f32;
        View { time: self.spec.time(frame), camera, aspect, aperture: *aperture, focus: *focus }
    }

    fn make(&mut self, mut model: Model, frame: u32, store: &mut dyn Store) -> Result<Made, PrepareError> {
        model.environment = self.environment(&model)?;
        let blob = build(&model).map_err(|error| field("scene", error.to_string()))?;
        drop(model);
        let bytes = blob.len() as u64;
        let scene = Scene::parse(&blob).map_err(|error| field("scene", error.to_string()))?;
        if bytes > BYTES_MAX - self.bytes {
            return Err(field("frames", too_much(self.spec.frames, frame)));
        }
        let digest = store.keep(blob).map_err(PrepareError::Store)?;
        if let Some(made) = self.made.get(&digest) {
            return Ok(made.clone());
        }
        self.bytes += bytes;
        let counts = self.plan.counts(&scene, self.spec.frame_seed(frame));
        let made = Made { input: Input { digest, bytes }, counts };
        self.made.insert(digest, made.clone());
        Ok(made)
    }

    fn environment(&self, model: &Model) -> Result<Environment, PrepareError> {
        let made = environment::environment(&self.spec.environment, self.surroundings.as_deref(), model);
        made.map_err(|error: EnvironmentError| field("environment", error.to_string()))
    }

    fn section(&self, frame: u32, input: Input) -> Section {
        let (spec, grid) = (self.spec, Grid::of(self.spec));
        let layers = spec.layers();
        let section = SectionSpec {
            width: spec.width,
            height: spec.height,
            samples: spec.samples,
            pass_samples: grid.pass_samples(),
            max_depth: spec.max_depth,
            seed: spec.frame_seed(frame),
            albedo: layers.albedo,
            normal: layers.normal,
            depth: layers.depth,
        };
        let elements = grid.blocks() * u64::from(grid.passes);
        Section { spec: serde_json::to_value(section).expect("plain data"), inputs: vec![input], elements }
    }
}

/// The spec, with its errors as a job's.
pub(super) fn read(spec: &Value) -> Result<Spec, PrepareError> {
    Spec::parse(spec).map_err(|errors| {
        let error = |error: spec::FieldError| {
            let field = if error.field == "spec" { error.field } else { format!("spec.{}", error.field) };
            FieldError { field, detail: format!("{}; accepted is {}", error.found, error.accepts) }
        };
        PrepareError::Fields(errors.into_iter().map(error).collect())
    })
}

fn open(store: &mut dyn Store, name: &str, digest: &[u8; 32]) -> Result<Vec<u8>, PrepareError> {
    let found = store.open(digest).map_err(PrepareError::Store)?;
    found.ok_or_else(|| field(name, "there is no such blob of yours; upload it first".to_owned()))
}

fn field(name: &str, detail: String) -> PrepareError {
    PrepareError::Fields(vec![FieldError { field: format!("spec.{name}"), detail }])
}

/// The choice of a camera is the sponsor's own; all else is the file's.
fn of_import(error: &ImportError) -> PrepareError {
    match error {
        ImportError::Invalid { at, why } if at == "camera" => field("camera", why.clone()),
        error => field("scene", error.to_string()),
    }
}

fn too_much([first, last]: [u32; 2], frame: u32) -> String {
    format!(
        "the scenes of frames {first} to {frame} alone take more than {BYTES_MAX} bytes; ask for fewer of the {}",
        last - first + 1
    )
}
