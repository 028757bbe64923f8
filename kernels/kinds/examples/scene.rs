//! Says what an import makes of binary glTF files: `cargo run --release -p lode-kinds --example scene -- FILE.glb... [SECONDS]`

use std::time::Instant;

use lode_kinds::Kind;
use lode_kinds::range::{Store, prepare};
use lode_kinds::render::import::{Import, View};
use lode_kinds::render::spec::CameraChoice;

fn main() {
    let mut time = 0.0;
    let mut files = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.parse() {
            Ok(seconds) => time = seconds,
            Err(_) => files.push(argument),
        }
    }
    if files.is_empty() {
        eprintln!("usage: scene FILE.glb... [SECONDS]");
        std::process::exit(2);
    }
    for file in files {
        println!("{file}");
        match std::fs::read(&file) {
            Ok(bytes) => tell(&bytes, time),
            Err(error) => println!("  {error}"),
        }
    }
}

fn tell(bytes: &[u8], time: f64) {
    let start = Instant::now();
    let view = View { time, camera: &CameraChoice::Default, aspect: 16.0 / 9.0, aperture: 0.0, focus: None };
    let imported = match Import::open(bytes).and_then(|import| import.at(&view)) {
        Ok(imported) => imported,
        Err(error) => return println!("  refused: {error}"),
    };
    let model = &imported.model;
    let texels: usize = model.textures.iter().map(|texture| texture.rgba.len() / 4).sum();
    println!("  triangles {}, materials {}", model.triangles.len(), model.materials.len());
    println!("  textures {} of {texels} texels, lights {}", model.textures.len(), model.lights.len());
    let mut bounds = [[f32::INFINITY; 3], [f32::NEG_INFINITY; 3]];
    for position in model.triangles.iter().flat_map(|triangle| &triangle.vertices).map(|vertex| vertex.position) {
        for (axis, part) in position.into_iter().enumerate() {
            bounds[0][axis] = bounds[0][axis].min(part);
            bounds[1][axis] = bounds[1][axis].max(part);
        }
    }
    println!("  from {:?} to {:?}", bounds[0], bounds[1]);
    println!("  seen from {:?} towards {:?}", model.camera.position, model.camera.forward);
    for note in &imported.notes {
        println!("  note: {note}");
    }
    println!("  imported in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    job(bytes);
}

/// One file, and what is made of it.
struct Memory<'a>(&'a [u8]);

impl Store for Memory<'_> {
    fn open(&mut self, _digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.0.to_vec()))
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        Ok(*blake3::hash(&bytes).as_bytes())
    }
}

/// What the pool does with it before it opens a job of 1080p.
fn job(bytes: &[u8]) {
    let spec = serde_json::json!({ "scene": "0".repeat(64), "width": 1920, "height": 1080 });
    let start = Instant::now();
    match prepare(Kind::Render, &spec, &mut Memory(bytes)) {
        Ok(prepared) => {
            let blob = prepared.sections[0].inputs[0].bytes;
            println!("  1080p: a scene of {blob} bytes, {} cells", prepared.pilot.counts.len());
            println!("  prepared in {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        }
        Err(error) => println!("  1080p: {error}"),
    }
}
