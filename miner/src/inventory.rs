//! `lode-miner devices`: what is on this machine, and whether it computes rightly.

use std::fmt::Write as _;

use lode_kernels::discover::{Candidate, survey};
use lode_kernels::{Absent, Device, DeviceInfo, OpenOptions, SelfTestFailure, self_test, self_test_kind};
use lode_kinds::Kind;
use lode_kinds::hash::Algorithm;
use serde::Serialize;

use crate::units;

/// A device, and how it did in the self-test of each kind.
#[derive(Debug, Serialize)]
pub struct Listed {
    id: String,
    #[serde(flatten)]
    info: DeviceInfo,
    self_test: Vec<TestResult>,
}

/// How a device did with one kind: it passed at hash if it passed with every algorithm.
#[derive(Debug, Serialize)]
struct TestResult {
    kind: &'static str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    algorithms: Vec<AlgorithmResult>,
}

#[derive(Debug, Serialize)]
struct AlgorithmResult {
    algorithm: &'static str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Everything on this machine.
#[derive(Debug, Serialize)]
pub struct Inventory {
    devices: Vec<Listed>,
    absent: Vec<Absent>,
}

impl Inventory {
    /// Opens and tests every device, one after the other.
    #[must_use]
    pub fn take() -> Inventory {
        let survey = survey();
        Inventory { devices: survey.found.into_iter().map(list).collect(), absent: survey.absent }
    }

    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text =
            format!("{:<10} {:>9} {:>5}  {:<32} {:<46} SELF-TEST\n", "DEVICE", "MEMORY", "UNITS", "NAME", "DRIVER");
        for Listed { id, info, self_test } in &self.devices {
            let memory = info.memory_bytes.map_or("-".to_owned(), units::memory);
            let (name, driver) = (units::short(&info.name, 32), units::short(&info.driver, 46));
            let tests = shown(self_test);
            let units = info.compute_units;
            writeln!(text, "{id:<10} {memory:>9} {units:>5}  {name:<32} {driver:<46} {tests}")
                .expect("writing to a String cannot fail");
        }
        for Absent { backend, reason } in &self.absent {
            writeln!(text, "{:<10} none: {reason}", backend.name()).expect("writing to a String cannot fail");
        }
        text
    }
}

/// `hash ok (sha256d, scrypt), render ok`, with what failed in its place.
fn shown(tests: &[TestResult]) -> String {
    let of_algorithms = |test: &TestResult| {
        let passed = test.algorithms.iter().filter(|result| result.passed).map(|result| result.algorithm);
        let passed: Vec<&str> = passed.collect();
        let passed = (!passed.is_empty()).then(|| format!("{} ok ({})", test.kind, passed.join(", ")));
        let failed = test.algorithms.iter().filter_map(|result| {
            let reason = result.reason.as_ref()?;
            Some(format!("{} FAILED ({}): {reason}", test.kind, result.algorithm))
        });
        passed.into_iter().chain(failed).collect::<Vec<_>>()
    };
    let of_kind = |test: &TestResult| match &test.reason {
        _ if !test.algorithms.is_empty() => of_algorithms(test),
        None => vec![format!("{} ok", test.kind)],
        Some(reason) => vec![format!("{} FAILED: {reason}", test.kind)],
    };
    tests.iter().flat_map(of_kind).collect::<Vec<_>>().join(", ")
}

fn list(candidate: Candidate) -> Listed {
    let info = candidate.info().clone();
    let mut opened = candidate.open(&OpenOptions::of_user());
    let mut run = |test: &dyn Fn(&mut dyn Device) -> Result<(), SelfTestFailure>| match &mut opened {
        Ok(device) => test(device.as_mut()).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    };
    let self_test = Kind::ALL.iter().map(|&kind| match kind {
        Kind::Hash => {
            let of = |&algorithm: &Algorithm| {
                let reason = run(&|device| self_test(device, algorithm));
                AlgorithmResult { algorithm: algorithm.name(), passed: reason.is_none(), reason }
            };
            let algorithms: Vec<_> = Algorithm::ALL.iter().map(of).collect();
            let failed = |result: &AlgorithmResult| Some(format!("{}: {}", result.algorithm, result.reason.as_ref()?));
            let reason = algorithms.iter().find_map(failed);
            TestResult { kind: kind.name(), passed: reason.is_none(), reason, algorithms }
        }
        Kind::Render => {
            let reason = run(&|device| self_test_kind(device, kind));
            TestResult { kind: kind.name(), passed: reason.is_none(), reason, algorithms: Vec::new() }
        }
    });
    let self_test = self_test.collect();
    Listed { id: info.id(), info, self_test }
}
