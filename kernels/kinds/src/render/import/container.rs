//! The container of binary glTF: a header, JSON and at most one chunk of bytes; all little-endian.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::{ImportError, item, limit};
use super::json::{Buffer, Document};

/// Bytes of a file.
pub const FILE_BYTES_MAX: usize = 512 << 20;
/// Bytes of a file's JSON.
pub const JSON_BYTES_MAX: usize = 32 << 20;
const BUFFERS_MAX: usize = 64;

const MAGIC: u32 = 0x4654_6C67; // "glTF"
const JSON: u32 = 0x4E4F_534A; // "JSON"
const BIN: u32 = 0x004E_4942; // "BIN\0"

/// A file's two parts.
pub(super) struct Container<'a> {
    pub(super) json: &'a [u8],
    /// Empty where there is none.
    pub(super) bytes: &'a [u8],
}

fn word(file: &[u8], at: usize) -> Option<u32> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Takes a file apart.
pub(super) fn open(file: &[u8]) -> Result<Container<'_>, ImportError> {
    let wrong = |why: String| Err(ImportError::Container(why));
    limit("the file", "bytes", file.len(), FILE_BYTES_MAX)?;
    let (Some(magic), Some(version), Some(length)) = (word(file, 0), word(file, 4), word(file, 8)) else {
        return wrong(format!("{} bytes are too few for its header", file.len()));
    };
    if magic != MAGIC {
        let text = file.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        return wrong(
            if text {
                "it is JSON (.gltf); export it as .glb, with everything embedded"
            } else {
                "it does not begin with \"glTF\""
            }
            .to_owned(),
        );
    }
    if version != 2 {
        return wrong(format!("its version is {version}, not 2"));
    }
    let Some(file) = file.get(..length as usize) else {
        return wrong(format!("its header says {length} bytes, but there are {}", file.len()));
    };
    let mut chunks = Vec::new();
    let mut at = 12;
    while at < file.len() && chunks.len() < 2 {
        let (Some(size), Some(kind)) = (word(file, at), word(file, at + 4)) else {
            return wrong(format!("the chunk at byte {at} is cut off"));
        };
        let Some(data) = (at + 8).checked_add(size as usize).and_then(|end| file.get(at + 8..end)) else {
            return wrong(format!("the chunk at byte {at} says {size} bytes, more than there are"));
        };
        at += 8 + data.len();
        chunks.push((kind, data));
    }
    let Some(&(JSON, json)) = chunks.first() else {
        return wrong("its first chunk is not JSON".to_owned());
    };
    limit("the JSON chunk", "bytes", json.len(), JSON_BYTES_MAX)?;
    let bytes = chunks.get(1).filter(|chunk| chunk.0 == BIN).map_or(&[][..], |chunk| chunk.1);
    Ok(Container { json, bytes })
}

/// The bytes of a file's buffers: the binary chunk, or `data:` URIs; nothing is ever fetched.
pub(super) struct Buffers<'a>(Vec<std::borrow::Cow<'a, [u8]>>);

impl<'a> Buffers<'a> {
    pub(super) fn open(document: &Document, bytes: &'a [u8]) -> Result<Self, ImportError> {
        limit("buffers", "buffers", document.buffers.len(), BUFFERS_MAX)?;
        let mut buffers = Vec::with_capacity(document.buffers.len());
        for (index, buffer) in document.buffers.iter().enumerate() {
            buffers.push(contents(buffer, index, bytes)?);
        }
        Ok(Self(buffers))
    }

    /// The bytes of a buffer view, and its stride.
    pub(super) fn view(&self, document: &Document, index: u32, at: &str) -> Result<(&[u8], Option<u64>), ImportError> {
        let view = item(&document.buffer_views, "bufferViews", index, at)?;
        let buffer = item(&self.0, "buffers", view.buffer, &format!("bufferViews[{index}]"))?;
        let slice = view
            .byte_offset
            .checked_add(view.byte_length)
            .and_then(|end| buffer.get(usize::try_from(view.byte_offset).ok()?..usize::try_from(end).ok()?));
        let slice = slice.ok_or_else(|| {
            let (offset, length, len) = (view.byte_offset, view.byte_length, buffer.len());
            let why = format!("{length} bytes from {offset} on do not lie in a buffer of {len} bytes");
            ImportError::invalid(format!("bufferViews[{index}]"), why)
        })?;
        Ok((slice, view.byte_stride))
    }
}

fn contents<'a>(buffer: &Buffer, index: usize, bytes: &'a [u8]) -> Result<std::borrow::Cow<'a, [u8]>, ImportError> {
    let at = format!("buffers[{index}]");
    let Some(length) = buffer.byte_length else {
        return Err(ImportError::invalid(at, "byteLength is missing"));
    };
    let contents: std::borrow::Cow<'a, [u8]> = match &buffer.uri {
        Some(uri) => data_uri(uri, &format!("{at}.uri"))?.into(),
        None if index == 0 => bytes.into(),
        None => return Err(ImportError::invalid(at, "only the first buffer may be the file's binary chunk")),
    };
    if (contents.len() as u64) < length {
        let why = format!("byteLength is {length}, but there are {} bytes", contents.len());
        return Err(ImportError::invalid(at, why));
    }
    Ok(contents)
}

/// What a `data:` URI holds.
pub(super) fn data_uri(uri: &str, at: &str) -> Result<Vec<u8>, ImportError> {
    let Some(rest) = uri.strip_prefix("data:") else {
        let name: String = uri.chars().take(80).collect();
        let why = format!("{name:?} is another file; export the scene as .glb, with everything embedded");
        return Err(ImportError::invalid(at, why));
    };
    let text = rest.split_once(";base64,").map(|(_, text)| text);
    let bytes = text.and_then(|text| STANDARD.decode(text.trim_ascii()).ok());
    bytes.ok_or_else(|| ImportError::invalid(at, "the data: URI is not base64"))
}
