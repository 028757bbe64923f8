//! A rig's figures at one time, as the status port tells them.

use std::time::{Duration, Instant};

use lode_protocol::Work;
use serde::Serialize;

use crate::fleet::Member;
use crate::gauge::{DeviceState, Gauge};
use crate::rig::Rig;
use crate::status::Phase;
use crate::unit::Progress;

/// The rig.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) version: &'static str,
    pub(super) uptime_s: u64,
    pub(super) pool: Pool,
    user: String,
    rate: Rates,
    #[serde(flatten)]
    shares: Shares,
    units: Units,
    pub(super) devices: Vec<Device>,
}

/// Its pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Pool {
    url: String,
    pub(super) state: &'static str,
    /// Since when it is in this state, RFC 3339.
    since: String,
    difficulty: Option<f64>,
    job: Option<String>,
    /// Units of range work that are held.
    pub(super) units: usize,
}

/// Hashes a second over the last 10 s, minute, and quarter of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Rates {
    #[serde(rename = "10s")]
    pub(super) ten_s: f64,
    #[serde(rename = "60s")]
    pub(super) sixty_s: f64,
    #[serde(rename = "15m")]
    pub(super) fifteen_m: f64,
}

/// What became of shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Shares {
    pub(super) accepted: u64,
    pub(super) rejected: u64,
    pub(super) stale: u64,
    pub(super) unanswered: u64,
    pub(super) hardware_errors: u64,
}

/// What came of range work.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Units {
    /// Units that the pool counted; they are among the shares accepted.
    pub(super) done: u64,
    /// What they were worth, in hashes; a decimal string.
    #[serde(serialize_with = "decimal")]
    pub(super) work: Work,
    /// Elements computed, counted or not.
    pub(super) elements: u64,
    /// The unit in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) current: Option<Current>,
}

/// A unit in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Current {
    unit: String,
    job: String,
    kind: &'static str,
    done: u64,
    count: u64,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Device {
    pub(super) id: String,
    name: String,
    pci: Option<String>,
    pub(super) state: &'static str,
    /// Why it is paused or failed.
    reason: Option<String>,
    pub(super) rate: Rates,
    pub(super) hashes: u64,
    #[serde(flatten)]
    pub(super) shares: Shares,
    pub(super) units: Units,
    pub(super) temperature_c: Option<i32>,
    pub(super) power_w: Option<f64>,
    pub(super) fan_percent: Option<u32>,
    pub(super) clock_mhz: Option<u32>,
    pub(super) utilisation_percent: Option<u32>,
    /// Hashes a joule: the rate over a minute by the power drawn now.
    efficiency: Option<f64>,
}

/// What a device's `state` may be.
pub(super) const DEVICE_STATES: [&str; 6] = ["testing", "idle", "mining", "paused", "failed", "stopped"];

impl Figures {
    /// Reads the gauges.
    pub(super) fn new(rig: &Rig, now: Instant) -> Figures {
        let devices: Vec<Device> =
            rig.members.iter().enumerate().map(|(place, member)| device(member, rig.meter.device(place))).collect();
        Figures {
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: now.saturating_duration_since(rig.began).as_secs(),
            pool: pool(rig, now),
            user: rig.user.clone(),
            rate: Rates::new(rig.meter.total()),
            shares: devices.iter().fold(Shares::default(), |sum, device| sum.plus(device.shares)),
            units: devices.iter().fold(Units::default(), |sum, device| sum.plus(&device.units)),
            devices,
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> String {
        let mut json = serde_json::to_string_pretty(self).expect("figures are plain values");
        json.push('\n');
        json
    }
}

impl Rates {
    fn new([ten_s, sixty_s, fifteen_m]: [f64; 3]) -> Rates {
        Rates { ten_s: ten_s.round(), sixty_s: sixty_s.round(), fifteen_m: fifteen_m.round() }
    }
}

impl Shares {
    fn of(gauge: &Gauge) -> Shares {
        Shares {
            accepted: gauge.accepted.get(),
            rejected: gauge.rejected.get(),
            stale: gauge.stale.get(),
            unanswered: gauge.unanswered.get(),
            hardware_errors: gauge.hardware_errors.get(),
        }
    }

    fn plus(self, more: Shares) -> Shares {
        Shares {
            accepted: self.accepted.saturating_add(more.accepted),
            rejected: self.rejected.saturating_add(more.rejected),
            stale: self.stale.saturating_add(more.stale),
            unanswered: self.unanswered.saturating_add(more.unanswered),
            hardware_errors: self.hardware_errors.saturating_add(more.hardware_errors),
        }
    }
}

impl Units {
    fn of(gauge: &Gauge) -> Units {
        let current = gauge.progress().map(|Progress { unit, job, kind, done, count }| Current {
            unit: unit.to_string(),
            job: job.to_string(),
            kind: kind.name(),
            done,
            count,
        });
        Units { done: gauge.units.get(), work: gauge.work(), elements: gauge.elements.get(), current }
    }

    /// Together; which unit is in hand is each device's own.
    fn plus(&self, more: &Units) -> Units {
        Units {
            done: self.done.saturating_add(more.done),
            work: self.work.saturating_add(more.work),
            elements: self.elements.saturating_add(more.elements),
            current: None,
        }
    }
}

fn decimal<S: serde::Serializer>(work: &Work, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(work)
}

fn pool(rig: &Rig, now: Instant) -> Pool {
    let status = rig.status.borrow();
    Pool {
        url: status.pool.clone(),
        state: match status.phase() {
            Phase::Connecting => "connecting",
            Phase::Pausing => "waiting",
            Phase::Connected => "connected",
            Phase::Stopping => "stopping",
        },
        since: ago(now.saturating_duration_since(status.since())),
        difficulty: status.difficulty.map(|(difficulty, algorithm)| difficulty.to_f64(algorithm)),
        job: status.job.as_ref().map(|(job, _)| job.clone()),
        units: status.units,
    }
}

/// The time `age` ago, to the second.
fn ago(age: Duration) -> String {
    let now = jiff::Timestamp::now();
    now.checked_sub(age).unwrap_or(now).strftime("%FT%TZ").to_string()
}

fn device(member: &Member, rates: [f64; 3]) -> Device {
    let (rate, health) = (Rates::new(rates), member.gauge.health());
    let power_w = health.power_mw.map(watts);
    let (state, reason) = state(member);
    Device {
        id: member.info.id(),
        name: member.info.name.clone(),
        pci: member.location.pci.clone(),
        state,
        reason,
        rate,
        hashes: member.gauge.hashes.get(),
        shares: Shares::of(&member.gauge),
        units: Units::of(&member.gauge),
        temperature_c: health.temperature_c,
        power_w,
        fan_percent: health.fan_percent,
        clock_mhz: health.clock_mhz,
        utilisation_percent: health.utilisation_percent,
        efficiency: power_w.filter(|watts| *watts > 0.0).map(|watts| (rate.sixty_s / watts).round()),
    }
}

fn state(member: &Member) -> (&'static str, Option<String>) {
    if let Some(pause) = member.pause() {
        return ("paused", Some(pause.to_string()));
    }
    match member.gauge.state() {
        DeviceState::Testing => ("testing", None),
        DeviceState::Idle => ("idle", None),
        DeviceState::Mining => ("mining", None),
        DeviceState::Failed(reason) => ("failed", Some(reason)),
        DeviceState::Stopped => ("stopped", None),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no device draws 2^53 milliwatts")]
fn watts(milliwatts: u64) -> f64 {
    milliwatts as f64 / 1000.0
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use lode_kernels::Backend::{Cpu, OpenCl};
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;
    use crate::fleet::tests::info;
    use crate::gate::Pause;
    use crate::health::Health;
    use crate::meter::Meter;
    use crate::status::Status;

    /// A card that works with known readings, and a paused CPU, after ten seconds.
    pub(crate) fn figures() -> Figures {
        let began = Instant::now();
        let members = vec![Member::new(info(OpenCl, 0)), Member::new(info(Cpu, 0))];
        let meter = Arc::new(Meter::new(members.clone(), began));
        let mut status = Status::new("stratum+tcp://p:1".into(), 1, began);
        status.enter(Phase::Connected, began);
        let [card, cpu] = &members[..] else { panic!("two devices") };
        card.gauge.set_state(DeviceState::Mining);
        card.gauge.set_health(Health {
            temperature_c: Some(71),
            power_mw: Some(250_500),
            fan_percent: Some(40),
            ..Health::default()
        });
        card.gauge.hashes.add(10_020_000);
        card.gauge.accepted.add(5);
        cpu.gauge.set_state(DeviceState::Idle);
        cpu.gauge.accepted.add(2);
        cpu.gauge.hardware_errors.add(1);
        card.gauge.count_unit(Work(1 << 70));
        card.gauge.elements.add(45);
        let (unit, job) = ("u7".parse().unwrap(), "j12".parse().unwrap());
        card.gauge.set_progress(Some(Progress { unit, job, kind: lode_kinds::Kind::Render, done: 40, count: 120 }));
        cpu.gate.set(Some(Pause::UserActive));
        let now = began + Duration::from_secs(10);
        meter.sample(now);
        let rig = Rig { user: "al.rig".into(), members, meter, status: watch::channel(status).1, began };
        Figures::new(&rig, now)
    }

    #[test]
    fn a_rig_as_json() {
        let mut json: serde_json::Value = serde_json::from_str(&figures().json()).unwrap();
        let since = json["pool"]["since"].take();
        assert!(since.as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
        let rate = |rate: f64| json!({"10s": rate, "60s": rate, "15m": rate});
        let shares = |accepted, errors| json!({"accepted": accepted, "rejected": 0, "stale": 0, "unanswered": 0, "hardware_errors": errors});
        let merged = |mut a: serde_json::Value, b: serde_json::Value| {
            a.as_object_mut().unwrap().extend(b.as_object().unwrap().clone());
            a
        };
        let card = json!({
            "id": "opencl:0", "name": "device 0", "pci": null, "state": "mining", "reason": null,
            "rate": rate(1_002_000.0), "hashes": 10_020_000, "temperature_c": 71, "power_w": 250.5, "fan_percent": 40,
            "clock_mhz": null, "utilisation_percent": null, "efficiency": 4000.0,
            "units": {
                "done": 1, "work": "1180591620717411303424", "elements": 45,
                "current": {"unit": "u7", "job": "j12", "kind": "render", "done": 40, "count": 120},
            },
        });
        let cpu = json!({
            "id": "cpu:0", "name": "device 0", "pci": null, "state": "paused", "reason": "paused: user active",
            "rate": rate(0.0), "hashes": 0, "temperature_c": null, "power_w": null, "fan_percent": null,
            "clock_mhz": null, "utilisation_percent": null, "efficiency": null,
            "units": {"done": 0, "work": "0", "elements": 0},
        });
        let rig = json!({
            "version": env!("CARGO_PKG_VERSION"), "uptime_s": 10, "user": "al.rig", "rate": rate(1_002_000.0),
            "pool": {
                "url": "stratum+tcp://p:1", "state": "connected", "since": null, "difficulty": null, "job": null,
                "units": 0,
            },
            "units": {"done": 1, "work": "1180591620717411303424", "elements": 45},
            "devices": [merged(card, shares(5, 0)), merged(cpu, shares(2, 1))],
        });
        assert_eq!(json, merged(rig, shares(7, 1)));
    }
}
