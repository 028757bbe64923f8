//! Lines about shares: a few a second, the rest as one line.

use std::time::{Duration, Instant};

/// Lines of one second; what comes beyond is summed up.
const LINES_MAX: u32 = 4;
/// The second.
const PERIOD: Duration = Duration::from_secs(1);

/// Decides what is worth a line.
#[derive(Debug, Default)]
pub struct ShareLog {
    since: Option<Instant>,
    lines: u32,
    held_back: u64,
}

impl ShareLog {
    /// Whether an event at `now` gets its own line; else it is counted.
    pub fn admits(&mut self, now: Instant) -> bool {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD) {
            (self.since, self.lines) = (Some(now), 0);
        }
        self.lines += 1;
        let admits = self.lines <= LINES_MAX;
        self.held_back += u64::from(!admits);
        admits
    }

    /// How many got no line in a second that is over.
    pub fn take_held_back(&mut self, now: Instant) -> Option<u64> {
        let is_over = self.since.is_none_or(|since| now.saturating_duration_since(since) >= PERIOD);
        (is_over && self.held_back > 0).then(|| std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_becomes_a_few_lines_and_a_sum() {
        let (start, mut log) = (Instant::now(), ShareLog::default());
        let admitted = (0..100).filter(|ms| log.admits(start + Duration::from_millis(*ms))).count();
        assert_eq!(admitted, 4);
        assert_eq!(log.take_held_back(start + Duration::from_millis(500)), None);
        assert_eq!(log.take_held_back(start + PERIOD), Some(96));
        assert_eq!(log.take_held_back(start + PERIOD), None);
        assert!(log.admits(start + PERIOD));
    }
}
