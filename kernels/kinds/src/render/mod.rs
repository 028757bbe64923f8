//! Kind `render`: a path tracer over glTF scenes, cut into blocks of pixels.

pub mod model;

mod build;
mod bvh;
mod fast;
mod layout;
mod light;
mod math;
mod reference;
mod rng;
mod scatter;
mod scene;
mod settings;
mod srgb;
mod surface;
mod texture;
mod trace;

pub mod samples;

pub use build::{BuildError, build};
pub use reference::{render_element, render_element_counting, render_pixel};
pub use scene::{Scene, SceneError};
pub use settings::{Aovs, BLOCK, BLOCK_PIXELS, Element, Settings, SettingsError};
pub use trace::Cost;
