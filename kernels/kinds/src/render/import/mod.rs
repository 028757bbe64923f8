//! Binary glTF 2.0 becomes a [`Model`] at a moment.
//!
//! Everything has to be in the file: its binary chunk or `data:` URIs. Whatever the file says is checked before it is
//! used, so a file is imported soundly or refused with an [`ImportError`] that names the place; none panics.
//!
//! Rendered: triangles (lists, strips, fans), morph targets and skins at the moment, node animation, all component
//! types and sparse accessors, materials with the extensions of [`EXTENSIONS`], perspective cameras. Where a mesh has no
//! normals its triangles are flat; where it has no tangents but a normal map they are derived.

mod accessor;
mod affine;
mod camera;
mod container;
mod error;
mod json;
mod light;
mod material;
mod mesh;
mod pose;
mod skin;
mod tangent;
#[cfg(test)]
pub(crate) mod tests;
mod texture;

pub use container::{FILE_BYTES_MAX, JSON_BYTES_MAX};
pub use error::ImportError;
pub use mesh::TRIANGLES_MAX;
pub use texture::{SIDE_MAX, TEXELS_MAX};

use accessor::Reader;
use container::Buffers;
use json::Document;
use mesh::Meshes;
use pose::Pose;
use texture::Textures;

use super::model::{Environment, Material, Model, Texture};
use super::spec::CameraChoice;

/// Extensions that a file may require.
pub const EXTENSIONS: [&str; 7] = [
    "KHR_lights_punctual",
    "KHR_materials_emissive_strength",
    "KHR_materials_ior",
    "KHR_materials_transmission",
    "KHR_materials_unlit",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
];

/// What of a scene is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct View<'a> {
    /// Seconds on the animations' time.
    pub time: f64,
    /// Whence it is seen.
    pub camera: &'a CameraChoice,
    /// The picture's width over its height; only a framing camera asks for it.
    pub aspect: f32,
    /// The lens's radius in metres.
    pub aperture: f32,
    /// Metres to what is sharp; the middle of the scene if not given.
    pub focus: Option<f32>,
}

/// A file with its textures decoded, ready to be posed at any moment.
pub struct Import<'a> {
    document: Document,
    bytes: &'a [u8],
    materials: Vec<Material>,
    textures: Vec<Texture>,
    notes: Vec<String>,
}

/// A scene at a moment, and what of the file it does not show.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The scene. Its environment is empty: that comes from the job.
    pub model: Model,
    /// Parts of the file that are not rendered, one sentence each, for the sponsor.
    pub notes: Vec<String>,
}

impl<'a> Import<'a> {
    /// Reads a file.
    pub fn open(file: &'a [u8]) -> Result<Self, ImportError> {
        let container = container::open(file)?;
        let document = json::document(container.json)?;
        let buffers = Buffers::open(&document, container.bytes)?;
        let reader = Reader::new(&document, &buffers);
        let mut textures = Textures::new(&reader);
        let materials = material::materials(&document, &mut textures)?;
        let textures = textures.into_list();
        let ignored = |name: &&String| !EXTENSIONS.contains(&name.as_str());
        let notes = document.extensions_used.iter().filter(ignored);
        let notes = notes.take(100).map(|name| format!("{name} is not rendered")).collect();
        Ok(Self { bytes: container.bytes, materials, textures, notes, document })
    }

    /// The scene at a moment.
    pub fn at(&self, view: &View<'_>) -> Result<Imported, ImportError> {
        let buffers = Buffers::open(&self.document, self.bytes)?;
        let reader = Reader::new(&self.document, &buffers);
        let pose = Pose::at(&reader, view.time)?;
        let normal_maps: Vec<Option<u8>> =
            self.materials.iter().map(|material| material.normal_texture.map(|texture| texture.set)).collect();
        let mut meshes = Meshes {
            reader: &reader,
            pose: &pose,
            normal_maps: &normal_maps,
            triangles: Vec::new(),
            without_surface: 0,
            without_normal: 0,
            default_material: false,
        };
        for &placed in &pose.placed {
            meshes.add(placed)?;
        }
        let Meshes { triangles, without_surface, without_normal, default_material, .. } = meshes;
        if triangles.is_empty() {
            return Err(ImportError::invalid("the scene", "it has no triangles"));
        }
        let mut notes = self.notes.clone();
        if without_surface > 0 {
            notes.push(format!("{without_surface} primitives of points or lines are not rendered"));
        }
        if without_normal > 0 {
            notes.push(format!(
                "{without_normal} vertices have normals without a direction; their triangles are flat there"
            ));
        }
        let mut materials = self.materials.clone();
        if default_material {
            materials.push(Material::default());
        }
        let lens = (view.aperture, view.focus);
        let camera = camera::camera(&reader, &pose, &triangles, view.camera, view.aspect, lens)?;
        let lights = light::lights(&reader, &pose)?;
        let textures = self.textures.clone();
        let environment = Environment::default();
        Ok(Imported { model: Model { triangles, materials, textures, lights, environment, camera }, notes })
    }
}
