//! The vectors of kind render. `vectors/render.json` is made by the reference alone:
//! `LODE_WRITE_VECTORS=1 cargo test -p lode-kernels vectors` writes it anew, and without the variable the same test holds the
//! file against the reference.

use std::sync::{Arc, LazyLock};

use lode_kinds::Kind;
use lode_kinds::range::Task;
use lode_kinds::render::model::Model;
use lode_kinds::render::{build, samples};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::SelfTestFailure;
use crate::backend::Device;

/// Renders every vector on the device.
///
/// # Errors
/// At the first element that the device does not reproduce.
pub(super) fn self_test(device: &mut dyn Device) -> Result<(), SelfTestFailure> {
    for (vector, task) in VECTORS.iter() {
        let name = || vector.name.clone();
        let mut bytes = Vec::new();
        let result = device.load(task).and_then(|()| device.run(0..task.elements(), &mut bytes));
        result.map_err(|error| SelfTestFailure::Device { vector: name(), error })?;
        let mut found = bytes.chunks(task.element_bytes()).map(digest);
        for (element, expected) in (0..).zip(&vector.elements) {
            let found = found.next().unwrap_or_else(|| digest(&[]));
            if found != *expected {
                return Err(SelfTestFailure::Element { vector: name(), element, expected: expected.clone(), found });
            }
        }
    }
    Ok(())
}

fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

static VECTORS: LazyLock<Vec<(Vector, Arc<Task>)>> = LazyLock::new(|| {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("../../vectors/render.json"))
        .expect("the file's test reads it with the same code");
    let with_task = |vector: Vector| {
        let task = vector.task();
        (vector, task)
    };
    vectors.into_iter().map(with_task).collect()
});

/// A made scene and its elements.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    /// Which of the made scenes.
    scene: Made,
    /// BLAKE3 of its blob.
    scene_digest: String,
    /// What a section's task is told.
    section: Value,
    /// BLAKE3 of each element.
    elements: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Made {
    CornellBox,
    EveryFeature,
}

impl Made {
    fn blob(self) -> Vec<u8> {
        let model: Model = match self {
            Self::CornellBox => samples::cornell_box(),
            Self::EveryFeature => samples::every_feature(),
        };
        build(&model).expect("the file's test builds the same")
    }
}

impl Vector {
    fn task(&self) -> Arc<Task> {
        let task = Task::parse(Kind::Render, &self.section, vec![self.scene.blob()]);
        Arc::new(task.expect("the file's test makes the same"))
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use lode_kinds::hash::{Nonces, Scan};
    use serde_json::json;

    use super::*;
    use crate::backend::{DeviceError, DeviceInfo};
    use crate::cpu::Cpu;
    use crate::selftest::self_test_kind;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/render.json");

    /// What the reference makes of a scene.
    fn vector(name: &str, scene: Made, section: Value) -> Vector {
        let scene_digest = digest(&scene.blob());
        let mut vector = Vector { name: name.to_owned(), scene, scene_digest, section, elements: Vec::new() };
        let task = vector.task();
        vector.elements = (0..task.elements()).map(|element| digest(&task.element(element))).collect();
        vector
    }

    fn vectors() -> Vec<Vector> {
        vec![
            vector(
                "every feature, with all layers and blocks beyond the picture",
                Made::EveryFeature,
                json!({
                    "width": 27, "height": 18, "samples": 3, "pass_samples": 2, "max_depth": 6, "seed": 11,
                    "albedo": true, "normal": true, "depth": true,
                }),
            ),
            vector(
                "Cornell box, long paths",
                Made::CornellBox,
                json!({
                    "width": 16, "height": 16, "samples": 2, "pass_samples": 2, "max_depth": 64, "seed": 4_294_967_295_u32,
                    "albedo": false, "normal": false, "depth": false,
                }),
            ),
        ]
    }

    #[test]
    fn the_vectors_are_the_references() {
        let vectors = vectors();
        if std::env::var_os("LODE_WRITE_VECTORS").is_some() {
            let text = serde_json::to_string_pretty(&vectors).unwrap();
            std::fs::write(FILE, text + "\n").unwrap();
        }
        let file: Vec<Vector> = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
        assert!(file == vectors, "vectors/render.json differs from the reference");
        let elements: Vec<&String> = vectors.iter().flat_map(|vector| &vector.elements).collect();
        assert_eq!(elements.len(), 8 + 1);
        let different: std::collections::HashSet<&&String> = elements.iter().collect();
        assert_eq!(different.len(), elements.len());
    }

    #[test]
    fn the_cpu_passes() {
        self_test_kind(&mut Cpu::new(None), Kind::Render).unwrap();
        self_test_kind(&mut Cpu::new(None), Kind::Hash).unwrap();
    }

    /// The CPU, but for what it does with an element's bytes.
    struct Altered<F>(Cpu, F);

    impl<F: FnMut(&mut Vec<u8>) + Send> Device for Altered<F> {
        fn info(&self) -> &DeviceInfo {
            self.0.info()
        }
        fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
            self.0.scan(scan, nonces, hits)
        }
        fn can(&self, kind: Kind) -> Result<(), String> {
            self.0.can(kind)
        }
        fn load(&mut self, task: &Arc<Task>) -> Result<(), DeviceError> {
            self.0.load(task)
        }
        fn run(&mut self, elements: Range<u64>, out: &mut Vec<u8>) -> Result<(), DeviceError> {
            self.0.run(elements, out)?;
            self.1(out);
            Ok(())
        }
    }

    #[test]
    fn a_device_that_renders_wrongly_fails() {
        let outcome = |alter: &mut (dyn FnMut(&mut Vec<u8>) + Send)| {
            self_test_kind(&mut Altered(Cpu::new(None), alter), Kind::Render).map_err(|failure| failure.to_string())
        };
        assert_eq!(outcome(&mut |_| {}), Ok(()));
        let last_bit = outcome(&mut |bytes| *bytes.last_mut().unwrap() ^= 1).unwrap_err();
        assert!(last_bit.contains("layers and blocks beyond the picture\": element 7 has digest "), "{last_bit}");
        let early_end = outcome(&mut |bytes| bytes.truncate(bytes.len() - 1)).unwrap_err();
        assert!(early_end.contains("element 7"), "{early_end}");
        assert!(outcome(&mut Vec::clear).is_err());
    }

    #[test]
    fn a_device_that_cannot_render_says_so() {
        struct Hasher(Cpu);
        impl Device for Hasher {
            fn info(&self) -> &DeviceInfo {
                self.0.info()
            }
            fn scan(&mut self, scan: &Scan, nonces: Nonces, hits: &mut Vec<u32>) -> Result<(), DeviceError> {
                self.0.scan(scan, nonces, hits)
            }
        }
        let mut device = Hasher(Cpu::new(None));
        let failure = self_test_kind(&mut device, Kind::Render).unwrap_err();
        assert_eq!(failure.to_string(), "this device does hash only");
        let error = device.load(&VECTORS[0].1).unwrap_err();
        assert_eq!(error.to_string(), "cpu:0: this device does hash only");
        assert!(device.run(0..1, &mut Vec::new()).is_err());
    }
}
