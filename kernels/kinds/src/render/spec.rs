//! What a sponsor asks for: every field checked, every wrong one named with what was found and what is accepted.

use std::fmt;

use serde_json::{Map, Value};

use super::grid::Grid;

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
    /// Layers of the result beside the picture.
    pub aovs: Layers,
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

/// What is known of a pixel beside its colour, at the first surface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The surface's own colour.
    pub albedo: bool,
    /// The shading normal in world space.
    pub normal: bool,
    /// The distance along the camera's axis in metres.
    pub depth: bool,
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

/// A field that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the spec.
    pub field: String,
    /// What was found there.
    pub found: String,
    /// What is accepted there.
    pub accepts: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; accepted is {}", self.field, self.found, self.accepts)
    }
}

impl std::error::Error for FieldError {}

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
                .optional("frames", frames, "[first, last], from 0 to 100000, first <= last")
                .unwrap_or([0, 0]),
            fps: fields.optional("fps", fps, "a number from 0.001 to 1000").unwrap_or(24.0),
            aperture: 0.0,
            focus: None,
            denoise: fields.optional("denoise", Value::as_bool, "true or false").unwrap_or(false),
            aovs: fields
                .optional("aovs", layers, "a list of albedo, normal, depth, each at most once")
                .unwrap_or_default(),
            seed: fields.integer("seed", 0, u32::MAX, Some(0)),
            output: fields.output(),
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
        if spec.aovs != Layers::default() && matches!(spec.output, Output::Png8 | Output::Png16) {
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
    pub fn layers(&self) -> Layers {
        let Layers { albedo, normal, depth } = self.aovs;
        Layers { albedo: albedo || self.denoise, normal: normal || self.denoise, depth: depth || self.denoise }
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

/// The members of an object, taken one after another.
struct Fields<'a> {
    map: Map<String, Value>,
    path: &'a str,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl<'a> Fields<'a> {
    fn of(value: &Value, path: &'a str) -> Self {
        let mut fields = Self { map: Map::new(), path, known: Vec::new(), errors: Vec::new() };
        match value {
            Value::Object(map) => fields.map.clone_from(map),
            other => {
                let field = if path.is_empty() { "spec" } else { path.trim_end_matches('.') };
                fields.errors.push(error(field.to_owned(), Some(other), "an object"));
            }
        }
        fields
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.map.remove(name).filter(|value| !value.is_null())
    }

    fn wrong(&mut self, name: &str, found: Option<&Value>, accepts: &str) {
        self.errors.push(error(format!("{}{name}", self.path), found, accepts));
    }

    /// A field as `read` understands it; wrong ones become errors.
    fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(&Value) -> Option<T>, accepts: &str) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.wrong(name, Some(&value), accepts);
        }
        read
    }

    fn required<T: Default>(&mut self, name: &'static str, read: impl FnOnce(&Value) -> Option<T>, accepts: &str) -> T {
        let before = self.errors.len();
        let value = self.optional(name, read, accepts);
        if value.is_none() && self.errors.len() == before {
            self.wrong(name, None, accepts);
        }
        value.unwrap_or_default()
    }

    fn integer(&mut self, name: &'static str, min: u32, max: u32, default: Option<u32>) -> u32 {
        let accepts = format!("a whole number from {min} to {max}");
        let read = |value: &Value| {
            let value = value.as_u64().and_then(|value| u32::try_from(value).ok());
            value.filter(|value| (min..=max).contains(value))
        };
        match default {
            Some(default) => self.optional(name, read, &accepts).unwrap_or(default),
            None => self.required(name, read, &accepts),
        }
    }

    fn number(&mut self, name: &'static str, min: f32, max: f32) -> Option<f32> {
        self.optional(name, |value| number(value, min, max), &format!("a number from {min} to {max}"))
    }

    fn object(&mut self, name: &'static str) -> Option<Fields<'static>> {
        let value = self.take(name)?;
        let path = match name {
            "lens" => "lens.",
            _ => "",
        };
        Some(Fields::of(&value, path))
    }

    fn choice<T>(&mut self, name: &'static str, read: fn(&Value) -> Result<T, Vec<FieldError>>) -> Option<T> {
        let value = self.take(name)?;
        read(&value).map_err(|errors| self.errors.extend(errors)).ok()
    }

    fn output(&mut self) -> Output {
        let exr = self.optional("output", |value| word(value, &[("png", false), ("exr", true)]), "\"png\" or \"exr\"");
        let bits = "8 or 16 for \"png\"; 16 (half) or 32 (float) for \"exr\"";
        let read = |value: &Value| match (exr.unwrap_or(false), value.as_u64()?) {
            (false, 8) => Some(Output::Png8),
            (false, 16) => Some(Output::Png16),
            (true, 16) => Some(Output::ExrHalf),
            (true, 32) => Some(Output::ExrFloat),
            _ => None,
        };
        let default = if exr == Some(true) { Output::ExrHalf } else { Output::Png8 };
        self.optional("bits", read, bits).unwrap_or(default)
    }

    /// All errors; fields that nobody asked for are among them.
    fn finish(mut self) -> Vec<FieldError> {
        let known = self.known.join(", ");
        for (name, value) in std::mem::take(&mut self.map) {
            let name: String = name.chars().take(64).collect();
            self.wrong(&name, Some(&value), &format!("no such field; there are {known}"));
        }
        self.errors
    }
}

fn error(field: String, found: Option<&Value>, accepts: &str) -> FieldError {
    let found = match found {
        None => "missing".to_owned(),
        Some(value) => {
            let text = value.to_string();
            if text.chars().count() <= 80 { text } else { text.chars().take(80).chain(['…']).collect() }
        }
    };
    FieldError { field, found, accepts: accepts.to_owned() }
}

#[expect(clippy::cast_possible_truncation, reason = "rounded to single precision, within the bounds")]
fn number(value: &Value, min: f32, max: f32) -> Option<f32> {
    let value = value.as_f64()? as f32;
    (min..=max).contains(&value).then_some(value)
}

fn vector(value: &Value, min: f32, max: f32) -> Option<[f32; 3]> {
    let [x, y, z] = value.as_array()?.as_slice() else { return None };
    Some([number(x, min, max)?, number(y, min, max)?, number(z, min, max)?])
}

fn word<T: Copy>(value: &Value, words: &[(&str, T)]) -> Option<T> {
    let found = value.as_str()?;
    words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning)
}

fn digest(value: &Value) -> Option<[u8; 32]> {
    let text = value.as_str()?.as_bytes();
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
    (first <= last).then_some([first, last])
}

fn fps(value: &Value) -> Option<f64> {
    value.as_f64().filter(|fps| (0.001..=1000.0).contains(fps))
}

fn layers(value: &Value) -> Option<Layers> {
    let mut layers = Layers::default();
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn minimal() -> Value {
        json!({ "scene": "ab".repeat(32), "width": 640, "height": 360 })
    }

    fn with(field: &str, value: Value) -> Value {
        let mut spec = minimal();
        spec[field] = value;
        spec
    }

    #[test]
    fn three_fields_are_enough() {
        let spec = Spec::parse(&minimal()).expect("a spec");
        assert_eq!((spec.scene, spec.width, spec.height), ([0xAB; 32], 640, 360));
        assert_eq!((spec.samples, spec.max_depth, spec.frames, spec.fps), (64, 8, [0, 0], 24.0));
        assert_eq!((spec.output, spec.tone, spec.seed), (Output::Png8, Tone::Srgb, 0));
        assert_eq!((spec.camera, spec.environment), (CameraChoice::Default, EnvironmentChoice::Default));
    }

    #[test]
    fn every_field_is_read() {
        let spec = json!({
            "scene": "00".repeat(32), "width": 64, "height": 32, "samples": 7, "max_depth": 3,
            "camera": { "position": [1, 2, 3], "target": [0, 0, 0], "up": [0, 0, 1], "fov_degrees": 50 },
            "environment": { "digest": "cd".repeat(32), "rotation": 90, "strength": 2 },
            "frames": [3, 9], "fps": 30, "lens": { "aperture": 0.1, "focus": 4 }, "denoise": true,
            "aovs": ["depth", "albedo"], "seed": 5, "output": "exr", "bits": 32, "exposure": -1, "tone": "filmic",
        });
        let spec = Spec::parse(&spec).expect("a spec");
        assert_eq!((spec.samples, spec.max_depth, spec.frames, spec.fps), (7, 3, [3, 9], 30.0));
        let up = [0.0, 0.0, 1.0];
        let camera = CameraChoice::Explicit { position: [1.0, 2.0, 3.0], target: [0.0; 3], up, fov_degrees: 50.0 };
        assert_eq!(spec.camera, camera);
        let environment = EnvironmentChoice::Picture { digest: [0xCD; 32], rotation: 90.0, strength: 2.0 };
        assert_eq!(spec.environment, environment);
        assert_eq!((spec.aperture, spec.focus), (0.1, Some(4.0)));
        assert_eq!(spec.aovs, Layers { albedo: true, normal: false, depth: true });
        assert_eq!(spec.layers(), Layers { albedo: true, normal: true, depth: true });
        assert_eq!((spec.output, spec.tone, spec.exposure), (Output::ExrFloat, Tone::Filmic, -1.0));
        assert_eq!(spec.time(15), 0.5);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let cases = [
            ("scene", json!("AB".repeat(32))),
            ("scene", Value::Null),
            ("width", json!(0)),
            ("width", json!(8193)),
            ("width", json!(1.5)),
            ("height", json!("360")),
            ("samples", json!(65_537)),
            ("max_depth", json!(0)),
            ("camera", json!(-1)),
            ("camera", json!([0, 1])),
            ("environment", json!("sky.hdr")),
            ("frames", json!([2, 1])),
            ("frames", json!([0])),
            ("frames", json!([0, 100_001])),
            ("fps", json!(0)),
            ("lens", json!(3)),
            ("denoise", json!("yes")),
            ("aovs", json!(["albedo", "albedo"])),
            ("aovs", json!(["colour"])),
            ("aovs", json!(["albedo"])), // PNG has no layers
            ("seed", json!(-1)),
            ("output", json!("jpeg")),
            ("bits", json!(32)),
            ("exposure", json!(1e9)),
            ("tone", json!("aces")),
            ("transparent", json!(true)),
        ];
        for (field, value) in cases {
            let errors = Spec::parse(&with(field, value.clone())).expect_err(field);
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, [field], "{value}: {errors:?}");
        }
    }

    #[test]
    fn a_wrong_part_of_a_field_is_named() {
        let cases = [
            ("lens", json!({ "aperture": -1 }), "lens.aperture"),
            ("lens", json!({ "focus": 0 }), "lens.focus"),
            ("lens", json!({ "fstop": 8 }), "lens.fstop"),
            ("camera", json!({ "position": [0, 0], "target": [0, 0, 0] }), "camera.position"),
            ("camera", json!({ "position": [0, 0, 1] }), "camera.target"),
            ("camera", json!({ "position": [0, 0, 1], "target": [0, 0, 0], "fov_degrees": 180 }), "camera.fov_degrees"),
            ("environment", json!({ "rotation": 1 }), "environment.digest"),
            ("environment", json!({ "color": [-1, 0, 0] }), "environment.color"),
            ("environment", json!({ "digest": "cd".repeat(32), "strength": -1 }), "environment.strength"),
            ("environment", json!({ "color": [1, 1, 1], "strength": 1 }), "environment.strength"),
        ];
        for (field, value, named) in cases {
            let errors = Spec::parse(&with(field, value)).expect_err(named);
            let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!(fields, [named], "{errors:?}");
        }
    }

    #[test]
    fn all_wrong_fields_are_named_at_once() {
        let spec = json!({ "width": 0, "samples": 0, "colour": 1 });
        let errors = Spec::parse(&spec).expect_err("wrong fields");
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(text.len(), 5, "{text:?}");
        assert_eq!(text[2], "height: missing; accepted is a whole number from 1 to 8192");
        assert_eq!(text[3], "samples: 0; accepted is a whole number from 1 to 65536");
        assert!(text[4].starts_with("colour: 1; accepted is no such field; there are lens, scene"), "{}", text[4]);
        assert_eq!(Spec::parse(&json!([])).expect_err("no object")[0].field, "spec");
    }

    #[test]
    fn what_is_too_large_as_a_whole_is_named() {
        let mut spec = with("width", json!(8192));
        spec["height"] = json!(8192);
        assert_eq!(Spec::parse(&spec).expect_err("too many pixels")[0].field, "width");
        assert_eq!(Spec::parse(&with("frames", json!([0, 100_000]))).expect_err("too many frames")[0].field, "frames");
    }
}
