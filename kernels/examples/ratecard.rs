//! What each operation of kind render is worth in SHA-256d hashes, measured on an OpenCL device: `scripts/ratecard.sh` runs it
//! on the reference device, one core of a CPU.
//!
//! The time that a few different pictures take and the time that a hash takes are measured in turn, as the processor time
//! of this process, so that others on the machine disturb little. The pictures' operations are counted by the reference.
//! The worth of each is what explains the pictures' times best: the least squares of the relative errors, none below its
//! least ([`LEAST`]), for some operations go along with others in every picture, and none is free.

use std::sync::Arc;

use lode_kernels::discover::survey;
use lode_kernels::{Backend, Device, OpenOptions};
use lode_kinds::Kind;
use lode_kinds::hash::{Algorithm, Nonces, Scan};
use lode_kinds::range::Task;
use lode_kinds::render::model::{Camera, Environment, Material, Model, Texture, TextureUse, Triangle, Vertex, Wrap};
use lode_kinds::render::{Cost, OPERATIONS, build, render_element_counting, samples};
use serde_json::json;

const COUNT: usize = OPERATIONS.len();
/// Nonces of one measurement.
const NONCES: u64 = 1 << 22;
/// Paths of one measurement, about.
const PATHS: u32 = 1 << 19;
const SIDE: u32 = 256;

/// What one of each is worth at least, in hashes.
const LEAST: [f64; COUNT] = [0.05, 0.05, 0.05, 0.2, 0.0, 0.0, 0.0, 0.0];

struct Picture {
    name: &'static str,
    task: Arc<Task>,
    counts: [u64; COUNT],
    /// Hashes of the time of one rendering, of each round.
    hashes: Vec<f64>,
}

fn main() {
    let rounds: usize = std::env::args().nth(1).map_or(5, |text| text.parse().expect("a number of rounds"));
    let found = survey().found.into_iter().find(|candidate| candidate.info().backend == Backend::OpenCl);
    let mut device = found.expect("an OpenCL device").open(&OpenOptions::of_user()).expect("it can be opened");
    println!("device: {}, {}", device.info().name, device.info().driver);
    let mut pictures = pictures();
    let scan = Scan::new(Algorithm::Sha256d, &[0x5a; 80], [0; 32]);
    let nonces = Nonces::new(0, NONCES).expect("in range");
    let hash = |device: &mut dyn Device| seconds(|| device.scan(&scan, nonces, &mut Vec::new()).expect("it hashes"));
    hash(device.as_mut());
    let mut rates = Vec::new();
    for round in 0..=rounds {
        for picture in &mut pictures {
            device.load(&picture.task).expect("it renders");
            let before = hash(device.as_mut());
            let time = seconds(|| {
                device.run(0..picture.task.elements(), &mut Vec::new()).expect("it renders");
            });
            let of_hash = (before + hash(device.as_mut())) / 2.0 / NONCES as f64;
            if round > 0 {
                rates.push(1.0 / of_hash);
                picture.hashes.push(time / of_hash);
            }
        }
    }
    println!("sha256d: {:.0} hashes a second of processor time, the median of {}", median(&rates), rates.len());
    let worth = fit(&pictures);
    let rounded = worth.map(|worth| (worth * 1e3).round() / 1e3);
    print!("\n{:<28}", "picture");
    OPERATIONS.iter().for_each(|name| print!(" {name:>10}"));
    println!(" {:>12} {:>12} {:>6}  rounds", "hashes", "by the fit", "ratio");
    for picture in &pictures {
        let (measured, told) = (median(&picture.hashes), told(&picture.counts, &rounded));
        print!("{:<28}", picture.name);
        picture.counts.iter().for_each(|count| print!(" {count:>10}"));
        let rounds: Vec<String> = picture.hashes.iter().map(|hashes| format!("{:.3}", hashes / measured)).collect();
        println!(" {measured:>12.0} {told:>12.0} {:>6.3}  {}", told / measured, rounds.join(" "));
    }
    println!("\nthousandths of a hash that one is worth:");
    for (name, worth) in OPERATIONS.iter().zip(worth) {
        println!("{name:<10} {:>8.0}", worth * 1e3);
    }
}

/// Processor time of all of this process's threads that `work` takes.
fn seconds(work: impl FnOnce()) -> f64 {
    let now = || -> u64 {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells a process's threads");
        let time = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse().ok()
        };
        tasks.filter_map(time).sum()
    };
    let begin = now();
    work();
    (now() - begin) as f64 / 1e9
}

fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn told(counts: &[u64; COUNT], worth: &[f64; COUNT]) -> f64 {
    counts.iter().zip(worth).map(|(&count, worth)| count as f64 * worth).sum()
}

/// Least squares of relative errors under the bound that nothing is worth less than its least: one number after the other
/// is set to its best, until nothing moves.
fn fit(pictures: &[Picture]) -> [f64; COUNT] {
    let rows: Vec<[f64; COUNT]> =
        pictures.iter().map(|picture| picture.counts.map(|count| count as f64 / median(&picture.hashes))).collect();
    let mut worth = LEAST;
    for _ in 0..200_000 {
        for at in 0..COUNT {
            let missing = |row: &[f64; COUNT]| {
                1.0 - row.iter().zip(&worth).map(|(part, worth)| part * worth).sum::<f64>() + row[at] * worth[at]
            };
            let (above, below) =
                rows.iter().fold((0.0, 0.0), |(a, b), row| (a + row[at] * missing(row), b + row[at] * row[at]));
            worth[at] = (above / below).max(LEAST[at]);
        }
    }
    worth
}

fn pictures() -> Vec<Picture> {
    let away = |mut model: Model| {
        model.camera =
            Camera { position: [0.0, 50.0, 0.0], forward: [0.0, 0.0, 1.0], right: [-1.0, 0.0, 0.0], ..model.camera };
        model
    };
    let mut pictures = Vec::new();
    for (name, model, depth) in [
        ("Cornell box, depth 1", samples::cornell_box(), 1),
        ("Cornell box, depth 2", samples::cornell_box(), 2),
        ("Cornell box, depth 8", samples::cornell_box(), 8),
        ("Cornell box, depth 32", samples::cornell_box(), 32),
        ("every feature, depth 1", samples::every_feature(), 1),
        ("every feature, depth 3", samples::every_feature(), 3),
        ("every feature, depth 16", samples::every_feature(), 16),
        ("terrain, depth 1", terrain(400, false), 1),
        ("terrain, depth 4", terrain(400, false), 4),
        ("textured terrain, depth 8", terrain(200, true), 8),
        ("small terrain, depth 8", terrain(12, false), 8),
        ("soup, depth 1", soup(), 1),
        ("soup, depth 6", soup(), 6),
        ("nothing but sky", away(samples::every_feature()), 8),
    ] {
        let section = json!({
            "width": SIDE, "height": SIDE, "samples": PATHS / SIDE / SIDE, "pass_samples": PATHS / SIDE / SIDE,
            "max_depth": depth, "seed": 7, "albedo": false, "normal": false, "depth": false,
        });
        let scene = build(&model).expect("a made scene");
        let task = Arc::new(Task::parse(Kind::Render, &section, vec![scene]).expect("a made section"));
        let (scene, settings) = task.render().expect("a render");
        let mut cost = Cost::default();
        for element in 0..settings.elements() {
            cost += render_element_counting(scene, settings, element).1;
        }
        let counts = cost.counts(u64::from(PATHS / SIDE / SIDE * SIDE * SIDE));
        pictures.push(Picture { name, task, counts, hashes: Vec::new() });
    }
    pictures
}

/// Large triangles through each other, of which a ray tests many.
fn soup() -> Model {
    let mut word = 1_u32;
    let mut number = || {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 8) as f32 / 16_777_216.0 * 2.0 - 1.0
    };
    let mut model = terrain(1, false);
    model.triangles.clear();
    for _ in 0..2000 {
        let middle = [number(), number(), number()];
        let [a, b, c] = [(); 3].map(|()| middle.map(|part| part + 0.4 * number()));
        let [x, y, z] = [0, 1, 2].map(|axis| [b[axis] - a[axis], c[axis] - a[axis]]);
        let normal = [y[0] * z[1] - z[0] * y[1], z[0] * x[1] - x[0] * z[1], x[0] * y[1] - y[0] * x[1]];
        let length = normal.iter().map(|part| part * part).sum::<f32>().sqrt();
        let vertex = |position| Vertex {
            position,
            normal: normal.map(|part| part / length),
            color: [1.0; 4],
            ..Vertex::default()
        };
        model.triangles.push(Triangle { vertices: [a, b, c].map(vertex), material: 0 });
    }
    model.materials[0] = Material { base_color: [0.8, 0.8, 0.8, 1.0], metallic: 0.0, ior: 1.0, ..model.materials[0] };
    model
}

/// A landscape of `side` times `side` squares under a sky, seen from above its edge.
fn terrain(side: u32, textured: bool) -> Model {
    let place = |x: u32, y: u32| {
        let (u, v) = (x as f32 / side as f32, y as f32 / side as f32);
        let height = |u: f32, v: f32| {
            let wave = |n: f32| (u * 7.0 * n + n).sin() * (v * 5.0 * n + 2.0 * n).cos() / n;
            0.12 * (wave(1.0) + wave(2.3) + wave(5.1) + wave(11.7) + wave(27.0))
        };
        let step = 1e-3;
        let (du, dv) = (height(u + step, v) - height(u - step, v), height(u, v + step) - height(u, v - step));
        let normal = [-du / (2.0 * step * 4.0), 1.0, -dv / (2.0 * step * 4.0)];
        let length = normal.iter().map(|part| part * part).sum::<f32>().sqrt();
        Vertex {
            position: [4.0 * u - 2.0, height(u, v), 4.0 * v - 2.0],
            normal: normal.map(|part| part / length),
            tangent: [1.0, 0.0, 0.0, 1.0],
            uv: [[u * 8.0, v * 8.0], [u, v]],
            color: [1.0; 4],
        }
    };
    let mut triangles = Vec::new();
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
        let [a, b, c, d] = [place(x, y), place(x + 1, y), place(x, y + 1), place(x + 1, y + 1)];
        triangles.extend([[a, c, b], [b, c, d]].map(|vertices| Triangle { vertices, material: 0 }));
    }
    let texel = |at: u32| at.wrapping_mul(0x9E37_79B9).to_le_bytes();
    let texture = |srgb: bool| Texture {
        width: 512,
        height: 512,
        rgba: (0..512 * 512).flat_map(|at| texel(at).map(|byte| 64 + byte / 2)).collect(),
        srgb,
        wrap: [Wrap::Repeat; 2],
        nearest: false,
    };
    let usage = |texture: u32| {
        textured.then_some(TextureUse { texture, set: 0, transform: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]] })
    };
    let sky = |at: u32| if at == 20 * 128 + 40 { 500.0 } else { (1 + at % 7) as f32 * 0.2 };
    Model {
        triangles,
        materials: vec![Material {
            base_color_texture: usage(0),
            metallic_roughness_texture: usage(1),
            normal_texture: usage(1),
            metallic: 0.3,
            double_sided: true,
            ..Material::default()
        }],
        textures: if textured { vec![texture(true), texture(false)] } else { Vec::new() },
        environment: Environment {
            width: 128,
            height: 64,
            rgb: (0..128 * 64).flat_map(|at| [sky(at); 3]).collect(),
            ..Environment::default()
        },
        camera: Camera {
            position: [0.0, 0.9, 2.6],
            right: [1.0, 0.0, 0.0],
            up: [0.0, 0.948_683_3, -0.316_227_77],
            forward: [0.0, -0.316_227_77, -0.948_683_3],
            tan_half_fov: 0.5,
            aperture: 0.0,
            focus: 1.0,
        },
        ..Model::default()
    }
}
