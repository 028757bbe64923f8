//! `lode-miner render`: one picture of a scene on one of this machine's devices, without a pool.

use std::convert::Infallible;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use indicatif::ProgressBar;
use lode_kernels::opencl::{self, Found, Renderer};
use lode_kernels::{Backend, Selector};
use lode_kinds::render::assemble::assemble;
use lode_kinds::render::denoise::denoise;
use lode_kinds::render::environment::environment;
use lode_kinds::render::grid::Grid;
use lode_kinds::render::import::{Import, View};
use lode_kinds::render::spec::Spec;
use lode_kinds::render::{Scene, Settings, build, picture, render_element};
use serde_json::{Map, Value, json};

use crate::args::RenderArgs;

/// Work given to an OpenCL device at a time, in paths: a fraction of a second on a CPU.
const PATHS_AT_ONCE: u32 = 1 << 18;

/// Renders what was asked for and writes the file. Gives what people are told of it.
///
/// # Errors
/// The file, field or device that is at fault, and how.
pub fn render(args: &RenderArgs) -> Result<String, String> {
    let began = Instant::now();
    let file = read(&args.scene)?;
    let surroundings = args.environment.as_deref().map(read).transpose()?;
    let spec = spec(args, surroundings.is_some())?;
    let scene = args.scene.display();
    let (scene, triangles, notes) =
        prepare(&spec, &file, surroundings.as_deref()).map_err(|error| format!("{scene}: {error}"))?;
    for note in notes {
        tracing::warn!("{}: {note}", args.scene.display());
    }
    let grid = Grid::of(&spec);
    let settings = Settings::new(
        [spec.width, spec.height],
        spec.samples,
        grid.pass_samples(),
        spec.max_depth,
        spec.frame_seed(0),
        spec.layers(),
    );
    let settings = settings.map_err(|error| error.to_string())?;
    let prepared = began.elapsed();
    let device = Target::choose(args.device)?;
    let begin = Instant::now();
    let elements = device.render(&scene, &settings)?;
    let took = begin.elapsed();
    let mut elements = elements.into_iter();
    let numbers = |element: u64| -> Result<Option<Vec<u8>>, Infallible> {
        debug_assert!(element < grid.elements());
        Ok(elements.next()) // they are asked for in order
    };
    let mut frame = assemble(&spec, 0, numbers).map_err(|error| error.to_string())?;
    if spec.denoise {
        denoise(&mut frame);
    }
    let file = picture::file(&frame, &spec).map_err(|error| error.to_string())?;
    std::fs::write(&args.out, file).map_err(|error| format!("{}: {error}", args.out.display()))?;
    let paths = f64::from(spec.width) * f64::from(spec.height) * f64::from(spec.samples);
    Ok(format!(
        "{}: {}x{}, {} samples a pixel, {triangles} triangles, on {}\nprepared in {prepared:.2?}, rendered in {took:.2?}: {:.2} million paths a second\n",
        args.out.display(),
        spec.width,
        spec.height,
        spec.samples,
        device.id(),
        paths / took.as_secs_f64().max(1e-9) / 1e6,
    ))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The arguments as a sponsor would write them, checked by the same code.
fn spec(args: &RenderArgs, surrounded: bool) -> Result<Spec, String> {
    // Files are at hand here; no digest is ever looked up.
    let unused = "0".repeat(64);
    let exr = args.out.extension().is_some_and(|extension| extension == "exr");
    let mut fields = Map::new();
    fields.insert("scene".into(), unused.as_str().into());
    fields.insert("width".into(), args.width.into());
    fields.insert("height".into(), args.height.into());
    fields.insert("samples".into(), args.samples.into());
    fields.insert("max_depth".into(), args.max_depth.into());
    fields.insert("seed".into(), args.seed.into());
    fields.insert("denoise".into(), args.denoise.into());
    fields.insert("output".into(), if exr { "exr" } else { "png" }.into());
    if surrounded {
        fields.insert("environment".into(), json!({ "digest": unused }));
    }
    Spec::parse(&Value::Object(fields)).map_err(|errors| {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.join("; ")
    })
}

/// The flat scene, how many triangles it has, and what of the file is not rendered.
fn prepare(spec: &Spec, file: &[u8], surroundings: Option<&[u8]>) -> Result<(Scene, usize, Vec<String>), String> {
    let import = Import::open(file).map_err(|error| error.to_string())?;
    #[expect(clippy::cast_precision_loss, reason = "sides are below 2^24")]
    let aspect = spec.width as f32 / spec.height as f32;
    let view = View { time: 0.0, camera: &spec.camera, aspect, aperture: spec.aperture, focus: spec.focus };
    let mut imported = import.at(&view).map_err(|error| error.to_string())?;
    let around = environment(&spec.environment, surroundings, &imported.model).map_err(|error| error.to_string())?;
    imported.model.environment = around;
    let blob = build(&imported.model).map_err(|error| error.to_string())?;
    let scene = Scene::parse(&blob).map_err(|error| error.to_string())?;
    Ok((scene, imported.model.triangles.len(), imported.notes))
}

/// Where a picture is rendered.
enum Target {
    OpenCl(Found),
    Cpu,
}

impl Target {
    /// The device that is asked for, or the first OpenCL device, or the CPU.
    fn choose(selector: Option<Selector>) -> Result<Target, String> {
        let nth = match selector {
            Some(Selector::One(Backend::Cpu, 0) | Selector::Backend(Backend::Cpu)) => return Ok(Target::Cpu),
            Some(Selector::One(Backend::OpenCl, index)) => index as usize,
            None | Some(Selector::All | Selector::Backend(Backend::OpenCl)) => 0,
            Some(other) => {
                return Err(format!("--device: {other} cannot render; cpu, opencl, or one as in opencl:0 can"));
            }
        };
        let found = opencl::find().and_then(|found| {
            let (have, chosen) = (found.len(), found.into_iter().nth(nth));
            chosen.ok_or_else(|| format!("--device: no opencl:{nth} on this machine, which has {have}"))
        });
        match (found, selector) {
            (Ok(found), _) => Ok(Target::OpenCl(found)),
            (Err(_), None | Some(Selector::All)) => Ok(Target::Cpu),
            (Err(reason), _) => Err(reason),
        }
    }

    fn id(&self) -> String {
        match self {
            Target::OpenCl(found) => found.info().id(),
            Target::Cpu => "cpu:0".to_owned(),
        }
    }

    /// The bytes of every element, in order.
    fn render(&self, scene: &Scene, settings: &Settings) -> Result<Vec<Vec<u8>>, String> {
        let progress = ProgressBar::new(u64::from(settings.elements()));
        let elements = match self {
            Target::OpenCl(found) => on_opencl(found, scene, settings, &progress)?,
            Target::Cpu => on_cpu(scene, settings, &progress),
        };
        progress.finish_and_clear();
        Ok(elements)
    }
}

fn on_opencl(
    found: &Found,
    scene: &Scene,
    settings: &Settings,
    progress: &ProgressBar,
) -> Result<Vec<Vec<u8>>, String> {
    let lanes = if found.info().is_cpu { 8 } else { 1 };
    let mut renderer = Renderer::new(found, scene, *settings, lanes).map_err(|error| error.to_string())?;
    let mut elements = Vec::new();
    let (mut first, all) = (0, settings.elements());
    while first < all {
        let paths = settings.element(first).samples * lode_kinds::render::BLOCK_PIXELS;
        let count = (PATHS_AT_ONCE / paths).clamp(1, all - first);
        let numbers = renderer.render(first, count).map_err(|error| error.to_string())?;
        elements.extend(numbers.chunks_exact(settings.element_numbers()).map(bytes));
        first += count;
        progress.set_position(u64::from(first));
    }
    Ok(elements)
}

fn on_cpu(scene: &Scene, settings: &Settings, progress: &ProgressBar) -> Vec<Vec<u8>> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let next = AtomicU32::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let element = next.fetch_add(1, Ordering::Relaxed);
            if element >= settings.elements() {
                return done;
            }
            done.push((element, bytes(&render_element(scene, settings, element))));
            progress.inc(1);
        }
    };
    let mut elements: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let joined = running.into_iter().map(|thread| thread.join().expect("rendering panics only on a bug"));
        joined.flatten().collect()
    });
    elements.sort_unstable_by_key(|(element, _)| *element);
    elements.into_iter().map(|(_, bytes)| bytes).collect()
}

/// An element's numbers as they go over the wire: little-endian.
fn bytes(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}
