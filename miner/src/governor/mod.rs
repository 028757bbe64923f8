//! Opens and shuts the devices' gates by what is read of their health and seen of others.
//!
//! Two threads look, because drivers and servers may keep them waiting; what they see comes here, where nothing blocks.
//! A thread that is kept waiting too long counts as seeing nothing.

pub mod decision;
mod lookout;

use std::convert::Infallible;
use std::io;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::activity::{Activity, Presence, Seen};
use crate::fleet::Member;
use crate::gate::Pause;
use crate::gauge::DeviceState;
use crate::health::{Health, Sensors};
use crate::limits::Limits;
use decision::{Memory, Others, Readings, Rules, decide};
use lookout::Lookout;

/// How often others are looked for: with a slice's length it is what a returning user waits.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often sensors are read.
pub const READ_EVERY: Duration = Duration::from_millis(500);
/// What was seen longer ago than this is not known any more.
pub const KNOWN_FOR: Duration = Duration::from_secs(5);
/// How often it is decided though nothing new was seen.
const DECIDE_EVERY: Duration = Duration::from_secs(1);

/// What rules the gates.
pub struct Governor {
    members: Vec<Member>,
    rules: Vec<Rules>,
    memories: Vec<Memory>,
    health: Option<Lookout<Vec<Health>>>,
    seen: Option<Lookout<Seen>>,
    began: Instant,
    /// Whether it was said that nothing tells of the user.
    told_unknown: bool,
}

impl Governor {
    /// Begins to look. Without `activity`, others are given no heed.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(
        members: Vec<Member>,
        limits: &Limits,
        sensors: Option<Box<dyn Sensors>>,
        activity: Option<Box<dyn Activity>>,
    ) -> io::Result<Governor> {
        let heed_others = activity.is_some();
        let rules = members.iter().map(|member| Rules { heat: limits.heat(&member.info), heed_others }).collect();
        let locations: Vec<_> = members.iter().map(|member| member.location.clone()).collect();
        let health = sensors.map(|mut sensors| {
            let locations = locations.clone();
            let read = move || locations.iter().map(|device| sensors.read(device)).collect();
            Lookout::start("health", READ_EVERY, read)
        });
        let seen =
            activity.map(|mut activity| Lookout::start("activity", LOOK_EVERY, move || activity.look(&locations)));
        let memories = vec![Memory::default(); members.len()];
        let (health, seen, began) = (health.transpose()?, seen.transpose()?, Instant::now());
        let mut governor = Governor { members, rules, memories, health, seen, began, told_unknown: false };
        governor.govern(began);
        Ok(governor)
    }

    /// Governs until dropped.
    pub async fn keep_up(&mut self) -> Infallible {
        let mut tick = interval(DECIDE_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = Lookout::news(&mut self.health) => {}
                () = Lookout::news(&mut self.seen) => {}
                _ = tick.tick() => {}
            }
            self.govern(Instant::now());
        }
    }

    /// Decides once. The time is the real one, as that of the threads that look.
    fn govern(&mut self, now: Instant) {
        let health = self.health.as_ref().and_then(|lookout| lookout.latest(now)).unwrap_or_default();
        let seen = self.seen(now);
        for (place, member) in self.members.iter().enumerate() {
            let health = health.get(place).copied().unwrap_or_default();
            member.gauge.set_health(health);
            let others = seen.as_ref().map(|seen| Others {
                user: seen.user,
                on_battery: seen.on_battery,
                busy: seen.busy.get(place).and_then(Option::as_deref),
            });
            let readings = Readings { temperature_c: health.temperature_c, others };
            let pause = decide(&self.rules[place], &readings, &mut self.memories[place], now);
            set(member, pause);
        }
    }

    /// What is known of others; `None` before the first look.
    fn seen(&mut self, now: Instant) -> Option<Seen> {
        let latest = self.seen.as_ref()?.latest(now);
        if latest.is_none() && now.saturating_duration_since(self.began) < KNOWN_FOR {
            return None;
        }
        let seen = latest.unwrap_or(Seen { user: Presence::Unknown, on_battery: false, busy: Vec::new() });
        if seen.user == Presence::Unknown && !self.told_unknown {
            self.told_unknown = true;
            warn!("--idle-only: neither the X server nor logind tells whether somebody is here; taken for nobody");
        }
        Some(seen)
    }
}

/// Shuts or opens a gate, and says so.
fn set(member: &Member, pause: Option<Pause>) {
    let before = member.gate.pause();
    if before == pause {
        return;
    }
    let works = matches!(member.gauge.state(), DeviceState::Idle | DeviceState::Mining);
    match &pause {
        Some(Pause::Looking) => {}
        Some(pause) if works => info!("{}: {pause}", member.info.id()),
        None if works && before != Some(Pause::Looking) => info!("{}: works again", member.info.id()),
        _ => {}
    }
    member.gate.set(pause);
}
