//! What a run came to.

use std::fmt;
use std::time::Duration;

use lode_protocol::Work;

use crate::client::End;
use crate::fleet::Member;
use crate::gauge::DeviceState;
use crate::rate::per_second;
use crate::units;

/// One device's figures at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSummary {
    /// Its id and name.
    pub device: (String, String),
    /// Hashes tried.
    pub hashes: u64,
    /// Shares that the pool counted.
    pub accepted: u64,
    /// Shares that the pool refused.
    pub rejected: u64,
    /// Shares that the pool never answered.
    pub unanswered: u64,
    /// Shares that were over before they could be submitted.
    pub stale: u64,
    /// Units of range work among those counted.
    pub units: u64,
    /// What they were worth.
    pub work: Work,
    /// Elements of units computed, counted or not.
    pub elements: u64,
    /// Hits and units that the host refuted.
    pub hardware_errors: u64,
    /// Why it was set aside, if it was.
    pub failure: Option<String>,
}

impl DeviceSummary {
    fn of(member: &Member) -> DeviceSummary {
        let gauge = &member.gauge;
        let failure = match gauge.state() {
            DeviceState::Failed(reason) => Some(reason),
            _ => None,
        };
        DeviceSummary {
            device: (member.info.id(), member.info.name.clone()),
            hashes: gauge.hashes.get(),
            accepted: gauge.accepted.get(),
            rejected: gauge.rejected.get(),
            unanswered: gauge.unanswered.get(),
            stale: gauge.stale.get(),
            units: gauge.units.get(),
            work: gauge.work(),
            elements: gauge.elements.get(),
            hardware_errors: gauge.hardware_errors.get(),
            failure,
        }
    }
}

/// The run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub end: End,
    /// How long it took.
    pub length: Duration,
    /// Its devices.
    pub devices: Vec<DeviceSummary>,
}

impl Summary {
    /// Reads the gauges.
    #[must_use]
    pub fn new(end: End, length: Duration, members: &[Member]) -> Summary {
        Summary { end, length, devices: members.iter().map(DeviceSummary::of).collect() }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ran {}", units::time(self.length))?;
        writeln!(f, "{:<10} {:>16} {:>12} {:>9} {:>9}  NAME", "DEVICE", "HASHES", "RATE", "ACCEPTED", "REJECTED")?;
        for summary in &self.devices {
            let rate = units::rate(per_second(summary.hashes, self.length));
            let (id, name) = &summary.device;
            let DeviceSummary { hashes, accepted, rejected, .. } = summary;
            writeln!(f, "{id:<10} {hashes:>16} {rate:>12} {accepted:>9} {rejected:>9}  {name}")?;
            if summary.elements > 0 {
                let DeviceSummary { units, work, elements, .. } = summary;
                writeln!(f, "{:<10} {units} units, {work} hashes' worth of work; {elements} elements computed", "")?;
            }
            for (count, what) in [
                (summary.stale, "shares were over before they could be sent"),
                (summary.unanswered, "shares were never answered"),
                (summary.hardware_errors, "hits or units were wrong: check this device's clock and cooling"),
            ] {
                if count > 0 {
                    writeln!(f, "{:<10} {count} {what}", "")?;
                }
            }
            if let Some(reason) = &summary.failure {
                writeln!(f, "{:<10} set aside: {reason}", "")?;
            }
        }
        Ok(())
    }
}
