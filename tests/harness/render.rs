//! Render jobs of a sponsor, and the same pictures without a pool.

use std::process::Command;

use serde_json::{Value, json};

use crate::sponsor::Api;
use crate::{program, range};

/// A picture that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Picture {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Samples of each pixel.
    pub samples: u32,
    /// Surfaces that a path meets at most.
    pub max_depth: u32,
    /// Names the noise.
    pub seed: u32,
}

impl Picture {
    /// Its elements: blocks of 16 by 16 pixels, with all their samples where these are few.
    ///
    /// # Panics
    /// There are more samples than one pass takes.
    #[must_use]
    pub fn elements(&self) -> u64 {
        assert!(self.samples <= 64, "one pass");
        u64::from(self.width.div_ceil(16)) * u64::from(self.height.div_ceil(16))
    }

    /// A job for it, of an uploaded scene.
    #[must_use]
    pub fn job(&self, scene: &str, budget: u64) -> Value {
        let Picture { width, height, samples, max_depth, seed } = *self;
        json!({
            "kind": "render", "budget": budget, "asset": "CREDIT", "name": "a picture",
            "spec": {"scene": scene, "width": width, "height": height, "samples": samples, "max_depth": max_depth, "seed": seed},
        })
    }

    /// The PNG as `lode-miner render` makes it on the CPU.
    ///
    /// # Panics
    /// It cannot.
    #[must_use]
    pub fn direct(&self, scene: &[u8]) -> Vec<u8> {
        let dir = tempfile::tempdir().expect("a directory");
        let (file, out) = (dir.path().join("scene.glb"), dir.path().join("out.png"));
        std::fs::write(&file, scene).expect("a file can be written");
        let mut command = Command::new(program("lode-miner"));
        command.arg("render").arg(&file).arg("--out").arg(&out).args(["--device", "cpu"]);
        for (option, value) in [
            ("--width", self.width),
            ("--height", self.height),
            ("--samples", self.samples),
            ("--max-depth", self.max_depth),
            ("--seed", self.seed),
        ] {
            command.args([option, &value.to_string()]);
        }
        let output = command.output().expect("the miner's program can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(&out).expect("it wrote the picture")
    }
}

/// Uploads a file as a sponsor; gives its digest.
///
/// # Panics
/// It is not taken.
#[must_use]
pub fn upload(sponsor: &Api, file: &[u8]) -> String {
    let answer = sponsor.upload("POST", "/blobs", &[], file);
    assert!((200..300).contains(&answer.status), "{}: {}", answer.status, answer.body);
    let digest = range::digest_of(file).to_string();
    assert_eq!(answer.body["digest"], digest);
    digest
}

/// The file of a job that is done.
///
/// # Panics
/// There is none.
#[must_use]
pub fn result(sponsor: &Api, job: &str) -> Vec<u8> {
    let got = sponsor.download(&format!("/jobs/{job}/result"), &[]);
    assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.bytes));
    got.bytes
}
