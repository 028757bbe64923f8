//! Every field, right and wrong.

use serde_json::json;

use super::*;

fn minimal() -> Value {
    json!({ "scene": "ab".repeat(32), "width": 640, "height": 360 })
}

fn with(field: &str, value: Value) -> Value {
    let mut spec = minimal();
    spec[field] = value;
    spec
}

#[test]
fn three_fields_are_enough() {
    let spec = Spec::parse(&minimal()).expect("a spec");
    assert_eq!((spec.scene, spec.width, spec.height), ([0xAB; 32], 640, 360));
    assert_eq!((spec.samples, spec.max_depth, spec.frames, spec.fps), (64, 8, [0, 0], 24.0));
    assert_eq!((spec.output, spec.tone, spec.seed), (Output::Png8, Tone::Srgb, 0));
    assert_eq!((spec.camera, spec.environment), (CameraChoice::Default, EnvironmentChoice::Default));
}

#[test]
fn every_field_is_read() {
    let spec = json!({
        "scene": "00".repeat(32), "width": 64, "height": 32, "samples": 7, "max_depth": 3,
        "camera": { "position": [1, 2, 3], "target": [0, 0, 0], "up": [0, 0, 1], "fov_degrees": 50 },
        "environment": { "digest": "cd".repeat(32), "rotation": 90, "strength": 2 },
        "frames": [3, 9], "fps": 30, "lens": { "aperture": 0.1, "focus": 4 }, "denoise": true,
        "aovs": ["depth", "albedo"], "seed": 5, "output": "exr", "bits": 32, "exposure": -1, "tone": "filmic",
    });
    let spec = Spec::parse(&spec).expect("a spec");
    assert_eq!((spec.samples, spec.max_depth, spec.frames, spec.fps), (7, 3, [3, 9], 30.0));
    let up = [0.0, 0.0, 1.0];
    let camera = CameraChoice::Explicit { position: [1.0, 2.0, 3.0], target: [0.0; 3], up, fov_degrees: 50.0 };
    assert_eq!(spec.camera, camera);
    let environment = EnvironmentChoice::Picture { digest: [0xCD; 32], rotation: 90.0, strength: 2.0 };
    assert_eq!(spec.environment, environment);
    assert_eq!((spec.aperture, spec.focus), (0.1, Some(4.0)));
    assert_eq!(spec.aovs, Layers { albedo: true, normal: false, depth: true });
    assert_eq!(spec.layers(), Layers { albedo: true, normal: true, depth: true });
    assert_eq!((spec.output, spec.tone, spec.exposure), (Output::ExrFloat, Tone::Filmic, -1.0));
    assert_eq!(spec.time(15), 0.5);
}

#[test]
fn a_wrong_field_is_named() {
    let cases = [
        ("scene", json!("AB".repeat(32))),
        ("scene", Value::Null),
        ("width", json!(0)),
        ("width", json!(8193)),
        ("width", json!(1.5)),
        ("height", json!("360")),
        ("samples", json!(65_537)),
        ("max_depth", json!(0)),
        ("camera", json!(-1)),
        ("camera", json!([0, 1])),
        ("environment", json!("sky.hdr")),
        ("frames", json!([2, 1])),
        ("frames", json!([0])),
        ("frames", json!([0, 100_001])),
        ("fps", json!(0)),
        ("lens", json!(3)),
        ("denoise", json!("yes")),
        ("aovs", json!(["albedo", "albedo"])),
        ("aovs", json!(["colour"])),
        ("aovs", json!(["albedo"])), // PNG has no layers
        ("seed", json!(-1)),
        ("output", json!("jpeg")),
        ("bits", json!(32)),
        ("exposure", json!(1e9)),
        ("tone", json!("aces")),
        ("transparent", json!(true)),
    ];
    for (field, value) in cases {
        let errors = Spec::parse(&with(field, value.clone())).expect_err(field);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{value}: {errors:?}");
    }
}

#[test]
fn a_wrong_part_of_a_field_is_named() {
    let cases = [
        ("lens", json!({ "aperture": -1 }), "lens.aperture"),
        ("lens", json!({ "focus": 0 }), "lens.focus"),
        ("lens", json!({ "fstop": 8 }), "lens.fstop"),
        ("camera", json!({ "position": [0, 0], "target": [0, 0, 0] }), "camera.position"),
        ("camera", json!({ "position": [0, 0, 1] }), "camera.target"),
        ("camera", json!({ "position": [0, 0, 1], "target": [0, 0, 0], "fov_degrees": 180 }), "camera.fov_degrees"),
        ("environment", json!({ "rotation": 1 }), "environment.digest"),
        ("environment", json!({ "color": [-1, 0, 0] }), "environment.color"),
        ("environment", json!({ "digest": "cd".repeat(32), "strength": -1 }), "environment.strength"),
        ("environment", json!({ "color": [1, 1, 1], "strength": 1 }), "environment.strength"),
    ];
    for (field, value, named) in cases {
        let errors = Spec::parse(&with(field, value)).expect_err(named);
        let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [named], "{errors:?}");
    }
}

#[test]
fn all_wrong_fields_are_named_at_once() {
    let spec = json!({ "width": 0, "samples": 0, "colour": 1 });
    let errors = Spec::parse(&spec).expect_err("wrong fields");
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 5, "{text:?}");
    assert_eq!(text[2], "height: missing; accepted is a whole number from 1 to 8192");
    assert_eq!(text[3], "samples: 0; accepted is a whole number from 1 to 65536");
    assert!(text[4].starts_with("colour: no such field; accepted is one of lens, scene, width"), "{}", text[4]);
    assert_eq!(Spec::parse(&json!([])).expect_err("no object")[0].field, "spec");
}

#[test]
fn what_is_too_large_as_a_whole_is_named() {
    let mut spec = with("width", json!(8192));
    spec["height"] = json!(8192);
    assert_eq!(Spec::parse(&spec).expect_err("too many pixels")[0].field, "width");
    assert_eq!(Spec::parse(&with("frames", json!([0, 100_000]))).expect_err("too many frames")[0].field, "frames");
}
