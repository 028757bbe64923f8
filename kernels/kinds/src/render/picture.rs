//! Frames become files: PNG, OpenEXR with layers, previews, and a zip of a sequence. The same frame gives the same bytes.

use std::io::{Cursor, Seek, Write};

use exr::prelude::{AnyChannel, AnyChannels, Encoding, FlatSamples, Image, SmallVec, WritableImage as _, f16};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::assemble::Frame;
use super::spec::{Output, Spec};
use super::tone::Display;

/// Why a file is not written.
#[derive(Debug, Error)]
pub enum PictureError {
    /// The PNG encoder's words.
    #[error("png: {0}")]
    Png(#[from] png::EncodingError),
    /// The EXR encoder's words.
    #[error("exr: {0}")]
    Exr(#[from] exr::error::Error),
    /// The zip writer's words.
    #[error("zip: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// Where the zip goes to.
    #[error("zip: {0}")]
    Write(#[from] std::io::Error),
}

/// The file that a spec asks for.
///
/// # Errors
/// Whatever the encoder refuses.
pub fn file(frame: &Frame, spec: &Spec) -> Result<Vec<u8>, PictureError> {
    let display = Display::new(spec.exposure, spec.tone);
    match spec.output {
        Output::Png8 => png(frame, display, png::BitDepth::Eight),
        Output::Png16 => png(frame, display, png::BitDepth::Sixteen),
        Output::ExrHalf => exr(frame, spec, true),
        Output::ExrFloat => exr(frame, spec, false),
    }
}

/// The name of a frame's file.
pub fn name(frame: u32, spec: &Spec) -> String {
    let extension = if matches!(spec.output, Output::Png8 | Output::Png16) { "png" } else { "exr" };
    format!("frame_{frame:06}.{extension}")
}

/// A PNG of what is there already, of which each texel is the mean of `shrink` times `shrink` pixels; the rest is
/// transparent.
///
/// # Errors
/// Whatever the encoder refuses.
pub fn preview(frame: &Frame, spec: &Spec, shrink: u32) -> Result<Vec<u8>, PictureError> {
    let display = Display::new(spec.exposure, spec.tone);
    let size = [frame.width.div_ceil(shrink), frame.height.div_ceil(shrink)];
    let mut texels = Vec::with_capacity(4 * (size[0] * size[1]) as usize);
    for texel in (0..size[1]).flat_map(|y| (0..size[0]).map(move |x| [x * shrink, y * shrink])) {
        let light = mean(frame, texel, shrink);
        texels.extend(light.unwrap_or_default().map(|light| byte(display.level(light, 255))));
        texels.push(if light.is_some() { 255 } else { 0 });
    }
    encode_png(size, png::ColorType::Rgba, png::BitDepth::Eight, &texels)
}

/// The mean light of the pixels that are there from a corner on, if any is.
fn mean(frame: &Frame, [left, top]: [u32; 2], side: u32) -> Option<[f32; 3]> {
    let channels = frame.layers.channels();
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for y in top..(top + side).min(frame.height) {
        for x in (left..(left + side).min(frame.width)).filter(|&x| frame.has(x, y)) {
            let place = (y as usize * frame.width as usize + x as usize) * channels;
            for (sum, light) in sum.iter_mut().zip(&frame.values[place..]) {
                *sum += light;
            }
            count += 1.0;
        }
    }
    (count > 0.0).then(|| sum.map(|sum| sum / count))
}

fn byte(level: u16) -> u8 {
    u8::try_from(level).unwrap_or(u8::MAX)
}

fn png(frame: &Frame, display: Display, depth: png::BitDepth) -> Result<Vec<u8>, PictureError> {
    let lights = frame.pixels().flat_map(|pixel| &pixel[..3]);
    let texels: Vec<u8> = match depth {
        png::BitDepth::Sixteen => lights.flat_map(|&light| display.level(light, u16::MAX).to_be_bytes()).collect(),
        _ => lights.map(|&light| byte(display.level(light, 255))).collect(),
    };
    encode_png([frame.width, frame.height], png::ColorType::Rgb, depth, &texels)
}

fn encode_png(
    [width, height]: [u32; 2],
    color: png::ColorType,
    depth: png::BitDepth,
    texels: &[u8],
) -> Result<Vec<u8>, PictureError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.set_source_srgb(png::SrgbRenderingIntent::RelativeColorimetric);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(texels)?;
    writer.finish()?;
    Ok(file)
}

/// Linear light, not exposed; layers as `albedo.R/G/B`, `normal.X/Y/Z` and `Z` (always single) where they were asked for.
fn exr(frame: &Frame, spec: &Spec, half: bool) -> Result<Vec<u8>, PictureError> {
    let channel = |name: &str, place: usize, half: bool| {
        let values = frame.pixels().map(|pixel| pixel[place]);
        let samples = if half {
            let most = f16::MAX.to_f32();
            FlatSamples::F16(values.map(|value| f16::from_f32(value.clamp(-most, most))).collect())
        } else {
            FlatSamples::F32(values.collect())
        };
        AnyChannel::new(name, samples)
    };
    let mut channels: SmallVec<[AnyChannel<FlatSamples>; 4]> = SmallVec::new();
    let [albedo, normal, depth] = frame.layers.offsets();
    let mut group = |names: [&str; 3], first: usize| {
        channels.extend(names.iter().zip(first..).map(|(name, place)| channel(name, place, half)));
    };
    group(["R", "G", "B"], 0);
    if let Some(first) = albedo.filter(|_| spec.aovs.albedo) {
        group(["albedo.R", "albedo.G", "albedo.B"], first);
    }
    if let Some(first) = normal.filter(|_| spec.aovs.normal) {
        group(["normal.X", "normal.Y", "normal.Z"], first);
    }
    if let Some(first) = depth.filter(|_| spec.aovs.depth) {
        channels.push(channel("Z", first, false));
    }
    let size = (frame.width as usize, frame.height as usize);
    let image = Image::from_encoded_channels(size, Encoding::SMALL_LOSSLESS, AnyChannels::sort(channels));
    let mut file = Cursor::new(Vec::new());
    image.write().non_parallel().to_buffered(&mut file)?;
    Ok(file.into_inner())
}

/// A zip of a sequence's frames, stored as they are, without times of its own.
pub struct Sequence<W: Write + Seek>(ZipWriter<W>);

impl<W: Write + Seek> Sequence<W> {
    /// Begins a zip.
    pub fn new(to: W) -> Self {
        Self(ZipWriter::new(to))
    }

    /// Adds a file.
    ///
    /// # Errors
    /// Writing failed.
    pub fn add(&mut self, name: &str, file: &[u8]) -> Result<(), PictureError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(u32::try_from(file.len()).is_err());
        self.0.start_file(name, options)?;
        Ok(self.0.write_all(file)?)
    }

    /// Ends the zip.
    ///
    /// # Errors
    /// Writing failed.
    pub fn finish(self) -> Result<W, PictureError> {
        Ok(self.0.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::assemble::assemble;
    use super::super::assemble::tests::{block, spec};
    use super::super::settings::Aovs;
    use super::*;

    fn frame(width: u32, height: u32) -> (Spec, Frame) {
        let spec = spec(width, height, 3);
        let mut frame = assemble(&spec, 2, |element| Ok::<_, ()>(Some(block(&spec, element)))).expect("a frame");
        for (place, value) in frame.values.iter_mut().enumerate() {
            *value = if place % 3 == 2 { 2.0 } else { *value / 32.0 };
        }
        (spec, frame)
    }

    fn decoded(file: &[u8]) -> (png::OutputInfo, Vec<u8>) {
        let mut reader = png::Decoder::new(Cursor::new(file)).read_info().expect("a PNG");
        let mut texels = vec![0; reader.output_buffer_size().expect("a size")];
        let info = reader.next_frame(&mut texels).expect("texels");
        (info, texels)
    }

    #[test]
    fn png_holds_display_values() {
        let (spec, frame) = frame(20, 17);
        let (info, texels) = decoded(&file(&frame, &spec).expect("a PNG"));
        assert_eq!((info.width, info.height, info.bit_depth), (20, 17, png::BitDepth::Eight));
        assert_eq!(texels[3 * (16 * 20 + 16)..][..3], [188, 188, 255]); // 0.5, 0.5, clipped 2
        let spec = Spec { output: Output::Png16, exposure: -1.0, ..spec };
        let (info, texels) = decoded(&file(&frame, &spec).expect("a PNG"));
        assert_eq!(info.bit_depth, png::BitDepth::Sixteen);
        let pixel: Vec<u16> =
            texels[6 * (16 * 20 + 16)..][..6].chunks(2).map(|b| u16::from_be_bytes([b[0], b[1]])).collect();
        assert_eq!(pixel, [35_199, 35_199, 65_535]); // 0.25 encodes to 0.53710
    }

    #[test]
    fn exr_holds_light_and_layers() {
        use exr::prelude::{ReadChannels as _, ReadLayers as _, read};
        let (spec, mut frame) = frame(20, 17);
        let layers = Aovs { albedo: true, normal: true, depth: true };
        let pixel = [70_000.0, 0.5, 0.1, 0.2, 0.3, 0.4, 0.0, -1.0, 0.0, 123_456.0];
        frame.values = pixel.repeat(20 * 17);
        frame.layers = layers;
        for (output, red) in [(Output::ExrHalf, 65_504.0), (Output::ExrFloat, 70_000.0)] {
            let spec = Spec { output, aovs: Aovs { albedo: false, ..layers }, ..spec.clone() };
            let bytes = file(&frame, &spec).expect("an EXR");
            assert_eq!(bytes, file(&frame, &spec).expect("an EXR"));
            let image = read().no_deep_data().largest_resolution_level().all_channels().first_valid_layer();
            let image = image.all_attributes().non_parallel().from_buffered(Cursor::new(bytes)).expect("an EXR");
            let found: Vec<(String, f32)> = image
                .layer_data
                .channel_data
                .list
                .iter()
                .map(|channel| (channel.name.to_string(), channel.sample_data.value_by_flat_index(30).to_f32()))
                .collect();
            let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["B", "G", "R", "Z", "normal.X", "normal.Y", "normal.Z"]);
            assert_eq!((found[2].1, found[1].1, found[3].1, found[5].1), (red, 0.5, 123_456.0, -1.0));
        }
    }

    #[test]
    fn a_preview_is_transparent_where_nothing_is_yet() {
        let spec = spec(32, 16, 1);
        let some = |element: u64| Ok::<_, ()>((element == 1).then(|| block(&spec, element)));
        let frame = assemble(&spec, 2, some).expect("a frame");
        let (_, texels) = decoded(&preview(&frame, &spec, 1).expect("a PNG"));
        assert_eq!((texels[3], texels[4 * 16 + 3]), (0, 255));
        assert_eq!(texels[4 * 16..][..3], [255, 0, 255]);
        let (info, texels) = decoded(&preview(&frame, &spec, 3).expect("a PNG"));
        assert_eq!((info.width, info.height), (11, 6));
        // The sixth texel lies across the border, and is the mean of what is there of it.
        assert_eq!((texels[4 * 4 + 3], texels[4 * 5 + 3], texels[4 * 5]), (0, 255, 255));
    }

    #[test]
    fn a_sequence_is_a_zip_of_its_frames() {
        let (spec, frame) = frame(4, 4);
        let made = || {
            let mut sequence = Sequence::new(Cursor::new(Vec::new()));
            for number in [2, 3] {
                sequence.add(&name(number, &spec), &file(&frame, &spec).expect("a PNG")).expect("a frame");
            }
            sequence.finish().expect("an end").into_inner()
        };
        let bytes = made();
        assert_eq!(bytes, made());
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).expect("a zip");
        assert_eq!(archive.file_names().collect::<Vec<_>>(), ["frame_000002.png", "frame_000003.png"]);
        let mut contents = Vec::new();
        archive.by_name("frame_000003.png").expect("a frame").read_to_end(&mut contents).expect("its bytes");
        assert_eq!(contents, file(&frame, &spec).expect("a PNG"));
    }
}
