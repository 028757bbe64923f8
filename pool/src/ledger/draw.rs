//! Draws: which parts of a batch are recomputed. Pure.
//!
//! The bytes of a draw are HMAC-SHA256 of the batch's root under a secret. The secret's hash is in the log before the
//! root, and the secret itself some time after: neither who made the batch nor the pool can choose what is drawn, and
//! anyone can draw again.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::terms::AuditPolicy;

/// A part that is recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pick {
    /// The unit, by its place in the batch.
    pub unit: usize,
    /// The element, as the job counts them.
    pub element: u64,
    /// The part of the element.
    pub part: u32,
}

/// What the log has of a secret before it is told.
#[must_use]
pub fn commitment(secret: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("lode audit secret v1", secret)
}

/// Draws from a batch of `units` (first element and count of each) with this root: `policy.units` of its units without
/// repetition, or all of them; of each, `policy.parts` of its parts without repetition, or all of them where it has no
/// more. Each element has `parts_per_element` parts.
#[must_use]
pub fn draw(
    secret: &[u8; 32],
    root: &[u8; 32],
    units: &[(u64, u32)],
    all: bool,
    policy: &AuditPolicy,
    parts_per_element: u32,
) -> Vec<Pick> {
    let mut stream = Stream { secret, root, counter: 0, block: [0; 32], used: 32 };
    let chosen = if all { (0..units.len()).collect() } else { stream.choose(units.len(), policy.units as usize) };
    let mut picks = Vec::new();
    for unit in chosen {
        let (first, count) = units[unit];
        let pick = |number: u64| Pick {
            unit,
            element: first + number / u64::from(parts_per_element),
            part: u32::try_from(number % u64::from(parts_per_element)).expect("less than parts_per_element"),
        };
        let parts = u64::from(count) * u64::from(parts_per_element);
        if parts <= u64::from(policy.parts) {
            picks.extend((0..parts).map(pick));
            continue;
        }
        let mut drawn = BTreeSet::new();
        while drawn.len() < policy.parts as usize {
            let number = stream.below(parts);
            if drawn.insert(number) {
                picks.push(pick(number));
            }
        }
    }
    picks
}

/// Random bytes that a secret makes of a root: block `i` is HMAC-SHA256(secret, root || i as four bytes, least first).
struct Stream<'a> {
    secret: &'a [u8; 32],
    root: &'a [u8; 32],
    counter: u32,
    block: [u8; 32],
    used: usize,
}

impl Stream<'_> {
    /// The next eight bytes, least first.
    fn next(&mut self) -> u64 {
        if self.used == self.block.len() {
            let mut mac = Hmac::<Sha256>::new_from_slice(self.secret).expect("a key may have any length");
            mac.update(self.root);
            mac.update(&self.counter.to_le_bytes());
            self.block = mac.finalize().into_bytes().into();
            self.counter = self.counter.checked_add(1).expect("a draw takes fewer than 2^32 blocks");
            self.used = 0;
        }
        let bytes = self.block[self.used..].first_chunk().expect("blocks are used by eights");
        self.used += 8;
        u64::from_le_bytes(*bytes)
    }

    /// A number below `bound`, each as likely as any other.
    fn below(&mut self, bound: u64) -> u64 {
        // As many values as there are whole multiples of the bound; what lies beyond is drawn again.
        let beyond = (u64::MAX % bound + 1) % bound;
        loop {
            let value = self.next();
            if value <= u64::MAX - beyond {
                return value % bound;
            }
        }
    }

    /// `most` of `count` places, or all, in the order in which they are drawn.
    fn choose(&mut self, count: usize, most: usize) -> Vec<usize> {
        let mut places: Vec<usize> = (0..count).collect();
        let most = most.min(count);
        for place in 0..most {
            let left = (count - place) as u64;
            let chosen = usize::try_from(self.below(left)).expect("less than a count of units");
            places.swap(place, place + chosen);
        }
        places.truncate(most);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: [u8; 32] = [7; 32];

    fn policy(units: u32, parts: u32) -> AuditPolicy {
        AuditPolicy { units, ..AuditPolicy::usual(parts) }
    }

    /// A secret for each number.
    fn secret(number: u64) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
    }

    /// By Python: hmac.new(bytes([1]) * 32, bytes([7]) * 32 + struct.pack("<I", counter), "sha256").digest().
    #[test]
    fn the_bytes_are_the_published_function() {
        let mut stream = Stream { secret: &[1; 32], root: &ROOT, counter: 0, block: [0; 32], used: 32 };
        let drawn: Vec<u64> = (0..5).map(|_| stream.next()).collect();
        assert_eq!(drawn, HMAC_BY_PYTHON);
    }

    const HMAC_BY_PYTHON: [u64; 5] =
        [0x98dd9c2ca02c4c26, 0xc24c099e58f87a59, 0x93326417a33d40de, 0x844a0246df1ef652, 0xe5468b07484a060c];

    #[test]
    fn picks_are_distinct_and_within_their_units() {
        let units: Vec<(u64, u32)> = (0..64).map(|unit| (1000 + unit * 3, 3)).collect();
        for number in 0..200 {
            for (all, wanted) in [(false, 2), (true, 64)] {
                let picks = draw(&secret(number), &ROOT, &units, all, &policy(2, 16), 256);
                assert_eq!(picks.len(), wanted * 16);
                assert_eq!(picks.iter().collect::<BTreeSet<_>>().len(), picks.len());
                assert_eq!(picks.iter().map(|pick| pick.unit).collect::<BTreeSet<_>>().len(), wanted);
                for pick in picks {
                    let (first, count) = units[pick.unit];
                    assert!((first..first + u64::from(count)).contains(&pick.element) && pick.part < 256);
                }
            }
        }
    }

    #[test]
    fn a_batch_smaller_than_the_policy_is_taken_whole() {
        let picks = draw(&secret(1), &ROOT, &[(5, 2)], false, &policy(2, 16), 4);
        let whole: Vec<(u64, u32)> =
            [5, 6].into_iter().flat_map(|element| (0..4).map(move |part| (element, part))).collect();
        assert_eq!(picks.iter().map(|pick| (pick.element, pick.part)).collect::<Vec<_>>(), whole);
        assert!(draw(&secret(1), &ROOT, &[], false, &policy(2, 16), 4).is_empty());
    }

    #[test]
    fn another_secret_or_root_draws_others() {
        let units: Vec<(u64, u32)> = (0..64).map(|unit| (unit, 1)).collect();
        let draws = |number, root| draw(&secret(number), &[root; 32], &units, false, &policy(2, 16), 256);
        assert_eq!(draws(1, 1), draws(1, 1));
        assert_ne!(draws(1, 1), draws(2, 1));
        assert_ne!(draws(1, 1), draws(1, 2));
    }

    /// Chi-squared over the units drawn and over the parts, each against its 99.99 % point.
    #[test]
    fn each_unit_and_part_is_as_likely_as_any_other() {
        let units: Vec<(u64, u32)> = (0..10).map(|unit| (unit * 2, 2)).collect();
        let (mut by_unit, mut by_part) = ([0u32; 10], [0u32; 12]);
        for number in 0..6000 {
            for pick in draw(&secret(number), &ROOT, &units, false, &policy(1, 1), 6) {
                by_unit[pick.unit] += 1;
                by_part[usize::try_from((pick.element % 2) * 6).unwrap() + pick.part as usize] += 1;
            }
        }
        let chi = |counts: &[u32]| -> f64 {
            let expected = f64::from(counts.iter().sum::<u32>()) / f64::from(u32::try_from(counts.len()).unwrap());
            counts.iter().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum()
        };
        assert!(chi(&by_unit) < 33.7 && chi(&by_part) < 37.4, "{by_unit:?} {by_part:?}");
    }

    #[test]
    fn a_bound_that_does_not_divide_is_drawn_without_bias() {
        // Two thirds of all values: without rejection the lower half would come up twice as often.
        let bound = (u64::MAX / 3) * 2;
        let secret = secret(3);
        let mut stream = Stream { secret: &secret, root: &ROOT, counter: 0, block: [0; 32], used: 32 };
        let low = (0..4000).filter(|_| stream.below(bound) < bound / 2).count();
        assert!((1800..2200).contains(&low), "{low} of 4000");
    }
}
