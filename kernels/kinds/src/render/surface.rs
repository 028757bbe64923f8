//! What a surface is where it was hit.

use super::layout::{COLORS, NORMALS, SHADE_WORDS, TANGENTS, UV0, UV1, attribute_words, material};
use super::math::{V3, clamped, cross, dot, larger, v3};
use super::scene::Scene;
use super::texture;
use super::trace::{self, Hit, Ray};

/// Transmission through a surface no rougher than this goes straight through.
const CLEAR: f32 = 0.08;

/// A surface where it was hit, as what comes to it from there sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surface {
    pub(super) position: V3,
    /// Towards where the ray came from.
    pub(super) out: V3,
    /// The triangle's own normal, on the ray's side.
    pub(super) flat: V3,
    /// The shading normal, on the ray's side.
    pub(super) normal: V3,
    /// Base colour.
    pub(super) color: V3,
    /// Radiance, towards the ray.
    pub(super) emission: V3,
    /// Whether that is all.
    pub(super) unlit: bool,
    /// Whether its material has textures.
    pub(super) textured: bool,
    /// What part of the surface is there.
    pub(super) opacity: f32,
    /// What part of the light from behind comes straight through.
    pub(super) straight: V3,
    /// What is scattered diffusely, and through the surface.
    pub(super) diffuse: V3,
    pub(super) through: V3,
    /// Reflection head-on and at grazing angles, of the whole and of its dielectric part.
    pub(super) f0: V3,
    pub(super) f90: f32,
    pub(super) dielectric: [f32; 2],
    /// GGX's alpha.
    pub(super) alpha: f32,
    /// What part of the diffuse light from other surfaces comes in.
    pub(super) access: f32,
}

/// Schlick's weight of a cosine: its complement to the fifth.
#[inline(always)]
pub(super) fn schlick(cosine: f32) -> f32 {
    let x = clamped(1.0 - cosine, 0.0, 1.0);
    let x2 = x * x;
    x2 * x2 * x
}

/// A number at each corner, and its place in between.
#[inline(always)]
fn between(scene: &Scene, place: usize, stride: usize, (u, v): (f32, f32)) -> f32 {
    let (a, b, c) = (scene.number(place), scene.number(place + stride), scene.number(place + 2 * stride));
    c.mul_add(v, b.mul_add(u, a * (1.0 - u - v)))
}

#[inline(always)]
fn three_between(scene: &Scene, place: usize, stride: usize, at: (f32, f32)) -> V3 {
    let [x, y, z] = [0, 1, 2].map(|axis| between(scene, place + axis, stride, at));
    v3(x, y, z)
}

/// Where a triangle's attributes of one kind begin.
#[inline(always)]
fn attribute(scene: &Scene, shade: usize, kind: u32) -> usize {
    let before = scene.word(shade + 2) & (kind - 1);
    scene.attributes + scene.word(shade + 3) as usize + attribute_words(before)
}

/// Texture coordinates of both sets; 0 where there are none.
#[inline(always)]
fn texture_coordinates(scene: &Scene, shade: usize, at: (f32, f32)) -> [[f32; 2]; 2] {
    let flags = scene.word(shade + 2);
    let mut sets = [[0.0; 2]; 2];
    for (set, kind) in sets.iter_mut().zip([UV0, UV1]) {
        if flags & kind != 0 {
            let place = attribute(scene, shade, kind);
            *set = [between(scene, place, 2, at), between(scene, place + 1, 2, at)];
        }
    }
    sets
}

/// Base colour and opacity, before it is decided what opacity means.
#[inline(always)]
fn base_color(scene: &Scene, shade: usize, made_of: usize, at: (f32, f32), uv: &[[f32; 2]; 2]) -> (V3, f32) {
    let place = made_of + material::BASE_COLOR;
    let (mut color, mut opacity) = (scene.three(place), scene.number(place + 3));
    if scene.word(made_of) & material::TEXTURED != 0 {
        let [r, g, b, a] = texture::sample(scene, made_of + material::USE_BASE, uv);
        color = color * v3(r, g, b);
        opacity *= a;
    }
    if scene.word(shade + 2) & COLORS != 0 {
        let place = attribute(scene, shade, COLORS);
        color = color * three_between(scene, place, 4, at);
        opacity *= between(scene, place + 3, 4, at);
    }
    (color, opacity)
}

/// What part of the surface is there.
#[inline(always)]
fn opacity_of(scene: &Scene, made_of: usize, opacity: f32) -> f32 {
    let flags = scene.word(made_of);
    if flags & material::MASK != 0 {
        return if opacity >= scene.number(made_of + material::CUTOFF) { 1.0 } else { 0.0 };
    }
    if flags & material::BLEND != 0 { clamped(opacity, 0.0, 1.0) } else { 1.0 }
}

/// Radiance of an emitting triangle at barycentric coordinates, less where it is not there.
#[inline(always)]
pub(super) fn emission(scene: &Scene, slot: u32, at: (f32, f32)) -> V3 {
    let shade = scene.shades + slot as usize * SHADE_WORDS;
    let made_of = scene.materials + scene.word(shade) as usize * material::LENGTH;
    let uv = texture_coordinates(scene, shade, at);
    let (_, opacity) = base_color(scene, shade, made_of, at, &uv);
    let [r, g, b, _] = texture::sample(scene, made_of + material::USE_EMISSIVE, &uv);
    scene.three(made_of + material::EMISSIVE) * v3(r, g, b) * opacity_of(scene, made_of, opacity)
}

/// The surface that `ray`, whose direction has length 1, hit.
#[inline(always)]
pub(super) fn at(scene: &Scene, ray: &Ray, hit: Hit) -> Surface {
    let shade = scene.shades + hit.slot as usize * SHADE_WORDS;
    let made_of = scene.materials + scene.word(shade) as usize * material::LENGTH;
    let (attributes, flags) = (scene.word(shade + 2), scene.word(made_of));
    let position = ray.direction.scaled_onto(hit.distance, ray.origin);
    let place = trace::coordinates(scene, hit.slot, position);
    let front = trace::normal(scene, hit.slot);
    let is_front = dot(front, ray.direction) < 0.0;
    let out = -ray.direction;

    let mut normal = front;
    if attributes & NORMALS != 0 {
        normal = three_between(scene, attribute(scene, shade, NORMALS), 3, place).normalized();
    }
    let textured = flags & material::TEXTURED != 0;
    let mut uv = [[0.0; 2]; 2];
    if textured {
        uv = texture_coordinates(scene, shade, place);
        if attributes & TANGENTS != 0 {
            normal = bent(scene, shade, made_of, place, &uv, normal);
        }
    }
    let flat = if is_front { front } else { -front };
    let mut normal = if is_front { normal } else { -normal };
    if dot(normal, out) < 0.01 {
        normal = flat; // seen from behind: the triangle's own normal is always seen from the front
    }

    let (color, opacity) = base_color(scene, shade, made_of, place, &uv);
    let mut surface = Surface {
        position,
        out,
        flat,
        normal,
        color,
        emission: V3::ZERO,
        unlit: flags & material::UNLIT != 0,
        textured,
        opacity: opacity_of(scene, made_of, opacity),
        straight: V3::ZERO,
        diffuse: V3::ZERO,
        through: V3::ZERO,
        f0: V3::ZERO,
        f90: 0.0,
        dielectric: [0.0; 2],
        alpha: 0.0,
        access: 1.0,
    };
    if surface.unlit {
        surface.emission = color;
        let gone = 1.0 - surface.opacity;
        surface.straight = v3(gone, gone, gone);
        return surface;
    }
    let mut metallic = scene.number(made_of + material::METALLIC);
    let mut roughness = scene.number(made_of + material::ROUGHNESS);
    let mut transmission = scene.number(made_of + material::TRANSMISSION);
    if flags & material::EMITS != 0 {
        surface.emission = scene.three(made_of + material::EMISSIVE);
    }
    if textured {
        let [_, rough, metal, _] = texture::sample(scene, made_of + material::USE_METALLIC_ROUGHNESS, &uv);
        metallic *= metal;
        roughness *= rough;
        transmission *= texture::sample(scene, made_of + material::USE_TRANSMISSION, &uv)[0];
        let [r, g, b, _] = texture::sample(scene, made_of + material::USE_EMISSIVE, &uv);
        surface.emission = surface.emission * v3(r, g, b);
        let open = texture::sample(scene, made_of + material::USE_OCCLUSION, &uv)[0];
        surface.access = (open - 1.0).mul_add(scene.number(made_of + material::OCCLUSION), 1.0);
    }
    let (d0, d90) = (scene.number(made_of + material::F0), scene.number(made_of + material::F90));
    surface.dielectric = [d0, d90];
    surface.f0 = (color + v3(-d0, -d0, -d0)).scaled_onto(metallic, v3(d0, d0, d0));
    surface.f90 = (1.0 - d90).mul_add(metallic, d90);
    surface.alpha = larger(roughness * roughness, 0.001);
    let body = color * (1.0 - metallic);
    surface.diffuse = body * (1.0 - transmission);
    let gone = 1.0 - surface.opacity;
    surface.straight = v3(gone, gone, gone);
    if transmission > 0.0 {
        let passing = body * transmission;
        if roughness <= CLEAR {
            let enters = 1.0 - (d90 - d0).mul_add(schlick(dot(out, normal)), d0);
            surface.straight = passing.scaled_onto(enters * surface.opacity, surface.straight);
        } else {
            surface.through = passing;
        }
    }
    surface
}

/// The normal that a normal map makes of `normal`, on the front.
#[inline(always)]
fn bent(scene: &Scene, shade: usize, made_of: usize, at: (f32, f32), uv: &[[f32; 2]; 2], normal: V3) -> V3 {
    let place = attribute(scene, shade, TANGENTS);
    let along = three_between(scene, place, 4, at);
    let tangent = normal.scaled_onto(-dot(along, normal), along).normalized();
    let bitangent = cross(normal, tangent) * scene.number(place + 3);
    let [x, y, z, _] = texture::sample(scene, made_of + material::USE_NORMAL, uv);
    let scale = scene.number(made_of + material::NORMAL_SCALE);
    let (x, y, z) = (x.mul_add(2.0, -1.0) * scale, y.mul_add(2.0, -1.0) * scale, z.mul_add(2.0, -1.0));
    let bent = tangent.scaled_onto(x, bitangent.scaled_onto(y, normal * z)).normalized();
    if dot(bent, bent) > 0.0 { bent } else { normal }
}
