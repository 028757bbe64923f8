//! Whether a device may work: pure rules over readings.

use std::time::{Duration, Instant};

use crate::activity::Presence;
use crate::gate::Pause;
use crate::limits::Heat;

/// How long a card counts as busy after it was last seen so: programs draw breath.
pub const BUSY_HOLD: Duration = Duration::from_secs(10);

/// What a device is held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Its temperatures, if it has a limit.
    pub heat: Option<Heat>,
    /// Whether it gives way to others.
    pub heed_others: bool,
}

/// What is known at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readings<'a> {
    /// The device's temperature.
    pub temperature_c: Option<i32>,
    /// Others; `None` before the first look.
    pub others: Option<Others<'a>>,
}

/// Who else wants the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Others<'a> {
    /// The user.
    pub user: Presence,
    /// Whether the machine runs on its battery.
    pub on_battery: bool,
    /// Another program that keeps the device busy.
    pub busy: Option<&'a str>,
}

/// What of the past matters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Memory {
    /// The temperature that the device paused at, until it has cooled.
    hot: Option<i32>,
    /// When the device was last seen busy, and with which program.
    busy: Option<(Instant, String)>,
}

/// Why a device may not work at `now`, if so.
///
/// A temperature that nobody tells changes nothing: a hot device stays paused, another one works on.
#[must_use]
pub fn decide(rules: &Rules, readings: &Readings<'_>, memory: &mut Memory, now: Instant) -> Option<Pause> {
    memory.hot = rules.heat.and_then(|heat| hot(heat, readings.temperature_c, memory.hot));
    if let Some(degrees) = memory.hot {
        return Some(Pause::Hot(degrees));
    }
    if !rules.heed_others {
        return None;
    }
    let Some(others) = readings.others else { return Some(Pause::Looking) };
    if let Some(program) = others.busy {
        memory.busy = Some((now, program.to_owned()));
    }
    memory.busy.take_if(|(at, _)| now.saturating_duration_since(*at) >= BUSY_HOLD);
    match (others.user, &memory.busy) {
        (Presence::Active, _) => Some(Pause::UserActive),
        (_, Some((_, program))) => Some(Pause::CardBusy(program.clone())),
        (_, None) => others.on_battery.then_some(Pause::OnBattery),
    }
}

/// The temperature that a device paused at, while it is too hot.
fn hot(heat: Heat, temperature_c: Option<i32>, before: Option<i32>) -> Option<i32> {
    match (temperature_c, before) {
        (None, before) => before,
        (Some(now), Some(before)) => (now > heat.resume_at).then_some(before),
        (Some(now), None) => (now >= heat.pause_at).then_some(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAT: Option<Heat> = Some(Heat { pause_at: 85, resume_at: 75 });
    const NOBODY: Others<'static> = Others { user: Presence::Absent, on_battery: false, busy: None };

    #[test]
    fn a_hot_device_pauses_at_its_limit_until_it_has_cooled() {
        let rules = Rules { heat: HEAT, heed_others: false };
        let (now, mut memory) = (Instant::now(), Memory::default());
        for (temperature_c, hot) in [
            (None, None),
            (Some(84), None),
            (Some(85), Some(85)),
            (Some(88), Some(85)),
            (Some(76), Some(85)),
            (None, Some(85)),
            (Some(75), None),
            (Some(84), None),
            (None, None),
            (Some(91), Some(91)),
        ] {
            let pause = decide(&rules, &Readings { temperature_c, others: None }, &mut memory, now);
            assert_eq!(pause, hot.map(Pause::Hot), "{temperature_c:?}");
        }
    }

    #[test]
    fn without_a_limit_no_heat_matters() {
        let rules = Rules { heat: None, heed_others: false };
        let readings = Readings { temperature_c: Some(200), others: None };
        assert_eq!(decide(&rules, &readings, &mut Memory::default(), Instant::now()), None);
    }

    #[test]
    fn one_reason_is_told_the_gravest_first() {
        use Presence::{Absent, Active, Unknown};
        let others = |user, on_battery, busy| Some(Others { user, on_battery, busy });
        let card_busy = || Some(Pause::CardBusy("blender".into()));
        for (temperature_c, others, pause) in [
            (None, None, Some(Pause::Looking)),
            (None, others(Absent, false, None), None),
            (None, others(Unknown, false, None), None),
            (None, others(Active, false, None), Some(Pause::UserActive)),
            (None, others(Unknown, true, None), Some(Pause::OnBattery)),
            (None, others(Absent, true, Some("blender")), card_busy()),
            (None, others(Active, true, Some("blender")), Some(Pause::UserActive)),
            (Some(86), others(Active, true, Some("blender")), Some(Pause::Hot(86))),
            (Some(86), None, Some(Pause::Hot(86))),
            (Some(84), others(Absent, false, Some("blender")), card_busy()),
        ] {
            let readings = Readings { temperature_c, others };
            let heeding = Rules { heat: HEAT, heed_others: true };
            assert_eq!(decide(&heeding, &readings, &mut Memory::default(), Instant::now()), pause, "{readings:?}");
            let heedless = Rules { heed_others: false, ..heeding };
            let pause = pause.filter(|pause| matches!(pause, Pause::Hot(_)));
            assert_eq!(decide(&heedless, &readings, &mut Memory::default(), Instant::now()), pause, "{readings:?}");
        }
    }

    #[test]
    fn a_card_stays_busy_for_a_while_after_it_was_seen_so() {
        let rules = Rules { heat: None, heed_others: true };
        let (start, mut memory) = (Instant::now(), Memory::default());
        let mut at = |busy, after: Duration| {
            let readings = Readings { temperature_c: None, others: Some(Others { busy, ..NOBODY }) };
            decide(&rules, &readings, &mut memory, start + after)
        };
        let (busy, little) = (Some(Pause::CardBusy("blender".into())), Duration::from_millis(1));
        assert_eq!(at(Some("blender"), Duration::ZERO), busy);
        assert_eq!(at(None, BUSY_HOLD - little), busy);
        assert_eq!(at(Some("blender"), BUSY_HOLD - little), busy);
        assert_eq!(at(None, 2 * BUSY_HOLD - 2 * little), busy);
        assert_eq!(at(None, 2 * BUSY_HOLD - little), None);
        assert_eq!(at(None, 2 * BUSY_HOLD), None);
    }
}
