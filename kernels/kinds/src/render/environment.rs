//! Environments: equirectangular pictures in EXR or Radiance HDR, or one colour.

use std::io::Cursor;

use exr::meta::MetaData;
use exr::prelude::{ReadChannels as _, ReadLayers as _, read};
use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Limits};
use thiserror::Error;

use super::guard::guarded;
use super::model::{Environment, Model};
use super::spec::EnvironmentChoice;

/// Columns of a picture; it has half as many rows.
pub const WIDTH_MAX: usize = 8192;
/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 512 << 20;
/// Radiance of a texel; what is brighter, or infinite, is this bright.
pub const RADIANCE_MAX: f32 = 1e6;
const EXR_CHANNELS_MAX: usize = 64;

/// Why a file is not an environment.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvironmentError {
    /// Neither of the two formats.
    #[error("the environment is neither OpenEXR nor Radiance HDR")]
    Format,
    /// The file is larger than accepted.
    #[error("the environment has {0} bytes; at most {FILE_BYTES_MAX} are accepted")]
    Bytes(usize),
    /// Not a picture of all directions, or a too large one.
    #[error(
        "the environment has {width}x{height} texels; accepted are equirectangular pictures, twice as wide as high, up to {WIDTH_MAX} wide"
    )]
    Size {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// A file that its decoder refuses.
    #[error("the environment is broken: {0}")]
    Broken(String),
}

/// What a job's scene is surrounded by. `file` is the picture, where the choice is one.
///
/// # Errors
/// Whatever [`picture`] finds wrong with the file; a missing one is none of the two formats.
pub fn environment(
    choice: &EnvironmentChoice,
    file: Option<&[u8]>,
    model: &Model,
) -> Result<Environment, EnvironmentError> {
    match *choice {
        EnvironmentChoice::Color(constant) => Ok(Environment { constant, ..Environment::default() }),
        EnvironmentChoice::Picture { rotation, strength, .. } => {
            let mut environment = picture(file.unwrap_or_default())?;
            environment.rotation = rotation.to_radians();
            for value in &mut environment.rgb {
                *value = tame(*value * strength);
            }
            Ok(environment)
        }
        EnvironmentChoice::Default => {
            let constant = if shines(model) { [0.0; 3] } else { [1.0; 3] };
            Ok(Environment { constant, ..Environment::default() })
        }
    }
}

/// Whether a scene has light of its own.
fn shines(model: &Model) -> bool {
    let glows = |material: u32| {
        let material = model.materials.get(material as usize);
        material.is_some_and(|material| material.unlit || material.emissive.iter().any(|&part| part > 0.0))
    };
    !model.lights.is_empty() || model.triangles.iter().any(|triangle| glows(triangle.material))
}

/// Reads a picture of all directions. Negative and undefined radiance becomes 0.
///
/// # Errors
/// A file that is neither EXR nor HDR, is broken, too large, or not twice as wide as high.
pub fn picture(file: &[u8]) -> Result<Environment, EnvironmentError> {
    if file.len() > FILE_BYTES_MAX {
        return Err(EnvironmentError::Bytes(file.len()));
    }
    let decode = || match file {
        [0x76, 0x2F, 0x31, 0x01, ..] => exr(file),
        [b'#', b'?', ..] => hdr(file),
        _ => Err(EnvironmentError::Format),
    };
    guarded(decode).unwrap_or_else(|| Err(EnvironmentError::Broken("its decoder failed".to_owned())))
}

fn sized(width: usize, height: usize) -> Result<(u32, u32), EnvironmentError> {
    let error = EnvironmentError::Size { width, height };
    if height == 0 || width != 2 * height || width > WIDTH_MAX {
        return Err(error);
    }
    match (u32::try_from(width), u32::try_from(height)) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(error),
    }
}

fn tame(value: f32) -> f32 {
    if value > 0.0 { value.min(RADIANCE_MAX) } else { 0.0 }
}

fn hdr(file: &[u8]) -> Result<Environment, EnvironmentError> {
    let broken = |error: image::ImageError| EnvironmentError::Broken(error.to_string());
    let mut reader = ImageReader::with_format(Cursor::new(file), ImageFormat::Hdr);
    let mut limits = Limits::default();
    limits.max_alloc = Some(1 << 30);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = sized(width as usize, height as usize)?;
    let rgb = DynamicImage::from_decoder(decoder).map_err(broken)?.into_rgb32f().into_raw();
    let rgb = rgb.into_iter().map(tame).collect();
    Ok(Environment { width, height, rgb, ..Environment::default() })
}

fn exr(file: &[u8]) -> Result<Environment, EnvironmentError> {
    let broken = |error: exr::error::Error| EnvironmentError::Broken(error.to_string());
    let meta = MetaData::read_from_buffered(Cursor::new(file), false).map_err(broken)?;
    let channels: usize = meta.headers.iter().map(|header| header.channels.list.len()).sum();
    if channels > EXR_CHANNELS_MAX {
        return Err(EnvironmentError::Broken(format!("{channels} channels; at most {EXR_CHANNELS_MAX} are accepted")));
    }
    for header in &meta.headers {
        sized(header.layer_size.width(), header.layer_size.height())?; // before anything of that size is made
    }
    let image = read()
        .no_deep_data()
        .largest_resolution_level()
        .rgb_channels(
            |size, _| (size.width(), vec![0.0_f32; 3 * size.area()]),
            |(width, rgb), place, (red, green, blue): (f32, f32, f32)| {
                let at = 3 * (place.y() * *width + place.x());
                rgb[at..at + 3].copy_from_slice(&[tame(red), tame(green), tame(blue)]);
            },
        )
        .first_valid_layer()
        .all_attributes()
        .non_parallel()
        .from_buffered(Cursor::new(file))
        .map_err(broken)?;
    let size = image.layer_data.size;
    let (width, height) = sized(size.width(), size.height())?;
    let (_, rgb) = image.layer_data.channel_data.pixels;
    Ok(Environment { width, height, rgb, ..Environment::default() })
}

#[cfg(test)]
mod tests {
    use exr::prelude::WritableImage as _;

    use super::*;
    use crate::render::model::{Light, LightKind, Material, Triangle};

    fn made_exr(width: usize, height: usize) -> Vec<u8> {
        use exr::prelude::{Image, SpecificChannels};
        let pixels = |place: exr::prelude::Vec2<usize>| match (place.x(), place.y()) {
            (0, 0) => (f32::INFINITY, f32::NAN, -1.0),
            (x, y) => (x as f32, y as f32, 0.5),
        };
        let mut file = Vec::new();
        let image = Image::from_channels((width, height), SpecificChannels::rgb(pixels));
        image.write().non_parallel().to_buffered(Cursor::new(&mut file)).expect("a file");
        file
    }

    /// A Radiance file without run lengths: 2x1 texels of (1, 0.5, 0) and (0, 0, 2).
    fn made_hdr() -> Vec<u8> {
        let mut file = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1 +X 2\n".to_vec();
        file.extend([128, 64, 0, 129, 0, 0, 128, 130]);
        file
    }

    #[test]
    fn both_formats_are_read() {
        let environment = picture(&made_exr(4, 2)).expect("an EXR");
        assert_eq!((environment.width, environment.height), (4, 2));
        assert_eq!(environment.rgb[..6], [RADIANCE_MAX, 0.0, 0.0, 1.0, 0.0, 0.5]);
        assert_eq!(environment.rgb[12..15], [0.0, 1.0, 0.5]);
        let environment = picture(&made_hdr()).expect("an HDR");
        assert_eq!((environment.width, environment.height), (2, 1));
        for (value, wanted) in environment.rgb.iter().zip([1.0, 0.5, 0.0, 0.0, 0.0, 2.0]) {
            assert!((value - wanted).abs() <= 0.01 * wanted, "{:?}", environment.rgb);
        }
    }

    #[test]
    fn choices_become_environments() {
        let mut model = Model::default();
        let with = |choice: &EnvironmentChoice, model: &Model| environment(choice, Some(&made_exr(4, 2)), model);
        assert_eq!(with(&EnvironmentChoice::Default, &model).expect("white").constant, [1.0; 3]);
        model.materials.push(Material { emissive: [0.0, 3.0, 0.0], ..Material::default() });
        assert_eq!(with(&EnvironmentChoice::Default, &model).expect("nothing glows").constant, [1.0; 3]);
        model.triangles.push(Triangle::default());
        assert_eq!(with(&EnvironmentChoice::Default, &model).expect("black").constant, [0.0; 3]);
        let light = Light { kind: LightKind::Directional { direction: [0.0, -1.0, 0.0] }, intensity: [1.0; 3] };
        let lit = Model { lights: vec![light], ..Model::default() };
        assert_eq!(with(&EnvironmentChoice::Default, &lit).expect("black").constant, [0.0; 3]);
        assert_eq!(with(&EnvironmentChoice::Color([1.0, 2.0, 3.0]), &lit).expect("a colour").constant, [1.0, 2.0, 3.0]);
        let choice = EnvironmentChoice::Picture { digest: [0; 32], rotation: 180.0, strength: 2.0 };
        let environment = with(&choice, &lit).expect("a picture");
        assert_eq!((environment.rotation, environment.rgb[3]), (std::f32::consts::PI, 2.0));
    }

    #[test]
    fn faults_are_told() {
        let text = |file: &[u8]| picture(file).expect_err("a fault").to_string();
        assert_eq!(text(b"\x89PNG"), "the environment is neither OpenEXR nor Radiance HDR");
        assert!(text(&made_exr(4, 4)).contains("has 4x4 texels; accepted are equirectangular pictures"));
        assert!(text(&made_exr(4, 2)[..300]).contains("is broken"));
        assert!(text(&made_hdr()[..50]).contains("is broken"));
        let tall = String::from_utf8_lossy(&made_hdr()[..35]).into_owned() + "\n-Y 4000000000 +X 2\n";
        assert!(text(tall.as_bytes()).contains("the environment"));
    }

    #[test]
    fn mutated_files_never_panic() {
        let mut refused = 0;
        for file in [made_exr(4, 2), made_hdr()] {
            for at in 0..file.len() {
                for change in [1, 0x80, 0xFF] {
                    let mut file = file.clone();
                    file[at] ^= change;
                    match picture(&file) {
                        Ok(picture) => assert_eq!(picture.rgb.len(), 3 * (picture.width * picture.height) as usize),
                        Err(_) => refused += 1,
                    }
                }
                refused += usize::from(picture(&file[..at]).is_err());
            }
        }
        assert!(refused > 300, "{refused}");
    }
}
