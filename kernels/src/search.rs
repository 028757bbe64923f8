//! A search as every GPU driver runs it: launches in flight, candidates back, each rechecked on the host.

use lode_kinds::hash::{Nonces, Scan};

/// Candidates that one launch can report. A launch that finds more is split and repeated.
pub(crate) const FOUND_MAX: u32 = 1023;
/// Words of the buffer in which a launch reports: how many candidates it found, then the candidates.
pub(crate) const FOUND_WORDS: usize = 1 + FOUND_MAX as usize;
/// Launches in flight: the device works on one while the host reads the other.
pub(crate) const SLOTS: usize = 2;

/// A device reported more than it was given to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the device reports {reported} of {tried} nonces: it does not compute what it is given")]
pub(crate) struct Unsound {
    reported: u32,
    tried: u64,
}

/// A driver's part of a search.
pub(crate) trait Launcher {
    /// What the driver fails with.
    type Error: From<Unsound>;

    /// Nonces that one launch tries at most.
    fn launch_max(&self) -> u64;

    /// Queues a launch over `nonces` (at least one, at most `launch_max`) in a free slot, and does not wait for it.
    ///
    /// # Errors
    /// When the device fails.
    fn start(&mut self, slot: usize, nonces: Nonces) -> Result<(), Self::Error>;

    /// Waits for the launch in `slot`, and gives the words that it reported.
    ///
    /// # Errors
    /// When the device fails.
    fn finish(&mut self, slot: usize) -> Result<&[u32; FOUND_WORDS], Self::Error>;
}

/// Appends to `candidates`, in order, everything that the device reports of the range, however much it is.
///
/// # Errors
/// When the device fails, or reports what cannot be. Launches may still be in flight then.
pub(crate) fn search<L: Launcher>(launcher: &mut L, nonces: Nonces, candidates: &mut Vec<u32>) -> Result<(), L::Error> {
    // Ranges to do, the next one last. Halving a range adds at most one for each halving.
    let longest = nonces.count().div_ceil(SLOTS as u64).clamp(1, launcher.launch_max());
    let mut waiting: Vec<Nonces> = nonces.pieces(longest).collect();
    waiting.reverse();
    let mut running: [Option<Nonces>; SLOTS] = [None; SLOTS];
    let begin = candidates.len();
    loop {
        for (slot, busy) in running.iter_mut().enumerate() {
            if busy.is_none()
                && let Some(range) = waiting.pop()
            {
                launcher.start(slot, range)?;
                *busy = Some(range);
            }
        }
        // The one that was started first has the first nonces, or was split: either way it is taken first.
        let first = (0..SLOTS).filter_map(|slot| Some((slot, running[slot]?))).min_by_key(|(_, range)| range.start());
        let Some((slot, range)) = first else { break };
        running[slot] = None;
        let [count, found @ ..] = launcher.finish(slot)?;
        if u64::from(*count) > range.count() {
            return Err(Unsound { reported: *count, tried: range.count() }.into());
        }
        match found.get(..*count as usize) {
            Some(found) => candidates.extend_from_slice(found),
            None => {
                let (first, second) = range.split_at(range.count().div_ceil(2));
                waiting.extend([second, first]);
            }
        }
    }
    candidates[begin..].sort_unstable();
    Ok(())
}

/// Appends to `hits` the candidates that are hits, and counts those that a sound device would not have reported: outside
/// of the range, or with a hash that does not pass `may_be_hit`, the test that the device makes.
pub(crate) fn recheck(
    scan: &Scan,
    nonces: Nonces,
    candidates: &[u32],
    may_be_hit: impl Fn(&[u8; 32]) -> bool,
    hits: &mut Vec<u32>,
) -> u64 {
    let mut refuted = 0;
    for &nonce in candidates {
        let hash = scan.header_hash(nonce);
        if !nonces.contains(nonce) || !may_be_hit(&hash) {
            refuted += 1;
        } else if hash <= *scan.target() {
            hits.push(nonce);
        }
    }
    refuted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that reports every nonce divisible by `step`.
    struct Played {
        step: u32,
        launch_max: u64,
        slots: [Option<Nonces>; SLOTS],
        words: Box<[u32; FOUND_WORDS]>,
        launches: usize,
        overlapped: bool,
        /// What it reports as its count, whatever it finds.
        garbage: Option<u32>,
    }

    impl Launcher for Played {
        type Error = Unsound;

        fn launch_max(&self) -> u64 {
            self.launch_max
        }

        fn start(&mut self, slot: usize, nonces: Nonces) -> Result<(), Unsound> {
            assert!(!nonces.is_empty() && nonces.count() <= self.launch_max, "{nonces:?}");
            assert!(self.slots[slot].replace(nonces).is_none(), "slot {slot} is busy");
            self.launches += 1;
            self.overlapped |= self.slots.iter().all(Option::is_some);
            Ok(())
        }

        fn finish(&mut self, slot: usize) -> Result<&[u32; FOUND_WORDS], Unsound> {
            let nonces = self.slots[slot].take().expect("a launch in the slot");
            let found: Vec<u32> = nonces.iter().filter(|nonce| nonce.is_multiple_of(self.step)).collect();
            self.words.fill(0xa5a5_a5a5);
            self.words[0] = self.garbage.unwrap_or(u32::try_from(found.len()).unwrap());
            // As a device does: in any order, and only as many as fit.
            for (word, nonce) in self.words[1..].iter_mut().zip(found.into_iter().rev()) {
                *word = nonce;
            }
            Ok(&self.words)
        }
    }

    fn played(step: u32, launch_max: u64) -> Played {
        let words = Box::new([0; FOUND_WORDS]);
        Played { step, launch_max, slots: [None; SLOTS], words, launches: 0, overlapped: false, garbage: None }
    }

    #[test]
    fn every_candidate_comes_once_and_in_order_whatever_is_split() {
        for (step, launch_max) in [(1, 100), (1, 5000), (3, 1 << 30), (1000, 700), (1, 1)] {
            for count in [0, 1, 2, 3, 1023, 1024, 1025, 2050, 6001] {
                let mut device = played(step, launch_max);
                let nonces = Nonces::new(7, count).unwrap();
                let mut candidates = vec![99];
                search(&mut device, nonces, &mut candidates).unwrap();
                let expected = nonces.iter().filter(|nonce| nonce.is_multiple_of(step));
                assert!(candidates.iter().copied().eq([99].into_iter().chain(expected)), "{step} {launch_max} {count}");
                assert_eq!(device.overlapped, count >= 2, "two launches in flight wherever there is work for two");
                assert!(device.slots.iter().all(Option::is_none));
            }
        }
    }

    #[test]
    fn a_count_that_cannot_be_ends_the_search() {
        for (count, garbage) in [(1, 2), (1, u32::MAX), (5000, u32::MAX)] {
            let mut device = Played { garbage: Some(garbage), ..played(1, 1 << 30) };
            let error = search(&mut device, Nonces::new(0, count).unwrap(), &mut Vec::new()).unwrap_err();
            assert_eq!(error, Unsound { reported: garbage, tried: count.div_ceil(2) });
        }
    }

    #[test]
    fn the_recheck_keeps_hits_and_counts_what_a_sound_device_does_not_report() {
        let scan = Scan::new(lode_kinds::hash::Algorithm::Sha256d, &[1; 80], [0x7f; 32]);
        let nonces = Nonces::new(0, 50).unwrap();
        let may_be_hit = |hash: &[u8; 32]| hash[0] < 0x80;
        let honest: Vec<u32> = nonces.iter().filter(|nonce| may_be_hit(&scan.header_hash(*nonce))).collect();
        let mut hits = Vec::new();
        assert_eq!(recheck(&scan, nonces, &honest, may_be_hit, &mut hits), 0);
        assert!(hits.iter().copied().eq(nonces.iter().filter(|nonce| scan.meets(*nonce))));
        let lie = nonces.iter().find(|nonce| !honest.contains(nonce)).unwrap();
        assert_eq!(recheck(&scan, nonces, &[lie, 50, 51], may_be_hit, &mut Vec::new()), 3);
    }
}
