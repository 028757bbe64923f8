//! Hash rates over the last 10 seconds, minute and quarter of an hour, from a growing count and a time that is passed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The windows, shortest first.
pub const WINDOWS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(15 * 60)];
/// Time between two samples that are kept.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
/// Samples kept: those of the longest window, and the one at its far edge.
const SAMPLES_MAX: usize = 15 * 60 + 1;

/// A device's count over time.
#[derive(Debug, Clone)]
pub struct Rate {
    samples: VecDeque<(Instant, u64)>,
    latest: (Instant, u64),
}

impl Rate {
    /// Begins with a count of zero at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Rate {
        Rate { samples: VecDeque::from([(now, 0)]), latest: (now, 0) }
    }

    /// Takes the total count at `now`; neither may be less than before.
    pub fn record(&mut self, now: Instant, total: u64) {
        self.latest = (now, total);
        let last = self.samples.back().map_or(now, |&(at, _)| at);
        if now.saturating_duration_since(last) < SAMPLE_EVERY {
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(self.latest);
    }

    /// The mean rate over the `window` before the latest record, or since the beginning where that is shorter.
    #[must_use]
    pub fn over(&self, window: Duration) -> f64 {
        let (now, total) = self.latest;
        let begin = now.checked_sub(window);
        let before = self.samples.partition_point(|&(at, _)| begin.is_some_and(|begin| at <= begin));
        let Some(&(from, count)) = self.samples.get(before.saturating_sub(1)) else { return 0.0 };
        per_second(total.saturating_sub(count), now.saturating_duration_since(from))
    }
}

/// `count` in `elapsed`, as a number a second; 0 for no time.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a rate is shown with four digits")]
pub fn per_second(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn windows_forget_what_lies_before_them() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for second in 1..=100 {
            rate.record(after(start, second), if second <= 50 { second * 1000 } else { 50_000 });
        }
        assert_eq!(WINDOWS.map(|window| rate.over(window)), [0.0, 10_000.0 / 60.0, 500.0]);
    }

    #[test]
    fn before_the_first_window_is_full_the_mean_is_over_what_there_is() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert_eq!(rate.over(WINDOWS[0]), 0.0);
        rate.record(after(start, 2), 500);
        assert_eq!(WINDOWS.map(|window| rate.over(window)), [250.0; 3]);
    }

    #[test]
    fn frequent_records_and_long_runs_stay_bounded() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for tenth in 1..=30_000 {
            rate.record(start + Duration::from_millis(tenth * 100), tenth * 7);
        }
        assert_eq!(rate.samples.len(), SAMPLES_MAX);
        for window in WINDOWS {
            assert!((rate.over(window) - 70.0).abs() < 1e-9);
        }
    }
}
