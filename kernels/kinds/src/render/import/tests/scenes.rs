//! Materials, textures and tangents of made scenes.

use serde_json::json;

use super::*;
use crate::render::model::{Alpha, Material, TextureUse, Wrap};

#[test]
fn a_material_is_read_whole() {
    let mut made = Made::square();
    let texture = made.texture();
    let sampler = made.push("samplers", json!({ "magFilter": 9728, "wrapS": 33071, "wrapT": 33648 }));
    made.json["textures"][texture]["sampler"] = json!(sampler);
    let transform = json!({ "KHR_texture_transform": { "offset": [0.25, 0.5], "scale": [2, 4], "texCoord": 1 } });
    let used = json!({ "index": texture, "extensions": transform });
    made.push(
        "materials",
        json!({
            "pbrMetallicRoughness": {
                "baseColorFactor": [0.1, 0.2, 0.3, 0.4], "metallicFactor": 0.5, "roughnessFactor": 0.25,
                "baseColorTexture": used, "metallicRoughnessTexture": { "index": texture },
            },
            "normalTexture": { "index": texture, "scale": 0.5, "extensions": transform },
            "occlusionTexture": { "index": texture, "strength": 0.75 },
            "emissiveFactor": [1, 0.5, 0], "emissiveTexture": { "index": texture },
            "alphaMode": "MASK", "alphaCutoff": 0.3, "doubleSided": true,
            "extensions": {
                "KHR_materials_emissive_strength": { "emissiveStrength": 8 },
                "KHR_materials_ior": { "ior": 1.33 },
                "KHR_materials_transmission": { "transmissionFactor": 0.9, "transmissionTexture": { "index": texture } },
                "KHR_materials_unlit": {},
            },
        }),
    );
    let imported = made.set("/meshes/0/primitives/0/material", json!(0)).import().expect("a scene");
    assert_sound(&imported);
    let model = imported.model;
    let plain = |texture| Some(TextureUse { texture, set: 0, transform: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] });
    let moved = |texture| Some(TextureUse { texture, set: 1, transform: [[2.0, 0.0, 0.25], [0.0, 4.0, 0.5]] });
    let wanted = Material {
        base_color: [0.1, 0.2, 0.3, 0.4],
        base_color_texture: moved(0), // the picture as sRGB
        metallic: 0.5,
        roughness: 0.25,
        metallic_roughness_texture: plain(1), // the same picture as numbers
        normal_texture: moved(1),
        normal_scale: 0.5,
        occlusion_texture: plain(1),
        occlusion_strength: 0.75,
        emissive: [8.0, 4.0, 0.0],
        emissive_texture: plain(0),
        alpha: Alpha::Mask(0.3),
        double_sided: true,
        unlit: true,
        transmission: 0.9,
        transmission_texture: plain(1),
        ior: 1.33,
    };
    assert_eq!(model.materials, [wanted]);
    assert_eq!(model.textures.iter().map(|texture| texture.srgb).collect::<Vec<_>>(), [true, false]);
    let texture = &model.textures[0];
    assert_eq!((texture.width, texture.height, texture.nearest), (2, 2, true));
    assert_eq!(texture.wrap, [Wrap::Clamp, Wrap::Mirror]);
    assert_eq!(texture.rgba[..8], [255, 0, 0, 255, 0, 255, 0, 255]);
}

#[test]
fn a_texture_turns_counter_clockwise() {
    let mut made = Made::square();
    let texture = made.texture();
    let transform = json!({ "KHR_texture_transform": { "rotation": std::f32::consts::FRAC_PI_2 } });
    let used = json!({ "index": texture, "extensions": transform });
    made.push("materials", json!({ "pbrMetallicRoughness": { "baseColorTexture": used } }));
    let used = made.import().expect("a scene").model.materials[0].base_color_texture.expect("a texture");
    let turn = |u: f32, v: f32| used.transform.map(|[a, b, c]| a * u + b * v + c);
    let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-6 && (a[1] - b[1]).abs() < 1e-6;
    assert!(near(turn(1.0, 0.0), [0.0, -1.0]), "rightward becomes upward: coordinates point down");
    assert!(near(turn(0.0, -1.0), [-1.0, 0.0]), "upward becomes leftward");
}

#[test]
fn tangents_are_derived_for_normal_maps() {
    let mut made = Made::square();
    let texture = made.texture();
    made.push("materials", json!({ "normalTexture": { "index": texture } }));
    let made = made.set("/meshes/0/primitives/0/material", json!(0));
    let tangent = |made: &Made| {
        let imported = made.import().expect("a scene");
        assert_sound(&imported);
        imported.model.triangles[0].vertices.map(|vertex| vertex.tangent)
    };
    // The first coordinate grows along x and the picture's upward direction is y = normal x tangent.
    assert_eq!(tangent(&made), [[1.0, 0.0, 0.0, 1.0]; 3]);

    let mut mirrored = made.clone();
    let uv = mirrored.floats(2, &[1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0]);
    let mirrored = mirrored.set("/meshes/0/primitives/0/attributes/TEXCOORD_0", json!(uv));
    assert_eq!(tangent(&mirrored), [[-1.0, 0.0, 0.0, -1.0]; 3]);

    let mut given = made;
    let tangents = given.floats(4, &[0.0, 2.0, 0.0, -1.0].repeat(4));
    let given = given.set("/meshes/0/primitives/0/attributes/TANGENT", json!(tangents));
    assert_eq!(tangent(&given), [[0.0, 1.0, 0.0, -1.0]; 3]);
}

#[test]
fn colours_of_vertices_may_be_bytes_without_alpha() {
    let mut made = Made::triangle();
    let color = made.accessor(&[255, 0, 51, 0, 0, 255, 51, 0, 0, 0, 255, 0], 5121, "VEC3", 3);
    made.json["accessors"][color]["normalized"] = json!(true);
    made.json["bufferViews"][1]["byteStride"] = json!(4);
    let made = made.set("/meshes/0/primitives/0/attributes/COLOR_0", json!(color));
    let vertices = made.import().expect("a scene").model.triangles[0].vertices;
    assert_eq!(vertices[0].color, [1.0, 0.0, 0.2, 1.0]);
}

#[test]
fn what_is_embedded_as_text_is_read() {
    use base64::Engine as _;
    let mut made = Made::square();
    let text = base64::engine::general_purpose::STANDARD.encode(&made.bytes);
    let uri = format!("data:application/octet-stream;base64,{text}");
    made.json["buffers"] = json!([{ "byteLength": made.bytes.len(), "uri": uri }]);
    let whole = made.import().expect("a scene");
    made.bytes.clear();
    assert_eq!(made.import().expect("a scene"), whole);
}

#[test]
fn an_import_is_the_same_every_time() {
    let mut made = Made::square();
    let texture = made.texture();
    made.push("materials", json!({ "normalTexture": { "index": texture } }));
    let file = made.set("/meshes/0/primitives/0/material", json!(0)).glb();
    assert_eq!(import(&file), import(&file));
}
