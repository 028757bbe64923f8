//! glTF 2.0's JSON as far as it is rendered, and names, whose type is checked. Names and defaults are the standard's; nothing refers to anything unchecked.

use serde::Deserialize;

use super::error::ImportError;

/// An index into a list of the document.
pub(super) type Index = u32;

/// Structures whose members may all be absent.
macro_rules! document {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[$field_meta:meta])* $field:ident : $kind:ty $(= $default:expr)?),* $(,)?
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        pub(super) struct $name { $($(#[$field_meta])* pub(super) $field: $kind),* }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: document!(@default $($default)?)),* }
            }
        }
    )*};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

document! {
    Document {
        asset: Asset,
        scene: Option<Index>,
        scenes: Vec<Scene>,
        nodes: Vec<Node>,
        meshes: Vec<Mesh>,
        accessors: Vec<Accessor>,
        buffer_views: Vec<BufferView>,
        buffers: Vec<Buffer>,
        materials: Vec<Material>,
        textures: Vec<Texture>,
        images: Vec<Image>,
        samplers: Vec<Sampler>,
        cameras: Vec<Camera>,
        skins: Vec<Skin>,
        animations: Vec<Animation>,
        extensions_used: Vec<String>,
        extensions_required: Vec<String>,
        extensions: RootExtensions,
    }
    Asset { version: String, min_version: Option<String> }
    RootExtensions {
        #[serde(rename = "KHR_lights_punctual")] lights: Option<Lights>,
    }
    Lights { lights: Vec<Light> }
    Scene { nodes: Vec<Index>, name: Option<String> }
    Node {
        name: Option<String>,
        children: Vec<Index>,
        matrix: Option<[f32; 16]>,
        translation: Option<[f32; 3]>,
        rotation: Option<[f32; 4]>,
        scale: Option<[f32; 3]>,
        weights: Option<Vec<f32>>,
        mesh: Option<Index>,
        skin: Option<Index>,
        camera: Option<Index>,
        extensions: NodeExtensions,
    }
    NodeExtensions {
        #[serde(rename = "KHR_lights_punctual")] light: Option<LightUse>,
    }
    Mesh { name: Option<String>, primitives: Vec<Primitive>, weights: Option<Vec<f32>> }
    Attributes {
        #[serde(rename = "POSITION")] position: Option<Index>,
        #[serde(rename = "NORMAL")] normal: Option<Index>,
        #[serde(rename = "TANGENT")] tangent: Option<Index>,
        #[serde(rename = "TEXCOORD_0")] texcoord_0: Option<Index>,
        #[serde(rename = "TEXCOORD_1")] texcoord_1: Option<Index>,
        #[serde(rename = "COLOR_0")] color_0: Option<Index>,
        #[serde(rename = "JOINTS_0")] joints_0: Option<Index>,
        #[serde(rename = "JOINTS_1")] joints_1: Option<Index>,
        #[serde(rename = "WEIGHTS_0")] weights_0: Option<Index>,
    }
    Target {
        #[serde(rename = "POSITION")] position: Option<Index>,
        #[serde(rename = "NORMAL")] normal: Option<Index>,
        #[serde(rename = "TANGENT")] tangent: Option<Index>,
    }
    Buffer { uri: Option<String>, byte_length: Option<u64>, name: Option<String> }
    Material {
        name: Option<String>,
        pbr_metallic_roughness: Pbr,
        normal_texture: Option<TextureInfo>,
        occlusion_texture: Option<TextureInfo>,
        emissive_texture: Option<TextureInfo>,
        emissive_factor: [f32; 3],
        alpha_mode: AlphaMode,
        alpha_cutoff: f32 = 0.5,
        double_sided: bool,
        extensions: MaterialExtensions,
    }
    Pbr {
        base_color_factor: [f32; 4] = [1.0; 4],
        base_color_texture: Option<TextureInfo>,
        metallic_factor: f32 = 1.0,
        roughness_factor: f32 = 1.0,
        metallic_roughness_texture: Option<TextureInfo>,
    }
    MaterialExtensions {
        #[serde(rename = "KHR_materials_emissive_strength")] emissive_strength: Option<EmissiveStrength>,
        #[serde(rename = "KHR_materials_ior")] ior: Option<Ior>,
        #[serde(rename = "KHR_materials_transmission")] transmission: Option<Transmission>,
        #[serde(rename = "KHR_materials_unlit")] unlit: Option<Empty>,
    }
    EmissiveStrength { emissive_strength: f32 = 1.0 }
    Ior { ior: f32 = 1.5 }
    Transmission { transmission_factor: f32, transmission_texture: Option<TextureInfo> }
    Empty {}
    TextureExtensions {
        #[serde(rename = "KHR_texture_transform")] transform: Option<TextureTransform>,
    }
    TextureTransform {
        offset: [f32; 2],
        rotation: f32,
        scale: [f32; 2] = [1.0; 2],
        tex_coord: Option<u32>,
    }
    Texture { sampler: Option<Index>, source: Option<Index>, name: Option<String> }
    Image { uri: Option<String>, buffer_view: Option<Index>, name: Option<String> }
    Sampler { mag_filter: Option<u32>, wrap_s: u32 = 10_497, wrap_t: u32 = 10_497, name: Option<String> }
    Skin { inverse_bind_matrices: Option<Index>, joints: Vec<Index>, name: Option<String> }
    Animation { channels: Vec<Channel>, samplers: Vec<AnimationSampler>, name: Option<String> }
    Spot { inner_cone_angle: f32, outer_cone_angle: f32 = std::f32::consts::FRAC_PI_4 }
}

/// Structures with members that have to be there.
macro_rules! required {
    ($($name:ident { $($(#[$meta:meta])* $field:ident : $kind:ty),* $(,)? })*) => {$(
        #[derive(Clone, Debug, Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) struct $name { $($(#[$meta])* pub(super) $field: $kind),* }
    )*};
}

required! {
    LightUse { light: Index }
    Light {
        #[serde(rename = "type")] kind: LightType,
        #[serde(default = "white")] color: [f32; 3],
        #[serde(default = "one")] intensity: f32,
        range: Option<f32>,
        spot: Option<Spot>,
    }
    Primitive {
        attributes: Attributes,
        indices: Option<Index>,
        material: Option<Index>,
        #[serde(default = "triangles")] mode: u32,
        #[serde(default)] targets: Vec<Target>,
    }
    Accessor {
        buffer_view: Option<Index>,
        #[serde(default)] byte_offset: u64,
        component_type: u32,
        #[serde(default)] normalized: bool,
        count: u64,
        #[serde(rename = "type")] shape: Shape,
        sparse: Option<Sparse>,
        #[expect(dead_code, reason = "only its type is checked")] name: Option<String>,
    }
    Sparse { count: u64, indices: SparseIndices, values: SparseValues }
    SparseIndices { buffer_view: Index, #[serde(default)] byte_offset: u64, component_type: u32 }
    SparseValues { buffer_view: Index, #[serde(default)] byte_offset: u64 }
    BufferView { buffer: Index, #[serde(default)] byte_offset: u64, byte_length: u64, byte_stride: Option<u64>, #[expect(dead_code, reason = "only its type is checked")] name: Option<String> }
    TextureInfo {
        index: Index,
        #[serde(default)] tex_coord: u32,
        #[serde(default = "one")] scale: f32,
        #[serde(default = "one")] strength: f32,
        #[serde(default)] extensions: TextureExtensions,
    }
    Camera { #[serde(rename = "type")] kind: CameraType, perspective: Option<Perspective>, name: Option<String> }
    Perspective { yfov: f32 }
    Channel { sampler: Index, target: ChannelTarget }
    ChannelTarget { node: Option<Index>, path: String }
    AnimationSampler { input: Index, #[serde(default)] interpolation: Interpolation, output: Index }
}

/// How many components an accessor's elements have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Shape {
    Scalar,
    Vec2,
    Vec3,
    Vec4,
    Mat2,
    Mat3,
    Mat4,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum AlphaMode {
    #[default]
    Opaque,
    Mask,
    Blend,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum CameraType {
    Perspective,
    Orthographic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LightType {
    Directional,
    Point,
    Spot,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Interpolation {
    #[default]
    Linear,
    Step,
    CubicSpline,
}

fn one() -> f32 {
    1.0
}

fn white() -> [f32; 3] {
    [1.0; 3]
}

fn triangles() -> u32 {
    4
}

/// Reads the JSON of a scene and checks that it is glTF 2.0 and requires nothing that is not supported.
pub(super) fn document(json: &[u8]) -> Result<Document, ImportError> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let document: Document = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| ImportError::Json { at: error.path().to_string(), why: error.into_inner().to_string() })?;
    reader.end().map_err(|error| ImportError::Json { at: ".".to_owned(), why: error.to_string() })?;
    let version = document.asset.min_version.as_ref().unwrap_or(&document.asset.version);
    if !(version == "2.0" || document.asset.version.starts_with("2.") && document.asset.min_version.is_none()) {
        return Err(ImportError::invalid("asset.version", format!("{version:?} is not 2.0")));
    }
    let unknown = |name: &&String| !super::EXTENSIONS.contains(&name.as_str());
    let required: Vec<String> = document.extensions_required.iter().filter(unknown).cloned().collect();
    if required.is_empty() { Ok(document) } else { Err(ImportError::Extensions(required)) }
}
