//! Kind `render`: a path tracer over glTF scenes, cut into blocks of pixels.
//!
//! The pool turns a sponsor's [`spec`] and file into a [`model`] ([`import`], [`environment`]), and the model into one flat
//! [`Scene`] ([`build`]) that every device reads. [`render_element`] defines what an element of the [`grid`] is;
//! [`assemble`] puts elements together, and [`picture`] writes the file.

pub mod assemble;
mod build;
mod bvh;
pub mod denoise;
pub mod environment;
mod fast;
pub mod grid;
mod guard;
pub mod import;
mod layout;
mod light;
mod math;
pub mod model;
pub mod picture;
mod pilot;
mod prepare;
mod reference;
mod result;
mod rng;
pub mod samples;
mod scatter;
mod scene;
mod settings;
pub mod spec;
mod srgb;
mod surface;
mod task;
mod texture;
pub mod tone;
mod trace;

pub use build::{BuildError, build};
pub use prepare::BYTES_MAX;
pub(crate) use prepare::prepare;
pub use reference::{render_element, render_element_counting, render_pixel};
pub(crate) use result::{assemble as assemble_file, preview};
pub use scene::{Scene, SceneError};
pub use settings::{Aovs, BLOCK, BLOCK_PIXELS, Element, Settings, SettingsError};
pub use task::{RenderTask, RenderTaskError};
pub use trace::{Cost, OPERATIONS};
