//! Files that cannot be rendered: each is refused by name, and the pool lives on.

use std::path::{Path, PathBuf};

use lode_tests::pool::Home;
use lode_tests::render;
use lode_tests::sponsor::{Answer, Api};
use lode_tests::{rounds, say, scene};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use super::{BUDGET, CONFIG, PICTURE};

/// Debian's assimp-testmodels.
const MODELS: &str = "/usr/share/assimp/models/glTF2";
/// Folders of it whose files are broken on purpose.
const BROKEN: &[&str] = &[
    "BoxWithInfinites-glTF-Binary",
    "IndexOutOfRange",
    "MissingBin",
    "RecursiveNodes",
    "SchemaFailures",
    "wrongTypes",
];

fn asked(sponsor: &Api, file: &[u8]) -> Answer {
    let digest = render::upload(sponsor, file);
    sponsor.post("/quotes", &PICTURE.job(&digest, BUDGET))
}

/// That a scene is refused by its field, with a text that is no panic's.
fn check_refused(what: &str, answer: &Answer) {
    assert_eq!(answer.status, 422, "{what}: {}", answer.body);
    assert_eq!(answer.content_type, "application/problem+json");
    let text = answer.body.to_string();
    assert!(text.contains("spec.scene") && !text.contains("panicked"), "{what}: {text}");
}

#[test]
fn scenes_that_cannot_be_rendered_are_refused_by_name() {
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", BUDGET);
    for (what, file) in scene::broken() {
        check_refused(what, &asked(&sponsor, &file));
        let digest = lode_tests::range::digest_of(&file).to_string();
        check_refused(what, &sponsor.post("/jobs", &PICTURE.job(&digest, BUDGET)));
    }
    let credit = sponsor.get("/sponsor").ok()["assets"]["CREDIT"].clone();
    assert_eq!(credit["balance"], BUDGET.to_string(), "nothing is in escrow");
    assert_eq!(asked(&sponsor, &scene::room(1)).status, 200, "a sound one is taken");
    pool.stop();
}

#[test]
fn mutated_scenes_are_taken_or_refused() {
    let seed = rand::rng().random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", BUDGET);
    let good = scene::room(1);
    let (count, mut refused) = (rounds("LODE_MUTATIONS", 25), 0);
    for _ in 0..count {
        let mut file = good.clone();
        for _ in 0..rng.random_range(1..6) {
            let at = rng.random_range(0..file.len());
            match rng.random_range(0..3) {
                0 => file[at] ^= 1 << rng.random_range(0..8),
                1 => file.truncate(at.max(1)),
                _ => file[at] = rng.random(),
            }
        }
        let answer = asked(&sponsor, &file);
        match answer.status {
            200 => {}
            _ => check_refused("a mutated file", &answer),
        }
        refused += usize::from(answer.status == 422);
    }
    assert_eq!(asked(&sponsor, &good).status, 200);
    say(&format!("mutated scenes: {count}, of which {refused} refused, seed {seed}"));
    pool.stop();
}

/// The glTF files below a folder.
fn models(dir: &Path) -> Vec<PathBuf> {
    let items = std::fs::read_dir(dir).into_iter().flatten().map(|item| item.expect("an entry").path());
    let files = items.flat_map(|path| if path.is_dir() { models(&path) } else { vec![path] });
    let is_gltf = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gltf" || extension == "glb");
    files.filter(is_gltf).collect()
}

#[test]
fn a_collection_of_test_models_is_taken_or_refused_by_name() {
    if !Path::new(MODELS).exists() {
        say("SKIPPED the models of assimp-testmodels: not installed");
        return;
    }
    let home = Home::new(CONFIG);
    let pool = home.start();
    let sponsor = Api::admin(&pool).funded_sponsor("acme", BUDGET);
    let (mut taken, mut refused) = (0, 0);
    for path in models(Path::new(MODELS)) {
        let file = std::fs::read(&path).expect("a model");
        // JSON by itself is refused as such; in a container its own faults are met.
        let contained = serde_json::from_slice::<Value>(&file).map(|json| scene::glb(&json, &[]));
        for file in [Some(file), contained.ok()].into_iter().flatten().filter(|file| !file.is_empty()) {
            let answer = asked(&sponsor, &file);
            let broken = BROKEN.iter().any(|folder| path.components().any(|part| part.as_os_str() == *folder));
            if answer.status == 200 && !broken {
                taken += 1;
            } else {
                check_refused(&path.display().to_string(), &answer);
                println!("{}: {}", path.display(), answer.body["errors"]);
                refused += 1;
            }
        }
    }
    assert!(taken >= 3 && refused >= BROKEN.len(), "{taken} taken, {refused} refused");
    say(&format!("models of assimp-testmodels: {taken} taken, {refused} refused by name"));
    pool.stop();
}
