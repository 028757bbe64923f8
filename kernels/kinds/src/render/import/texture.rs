//! Textures: PNG and JPEG images inside the file, decoded once each.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::accessor::Reader;
use super::container::data_uri;
use super::error::{ImportError, item, limit};
use super::json::{Sampler, TextureInfo};
use crate::render::guard::guarded;
use crate::render::model::{Texture, TextureUse, Wrap};

/// Texels along a side of an image.
pub const SIDE_MAX: u32 = 16_384;
/// Texels of all textures.
pub const TEXELS_MAX: usize = 128 << 20;
const TEXTURES_MAX: usize = 1024;

/// A texture is one image, read one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    image: u32,
    srgb: bool,
    wrap: [Wrap; 2],
    nearest: bool,
}

/// The textures that materials use, in the order of their first use.
pub(super) struct Textures<'a> {
    reader: &'a Reader<'a>,
    keys: Vec<Key>,
    textures: Vec<Texture>,
    texels: usize,
}

impl<'a> Textures<'a> {
    pub(super) fn new(reader: &'a Reader<'a>) -> Self {
        Self { reader, keys: Vec::new(), textures: Vec::new(), texels: 0 }
    }

    pub(super) fn into_list(self) -> Vec<Texture> {
        self.textures
    }

    /// A material's use of a texture.
    pub(super) fn used(
        &mut self,
        info: Option<&TextureInfo>,
        srgb: bool,
        at: &str,
    ) -> Result<Option<TextureUse>, ImportError> {
        let Some(info) = info else { return Ok(None) };
        let document = self.reader.document;
        let texture = item(&document.textures, "textures", info.index, at)?;
        let at = format!("textures[{}] ({at})", info.index);
        let Some(image) = texture.source else {
            return Err(ImportError::invalid(at, "it has no source that is PNG or JPEG"));
        };
        let sampler = match texture.sampler {
            Some(index) => item(&document.samplers, "samplers", index, &at)?,
            None => &Sampler::default(),
        };
        let wrap = [wrap(sampler.wrap_s, &at)?, wrap(sampler.wrap_t, &at)?];
        let key = Key { image, srgb, wrap, nearest: sampler.mag_filter == Some(9728) };
        let place = match self.keys.iter().position(|known| *known == key) {
            Some(place) => place,
            None => self.add(key, &at)?,
        };
        let transform = info.extensions.transform.clone().unwrap_or_default();
        let set = match transform.tex_coord.unwrap_or(info.tex_coord) {
            0 => 0,
            1 => 1,
            set => return Err(ImportError::invalid(at, format!("texCoord {set}: only sets 0 and 1 are supported"))),
        };
        let ([x, y], [width, height]) = (transform.offset, transform.scale);
        let (sin, cos) = transform.rotation.sin_cos();
        // Scaled, then turned counter-clockwise as the picture shows it (its second coordinate points down), then moved.
        let matrix = [[cos * width, sin * height, x], [-sin * width, cos * height, y]];
        if !matrix.iter().flatten().all(|cell| cell.is_finite()) {
            return Err(ImportError::invalid(at, "KHR_texture_transform is not finite"));
        }
        let texture = u32::try_from(place).map_err(|_| ImportError::invalid(&at, "too many textures"))?;
        Ok(Some(TextureUse { texture, set, transform: matrix }))
    }

    fn add(&mut self, key: Key, at: &str) -> Result<usize, ImportError> {
        let Key { srgb, wrap, nearest, .. } = key;
        limit("textures", "textures", self.keys.len() + 1, TEXTURES_MAX)?;
        let known = self.keys.iter().position(|known| known.image == key.image);
        let texture = match known {
            Some(place) => {
                let same = &self.textures[place];
                self.texels += same.rgba.len() / 4;
                limit(at, "texels in all textures", self.texels, TEXELS_MAX)?;
                Texture { srgb, wrap, nearest, ..same.clone() }
            }
            None => {
                let (width, height, rgba) = self.decode(key.image, at)?;
                Texture { width, height, rgba, srgb, wrap, nearest }
            }
        };
        self.keys.push(key);
        self.textures.push(texture);
        Ok(self.textures.len() - 1)
    }

    fn decode(&mut self, index: u32, at: &str) -> Result<(u32, u32, Vec<u8>), ImportError> {
        let image = item(&self.reader.document.images, "images", index, at)?;
        let at = match &image.name {
            Some(name) => format!("images[{index}] {name:?}"),
            None => format!("images[{index}]"),
        };
        let owned;
        let bytes: &[u8] = match (image.buffer_view, &image.uri) {
            (Some(view), _) => self.reader.buffers.view(self.reader.document, view, &at)?.0,
            (None, Some(uri)) => {
                owned = data_uri(uri, &at)?;
                &owned
            }
            (None, None) => return Err(ImportError::invalid(at, "it has neither a bufferView nor a URI")),
        };
        let format = match bytes {
            [0x89, b'P', b'N', b'G', ..] => ImageFormat::Png,
            [0xFF, 0xD8, 0xFF, ..] => ImageFormat::Jpeg,
            _ => return Err(ImportError::invalid(at, "it is neither PNG nor JPEG")),
        };
        let left = TEXELS_MAX - self.texels;
        let (width, height, rgba) = guarded(|| rgba(bytes, format, left))
            .unwrap_or_else(|| Err("its decoder failed".to_owned()))
            .map_err(|why| ImportError::invalid(at, why))?;
        self.texels += rgba.len() / 4;
        Ok((width, height, rgba))
    }
}

fn rgba(bytes: &[u8], format: ImageFormat, texels_max: usize) -> Result<(u32, u32, Vec<u8>), String> {
    let broken = |error: image::ImageError| format!("it is broken: {error}");
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(8 * TEXELS_MAX as u64);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(broken)?;
    let (width, height) = decoder.dimensions();
    if width as usize * height as usize > texels_max {
        return Err(format!("{width}x{height} texels are too many: all textures may have {TEXELS_MAX}"));
    }
    let image = DynamicImage::from_decoder(decoder).map_err(broken)?;
    if width == 0 || height == 0 {
        return Err("it is empty".to_owned());
    }
    Ok((width, height, image.into_rgba8().into_raw()))
}

fn wrap(code: u32, at: &str) -> Result<Wrap, ImportError> {
    match code {
        10_497 => Ok(Wrap::Repeat),
        33_648 => Ok(Wrap::Mirror),
        33_071 => Ok(Wrap::Clamp),
        _ => Err(ImportError::invalid(at, format!("its sampler's wrap {code} is none of glTF's"))),
    }
}
