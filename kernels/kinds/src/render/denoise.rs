//! An edge-avoiding à-trous filter (Dammertz et al. 2010) over a finished frame, guided by albedo, normal and depth.
//!
//! The light is divided by the albedo first and multiplied after, so textures stay sharp. Only sums, products, quotients
//! and roots: the same frame gives the same bits everywhere.

use super::assemble::Frame;

/// Passes, each with twice the reach of the one before: 2, 4, 8, 16, 32 pixels.
const PASSES: u32 = 5;
/// The B3 spline.
const KERNEL: [f32; 5] = [1.0 / 16.0, 1.0 / 4.0, 3.0 / 8.0, 1.0 / 4.0, 1.0 / 16.0];
/// Below this an albedo divides nothing.
const ALBEDO_MIN: f32 = 0.01;
/// Differences at which a neighbour counts half: of albedo, of depth as a part of it for each pixel apart, and of
/// brightness in the first pass.
const ALBEDO_SPREAD: f32 = 0.1;
const DEPTH_SPREAD: f32 = 0.02;
const LIGHT_SPREAD: f32 = 0.6;

/// What is known of a pixel's surface.
#[derive(Clone, Copy)]
struct Guide {
    albedo: [f32; 3],
    normal: [f32; 3],
    depth: f32,
}

/// Smooths the noise out of a frame's colour. A frame without all three layers stays as it is.
pub fn denoise(frame: &mut Frame) {
    let [Some(albedo), Some(normal), Some(depth)] = frame.layers.offsets() else { return };
    let part = |pixel: &[f32], at: usize| [pixel[at], pixel[at + 1], pixel[at + 2]];
    let guides: Vec<Guide> = frame
        .pixels()
        .map(|pixel| Guide { albedo: part(pixel, albedo), normal: part(pixel, normal), depth: pixel[depth] })
        .collect();
    let mut light: Vec<[f32; 3]> = frame
        .pixels()
        .zip(&guides)
        .map(|(pixel, guide)| std::array::from_fn(|place| pixel[place] / divisor(guide.albedo[place])))
        .collect();
    let size = [frame.width as usize, frame.height as usize];
    for pass in 0..PASSES {
        light = smooth(&light, &guides, size, pass);
    }
    let channels = frame.layers.channels();
    for ((pixel, light), guide) in frame.values.chunks_exact_mut(channels).zip(light).zip(guides) {
        for (place, value) in pixel[..3].iter_mut().enumerate() {
            *value = light[place] * divisor(guide.albedo[place]);
        }
    }
}

fn divisor(albedo: f32) -> f32 {
    if albedo > ALBEDO_MIN { albedo } else { 1.0 }
}

fn smooth(light: &[[f32; 3]], guides: &[Guide], [width, height]: [usize; 2], pass: u32) -> Vec<[f32; 3]> {
    let step = 1_usize << pass;
    let spread = LIGHT_SPREAD / step as f32;
    let tones: Vec<f32> = light.iter().map(tone).collect();
    let mut smoothed = Vec::with_capacity(light.len());
    for y in 0..height {
        for x in 0..width {
            let here = y * width + x;
            let (mut sum, mut total) = ([0.0; 3], 0.0);
            for (row, across) in KERNEL.iter().enumerate() {
                let Some(y) = (y + row * step).checked_sub(2 * step).filter(|&y| y < height) else { continue };
                for (column, along) in KERNEL.iter().enumerate() {
                    let Some(x) = (x + column * step).checked_sub(2 * step).filter(|&x| x < width) else { continue };
                    let there = y * width + x;
                    let apart = (row.abs_diff(2) + column.abs_diff(2)) * step;
                    let alike = likeness(&guides[here], &guides[there], apart as f32);
                    let weight = across * along * alike * fall(tones[here] - tones[there], spread);
                    for (sum, light) in sum.iter_mut().zip(light[there]) {
                        *sum += weight * light;
                    }
                    total += weight;
                }
            }
            smoothed.push(if total > 0.0 { sum.map(|sum| sum / total) } else { light[here] });
        }
    }
    smoothed
}

/// Brightness from 0 to 1, so that a firefly is not infinitely unlike its neighbours.
fn tone(light: &[f32; 3]) -> f32 {
    let bright = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
    if bright > 0.0 { bright / (1.0 + bright) } else { 0.0 }
}

/// 1 at no difference, one half at `spread`, then falling with the square.
fn fall(difference: f32, spread: f32) -> f32 {
    let ratio = difference / spread;
    1.0 / (1.0 + ratio * ratio)
}

/// From 0, another surface, to 1, the same.
fn likeness(a: &Guide, b: &Guide, apart: f32) -> f32 {
    let cosine = (0..3).map(|axis| a.normal[axis] * b.normal[axis]).sum::<f32>();
    let nowhere = |guide: &Guide| guide.normal == [0.0; 3];
    let turned = match (nowhere(a), nowhere(b)) {
        (true, true) => 1.0,
        (false, false) if cosine > 0.0 => (0..5).fold(cosine, |power, _| power * power), // to the 32nd
        _ => 0.0,
    };
    let albedo = (0..3).map(|place| (a.albedo[place] - b.albedo[place]).abs()).sum::<f32>();
    let farther = if a.depth > b.depth { a.depth } else { b.depth };
    let depth = if a.depth == b.depth { 1.0 } else { fall(a.depth - b.depth, DEPTH_SPREAD * farther * apart) };
    turned * fall(albedo, ALBEDO_SPREAD) * depth
}

#[cfg(test)]
mod tests {
    use super::super::spec::Layers;
    use super::*;

    const SIZE: u32 = 64;

    /// Two walls that meet in the middle, lit differently, with noise.
    fn walls(noise: f32) -> Frame {
        let layers = Layers { albedo: true, normal: true, depth: true };
        let mut values = Vec::new();
        let mut state = 1_u32;
        for place in 0..SIZE * SIZE {
            let left = place % SIZE < SIZE / 2;
            let normal = if left { [1.0, 0.0, 0.0] } else { [0.0, 0.0, 1.0] };
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            let light = if left { 0.2 } else { 0.8 } + noise * random;
            values.extend([light * 0.5; 3]);
            values.extend([0.5; 3]);
            values.extend(normal);
            values.push(2.0);
        }
        Frame { width: SIZE, height: SIZE, layers, values, samples: vec![1; 16], wanted: 1 }
    }

    fn error(frame: &Frame, truth: &Frame) -> f32 {
        let squares = frame.pixels().zip(truth.pixels()).map(|(a, b)| (a[0] - b[0]) * (a[0] - b[0]));
        squares.sum::<f32>() / (SIZE * SIZE) as f32
    }

    #[test]
    fn noise_goes_and_edges_stay() {
        let (truth, noisy) = (walls(0.0), walls(0.3));
        let mut smooth = noisy.clone();
        denoise(&mut smooth);
        let (before, after) = (error(&noisy, &truth), error(&smooth, &truth));
        assert!(after < before / 20.0, "{before} to {after}");
        let row = &smooth.values[(32 * SIZE * 10) as usize..];
        assert!((row[31 * 10] - 0.1).abs() < 0.02 && (row[32 * 10] - 0.4).abs() < 0.02, "the corner is sharp");
    }

    #[test]
    fn what_has_no_noise_stays() {
        let truth = walls(0.0);
        let mut same = truth.clone();
        denoise(&mut same);
        for (a, b) in same.values.iter().zip(&truth.values) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn it_is_the_same_every_time_and_needs_its_guides() {
        let (mut first, mut second) = (walls(0.3), walls(0.3));
        denoise(&mut first);
        denoise(&mut second);
        assert_eq!(first, second);
        let mut blind = walls(0.3);
        blind.layers.depth = false;
        blind.values.truncate(9 * (SIZE * SIZE) as usize);
        let before = blind.clone();
        denoise(&mut blind);
        assert_eq!(blind, before);
    }
}
