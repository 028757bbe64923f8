//! Kind `render`: a path tracer over glTF scenes, cut into blocks of pixels.

pub mod assemble;
pub mod denoise;
pub mod environment;
pub mod grid;
mod guard;
pub mod import;
pub mod model;
pub mod picture;
pub mod spec;
pub mod tone;
