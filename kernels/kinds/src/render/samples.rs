//! Scenes made by code, for self-tests and measurements: the Cornell box, and one that uses every feature there is.

use super::math::{V3, cross, sin_cos, v3};
use super::model::{
    Alpha, Camera, Environment, Light, LightKind, Material, Model, Texture, TextureUse, Triangle, Vertex, Wrap,
};
use super::rng::pcg4d;

const AS_IT_IS: [[f32; 3]; 2] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]];

/// A matt material without any gloss.
fn matt(color: [f32; 3]) -> Material {
    let [r, g, b] = color;
    Material { base_color: [r, g, b, 1.0], metallic: 0.0, ior: 1.0, ..Material::default() }
}

fn array(v: V3) -> [f32; 3] {
    [v.x, v.y, v.z]
}

/// Two triangles from a corner along two edges; the front is where their vector product points.
fn quad(model: &mut Model, corner: V3, along: V3, up: V3, material: u32) {
    let normal = array(cross(along, up).normalized());
    let [x, y, z] = array(along.normalized());
    let vertex = |s: f32, t: f32| Vertex {
        position: array(corner + along * s + up * t),
        normal,
        tangent: [x, y, z, 1.0],
        uv: [[s, 1.0 - t], [s * 2.0 - 0.5, t * 2.0 - 0.5]],
        color: [1.0; 4],
    };
    let corners = [vertex(0.0, 0.0), vertex(1.0, 0.0), vertex(1.0, 1.0), vertex(0.0, 1.0)];
    for [a, b, c] in [[0, 1, 2], [0, 2, 3]] {
        model.triangles.push(Triangle { vertices: [corners[a], corners[b], corners[c]], material });
    }
}

/// A box by its middle and half its edges.
fn cuboid(model: &mut Model, middle: V3, x: V3, y: V3, z: V3, material: u32) {
    for (out, a, b) in [(x, y, z), (y, z, x), (z, x, y)] {
        for (out, a, b) in [(out, a, b), (-out, b, a)] {
            quad(model, middle + out + -a + -b, a * 2.0, b * 2.0, material);
        }
    }
}

/// The Cornell box as the renderer Mitsuba 3 has it: 36 triangles, matt, with one light below the ceiling,
/// whose back is black.
#[must_use]
pub fn cornell_box() -> Model {
    let mut model = Model {
        materials: vec![
            matt([0.885_809, 0.698_859, 0.666_422]),
            matt([0.105_421, 0.377_98, 0.076_425]),
            matt([0.570_068, 0.043_013_5, 0.044_370_6]),
            Material { emissive: [18.387, 13.987_3, 6.753_57], ..matt([0.885_809, 0.698_859, 0.666_422]) },
        ],
        camera: Camera {
            position: [0.0, 0.0, 3.9],
            right: [1.0, 0.0, 0.0],
            up: [0.0, 1.0, 0.0],
            forward: [0.0, 0.0, -1.0],
            tan_half_fov: 0.357_158_2, // of half of 39.3077 degrees
            aperture: 0.0,
            focus: 1.0,
        },
        ..Model::default()
    };
    let (x, y, z) = (v3(2.0, 0.0, 0.0), v3(0.0, 2.0, 0.0), v3(0.0, 0.0, 2.0));
    quad(&mut model, v3(-1.0, -1.0, -1.0), z, x, 0); // floor
    quad(&mut model, v3(-1.0, 1.0, -1.0), x, z, 0); // ceiling
    quad(&mut model, v3(-1.0, -1.0, -1.0), x, y, 0); // back
    quad(&mut model, v3(1.0, -1.0, -1.0), z, y, 1); // right
    quad(&mut model, v3(-1.0, -1.0, -1.0), y, z, 2); // left
    let (x, y, z) = (v3(0.286_891, 0.0, 0.087_711_5), v3(0.0, 0.3, 0.0), v3(-0.087_711_5, 0.0, 0.286_891));
    cuboid(&mut model, v3(0.335, -0.7, 0.38), x, y, z, 0);
    let (x, y, z) = (v3(0.284_91, 0.0, -0.093_949_1), v3(0.0, 0.61, 0.0), v3(0.093_949_1, 0.0, 0.284_91));
    cuboid(&mut model, v3(-0.33, -0.4, -0.28), x, y, z, 0);
    let (corner, x, z) = (v3(-0.23, 0.99, -0.18), v3(0.46, 0.0, 0.0), v3(0.0, 0.0, 0.38));
    quad(&mut model, corner, x, z, 3);
    model.materials.push(matt([0.0; 3]));
    quad(&mut model, corner, z, x, 4);
    model
}

/// A ball of `rings` times `2 * rings` quads with smooth normals.
fn ball(model: &mut Model, middle: V3, radius: f32, rings: u32, material: u32) {
    let part = |k: u32, n: u32| super::math::float(k) / super::math::float(n);
    let vertex = |column: u32, row: u32| {
        let (sine, cosine) = sin_cos(part(column, 2 * rings));
        let (level, up) = sin_cos(part(row, 2 * rings));
        let normal = v3(level * cosine, up, level * sine);
        let uv = [part(column, 2 * rings) * 3.0, part(row, rings) * 2.0];
        Vertex {
            position: array(middle + normal * radius),
            normal: array(normal.normalized()),
            tangent: [-sine, 0.0, cosine, -1.0],
            uv: [uv, [uv[1], uv[0]]],
            color: [1.0, 0.5 + 0.5 * part(row, rings), 0.75, 1.0],
        }
    };
    for row in 0..rings {
        for column in 0..2 * rings {
            let [a, b] = [vertex(column, row), vertex(column + 1, row)];
            let [c, d] = [vertex(column, row + 1), vertex(column + 1, row + 1)];
            for vertices in [[a, b, c], [b, d, c]] {
                model.triangles.push(Triangle { vertices, material });
            }
        }
    }
}

/// A texture of random bytes between two colours.
fn noise(side: [u32; 2], seed: u32, low: [u8; 4], high: [u8; 4]) -> Texture {
    let [width, height] = side;
    let mut rgba = Vec::new();
    for at in 0..width * height {
        for (channel, word) in pcg4d(at, 0, 0, seed).into_iter().enumerate() {
            let span = u32::from(high[channel] - low[channel]) + 1;
            rgba.push(low[channel] + u8::try_from((word >> 8) % span).expect("at most 255"));
        }
    }
    Texture { width, height, rgba, srgb: true, wrap: [Wrap::Repeat; 2], nearest: false }
}

/// A room with balls and panes of every kind of material, under every kind of light, seen through a lens.
#[must_use]
pub fn every_feature() -> Model {
    let mut model = cornell_box();
    model.triangles.truncate(10);
    let usage = |texture: u32, set: u8| Some(TextureUse { texture, set, transform: AS_IT_IS });
    model.textures = vec![
        noise([16, 8], 1, [30, 60, 20, 255], [250, 240, 200, 255]),
        Texture {
            srgb: false,
            wrap: [Wrap::Mirror, Wrap::Clamp],
            ..noise([7, 5], 2, [0, 20, 0, 255], [255, 255, 255, 255])
        },
        Texture { srgb: false, ..noise([8, 8], 3, [90, 90, 200, 255], [165, 165, 255, 255]) },
        Texture {
            nearest: true,
            wrap: [Wrap::Clamp, Wrap::Mirror],
            ..noise([9, 9], 4, [0, 0, 0, 0], [255, 255, 255, 255])
        },
        Texture { srgb: false, ..noise([1, 3], 5, [0, 0, 0, 255], [255, 255, 255, 255]) },
    ];
    let glossy = |roughness: f32, metallic: f32, color: [f32; 4]| Material {
        base_color: color,
        roughness,
        metallic,
        ..Material::default()
    };
    let materials = [
        glossy(0.2, 1.0, [0.95, 0.7, 0.3, 1.0]),
        glossy(0.45, 0.0, [0.2, 0.3, 0.8, 1.0]),
        Material {
            base_color_texture: Some(TextureUse { texture: 0, set: 0, transform: [[1.5, 0.5, 0.1], [-0.5, 1.5, 0.7]] }),
            metallic_roughness_texture: usage(1, 1),
            normal_texture: usage(2, 0),
            normal_scale: 0.8,
            occlusion_texture: usage(4, 0),
            occlusion_strength: 0.7,
            ..Material::default()
        },
        Material {
            alpha: Alpha::Mask(0.5),
            base_color_texture: usage(3, 0),
            double_sided: true,
            ..glossy(0.9, 0.0, [1.0; 4])
        },
        Material { alpha: Alpha::Blend, double_sided: true, ..glossy(0.5, 0.0, [0.9, 0.2, 0.2, 0.4]) },
        Material { transmission: 0.9, double_sided: true, ior: 1.45, ..glossy(0.0, 0.0, [0.8, 1.0, 0.9, 1.0]) },
        Material {
            transmission: 1.0,
            transmission_texture: usage(4, 1),
            double_sided: true,
            ..glossy(0.4, 0.0, [0.9, 0.9, 1.0, 1.0])
        },
        Material {
            emissive: [4.0, 3.0, 2.0],
            emissive_texture: usage(0, 0),
            double_sided: true,
            alpha: Alpha::Blend,
            ..glossy(1.0, 0.0, [0.5, 0.5, 0.5, 0.8])
        },
        Material { unlit: true, ..matt([0.1, 0.8, 0.4]) },
        glossy(0.0, 1.0, [0.9, 0.9, 0.9, 1.0]),
    ];
    let first = 5;
    model.materials.extend(materials);
    ball(&mut model, v3(-0.6, -0.7, -0.4), 0.3, 8, first);
    ball(&mut model, v3(0.1, -0.75, -0.5), 0.25, 8, first + 1);
    ball(&mut model, v3(0.65, -0.65, -0.2), 0.35, 8, first + 2);
    ball(&mut model, v3(-0.2, -0.8, 0.35), 0.2, 6, first + 6);
    ball(&mut model, v3(0.3, -0.85, 0.4), 0.15, 6, first + 9);
    quad(&mut model, v3(-0.9, -0.4, 0.1), v3(0.5, 0.0, 0.2), v3(0.0, 0.9, 0.0), first + 3);
    quad(&mut model, v3(0.3, -0.2, 0.3), v3(0.5, 0.0, -0.2), v3(0.0, 0.6, 0.1), first + 4);
    quad(&mut model, v3(-0.3, -0.3, 0.6), v3(0.5, 0.0, 0.1), v3(0.0, 0.7, 0.0), first + 5);
    quad(&mut model, v3(-0.4, 0.6, -0.8), v3(0.8, 0.0, 0.0), v3(0.0, 0.3, 0.2), first + 7);
    quad(&mut model, v3(0.7, 0.5, -0.9), v3(0.25, 0.0, 0.0), v3(0.0, 0.25, 0.0), first + 8);
    // Without an area, and without a sensible normal.
    model.triangles.push(Triangle { vertices: [Vertex { tangent: [0.0; 4], ..Vertex::default() }; 3], material: 0 });
    model.lights = vec![
        Light { kind: LightKind::Directional { direction: [-0.48, -0.64, -0.6] }, intensity: [0.6, 0.6, 0.5] },
        Light { kind: LightKind::Point { position: [0.7, 0.7, 0.6], range: Some(3.0) }, intensity: [0.3, 0.5, 0.9] },
        Light { kind: LightKind::Point { position: [-0.9, 0.2, 0.8], range: None }, intensity: [0.4, 0.1, 0.1] },
        Light {
            kind: LightKind::Spot {
                position: [0.0, 0.9, 0.5],
                direction: [0.0, -0.8, -0.6],
                cosines: [0.95, 0.8],
                range: None,
            },
            intensity: [3.0, 2.8, 2.0],
        },
    ];
    let (width, height) = (32, 16);
    let mut rgb = Vec::new();
    for at in 0..width * height {
        let [a, b, c, d] = pcg4d(at, 0, 0, 77).map(super::rng::unit);
        let sun = if at == 5 * width + 20 { 200.0 } else { 0.0 };
        rgb.extend([a, b, c].map(|x| x * d + sun));
    }
    model.environment = Environment { width, height, rgb, constant: [0.0; 3], rotation: 1.1 };
    model.camera.aperture = 0.04;
    model.camera.focus = 3.6;
    model
}
