//! Every error that an import can end with, and mutations that must end with one.

use serde_json::json;

use super::*;

#[test]
fn every_fault_is_told() {
    let t = Made::triangle;
    let square_texture = |image: serde_json::Value, bytes: &[u8]| {
        let mut made = Made::square();
        let view = made.view(bytes);
        let mut image = image;
        if image.get("uri").is_none() {
            image["bufferView"] = json!(view);
        }
        made.push("images", image);
        made.push("textures", json!({ "source": 0 }));
        made.push("materials", json!({ "pbrMetallicRoughness": { "baseColorTexture": { "index": 0 } } }));
        made
    };
    let spotted = |light: serde_json::Value| {
        let made = t().set("/extensions", json!({ "KHR_lights_punctual": { "lights": [light] } }));
        made.set("/nodes/0/extensions", json!({ "KHR_lights_punctual": { "light": 0 } }))
    };
    let animated = |times: &[f32], values: &[f32], path: &str| {
        let mut made = t();
        let (input, output) = (made.floats(1, times), made.floats(3, values));
        let channel = json!({ "sampler": 0, "target": { "node": 0, "path": path } });
        made.push("animations", json!({ "samplers": [{ "input": input, "output": output }], "channels": [channel] }));
        made
    };
    let large =
        png(1, 1, &[0; 3]).iter().enumerate().map(|(at, &byte)| if at == 16 { 1 } else { byte }).collect::<Vec<_>>();
    let primitive = "/meshes/0/primitives/0";
    let cases: Vec<(Made, &str)> = vec![
        (t().set("/asset", json!({ "version": "1.0" })), "asset.version: \"1.0\" is not 2.0"),
        (t().set("/asset", json!({ "version": "2.1", "minVersion": "2.1" })), "\"2.1\" is not 2.0"),
        (t().set("/nodes", json!({})), "JSON at nodes: invalid type: map, expected a sequence"),
        (t().set("/accessors/0/count", json!("3")), "JSON at accessors[0].count: invalid type: string"),
        (t().set("/accessors/0/count", json!(-1)), "JSON at accessors[0].count"),
        (t().set("/accessors/0/type", json!("VEC5")), "unknown variant `VEC5`"),
        (t().set("/extensionsRequired", json!(["KHR_draco_mesh_compression"])), "requires KHR_draco_mesh_compression"),
        (t().set("/scenes", json!([])), "there is no scene"),
        (t().set("/scene", json!(1)), "scene refers to scenes[1], but there are 1"),
        (t().set("/scenes/0/nodes", json!([])), "it has no triangles"),
        (t().set("/scenes/0/nodes", json!([1])), "refers to nodes[1], but there are 1"),
        (t().set("/nodes/0/children", json!([0])), "reached twice"),
        (t().set("/scenes/0/nodes", json!([0, 0])), "reached twice"),
        (t().set("/nodes/0/scale", json!([1e39, 1, 1])), "its transform is not finite"),
        (t().set("/nodes/0/translation", json!([1e10, 0, 0])), "beyond 1e9 m"),
        (t().set("/nodes/0/mesh", json!(5)), "refers to meshes[5], but there are 1"),
        (t().set(primitive, json!({ "attributes": {} })), "it has no POSITION"),
        (t().set("/meshes/0/primitives/0/mode", json!(7)), "mode 7 is none"),
        (t().set("/meshes/0/primitives/0/material", json!(0)), "refers to materials[0], but there are 0"),
        (t().set("/meshes/0/primitives/0/indices", json!(9)), "refers to accessors[9], but there are 1"),
        (t().set("/meshes/0/primitives/0/indices", json!(0)), "indices have to be dense scalars"),
        (t().set("/meshes/0/primitives/0/attributes/POSITION", json!(9)), "refers to accessors[9]"),
        (t().set("/meshes/0/primitives/0/attributes/TEXCOORD_0", json!(0)), "3 components where 2 are needed"),
        (t().set("/accessors/0/componentType", json!(5124)), "componentType 5124 is none"),
        (t().set("/accessors/0/count", json!(4)), "do not lie in bufferViews[0] of 36 bytes"),
        (t().set("/accessors/0/count", json!(u64::MAX)), "numbers to be read in all, each use counted; at most"),
        (t().set("/accessors/0/byteOffset", json!(u64::MAX)), "do not lie in bufferViews[0]"),
        (t().set("/accessors/0/bufferView", json!(3)), "refers to bufferViews[3]"),
        (t().set("/bufferViews/0/byteStride", json!(8)), "8 apart"),
        (t().set("/bufferViews/0/byteStride", json!(u64::MAX)), "do not lie in bufferViews[0]"),
        (t().set("/bufferViews/0/byteLength", json!(40)), "do not lie in a buffer of 36 bytes"),
        (t().set("/bufferViews/0/byteOffset", json!(u64::MAX)), "do not lie in a buffer of 36 bytes"),
        (t().set("/bufferViews/0/buffer", json!(1)), "refers to buffers[1], but there are 1"),
        (t().set("/buffers", json!([{}])), "byteLength is missing"),
        (t().set("/buffers", json!([{ "byteLength": 37 }])), "byteLength is 37, but there are 36 bytes"),
        (t().set("/buffers", json!([{ "byteLength": 36, "uri": "box.bin" }])), "\"box.bin\" is another file"),
        (t().set("/buffers", json!([{ "byteLength": 36, "uri": "data:;base64,!" }])), "is not base64"),
        (t().set("/buffers", json!([{ "byteLength": 36 }, { "byteLength": 1 }])), "only the first buffer"),
        (t().set("/materials", json!([{ "alphaMode": "GLASS" }])), "unknown variant `GLASS`"),
        (t().set("/materials", json!([{ "emissiveFactor": [1e39, 0, 0] }])), "is not a finite number"),
        (t().set("/materials", json!([{ "normalTexture": { "index": 0 } }])), "refers to textures[0], but there are 0"),
        (t().set("/materials", json!([{ "extensions": { "KHR_materials_ior": { "ior": 0.5 } } }])), "ior 0.5"),
        (square_texture(json!({}), b"RIFF....WEBP"), "neither PNG nor JPEG"),
        (square_texture(json!({}), &png(2, 2, &[7; 12])[..50]), "it is broken"),
        (square_texture(json!({}), &large), "it is broken"),
        (square_texture(json!({ "uri": "wood.png" }), b""), "\"wood.png\" is another file"),
        (square_texture(json!({}), &png(2, 2, &[7; 12])).set("/textures/0", json!({})), "no source that is PNG"),
        (square_texture(json!({}), &png(2, 2, &[7; 12])).set("/textures/0/sampler", json!(0)), "refers to samplers[0]"),
        (
            square_texture(json!({}), &png(2, 2, &[7; 12]))
                .set("/materials/0/pbrMetallicRoughness/baseColorTexture/texCoord", json!(2)),
            "only sets 0 and 1",
        ),
        (t().set("/nodes/0/camera", json!(0)), "refers to cameras[0], but there are 0"),
        (
            t().set("/nodes/0/camera", json!(0)).set("/cameras", json!([{ "type": "perspective" }])),
            "its perspective is missing",
        ),
        (
            t().set("/nodes/0/camera", json!(0))
                .set("/cameras", json!([{ "type": "perspective", "perspective": { "yfov": 4 } }])),
            "yfov 4 is not between 0 and pi",
        ),
        (spotted(json!({ "type": "spot", "spot": { "innerConeAngle": 1 } })), "cone angles 1 and 0.7853982"),
        (spotted(json!({ "type": "point", "range": -1 })), "range is not above 0"),
        (spotted(json!({ "type": "lamp" })), "unknown variant `lamp`"),
        (t().set("/nodes/0/extensions", json!({ "KHR_lights_punctual": { "light": 0 } })), "refers to lights[0]"),
        (
            t().set("/cameras", json!([{ "type": "perspective", "perspective": { "yfov": 1 } }]))
                .set(
                    "/nodes",
                    json!([
                        { "mesh": 0, "scale": [1e-30, 1e-30, 1e-30] },
                        { "children": [2], "scale": [1e30, 1e30, 1e30] },
                        { "camera": 0, "translation": [1e30, 0, 0] },
                    ]),
                )
                .set("/scenes/0/nodes", json!([0, 1])),
            "a camera or light beyond 1e9 m",
        ),
        (animated(&[1.0, 0.0], &[0.0; 6], "translation"), "ever larger finite numbers"),
        (animated(&[0.0, 1.0], &[0.0; 3], "translation"), "1 values do not fit 2 times"),
        (animated(&[0.0, 1.0], &[f32::NAN; 6], "scale"), "its values are not finite"),
        (animated(&[0.0], &[0.0; 3], "visibility"), "\"visibility\" cannot be animated"),
    ];
    for (made, wanted) in cases {
        let text = match made.import() {
            Ok(_) => panic!("imported, but wanted: {wanted}"),
            Err(error) => error.to_string(),
        };
        assert!(text.contains(wanted), "{text}\nwanted: {wanted}");
    }
}

#[test]
fn faults_of_bytes_are_told() {
    let mut infinite = Made::triangle();
    infinite.bytes[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let mut far = Made::square();
    let at = far.bytes.len() - 2;
    far.bytes[at] = 9;
    let mut short = Made::square();
    short.json["accessors"][3]["count"] = json!(5);
    let mut skinned = Made::triangle();
    let joints = skinned.accessor(&[9, 0, 0, 0].repeat(3), 5121, "VEC4", 3);
    let weights = skinned.floats(4, &[1.0, 0.0, 0.0, 0.0].repeat(3));
    let attributes = json!({ "POSITION": 0, "JOINTS_0": joints, "WEIGHTS_0": weights });
    skinned.json["meshes"][0]["primitives"][0]["attributes"] = attributes;
    skinned.push("skins", json!({ "joints": [0] }));
    skinned.json["nodes"][0]["skin"] = json!(0);
    let mut sparse = Made::triangle();
    let (indices, values) = (sparse.view(&[3]), sparse.view(&[0; 12]));
    sparse.json["accessors"][0]["sparse"] = json!({
        "count": 1, "indices": { "bufferView": indices, "componentType": 5121 }, "values": { "bufferView": values },
    });
    let cases = [
        (infinite, "vertex 0's position is not finite"),
        (far, "index 9 of 4 vertices"),
        (short, "5 vertices are no whole triangles"),
        (skinned, "joint 9 of 1 in a vertex"),
        (sparse, "replaces element 3, but there are 3"),
    ];
    for (made, wanted) in cases {
        let text = made.import().expect_err(wanted).to_string();
        assert!(text.contains(wanted), "{text}\nwanted: {wanted}");
    }
}

#[test]
fn a_small_file_cannot_ask_for_much_work() {
    let mut made = Made::triangle();
    let empty = json!({ "attributes": { "POSITION": made.floats(3, &[]) } });
    made.json["meshes"][0]["primitives"].as_array_mut().expect("primitives").extend(vec![empty; 10_000]);
    for _ in 0..10_000 {
        made.root_node(json!({ "mesh": 0 }));
    }
    let text = made.import().expect_err("a hundred million primitives").to_string();
    assert!(text.contains("numbers to be read in all"), "{text}");
}

#[test]
fn a_broken_container_is_told() {
    let file = Made::triangle().glb();
    let changed = |at: usize, with: &[u8]| {
        let mut file = file.clone();
        file[at..at + with.len()].copy_from_slice(with);
        file
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "0 bytes are too few"),
        (b"{\"asset\":{}}  ".to_vec(), "it is JSON (.gltf)"),
        (changed(0, b"PK"), "does not begin with \"glTF\""),
        (changed(4, &[1]), "its version is 1, not 2"),
        (file[..file.len() - 1].to_vec(), "its header says"),
        (changed(12, &[0xFF; 4]), "more than there are"),
        (changed(16, b"BIN\0"), "its first chunk is not JSON"),
        (changed(20, b"["), "JSON at"),
        (file[..12].to_vec(), "its header says"),
    ];
    for (file, wanted) in cases {
        let text = import(&file).expect_err(wanted).to_string();
        assert!(text.contains(wanted), "{text}\nwanted: {wanted}");
    }
    let nested = pack("[".repeat(1_000_000).as_bytes(), &[]);
    assert!(import(&nested).is_err());
}

/// Numbers from a seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("below a usize")
    }
}

/// A textured square that turns, with a camera.
pub(crate) fn turning() -> Made {
    let mut made = Made::square();
    let texture = made.texture();
    made.push("materials", json!({ "normalTexture": { "index": texture }, "emissiveTexture": { "index": texture } }));
    let input = made.floats(1, &[0.0, 1.0]);
    let output = made.floats(4, &[0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    let channel = json!({ "sampler": 0, "target": { "node": 0, "path": "rotation" } });
    made.push("animations", json!({ "samplers": [{ "input": input, "output": output }], "channels": [channel] }));
    made.push("cameras", json!({ "type": "perspective", "perspective": { "yfov": 1.0, "znear": 0.1 } }));
    made.root_node(json!({ "camera": 0, "translation": [0, 0, 3] }));
    made.set("/meshes/0/primitives/0/material", json!(0))
}

/// A file with up to five changes, by the seed: a few digits, bits or bytes, one missing, or an early end.
pub(crate) fn mutated(file: &[u8], seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let mut file = file.to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(file.len());
        match numbers.below(12) {
            0..=5 => file[at] = b'0' + u8::try_from(numbers.below(10)).expect("a digit"), // keeps JSON readable
            6..=7 => file[at] ^= 1 << numbers.below(8),
            8..=9 => file[at] = u8::try_from(numbers.below(256)).expect("a byte"),
            10 => drop(file.remove(at)),
            _ => file.truncate(at.max(1)),
        }
    }
    file
}

#[test]
fn mutated_files_are_refused_or_sound() {
    let file = turning().glb();
    let (mut sound, mut refused) = (0, 0);
    for seed in 0..400 {
        match import_at(&mutated(&file, seed), 0.5) {
            Ok(imported) => {
                assert_sound(&imported);
                sound += 1;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty(), "seed {seed}");
                refused += 1;
            }
        }
    }
    assert!(sound > 20 && refused > 200, "{sound} sound, {refused} refused");
}

#[test]
fn mutated_json_values_are_refused_or_sound() {
    let mut made = Made::square();
    let texture = made.texture();
    made.push("materials", json!({ "normalTexture": { "index": texture } }));
    let made = made.set("/meshes/0/primitives/0/material", json!(0)).set("/buffers", json!([{ "byteLength": 0 }]));
    let mut pointers = Vec::new();
    leaves(&made.json, String::new(), &mut pointers);
    let values = [
        json!(0),
        json!(1),
        json!(-1),
        json!(3),
        json!(1e39),
        json!(u32::MAX),
        json!(u64::MAX),
        json!(null),
        json!("x"),
        json!([]),
        json!({}),
        json!([0, 0]),
        json!(true),
        json!(36),
        json!(1u64 << 33),
    ];
    for pointer in &pointers {
        for value in &values {
            if let Ok(imported) = made.clone().set(pointer, value.clone()).import() {
                assert_sound(&imported);
            }
        }
    }
    assert!(pointers.len() > 40, "{}", pointers.len());
}

fn leaves(value: &serde_json::Value, at: String, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Array(list) => {
            list.iter().enumerate().for_each(|(place, item)| leaves(item, format!("{at}/{place}"), found));
        }
        serde_json::Value::Object(map) => {
            map.iter().for_each(|(name, item)| leaves(item, format!("{at}/{name}"), found))
        }
        _ => found.push(at.clone()),
    }
    if !at.is_empty() {
        found.push(at);
    }
}
