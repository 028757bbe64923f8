//! Variable difficulty: moves a worker's share difficulty so that it sends one share each so many
//! seconds. Pure: shares and times go in, a new difficulty comes out.
//!
//! The speed is estimated as the hashes behind the shares seen since the last change over the time they
//! took. With few shares that estimate is noise (the times between shares are exponential), so a
//! change needs evidence: eight shares that came at twice the rate or faster raise it at once;
//! eight intervals with half the shares or fewer, or four without any, lower it.

use lode_protocol::{Difficulty, Hashes};

use crate::ledger::entry::Millis;

/// Shares that are evidence enough.
const EVIDENCE: u128 = 8;
/// Intervals without a share after which it is lowered.
const SILENCE: u128 = 4;
/// Most that one change multiplies or divides by.
const STEP_MAX: u128 = 64;

/// Settings, the same for all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Wanted time between shares.
    pub interval_ms: u64,
    /// Where a worker starts.
    pub start: Difficulty,
    /// Never below this.
    pub least: Difficulty,
    /// Never above this.
    pub most: Difficulty,
}

/// One worker's difficulty.
#[derive(Debug, Clone)]
pub struct Vardiff {
    options: Options,
    /// What the worker asked for as its lowest, within the options' bounds.
    floor: Difficulty,
    difficulty: Difficulty,
    since: Millis,
    shares: u128,
    hashes: u128,
    /// Shares ever.
    known: u128,
}

impl Vardiff {
    /// Begins at the start difficulty, or at the one asked for, within bounds.
    #[must_use]
    pub fn new(options: Options, wanted: Option<Difficulty>, now: Millis) -> Vardiff {
        let (floor, difficulty) = (options.least, options.start);
        let mut vardiff = Vardiff { options, floor, difficulty, since: now, shares: 0, hashes: 0, known: 0 };
        vardiff.difficulty = vardiff.bounded(wanted.unwrap_or(options.start).hashes().0);
        vardiff
    }

    /// The difficulty now.
    #[must_use]
    pub fn difficulty(&self) -> Difficulty {
        self.difficulty
    }

    /// Keeps the difficulty at `floor` or above from now on, within the bounds of the options.
    pub fn set_floor(&mut self, floor: Difficulty, now: Millis) {
        self.floor = floor.clamp(self.options.least, self.options.most);
        self.go_to(self.bounded(self.difficulty.hashes().0), now);
    }

    /// Goes on from a difficulty that the worker asked for. Once its speed shows in its shares it
    /// may ask for a higher one only: else who asks again and again floods the pool with shares.
    pub fn suggest(&mut self, wanted: Difficulty, now: Millis) {
        let wanted = self.bounded(wanted.hashes().0);
        if wanted > self.difficulty || self.known < EVIDENCE {
            self.go_to(wanted, now);
        }
    }

    /// Restarts only where something changes: what was seen of a worker is not its to wipe out.
    fn go_to(&mut self, difficulty: Difficulty, now: Millis) {
        if difficulty != self.difficulty {
            self.restart(difficulty, now);
        }
    }

    /// Starts measuring anew, e.g. after a time without work.
    pub fn pause(&mut self, now: Millis) {
        self.restart(self.difficulty, now);
    }

    /// No share was to be expected until now, so that there being none says nothing of its speed.
    pub fn excuse(&mut self, now: Millis) {
        if self.shares == 0 {
            self.since = now;
        }
    }

    /// A share of difficulty `of` came in. Gives the new difficulty if it changes.
    pub fn share(&mut self, of: Difficulty, now: Millis) -> Option<Difficulty> {
        self.shares += 1;
        self.known += 1;
        self.hashes = self.hashes.saturating_add(of.hashes().0);
        self.retarget(now)
    }

    /// Some time passed. Gives the new difficulty if it changes.
    pub fn tick(&mut self, now: Millis) -> Option<Difficulty> {
        self.retarget(now)
    }

    fn retarget(&mut self, now: Millis) -> Option<Difficulty> {
        // A clock that was set back would make the wait endless.
        self.since = self.since.min(now);
        let elapsed = u128::from(now.saturating_sub(self.since));
        let interval = u128::from(self.options.interval_ms);
        // The hashes of a wanted share, had it come at the speed seen; a zero time counts as one ms.
        let estimate = self.hashes.saturating_mul(interval) / elapsed.max(1);
        let now_hashes = self.difficulty.hashes().0;
        let silent = self.shares == 0 && elapsed >= SILENCE * interval;
        let fast = self.shares >= EVIDENCE && estimate >= 2 * now_hashes;
        let settled = elapsed >= EVIDENCE * interval;
        let wanted = if silent {
            now_hashes / 4
        } else if fast || (settled && (estimate > now_hashes + now_hashes / 2 || estimate < now_hashes / 2)) {
            estimate.clamp(now_hashes / STEP_MAX, now_hashes.saturating_mul(STEP_MAX))
        } else {
            if settled {
                self.restart(self.difficulty, now);
            }
            return None;
        };
        let wanted = self.bounded(wanted);
        let changed = wanted != self.difficulty;
        self.restart(wanted, now);
        changed.then_some(wanted)
    }

    fn restart(&mut self, difficulty: Difficulty, now: Millis) {
        self.difficulty = difficulty;
        self.since = now;
        self.shares = 0;
        self.hashes = 0;
    }

    fn bounded(&self, hashes: u128) -> Difficulty {
        Difficulty::from_hashes(Hashes(hashes)).clamp(self.floor, self.options.most).for_wire()
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "simulated times are small and positive")]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{RngExt as _, SeedableRng as _};

    /// Difficulty 1 of sha256d.
    const ONE: Difficulty = Difficulty::one(lode_protocol::Algorithm::Sha256d);
    const OPTIONS: Options = Options { interval_ms: 5_000, start: ONE, least: Difficulty::MIN, most: Difficulty::MAX };

    /// Shares of a miner of `rate` hashes per second, until `until`; gives their times between.
    fn mine(vardiff: &mut Vardiff, rate: f64, from: Millis, until: Millis, rng: &mut SmallRng) -> Vec<f64> {
        let mut now = from as f64;
        let mut gaps = Vec::new();
        let mut tick = from + 5_000;
        while now < until as f64 {
            let mean = vardiff.difficulty().hashes().0 as f64 / rate * 1000.0;
            let gap = -mean * rng.random::<f64>().max(1e-12).ln();
            if now + gap > tick as f64 {
                // Exponential times have no memory, so the wait begins anew at each tick.
                now = tick as f64;
                vardiff.tick(tick);
                tick += 5_000;
                continue;
            }
            now += gap;
            gaps.push(gap);
            let of = vardiff.difficulty();
            vardiff.share(of, now as Millis);
        }
        gaps
    }

    #[test]
    fn finds_the_speed_of_small_and_large_miners() {
        for (seed, rate) in [(1, 1e3), (2, 3e7), (3, 5e9), (4, 1e14)] {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut vardiff = Vardiff::new(OPTIONS, None, 0);
            mine(&mut vardiff, rate, 0, 600_000, &mut rng);
            let ideal = rate * 5.0;
            let ratio = vardiff.difficulty().hashes().0 as f64 / ideal;
            assert!((0.25..4.0).contains(&ratio), "rate {rate}: {ratio} of the ideal difficulty");
            let gaps = mine(&mut vardiff, rate, 600_000, 3_600_000, &mut rng);
            let mean = 3_000.0 / gaps.len() as f64;
            assert!((2.5..10.0).contains(&mean), "rate {rate}: a share each {mean} s");
        }
    }

    #[test]
    fn follows_a_miner_that_slows_down() {
        let mut rng = SmallRng::seed_from_u64(5);
        let mut vardiff = Vardiff::new(OPTIONS, None, 0);
        mine(&mut vardiff, 5e9, 0, 600_000, &mut rng);
        let fast = vardiff.difficulty();
        mine(&mut vardiff, 5e7, 600_000, 900_000, &mut rng);
        assert!(vardiff.difficulty().hashes().0 < fast.hashes().0 / 20);
    }

    #[test]
    fn holds_still_when_the_speed_is_right() {
        let mut rng = SmallRng::seed_from_u64(6);
        let mut vardiff = Vardiff::new(OPTIONS, Some(Difficulty::from_hashes(Hashes(50_000_000))), 0);
        let mut changes = 0;
        let mut now = 0.0;
        for _ in 0..2_000 {
            let mean = vardiff.difficulty().hashes().0 as f64 / 1e4;
            now += -mean * rng.random::<f64>().max(1e-12).ln();
            let of = vardiff.difficulty();
            changes += u32::from(vardiff.share(of, now as Millis).is_some());
        }
        assert!(changes < 200, "{changes} changes in 2000 shares");
    }

    #[test]
    fn a_worker_cannot_talk_its_difficulty_below_the_pools_or_below_its_speed() {
        let least = Difficulty::from_hashes(Hashes(1000));
        let mut vardiff = Vardiff::new(Options { least, ..OPTIONS }, None, 0);
        vardiff.set_floor(Difficulty::MIN, 0);
        vardiff.suggest(Difficulty::MIN, 0);
        assert_eq!(vardiff.difficulty(), least);
        // One share a millisecond, and between any two of them a wish for the least.
        for now in 1..100 {
            let of = vardiff.difficulty();
            vardiff.share(of, now);
            vardiff.suggest(Difficulty::MIN, now);
            vardiff.set_floor(Difficulty::MIN, now);
        }
        assert!(vardiff.difficulty().hashes().0 > 1000 * 1000, "{}", vardiff.difficulty().hashes().0);
        vardiff.suggest(Difficulty::MAX, 200);
        assert_eq!(vardiff.difficulty(), Difficulty::MAX);
    }

    #[test]
    fn a_clock_set_back_does_not_hold_a_difficulty_up() {
        let mut vardiff = Vardiff::new(OPTIONS, None, 3_600_000);
        vardiff.tick(0);
        assert!(vardiff.tick(20_000).is_some_and(|lower| lower < ONE));
    }

    #[test]
    fn keeps_within_its_bounds() {
        let floor = Difficulty::parse("0.5", lode_protocol::Algorithm::Sha256d).unwrap();
        let mut vardiff = Vardiff::new(OPTIONS, Some(Difficulty::MIN), 0);
        vardiff.set_floor(floor, 0);
        assert_eq!(vardiff.difficulty(), floor);
        assert_eq!(vardiff.tick(1_000_000), None);
        assert_eq!(vardiff.difficulty(), floor);
        let mut burst = Vardiff::new(Options { most: ONE, ..OPTIONS }, None, 0);
        for _ in 0..100 {
            burst.share(ONE, 0);
        }
        assert_eq!(burst.difficulty(), ONE);
    }
}
