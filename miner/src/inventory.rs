//! `lode-miner devices`: what is on this machine, and whether it computes rightly.

use std::fmt::Write as _;

use lode_kernels::discover::{Candidate, survey};
use lode_kernels::{Absent, DeviceInfo, OpenOptions, self_test};
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

/// How a device did with one kind: it passed if it passed with every algorithm.
#[derive(Debug, Serialize)]
struct TestResult {
    kind: &'static str,
    passed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
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

/// `hash ok (sha256d, scrypt)`, and what failed after it.
fn shown(tests: &[TestResult]) -> String {
    let of_kind = |test: &TestResult| {
        let passed = test.algorithms.iter().filter(|result| result.passed).map(|result| result.algorithm);
        let passed: Vec<&str> = passed.collect();
        let passed = (!passed.is_empty()).then(|| format!("{} ok ({})", test.kind, passed.join(", ")));
        let failed = test.algorithms.iter().filter_map(|result| {
            let reason = result.reason.as_ref()?;
            Some(format!("{} FAILED ({}): {reason}", test.kind, result.algorithm))
        });
        passed.into_iter().chain(failed).collect::<Vec<_>>()
    };
    tests.iter().flat_map(of_kind).collect::<Vec<_>>().join(", ")
}

fn list(candidate: Candidate) -> Listed {
    let info = candidate.info().clone();
    let mut opened = candidate.open(&OpenOptions::of_user());
    let mut test = |algorithm: Algorithm| {
        let tested = match &mut opened {
            Ok(device) => self_test(device.as_mut(), algorithm).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        AlgorithmResult { algorithm: algorithm.name(), passed: tested.is_ok(), reason: tested.err() }
    };
    let algorithms: Vec<_> = Algorithm::ALL.iter().map(|algorithm| test(*algorithm)).collect();
    let reason =
        algorithms.iter().find_map(|result| Some(format!("{}: {}", result.algorithm, result.reason.as_ref()?)));
    let hash = TestResult { kind: Kind::Hash.name(), passed: reason.is_none(), reason, algorithms };
    Listed { id: info.id(), info, self_test: vec![hash] }
}
