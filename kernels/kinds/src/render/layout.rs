//! Where things lie in a scene blob: 32-bit little-endian words, integers or IEEE singles. `device/render.cl` says the same.

/// The blob's first word.
pub(super) const MAGIC: u32 = 0x5245_444c; // "LDER"
/// The blob's second word: how the rest is laid out and what it means.
pub(super) const VERSION: u32 = 1;
/// No texture, no emitter, no child.
pub(super) const NONE: u32 = u32::MAX;

/// Words of the header, by place.
pub(super) mod header {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const VERSION: usize = 1;
    /// Words of the whole blob.
    pub(crate) const WORDS: usize = 2;
    pub(crate) const FLAGS: usize = 3;
    pub(crate) const NODES: usize = 4;
    pub(crate) const NODE_COUNT: usize = 5;
    pub(crate) const GROUPS: usize = 6;
    pub(crate) const GROUP_COUNT: usize = 7;
    /// Eight shades a group.
    pub(crate) const SHADES: usize = 8;
    pub(crate) const ATTRIBUTES: usize = 9;
    pub(crate) const ATTRIBUTE_WORDS: usize = 10;
    pub(crate) const MATERIALS: usize = 11;
    pub(crate) const MATERIAL_COUNT: usize = 12;
    pub(crate) const TEXTURES: usize = 13;
    pub(crate) const TEXTURE_COUNT: usize = 14;
    pub(crate) const TEXELS: usize = 15;
    pub(crate) const TEXEL_COUNT: usize = 16;
    pub(crate) const EMITTERS: usize = 17;
    pub(crate) const EMITTER_COUNT: usize = 18;
    /// The environment picture: red, green, blue of each texel.
    pub(crate) const SKY: usize = 19;
    pub(crate) const SKY_WIDTH: usize = 20;
    pub(crate) const SKY_HEIGHT: usize = 21;
    /// Its table for sampling, [`super::SKY_TABLE_WORDS`] a texel.
    pub(crate) const SKY_TABLE: usize = 22;
    /// What the 256 bytes of sRGB mean.
    pub(crate) const SRGB: usize = 23;
    /// How far off a surface rays begin.
    pub(crate) const OFFSET: usize = 24;
    pub(crate) const POSITION: usize = 25;
    pub(crate) const RIGHT: usize = 28;
    pub(crate) const UP: usize = 31;
    pub(crate) const FORWARD: usize = 34;
    pub(crate) const TAN_HALF_FOV: usize = 37;
    pub(crate) const APERTURE: usize = 38;
    pub(crate) const FOCUS: usize = 39;
    /// Radiance of every direction, where there is no picture.
    pub(crate) const SKY_CONSTANT: usize = 40;
    /// How far the picture is turned, in turns from 0 to 1.
    pub(crate) const SKY_TURN: usize = 43;
    /// Probability that the picture is the light that is sampled.
    pub(crate) const SKY_CHANCE: usize = 44;
    /// Words in all.
    pub(crate) const LENGTH: usize = 64;
}

/// Header flag: light passes straight through some surface.
pub(super) const FLAG_SEE_THROUGH: u32 = 1;

/// What nodes and groups begin at a multiple of, in words: a row of theirs is loaded in one go.
pub(super) const ALIGN: usize = 8;

/// A node of the tree: six times eight bounds (low x, y, z, high x, y, z) and eight children.
pub(super) const NODE_WORDS: usize = 56;
pub(super) const NODE_CHILDREN: usize = 48;
/// A child that is a group, not a node.
pub(super) const LEAF: u32 = 1 << 31;
/// Entries that a traversal's stack has.
pub(super) const STACK: usize = 96;

/// A group: thirteen rows of eight numbers, one for each of its triangles. Rows 0-3 are the plane (unit normal and
/// distance), 4-7 and 8-11 the barycentric coordinates u and v as functions of a place, 12 the bound below which
/// (direction . normal) has to be: 0 hides the back.
pub(super) const GROUP_WORDS: usize = 104;
pub(super) const ROW_U: usize = 4 * 8;
pub(super) const ROW_V: usize = 8 * 8;
pub(super) const ROW_BOUND: usize = 12 * 8;

/// A shade: material, emitter or [`NONE`], which attributes there are, and where they begin.
pub(super) const SHADE_WORDS: usize = 4;
/// Attributes, in this order: normals (9 words), tangents (12), texture coordinates of sets 0 and 1 (6 each), colours (12).
pub(super) const NORMALS: u32 = 1;
pub(super) const TANGENTS: u32 = 2;
pub(super) const UV0: u32 = 4;
pub(super) const UV1: u32 = 8;
pub(super) const COLORS: u32 = 16;

/// Words of the attributes that `flags` name.
pub(super) const fn attribute_words(flags: u32) -> usize {
    let mut words = 0;
    if flags & NORMALS != 0 {
        words += 9;
    }
    if flags & TANGENTS != 0 {
        words += 12;
    }
    if flags & UV0 != 0 {
        words += 6;
    }
    if flags & UV1 != 0 {
        words += 6;
    }
    if flags & COLORS != 0 {
        words += 12;
    }
    words
}

/// A material: flags, fifteen numbers, then six texture uses.
pub(super) mod material {
    pub(crate) const FLAGS: usize = 0;
    pub(crate) const BASE_COLOR: usize = 1;
    pub(crate) const METALLIC: usize = 5;
    pub(crate) const ROUGHNESS: usize = 6;
    pub(crate) const NORMAL_SCALE: usize = 7;
    pub(crate) const OCCLUSION: usize = 8;
    pub(crate) const EMISSIVE: usize = 9;
    pub(crate) const CUTOFF: usize = 12;
    pub(crate) const TRANSMISSION: usize = 13;
    /// What a dielectric reflects head-on and at grazing angles.
    pub(crate) const F0: usize = 14;
    pub(crate) const F90: usize = 15;
    pub(crate) const USES: usize = 16;
    /// A texture use: texture or [`super::NONE`], set, and a 2x3 matrix.
    pub(crate) const USE_WORDS: usize = 8;
    pub(crate) const USE_BASE: usize = USES;
    pub(crate) const USE_METALLIC_ROUGHNESS: usize = USES + USE_WORDS;
    pub(crate) const USE_NORMAL: usize = USES + 2 * USE_WORDS;
    pub(crate) const USE_OCCLUSION: usize = USES + 3 * USE_WORDS;
    pub(crate) const USE_EMISSIVE: usize = USES + 4 * USE_WORDS;
    pub(crate) const USE_TRANSMISSION: usize = USES + 5 * USE_WORDS;
    /// Words in all.
    pub(crate) const LENGTH: usize = USES + 6 * USE_WORDS;
    /// Flags.
    pub(crate) const UNLIT: u32 = 1;
    pub(crate) const MASK: u32 = 2;
    pub(crate) const BLEND: u32 = 4;
    /// Light may pass straight through.
    pub(crate) const SEE_THROUGH: u32 = 8;
    pub(crate) const TEXTURED: u32 = 16;
    pub(crate) const EMITS: u32 = 32;
}

/// A texture: first texel, width, height, flags.
pub(super) const TEXTURE_WORDS: usize = 4;
pub(super) const WRAP_MIRROR: u32 = 1;
pub(super) const WRAP_CLAMP: u32 = 2;
/// The vertical wrap's bits are the horizontal one's, shifted by this.
pub(super) const WRAP_VERTICAL: u32 = 2;
pub(super) const TEXTURE_SRGB: u32 = 16;
pub(super) const TEXTURE_NEAREST: u32 = 32;
/// Longest side of a texture or an environment picture.
pub(super) const SIDE_MAX: u32 = 1 << 14;

/// An emitter: kind and flags, density (probability of being sampled; of a triangle, by area), alias table (threshold,
/// other), then what depends on the kind.
pub(super) mod emitter {
    pub(crate) const LENGTH: usize = 20;
    pub(crate) const KIND: usize = 0;
    pub(crate) const DENSITY: usize = 1;
    pub(crate) const THRESHOLD: usize = 2;
    pub(crate) const ALIAS: usize = 3;
    /// Kinds, in the low byte.
    pub(crate) const TRIANGLE: u32 = 0;
    pub(crate) const POINT: u32 = 1;
    pub(crate) const SPOT: u32 = 2;
    pub(crate) const DIRECTIONAL: u32 = 3;
    pub(crate) const SKY: u32 = 4;
    /// Flags of a triangle: seen from both sides; radiance depends on the place.
    pub(crate) const BOTH_SIDES: u32 = 256;
    pub(crate) const VARIES: u32 = 512;
    /// Triangle: corner, two edges, normal, slot, radiance.
    pub(crate) const CORNER: usize = 4;
    pub(crate) const EDGE1: usize = 7;
    pub(crate) const EDGE2: usize = 10;
    pub(crate) const NORMAL: usize = 13;
    pub(crate) const SLOT: usize = 16;
    pub(crate) const RADIANCE: usize = 17;
    /// Punctual: place, intensity, 1/range (0: none), direction, cone's scale and offset.
    pub(crate) const PLACE: usize = 4;
    pub(crate) const INTENSITY: usize = 7;
    pub(crate) const INV_RANGE: usize = 10;
    pub(crate) const DIRECTION: usize = 11;
    pub(crate) const CONE_SCALE: usize = 14;
    pub(crate) const CONE_OFFSET: usize = 15;
}

/// A texel's row of the sky's table: threshold, other texel, density (probability by turn and half turn, less the sine).
pub(super) const SKY_TABLE_WORDS: usize = 3;
