//! A device computes a unit: in slices, as its gate lets it, and rechecked on the CPU before anybody sees it.

use std::time::{Duration, Instant};

use lode_kernels::measure::Pace;
use lode_kernels::{Device, DeviceError};

use crate::gate::Gate;
use crate::gauge::Gauge;
use crate::limits::Intensity;
use crate::unit::{Progress, Unit};

/// Parts of each unit that are computed again: at most.
pub const RECHECKS_MAX: u32 = 16;
/// And at least, however long they take.
pub const RECHECKS_MIN: u32 = 2;
/// Beyond those, the recheck takes no more than this part of the time that the unit took.
const RECHECK_TIME: u32 = 100;

/// What became of a unit on a device.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its bytes.
    Done(Vec<u8>),
    /// It is not wanted any more, or the program ends.
    Dropped,
    /// The device computed this part wrongly.
    Wrong {
        /// The part's element.
        element: u64,
        /// Its place within the element.
        part: u32,
    },
}

/// What a device is held to between two slices.
pub struct Bounds<'a> {
    /// What it passes.
    pub gate: &'a Gate,
    /// The part of the time that it works.
    pub intensity: Intensity,
    /// Where its work is counted.
    pub gauge: &'a Gauge,
}

/// Computes `unit` on `device`, which is slowed down to `pace` and by `bounds`; `rest` is what the last slice left to
/// rest.
///
/// # Errors
/// When the device fails.
pub fn compute(
    device: &mut dyn Device,
    unit: &Unit,
    pace: &mut Pace,
    rest: &mut Duration,
    bounds: &Bounds<'_>,
) -> Result<Outcome, DeviceError> {
    let fail = |device: &dyn Device, reason: String| DeviceError { device: device.info().id(), reason };
    device.load(&unit.task)?;
    let mut bytes = Vec::with_capacity(unit.result_bytes().unwrap_or(0));
    let mut progress = Progress::of(unit);
    let mut worked = Duration::ZERO;
    let mut next = unit.elements.start;
    while next < unit.elements.end {
        bounds.gauge.set_progress(Some(progress.clone()));
        if bounds.gate.pass(std::mem::take(rest)).is_err() || unit.dropped.is_cancelled() {
            return Ok(Outcome::Dropped);
        }
        let count = pace.next_count().min(unit.elements.end - next);
        let begin = Instant::now();
        device.run(next..next + count, &mut bytes)?;
        let took = begin.elapsed();
        pace.record(count, took);
        (*rest, worked) = (bounds.intensity.rest_after(took), worked + took);
        next += count;
        progress.done += count;
        bounds.gauge.elements.add(count);
        if Some(bytes.len() as u64) != progress.done.checked_mul(unit.task.element_bytes() as u64) {
            return Err(fail(device, format!("{} bytes for {} elements", bytes.len(), progress.done)));
        }
    }
    Ok(match recheck(unit, &bytes, worked / RECHECK_TIME, rand::random) {
        None => Outcome::Done(bytes),
        Some((element, part)) => Outcome::Wrong { element, part },
    })
}

/// Computes parts drawn by `random` again, for about `time`; answers with the first that differs.
fn recheck(unit: &Unit, bytes: &[u8], time: Duration, mut random: impl FnMut() -> u64) -> Option<(u64, u32)> {
    let begin = Instant::now();
    let element_bytes = unit.task.element_bytes();
    for done in 0..RECHECKS_MAX {
        if done >= RECHECKS_MIN && begin.elapsed() >= time {
            break;
        }
        let element = unit.elements.start + random() % unit.count();
        let part = u32::try_from(random() % u64::from(unit.task.parts())).expect("below the number of parts");
        let at = usize::try_from(element - unit.elements.start).expect("the unit is in memory") * element_bytes;
        let range = unit.task.part_range(part);
        if bytes[at + range.start..at + range.end] != unit.task.part(element, part) {
            return Some((element, part));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use lode_kernels::cpu::Cpu;

    use super::*;
    use crate::gate::Pause;
    use crate::queue::tests::{task, unit};

    fn run(unit: &Unit, gate: &Gate, gauge: &Gauge) -> Outcome {
        let mut device = Cpu::new(NonZero::new(1));
        let bounds = Bounds { gate, intensity: Intensity::FULL, gauge };
        let mut rest = Duration::ZERO;
        compute(&mut device, unit, &mut Pace::of_elements(), &mut rest, &bounds).unwrap()
    }

    #[test]
    fn a_unit_is_the_references_bytes_of_its_elements() {
        let (task, gauge) = (task(), Gauge::default());
        let all = run(&unit("a", &task), &Gate::default(), &gauge);
        assert_eq!(all, Outcome::Done([task.element(0), task.element(1)].concat()));
        assert_eq!((gauge.elements.get(), gauge.progress().unwrap().done), (2, 1));
    }

    #[test]
    fn an_unwanted_unit_and_the_end_stop_it() {
        let (task, gauge) = (task(), Gauge::default());
        let dropped = unit("a", &task);
        dropped.dropped.cancel();
        assert_eq!(run(&dropped, &Gate::default(), &gauge), Outcome::Dropped);
        let gate = Gate::default();
        gate.set(Some(Pause::UserActive));
        gate.end();
        assert_eq!(run(&unit("b", &task), &gate, &gauge), Outcome::Dropped);
        assert_eq!(gauge.elements.get(), 0);
    }

    #[test]
    fn a_shut_gate_holds_it_within_the_unit() {
        let (task, gate, gauge) = (task(), Gate::default(), Gauge::default());
        let unit = unit("a", &task);
        gate.set(Some(Pause::UserActive));
        let outcome = std::thread::scope(|scope| {
            let computing = scope.spawn(|| run(&unit, &gate, &gauge));
            std::thread::sleep(Duration::from_millis(50)); // in which a device that did not wait would be done
            assert_eq!((gauge.elements.get(), computing.is_finished()), (0, false));
            gate.set(None);
            computing.join().unwrap()
        });
        assert!(matches!(outcome, Outcome::Done(_)));
    }

    #[test]
    fn each_part_that_is_drawn_is_compared() {
        let task = task();
        let unit = unit("a", &task);
        let right = [task.element(0), task.element(1)].concat();
        let drawn = |bytes: &[u8], element: u64, part: u64| {
            let mut numbers = [element, part].into_iter().cycle();
            recheck(&unit, bytes, Duration::ZERO, || numbers.next().unwrap())
        };
        let mut wrong = right.clone();
        *wrong.last_mut().unwrap() ^= 1;
        assert_eq!(drawn(&right, 1, 255), None);
        assert_eq!(drawn(&wrong, 1, 255), Some((1, 255)));
        assert_eq!([drawn(&wrong, 1, 254), drawn(&wrong, 0, 255)], [None; 2]);
    }

    #[test]
    fn the_recheck_goes_on_while_there_is_time_and_to_its_bound() {
        let task = task();
        let unit = unit("a", &task);
        let right = [task.element(0), task.element(1)].concat();
        for (time, checks) in [(Duration::ZERO, RECHECKS_MIN), (Duration::from_secs(3600), RECHECKS_MAX)] {
            let mut drawn = 0;
            let count = || {
                drawn += 1;
                drawn
            };
            assert_eq!(recheck(&unit, &right, time, count), None);
            assert_eq!(drawn, 2 * u64::from(checks));
        }
    }
}
