//! What a sponsor asks for: every field checked, every wrong one named with what was found and what is accepted.

mod fields;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use fields::FieldError;
use fields::{Fields, error, vector, word};

use super::grid::Grid;
use super::settings::Aovs;

/// Pixels along a side of the picture.
pub const SIDE_MAX: u32 = 8192;
/// Pixels of the picture.
pub const PIXELS_MAX: u64 = 1 << 25;
/// Samples a pixel.
pub const SAMPLES_MAX: u32 = 65_536;
/// Surfaces that a path meets.
pub const DEPTH_MAX: u32 = 64;
/// The largest number of a frame.
pub const FRAME_MAX: u32 = 100_000;
/// Frames of a job.
pub const FRAMES_MAX: u32 = 8192;
/// Elements of a job.
pub const ELEMENTS_MAX: u64 = 1 << 24;

/// A render job.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// BLAKE3 of the binary glTF.
    pub scene: [u8; 32],
    /// Columns of the picture.
    pub width: u32,
    /// Rows of the picture.
    pub height: u32,
    /// Samples a pixel.
    pub samples: u32,
    /// Surfaces that a path meets at most.
    pub max_depth: u32,
    /// Whence the scene is seen.
    pub camera: CameraChoice,
    /// What is seen where there is nothing.
    pub environment: EnvironmentChoice,
    /// The first and the last frame.
    pub frames: [u32; 2],
    /// Frames a second; frame `n` shows the moment `n / fps`.
    pub fps: f64,
    /// The lens's radius in metres; 0 for a pinhole.
    pub aperture: f32,
    /// Metres to what is sharp; the middle of the scene if not given.
    pub focus: Option<f32>,
    /// Whether the assembled picture is denoised.
    pub denoise: bool,
    /// Pictures of the result beside the picture.
    pub aovs: Aovs,
    /// Another seed gives other noise.
    pub seed: u32,
    /// The file that is wanted.
    pub output: Output,
    /// Stops by which the picture is made lighter before tone mapping.
    pub exposure: f32,
    /// How radiance becomes display values (PNG only).
    pub tone: Tone,
}

/// Whence a scene is seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CameraChoice {
    /// The scene's first perspective camera; if there is none, one that frames everything.
    #[default]
    Default,
    /// A place among the scene's camera nodes, in the order of its tree.
    Index(u32),
    /// The name of a camera or of its node.
    Name(String),
    /// A camera of the sponsor's own.
    Explicit {
        /// Where it is.
        position: [f32; 3],
        /// What it looks at.
        target: [f32; 3],
        /// What is up.
        up: [f32; 3],
        /// The vertical angle of view.
        fov_degrees: f32,
    },
}

/// What is seen where there is nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum EnvironmentChoice {
    /// Black if the scene has lights of its own, else white of radiance 1.
    #[default]
    Default,
    /// One colour.
    Color([f32; 3]),
    /// An equirectangular picture.
    Picture {
        /// BLAKE3 of the EXR or Radiance HDR file.
        digest: [u8; 32],
        /// Degrees about the y axis.
        rotation: f32,
        /// Multiplies its radiance.
        strength: f32,
    },
}

/// The file that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Tone-mapped, 8 bits a channel.
    Png8,
    /// Tone-mapped, 16 bits a channel.
    Png16,
    /// Linear, half precision; depth stays in single.
    ExrHalf,
    /// Linear, single precision.
    ExrFloat,
}

/// How radiance becomes display values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// Clipped at 1, then encoded as sRGB.
    #[default]
    Srgb,
    /// Narkowicz's curve of film first, which rolls highlights off.
    Filmic,
}

impl Spec {
    /// Reads a spec; all wrong fields are named at once.
    pub fn parse(value: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(value, "");
        let defaults = (CameraChoice::Default, EnvironmentChoice::Default);
        let lens = fields.object("lens");
        let spec = Self {
            scene: fields.required("scene", digest, "the BLAKE3 digest of an uploaded .glb, 64 lower-case hex digits"),
            width: fields.integer("width", 1, SIDE_MAX, None),
            height: fields.integer("height", 1, SIDE_MAX, None),
            samples: fields.integer("samples", 1, SAMPLES_MAX, Some(64)),
            max_depth: fields.integer("max_depth", 1, DEPTH_MAX, Some(8)),
            camera: fields.choice("camera", camera).unwrap_or(defaults.0),
            environment: fields.choice("environment", environment).unwrap_or(defaults.1),
            frames: fields
                .optional("frames", frames, "[first, last], from 0 to 100000, first <= last, at most 8192 frames")
                .unwrap_or([0, 0]),
            fps: fields.optional("fps", fps, "a number from 0.001 to 1000").unwrap_or(24.0),
            aperture: 0.0,
            focus: None,
            denoise: fields.optional("denoise", Value::as_bool, "true or false").unwrap_or(false),
            aovs: fields
                .optional("aovs", layers, "a list of albedo, normal, depth, each at most once")
                .unwrap_or_default(),
            seed: fields.integer("seed", 0, u32::MAX, Some(0)),
            output: output(&mut fields),
            exposure: fields.number("exposure", -32.0, 32.0).unwrap_or(0.0),
            tone: fields.optional("tone", tone, "\"srgb\" or \"filmic\"").unwrap_or_default(),
        };
        let spec = match lens {
            None => spec,
            Some(mut lens) => {
                let aperture = lens.number("aperture", 0.0, 1000.0).unwrap_or(0.0);
                let focus = lens.number("focus", 1e-6, 1e9);
                fields.errors.extend(lens.finish());
                Self { aperture, focus, ..spec }
            }
        };
        let mut errors = fields.finish();
        let mut wrong = |field: &str, found: String, accepts: String| {
            errors.push(FieldError { field: field.to_owned(), found, accepts });
        };
        let pixels = u64::from(spec.width) * u64::from(spec.height);
        if pixels > PIXELS_MAX {
            wrong("width", format!("{pixels} pixels"), format!("at most {PIXELS_MAX} pixels"));
        }
        if spec.aovs != Aovs::default() && matches!(spec.output, Output::Png8 | Output::Png16) {
            wrong("aovs", "layers with output \"png\"".to_owned(), "layers with output \"exr\" only".to_owned());
        }
        let elements = Grid::of(&spec).elements();
        if errors.is_empty() && elements > ELEMENTS_MAX {
            let accepts = format!("at most {ELEMENTS_MAX} blocks of 16x16 pixels by passes by frames");
            errors.push(FieldError { field: "frames".to_owned(), found: format!("{elements} elements"), accepts });
        }
        if errors.is_empty() { Ok(spec) } else { Err(errors) }
    }

    /// The layers that workers have to compute: those asked for, and those that guide the denoiser.
    pub fn layers(&self) -> Aovs {
        let Aovs { albedo, normal, depth } = self.aovs;
        Aovs { albedo: albedo || self.denoise, normal: normal || self.denoise, depth: depth || self.denoise }
    }

    /// The seed of a frame's noise, so that no two frames have the same.
    pub fn frame_seed(&self, frame: u32) -> u32 {
        self.seed.wrapping_add(frame.wrapping_mul(0x9E37_79B9))
    }

    /// The moment that a frame shows, in seconds.
    pub fn time(&self, frame: u32) -> f64 {
        f64::from(frame) / self.fps
    }
}

fn digest(value: &Value) -> Option<[u8; 32]> {
    digest_of(value.as_str()?)
}

/// A digest from its 64 lower-case hex digits.
pub(crate) fn digest_of(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn frames(value: &Value) -> Option<[u32; 2]> {
    let [first, last] = value.as_array()?.as_slice() else { return None };
    let frame = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok()).filter(|&n| n <= FRAME_MAX);
    let (first, last) = (frame(first)?, frame(last)?);
    (first <= last && last - first < FRAMES_MAX).then_some([first, last])
}

fn fps(value: &Value) -> Option<f64> {
    value.as_f64().filter(|fps| (0.001..=1000.0).contains(fps))
}

fn layers(value: &Value) -> Option<Aovs> {
    let mut layers = Aovs::default();
    for name in value.as_array()? {
        let layer = match name.as_str()? {
            "albedo" => &mut layers.albedo,
            "normal" => &mut layers.normal,
            "depth" => &mut layers.depth,
            _ => return None,
        };
        if std::mem::replace(layer, true) {
            return None;
        }
    }
    Some(layers)
}

fn tone(value: &Value) -> Option<Tone> {
    word(value, &[("srgb", Tone::Srgb), ("filmic", Tone::Filmic)])
}

fn camera(value: &Value) -> Result<CameraChoice, Vec<FieldError>> {
    const ACCEPTS: &str = "a camera's index or name, or {\"position\", \"target\", \"up\", \"fov_degrees\"}";
    const FAR: f32 = 1e9;
    match value {
        Value::String(name) => Ok(CameraChoice::Name(name.clone())),
        Value::Object(_) => {
            let mut fields = Fields::of(value, "camera.");
            let point = |value: &Value| vector(value, -FAR, FAR);
            let accepts = "three numbers from -1e9 to 1e9";
            let position = fields.required("position", point, accepts);
            let target = fields.required("target", point, accepts);
            let up = fields.optional("up", point, accepts).unwrap_or([0.0, 1.0, 0.0]);
            let fov_degrees = fields.number("fov_degrees", 0.1, 179.0).unwrap_or(40.0);
            let errors = fields.finish();
            if errors.is_empty() {
                Ok(CameraChoice::Explicit { position, target, up, fov_degrees })
            } else {
                Err(errors)
            }
        }
        other => match other.as_u64().and_then(|index| u32::try_from(index).ok()) {
            Some(index) => Ok(CameraChoice::Index(index)),
            None => Err(vec![error("camera".to_owned(), Some(other), ACCEPTS)]),
        },
    }
}

fn environment(value: &Value) -> Result<EnvironmentChoice, Vec<FieldError>> {
    const ACCEPTS: &str = "the BLAKE3 digest of an uploaded EXR or HDR file, 64 lower-case hex digits";
    if let Some(digest) = digest(value) {
        return Ok(EnvironmentChoice::Picture { digest, rotation: 0.0, strength: 1.0 });
    }
    if !value.is_object() {
        let accepts = format!("{ACCEPTS}, or {{\"digest\", \"rotation\", \"strength\"}}, or {{\"color\"}}");
        return Err(vec![error("environment".to_owned(), Some(value), &accepts)]);
    }
    let mut fields = Fields::of(value, "environment.");
    let color = |value: &Value| vector(value, 0.0, 1e6);
    let choice = match fields.optional("color", color, "three numbers from 0 to 1e6") {
        Some(color) => EnvironmentChoice::Color(color),
        None if fields.errors.is_empty() => {
            let digest = fields.required("digest", digest, ACCEPTS);
            let rotation = fields.number("rotation", -360.0, 360.0).unwrap_or(0.0);
            let strength = fields.number("strength", 0.0, 1e6).unwrap_or(1.0);
            EnvironmentChoice::Picture { digest, rotation, strength }
        }
        None => EnvironmentChoice::Default, // an error is reported
    };
    let errors = fields.finish();
    if errors.is_empty() { Ok(choice) } else { Err(errors) }
}

fn output(fields: &mut Fields<'_>) -> Output {
    let exr = fields.optional("output", |value| word(value, &[("png", false), ("exr", true)]), "\"png\" or \"exr\"");
    let bits = "8 or 16 for \"png\"; 16 (half) or 32 (float) for \"exr\"";
    let read = |value: &Value| match (exr.unwrap_or(false), value.as_u64()?) {
        (false, 8) => Some(Output::Png8),
        (false, 16) => Some(Output::Png16),
        (true, 16) => Some(Output::ExrHalf),
        (true, 32) => Some(Output::ExrFloat),
        _ => None,
    };
    let default = if exr == Some(true) { Output::ExrHalf } else { Output::Png8 };
    fields.optional("bits", read, bits).unwrap_or(default)
}
