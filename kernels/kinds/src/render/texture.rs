//! Textures, sampled in plain arithmetic: no device's texture units, which all differ.

use super::layout::{NONE, TEXTURE_NEAREST, TEXTURE_SRGB, TEXTURE_WORDS, WRAP_CLAMP, WRAP_MIRROR, WRAP_VERTICAL};
use super::math::{clamped, float, integer};
use super::scene::Scene;

/// Texture coordinates farther out than this count as 0.
const FARTHEST: f32 = 1_048_576.0;

/// What the texture use at `place` of a material shows at the coordinates of both sets; white where there is none.
#[inline(always)]
pub(super) fn sample(scene: &Scene, place: usize, coordinates: &[[f32; 2]; 2]) -> [f32; 4] {
    if scene.word(place) == NONE {
        return [1.0; 4];
    }
    let [s, t] = coordinates[(scene.word(place + 1) & 1) as usize];
    let row =
        |place: usize| scene.number(place).mul_add(s, scene.number(place + 1).mul_add(t, scene.number(place + 2)));
    let (s, t) = (row(place + 2), row(place + 5));
    let texture = scene.textures + scene.word(place) as usize * TEXTURE_WORDS;
    let (width, height) = (scene.word(texture + 1), scene.word(texture + 2));
    let flags = scene.word(texture + 3);
    let (s, t) = (folded(s, flags), folded(t, flags >> WRAP_VERTICAL));
    if flags & TEXTURE_NEAREST != 0 {
        let x = integer(s * float(width)).min(width - 1);
        let y = integer(t * float(height)).min(height - 1);
        return texel(scene, texture, x, y);
    }
    let (x0, x1, fx) = neighbours(s, width, flags);
    let (y0, y1, fy) = neighbours(t, height, flags >> WRAP_VERTICAL);
    let a = texel(scene, texture, x0, y0);
    let b = texel(scene, texture, x1, y0);
    let c = texel(scene, texture, x0, y1);
    let d = texel(scene, texture, x1, y1);
    let mut mean = [0.0; 4];
    for k in 0..4 {
        let above = (b[k] - a[k]).mul_add(fx, a[k]);
        let below = (d[k] - c[k]).mul_add(fx, c[k]);
        mean[k] = (below - above).mul_add(fy, above);
    }
    mean
}

/// A coordinate brought to between 0 and 1.
#[inline(always)]
fn folded(x: f32, wrap: u32) -> f32 {
    if wrap & WRAP_CLAMP != 0 {
        return clamped(x, 0.0, 1.0);
    }
    if x.abs() < FARTHEST {
        if wrap & WRAP_MIRROR != 0 {
            let y = x - 2.0 * (x * 0.5).floor();
            return if y > 1.0 { 2.0 - y } else { y };
        }
        return x - x.floor();
    }
    0.0
}

/// The two texels whose middles are to either side of a coordinate from 0 to 1, and how near it is to the second.
#[inline(always)]
pub(super) fn neighbours(x: f32, side: u32, wrap: u32) -> (u32, u32, f32) {
    let place = x.mul_add(float(side), 0.5);
    let next = integer(place).min(side);
    let part = place - float(next);
    let repeats = wrap & (WRAP_CLAMP | WRAP_MIRROR) == 0;
    let before = if next > 0 {
        next - 1
    } else if repeats {
        side - 1
    } else {
        0
    };
    let after = if next < side {
        next
    } else if repeats {
        0
    } else {
        side - 1
    };
    (before, after, part)
}

/// Red, green, blue and opacity of a texel, linear.
#[inline(always)]
fn texel(scene: &Scene, texture: usize, x: u32, y: u32) -> [f32; 4] {
    const PART: f32 = 0.003_921_569; // 1/255
    let place = scene.word(texture) as usize + (y * scene.word(texture + 1) + x) as usize;
    let word = scene.word(scene.texels + place);
    let bytes = [word & 255, (word >> 8) & 255, (word >> 16) & 255, word >> 24];
    if scene.word(texture + 3) & TEXTURE_SRGB == 0 {
        return bytes.map(|byte| float(byte) * PART);
    }
    let [r, g, b, a] = bytes;
    let decoded = |byte: u32| scene.number(scene.srgb + byte as usize);
    [decoded(r), decoded(g), decoded(b), float(a) * PART]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_fold_as_gltf_says() {
        assert_eq!([0.25, 1.25, -0.75, 1e30].map(|x| folded(x, 0)), [0.25, 0.25, 0.25, 0.0]);
        assert_eq!([0.25, 1.25, -0.25, 2.25].map(|x| folded(x, WRAP_MIRROR)), [0.25, 0.75, 0.25, 0.25]);
        assert_eq!([0.25, 1.25, -0.25, f32::NAN].map(|x| folded(x, WRAP_CLAMP)), [0.25, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn neighbours_wrap_or_stay() {
        assert_eq!(neighbours(0.0, 4, 0), (3, 0, 0.5));
        assert_eq!(neighbours(0.0, 4, WRAP_CLAMP), (0, 0, 0.5));
        assert_eq!(neighbours(0.375, 4, 0), (1, 2, 0.0));
        assert_eq!(neighbours(1.0, 4, 0), (3, 0, 0.5));
        assert_eq!(neighbours(1.0, 4, WRAP_MIRROR), (3, 3, 0.5));
        assert_eq!(neighbours(0.5, 1, 0), (0, 0, 0.0));
    }
}
