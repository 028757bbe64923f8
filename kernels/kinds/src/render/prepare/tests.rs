//! Jobs of made scenes, from the sponsor's spec to the file.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use exr::prelude::{ReadChannels as _, ReadLayers as _};
use serde_json::json;

use super::*;
use crate::Kind;
use crate::range::{self, Task};
use crate::render::import::tests::broken::{mutated, turning};
use crate::render::import::tests::{Made, wild};
use crate::render::settings::{Aovs, Settings};
use crate::render::spec::digest_of;
use crate::render::{OPERATIONS, render_element_counting, render_pixel, samples};

/// A store in memory.
#[derive(Clone, Debug, Default, PartialEq)]
struct Memory(HashMap<[u8; 32], Vec<u8>>);

impl Store for Memory {
    fn open(&mut self, digest: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(digest).cloned())
    }

    fn keep(&mut self, bytes: Vec<u8>) -> Result<[u8; 32], String> {
        let digest = *blake3::hash(&bytes).as_bytes();
        self.0.insert(digest, bytes);
        Ok(digest)
    }
}

/// A job of a scene file, 40 by 24 pixels, changed by `with`.
fn job(file: &[u8], with: Value) -> (Value, Memory) {
    let mut store = Memory::default();
    store.keep(file.to_vec()).expect("memory");
    let scene = blake3::hash(file).to_hex().to_string();
    let mut spec = json!({ "scene": scene, "width": 40, "height": 24, "samples": 3, "max_depth": 4 });
    let Value::Object(with) = with else { panic!("an object") };
    spec.as_object_mut().expect("an object").extend(with);
    (spec, store)
}

fn prepared(spec: &Value, store: &mut Memory) -> Result<Prepared, Vec<FieldError>> {
    range::prepare(Kind::Render, spec, store).map_err(|error| match error {
        PrepareError::Fields(fields) => fields,
        PrepareError::Store(error) => panic!("{error}"),
    })
}

/// The elements of a whole job, as workers would make them.
fn elements(prepared: &Prepared, store: &mut Memory) -> Vec<Vec<u8>> {
    let mut elements = Vec::new();
    for Section { spec, inputs, elements: count } in &prepared.sections {
        let inputs = inputs.iter().map(|input| store.open(&input.digest).expect("memory").expect("it was kept"));
        let task = Task::parse(Kind::Render, spec, inputs.collect()).expect("what was prepared is a task");
        assert_eq!((task.elements(), task.element_bytes() as u64), (*count, prepared.element_bytes));
        assert_eq!(task.parts(), prepared.parts);
        elements.extend((0..*count).map(|element| task.element(element)));
    }
    elements
}

#[test]
fn the_same_job_is_prepared_the_same_every_time() {
    let (spec, mut store) = job(&turning().glb(), json!({ "frames": [3, 6], "fps": 4, "samples": 130 }));
    let mut again = store.clone();
    let first = prepared(&spec, &mut store).expect("a job");
    assert_eq!(prepared(&spec, &mut again).expect("a job"), first);
    assert_eq!(store, again);
    let Prepared { sections, pilot, element_bytes, parts, .. } = &first;
    // Three passes of six blocks a frame; the turn ends after the fourth frame, and the rest is the same scene.
    assert_eq!((sections.len(), pilot.section, pilot.period, pilot.run), (4, 18, 6, 1));
    assert_eq!((*element_bytes, *parts, pilot.counts.len()), (256 * 3 * 4, 256, 24));
    assert_ne!(sections[0].inputs, sections[1].inputs);
    assert_eq!(sections[1].inputs, sections[3].inputs);
    assert_eq!(store.0.len(), 3, "the file and two scenes");
    assert_ne!(sections[1].spec["seed"], sections[3].spec["seed"]);
    let paths: u64 = pilot.counts.iter().map(|counts| counts[7]).sum();
    assert_eq!(paths * 3, 4 * 40 * 24 * 130, "of all passes, as near as whole numbers are");
}

#[test]
fn where_many_parts_are_beyond_the_picture_more_are_drawn() {
    for ([width, height], parts) in [([1920, 1080], 17), ([16, 16], 16), ([1, 1], 4096), ([17, 16], 31)] {
        let (spec, mut store) = job(&Made::square().glb(), json!({ "width": width, "height": height }));
        assert_eq!(prepared(&spec, &mut store).expect("a job").audit_parts, parts, "{width}x{height}");
    }
}

#[test]
fn a_still_scene_is_built_once_for_all_frames() {
    let (spec, mut store) = job(&Made::square().glb(), json!({ "frames": [0, 9] }));
    let prepared = prepared(&spec, &mut store).expect("a job");
    assert_eq!((prepared.sections.len(), store.0.len()), (10, 2));
}

#[test]
fn the_assembled_file_is_what_was_rendered() {
    let layers = json!(["normal", "depth"]);
    let (spec, mut store) = job(&turning().glb(), json!({ "output": "exr", "bits": 32, "aovs": layers }));
    let prepared = prepared(&spec, &mut store).expect("a job");
    let elements = elements(&prepared, &mut store);
    let mut read = |element: u64| Ok(elements.get(usize::try_from(element).expect("small")).cloned());
    let mut out = Cursor::new(Vec::new());
    let file = range::assemble(Kind::Render, &spec, &mut read, &mut out).expect("a file");
    assert_eq!((file.name.as_str(), file.media_type), ("frame_000000.exr", "image/x-exr"));
    let image = exr::prelude::read().no_deep_data().largest_resolution_level().all_channels().first_valid_layer();
    let image = image
        .all_attributes()
        .non_parallel()
        .from_buffered(Cursor::new(out.into_inner()))
        .expect("an EXR")
        .layer_data
        .channel_data;
    let names: Vec<String> = image.list.iter().map(|channel| channel.name.to_string()).collect();
    assert_eq!(names, ["B", "G", "R", "Z", "normal.X", "normal.Y", "normal.Z"]);

    let scene = store.open(&prepared.sections[0].inputs[0].digest).expect("memory").expect("a scene");
    let scene = Scene::parse(&scene).expect("a scene");
    let aovs = Aovs { albedo: false, normal: true, depth: true };
    let settings = Settings::new([40, 24], 3, 3, 4, 0, aovs).expect("in range");
    let mut lit = 0;
    for (x, y) in (0..24).flat_map(|y| (0..40).map(move |x| (x, y))) {
        let numbers = render_pixel(&scene, &settings, y / 16 * 3 + x / 16, y % 16 * 16 + x % 16);
        let at = |channel: usize| image.list[channel].sample_data.value_by_flat_index((y * 40 + x) as usize).to_f32();
        for (channel, place) in [(2, 0), (1, 1), (0, 2), (4, 3), (5, 4), (6, 5), (3, 6)] {
            assert_eq!(at(channel).to_bits(), (numbers[place] / 3.0).to_bits(), "{x}, {y}, {channel}");
        }
        lit += u32::from(numbers[0] > 0.0 && numbers[6] > 0.0);
    }
    assert!(lit > 50, "{lit} pixels show something");

    let last = elements.len() as u64 - 1;
    let mut some = |element: u64| if element == last { Ok(None) } else { read(element) };
    let error = range::assemble(Kind::Render, &spec, &mut some, &mut Cursor::new(Vec::new())).unwrap_err();
    assert_eq!(error, "frame 0 is not finished");
    let preview = range::preview(Kind::Render, &spec, &mut some).expect("a picture").expect("a picture");
    assert!(preview.starts_with(b"\x89PNG"));
}

#[test]
fn a_sequence_is_a_zip_and_its_preview_the_frame_begun_last() {
    let (spec, mut store) = job(&turning().glb(), json!({ "frames": [3, 6], "fps": 4 }));
    let prepared = prepared(&spec, &mut store).expect("a job");
    let elements = elements(&prepared, &mut store);
    let mut whole = |element: u64| Ok(elements.get(usize::try_from(element).expect("small")).cloned());
    let mut out = Cursor::new(Vec::new());
    let file = range::assemble(Kind::Render, &spec, &mut whole, &mut out).expect("a file");
    assert_eq!((file.name.as_str(), file.media_type), ("frames.zip", "application/zip"));
    assert_eq!(zip::ZipArchive::new(out).expect("a zip").len(), 4);
    for (there, frame) in [(0, 0), (1, 0), (6, 0), (7, 1), (13, 2), (24, 3)] {
        let mut asked = Vec::new();
        let mut some = |element: u64| {
            asked.push(element);
            if element < there { whole(element) } else { Ok(None) }
        };
        range::preview(Kind::Render, &spec, &mut some).expect("a picture").expect("a picture");
        assert_eq!(asked[asked.len() - 6..], [0, 1, 2, 3, 4, 5].map(|block| frame * 6 + block), "{there} elements");
    }
}

#[test]
fn the_pilot_knows_what_a_picture_costs() {
    let every = samples::every_feature;
    for (name, model, [width, height, samples, last_frame]) in [
        ("Cornell box", samples::cornell_box(), [100, 70, 4, 0]),
        ("every feature", every(), [100, 70, 4, 0]),
        ("every feature, cells of four blocks", every(), [480, 400, 1, 39]),
    ] {
        let scene = Scene::parse(&build(&model).expect("it can be built")).expect("a scene");
        let spec = json!({
            "scene": "0".repeat(64), "width": width, "height": height, "samples": samples, "frames": [0, last_frame],
        });
        let spec = read(&spec).expect("a spec");
        let plan = Plan::of(&spec);
        let counts = plan.counts(&scene, spec.frame_seed(0));
        let blocks = Grid::of(&spec).blocks();
        assert_eq!((counts.len() as u64, plan.run), if last_frame > 0 { (188, 4) } else { (blocks, 1) });
        let of_element = |element: u32| &counts[usize::try_from(u64::from(element) / plan.run).expect("small")];

        let settings = Settings::new([width, height], samples, samples, 8, 0, Aovs::default()).expect("in range");
        let mut truth = crate::render::Cost::default();
        let mut told = [0; 8];
        let mut worst = 1.0_f64;
        for element in 0..settings.elements() {
            let cost = render_element_counting(&scene, &settings, element).1;
            truth += cost;
            for (sum, count) in told.iter_mut().zip(of_element(element)) {
                *sum += count;
            }
            let ratio = of_element(element)[1] as f64 / cost.nodes as f64;
            worst = worst.max(ratio).max(1.0 / ratio);
        }
        let truth = truth.counts(u64::from(width * height * samples));
        println!("{name}: told {told:?} of {truth:?}, a block at worst {worst:.2} times too dear or cheap");
        for ((told, truth), operation) in told.into_iter().zip(truth).zip(OPERATIONS) {
            let ratio = (told as f64 + 1.0) / (truth as f64 + 1.0); // of what there is none, none is told
            assert!((0.95..1.05).contains(&ratio), "{name}: {ratio} of {operation}");
        }
    }
}

#[test]
fn what_cannot_be_done_is_told_by_field() {
    let good = turning().glb();
    let told = |file: &[u8], with: Value| {
        let (spec, mut store) = job(file, with);
        let fields = prepared(&spec, &mut store).expect_err("it cannot be done");
        fields.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let nothing = "0".repeat(64);
    let cases = [
        (told(&good, json!({ "width": 0, "colour": 1 })), "spec.width: 0; accepted is a whole number from 1 to 8192; "),
        (told(&good, json!({ "width": 0, "colour": 1 })), "spec.colour: no such field"),
        (told(&good, json!({ "scene": nothing })), "spec.scene: there is no such blob of yours; upload it first"),
        (told(&good, json!({ "environment": nothing })), "spec.environment: there is no such blob"),
        (told(&good, json!({ "camera": "Kamera" })), "spec.camera: there is no camera \"Kamera\"; the scene has 1: "),
        (told(&good, json!({ "frames": [0, 8192] })), "spec.frames: [0,8192]; accepted is [first, last], "),
        (told(b"glTF", json!({})), "spec.scene: not a binary glTF 2.0 file: "),
        (told(&Made::empty().glb(), json!({})), "spec.scene: the scene: it has no triangles"),
    ];
    for (text, wanted) in cases {
        assert!(text.contains(wanted), "{text}\nwanted: {wanted}");
    }
    // The scene's own file is no picture of the sky.
    let scene = blake3::hash(&good).to_hex().to_string();
    let text = told(&good, json!({ "environment": scene }));
    assert_eq!(text, "spec.environment: the environment is neither OpenEXR nor Radiance HDR");
    let none = range::prepare(Kind::Render, &json!(7), &mut Memory::default()).unwrap_err().to_string();
    assert!(none.starts_with("spec: 7; accepted is an object; spec.scene: missing; "), "{none}");
    let none = range::prepare(Kind::Hash, &json!({}), &mut Memory::default()).unwrap_err().to_string();
    assert_eq!(none, "spec: kind hash is not cut into ranges");
}

#[test]
fn a_store_that_fails_is_no_fault_of_the_sponsors() {
    struct Failing;
    impl Store for Failing {
        fn open(&mut self, _: &[u8; 32]) -> Result<Option<Vec<u8>>, String> {
            Err("no disk".to_owned())
        }
        fn keep(&mut self, _: Vec<u8>) -> Result<[u8; 32], String> {
            Err("no disk".to_owned())
        }
    }
    let (spec, _) = job(&turning().glb(), json!({}));
    let error = range::prepare(Kind::Render, &spec, &mut Failing).unwrap_err();
    assert_eq!(error, PrepareError::Store("no disk".to_owned()));
    assert!(digest_of(spec["scene"].as_str().expect("a digest")).is_some());
}

#[test]
fn features_that_are_not_rendered_are_noted_once() {
    let mut made = Made::square().set("/extensionsUsed", json!(["KHR_materials_clearcoat"]));
    made.root_node(json!({ "name": "nothing" }));
    let (spec, mut store) = job(&made.glb(), json!({ "frames": [0, 3] }));
    let notes = prepared(&spec, &mut store).expect("a job").notes;
    assert_eq!(notes, ["KHR_materials_clearcoat is not rendered"]);
}

#[test]
fn broken_files_of_the_package_are_told_by_field() {
    let Some(folder) = wild::folder() else { return };
    let outcome = |file: &[u8]| {
        let (spec, mut store) = job(file, json!({ "width": 8, "height": 8, "samples": 1 }));
        prepared(&spec, &mut store)
    };
    for (name, wanted) in wild::BROKEN {
        let fields = outcome(&wild::file(&folder.join(name))).map(drop).expect_err(name);
        let [FieldError { field, detail }] = &fields[..] else { panic!("{name}: {fields:?}") };
        assert!(field == "spec.scene" && detail.contains(wanted), "{name}: {field}: {detail}\nwanted: {wanted}");
    }
    let files = wild::files(folder);
    let done = files.iter().filter(|path| outcome(&wild::file(path)).is_ok()).count();
    println!(
        "{} files: {done} prepared, {} refused by field, {} of them broken on purpose",
        files.len(),
        files.len() - done,
        wild::BROKEN.len()
    );
    assert!(done >= 20, "{done} files can be rendered");
}

#[test]
fn mutated_files_never_panic() {
    let file = turning().glb();
    let (mut done, mut refused) = (0, 0);
    for seed in 0..200 {
        let (spec, mut store) =
            job(&mutated(&file, seed), json!({ "width": 8, "height": 8, "samples": 1, "frames": [0, 1], "fps": 2 }));
        match catch_unwind(AssertUnwindSafe(|| prepared(&spec, &mut store))) {
            Ok(Ok(_)) => done += 1,
            Ok(Err(fields)) => {
                assert!(
                    !fields.is_empty() && fields.iter().all(|field| field.field.starts_with("spec.")),
                    "seed {seed}"
                );
                refused += 1;
            }
            Err(_) => panic!("seed {seed} panics"),
        }
    }
    println!("200 mutated files: {done} prepared, {refused} refused by field, none panicked");
    assert!(done > 5 && refused > 50, "{done} prepared, {refused} refused");
}
