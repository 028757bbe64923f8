//! A picture made up: a sphere over a plain, of which the first blocks are there.

use bytes::Bytes;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
const BLOCK: u32 = 16;

/// The picture as PNG with so many millionths of its blocks, row by row from the top.
pub(super) fn draw(ppm: u64) -> Bytes {
    let (columns, rows) = (WIDTH / BLOCK, HEIGHT.div_ceil(BLOCK));
    let there = u64::from(columns * rows) * ppm / 1_000_000;
    let mut pixels = Vec::with_capacity((WIDTH * HEIGHT * 3) as usize);
    for (y, x) in (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (y, x))) {
        let block = u64::from(y / BLOCK * columns + x / BLOCK);
        pixels.extend(if block < there { colour(x, y) } else { [24, 23, 20] });
    }
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("memory takes all");
    writer.write_image_data(&pixels).expect("memory takes all");
    writer.finish().expect("memory takes all");
    file.into()
}

fn colour(x: u32, y: u32) -> [u8; 3] {
    let (x, y) = (f64::from(x) / 180.0 - 1.78, 1.0 - f64::from(y) / 180.0);
    let radius = (x * x + y * y).sqrt();
    let light = if radius < 0.7 {
        let height = (0.49 - radius * radius).sqrt();
        ((x * -0.5 + y * 0.6 + height * 0.62) / 0.7).max(0.06)
    } else if y < -0.45 {
        0.35 + 0.2 * y
    } else {
        0.55 + 0.35 * y
    };
    let warm = if radius < 0.7 { [1.0, 0.62, 0.36] } else { [0.86, 0.78, 0.9] };
    // Values lie within 0..=255, and fractions are dropped.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    warm.map(|part: f64| (part * light * 255.0).clamp(0.0, 255.0) as u8)
}
