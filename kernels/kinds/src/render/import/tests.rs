//! Made scenes, broken scenes, and the deliberately broken files of Debian's `assimp-testmodels`.

pub(crate) mod broken;
mod made;
mod scenes;
pub(crate) mod wild;

use serde_json::{Value, json};

use super::{Import, ImportError, Imported, View};
use crate::render::spec::CameraChoice;

/// A binary glTF in the making.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) json: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Made {
    /// An empty scene.
    pub(crate) fn empty() -> Self {
        let json = json!({ "asset": { "version": "2.0" }, "scene": 0, "scenes": [{ "nodes": [] }] });
        Self { json, bytes: Vec::new() }
    }

    /// One triangle in the plane z = 0, seen from the front, with nothing but positions.
    pub(crate) fn triangle() -> Self {
        let mut made = Self::empty();
        let position = made.floats(3, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
        made.push("meshes", json!({ "primitives": [{ "attributes": { "POSITION": position } }] }));
        made.root_node(json!({ "mesh": 0 }));
        made
    }

    /// A unit square of two triangles with normals, texture coordinates and indices.
    pub(crate) fn square() -> Self {
        let mut made = Self::empty();
        let position = made.floats(3, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
        let normal = made.floats(3, &[0.0, 0.0, 1.0].repeat(4));
        let uv = made.floats(2, &[0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        let indices = made.shorts(&[0, 1, 2, 0, 2, 3]);
        let attributes = json!({ "POSITION": position, "NORMAL": normal, "TEXCOORD_0": uv });
        let primitive = json!({ "attributes": attributes, "indices": indices });
        made.push("meshes", json!({ "primitives": [primitive] }));
        made.root_node(json!({ "mesh": 0 }));
        made
    }

    /// Adds to a list of the document; answers the place.
    pub(crate) fn push(&mut self, list: &str, item: Value) -> usize {
        let list = self.json.as_object_mut().expect("an object").entry(list).or_insert_with(|| json!([]));
        let list = list.as_array_mut().expect("a list");
        list.push(item);
        list.len() - 1
    }

    /// Adds a node to the scene.
    pub(crate) fn root_node(&mut self, node: Value) -> usize {
        let place = self.push("nodes", node);
        self.json["scenes"][0]["nodes"].as_array_mut().expect("nodes").push(json!(place));
        place
    }

    /// Adds bytes as a buffer view.
    pub(crate) fn view(&mut self, bytes: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let offset = self.bytes.len();
        self.bytes.extend(bytes);
        self.push("bufferViews", json!({ "buffer": 0, "byteOffset": offset, "byteLength": bytes.len() }))
    }

    pub(crate) fn accessor(&mut self, bytes: &[u8], component: u32, shape: &str, count: usize) -> usize {
        let view = self.view(bytes);
        let accessor = json!({ "bufferView": view, "componentType": component, "type": shape, "count": count });
        self.push("accessors", accessor)
    }

    pub(crate) fn floats(&mut self, width: usize, values: &[f32]) -> usize {
        let shape = match width {
            1 => "SCALAR",
            16 => "MAT4",
            _ => ["VEC2", "VEC3", "VEC4"][width - 2],
        };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.accessor(&bytes, 5126, shape, values.len() / width)
    }

    pub(crate) fn shorts(&mut self, values: &[u16]) -> usize {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.accessor(&bytes, 5123, "SCALAR", values.len())
    }

    /// Adds a PNG of 2x2 texels as a texture: red, green, blue, white.
    pub(crate) fn texture(&mut self) -> usize {
        let png = png(2, 2, &[255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
        let view = self.view(&png);
        let image = self.push("images", json!({ "bufferView": view, "mimeType": "image/png" }));
        self.push("textures", json!({ "source": image }))
    }

    /// Changes a part of the document.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        match self.json.pointer_mut(parent).expect("its parent") {
            Value::Array(list) => list[name.parse::<usize>().expect("a place")] = value,
            parent => parent[name] = value,
        }
        self
    }

    /// The file.
    pub(crate) fn glb(&self) -> Vec<u8> {
        let mut json = self.json.clone();
        if !self.bytes.is_empty() && json.get("buffers").is_none() {
            json["buffers"] = json!([{ "byteLength": self.bytes.len() }]);
        }
        pack(json.to_string().as_bytes(), &self.bytes)
    }

    pub(crate) fn import(&self) -> Result<Imported, ImportError> {
        import(&self.glb())
    }
}

/// A binary glTF of JSON and bytes.
pub(crate) fn pack(json: &[u8], bytes: &[u8]) -> Vec<u8> {
    let word = |number: usize| u32::try_from(number).expect("a small file").to_le_bytes();
    let mut chunks = Vec::new();
    for (kind, fill, data) in [(b"JSON", b' ', json), (b"BIN\0", 0, bytes)] {
        if !data.is_empty() {
            let padded = data.len().next_multiple_of(4);
            chunks.extend(word(padded));
            chunks.extend(kind);
            chunks.extend(data);
            chunks.resize(chunks.len() + padded - data.len(), fill);
        }
    }
    [&b"glTF"[..], &word(2), &word(12 + chunks.len()), &chunks].concat()
}

pub(crate) fn png(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(rgb).expect("texels");
    writer.finish().expect("an end");
    file
}

/// The scene at its beginning.
pub(crate) fn import(file: &[u8]) -> Result<Imported, ImportError> {
    import_at(file, 0.0)
}

pub(crate) fn import_at(file: &[u8], time: f64) -> Result<Imported, ImportError> {
    let camera = CameraChoice::Default;
    Import::open(file)?.at(&View { time, camera: &camera, aspect: 16.0 / 9.0, aperture: 0.0, focus: None })
}

/// What an imported scene promises to those that render it.
pub(crate) fn assert_sound(imported: &Imported) {
    let model = &imported.model;
    let finite = |parts: &[f32]| parts.iter().all(|part| part.is_finite());
    let unit = |v: &[f32]| (v.iter().map(|part| part * part).sum::<f32>() - 1.0).abs() < 1e-4;
    assert!(!model.triangles.is_empty());
    for triangle in &model.triangles {
        assert!((triangle.material as usize) < model.materials.len());
        for vertex in &triangle.vertices {
            assert!(finite(&vertex.position) && unit(&vertex.normal), "{vertex:?}");
            assert!(finite(vertex.uv.as_flattened()) && finite(&vertex.color), "{vertex:?}");
            let [x, y, z, sign] = vertex.tangent;
            assert!(unit(&[x, y, z]) && [-1.0, 0.0, 1.0].contains(&sign), "{vertex:?}");
        }
    }
    for texture in &model.textures {
        assert_eq!(texture.rgba.len(), 4 * texture.width as usize * texture.height as usize);
        assert!(!texture.rgba.is_empty());
    }
    let uses = model.materials.iter().flat_map(|material| {
        [
            material.base_color_texture,
            material.metallic_roughness_texture,
            material.normal_texture,
            material.occlusion_texture,
            material.emissive_texture,
            material.transmission_texture,
        ]
    });
    for used in uses.flatten() {
        assert!(
            (used.texture as usize) < model.textures.len() && used.set < 2 && finite(used.transform.as_flattened())
        );
    }
    let camera = &model.camera;
    assert!(finite(&camera.position) && unit(&camera.right) && unit(&camera.up) && unit(&camera.forward), "{camera:?}");
    assert!(camera.tan_half_fov > 0.0 && camera.focus > 0.0, "{camera:?}");
}
