//! Kind `render`: a path tracer over glTF scenes, cut into blocks of pixels.

pub mod environment;
pub mod grid;
mod guard;
pub mod import;
pub mod model;
pub mod spec;
