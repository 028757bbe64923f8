//! A scene for tests.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

/// A binary glTF file with one shining triangle that fills the middle of what its framing camera sees.
pub fn triangle() -> Vec<u8> {
    let corners: [[f32; 3]; 3] = [[-1.0, -1.0, 0.0], [1.0, -1.0, 0.0], [0.0, 1.0, 0.0]];
    let data: Vec<u8> = corners.as_flattened().iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut json = serde_json::json!({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "material": 0}]}],
        "materials": [{"emissiveFactor": [1, 0.5, 0.25], "doubleSided": true}],
        "accessors": [{"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3",
                       "min": [-1, -1, 0], "max": [1, 1, 0]}],
        "bufferViews": [{"buffer": 0, "byteLength": data.len()}], "buffers": [{"byteLength": data.len()}],
    })
    .to_string();
    json.push_str(&" ".repeat(json.len().next_multiple_of(4) - json.len()));
    let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
    let chunk = |kind: &[u8; 4], bytes: &[u8]| [&word(bytes.len())[..], kind, bytes].concat();
    let chunks = [chunk(b"JSON", json.as_bytes()), chunk(b"BIN\0", &data)].concat();
    [&b"glTF"[..], &word(2), &word(12 + chunks.len()), &chunks].concat()
}
