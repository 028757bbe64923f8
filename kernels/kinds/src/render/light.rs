//! Where light comes from: triangles that emit, lights without a surface, and the sky.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN has to go the way of what is not so")]

use super::layout::{NONE, SHADE_WORDS, SKY_TABLE_WORDS, WRAP_CLAMP, emitter, header};
use super::math::{V3, clamped, dot, float, integer, larger, sin_cos, smaller, turns_of, v3};
use super::rng::unit;
use super::scene::Scene;
use super::{surface, texture};

/// Densities beyond this are taken for it: its square is still a number.
const DENSEST: f32 = 1e18;

/// A way to a light, drawn at random.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lit {
    /// Towards the light, of length 1.
    pub(super) direction: V3,
    /// Where it is; meaningless for the sky and for directional lights.
    pub(super) place: V3,
    pub(super) is_far: bool,
    /// Radiance, or intensity times attenuation for lights that no ray can hit.
    pub(super) radiance: V3,
    /// Density by solid angle; probability for lights that no ray can hit.
    pub(super) density: f32,
    pub(super) can_be_hit: bool,
}

/// The weight of one of two ways of drawing over its density, by the power heuristic: `own / (own^2 + other^2)`.
#[inline(always)]
pub(super) fn weight_over(own: f32, other: f32) -> f32 {
    let (own, other) = (smaller(own, DENSEST), smaller(other, DENSEST));
    own / own.mul_add(own, other * other)
}

/// The weight of one of two ways of drawing, by the power heuristic: `own^2 / (own^2 + other^2)`.
#[inline(always)]
pub(super) fn weight(own: f32, other: f32) -> f32 {
    let (own, other) = (smaller(own, DENSEST), smaller(other, DENSEST));
    own * own / own.mul_add(own, other * other)
}

/// One of `count` rows by the first word, or its alias if the second says so.
#[inline(always)]
fn drawn(scene: &Scene, table: usize, stride: usize, count: u32, word: u32, other: u32) -> u32 {
    let at = high_product(word, count);
    let row = table + at as usize * stride;
    if unit(other) < scene.number(row) { at } else { scene.word(row + 1) }
}

/// The upper half of a product.
#[inline(always)]
fn high_product(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// Draws a light and a place on it, as seen from `from`; `further` gives more random words. None if it does not shine there.
#[inline(always)]
pub(super) fn sample(
    scene: &Scene,
    from: V3,
    [word, other, a, b]: [u32; 4],
    further: impl FnOnce() -> [u32; 4],
) -> Option<Lit> {
    let at = drawn(scene, scene.emitters + emitter::THRESHOLD, emitter::LENGTH, scene.emitter_count, word, other);
    let record = scene.emitters + at as usize * emitter::LENGTH;
    let (kind, density) = (scene.word(record), scene.number(record + emitter::DENSITY));
    match kind & 0xff {
        emitter::TRIANGLE => {
            let (mut u, mut v) = (unit(a), unit(b));
            if u + v > 1.0 {
                (u, v) = (1.0 - u, 1.0 - v);
            }
            let edges = scene.three(record + emitter::EDGE1).scaled_onto(u, scene.three(record + emitter::CORNER));
            let place = scene.three(record + emitter::EDGE2).scaled_onto(v, edges);
            let way = place - from;
            let square = dot(way, way);
            let direction = way * (1.0 / square.sqrt());
            let mut normal = scene.three(record + emitter::NORMAL);
            let mut cosine = -dot(normal, direction);
            if cosine < 0.0 && kind & emitter::BOTH_SIDES != 0 {
                cosine = -cosine;
                normal = -normal;
            }
            if !(cosine > 0.0 && square > 0.0) {
                return None;
            }
            let radiance = if kind & emitter::VARIES != 0 {
                surface::emission(scene, scene.word(record + emitter::SLOT), (u, v))
            } else {
                scene.three(record + emitter::RADIANCE)
            };
            let place = normal.scaled_onto(scene.number(header::OFFSET), place);
            let density = density * square / cosine;
            Some(Lit { direction, place, is_far: false, radiance, density, can_be_hit: true })
        }
        emitter::SKY => {
            let [word, other, a, b] = further();
            let texels = scene.sky_width * scene.sky_height;
            let texel = drawn(scene, scene.sky_table, SKY_TABLE_WORDS, texels, word, other);
            let (x, y) = (texel % scene.sky_width, texel / scene.sky_width);
            let u = (float(x) + unit(a)) / float(scene.sky_width);
            let v = (float(y) + unit(b)) / float(scene.sky_height);
            let turns = u + 0.5 - scene.number(header::SKY_TURN);
            let (sine, cosine) = sin_cos(turns - turns.floor());
            let (level, up) = sin_cos(v * 0.5);
            if !(level > 0.0) {
                return None;
            }
            let density = density * scene.number(scene.sky_table + texel as usize * SKY_TABLE_WORDS + 2) / level;
            let direction = v3(level * cosine, up, level * sine);
            let radiance = sky_at(scene, u, v);
            Some(Lit { direction, place: V3::ZERO, is_far: true, radiance, density, can_be_hit: true })
        }
        emitter::DIRECTIONAL => {
            let direction = -scene.three(record + emitter::DIRECTION);
            let radiance = scene.three(record + emitter::INTENSITY);
            Some(Lit { direction, place: V3::ZERO, is_far: true, radiance, density, can_be_hit: false })
        }
        kind => {
            let place = scene.three(record + emitter::PLACE);
            let way = place - from;
            let square = dot(way, way);
            if !(square > 0.0) {
                return None;
            }
            let direction = way * (1.0 / square.sqrt());
            // The window of KHR_lights_punctual: nothing is left at the range.
            let inv_range = scene.number(record + emitter::INV_RANGE);
            let part = square * inv_range * inv_range;
            let mut strength = clamped(part.mul_add(-part, 1.0), 0.0, 1.0) / square;
            if kind == emitter::SPOT {
                let cosine = -dot(scene.three(record + emitter::DIRECTION), direction);
                let scale = scene.number(record + emitter::CONE_SCALE);
                let cone = clamped(cosine.mul_add(scale, scene.number(record + emitter::CONE_OFFSET)), 0.0, 1.0);
                strength *= cone * cone;
            }
            if !(strength > 0.0) {
                return None;
            }
            let radiance = scene.three(record + emitter::INTENSITY) * strength;
            Some(Lit { direction, place, is_far: false, radiance, density, can_be_hit: false })
        }
    }
}

/// The density with which [`sample`] draws the way to an emitting triangle; 0 if it never does.
#[inline(always)]
pub(super) fn density_of(scene: &Scene, slot: u32, square: f32, cosine: f32) -> f32 {
    let emitter = scene.word(scene.shades + slot as usize * SHADE_WORDS + 1);
    if emitter == NONE {
        return 0.0;
    }
    let density = scene.number(scene.emitters + emitter as usize * emitter::LENGTH + emitter::DENSITY);
    density * square / larger(cosine, 1e-12)
}

/// The sky's radiance from `direction`, and the density with which [`sample`] draws it.
#[inline(always)]
pub(super) fn sky(scene: &Scene, direction: V3) -> (V3, f32) {
    if scene.sky_width == 0 {
        return (scene.three(header::SKY_CONSTANT), 0.0);
    }
    let u = turns_of(direction.z, direction.x) + 0.5 + scene.number(header::SKY_TURN);
    let u = u - u.floor();
    let level = direction.x.mul_add(direction.x, direction.z * direction.z).sqrt();
    let v = clamped(2.0 * turns_of(level, direction.y), 0.0, 1.0);
    let x = integer(u * float(scene.sky_width)).min(scene.sky_width - 1);
    let y = integer(v * float(scene.sky_height)).min(scene.sky_height - 1);
    let texel = (y * scene.sky_width + x) as usize;
    let density = scene.number(scene.sky_table + texel * SKY_TABLE_WORDS + 2) / larger(level, 1e-6);
    (sky_at(scene, u, v), scene.number(header::SKY_CHANCE) * density)
}

/// The picture at a place, both coordinates from 0 to 1.
#[inline(always)]
fn sky_at(scene: &Scene, u: f32, v: f32) -> V3 {
    let (x0, x1, fx) = texture::neighbours(u, scene.sky_width, 0);
    let (y0, y1, fy) = texture::neighbours(v, scene.sky_height, WRAP_CLAMP);
    let at = |x: u32, y: u32| scene.three(scene.sky + (y * scene.sky_width + x) as usize * 3);
    let mix = |a: V3, b: V3, part: f32| (b - a).scaled_onto(part, a);
    mix(mix(at(x0, y0), at(x1, y0), fx), mix(at(x0, y1), at(x1, y1), fx), fy)
}
