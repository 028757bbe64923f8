//! Geometry, poses and cameras of made scenes.

use serde_json::json;

use super::*;
use crate::render::model::{Camera, LightKind};

#[test]
fn a_triangle_has_flat_normals_and_is_framed() {
    let imported = Made::triangle().import().expect("a scene");
    assert_sound(&imported);
    let [triangle] = imported.model.triangles[..] else { panic!("one triangle") };
    assert_eq!(triangle.vertices.map(|vertex| vertex.position), [[0.0; 3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]);
    assert_eq!(triangle.vertices.map(|vertex| vertex.normal), [[0.0, 0.0, 1.0]; 3]);
    assert_eq!((triangle.material, imported.model.materials.len()), (0, 1));
    let Camera { position, forward, tan_half_fov, .. } = imported.model.camera;
    // All corners lie inside the angle of view.
    for vertex in triangle.vertices {
        let to: [f32; 3] = std::array::from_fn(|axis| vertex.position[axis] - position[axis]);
        let length = to.iter().map(|part| part * part).sum::<f32>().sqrt();
        let cosine = (0..3).map(|axis| to[axis] * forward[axis]).sum::<f32>() / length;
        assert!(cosine > 1.0 / (1.0 + tan_half_fov * tan_half_fov).sqrt(), "{cosine}");
    }
}

#[test]
fn nodes_place_turn_scale_and_mirror() {
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let node = json!({ "mesh": 0, "translation": [1, 2, 3], "rotation": [0, half, 0, half], "scale": [2, 2, 2] });
    let made = Made::triangle().set("/nodes/0", node);
    let vertices = made.import().expect("a scene").model.triangles[0].vertices;
    let near = |a: [f32; 3], b: [f32; 3]| assert!((0..3).all(|i| (a[i] - b[i]).abs() < 1e-6), "{a:?} {b:?}");
    near(vertices[1].position, [1.0, 2.0, 1.0]); // x turns to -z
    near(vertices[2].position, [1.0, 4.0, 3.0]);
    near(vertices[0].normal, [1.0, 0.0, 0.0]);

    // Mirrored, the triangle still faces the way its normal does: corners 1 and 2 change places.
    let node = json!({ "mesh": 0, "matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] });
    let vertices = Made::triangle().set("/nodes/0", node).import().expect("a scene").model.triangles[0].vertices;
    assert_eq!(vertices.map(|vertex| vertex.position), [[0.0; 3], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]]);
    near(vertices[0].normal, [0.0, 0.0, 1.0]);
}

#[test]
fn children_follow_their_parents() {
    let mut made = Made::triangle();
    made.push("nodes", json!({ "children": [0], "translation": [0, 0, 5], "scale": [3, 1, 1] }));
    let made = made.set("/scenes/0/nodes", json!([1])).set("/nodes/0/translation", json!([1, 0, 0]));
    let vertices = made.import().expect("a scene").model.triangles[0].vertices;
    assert_eq!(vertices.map(|vertex| vertex.position), [[3.0, 0.0, 5.0], [6.0, 0.0, 5.0], [3.0, 1.0, 5.0]]);
}

#[test]
fn strips_and_fans_face_forward() {
    for (mode, order) in [(5, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 1.0]), (6, [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0])]
    {
        let mut made = Made::triangle();
        let points: Vec<f32> = order.chunks(2).flat_map(|point| [point[0], point[1], 0.0]).collect();
        let position = made.floats(3, &points);
        let primitive = json!({ "attributes": { "POSITION": position }, "mode": mode });
        let imported = made.set("/meshes/0/primitives/0", primitive).import().expect("a scene");
        assert_eq!(imported.model.triangles.len(), 2);
        for triangle in &imported.model.triangles {
            assert_eq!(triangle.vertices[0].normal, [0.0, 0.0, 1.0], "mode {mode}");
        }
    }
}

#[test]
fn points_and_lines_are_told() {
    let mut made = Made::triangle();
    let primitive = json!({ "attributes": { "POSITION": 0 }, "mode": 1 });
    made.json["meshes"][0]["primitives"].as_array_mut().expect("primitives").push(primitive);
    made.json["extensionsUsed"] = json!(["KHR_materials_clearcoat", "KHR_materials_unlit"]);
    let notes = made.import().expect("a scene").notes;
    assert_eq!(notes, ["KHR_materials_clearcoat is not rendered", "1 primitives of points or lines are not rendered"]);
}

#[test]
fn every_component_type_is_read() {
    let cases: [(u32, Vec<u8>); 4] = [
        (5120, vec![127, 129, 0]),
        (5121, vec![255, 0, 0]),
        (5122, [32_767_i16, -32_767, 0].iter().flat_map(|v| v.to_le_bytes()).collect()),
        (5123, [65_535_u16, 0, 0].iter().flat_map(|v| v.to_le_bytes()).collect()),
    ];
    for (code, corner) in cases {
        let mut made = Made::triangle();
        let zero = vec![0; corner.len()];
        let other: Vec<u8> = corner.iter().rev().copied().collect();
        let stride = corner.len().next_multiple_of(4);
        let bytes: Vec<u8> = [&corner, &zero, &other]
            .into_iter()
            .flat_map(|element| element.iter().copied().chain(std::iter::repeat(0)).take(stride))
            .collect();
        let accessor = made.accessor(&bytes, code, "VEC3", 3);
        made.json["accessors"][accessor]["normalized"] = json!(true);
        made.json["bufferViews"][1]["byteStride"] = json!(stride);
        let made = made.set("/meshes/0/primitives/0/attributes/POSITION", json!(accessor));
        let position = made.import().expect("a scene").model.triangles[0].vertices[0].position;
        let second = if code == 5120 || code == 5122 { -1.0 } else { 0.0 };
        assert_eq!(position, [1.0, second, 0.0], "component type {code}");
    }
}

#[test]
fn sparse_accessors_replace_elements() {
    let mut made = Made::triangle();
    let indices = made.view(&[2]);
    let values = made.view(&[7.0_f32, 8.0, 9.0].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
    let sparse = json!({
        "count": 1,
        "indices": { "bufferView": indices, "componentType": 5121 },
        "values": { "bufferView": values },
    });
    let made = made.set("/accessors/0/sparse", sparse);
    let vertices = made.import().expect("a scene").model.triangles[0].vertices;
    assert_eq!(vertices[2].position, [7.0, 8.0, 9.0]);
    assert_eq!(vertices[1].position, [1.0, 0.0, 0.0]);
}

/// A triangle whose node is moved along x: 0 at 1 s, 10 at 3 s.
fn moving(interpolation: &str, values: &[f32]) -> Vec<u8> {
    let mut made = Made::triangle();
    let input = made.floats(1, &[1.0, 3.0]);
    let output = made.floats(3, values);
    let sampler = json!({ "input": input, "output": output, "interpolation": interpolation });
    let channel = json!({ "sampler": 0, "target": { "node": 0, "path": "translation" } });
    made.push("animations", json!({ "samplers": [sampler], "channels": [channel] }));
    made.glb()
}

#[test]
fn nodes_move_in_steps_lines_and_curves() {
    let ends = [0.0, 0.0, 0.0, 10.0, 0.0, 0.0];
    // In-tangent, value, out-tangent of each key; leaving and arriving at rest.
    let curve = [0.0; 3 * 3].into_iter().chain([0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect::<Vec<f32>>();
    let cases = [
        ("LINEAR", ends.to_vec(), [0.0, 0.0, 2.5, 5.0, 10.0, 10.0]),
        ("STEP", ends.to_vec(), [0.0, 0.0, 0.0, 0.0, 10.0, 10.0]),
        ("CUBICSPLINE", curve, [0.0, 0.0, 1.5625, 5.0, 10.0, 10.0]),
    ];
    for (interpolation, values, wanted) in cases {
        let file = moving(interpolation, &values);
        for (time, x) in [0.0, 1.0, 1.5, 2.0, 3.0, 9.0].into_iter().zip(wanted) {
            let model = import_at(&file, time).expect("a scene").model;
            assert_eq!(model.triangles[0].vertices[0].position, [x, 0.0, 0.0], "{interpolation} at {time} s");
        }
    }
}

#[test]
fn turns_are_evenly_fast() {
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let mut made = Made::triangle();
    let input = made.floats(1, &[0.0, 1.0]);
    let output = made.floats(4, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, -half, -half]); // a quarter about z; the longer way round
    let channel = json!({ "sampler": 0, "target": { "node": 0, "path": "rotation" } });
    made.push("animations", json!({ "samplers": [{ "input": input, "output": output }], "channels": [channel] }));
    let vertex = import_at(&made.glb(), 1.0 / 3.0).expect("a scene").model.triangles[0].vertices[1].position;
    let (sin, cos) = std::f32::consts::FRAC_PI_6.sin_cos();
    assert!((vertex[0] - cos).abs() < 1e-6 && (vertex[1] - sin).abs() < 1e-6, "{vertex:?}");
}

#[test]
fn shapes_morph() {
    let mut made = Made::triangle();
    let delta = made.floats(3, &[0.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let input = made.floats(1, &[0.0, 1.0]);
    let output = made.floats(1, &[0.0, 1.0]);
    made.json["meshes"][0]["primitives"][0]["targets"] = json!([{ "POSITION": delta }]);
    made.json["meshes"][0]["weights"] = json!([0.5]);
    let still = made.import().expect("a scene").model.triangles[0].vertices[0].position;
    assert_eq!(still, [0.0, 0.0, 2.0]);
    let channel = json!({ "sampler": 0, "target": { "node": 0, "path": "weights" } });
    made.push("animations", json!({ "samplers": [{ "input": input, "output": output }], "channels": [channel] }));
    let moved = import_at(&made.glb(), 0.25).expect("a scene").model.triangles[0].vertices[0].position;
    assert_eq!(moved, [0.0, 0.0, 1.0]);
}

#[test]
fn skins_follow_their_joints() {
    let mut made = Made::triangle();
    let joints = made.accessor(&[0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0], 5121, "VEC4", 3);
    let weights = made.floats(4, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0]);
    made.json["meshes"][0]["primitives"][0]["attributes"]["JOINTS_0"] = json!(joints);
    made.json["meshes"][0]["primitives"][0]["attributes"]["WEIGHTS_0"] = json!(weights);
    let first = made.root_node(json!({}));
    let second = made.root_node(json!({ "translation": [0, 0, 2] }));
    made.push("skins", json!({ "joints": [first, second] }));
    // The mesh's own node is no part of where a skin is.
    let made = made.set("/nodes/0", json!({ "mesh": 0, "skin": 0, "translation": [100, 0, 0] }));
    let imported = made.import().expect("a scene");
    let positions = imported.model.triangles[0].vertices.map(|vertex| vertex.position);
    assert_eq!(positions, [[0.0; 3], [1.0, 0.0, 2.0], [0.0, 1.0, 1.0]]);
    assert_sound(&imported);
}

#[test]
fn cameras_are_chosen() {
    let mut made = Made::triangle();
    made.push("cameras", json!({ "type": "orthographic", "orthographic": {} }));
    made.push(
        "cameras",
        json!({ "type": "perspective", "perspective": { "yfov": 1.0, "znear": 0.1 }, "name": "lens" }),
    );
    made.root_node(json!({ "camera": 0, "name": "flat" }));
    made.root_node(json!({ "camera": 1, "name": "near", "translation": [0, 0, 2] }));
    made.root_node(json!({ "camera": 1, "name": "far", "translation": [0, 0, 9], "scale": [2, 2, 2] }));
    let file = made.glb();
    let look = |camera: CameraChoice| {
        let view = View { time: 0.0, camera: &camera, aspect: 1.0, aperture: 0.5, focus: None };
        Import::open(&file)?.at(&view).map(|imported| imported.model.camera)
    };
    let first = look(CameraChoice::Default).expect("the first perspective camera");
    assert_eq!((first.position, first.forward, first.up), ([0.0, 0.0, 2.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]));
    assert_eq!((first.tan_half_fov, first.aperture, first.focus), (0.5_f32.tan(), 0.5, 2.0));
    assert_eq!(look(CameraChoice::Index(2)).expect("the third").position, [0.0, 0.0, 9.0]);
    assert_eq!(look(CameraChoice::Name("far".to_owned())).expect("by its node").position, [0.0, 0.0, 9.0]);
    assert_eq!(look(CameraChoice::Name("lens".to_owned())).expect("by itself").position, [0.0, 0.0, 2.0]);
    let (position, target, up) = ([0.0, 0.0, -3.0], [0.0; 3], [0.0, 1.0, 0.0]);
    let own = look(CameraChoice::Explicit { position, target, up, fov_degrees: 90.0 }).expect("the sponsor's own");
    assert_eq!((own.forward, own.right), ([0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]));
    assert!((own.tan_half_fov - 1.0).abs() < 1e-6);

    let wrong = |camera| look(camera).expect_err("no such camera").to_string();
    let text = wrong(CameraChoice::Name("top".to_owned()));
    assert_eq!(text, "camera: there is no camera \"top\"; the scene has 3: flat, near, far");
    assert_eq!(wrong(CameraChoice::Index(3)), "camera: there is no camera 3; the scene has 3: flat, near, far");
    assert!(wrong(CameraChoice::Index(0)).contains("orthographic cameras are not supported"));
    let blind = CameraChoice::Explicit { position, target: position, up, fov_degrees: 90.0 };
    assert!(wrong(blind).contains("no direction of view"));
}

#[test]
fn lights_shine_from_their_nodes() {
    let mut made = Made::triangle();
    made.json["extensions"] = json!({ "KHR_lights_punctual": { "lights": [
        { "type": "point", "color": [1, 0.5, 0], "intensity": 10, "range": 3 },
        { "type": "spot", "spot": { "innerConeAngle": 0.2, "outerConeAngle": 0.5 } },
        { "type": "directional" },
    ] } });
    for light in 0..3 {
        let extension = json!({ "KHR_lights_punctual": { "light": light } });
        made.root_node(json!({ "extensions": extension, "translation": [0, light, 0], "rotation": [1, 0, 0, 0] }));
    }
    let lights = made.import().expect("a scene").model.lights;
    assert_eq!(lights[0].intensity, [10.0, 5.0, 0.0]);
    assert_eq!(lights[0].kind, LightKind::Point { position: [0.0; 3], range: Some(3.0) });
    let LightKind::Spot { position, direction, cosines, range: None } = lights[1].kind else { panic!("a spot") };
    assert_eq!((position, direction), ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]));
    assert_eq!(cosines, [0.2_f32.cos(), 0.5_f32.cos()]);
    assert_eq!(lights[2].kind, LightKind::Directional { direction: [0.0, 0.0, 1.0] });
}
