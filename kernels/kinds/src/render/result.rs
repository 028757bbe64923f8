//! What becomes of a render job's elements: the file, and a picture of what there is so far.

use serde_json::Value;

use super::assemble::{AssembleError, assemble as frame_of, element_bytes, glimpse};
use super::denoise::denoise;
use super::grid::Grid;
use super::picture::{self, Sequence};
use super::prepare::read as read_spec;
use super::spec::{Output, Spec};
use crate::range::{ResultFile, WriteSeek};

/// Bytes of elements that are read for one preview at most, if one pass is not more.
const PREVIEW_BYTES: u64 = 64 << 20;
/// Pixels of a preview.
const PREVIEW_PIXELS: u64 = 1 << 21;

type Read<'a> = dyn FnMut(u64) -> Result<Option<Vec<u8>>, String> + 'a;

/// Writes the file that the job asks for. Frames are made one after the other.
///
/// # Errors
/// An element that is not there or of a wrong size, or the words of what fails.
pub(crate) fn assemble(spec: &Value, read: &mut Read<'_>, out: &mut dyn WriteSeek) -> Result<ResultFile, String> {
    let spec = read_spec(spec).map_err(|error| error.to_string())?;
    let [first, last] = spec.frames;
    if first == last {
        let file = file(&spec, first, read)?;
        out.write_all(&file).map_err(|error| error.to_string())?;
        let png = matches!(spec.output, Output::Png8 | Output::Png16);
        let media_type = if png { "image/png" } else { "image/x-exr" };
        return Ok(ResultFile { name: picture::name(first, &spec), media_type });
    }
    let mut sequence = Sequence::new(out);
    for frame in first..=last {
        let file = file(&spec, frame, read)?;
        sequence.add(&picture::name(frame, &spec), &file).map_err(|error| error.to_string())?;
    }
    sequence.finish().map_err(|error| error.to_string())?;
    Ok(ResultFile { name: "frames.zip".to_owned(), media_type: "application/zip" })
}

fn file(spec: &Spec, frame: u32, read: &mut Read<'_>) -> Result<Vec<u8>, String> {
    let mut made = frame_of(spec, frame, read).map_err(|error| told(&error))?;
    if !made.is_finished() {
        return Err(format!("frame {frame} is not finished"));
    }
    if spec.denoise {
        denoise(&mut made);
    }
    picture::file(&made, spec).map_err(|error| error.to_string())
}

fn told(error: &AssembleError<String>) -> String {
    error.to_string()
}

/// A PNG of what there is of the frame that was begun last, made smaller if it is large, transparent where nothing is.
///
/// # Errors
/// An element of a wrong size, or the words of what fails.
pub(crate) fn preview(spec: &Value, read: &mut Read<'_>) -> Result<Vec<u8>, String> {
    let spec = read_spec(spec).map_err(|error| error.to_string())?;
    let grid = Grid::of(&spec);
    let frame = begun_last(&grid, read)?;
    let pass_bytes = grid.blocks() * element_bytes(spec.layers()) as u64;
    let passes = u32::try_from(PREVIEW_BYTES / pass_bytes).unwrap_or(u32::MAX).max(1);
    let made = glimpse(&spec, frame, passes, read).map_err(|error| told(&error))?;
    let mut shrink = 1_u32;
    while u64::from(spec.width.div_ceil(shrink)) * u64::from(spec.height.div_ceil(shrink)) > PREVIEW_PIXELS {
        shrink += 1;
    }
    picture::preview(&made, &spec, shrink).map_err(|error| error.to_string())
}

/// Frames are worked on in order, so the last that has its first element is found by halving.
fn begun_last(grid: &Grid, read: &mut Read<'_>) -> Result<u32, String> {
    let (mut begun, mut not) = (0, grid.frames);
    while not - begun > 1 {
        let middle = begun.midpoint(not);
        let there = read(grid.index(grid.first_frame + middle, 0, 0, 0))?.is_some();
        if there {
            begun = middle;
        } else {
            not = middle;
        }
    }
    Ok(grid.first_frame + begun)
}
