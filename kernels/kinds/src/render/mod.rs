//! Kind `render`: a path tracer over glTF scenes, cut into blocks of pixels.

pub mod grid;
pub mod model;
pub mod spec;
