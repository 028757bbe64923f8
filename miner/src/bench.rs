//! `lode-miner bench`: how fast each device is at each kind of work.

use std::fmt::Write as _;
use std::time::Duration;

use lode_kernels::discover::{discover, survey};
use lode_kernels::measure::{paths_a_second, rate};
use lode_kernels::{Device, OpenOptions, SelectError, Selector, self_test, self_test_kind};
use lode_kinds::Kind;
use lode_kinds::hash::Algorithm;
use serde::Serialize;

use crate::units;

/// One measurement.
#[derive(Debug, Serialize)]
pub struct Row {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<&'static str>,
    device: String,
    rate: f64,
    unit: &'static str,
    #[serde(skip)]
    name: String,
}

/// What was measured, and what could not be.
#[derive(Debug, Default)]
pub struct Report {
    /// The measurements.
    pub rows: Vec<Row>,
    /// The devices without one, and why.
    pub failed: Vec<String>,
}

/// Measures the devices selected, or every one, one after the other; kind hash with `algorithm`.
///
/// # Errors
/// A selector matches nothing.
pub fn bench(
    kind: Option<Kind>,
    algorithm: Algorithm,
    selectors: &[Selector],
    length: Duration,
) -> Result<Report, SelectError> {
    let mut report = Report::default();
    let devices = if selectors.is_empty() {
        open_all(&mut report)
    } else {
        discover(selectors, algorithm, &OpenOptions::of_user())?.devices
    };
    let kinds = kind.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
    for mut device in devices {
        for &kind in &kinds {
            match measure(device.as_mut(), kind, algorithm, length) {
                Ok(row) => report.rows.push(row),
                Err(reason) => report.failed.push(format!("{}: {kind}: {reason}", device.info().id())),
            }
        }
    }
    Ok(report)
}

fn open_all(report: &mut Report) -> Vec<Box<dyn Device>> {
    let opened = survey().found.into_iter().map(|candidate| candidate.open(&OpenOptions::of_user()));
    opened.filter_map(|device| device.map_err(|error| report.failed.push(error.to_string())).ok()).collect()
}

/// A rate of a device that computes wrongly says nothing, so it is tested first.
fn measure(device: &mut dyn Device, kind: Kind, algorithm: Algorithm, length: Duration) -> Result<Row, String> {
    let (rate, unit, algorithm) = match kind {
        Kind::Hash => {
            self_test(device, algorithm).map_err(|error| error.to_string())?;
            let rate = rate(device, algorithm, length).map_err(|error| error.reason)?.per_second();
            (rate, "H/s", Some(algorithm.name()))
        }
        Kind::Render => {
            self_test_kind(device, kind).map_err(|error| error.to_string())?;
            (paths_a_second(device, length).map_err(|error| error.reason)?, "paths/s", None)
        }
    };
    let info = device.info();
    Ok(Row { kind: kind.name(), algorithm, device: info.id(), rate: rate.round(), unit, name: info.name.clone() })
}

impl Report {
    /// For people.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!("{:<8} {:<10} {:<10} {:>15}  NAME\n", "KIND", "ALGORITHM", "DEVICE", "RATE");
        for row in &self.rows {
            let rate = units::rate_of(row.rate, row.unit);
            let algorithm = row.algorithm.unwrap_or("-");
            writeln!(text, "{:<8} {algorithm:<10} {:<10} {rate:>15}  {}", row.kind, row.device, row.name)
                .expect("writing to a String cannot fail");
        }
        text
    }
}
