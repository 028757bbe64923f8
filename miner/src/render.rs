//! `lode-miner render`: one picture of a scene on one of this machine's devices, without a pool.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use lode_kernels::discover::{Candidate, survey};
use lode_kernels::{Device, DeviceError, OpenOptions, Selector};
use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_kinds::render::assemble::assemble;
use lode_kinds::render::denoise::denoise;
use lode_kinds::render::environment::environment;
use lode_kinds::render::grid::Grid;
use lode_kinds::render::import::{Import, View};
use lode_kinds::render::spec::Spec;
use lode_kinds::render::{build, picture};
use serde_json::{Map, Value, json};

use crate::args::RenderArgs;

/// What a device is given at a time takes at least this long, so that it is worth a launch.
const SLICE: Duration = Duration::from_millis(200);

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
    let (blob, triangles, notes) =
        prepare(&spec, &file, surroundings.as_deref()).map_err(|error| format!("{scene}: {error}"))?;
    for note in notes {
        tracing::warn!("{}: {note}", args.scene.display());
    }
    let grid = Grid::of(&spec);
    let layers = spec.layers();
    let section = json!({
        "width": spec.width, "height": spec.height, "samples": spec.samples, "pass_samples": grid.pass_samples(),
        "max_depth": spec.max_depth, "seed": spec.frame_seed(0),
        "albedo": layers.albedo, "normal": layers.normal, "depth": layers.depth,
    });
    let task = Task::parse(Kind::Render, &section, vec![blob]).map_err(|error| error.to_string())?;
    let prepared = began.elapsed();
    let mut device = choose(args.device)?;
    let begin = Instant::now();
    let elements = elements(device.as_mut(), &Arc::new(task)).map_err(|error| error.to_string())?;
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
        device.info().id(),
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

/// The flat scene's blob, how many triangles it has, and what of the file is not rendered.
fn prepare(spec: &Spec, file: &[u8], surroundings: Option<&[u8]>) -> Result<(Vec<u8>, usize, Vec<String>), String> {
    let import = Import::open(file).map_err(|error| error.to_string())?;
    #[expect(clippy::cast_precision_loss, reason = "sides are below 2^24")]
    let aspect = spec.width as f32 / spec.height as f32;
    let view = View { time: 0.0, camera: &spec.camera, aspect, aperture: spec.aperture, focus: spec.focus };
    let mut imported = import.at(&view).map_err(|error| error.to_string())?;
    let around = environment(&spec.environment, surroundings, &imported.model).map_err(|error| error.to_string())?;
    imported.model.environment = around;
    let blob = build(&imported.model).map_err(|error| error.to_string())?;
    Ok((blob, imported.model.triangles.len(), imported.notes))
}

/// The device that is asked for, or the first OpenCL device, or the CPU.
fn choose(selector: Option<Selector>) -> Result<Box<dyn Device>, String> {
    let survey = survey();
    let ids: Vec<String> = survey.found.iter().map(|found| found.info().id()).collect();
    let wanted = |found: &Candidate, selector: Selector| match selector {
        Selector::All => true,
        Selector::Backend(backend) => found.info().backend == backend,
        Selector::One(backend, index) => found.info().backend == backend && found.info().index == index,
    };
    let selected = survey.found.into_iter().filter(|found| wanted(found, selector.unwrap_or(Selector::All)));
    let mut refused = None;
    for found in selected {
        let id = found.info().id();
        let device = found.open(&OpenOptions::of_user()).map_err(|error| error.to_string());
        match device.and_then(|device| device.can(Kind::Render).map(|()| device)) {
            Ok(device) => return Ok(device),
            Err(reason) => refused = Some(format!("--device: {id} cannot render: {reason}")),
        }
    }
    Err(refused.unwrap_or_else(|| {
        let selector = selector.unwrap_or(Selector::All);
        format!("--device: no {selector} on this machine, which has {}", ids.join(", "))
    }))
}

/// The bytes of every element, in order.
fn elements(device: &mut dyn Device, task: &Arc<Task>) -> Result<Vec<Vec<u8>>, DeviceError> {
    let progress = ProgressBar::new(task.elements());
    device.load(task)?;
    let mut bytes = Vec::new();
    let (mut first, mut count) = (0, 1);
    while first < task.elements() {
        let end = task.elements().min(first + count);
        let begin = Instant::now();
        device.run(first..end, &mut bytes)?;
        if begin.elapsed() < SLICE {
            count *= 2;
        }
        first = end;
        progress.set_position(first);
    }
    progress.finish_and_clear();
    Ok(bytes.chunks_exact(task.element_bytes()).map(<[u8]>::to_vec).collect())
}
