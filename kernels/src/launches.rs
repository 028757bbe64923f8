//! How many elements a launch has, so that it takes a bounded time, whatever the scene and the device.

use std::time::Duration;

use lode_kinds::render::{BLOCK_PIXELS, Settings};

/// Launches in flight: the device works on one while the host takes the other's results.
pub(crate) const SLOTS: usize = 2;

/// Paths of the first launch: little work even for one slow core.
const PATHS_FIRST: u64 = 1 << 14;
/// Bytes of one launch's results at most.
const BYTES_MAX: u64 = 64 << 20;
/// A launch that takes less is followed by a larger one, one that takes more by a smaller one. Desktops stay usable, and
/// no driver thinks that the device hangs.
const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_millis(100);

/// The length of launches, learned from those before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launches {
    count: u32,
    count_max: u32,
}

impl Launches {
    /// For a picture of which nothing is known yet.
    pub(crate) fn of(settings: &Settings) -> Self {
        let paths = u64::from(BLOCK_PIXELS) * u64::from(settings.element(0).samples);
        let bytes = 4 * settings.element_numbers() as u64;
        let small = |count: u64| u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Self { count: small(PATHS_FIRST / paths), count_max: small(BYTES_MAX / bytes) }
    }

    /// Elements of the next launch at most; at least one.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }

    /// Learns from a launch of `count` elements that took `elapsed`.
    pub(crate) fn record(&mut self, count: u32, elapsed: Duration) {
        if elapsed > LONG {
            self.count = (self.count / 2).max(1);
        } else if elapsed < SHORT && count >= self.count {
            self.count = self.count.saturating_mul(2).min(self.count_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use lode_kinds::render::Aovs;

    use super::*;

    #[test]
    fn launches_grow_and_shrink_until_they_take_a_bounded_time() {
        let settings = Settings::new([1920, 1080], 64, 64, 8, 0, Aovs::default()).expect("in range");
        for nanos_a_path in [1, 100, 4_000] {
            let mut launches = Launches::of(&settings);
            assert_eq!(launches.count(), 1);
            let elapsed = |count: u32| Duration::from_nanos(u64::from(count) * 64 * 256 * nanos_a_path);
            for _ in 0..20 {
                launches.record(launches.count(), elapsed(launches.count()));
            }
            let last = elapsed(launches.count());
            assert!((SHORT..=LONG).contains(&last), "{last:?}");
            launches.record(launches.count() - 1, Duration::ZERO);
            assert_eq!(elapsed(launches.count()), last, "the end of a range says nothing");
            for _ in 0..20 {
                launches.record(launches.count(), Duration::from_secs(1));
            }
            assert_eq!(launches.count(), 1);
        }
    }

    #[test]
    fn results_of_a_launch_have_a_bound() {
        let aovs = Aovs { albedo: true, normal: true, depth: true };
        let settings = Settings::new([8192, 4096], 1, 1, 8, 0, aovs).expect("in range");
        let mut launches = Launches::of(&settings);
        assert_eq!(launches.count(), 64);
        for _ in 0..20 {
            launches.record(launches.count(), Duration::ZERO);
        }
        assert_eq!(launches.count(), (64 << 20) / (256 * 10 * 4));
    }
}
