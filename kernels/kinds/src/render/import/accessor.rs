//! Accessors: typed elements read from buffer views, every bound checked before a byte is read.

use std::cell::Cell;

use super::container::Buffers;
use super::error::{ImportError, item};
use super::json::{Accessor, Document, Shape};

/// Numbers that one import reads in all; what is read again by another node counts again.
const COMPONENTS_MAX: u64 = 1 << 27;

/// Reads accessors.
pub(super) struct Reader<'a> {
    pub(super) document: &'a Document,
    pub(super) buffers: &'a Buffers<'a>,
    left: Cell<u64>,
}

/// A component's type on disk.
#[derive(Clone, Copy, PartialEq)]
enum Component {
    I8,
    U8,
    I16,
    U16,
    U32,
    F32,
}

impl Component {
    fn of(code: u32, at: &str) -> Result<Self, ImportError> {
        Ok(match code {
            5120 => Self::I8,
            5121 => Self::U8,
            5122 => Self::I16,
            5123 => Self::U16,
            5125 => Self::U32,
            5126 => Self::F32,
            _ => return Err(ImportError::invalid(at, format!("componentType {code} is none of glTF's"))),
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::U32 | Self::F32 => 4,
        }
    }

    /// The component that begins a slice of at least `bytes()`.
    fn float(self, from: &[u8], normalized: bool) -> f32 {
        let scaled = |value: f32, max: f32| if normalized { (value / max).max(-1.0) } else { value };
        match (self, from) {
            (Self::I8, &[a, ..]) => scaled(f32::from(i8::from_le_bytes([a])), 127.0),
            (Self::U8, &[a, ..]) => scaled(f32::from(a), 255.0),
            (Self::I16, &[a, b, ..]) => scaled(f32::from(i16::from_le_bytes([a, b])), 32_767.0),
            (Self::U16, &[a, b, ..]) => scaled(f32::from(u16::from_le_bytes([a, b])), 65_535.0),
            (Self::U32, &[a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]) as f32,
            (Self::F32, &[a, b, c, d, ..]) => f32::from_le_bytes([a, b, c, d]),
            _ => 0.0,
        }
    }

    fn integer(self, from: &[u8]) -> u32 {
        match (self, from) {
            (Self::U8, &[a, ..]) => u32::from(a),
            (Self::U16, &[a, b, ..]) => u32::from(u16::from_le_bytes([a, b])),
            (Self::U32, &[a, b, c, d, ..]) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        }
    }
}

fn components(shape: Shape) -> usize {
    match shape {
        Shape::Scalar => 1,
        Shape::Vec2 => 2,
        Shape::Vec3 => 3,
        Shape::Vec4 | Shape::Mat2 => 4,
        Shape::Mat3 => 9,
        Shape::Mat4 => 16,
    }
}

/// Elements in a buffer view, each known to lie in it.
struct Elements<'a> {
    bytes: &'a [u8],
    stride: usize,
    size: usize,
    count: usize,
}

impl<'a> Elements<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (bytes, stride, size) = (self.bytes, self.stride, self.size);
        (0..self.count).map(move |place| &bytes[place * stride..place * stride + size])
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a Document, buffers: &'a Buffers<'a>) -> Self {
        Self { document, buffers, left: Cell::new(COMPONENTS_MAX) }
    }

    /// Counts work against the bound of what one import does, so that no small file asks for much.
    pub(super) fn spend(&self, count: u64, width: usize, at: &str) -> Result<usize, ImportError> {
        let needs = count.saturating_mul(width as u64);
        let Some(left) = self.left.get().checked_sub(needs) else {
            let what = "numbers to be read in all, each use counted";
            let found = (COMPONENTS_MAX - self.left.get()).saturating_add(needs);
            return Err(ImportError::Limit { at: at.to_owned(), what, found, max: COMPONENTS_MAX });
        };
        self.left.set(left);
        usize::try_from(count).map_err(|_| ImportError::invalid(at, "count is beyond this machine"))
    }

    fn elements(
        &self,
        view: u32,
        offset: u64,
        size: usize,
        count: usize,
        strided: bool,
        at: &str,
    ) -> Result<Elements<'_>, ImportError> {
        let (bytes, stride) = self.buffers.view(self.document, view, at)?;
        let stride = stride.filter(|_| strided).unwrap_or(size as u64);
        let last = (count as u64).saturating_sub(1);
        let end = last.checked_mul(stride).and_then(|end| end.checked_add(offset)?.checked_add(size as u64));
        if stride < size as u64 || (count > 0 && end.is_none_or(|end| end > bytes.len() as u64)) {
            let len = bytes.len();
            let why = format!(
                "{count} elements of {size} bytes, {stride} apart, from byte {offset} on do not lie in bufferViews[{view}] of {len} bytes"
            );
            return Err(ImportError::invalid(at, why));
        }
        let bytes = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or(&[]);
        let stride = usize::try_from(stride).map_err(|_| ImportError::invalid(at, "byteStride is beyond any file"))?;
        Ok(Elements { bytes, stride, size, count })
    }

    fn accessor(&self, index: u32, at: &str) -> Result<(&'a Accessor, String), ImportError> {
        let accessor = item(&self.document.accessors, "accessors", index, at)?;
        Ok((accessor, format!("accessors[{index}] ({at})")))
    }

    /// How many elements an accessor has.
    pub(super) fn count(&self, index: u32, at: &str) -> Result<u64, ImportError> {
        self.accessor(index, at).map(|(accessor, _)| accessor.count)
    }

    /// Elements of `N` numbers; integers become what they stand for if they are normalised.
    pub(super) fn floats<const N: usize>(&self, index: u32, at: &str) -> Result<Vec<[f32; N]>, ImportError> {
        let (accessor, at) = self.accessor(index, at)?;
        let found = components(accessor.shape);
        if found != N {
            let why = format!("its elements have {found} components where {N} are needed");
            return Err(ImportError::invalid(at, why));
        }
        let component = Component::of(accessor.component_type, &at)?;
        let element = |bytes: &[u8]| -> [f32; N] {
            std::array::from_fn(|place| component.float(&bytes[place * component.bytes()..], accessor.normalized))
        };
        let count = self.spend(accessor.count, N, &at)?;
        let size = N * component.bytes();
        let mut values = match accessor.buffer_view {
            Some(view) => {
                self.elements(view, accessor.byte_offset, size, count, true, &at)?.iter().map(element).collect()
            }
            None => vec![[0.0; N]; count],
        };
        if let Some(sparse) = &accessor.sparse {
            let at = format!("{at}.sparse");
            let count = self.spend(sparse.count, N, &at)?;
            let indices = self.integers(
                sparse.indices.buffer_view,
                sparse.indices.byte_offset,
                sparse.indices.component_type,
                count,
                false,
                &at,
            )?;
            let (view, offset) = (sparse.values.buffer_view, sparse.values.byte_offset);
            for (index, bytes) in indices.iter().zip(self.elements(view, offset, size, count, false, &at)?.iter()) {
                let len = values.len();
                let place = values.get_mut(*index as usize).ok_or_else(|| {
                    ImportError::invalid(&at, format!("replaces element {index}, but there are {len}"))
                })?;
                *place = element(bytes);
            }
        }
        Ok(values)
    }

    fn integers(
        &self,
        view: u32,
        offset: u64,
        code: u32,
        count: usize,
        strided: bool,
        at: &str,
    ) -> Result<Vec<u32>, ImportError> {
        let component = Component::of(code, at)?;
        if !matches!(component, Component::U8 | Component::U16 | Component::U32) {
            return Err(ImportError::invalid(at, format!("indices cannot have componentType {code}")));
        }
        let elements = self.elements(view, offset, component.bytes(), count, strided, at)?;
        Ok(elements.iter().map(|bytes| component.integer(bytes)).collect())
    }

    /// Indices of vertices.
    pub(super) fn indices(&self, index: u32, at: &str) -> Result<Vec<u32>, ImportError> {
        let (accessor, at) = self.accessor(index, at)?;
        let Some(view) = accessor.buffer_view.filter(|_| accessor.shape == Shape::Scalar && accessor.sparse.is_none())
        else {
            return Err(ImportError::invalid(at, "indices have to be dense scalars in a buffer view"));
        };
        let count = self.spend(accessor.count, 1, &at)?;
        self.integers(view, accessor.byte_offset, accessor.component_type, count, true, &at)
    }

    /// Joints: four small integers a vertex.
    pub(super) fn joints(&self, index: u32, at: &str) -> Result<Vec<[u32; 4]>, ImportError> {
        let (accessor, at) = self.accessor(index, at)?;
        let component = Component::of(accessor.component_type, &at)?;
        let Some(view) = accessor.buffer_view.filter(|_| {
            accessor.shape == Shape::Vec4
                && accessor.sparse.is_none()
                && matches!(component, Component::U8 | Component::U16)
        }) else {
            return Err(ImportError::invalid(at, "joints have to be dense VEC4 of unsigned bytes or shorts"));
        };
        let count = self.spend(accessor.count, 4, &at)?;
        let size = component.bytes();
        let elements = self.elements(view, accessor.byte_offset, 4 * size, count, true, &at)?;
        let element = |bytes: &[u8]| std::array::from_fn(|place| component.integer(&bytes[place * size..]));
        Ok(elements.iter().map(element).collect())
    }
}
