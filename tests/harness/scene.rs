//! A scene made here, as a binary glTF file: a lit floor with spheres on it, and what is no scene.

use std::f32::consts::{PI, TAU};

use serde_json::{Value, json};

const GLTF: u32 = 0x4654_6C67;
const JSON: u32 = 0x4E4F_534A;
const BIN: u32 = 0x004E_4942;

/// A binary glTF file of this JSON and these bytes.
///
/// # Panics
/// It is larger than such a file can be.
#[must_use]
pub fn glb(json: &Value, bytes: &[u8]) -> Vec<u8> {
    let mut text = json.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let mut content = bytes.to_vec();
    content.resize(content.len().next_multiple_of(4), 0);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a small file");
    let whole = 12 + 8 + length(&text) + 8 + length(&content);
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    [words(&[GLTF, 2, whole]), words(&[length(&text), JSON]), text, words(&[length(&content), BIN]), content].concat()
}

/// A mesh under construction: positions, normals and indices.
#[derive(Default)]
struct Mesh {
    positions: Vec<[f32; 3]>,
    normals: Vec<[f32; 3]>,
    indices: Vec<u32>,
}

/// A ball of radius 1.
#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn ball(columns: u32, rows: u32) -> Mesh {
    let mut mesh = Mesh::default();
    for row in 0..=rows {
        for column in 0..=columns {
            let (up, around) = (PI * row as f32 / rows as f32, TAU * column as f32 / columns as f32);
            let point = [up.sin() * around.cos(), up.cos(), up.sin() * around.sin()];
            mesh.positions.push(point);
            mesh.normals.push(point);
        }
    }
    for row in 0..rows {
        for column in 0..columns {
            let a = row * (columns + 1) + column;
            let b = a + columns + 1;
            mesh.indices.extend([a, a + 1, b, a + 1, b + 1, b]);
        }
    }
    mesh
}

/// A square of side 2 that looks up.
fn square() -> Mesh {
    Mesh {
        positions: vec![[-1.0, 0.0, 1.0], [1.0, 0.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 0.0, -1.0]],
        normals: vec![[0.0, 1.0, 0.0]; 4],
        indices: vec![0, 1, 2, 0, 2, 3],
    }
}

/// A floor, a lamp above it, and `balls` balls in a row, metal and plastic in turn, seen by a camera; a sun shines too.
#[must_use]
pub fn room(balls: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut views = Vec::new();
    let mut accessors = Vec::new();
    let mut meshes = Vec::new();
    let mut add = |content: Vec<u8>, count: usize, kind: &str, component: u32| {
        views.push(json!({"buffer": 0, "byteOffset": bytes.len(), "byteLength": content.len()}));
        accessors
            .push(json!({"bufferView": views.len() - 1, "componentType": component, "count": count, "type": kind}));
        bytes.extend(content);
        accessors.len() - 1
    };
    let floats = |rows: &[[f32; 3]]| rows.iter().flatten().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let mut mesh = |mesh: &Mesh, material: usize| {
        let positions = add(floats(&mesh.positions), mesh.positions.len(), "VEC3", 5126);
        let normals = add(floats(&mesh.normals), mesh.normals.len(), "VEC3", 5126);
        let indices = mesh.indices.iter().flat_map(|index| index.to_le_bytes()).collect();
        let indices = add(indices, mesh.indices.len(), "SCALAR", 5125);
        let attributes = json!({"POSITION": positions, "NORMAL": normals});
        meshes.push(json!({"primitives": [{"attributes": attributes, "indices": indices, "material": material}]}));
        meshes.len() - 1
    };
    let (floor, lamp) = (mesh(&square(), 0), mesh(&square(), 1));
    let kinds = [mesh(&ball(24, 12), 2), mesh(&ball(24, 12), 3)];
    let mut nodes = vec![
        json!({"mesh": floor, "scale": [6, 1, 6]}),
        json!({"mesh": lamp, "scale": [0.7, 1, 0.7], "translation": [0, 3, 0], "rotation": [1, 0, 0, 0]}),
        json!({"camera": 0, "translation": [0, 1.4, 5.2], "rotation": [-0.087_155_74, 0, 0, 0.996_194_7]}),
        json!({"extensions": {"KHR_lights_punctual": {"light": 0}}, "rotation": [-0.5, 0.3, 0, 0.812_403_8]}),
    ];
    for place in 0..balls {
        let across = 1.1 * (f64::from(place) - f64::from(balls.saturating_sub(1)) / 2.0);
        let mesh = kinds[place as usize % 2];
        nodes.push(json!({"mesh": mesh, "scale": [0.5, 0.5, 0.5], "translation": [across, 0.5, 0.0]}));
    }
    let matt = |r: f64, g: f64, b: f64, metallic: f64, roughness: f64| {
        json!({"pbrMetallicRoughness": {
            "baseColorFactor": [r, g, b, 1], "metallicFactor": metallic, "roughnessFactor": roughness}})
    };
    let document = json!({
        "asset": {"version": "2.0"},
        "extensionsUsed": ["KHR_lights_punctual"],
        "scene": 0,
        "scenes": [{"nodes": (0..nodes.len()).collect::<Vec<_>>()}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": [
            matt(0.7, 0.7, 0.65, 0.0, 0.8),
            json!({"emissiveFactor": [1, 0.9, 0.8], "doubleSided": true}),
            matt(0.9, 0.6, 0.3, 1.0, 0.25),
            matt(0.2, 0.35, 0.8, 0.0, 0.4),
        ],
        "cameras": [{"type": "perspective", "perspective": {"yfov": 0.7, "znear": 0.01}}],
        "extensions": {"KHR_lights_punctual": {"lights": [
            {"type": "directional", "color": [1, 0.95, 0.9], "intensity": 1.5}]}},
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": bytes.len()}],
    });
    glb(&document, &bytes)
}

/// Files that are no scenes, with a name for what is wrong with each.
#[must_use]
pub fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let good = room(1);
    let changed = |change: &dyn Fn(&mut Value)| {
        let length = u32::from_le_bytes(good[12..16].try_into().expect("four bytes")) as usize;
        let mut document: Value = serde_json::from_slice(&good[20..20 + length]).expect("JSON");
        change(&mut document);
        glb(&document, &good[28 + length..])
    };
    vec![
        ("nothing at all", Vec::new()),
        ("not a container", b"a picture of a cat".to_vec()),
        ("cut off", good[..good.len() / 2].to_vec()),
        ("text instead of JSON", {
            let mut file = good.clone();
            file[20] = b'#';
            file
        }),
        ("an index beyond its list", changed(&|document| document["nodes"][0]["mesh"] = json!(99))),
        ("a node that is its own child", changed(&|document| document["nodes"][0]["children"] = json!([0]))),
        ("indices beyond the vertices", changed(&|document| document["accessors"][0]["count"] = json!(1))),
        ("a view beyond its buffer", {
            changed(&|document| document["bufferViews"][0]["byteLength"] = json!(4_000_000_000_u64))
        }),
        ("an extension that nobody knows", {
            changed(&|document| document["extensionsRequired"] = json!(["ACME_warp"]))
        }),
    ]
}
