//! A scene as it was imported, at one moment: plain data in world space, before anything is built for rendering.
//!
//! Right-handed, y up, lengths in metres, colours linear (Rec. 709 primaries), angles in radians: glTF 2.0's conventions.

/// A scene at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// Every triangle; its place is its primitive id.
    pub triangles: Vec<Triangle>,
    /// What triangles are made of.
    pub materials: Vec<Material>,
    /// Images that materials use.
    pub textures: Vec<Texture>,
    /// Lights without a surface.
    pub lights: Vec<Light>,
    /// What is seen where there is nothing.
    pub environment: Environment,
    /// Whence it is seen.
    pub camera: Camera,
}

/// Three vertices, counter-clockwise seen from the front.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Triangle {
    /// The corners.
    pub vertices: [Vertex; 3],
    /// An index into the materials.
    pub material: u32,
}

/// A corner of a triangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Vertex {
    /// Where it is.
    pub position: [f32; 3],
    /// The shading normal, of length 1.
    pub normal: [f32; 3],
    /// The tangent for normal maps, of length 1, and the bitangent's sign (1 or -1; 0 where there is no tangent).
    pub tangent: [f32; 4],
    /// Texture coordinates of sets 0 and 1.
    pub uv: [[f32; 2]; 2],
    /// Multiplies the base colour; white where the file has none.
    pub color: [f32; 4],
}

/// glTF's metallic-roughness material with the extensions that are rendered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Material {
    /// Base colour and opacity.
    pub base_color: [f32; 4],
    /// Multiplies the base colour.
    pub base_color_texture: Option<TextureUse>,
    /// 0 to 1.
    pub metallic: f32,
    /// 0 to 1, perceptual: GGX's alpha is its square.
    pub roughness: f32,
    /// Metallic in blue, roughness in green.
    pub metallic_roughness_texture: Option<TextureUse>,
    /// A tangent-space normal map.
    pub normal_texture: Option<TextureUse>,
    /// Scales the normal map's x and y.
    pub normal_scale: f32,
    /// Occlusion in red; dims indirect diffuse light.
    pub occlusion_texture: Option<TextureUse>,
    /// 0 to 1.
    pub occlusion_strength: f32,
    /// Radiance, the strength extension included.
    pub emissive: [f32; 3],
    /// Multiplies the radiance.
    pub emissive_texture: Option<TextureUse>,
    /// How opacity is meant.
    pub alpha: Alpha,
    /// Whether the back is seen too.
    pub double_sided: bool,
    /// Shown as its base colour, unlit.
    pub unlit: bool,
    /// Part of the light that goes through the surface, 0 to 1.
    pub transmission: f32,
    /// Multiplies the transmission, in red.
    pub transmission_texture: Option<TextureUse>,
    /// Index of refraction.
    pub ior: f32,
}

impl Default for Material {
    fn default() -> Self {
        Self {
            base_color: [1.0; 4],
            base_color_texture: None,
            metallic: 1.0,
            roughness: 1.0,
            metallic_roughness_texture: None,
            normal_texture: None,
            normal_scale: 1.0,
            occlusion_texture: None,
            occlusion_strength: 1.0,
            emissive: [0.0; 3],
            emissive_texture: None,
            alpha: Alpha::Opaque,
            double_sided: false,
            unlit: false,
            transmission: 0.0,
            transmission_texture: None,
            ior: 1.5,
        }
    }
}

/// How opacity is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Alpha {
    /// Opacity is ignored.
    #[default]
    Opaque,
    /// There or not: opaque from this opacity on.
    Mask(f32),
    /// Light goes straight through with probability 1 - opacity.
    Blend,
}

/// A texture as a material uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextureUse {
    /// An index into the textures.
    pub texture: u32,
    /// Which set of texture coordinates, 0 or 1.
    pub set: u8,
    /// Texture coordinates are transformed by this 2x3 matrix first, row by row (`KHR_texture_transform`).
    pub transform: [[f32; 3]; 2],
}

/// An image with four bytes a texel, row by row from the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Texture {
    /// Texels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green, blue and alpha of each texel: `4 * width * height` bytes.
    pub rgba: Vec<u8>,
    /// Whether red, green and blue are encoded as in sRGB.
    pub srgb: bool,
    /// What lies left and right of it, and above and below it.
    pub wrap: [Wrap; 2],
    /// Whether the nearest texel is taken instead of a bilinear mean.
    pub nearest: bool,
}

/// What lies beyond a texture's edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wrap {
    /// The texture again.
    #[default]
    Repeat,
    /// The texture mirrored.
    Mirror,
    /// The edge's texels.
    Clamp,
}

/// A light without a surface (`KHR_lights_punctual`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Light {
    /// What kind, and where.
    pub kind: LightKind,
    /// Colour times intensity: candela for points and spots, lux for directional lights.
    pub intensity: [f32; 3],
}

/// Kinds of lights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LightKind {
    /// From infinitely far; `direction` is the way the light goes, of length 1.
    Directional {
        /// Of length 1.
        direction: [f32; 3],
    },
    /// In all directions from a point.
    Point {
        /// Where it is.
        position: [f32; 3],
        /// Beyond it there is none of its light, if given.
        range: Option<f32>,
    },
    /// In a cone from a point.
    Spot {
        /// Where it is.
        position: [f32; 3],
        /// The cone's axis, of length 1.
        direction: [f32; 3],
        /// Cosines of the angles from the axis where the light begins to fade, and where it ends.
        cosines: [f32; 2],
        /// Beyond it there is none of its light, if given.
        range: Option<f32>,
    },
}

/// What is seen where there is nothing: a picture of all directions, or one colour.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Environment {
    /// Columns of the equirectangular picture; 0 where there is none.
    pub width: u32,
    /// Rows, from straight up to straight down.
    pub height: u32,
    /// Radiance of each texel, row by row: `3 * width * height` numbers.
    pub rgb: Vec<f32>,
    /// Radiance of every direction, where there is no picture.
    pub constant: [f32; 3],
    /// Turns the picture about the y axis.
    pub rotation: f32,
}

/// A perspective camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Camera {
    /// Where it is.
    pub position: [f32; 3],
    /// The picture's rightward direction, of length 1.
    pub right: [f32; 3],
    /// The picture's upward direction, of length 1.
    pub up: [f32; 3],
    /// Where it looks, of length 1.
    pub forward: [f32; 3],
    /// Tangent of half the vertical angle of view.
    pub tan_half_fov: f32,
    /// The lens's radius; 0 for a pinhole.
    pub aperture: f32,
    /// Distance, along `forward`, of what is sharp.
    pub focus: f32,
}
